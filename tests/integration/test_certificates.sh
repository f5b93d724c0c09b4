#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# Certificates of clients with stock openconnect and by hand: alone, with a password, as one way of
# several, by virtual host; whose they are, by subject and alternative names; foreign, expired,
# for something else, revoked while the gateway runs; resumed TLS sessions. The configuration is the
# example of docs/operations/certificates.md.
# shellcheck source=tests/integration/lib.sh
. "$(dirname "$0")/lib.sh"

command -v curl >/dev/null || skip "needs curl"
# shellcheck source=tests/integration/pki.sh
. "$here/pki.sh"

ground
certificate server ec "IP:192.0.2.1,DNS:vpn.example.net,DNS:*.example.net"
pki ca
pki_sub ca sub
pki foreign
issue ca ann "/CN=Ann/OU=staff/OU=a,b/OU=admins/UID=ann"
KEY=rsa:2048 issue ca bob "/CN=Bob/UID=bob"
issue sub cid "/CN=Cid/UID=cid"
issue ca late "/CN=Late/UID=late" -startdate 20200101000000Z -enddate 20200201000000Z
issue foreign spy "/CN=Spy/UID=ann"
EKU=serverAuth issue ca web "/CN=Web/UID=ann"
EKU='' issue ca any "/CN=Any/UID=ann"
issue ca twice "/CN=Twice/UID=ann/UID=bob"
issue ca nameless "/CN=ann"
issue ca dot $'/CN=Dot/UID=ann\tx'
issue ann eve "/CN=Eve/UID=ann" # ann is no CA
SAN="email:ann@example.net,otherName:1.3.6.1.4.1.311.20.2.3;UTF8:annie@corp,DNS:ann.example.net" \
	issue ca names "/CN=Names/UID=names"
SAN="email:ann@example.net,email:bob@example.net" issue ca mails "/CN=Mails/UID=mails"
user ann secret
user bob secret
crl ca
crl sub

example=$(doc_example test_certificates.sh)
[ "$(jq '."virtual-host" | length' <<<"$example")" = 3 ] || fail "no example: $example"
gateway_start ". * {\"penstock:penstock\": $example}"

# enters NAME HOST [OPTION...]: openconnect's login alone; 0 when it has a cookie.
enters() {
	local name=$1 host=$2
	shift 2
	echo "${PASSWORD-secret}" | ns cl timeout 20 openconnect --non-inter --passwd-on-stdin \
		--authenticate --servercert "$(pin server)" --resolve "$host:192.0.2.1" \
		-c "$dir/$name.crt" -k "$dir/$name.key" "$@" "https://$host" >"$dir/cookie" 2>"$dir/log/login"
	grep -q '^COOKIE=' "$dir/cookie"
}
is_in() { enters "$@" || fail "$1 does not get in at $2: $(cat "$dir/log/login")"; }
is_out() { ! enters "$@" || fail "$1 gets in at $2"; }
said() { # said REGEX: in the log, and nothing before this is looked at again
	wait_log "$dir/log/controlplane" "$1" 5
	: >"$dir/log/controlplane"
}
user_is() { # user_is USER GROUP: of the one session, which then ends
	local is
	is=$(ctl --json show sessions | jq -r '.. | objects | select(.user?) | "\(.user) \(.group)"')
	[ "$is" = "$1 $2" ] || fail "the session is of '$is', expected '$1 $2'"
	ctl disconnect user "$1" >/dev/null
}

# --- alone: no form ---

client ann -c "$dir/ann.crt" -k "$dir/ann.key" --resolve vpn.example.net:192.0.2.1
client_wait ann
expect_ping ann 198.51.100.2
[ "$(session_field ann group)" = staff ] || fail "not in the first group of the certificate"
grep -q 'Please enter' "$dir/log/client-ann" && fail "there was a form"
client_stop ann
pass "a certificate alone, without a form"
is_in cid vpn.example.net
user_is cid ""
pass "issued by a subordinate CA that the client sends"

for TLS in 1.2 1.3; do
	is_in bob vpn.example.net --gnutls-priority "NORMAL:-VERS-ALL:+VERS-TLS$TLS"
	user_is bob ""
done
pass "in TLS 1.2 and TLS 1.3, with another kind of key than the server's"

is_out late vpn.example.net
said 'client_certificate .*reason="?certificate has expired'
is_out spy vpn.example.net
said 'client_certificate .*reason="?unable to get local issuer|client_certificate .*reason="?self-signed|client_certificate .*reason="?self signed'
is_out any vpn.example.net
said 'client_certificate .*reason="?certificate is not for clients'
is_out web vpn.example.net
said 'handshake_failed'
is_out eve vpn.example.net
is_out twice vpn.example.net
said 'client_certificate .*reason="?certificate names several users'
is_out nameless vpn.example.net
said 'client_certificate .*reason="?certificate names no user'
is_out dot vpn.example.net
said "client_certificate .*reason=\"?certificate's user name cannot be used"
pass "expired, foreign, for servers, for anything, two users, none, a strange one: refused"

