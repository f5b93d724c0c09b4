#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# The HTTP exchange: XML and form logins, wrong passwords, limits, what is not there, plain HTTP.
# shellcheck source=tests/integration/lib.sh
. "$(dirname "$0")/lib.sh"

command -v curl >/dev/null || skip "needs curl"
ground
gateway_start
user locked secret
"$BUILD/tools/cli/penstockctl" passwd -l -c "$dir/passwd" locked >/dev/null

get() { ns cl curl -sk --max-time 20 -o "$dir/body" -w '%{http_code}' "$@"; }
expect() { [ "$1" = "$2" ] || fail "$3: status $1, expected $2: $(head -c 300 "$dir/body")"; }

url=https://192.0.2.1
login='<?xml version="1.0" encoding="UTF-8"?><config-auth client="vpn" type="auth-reply"><auth><username>USER</username><password>PASS</password></auth></config-auth>'
xml() { get -H 'X-Aggregate-Auth: 1' -H 'Content-Type: application/xml; charset=utf-8' -D "$dir/head" --data-binary "$1" "$url${2-/auth}"; }
reply() { sed "s/USER/$1/; s/PASS/$2/" <<<"$login"; }

expect "$(xml '<?xml version="1.0"?><config-auth client="vpn" type="init"><version who="vpn">v9</version></config-auth>' /)" 200 init
grep -q '<input type="text" name="username"' "$dir/body" && grep -q '<input type="password" name="password"' "$dir/body" ||
	fail "the form has not both inputs: $(cat "$dir/body")"
xmllint --noout "$dir/body" 2>/dev/null || command -v xmllint >/dev/null || true
pass "the form asks for both at once"

expect "$(xml "$(reply test secret)")" 200 "XML login"
grep -q 'auth id="success"' "$dir/body" || fail "no success: $(cat "$dir/body")"
grep -qi '^Set-Cookie: webvpn=' "$dir/head" || fail "no cookie"
pass "XML login"

expect "$(get -D "$dir/head" -d 'username=test&password=secret' $url/auth)" 200 "form login"
grep -qi '^Set-Cookie: webvpn=[A-Za-z0-9+/=]' "$dir/head" || fail "form login: no cookie"
pass "form login"

# Wrong password, unknown user, locked user: the same answer.
for who in 'test wrong' 'nobody secret' 'locked secret'; do
	# shellcheck disable=SC2086
	expect "$(xml "$(reply $who)")" 200 "$who"
	grep -q 'auth id="success"' "$dir/body" && fail "$who: let in"
	grep -q 'name="password"' "$dir/body" || fail "$who: no form again: $(cat "$dir/body")"
	cp "$dir/body" "$dir/body-${who%% *}"
done
cmp "$dir/body-test" "$dir/body-nobody" || fail "an unknown user gets another answer"
cmp "$dir/body-test" "$dir/body-locked" || fail "a locked user gets another answer"
pass "wrong password, unknown user and locked user get the same answer"

# One line a login that an operator sees: the session's, or a warning that says why not.
lines() { grep -cE "level=(info|warning|error) .*($1)" "$dir/log/controlplane" || true; }
[ "$(lines 'role=session event=login .*user=test remote=192.0.2.2 agent=')" = 2 ] || fail "not two lines for two logins"
[ "$(lines 'role=auth event=login_refused user=(test|nobody|locked) remote=192.0.2.2 .*reason=')" = 3 ] ||
	fail "not three lines for three refused logins"
[ "$(lines 'event=login')" = 5 ] || fail "a login is in the log more than once"
pass "each login is in the log once"

# Three tries on one connection, then 401.
body=$(reply test wrong)
codes=$(ns cl curl -sk --max-time 30 -o /dev/null -w '%{http_code} ' -H 'X-Aggregate-Auth: 1' --data-binary "$body" $url/auth \
	--next -sk -o /dev/null -w '%{http_code} ' -H 'X-Aggregate-Auth: 1' --data-binary "$body" $url/auth \
	--next -sk -o /dev/null -w '%{http_code} ' -H 'X-Aggregate-Auth: 1' --data-binary "$body" $url/auth)
[ "$codes" = "200 200 401 " ] || fail "three wrong passwords: $codes, expected 200 200 401"
pass "three tries"

expect "$(get $url/no/such/page)" 404 "unknown page"
expect "$(get -X DELETE $url/)" 405 "unknown method"
expect "$(get -H "X-Long: $(head -c 40000 /dev/zero | tr '\0' x)" $url/)" 431 "long header"
expect "$(head -c 2000000 /dev/zero | get --data-binary @- -H 'Expect:' $url/auth)" 413 "large body"
expect "$(xml '<?xml version="1.0"?><!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/passwd">]><config-auth type="auth-reply"><auth><username>&e;</username><password>x</password></auth></config-auth>')" 400 "entities"
expect "$(xml '<config-auth')" 400 "broken XML"
expect "$(ns cl curl -s --max-time 20 -o "$dir/body" -w '%{http_code}' http://192.0.2.1:443/)" 400 "plain HTTP"
grep -qi https "$dir/body" || fail "plain HTTP: the answer does not say HTTPS: $(cat "$dir/body")"
pass "404, 405, 431, 413, 400, and 400 for plain HTTP"

# openconnect is asked again after a wrong password and then gets in.
printf 'wrong\nsecret\n' | ns cl timeout 30 openconnect --authenticate --passwd-on-stdin -u test \
	--servercert "$(pin server)" $url >"$dir/log/oc" 2>&1 || true
printf 'secret\n' | ns cl timeout 30 openconnect --authenticate --passwd-on-stdin -u test \
	--servercert "$(pin server)" $url >"$dir/log/oc2" 2>&1 || fail "openconnect --authenticate"
grep -q "COOKIE='" "$dir/log/oc2" || fail "openconnect got no cookie"
pass "openconnect --authenticate"

# A slow sender is ended by the header timeout; others are served meanwhile.
slow=$(mktemp -u)
mkfifo "$slow"
ns cl openssl s_client -quiet -connect 192.0.2.1:443 <"$slow" >"$dir/slow.out" 2>/dev/null &
slow_pid=$!
exec 9>"$slow"
printf 'GET / HTTP/1.1\r\nHo' >&9
expect "$(xml "$(reply test secret)")" 200 "login beside a slow sender"
timeout 30 tail --pid=$slow_pid -f /dev/null || fail "a slow sender is not ended"
exec 9>&-
pass "a slow sender is ended, others are served"
grep -iE 'secret|wrong' "$dir/log/controlplane" && fail "a password is in the log"
pass "no password in the log"
