#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# Logins by OpenID Connect: a provider with HTTPS, DNS and keys of its own, stock openconnect with a
# bearer token, and by hand: wrong tokens of every kind, rotation of keys, a provider that is slow,
# broken or gone.
# shellcheck source=tests/integration/lib.sh
. "$(dirname "$0")/lib.sh"

command -v curl >/dev/null || skip "needs curl"
command -v python3 >/dev/null || skip "needs python3"

idp=$here/oidc_idp.py
issuer=https://idp.example.net
url=https://192.0.2.1
log=$dir/log/controlplane

ground
printf 'nameserver 198.51.100.2\n' >"$dir/resolv.conf"
mount --bind "$dir/resolv.conf" /etc/resolv.conf

certificate idp ec "DNS:idp.example.net"
certificate other ec "DNS:other.example.net"
key() { # key NAME rsa|ec
	local opt=(-algorithm RSA -pkeyopt rsa_keygen_bits:2048)
	[ "$2" = ec ] && opt=(-algorithm EC -pkeyopt ec_paramgen_curve:P-256)
	openssl genpkey "${opt[@]}" -out "$dir/$1.jwk" 2>/dev/null
}
key rsa rsa
key ec ec
key next ec
key stranger rsa
openssl pkey -in "$dir/rsa.jwk" -pubout -out "$dir/rsa.pub"
publish() { # publish NAME... : the keys that the provider shows
	local name
	for name; do
		python3 "$idp" jwk "$dir/$name.jwk" "$name"
	done | jq -s '{keys: .}' >"$dir/jwks.new"
	mv "$dir/jwks.new" "$dir/jwks.json"
}
publish rsa ec

mode() { echo "$*" >"$dir/idp-mode"; }
idp_start() {
	: >"$dir/log/idp"
	in_ns lan python3 "$idp" serve "$dir" 198.51.100.2 $issuer >>"$dir/log/idp" 2>&1 &
	idp_pid=$!
	wait_log "$dir/log/idp" serving
}
idp_stop() {
	kill -9 $idp_pid
	wait $idp_pid || true
}
in_ns lan python3 "$idp" dns 198.51.100.2 idp.example.net >"$dir/log/dns" 2>&1 &
wait_log "$dir/log/dns" resolving
cp "$dir/idp.pem" "$dir/idp-ca.pem"
mode max-age=600
idp_start

doc_example test_oidc.sh >"$dir/example.json"
gateway_start ".\"penstock:penstock\" *= $(cat "$dir/example.json")
	| .\"penstock:penstock\".oidc.\"refresh-interval\" = 2"
wait_log "$log" 'role=oidc .*event=oidc_keys keys=2 seconds=600'
pass "the keys are fetched by name, discovery document and Cache-Control"

claims() { # claims [JQ-FILTER]: of a token that is good
	jq -nc --arg iss $issuer '{iss: $iss, aud: ["penstock", "mail"], sub: "4711",
		preferred_username: "ann", groups: ["staff", "vpn"], email_verified: true}'" | ${1-.}"
}
# token KEY ALG [JQ-FILTER [HEADER]]
token() { python3 "$idp" token "$dir/$1.jwk" "$1" "$2" "$(claims "${3-.}")" ${4+"$4"}; }

# ask TOKEN [curl options]: the status of a login with it is in $status, the answer in head and body.
ask() {
	local bearer=$1
	shift
	printf 'header = "Authorization: Bearer %s"\n' "$bearer" >"$dir/curlrc"
	status=$(ns cl curl -sk --max-time 20 -K "$dir/curlrc" -o "$dir/body" -D "$dir/head" \
		-w '%{http_code}' "$@" $url/ </dev/null) || true
}
lets_in() { # lets_in WHAT TOKEN
	ask "$2"
	[ "$status" = 200 ] && grep -q 'auth id="success"' "$dir/body" || fail "$1: $status: $(cat "$dir/body")"
	grep -qi '^Set-Cookie: webvpn=[A-Za-z0-9+/]' "$dir/head" || fail "$1: no cookie"
}
refuses() { # refuses WHAT TOKEN REASON
	local before
	before=$(grep -c "login_refused .*$3" "$log") || true
	ask "$2"
	[ "$status" = 401 ] || fail "$1: status $status"
	grep -qi '^WWW-Authenticate: Bearer error="invalid_token"' "$dir/head" || fail "$1: $(cat "$dir/head")"
	[ "$(grep -c "login_refused .*$3" "$log")" = $((before + 1)) ] || fail "$1: the reason is not in the log: $3"
}

