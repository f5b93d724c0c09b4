#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# Certificates of clients and a real OCSP responder (openssl): good, revoked, answers that do not
# count, no responder and one that is silent, hard and soft; logins of others go on. The
# configuration is the example of docs/operations/certificates.md.
# shellcheck source=tests/integration/lib.sh
. "$(dirname "$0")/lib.sh"

# shellcheck source=tests/integration/pki.sh
. "$here/pki.sh"

ground
certificate server ec "IP:192.0.2.1,DNS:vpn.example.net"
pki ca
pki foreign
issue ca ann "/CN=Ann/UID=ann"
issue ca bob "/CN=Bob/UID=bob"
EKU=OCSPSigning issue ca signer "/CN=Responder"
user ann secret
: >"$dir/log/responder"

example=$(doc_example test_ocsp.sh)
[ "$(jq -r '.authentication."client-certificate".ocsp.failure' <<<"$example")" = hard ] ||
	fail "no example: $example"
gateway_start ". * {\"penstock:penstock\": $example}
	| .\"penstock:penstock\".authentication.\"client-certificate\".ocsp.url = \"http://198.51.100.2:8080/\"
	| .\"penstock:penstock\".\"virtual-host\" = [{\"name\": \"plain\", \"server-name\": [\"plain.example.net\"],
		\"method\": [{\"name\": \"password\", \"factor\": [\"password-file\"]}]}]"

# enters NAME [HOST]: openconnect's login alone; 0 when it has a cookie.
enters() {
	echo secret | ns cl timeout 20 openconnect --non-inter --passwd-on-stdin --authenticate \
		--servercert "$(pin server)" --resolve "${2-vpn.example.net}:192.0.2.1" -u "$1" \
		-c "$dir/$1.crt" -k "$dir/$1.key" "https://${2-vpn.example.net}" >"$dir/cookie-$1${2-}" 2>"$dir/log/login-$1${2-}"
	grep -q '^COOKIE=' "$dir/cookie-$1${2-}"
}
is_in() { enters "$@" || fail "$* does not get in: $(cat "$dir/log/login-$1${2-}")"; }
is_out() { ! enters "$@" || fail "$* gets in"; }
said() { # said REGEX: in the log, and nothing before this is looked at again
	wait_log "$dir/log/controlplane" "$1" 5
	: >"$dir/log/controlplane"
}
reload() { # reload JQ-FILTER: of ocsp
	jq "(.\"penstock:penstock\".authentication.\"client-certificate\".ocsp) |= ($1)" \
		"$dir/penstock.json" >"$dir/new.json"
	mv "$dir/new.json" "$dir/penstock.json"
	ctl reload >/dev/null || fail "reload: $1"
}

responder 8080 signer -nmin 5
is_in ann
is_in bob
revoke ca bob
responder 8080 signer -nmin 5
is_out bob
said 'client_certificate .*reason="?certificate revoked \(OCSP\)'
is_in ann
responder 8080 ca # the CA itself signs, and says no end
is_in ann
is_out bob
said 'client_certificate .*reason="?certificate revoked \(OCSP\)'
pass "good and revoked, signed by the CA or by whom it has allowed to"

responder 8080 foreign -nmin 5
is_out ann
said 'login_refused .*reason="?OCSP answer is not signed by who may'
responder 8080 ann -nmin 5 # its certificate is no responder's
is_out ann
said 'login_refused .*reason="?OCSP answer is not signed by who may'
pass "answers of others do not count"

# --- silent: it takes requests and says nothing ---

kill "$responder_pid" && wait "$responder_pid" 2>/dev/null || true
in_ns lan python3 -c '
import socket
s = socket.create_server(("198.51.100.2", 8080))
taken = []
while True:
    taken.append(s.accept())
' &
silent_pid=$!
wait_until 10 ns lan sh -c "ss -ltn | grep -q :8080"
enters ann &
first=$!
wait_until 10 ns lan sh -c "ss -tn state established | grep -q :8080"
began=$(date +%s%N)
is_in ann plain.example.net
took=$((($(date +%s%N) - began) / 1000000))
kill -0 $first 2>/dev/null || fail "the login that waits for the responder has ended before"
wait $first && fail "in without an answer"
said 'login_refused .*reason="?no OCSP answer'
pass "a silent responder refuses, and delays nobody else (${took} ms)"

# --- nobody there ---

kill $silent_pid && wait $silent_pid 2>/dev/null || true
is_out ann
is_out ann
said 'ocsp_responder text="no connection"'
reload '.failure = "soft"'
is_in ann
said 'client_certificate user=ann result=accepted reason="no OCSP answer"'
# Left alone for a while: then a responder that is back counts again.
responder 8080 signer -nmin 5
wait_until 15 eval '! enters bob'
pass "no responder: hard refuses, soft lets in"
reload '.failure = "hard"'
kill -9 "$(pgrep -f 'penstock-controlplane --role ocsp')"
is_in ann
is_out bob
pass "after kill -9 of ocsp"
reload 'del(.url)'
is_in bob
gateway_stop
