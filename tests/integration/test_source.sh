#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# What a client may send inside: its own source alone; other clients only where that is allowed.
# TTL, unreachable addresses, and the rate limit of the ICMP errors about them.
# shellcheck source=tests/integration/lib.sh
. "$(dirname "$0")/lib.sh"

ground
gateway_start '.["penstock:penstock"].dataplane += {"client-to-client": false, "icmp-rate": 100}'
user u2 secret
client a
LOGIN=u2 client b
for c in a b; do
	client_wait $c
	client_wait_dtls $c
	expect_ping $c 198.51.100.2
	expect_ping $c 2001:db8:2::2
done

# Foreign sources, of both families, from a client over DTLS, and from one over TLS.
foreign() { # foreign NAME SOURCE4 SOURCE6
	local before
	ip -n "vpn-$1" addr add "$2/32" dev "t$1"
	ip -n "vpn-$1" addr add "$3/128" dev "t$1" nodad
	before=$(counter drop_source)
	in_vpn "$1" ping -q -c 5 -i 0.05 -W 1 -I "$2" 198.51.100.2 >"$dir/log/ping" && fail "$1: $2 is let through"
	in_vpn "$1" ping -q -c 5 -i 0.05 -W 1 -I "$3" 2001:db8:2::2 >"$dir/log/ping" && fail "$1: $3 is let through"
	[ $(($(counter drop_source) - before)) -ge 10 ] || fail "$1: foreign sources are not counted"
	ip -n "vpn-$1" addr del "$2/32" dev "t$1"
	ip -n "vpn-$1" addr del "$3/128" dev "t$1"
	expect_ping "$1" 198.51.100.2
}
client t --no-dtls
client_wait t
foreign a 203.0.113.5 2001:db8:5::5
foreign a "$(inner4 b)" "$(inner6 b)"
foreign t 203.0.113.6 2001:db8:5::6
foreign t "$(inner4 b)" "$(inner6 b)"
pass "a source that is not the client's own is dropped"

before=$(counter drop_client_to_client)
in_vpn a ping -q -c 5 -i 0.05 -W 1 "$(inner4 b)" >"$dir/log/ping" && fail "a reaches b"
in_vpn t ping -q -c 5 -i 0.05 -W 1 "$(inner6 b)" >"$dir/log/ping" && fail "t reaches b"
[ $(($(counter drop_client_to_client) - before)) -ge 10 ] || fail "client to client is not counted"
[ "$(counter client_to_client)" = 0 ] || fail "client to client went through"
in_vpn a ping -q -c 2 -i 0.2 -W 1 "$(inner4 b)" | grep -q '+[1-9]' || fail "a is not told that b is out of reach"
pass "client to client is off"

# TTL: the gateway answers for the hop that it is.
answers() { # answers NAME REGEX ping options...
	local n=$1 regex=$2
	shift 2
	in_vpn "$n" ping -n -c 3 -i 0.3 -W 2 "$@" >"$dir/log/ping" 2>&1 || true
	grep -qE "$regex" "$dir/log/ping" || fail "ping $*: no /$regex/: $(cat "$dir/log/ping")"
}
before=$(counter drop_ttl)
for c in a t; do
	answers $c 'From 10\.200\.0\.1 .*Time to live exceeded' -t 1 198.51.100.2
	answers $c 'From 2001:db8:200::1 .*(Hop limit|Time exceeded)' -t 1 2001:db8:2::2
done
[ "$(counter drop_ttl)" -gt "$before" ] || fail "expired packets are not counted"
answers a 'From 10\.200\.0\.1 .*Unreachable' 10.200.0.250
answers a 'From 2001:db8:200::1 .*(unreachable|Unreachable)' 2001:db8:200::fffe
lan_answers() {
	ns lan ping -n -c 3 -i 0.3 -W 2 "$1" >"$dir/log/ping" 2>&1 || true
	grep -qi unreachable "$dir/log/ping" || fail "the LAN's ping of $1: $(cat "$dir/log/ping")"
}
lan_answers 10.200.0.250
lan_answers 2001:db8:200::fffe
[ "$(counter drop_no_session)" -gt 0 ] || fail "addresses without a session are not counted"
pass "time exceeded and unreachable, both families"

# A flood of packets that deserve an error gets a limited number of them.
before=$(counter icmp_sent) start=$SECONDS
in_vpn a ping -q -f -c 3000 -W 1 10.200.0.250 >"$dir/log/ping" 2>&1 || true
sent=$(($(counter icmp_sent) - before)) most=$((100 * (SECONDS - start + 2)))
[ "$(counter drop_icmp_rate)" -gt 0 ] || fail "errors have no rate limit"
[ $sent -le $most ] || fail "$sent errors, at most $most are allowed"
expect_ping a 198.51.100.2
pass "the rate of errors is limited"
