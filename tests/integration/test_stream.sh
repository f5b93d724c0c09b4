#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# test_stream.sh [STREAMERS]: the TLS tunnel's hard corners: key updates, odd segments, malformed and
# forged records, ends of connections, probes, and clients that do not read. What each case sends is
# in stream_cases.py.
# shellcheck source=tests/integration/lib.sh
. "$(dirname "$0")/lib.sh"
export PYTHONDONTWRITEBYTECODE=1

streamers=${1-1} # 0: the packet worker serves the streams
ground
gateway_start ".[\"penstock:penstock\"].dataplane.streamers = $streamers"
client bystander --no-dtls
client_wait bystander
expect_ping bystander 198.51.100.2

case_run() { # case_run NAME...
	ns cl timeout 120 python3 "$here/stream_cases.py" "$@" >"$dir/log/case" 2>&1 || fail "$*: $(cat "$dir/log/case")"
}

for name in records key_update key_update_traffic key_update_split dpd; do
	case_run $name
	pass "$name"
done
[ "$(counter key_update)" -gt 50 ] || fail "key updates are not counted"
[ "$(counter drop_stream_bad)" = 0 ] || fail "good records were taken for bad ones"
[ "$(counter drop_stream_auth)" = 0 ] || fail "good records failed authentication"

before=$(counter drop_dtls_type)
case_run unknown_frame
[ $(($(counter drop_dtls_type) - before)) = 6 ] || fail "unknown frames are not counted"
pass "unknown frames"

for kind in bad unauthentic; do
	counter=drop_stream_bad
	[ $kind = bad ] || counter=drop_stream_auth
	for name in $(python3 "$here/stream_cases.py" list $kind); do
		before=$(counter $counter)
		case_run $kind "$name"
		[ $(($(counter $counter) - before)) = 1 ] || fail "$kind $name: $counter is not one more"
	done
	pass "$kind: each ends that client alone"
done
before=$(counter drop_stream_bad)
case_run key_update_useless
[ $(($(counter drop_stream_bad) - before)) = 1 ] || fail "useless key updates are not counted"
pass "useless key updates end the tunnel"

leavers=()
for _ in 1 2 3 4 5 6 7 8; do
	ns cl timeout 120 python3 "$here/stream_cases.py" leave 25 >>"$dir/log/leave" 2>&1 &
	leavers+=($!)
done
wait "${leavers[@]}" || fail "leaving clients: $(cat "$dir/log/leave")"
expect_ping bystander 198.51.100.2
pass "clients that leave at once"

for name in close_notify reset half_close cut temporary replaced; do
	case_run $name
	pass "$name"
done
expect_ping bystander 198.51.100.2

# A case that waits for this script: its output arrives in fd 3, what it waits for goes to fd 4.
case_start() { # case_start NAME...
	rm -f "$dir/to" "$dir/from"
	mkfifo "$dir/to" "$dir/from"
	in_ns cl timeout 120 python3 "$here/stream_cases.py" "$@" <"$dir/to" >"$dir/from" 2>"$dir/log/case" &
	case_pid=$!
	exec 4>"$dir/to" 3<"$dir/from"
	read -r -t "$WAIT" -u 3 _ case_said || fail "$*: $(cat "$dir/log/case")"
}
case_go() { echo >&4; }
case_end() { # case_end NAME
	wait $case_pid || fail "$1: $(cat "$dir/log/case")"
	exec 3<&- 4>&-
}

case_start operator
session=$(ctl --json show sessions |
	jq -r --arg a "$case_said" '.. | objects | select(.ipv4? == $a) | .id')
case_go
ctl disconnect id "$session" >"$dir/log/ctl" 2>&1 || fail "disconnect: $(cat "$dir/log/ctl")"
case_end operator
pass "disconnected under traffic: DISCONNECT, close_notify, no reset"

# The LAN floods clients that do not read. Each loses packets of its own, nobody else does.
memory() { awk '/VmRSS/ {print $2}' "/proc/$(dataplane_pid)/status"; }
for count in 1 40; do
	case_start slow $count
	before=$(counter drop_stream_full)
	rss=$(memory)
	in_vpn bystander ping -q -i 0.01 -c 300 -W 3 198.51.100.2 >"$dir/steady" 2>&1 &
	steady=$!
	# shellcheck disable=SC2086
	ns lan python3 "$here/stream_cases.py" flood $((count > 1 ? 800 : 4000)) $case_said
	wait $steady || true
	grep -q ' 0% packet loss' "$dir/steady" || fail "the bystander lost packets: $(cat "$dir/steady")"
	[ "$(counter drop_stream_full)" -gt "$before" ] || fail "nothing was dropped for the slow client"
	[ $(($(memory) - rss)) -lt 65536 ] || fail "memory grew from $rss to $(memory) kB"
	[ "$(counter drop_no_mbuf)" = 0 ] || fail "slow clients used up the packet buffers"
	expect_ping bystander 198.51.100.2
	case_go
	case_end "slow $count"
	pass "$count slow: nobody else loses, and they recover"
done
expect_ping bystander 198.51.100.2
expect_ping bystander 2001:db8:2::2
