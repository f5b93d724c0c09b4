#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# Sizes at the edge: the tunnel's MTU, one byte more, fragments inside and outside, a WAN with a
# smaller MTU, TCP through it all.
# shellcheck source=tests/integration/lib.sh
. "$(dirname "$0")/lib.sh"

ground
gateway_start

# sizes NAME: everything that a path of the client's MTU has to carry
sizes() {
	local name=$1 mtu lan4=198.51.100.2 lan6=2001:db8:2::2
	mtu=$(in_vpn "$name" cat "/sys/class/net/t$name/mtu" 2>/dev/null ||
		ip -n "vpn-$name" -o link show "t$name" | sed 's/.*mtu \([0-9]*\).*/\1/')
	for size in 1 47 512 $((mtu - 29)) $((mtu - 28)); do
		expect_ping "$name" $lan4 -M "do" -s "$size"
	done
	for size in 1 512 $((mtu - 49)) $((mtu - 48)); do
		expect_ping "$name" $lan6 -M "do" -s "$size"
	done
	# Larger than the tunnel: the client cuts them, the LAN's answers are cut on the way back.
	for size in $((mtu - 27)) 2000 4000; do
		expect_ping "$name" $lan4 -M dont -s "$size"
		expect_ping "$name" $lan6 -M dont -s "$size"
	done
	# From the LAN: too big with DF set gets an ICMP that names the MTU.
	ns lan ip route flush cache
	ns lan ping -c 2 -W 2 -M "do" -s $((mtu - 27)) "$(inner4 "$name")" >"$dir/log/ping" 2>&1 || true
	grep -qiE "frag needed.*mtu ?= ?$mtu|message too long, mtu[=:] ?$mtu" "$dir/log/ping" ||
		fail "no 'fragmentation needed, mtu $mtu' for the LAN: $(cat "$dir/log/ping")"
	ns lan ping -c 2 -W 2 -M "do" -s $((mtu - 47)) "$(inner6 "$name")" >"$dir/log/ping" 2>&1 || true
	grep -qiE "mtu ?[=:] ?$mtu" "$dir/log/ping" ||
		fail "no 'packet too big, mtu $mtu' for the LAN: $(cat "$dir/log/ping")"
	# A LAN host that learnt nothing: MSS clamping lets TCP through.
	ns lan ip route flush cache
	for way in "" -R; do
		iperf "$name" $lan4 -t 1 $way
		iperf "$name" $lan6 -t 1 $way
	done
	pass "$name: sizes around MTU $mtu"
}

client d
client_wait d
client_wait_dtls d
sizes d
# In one burst: what is answered by an error, and what is cut instead.
mkfifo "$dir/counted"
in_vpn d python3 "$here/packets.py" count_sized 400 >"$dir/counted" 2>"$dir/log/count" &
counter_pid=$!
read -r -t "$WAIT" _ <"$dir/counted" || fail "count_sized: $(cat "$dir/log/count")"
ns lan python3 "$here/packets.py" sized "$(inner4 d)" 400 2>"$dir/log/sized" ||
	fail "sized: $(cat "$dir/log/sized")"
wait $counter_pid || fail "of large packets in one burst: $(cat "$dir/log/count")"
pass "d: errors and fragments in one burst"
client_stop d
client t --no-dtls
client_wait t
sizes t
client_stop t
client s --mtu 1300
client_wait s
client_wait_dtls s
sizes s
client_stop s

# The way to the gateway is smaller than the client was told: outer datagrams come in fragments,
# and the gateway puts them together.
fragments() { # fragments NAME
	expect_ping "$1" 198.51.100.2 # its first data moves the server to DTLS
	wait_until 10 on_dtls
	local before
	before=$(counter reassembled)
	in_vpn "$1" ping -q -c 5 -i 0.05 -W 3 -s 1350 -M dont 198.51.100.2 >"$dir/log/ping" ||
		fail "$1: outer fragments: $(cat "$dir/log/ping")"
	[ $(($(counter reassembled) - before)) -ge 5 ] || fail "$1: nothing was put together"
	client_stop "$1"
	pass "$1: outer fragments"
}
on_dtls() { [ "$(session_field test channel)" = DTLS ]; }
# A client whose own MTU detection (its timers are short) ended early on a busy machine would cut
# the packets inside the tunnel: it is started again.
client_full_size() { # client_full_size NAME
	local i
	for i in 1 2 3 4 5; do
		client "$1"
		client_wait "$1"
		client_wait_dtls "$1"
		[ "$(ip -n "vpn-$1" -j link show "t$1" | jq ".[0].mtu")" -lt 1378 ] || return 0
		client_stop "$1"
	done
	fail "$1: no full-sized MTU in $i starts"
}
client_full_size f
ip -n cl route replace 192.0.2.0/24 dev eth0 mtu lock 1300
fragments f
URL='https://[2001:db8:1::1]' client_full_size g
ip -n cl -6 route replace 2001:db8:1::1/128 dev eth0 mtu lock 1300
fragments g

# The path shrinks behind a connected client: nothing becomes a black hole.
ip -n cl route replace 192.0.2.0/24 dev eth0
add_ns home
link cl in0 home eth0
addr cl in0 10.0.0.1/24
addr home eth0 10.0.0.2/24
ip -n home route add default via 10.0.0.1
ip -n gw route add 10.0.0.0/24 via 192.0.2.2
ns cl sysctl -qw net.ipv4.ip_forward=1
CLIENT_NS=home client p
client_wait p
client_wait_dtls p
expect_ping p 198.51.100.2
wait_until 10 on_dtls
ip -n cl link set in0 mtu 1300
iperf p 198.51.100.2 -u -R -l 1380 -b 2M -t 1 -J
lost=$(jq '.end.sum.lost_percent | floor' "$dir/log/iperf")
[ "$lost" -le 5 ] || fail "a path that shrank loses $lost % of full-sized packets"
pass "p: a path that shrinks"
