#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# Dedicated ports on both sides: TAP twins show the kernel the ports' MAC and addresses; TCP, ARP,
# ND and ping of the gateway are the kernel's, tunnels and forwarding the dataplane's.
# shellcheck source=tests/integration/lib.sh
. "$(dirname "$0")/lib.sh"

add_ns gw cl lan
link gw wan0 cl eth0
link gw lan0 lan eth0
addr cl eth0 192.0.2.2/24 2001:db8:1::2/64
addr lan eth0 198.51.100.2/24 2001:db8:2::2/64
ip -n lan route add default via 198.51.100.1
ip -n lan -6 route add default via 2001:db8:2::1
# The raw interfaces are the dataplane's: the kernel keeps its hands off them.
for i in wan0 lan0; do
	ns gw sysctl -qw "net.ipv6.conf.$i.disable_ipv6=1" "net.ipv4.conf.$i.arp_ignore=8"
done
certificate server ec "IP:192.0.2.1,DNS:vpn.example.net"

# An administrator's own hook and filter, which are to outlive the dataplane.
ns gw tc qdisc add dev wan0 clsact
ns gw tc filter add dev wan0 ingress prio 77 protocol ip bpf bytecode '1,6 0 0 0' flowid 1:1

for driver in af-packet af-xdp; do
	gateway_start '.["penstock:penstock"].dataplane.port = [
		{"name": "wan", "role": "wan", "mode": "dedicated", "driver": "'$driver'", "device": "wan0",
			"kernel-interface": "wan", "address": ["192.0.2.1/24", "2001:db8:1::1/64"]},
		{"name": "lan", "role": "lan", "mode": "dedicated", "driver": "'$driver'", "device": "lan0",
			"kernel-interface": "lan", "address": ["198.51.100.1/24", "2001:db8:2::1/64"]}]'
	wait_until 10 ns cl ping -qc1 -W1 192.0.2.1
	wait_until 10 ns lan ping -qc1 -W1 2001:db8:2::1
	pass "$driver: the kernel answers on the twins"
	if [ $driver = af-packet ]; then
		kill -9 "$(dataplane_pid)"
		kill -TERM "$(supervisor_pid)"
		wait "$dataplane_pid" "$controlplane_pid" || true
		rm -f "$dir/run/dataplane.sock"
		dataplane_start
		controlplane_start
		wait_until 10 ns cl ping -qc1 -W1 192.0.2.1
		pass "$driver: starts after kill -9"
	fi
	client a
	client_wait a
	client_wait_dtls a
	wait_until 10 in_vpn a ping -qc1 -W1 198.51.100.2
	expect_ping a 198.51.100.2
	wait_until 10 in_vpn a ping -qc1 -W1 2001:db8:2::2
	expect_ping a 2001:db8:2::2
	expect_ping a 10.200.0.1
	ns lan ping -q -c 3 -i 0.1 -W 2 "$(inner4 a)" >"$dir/log/ping" || fail "the LAN cannot ping the client"
	iperf a 198.51.100.2 -t 1
	iperf a 198.51.100.2 -t 1 -R
	in_vpn a traceroute -n -q 1 -w 1 198.51.100.2 >/dev/null 2>&1 || true
	client_stop a
	gateway_stop
	filters=$(ns gw tc filter show dev wan0 ingress)
	[[ "$filters" == *"pref 77 "* && "$filters" != *penstock_deaf* ]] ||
		fail "the filters of wan0 are not the administrator's alone: $filters"
	! ns gw tc filter show dev lan0 ingress | grep -q penstock_deaf || fail "lan0 is left deaf"
	for i in wan lan; do
		! ip -n gw link show $i >/dev/null 2>&1 || fail "interface $i is left"
	done
	pass "$driver: tunnel, forwarding, clean stop"
done
