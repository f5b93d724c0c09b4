#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# IPv6 outside, both families inside, DTLS and TLS.
# shellcheck source=tests/integration/lib.sh
. "$(dirname "$0")/lib.sh"

ground
gateway_start
export URL='https://[2001:db8:1::1]'
for mode in "" --no-dtls; do
	client s $mode
	client_wait s
	[ -n "$mode" ] || client_wait_dtls s
	expect_ping s 198.51.100.2
	expect_ping s 2001:db8:2::2
	expect_ping s 2001:db8:2::2 -s 1300
	iperf s 2001:db8:2::2 -t 1 -R
	client_stop s
	pass "IPv6 outside ${mode:-with DTLS}"
done
