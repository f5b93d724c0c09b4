#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# Each DTLS cipher: PSK-NEGOTIATE with the three, the legacy resume mode with the two GCM ones.
# shellcheck source=tests/integration/lib.sh
. "$(dirname "$0")/lib.sh"

ground
gateway_start

try() { # try NAME EXPECTED OPTIONS...
	local name=$1 expected=$2
	shift 2
	client "$name" "$@"
	client_wait "$name"
	client_wait_dtls "$name"
	grep -E 'Established DTLS' "$dir/log/client-$name" | grep -qE "$expected" ||
		fail "$name: $(grep 'Established DTLS' "$dir/log/client-$name") is not /$expected/"
	expect_ping "$name" 198.51.100.2
	expect_ping "$name" 2001:db8:2::2
	iperf "$name" 198.51.100.2 -t 1
	iperf "$name" 198.51.100.2 -t 1 -R
	[ "$(session_field test channel)" = DTLS ] || fail "$name: the server does not send by DTLS"
	client_stop "$name"
	pass "$name"
}

try psk256 'PSK.*AES-256-GCM' --gnutls-priority NORMAL:-CIPHER-ALL:+AES-256-GCM
try psk128 'PSK.*AES-128-GCM' --gnutls-priority NORMAL:-CIPHER-ALL:+AES-128-GCM
try pskcha 'PSK.*CHACHA20-POLY1305' --gnutls-priority NORMAL:-CIPHER-ALL:+CHACHA20-POLY1305
try old256 'AES-256-GCM' --dtls-ciphers OC-DTLS1_2-AES256-GCM
try old128 'AES-128-GCM' --dtls-ciphers OC-DTLS1_2-AES128-GCM
try cisco256 'AES-256-GCM' --dtls-ciphers NONE --dtls12-ciphers ECDHE-RSA-AES256-GCM-SHA384
try cisco128 'AES-128-GCM' --dtls-ciphers NONE --dtls12-ciphers AES128-GCM-SHA256

# CBC suites are not offered: such a client stays on TLS.
client cbc --dtls-ciphers AES256-SHA --dtls12-ciphers AES256-SHA
client_wait cbc
expect_ping cbc 198.51.100.2
[ "$(session_field test channel)" = TLS ] || fail "a CBC suite was accepted"
pass "CBC refused, TLS carries the client"
