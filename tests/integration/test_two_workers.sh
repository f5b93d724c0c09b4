#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# Two workers and two stream lcores (which may share CPUs): clients of both kinds on all of them,
# packets handed from one to the other, traffic at rate, and the session process killed meanwhile.
# shellcheck source=tests/integration/lib.sh
. "$(dirname "$0")/lib.sh"

ground
role_pids() { pgrep -f -- "--role $1" || true; }
certificate server ec "IP:192.0.2.1"
user test secret

for driver in af-xdp af-packet; do
	gateway_start '.["penstock:penstock"].dataplane += {"workers": 2, "streamers": 2}
		| .["penstock:penstock"].dataplane.port[0].driver = "'$driver'"'
	[ "$(ctl --json show workers | jq '[.. | objects | select(.kind? == "packet" or .kind? == "stream")] | length')" = 4 ] ||
		fail "not four lcores: $(ctl show workers)"
	for i in 1 2 3 4; do
		client d$i
		client t$i --no-dtls
	done
	for i in 1 2 3 4; do
		client_wait d$i
		client_wait_dtls d$i
		client_wait t$i
	done
	for i in 1 2 3 4; do
		for c in d$i t$i; do
			expect_ping "$c" 198.51.100.2
			expect_ping "$c" 2001:db8:2::2
			expect_ping "$c" 2001:db8:2::2 -s 1300
			expect_ping "$c" "$(inner4 d1)"
			expect_ping "$c" "$(inner6 t4)"
		done
	done
	[ "$(ctl --json show sessions | jq '[.. | objects | .worker? // empty] | unique | length')" = 2 ] ||
		fail "the sessions are not on both workers: $(ctl show sessions)"
	[ "$(counter handoff)" -gt 0 ] || fail "nothing was handed from one lcore to another"
	pass "$driver: eight clients on two workers and two stream lcores"

	for c in d1 d2 t1 t2; do
		iperf $c 198.51.100.2 -t 1
		iperf $c 198.51.100.2 -t 1 -R
	done
	pass "$driver: iperf3"

	pids=
	for c in d1 d2 d3 d4 t1 t2 t3 t4; do
		in_vpn $c ping -q -i 0.02 -c 150 -W 3 198.51.100.2 >"$dir/steady-$c" 2>&1 &
		pids="$pids $!"
	done
	# shellcheck disable=SC2046
	kill -9 $(role_pids session)
	for p in $pids; do wait "$p" || true; done
	for c in d1 d2 d3 d4 t1 t2 t3 t4; do
		grep -q ' 0% packet loss' "$dir/steady-$c" || fail "$c lost packets: $(cat "$dir/steady-$c")"
	done
	client new
	client_wait new
	client_wait_dtls new
	expect_ping new 198.51.100.2
	[ "$(counter drop_stale)" = 0 ] || fail "packets of living sessions were dropped as stale"
	for i in 1 2 3 4; do
		client_stop d$i
		client_stop t$i
	done
	client_stop new
	pass "$driver: kill -9 of session under traffic loses nothing"
	gateway_stop
	rm -rf "$dir/state"
	mkdir "$dir/state"
done
