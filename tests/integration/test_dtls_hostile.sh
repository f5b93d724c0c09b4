#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# DTLS under attack and on a bad path: forged and replayed records, ClientHello floods from spoofed
# addresses, lost flights, cookies of others. What is sent is in packets.py.
# shellcheck source=tests/integration/lib.sh
. "$(dirname "$0")/lib.sh"
export PYTHONDONTWRITEBYTECODE=1

ground
addr cl eth0 192.0.2.3/24
gateway_start
mac=$(ip -n gw -j link show wan0 | jq -r '.[0].address')
packets() { ns cl timeout 60 python3 "$here/packets.py" "$@"; }

client a
client_wait a
client_wait_dtls a
client t --no-dtls
client_wait t
on_dtls() { [ "$(ctl --json show sessions | jq -r '[.. | objects | .channel? | select(. == "DTLS")] | length')" = "${1-1}" ]; }
expect_ping a 198.51.100.2
wait_until "$WAIT" on_dtls

steady() { # steady NAME: a ping that must lose nothing
	in_vpn "$1" ping -q -i 0.01 -c "${2-300}" -W 3 198.51.100.2 >"$dir/steady-$1" 2>&1 &
	eval "steady_$1=$!"
}
steady_end() { # steady_end NAME WHAT
	eval "wait \$steady_$1" || true
	if ! grep -q ' 0% packet loss' "$dir/steady-$1" || grep -q duplicates "$dir/steady-$1"; then
		fail "$2: client $1: $(cat "$dir/steady-$1")"
	fi
}

# Replays: each is counted, none is delivered (ping would see duplicates).
before=$(counter drop_dtls_replay)
steady a
sent=$(packets replay 100) || fail "replay: $sent"
steady_end a replays
counted() { [ $(($(counter drop_dtls_replay) - before)) -ge "$sent" ]; }
wait_until "$WAIT" counted
pass "$sent replays: counted, delivered once"

auth=$(counter drop_dtls_auth) bad=$(counter drop_dtls_bad) unknown=$(counter drop_dtls_unknown)
moved=$(counter dtls_moved)
steady a
steady t
packets forge 30000 "$mac" >"$dir/log/packets" 2>&1 || fail "forge: $(cat "$dir/log/packets")"
steady_end a "forged records"
steady_end t "forged records"
[ "$(counter drop_dtls_auth)" -gt "$auth" ] || fail "forged records are not counted"
[ "$(counter drop_dtls_bad)" -gt "$bad" ] || fail "malformed records are not counted"
[ $(($(counter drop_dtls_unknown) + $(counter drop_roam_rate))) -gt "$unknown" ] ||
	fail "records from unknown addresses are not counted"
[ "$(counter dtls_moved)" = "$moved" ] || fail "a forged record moved the session"
pass "forged, truncated, random: nothing lost, nothing moved"

# A flood of ClientHellos while a client logs in and sets up DTLS.
seconds=6
[ "${SANITIZE-none}" = none ] || seconds=15
packets flood $seconds "$mac" >"$dir/log/flood" 2>&1 &
flood=$!
steady a 400
steady t 400
client b
client_wait b
client_wait_dtls b
expect_ping b 198.51.100.2
kill -0 $flood || fail "the flood was over before: $(cat "$dir/log/flood")"
steady_end a flood
steady_end t flood
wait $flood || fail "flood: $(cat "$dir/log/flood")"
pass "$(cat "$dir/log/flood") spoofed ClientHellos: a login works, nobody loses"
client_stop b

packets cookie >"$dir/log/packets" 2>&1 || fail "cookie: $(cat "$dir/log/packets")"
pass "cookies are good for their address alone"

# One datagram of each flight is lost, once: sent again by whoever sent it. (On the way out it is
# the device's hook that drops: from another the client's send() would fail.)
lose() { # lose input|egress CONTENT-TYPE WHICH WHAT
	local family=inet device='' port=sport
	[ "$1" = input ] || family=netdev device='device eth0' port=dport
	ns cl nft -f - <<-END || skip "needs nftables with the egress hook"
		table $family lose {
			chain c {
				type filter hook $1 $device priority 0;
				udp $port 443 @th,64,8 $2 numgen inc mod 1000 $3 counter drop
			}
		}
	END
	client l
	client_wait l
	client_wait_dtls l
	ns cl nft list table $family lose | grep -q 'counter packets 1 ' || fail "$4: not one datagram was lost"
	ns cl nft delete table $family lose
	expect_ping l 198.51.100.2
	client_stop l
	pass "$4 lost"
}
lose input 22 0 "HelloVerifyRequest"
lose input 22 1 "the server's first flight"
lose egress 22 2 "the client's Finished"
lose input 20 0 "the server's Finished"
expect_ping a 198.51.100.2
