#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# Where clients may reach: networks, protocols and ports, fragments, over DTLS and TLS, of both
# families; the counters; a reload; kill -9 of the session process and of all; a dataplane restart.
# shellcheck source=tests/integration/lib.sh
. "$(dirname "$0")/lib.sh"

ground
addr lan eth0 198.51.100.3/24 198.51.100.53/24 198.51.100.129/24 2001:db8:2::3/64 2001:db8:2:1::2/64
ip -n gw -6 route add 2001:db8:2:1::/64 dev lan0
in_ns lan python3 "$here/reach.py" serve tcp:80 tcp:443 tcp:8001 tcp:53 udp:53 udp:443 udp:5000 \
	>"$dir/log/serve" 2>&1 &
wait_log "$dir/log/serve" serving
for u in ann bob carl test; do user $u secret; done
gateway_start ".[\"penstock:penstock\"] += $(doc_example test_filter.sh)"

# reaches NAME yes|no PROTOCOL ADDRESS PORT [BYTES]...
reaches() {
	local name=$1 expected=$2 got=no
	shift 2
	! in_vpn "$name" python3 "$here/reach.py" try "$@" || got=yes
	[ $got = "$expected" ] || fail "client $name, $*: reached: $got, expected $expected"
}
pings() { # pings NAME yes|no ADDRESS
	local got=no
	! in_vpn "$1" ping -q -i 0.05 -c 2 -W 1 "$3" >"$dir/log/ping" 2>&1 || got=yes
	[ $got = "$2" ] || fail "client $1, ping $3: $got, expected $2"
}
routes_hold() { # routes_hold NAME: ann's
	reaches "$1" yes tcp 198.51.100.2 80
	reaches "$1" yes udp 198.51.100.2 5000 3000
	reaches "$1" no tcp 198.51.100.3 80
	reaches "$1" no udp 198.51.100.129 5000
	reaches "$1" yes udp 198.51.100.53 53
	reaches "$1" no udp 198.51.100.53 5000
	pings "$1" yes 198.51.100.2
	pings "$1" no 198.51.100.129
	reaches "$1" yes tcp 2001:db8:2::2 80
	reaches "$1" no tcp 2001:db8:2:1::2 80
}
ports_hold() { # ports_hold NAME: bob's
	reaches "$1" yes tcp 198.51.100.129 443
	reaches "$1" yes tcp 2001:db8:2:1::2 8001
	reaches "$1" no tcp 198.51.100.2 80
	reaches "$1" yes udp 198.51.100.2 443
	reaches "$1" no udp 198.51.100.2 5000
	reaches "$1" yes udp 198.51.100.53 53
	pings "$1" yes 198.51.100.2
	pings "$1" no 2001:db8:2::2
}

LOGIN=ann client a
LOGIN=ann client at --no-dtls
LOGIN=bob client b
LOGIN=bob client bt --no-dtls
LOGIN=carl client c
client free
for n in a at b bt c free; do client_wait $n; done
for n in a b c free; do client_wait_dtls $n; done
pings free yes 198.51.100.2
before=$(counter drop_filter_route)
routes_hold a
routes_hold at
[ $(($(counter drop_filter_route) - before)) -ge 10 ] || fail "what was filtered by routes is not counted"
pass "restrict-to-routes holds over DTLS and TLS"

before=$(counter drop_filter_port)
ports_hold b
ports_hold bt
[ $(($(counter drop_filter_port) - before)) -ge 6 ] || fail "what was filtered by ports is not counted"
reaches c no tcp 198.51.100.2 80
reaches c yes tcp 198.51.100.2 443
reaches c yes tcp 198.51.100.3 8001
pings c no 198.51.100.2
pings c yes 2001:db8:2::2
pass "restrict-to-ports holds over DTLS and TLS"

# The first fragment shows the port, the later ones do not.
before=$(counter drop_filter_fragment)
reaches b no udp 198.51.100.2 443 3000
reaches bt no udp 198.51.100.2 443 3000
[ "$(counter drop_filter_fragment)" -gt "$before" ] || fail "fragments are not counted"
reaches a yes udp 198.51.100.2 443 3000
pass "later fragments pass only where their port does not matter"

