#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# Networks behind clients: reached from the LAN and from other clients, over DTLS and TLS, of both
# families; foreign sources; two who want the same one; kill -9 of the session process and of all; a
# dataplane restart.
# shellcheck source=tests/integration/lib.sh
. "$(dirname "$0")/lib.sh"

ground
certificate server ec "IP:192.0.2.1"
for u in ann bob carl test; do user $u secret; done
gateway_start ".[\"penstock:penstock\"] += $(doc_example test_iroute.sh)"

# site NAME NET4 NET6: a host behind client NAME
site() {
	add_ns "site-$1"
	link "vpn-$1" site0 "site-$1" eth0
	addr "vpn-$1" site0 "$2.1/24" "$3::1/64"
	addr "site-$1" eth0 "$2.5/24" "$3::5/64"
	ip -n "site-$1" route add default via "$2.1"
	ip -n "site-$1" -6 route add default via "$3::1"
	ns "vpn-$1" sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1
}
pings() { # pings NS ADDRESS [ping options]
	local n=$1 a=$2
	shift 2
	ns "$n" ping -q -i 0.05 -c 3 -W 2 "$@" "$a" >"$dir/log/ping" 2>&1 ||
		fail "$n cannot ping $a $*: $(cat "$dir/log/ping")"
}
reached() { # reached NAME NET4 NET6: from the LAN, and back
	pings lan "$2.5"
	pings lan "$3::5"
	pings "site-$1" 198.51.100.2
	pings "site-$1" 2001:db8:2::2
}

LOGIN=ann client a
client_wait a
client_wait_dtls a
LOGIN=carl client c --no-dtls
client_wait c
client free
client_wait free
site a 10.77.0 2001:db8:77
site c 10.79.0 2001:db8:79
reached a 10.77.0 2001:db8:77
reached c 10.79.0 2001:db8:79
ip -n gw route show 10.77.0.0/24 | grep -q 'dev penstock0' || fail "no route on the TAP"
ip -n gw -6 route show 2001:db8:79::/64 | grep -q 'dev penstock0' || fail "no IPv6 route on the TAP"
pings site-a 10.79.0.5
pings site-c 2001:db8:77::5
in_vpn free ping -q -i 0.05 -c 3 -W 2 10.77.0.5 >"$dir/log/ping" || fail "another client does not reach it"
pings lan "$(inner4 a)"
pass "reached from the LAN and from other clients, and back"

# Sources that are neither the client's nor of its networks; those of another's network.
foreign() { # foreign NAME SOURCE TARGET
	local before
	before=$(counter drop_source)
	ip -n "site-$1" addr add "$2" dev eth0 nodad 2>/dev/null || ip -n "site-$1" addr add "$2" dev eth0
	ns "site-$1" ping -q -c 3 -i 0.05 -W 1 -I "${2%/*}" "$3" >"$dir/log/ping" && fail "$2 is let through"
	ip -n "site-$1" addr del "$2" dev eth0
	[ $(($(counter drop_source) - before)) -ge 3 ] || fail "$2 is not counted"
}
foreign a 10.78.0.5/32 198.51.100.2
foreign a 10.79.0.99/32 198.51.100.2
foreign c 2001:db8:77::99/128 2001:db8:2::2
foreign a 10.200.0.99/32 198.51.100.2
pass "spoofed sources are dropped"

# Within the network, but of nobody: it comes back to the client that sent it, so it does not go out.
ns site-a ping -q -c 1 -W 1 10.77.0.200 >"$dir/log/ping" 2>&1 || true

owner() { ctl --json show iroutes | jq -r '.[] | select(.iroutes | index("10.77.0.0/24")) | .user'; }
LOGIN=bob client b
client_wait b
wait_log "$dir/log/controlplane" 'event=iroute_conflict .*user=bob network=10\.77\.0\.0/24 .*owner_user=ann'
[ "$(owner)" = ann ] || fail "10.77.0.0/24 is $(owner)'s"
reached a 10.77.0 2001:db8:77
ctl show iroutes | grep -qE 'ann +.*10\.77\.0\.0/24' || fail "show iroutes: $(ctl show iroutes)"
ctl show session ann | grep -q 'iRoutes *10\.77\.0\.0/24\|iRoutes *2001:db8:77::/64' || fail "show session ann"
pass "of two who want the same network the first one has it"

role_pids() { pgrep -f -- "--role $1"; }
for role in session '(edge|auth|session)'; do
	mapfile -t victims < <(role_pids "$role")
	kill -9 "${victims[@]}"
	reached a 10.77.0 2001:db8:77
	reached c 10.79.0 2001:db8:79
	wait_until "$WAIT" ctl show sessions
	wait_until "$WAIT" test "$(owner)" = ann
	reached a 10.77.0 2001:db8:77
done
pass "kill -9 of the session process, and of all"

client_stop b
kill -9 "$(dataplane_pid)"
dataplane_start
wait_until 90 ns lan ping -qc1 -W1 10.77.0.5
wait_until 90 ns lan ping -qc1 -W1 10.79.0.5
reached a 10.77.0 2001:db8:77
reached c 10.79.0 2001:db8:79
pass "a dataplane restart: clients come back by cookie with their networks"

LOGIN=bob client b2
client_wait b2
[ "$(owner)" = ann ] || fail "10.77.0.0/24 is $(owner)'s"
bob_owns() { [ "$(owner)" = bob ]; }
none_left() { [ "$(ctl --json show iroutes | jq length)" = 0 ] && [ -z "$(ip -n gw route show 10.77.0.0/24)" ]; }
client_stop a
wait_until "$WAIT" bob_owns
jq '.["penstock:penstock"].user |= map(.settings.iroute |= [])' "$dir/penstock.json" >"$dir/in.json"
cp "$dir/in.json" "$dir/penstock.json"
ctl reload >/dev/null || fail "reload"
wait_until "$WAIT" none_left
pass "given back: the next one has it; a reload takes them away"