# --- no certificate ---

# asked HOST: does the gateway ask clients of this name for a certificate, and whose?
asked() {
	ns cl timeout 10 openssl s_client -connect 192.0.2.1:443 -servername "$1" ${TLS:+-tls$TLS} \
		</dev/null 2>/dev/null >"$dir/asked" || true
	grep -q '^Acceptable client certificate CA names' "$dir/asked"
}
for TLS in 1_2 1_3; do
	asked vpn.example.net || fail "clients are not told whose certificates: $(cat "$dir/asked")"
	grep -qx 'O = Example, CN = ca' "$dir/asked" || fail "not the CA's name: $(grep -A3 ^Acceptable "$dir/asked")"
	asked plain.example.net && fail "clients are asked for a certificate that no method wants"
	grep -q 'No client certificate CA names sent' "$dir/asked" || fail "no handshake: $(cat "$dir/asked")"
done
TLS=
pass "clients are asked where a method wants it, and told whose"

echo secret | ns cl timeout 20 openconnect --non-inter --passwd-on-stdin -u ann --authenticate \
	--servercert "$(pin server)" --resolve vpn.example.net:192.0.2.1 https://vpn.example.net \
	>"$dir/cookie" 2>"$dir/log/login" && fail "in without a certificate"
grep -q 'Server requested SSL client certificate; none was configured' "$dir/log/login" ||
	fail "the user is not told: $(cat "$dir/log/login")"
