#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# The DSCP of packets that carry the tunnel, as seen on the wire: a fixed one over DTLS and TLS, the
# inner packet's over IPv4 and IPv6, and what a reload makes of them.
# shellcheck source=tests/integration/lib.sh
. "$(dirname "$0")/lib.sh"

ground
certificate server ec "IP:192.0.2.1,IP:2001:db8:1::1"
for u in ann bob test; do user $u secret; done
gateway_start ".[\"penstock:penstock\"] += $(doc_example test_dscp.sh)"
LOGIN=ann client a
LOGIN=ann client at --no-dtls
LOGIN=bob client b
LOGIN=bob URL='https://[2001:db8:1::1]' client b6
client free
for n in a at b b6 free; do client_wait $n; done
for n in a b b6 free; do client_wait_dtls $n; done

# wire NAME tcp|udp 4|6 DSCP ping options...: packets to the client, while the LAN pings it
wire() {
	local name=$1 protocol=$2 family=$3 dscp=$4 port=0 target
	shift 4
	target=$(inner4 "$name")
	if [ "${1-}" = -6 ]; then target=$(inner6 "$name"); fi
	case $protocol in
	udp) port_of "$target" dtls_remote_port ;;
	tcp) port_of "$target" remote_port ;;
	esac
	ns lan ping -q -i 0.02 -w 6 "$@" "$target" >"$dir/log/ping" 2>&1 &
	local ping=$!
	ns cl python3 "$here/tos.py" eth0 "$protocol" "$family" 443 "$port" "$dscp" >"$dir/log/tos" 2>&1 ||
		fail "client $name, $protocol, ping $*: no packet with DSCP $dscp: $(tail -1 "$dir/log/tos")"
	kill -INT $ping
	wait $ping || true
}
# A session process that has just come has the session before it knows the ports.
port_of() { # port_of ADDRESS FIELD
	port_known() {
		port=$(session_field_of "$1" "$2")
		[[ $port =~ ^[1-9][0-9]*$ ]]
	}
	wait_until "$WAIT" port_known "$@"
}
session_field_of() { # session_field_of ADDRESS FIELD
	ctl --json show sessions | jq -r --arg a "$1" \
		".. | objects | select(.ipv4? == \$a or .ipv6? == (\$a + \"/128\")) | .$2" | head -1
}

wire free udp 4 0 -Q 0xb8
wire a udp 4 46
wire a udp 4 46 -Q 0x20
wire at tcp 4 46
wire at tcp 4 46 -Q 0x20
pass "a fixed DSCP over DTLS and TLS"

wire b udp 4 34 -Q 0x88
wire b udp 4 10 -Q 0x28
wire b udp 4 0 -Q 0x03
wire b udp 4 46 -6 -Q 0xb8
wire b6 udp 6 46 -Q 0xb8
wire b6 udp 6 11 -6 -Q 0x2c
wire b6 udp 6 0
pass "the inner packet's DSCP over IPv4 and IPv6, without ECN"

ctl show session ann | grep -qE 'DSCP +46$' || fail "show session: $(ctl show session ann)"
ctl show session bob | grep -qE 'DSCP +copy$' || fail "show session: $(ctl show session bob)"
jq '.["penstock:penstock"].user |= map(if .name == "ann" then .settings.dscp = 8 else .settings.dscp = 16 end)' \
	"$dir/penstock.json" >"$dir/in.json"
cp "$dir/in.json" "$dir/penstock.json"
ctl reload >/dev/null || fail "reload"
wire a udp 4 8 -Q 0x88
wire at tcp 4 8
wire b udp 4 16 -Q 0x88
kill -9 "$(pgrep -f -- '--role session')"
wire a udp 4 8
wait_until "$WAIT" ctl show sessions
wire at tcp 4 8
wire b6 udp 6 16 -Q 0x88
pass "a reload changes live sessions; kill -9 of the session process does not"
