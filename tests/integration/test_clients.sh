#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# Two clients that talk to each other, then fifty at once; and client to client switched off.
# shellcheck source=tests/integration/lib.sh
. "$(dirname "$0")/lib.sh"

ground
gateway_start
for u in $(seq 50); do user "u$u" secret; done

LOGIN=u1 client c1
LOGIN=u2 client c2
for c in c1 c2; do
	client_wait $c
	client_wait_dtls $c
done
expect_ping c1 "$(inner4 c2)"
expect_ping c2 "$(inner6 c1)"
[ "$(counter client_to_client)" -ge 20 ] || fail "not switched in the dataplane"
pass "two clients reach each other"

for u in $(seq 3 50); do LOGIN=u$u client "c$u"; done
for u in $(seq 3 50); do
	WAIT=120 client_wait "c$u"
done
[ "$(for u in $(seq 50); do inner4 "c$u"; done | sort -u | wc -l)" = 50 ] || fail "IPv4 addresses are not all different"
[ "$(for u in $(seq 50); do inner6 "c$u"; done | sort -u | wc -l)" = 50 ] || fail "IPv6 addresses are not all different"
for u in $(seq 50); do
	in_vpn "c$u" ping -q -i 0.2 -c 5 -W 5 198.51.100.2 >"$dir/ping-$u" 2>&1 &
	pids="${pids-} $!"
done
for p in $pids; do wait "$p" || fail "a client cannot ping the LAN: $(grep -L ' 0% ' "$dir"/ping-*)"; done
for u in $(seq 50); do grep -q ' 0% packet loss' "$dir/ping-$u" || fail "c$u lost packets"; done
[ "$(ctl --json show sessions | jq '[.. | objects | select(.user? != null)] | length')" = 50 ] ||
	fail "show sessions does not list fifty"
pass "fifty clients at once"
