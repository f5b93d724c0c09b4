#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# Camouflage: byte for byte the answers of a real nginx to who does not know the secret; a login by
# stock openconnect for who does.
# shellcheck source=tests/integration/lib.sh
. "$(dirname "$0")/lib.sh"

for tool in curl python3 nginx; do
	command -v $tool >/dev/null || skip "needs $tool"
done
ground
access='.["penstock:penstock"].authentication'
gateway_start "$access += $(doc_example test_camouflage.sh)"
secret=$(doc_example test_camouflage.sh | jq -r .camouflage.secret)
realm=$(doc_example test_camouflage.sh | jq -r .camouflage.realm)

# The real one: a page with a password, and one that has nothing.
mkdir -p "$dir/nginx"
echo 'nobody:!' >"$dir/nginx/users"
cat >"$dir/nginx/conf" <<-CONF
	daemon off;
	user root;
	pid $dir/nginx/pid;
	error_log $dir/log/nginx;
	events {}
	http {
		access_log off;
		server_tokens off;
		default_type text/html;
		client_body_temp_path $dir/nginx/body;
		proxy_temp_path $dir/nginx/proxy;
		fastcgi_temp_path $dir/nginx/fastcgi;
		uwsgi_temp_path $dir/nginx/uwsgi;
		scgi_temp_path $dir/nginx/scgi;
		ssl_certificate $dir/server.pem;
		ssl_certificate_key $dir/server.key;
		server {
			listen 8443 ssl;
			location / {
				auth_basic "$realm";
				auth_basic_user_file $dir/nginx/users;
			}
		}
		server {
			listen 8444 ssl;
			location / { return 404; }
		}
	}
CONF
in_ns gw nginx -c "$dir/nginx/conf" >>"$dir/log/nginx" 2>&1 &
listening() { [ "$(ns gw ss -Hltn '( sport = :8443 or sport = :8444 )' | wc -l)" -ge 2 ]; }
wait_until 10 listening

cases() { ns cl timeout 120 python3 "$here/camouflage_cases.py" "$@" >"$dir/log/cases" 2>&1 || fail "$* $(cat "$dir/log/cases")"; }
cases same 443 8443
pass "$(tail -1 "$dir/log/cases") requests are answered as by nginx with a password"
get() { ns cl curl -sk --max-time 20 -D "$dir/head" -o "$dir/body" -w '%{http_code}' "$@"; }
[ "$(get https://192.0.2.1/)" = 401 ] || fail "not 401"
[ "$(get -u "x:$secret" https://192.0.2.1/)" = 401 ] || fail "the secret is a password"

# The way in: stock openconnect; then by a cookie, without the secret.
URL="https://192.0.2.1/?$secret" client a
client_wait a
client_wait_dtls a
expect_ping a 198.51.100.2
cookie=$(echo secret | ns cl timeout 60 openconnect --authenticate --passwd-on-stdin -u test \
	--servercert "$(pin server)" "https://192.0.2.1/?$secret" 2>/dev/null | sed -n "s/^COOKIE='\(.*\)'/\1/p")
[ -n "$cookie" ] || fail "openconnect --authenticate got no cookie"
COOKIE=$cookie client b # knows no secret
client_wait b
expect_ping b 198.51.100.2
[ "$(connect_with "$(printf 'A%.0s' {1..43})=")" = 405 ] || fail "CONNECT with a bad cookie is not answered by 405"
for c in a b; do kill -INT "${client_pids[$c]}"; done
if echo secret | ns cl timeout 30 openconnect --authenticate --passwd-on-stdin -u test \
	--servercert "$(pin server)" https://192.0.2.1 >"$dir/log/oc" 2>&1; then
	fail "a login without the secret"
fi
pass "openconnect gets in by the secret, and back by its cookie"

# Form and answer on two connections: the form's path has the secret.
[ "$(get "https://192.0.2.1/?$secret")" = 200 ] || fail "the secret does not open the portal"
path=$(sed -n 's/.*action="\([^"]*\)".*/\1/p' "$dir/body")
[ "$(get -d 'username=test&password=secret' "https://192.0.2.1$path")" = 200 ] || fail "$path is not served"
grep -qi '^Set-Cookie: webvpn=[A-Za-z0-9+/]' "$dir/head" || fail "no cookie from $path"
pass "a form is answered on another connection"

# No realm by a reload.
configure "$access += {\"camouflage\": {\"secret\": \"$secret\"}}"
ctl reload >/dev/null || fail "reload"
cases same 443 8444
pass "$(tail -1 "$dir/log/cases") requests are answered as by nginx with nothing to show"

if [ -z "${SANITIZE-}" ] || [ "$SANITIZE" = none ]; then
	cases timing 443
	pass "answers take the same time: $(tr '\n' ';' <"$dir/log/cases")"
fi
grep -F "$secret" "$dir/log/controlplane" && fail "the secret is in the log"
pass "the secret is not in the log"
