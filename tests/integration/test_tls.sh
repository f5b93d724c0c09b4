#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# UDP blocked: the same traffic in the TLS stream, TLS 1.2 and 1.3, each cipher, EC and RSA keys.
# shellcheck source=tests/integration/lib.sh
. "$(dirname "$0")/lib.sh"

ground
certificate server ec "IP:192.0.2.1,DNS:vpn.example.net"
certificate rsa rsa "DNS:rsa.example.net"
gateway_start '.["penstock:penstock"].certificate += [{"name": "rsa",
	"certificate-file": "@DIR@/rsa.pem", "key-file": "@DIR@/rsa.key"}]'

try() { # try NAME PRIORITY EXPECTED
	client "$1" --no-dtls --gnutls-priority "$2" --resolve rsa.example.net:192.0.2.1
	client_wait "$1"
	grep -qE "$3" "$dir/log/client-$1" || fail "$1: cipher is not /$3/"
	expect_ping "$1" 198.51.100.2
	expect_ping "$1" 2001:db8:2::2
	iperf "$1" 198.51.100.2 -t 1
	iperf "$1" 198.51.100.2 -t 1 -R
	client_stop "$1"
	pass "$1"
}

base=NORMAL:-VERS-ALL:-CIPHER-ALL
try t12a128 $base:+VERS-TLS1.2:+AES-128-GCM 'TLS1.2.*ECDSA.*AES-128-GCM'
try t12a256 $base:+VERS-TLS1.2:+AES-256-GCM 'TLS1.2.*AES-256-GCM'
try t12cha $base:+VERS-TLS1.2:+CHACHA20-POLY1305 'TLS1.2.*CHACHA20-POLY1305'
try t13a128 $base:+VERS-TLS1.3:+AES-128-GCM 'TLS1.3.*AES-128-GCM'
try t13a256 $base:+VERS-TLS1.3:+AES-256-GCM 'TLS1.3.*AES-256-GCM'
try t13cha $base:+VERS-TLS1.3:+CHACHA20-POLY1305 'TLS1.3.*CHACHA20-POLY1305'
PIN=$(pin rsa) URL=https://rsa.example.net
export PIN URL
try t13rsa $base:+VERS-TLS1.3:+AES-256-GCM 'TLS1.3.*RSA-PSS'
try t12rsa $base:+VERS-TLS1.2:+AES-256-GCM 'TLS1.2.*RSA'
[ "$(counter drop_stream_auth)" = 0 ] || fail "records failed authentication"
[ "$(counter drop_stream_bad)" = 0 ] || fail "malformed records"