# form HOST FIELD... [-- OPTION of curl...]: into $status and body
form() {
	local host=$1 args=()
	shift
	while [ $# -gt 0 ] && [ "$1" != -- ]; do
		args+=(--data-urlencode "$1")
		shift
	done
	[ $# -eq 0 ] || shift
	status=$(ns cl curl -sk --max-time 20 --resolve "$host:443:192.0.2.1" -o "$dir/body" \
		-w '%{http_code}' "${args[@]}" "$@" "https://$host/auth") || true
}
shows() { echo "--cert $dir/$1.crt --key $dir/$1.key"; }
form vpn.example.net username=ann password=secret
grep -q 'Login failed' "$dir/body" || fail "a form without a certificate: $status: $(cat "$dir/body")"
pass "without a certificate nobody gets in, and is told why"

# --- with a password ---

is_in ann both.example.net
user_is ann staff
PASSWORD=wrong is_out ann both.example.net
# shellcheck disable=SC2046
{
	form both.example.net username=ann password=secret -- $(shows ann)
	grep -q 'auth id="success"' "$dir/body" || fail "one form for both: $status: $(cat "$dir/body")"
	user_is ann staff
	: >"$dir/log/controlplane"
	form both.example.net username=bob password=secret -- $(shows ann)
	grep -q 'Login failed' "$dir/body" || fail "ann's certificate lets bob in: $(cat "$dir/body")"
	said "login_refused user=bob .*reason=\"?certificate is another user's"
	form both.example.net username=ANN password=secret -- $(shows ann)
	grep -q 'Login failed' "$dir/body" || fail "another case: $(cat "$dir/body")"
	form both.example.net username=ann password=secret -- $(shows spy)
	grep -q 'Login failed' "$dir/body" || fail "a foreign certificate and a password: $(cat "$dir/body")"
}
form both.example.net username=ann password=secret
grep -q 'Login failed' "$dir/body" || fail "no certificate, a password: $(cat "$dir/body")"
pass "certificate and password: both, of the same user"

# --- one of both ---

is_in bob either.example.net
user_is bob ""
form either.example.net username=ann password=secret
grep -q 'auth id="success"' "$dir/body" || fail "a password alone: $(cat "$dir/body")"
user_is ann ""
PASSWORD=secret is_in late either.example.net -u ann
user_is ann ""
PASSWORD=wrong is_out late either.example.net -u ann
pass "certificate or password"

# --- resumed TLS sessions ---

# resume FROM-HOST CERTIFICATE TO-HOST: the session of a connection, offered to another.
resume() {
	local from=$1 cert=$2 to=$3
	rm -f "$dir/session"
	printf 'GET /none HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n' | ns cl timeout 10 openssl s_client \
		-connect 192.0.2.1:443 -servername "$from" ${TLS:+-tls$TLS} ${cert:+-cert "$dir/$cert.crt" -key "$dir/$cert.key"} \
		-sess_out "$dir/session" -ign_eof >"$dir/resume" 2>&1 || true
	[ -s "$dir/session" ] || return 1
	ns cl timeout 10 openssl s_client -connect 192.0.2.1:443 -servername "$to" ${TLS:+-tls$TLS} \
		-sess_in "$dir/session" </dev/null >"$dir/resume" 2>&1 || true
	grep -q '^Reused,' "$dir/resume" && return 0
	grep -q '^New,' "$dir/resume" || fail "no handshake with an old session: $(cat "$dir/resume")"
	return 1
}
for TLS in 1_2 1_3; do
	resume plain.example.net '' plain.example.net || fail "TLS $TLS: no session is resumed at all"
	resume vpn.example.net ann vpn.example.net && fail "TLS $TLS: a session with a certificate is resumed"
	resume vpn.example.net ann plain.example.net && fail "TLS $TLS: a session with a certificate is resumed elsewhere"
	resume plain.example.net '' vpn.example.net && fail "TLS $TLS: a session without a certificate is resumed"
done
TLS=
pass "no TLS session of a virtual host that wants a certificate is resumed"

# --- a cookie is enough to come back; what dies knows the CAs again ---

is_in bob vpn.example.net
cookie=$(sed -n "s/^COOKIE='\(.*\)'/\1/p" "$dir/cookie")
[ "$(connect_with "$cookie")" = 200 ] || fail "a CONNECT with a cookie, but without the certificate"
ctl disconnect user bob >/dev/null
pass "a cookie needs no certificate"
: >"$dir/log/controlplane"
kill -9 "$(pgrep -f 'penstock-controlplane --role auth')" "$(pgrep -f 'penstock-controlplane --role edge --index 0')"
wait_log "$dir/log/controlplane" 'role=auth .*event=started'
wait_log "$dir/log/controlplane" 'role=edge .*event=started'
is_in ann vpn.example.net
user_is ann staff
for _ in 1 2 3 4 5 6 7 8; do
	asked vpn.example.net || fail "an edge does not know the CAs"
done
pass "after kill -9 of auth and an edge"

# --- revocation ---

revoke sub cid
is_in cid vpn.example.net
user_is cid ""
crl sub
is_out cid vpn.example.net
said 'client_certificate .*reason="?certificate revoked'
is_in ann vpn.example.net
user_is ann staff
pass "revoked while the gateway runs"
head -c 200 "$dir/sub.crl" >"$dir/sub.new" && mv "$dir/sub.new" "$dir/sub.crl"
is_in ann vpn.example.net
user_is ann staff
is_out cid vpn.example.net
said 'client_crl .*sub.crl text="not a revocation list'
is_out cid vpn.example.net
grep -q 'client_crl .*not a revocation list' "$dir/log/controlplane" && fail "told twice"
pass "a broken list leaves the old one in force, and is told of once"
crl ca -crlsec 1
wait_until 5 sh -c "[ \$(date +%s) -gt \$(date +%s -d \"\$(openssl crl -in $dir/ca.crl -noout -nextupdate | cut -d= -f2)\") ]"
is_out ann vpn.example.net
said 'client_certificate .*reason="?CRL has expired'
crl sub
pki_ca ca -gencrl -out "$dir/ca.der.pem"
openssl crl -in "$dir/ca.der.pem" -outform der -out "$dir/ca.der" && mv "$dir/ca.der" "$dir/ca.crl"
is_in ann vpn.example.net
user_is ann staff
pass "a list whose time is over lets nobody in, the next one does (DER)"

# --- alternative names, other fields, a list that is missing ---

reload() { # reload JQ-FILTER: of what is in authentication/client-certificate
	jq "(.\"penstock:penstock\".authentication.\"client-certificate\") |= ($1)" \
		"$dir/penstock.json" >"$dir/new.json"
	mv "$dir/new.json" "$dir/penstock.json"
	ctl reload >/dev/null || fail "reload: $1"
}
for field in "SAN(rfc822name) ann@example.net" "SAN(upn) annie@corp" "SAN(dnsname) ann.example.net" "2.5.4.3 Names"; do
	reload ".\"user-name\" = \"${field% *}\" | del(.group)"
	is_in names vpn.example.net
	user_is "${field#* }" ""
done
reload '."user-name" = "SAN(rfc822name)"'
is_out mails vpn.example.net
said 'client_certificate .*reason="?certificate names several users'
form both.example.net username=bob@example.net password=secret -- --cert "$dir/mails.crt" --key "$dir/mails.key"
grep -q 'Login failed' "$dir/body" || fail "the client chooses one of several names: $(cat "$dir/body")"
is_out ann vpn.example.net
pass "the user by alternative names and by the common name"
reload ". + {\"user-name\": \"2.5.4.3\", \"crl-file\": [\"$dir/sub.crl\"]}"
is_out names vpn.example.net
said 'client_certificate .*reason="?unable to get certificate CRL'
reload 'del(."crl-file")'
is_in names vpn.example.net
is_in cid vpn.example.net
pass "a list of each CA is needed, where there are any"
# The common name is Ann: for name-case lower that is ann, who has the password.
jq '."penstock:penstock".authentication."name-case" = "lower"' "$dir/penstock.json" >"$dir/new.json"
mv "$dir/new.json" "$dir/penstock.json"
ctl reload >/dev/null || fail "reload: name-case"
# shellcheck disable=SC2046
form both.example.net username=ANN password=secret -- $(shows ann)
grep -q 'auth id="success"' "$dir/body" || fail "Ann is not ann: $status: $(cat "$dir/body")"
[ -n "$(session_field ann state)" ] || fail "whose session? $(ctl --json show sessions)"
pass "names in small letters, as configured"
gateway_stop