# From the LAN: who is out of the client's reach does not reach the client either.
lan_pings() { # lan_pings yes|no SOURCE CLIENT
	local got=no
	! ns lan ping -q -i 0.05 -c 2 -W 1 -I "$2" "$(inner4 "$3")" >"$dir/log/ping" 2>&1 || got=yes
	[ $got = "$1" ] || fail "the LAN's $2, ping of client $3: $got, expected $1"
}
lan_pings yes 198.51.100.2 a
lan_pings no 198.51.100.3 a
lan_pings no 198.51.100.129 at
lan_pings no 198.51.100.2 c
lan_pings yes 198.51.100.129 free
pass "both ways"

# The client is told at once.
in_vpn a ping -n -c 2 -i 0.2 -W 1 198.51.100.3 2>&1 | grep -qE 'From 10\.200\.0\.1 .*(filtered|Prohibited)' ||
	fail "a is not told"
ctl show session ann >"$dir/log/show"
grep -qE 'Restricted to routes +yes' "$dir/log/show" || fail "show session: $(cat "$dir/log/show")"
grep -qE 'Filtered +[0-9]+ packets by routes' "$dir/log/show" || fail "show session: $(cat "$dir/log/show")"
ctl show session bob | grep -qE 'Restricted to ports +tcp\(443\), tcp\(8000-8099\), udp\(443\), icmp\(\)$' ||
	fail "show session bob: $(ctl show session bob)"
ctl show session carl | grep -qE 'Restricted to ports +!\(tcp\(80\), icmp\(\)\)$' || fail "show session carl"
[ "$(session_field ann filtered_routes)" -gt 0 ] && [ "$(session_field bob filtered_ports)" -gt 0 ] ||
	fail "not counted by session"
[ "$(session_field test filtered_routes)" = 0 ] || fail "counted for the one without a filter"
pass "shown and counted by session"

# A reload: at once, and nothing that stays allowed is lost.
in_vpn c ping -6 -q -i 0.01 -c 300 -W 2 2001:db8:2::2 >"$dir/steady" 2>&1 &
steady=$!
wait_until 5 grep -q PING "$dir/steady"
jq '.["penstock:penstock"].user |= map(if .name == "carl"
	then .settings["restrict-to-ports"].protocol = [{"name": "tcp", "port": [443]}] else . end)' \
	"$dir/penstock.json" >"$dir/in.json"
cp "$dir/in.json" "$dir/penstock.json"
ctl reload >/dev/null || fail "reload"
wait_until 5 in_vpn c python3 "$here/reach.py" try tcp 198.51.100.2 80
reaches c no tcp 198.51.100.2 443
wait $steady || true
grep -q ' 0% packet loss' "$dir/steady" || fail "the reload cost packets: $(cat "$dir/steady")"
pass "a reload changes live sessions"

role_pids() { pgrep -f -- "--role $1"; }
for role in session '(edge|auth|session)'; do
	mapfile -t victims < <(role_pids "$role")
	kill -9 "${victims[@]}"
	reaches b no tcp 198.51.100.2 80 # while nobody is there
	reaches b yes tcp 198.51.100.2 443
	wait_until "$WAIT" ctl show sessions
	wait_log "$dir/log/controlplane" 'event=reconciled connected=6'
	routes_hold a
	ports_hold bt
	ctl show session bob | grep -q 'Restricted to ports' || fail "show session after a kill"
done
kill -9 "$(supervisor_pid)"
wait "$controlplane_pid" 2>/dev/null || true
controlplane_start
wait_log "$dir/log/controlplane" 'event=reconciled connected=6'
routes_hold at
ports_hold b
LOGIN=bob client b2
client_wait b2
ports_hold b2
client_stop b2
pass "kill -9 of the session process, of all, of the supervisor"

kill -9 "$(dataplane_pid)"
dataplane_start
wait_until 90 in_vpn a ping -qc1 -W1 198.51.100.2
wait_until 90 in_vpn b ping -qc1 -W1 198.51.100.2
routes_hold a
ports_hold b
grep -qE 'event=(filter_refused|dataplane_timeout)' "$dir/log/controlplane" && fail "a filter was refused"
pass "a dataplane restart: clients come back by cookie into their filters"