# --- stock openconnect ---

oc() { # oc TOKEN [options]: its log in log/oc
	local bearer=$1
	shift
	ns cl timeout 30 openconnect --authenticate --servercert "$(pin server)" --non-inter \
		--token-mode=oidc --token-secret="$bearer" "$@" $url >"$dir/log/oc" 2>&1
}
token rsa RS256 | tr -d '\n' >"$dir/good" # openconnect would send the newline
oc "@$dir/good" </dev/null || fail "openconnect with a bearer token: $(cat "$dir/log/oc")"
grep -q "COOKIE='" "$dir/log/oc" || fail "openconnect got no cookie"
LOGIN=nobody client ann --token-mode=oidc --token-secret="@$dir/good"
client_wait ann
expect_ping ann 198.51.100.2
[ "$(session_field ann group)" = staff ] || fail "ann's group is $(session_field ann group)"
client_stop ann
pass "openconnect --token-mode=oidc: a tunnel, the user and the group of the token"
oc "$(token stranger RS256)" </dev/null && fail "openconnect with a wrong token"
PASSWORD=secret client form
client_wait form
client_stop form
pass "openconnect: the form for clients without a token; a wrong one ends the login"

# --- by hand ---

for algorithm in "rsa RS256" "ec ES256"; do
	# shellcheck disable=SC2086
	lets_in "$algorithm" "$(token $algorithm)"
done
lets_in "one audience as text" "$(token rsa RS256 '.aud = "penstock"')"
lets_in "a clock that is a little ahead" "$(token rsa RS256 '.iat = now + 30 | .nbf = now + 30')"
lets_in "an access token" "$(token rsa RS256 . '{"typ": "at+jwt"}')"
lets_in "a token of 16 KB" "$(token rsa RS256 ".more = \"$(head -c 12000 /dev/zero | tr '\0' x)\"")"
pass "tokens that are good"

refuses "an expired token" "$(token rsa RS256 '.exp = now - 61')" 'the token has expired'
refuses "a token of tomorrow" "$(token rsa RS256 '.nbf = now + 86400')" 'the token is not valid yet'
refuses "another audience" "$(token rsa RS256 '.aud = "mail"')" 'the token is for another audience'
refuses "no audience" "$(token rsa RS256 'del(.aud)')" 'the token is for another audience'
refuses "another issuer" "$(token rsa RS256 '.iss += "/"')" 'the token is of another issuer'
refuses "a claim" "$(token rsa RS256 '.email_verified = false')" 'the token lacks a required claim'
refuses "no user" "$(token rsa RS256 'del(.preferred_username)')" 'the token names no user'
refuses "a user of two lines" "$(token rsa RS256 '.preferred_username = "a\nb"')" 'the token names no user'
refuses "a stranger's signature" "$(token stranger RS256 . '{"kid": "rsa"}')" 'the signature of the token is wrong'
refuses "a key of another kind" "$(token rsa RS256 . '{"kid": "ec"}')" 'a key that the issuer does not have'
refuses "alg none" "$(python3 "$idp" token - rsa none "$(claims)")" 'an algorithm that is not allowed'
refuses "alg none with a signature" "$(token rsa RS256 | sed 's/[^.]*/eyJhbGciOiJub25lIn0/')" 'an algorithm that is not allowed'
refuses "the public key as a shared one" "$(python3 "$idp" token "$dir/rsa.pub" rsa HS256 "$(claims)")" 'an algorithm that is not allowed'
refuses "an algorithm that is not allowed" "$(token rsa PS256)" 'an algorithm that is not allowed'
refuses "a logout token" "$(token rsa RS256 . '{"typ": "logout+jwt"}')" 'no signed JWT'
refuses "what must be understood" "$(token rsa RS256 . '{"crit": ["b64"], "b64": true}')" 'no signed JWT'
refuses "no token at all" "abc" 'no signed JWT'
pass "tokens that are not"

