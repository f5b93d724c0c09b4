#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# A stock client over DTLS: login, addresses, ping and iperf3 of both families, what the CLI shows.
# shellcheck source=tests/integration/lib.sh
. "$(dirname "$0")/lib.sh"

ground
gateway_start
client a
client_wait a
client_wait_dtls a
pass "login and DTLS"
expect_ping a 198.51.100.2
expect_ping a 2001:db8:2::2
expect_ping a 10.200.0.1
pass "ping of both families, LAN and gateway"

for family in 198.51.100.2 2001:db8:2::2; do
	for way in "" -R; do
		iperf a "$family" -t 2 $way
	done
done
pass "iperf3 both ways, both families"

[ "$(session_field test channel)" = DTLS ] || fail "show sessions does not say DTLS"
[ "$(session_field test ipv4)" = "$(inner4 a)" ] || fail "show sessions has another IPv4 address"
[ "$(session_field test ipv6 | cut -d/ -f1)" = "$(inner6 a)" ] || fail "show sessions has another IPv6 address"
[ "$(counter dtls_rx)" -gt 100 ] || fail "no DTLS records counted"
[ "$(counter drop_dtls_auth)" = 0 ] || fail "records failed authentication"
pass "the CLI shows it"

# Sums of addresses, ports and lengths carry most with the highest port.
client h --dtls-local-port 65535
client_wait h
client_wait_dtls h
expect_ping h 198.51.100.2
[ "$(session_field test channel)" = DTLS ] || fail "port 65535: not on DTLS"
pass "DTLS from port 65535"