ask "$(head -c 40000 /dev/zero | tr '\0' x)"
[ "$status" = 431 ] || fail "a token of 40 KB: $status"
ns cl curl -sk -o /dev/null -D "$dir/head" -H 'X-Support-HTTP-Auth: true' $url/
grep -qi '^WWW-Authenticate: Bearer' "$dir/head" && grep -qi '^X-HTTP-Auth-Support: fallback' "$dir/head" ||
	fail "no offer: $(cat "$dir/head")"
pass "a token that is too long, and the offer"

# --- keys ---

fetches() { grep -c '^/keys' "$dir/log/idp" || true; }
publish ec next
token next ES256 >"$dir/next"
rotated() {
	ask "$(cat "$dir/next")"
	[ "$status" = 200 ]
}
wait_until 10 rotated
pass "a new key is fetched when a token needs it"
refuses "a key that was withdrawn" "$(cat "$dir/good")" 'a key that the issuer does not have'

before=$(fetches)
stranger=$(token stranger RS256)
began=$SECONDS
for _ in $(seq 60); do
	ask "$stranger"
	[ "$status" = 401 ] || fail "an unknown key: $status"
done
fetched=$(($(fetches) - before))
[ $fetched -le $(((SECONDS - began) / 2 + 1)) ] || fail "60 unknown keys made $fetched fetches in $((SECONDS - began)) s"
pass "60 tokens of unknown keys: $fetched fetches"

# --- a provider that fails ---

idp_stop
lets_in "with the keys that are there" "$(cat "$dir/next")"
nobody_knows() {
	ask "$stranger"
	[ "$status" = 503 ]
}
wait_until 10 nobody_knows
grep -q "event=oidc_keys url=$issuer/.well-known/openid-configuration" "$log" || fail "the failed fetch is not in the log"
grep -qi '^X-Reason: The identity provider does not answer' "$dir/head" || fail "no reason: $(cat "$dir/head")"
lets_in "with the keys that are there" "$(cat "$dir/next")"
pass "without the provider: known keys are good, of others nobody knows (503)"

restart_oidc() {
	local pid
	pid=$(pgrep -f 'penstock-controlplane --role oidc')
	kill -9 "$pid"
	wait_until "$WAIT" sh -c "pgrep -f 'penstock-controlplane --role oidc' | grep -qvx $pid"
}
restart_oidc
ask "$(cat "$dir/next")"
[ "$status" = 503 ] || fail "without the provider and without keys: $status"
PASSWORD=secret client form
client_wait form
client_stop form
pass "without keys: 503 for tokens, the form goes on"

mode slow
idp_start
restart_oidc
ask "$(cat "$dir/next")" &
slow_pid=$!
began=${EPOCHREALTIME/./}
echo secret | ns cl timeout 30 openconnect --authenticate --servercert "$(pin server)" --non-inter \
	-u test --passwd-on-stdin $url >"$dir/log/oc" 2>&1 || fail "a login beside a slow provider"
took=$(((${EPOCHREALTIME/./} - began) / 1000))
[ $took -lt 3000 ] || fail "a login beside a slow provider took $took ms"
wait $slow_pid
ask "$(cat "$dir/next")"
[ "$status" = 503 ] || fail "a slow provider: $status"
pass "a slow provider delays nobody else ($took ms)"

# broken MODE TEXT: the provider's fault, as the log says it
broken() {
	idp_stop
	mode "$1"
	idp_start
	wait_until 15 sh -c "tail -n +$(($(wc -l <"$log") + 1)) -f $log --pid=$$ | timeout 14 grep -qm1 'event=oidc_keys .*$2'"
	ask "$(cat "$dir/next")"
	[ "$status" = 503 ] || fail "$1: $status"
}
broken error 'status 500'
broken large 'too long'
broken other-issuer 'of another issuer'
pass "errors of the provider are told apart"
mode max-age=1
wait_until 15 rotated
pass "and it is asked again"
cp "$dir/other.pem" "$dir/idp-ca.pem"
restart_oidc
wait_log "$log" 'event=oidc_keys .*self-signed certificate|event=oidc_keys .*unable to get'
cp "$dir/idp.pem" "$dir/idp-ca.pem"
ctl reload >/dev/null || fail "reload"
wait_until 15 rotated
pass "a server whose certificate nobody vouches for is not believed; ca-file is read with a reload"

grep -qF "$(cut -d. -f2 <"$dir/next")" "$log" && fail "a token is in the log"
pass "no token in the log"
gateway_stop
