#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# RADIUS accounting with real servers: right octets, every record once in order, and none lost over
# dead servers and kill -9 of each process.
# shellcheck source=tests/integration/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/integration/radius.sh
. "$(dirname "$0")/radius.sh"

ground
: >"$dir/radius.users"
radius_server a 198.51.100.2
radius_server b 198.51.100.3
radius_start a
# shellcheck disable=SC2016
gateway_start '."penstock:penstock".radius = {
	"server": [
		{"name": "a", "address": "198.51.100.2", "secret-file": "\($dir)/radius.secret"},
		{"name": "b", "address": "198.51.100.3", "secret-file": "\($dir)/radius.secret"}
	],
	"timeout": 300, "tries": 2, "dead-time": 2,
	"nas-identifier": "lab", "accounting": true, "interim-interval": 60
}'

kinds() { # kinds SERVER USER: the records' kinds in order
	records "$1" "select(.\"User-Name\" == \"$2\") | .\"Acct-Status-Type\"" | tr -d '"' | xargs
}
field() { # field SERVER USER KIND NAME
	records "$1" "select(.\"User-Name\" == \"$2\" and .\"Acct-Status-Type\" == \"$3\") | .\"$4\"" | tr -d '"' | tail -1
}
child_pid() { pgrep -x "ps-$1"; }
restarted() { # restarted ROLE OLD-PID
	local now
	now=$(child_pid "$1") && [ "$now" != "$2" ]
}
kill_role() {
	local old
	old=$(child_pid "$1")
	kill -KILL "$old"
	wait_until "$WAIT" restarted "$1" "$old"
}

# A known number of bytes in each direction.
client one
client_wait one
client_wait_dtls one
wait_until "$WAIT" record_there a '."Acct-Status-Type" == "Start"'
[ "$(field a test Start Framed-IP-Address)" = "$(inner4 one)" ] || fail "Framed-IP-Address: $(records a)"
[ "$(field a test Start NAS-Identifier)" = lab ] || fail "NAS-Identifier"
[ "$(field a test Start NAS-IP-Address)" = 192.0.2.1 ] || fail "NAS-IP-Address"
[ "$(field a test Start Calling-Station-Id)" = 192.0.2.2 ] || fail "Calling-Station-Id"
[ "$(field a test Start Acct-Authentic)" = Local ] || fail "Acct-Authentic"
before=$(session_field test total.rx_bytes)
in_vpn one ping -q -i 0.002 -c 500 -s 972 -W 3 198.51.100.2 >"$dir/log/ping" || fail "ping"
client_stop one
wait_until "$WAIT" record_there a '."Acct-Status-Type" == "Stop"'
in=$(field a test Stop Acct-Input-Octets) out=$(field a test Stop Acct-Output-Octets)
# 500 packets of 1000 bytes each way, and what a client says by itself (neighbour discovery).
[ "$in" -ge 500000 ] && [ "$in" -lt 502000 ] || fail "Acct-Input-Octets $in (before: $before)"
[ "$out" -ge 500000 ] && [ "$out" -lt 502000 ] || fail "Acct-Output-Octets $out"
[ "$(field a test Stop Acct-Terminate-Cause)" = User-Request ] || fail "Acct-Terminate-Cause"
[ "$(field a test Stop Acct-Session-Id)" = "$(field a test Start Acct-Session-Id)" ] || fail "Acct-Session-Id"
[ "$(kinds a test)" = "Start Stop" ] || fail "records: $(kinds a test)"
pass "start and stop with the octets of a transfer ($in in, $out out)"

# The first server dies: the second gets the records.
radius_stop a
radius_start b
user second secret
LOGIN=second client two
client_wait two
wait_until "$WAIT" record_there b '."User-Name" == "second" and ."Acct-Status-Type" == "Start"'
wait_log "$dir/log/controlplane" 'event=radius_server_dead server=a'
pass "the second server gets what the first does not take"

# No server at all, and every process of the control plane killed meanwhile: then both come back.
radius_stop b
client_stop two
user third secret
LOGIN=third client three
client_wait three
in_vpn three ping -q -i 0.002 -c 100 -s 972 -W 3 198.51.100.2 >"$dir/log/ping" || fail "ping"
wait_log "$dir/log/controlplane" 'event=accounting waiting=[0-9]+ text="no server'
kill_role radius
kill_role session
wait_log "$dir/log/controlplane" 'event=accounting waiting=[23] text="taken up'
in_vpn three ping -q -i 0.002 -c 100 -s 972 -W 3 198.51.100.2 >"$dir/log/ping" || fail "ping after kill"
kill -KILL "$(supervisor_pid)"
wait "$controlplane_pid" 2>/dev/null || true
wait_until "$WAIT" sh -c '! pgrep -x ps-session'
controlplane_start
wait_log "$dir/log/controlplane" 'event=reconciled connected=1'
in_vpn three ping -q -i 0.002 -c 100 -s 972 -W 3 198.51.100.2 >"$dir/log/ping" || fail "ping after restart"
client_stop three
radius_start a
wait_until 60 record_there a '."User-Name" == "third" and ."Acct-Status-Type" == "Stop"'
wait_until "$WAIT" record_there a '."User-Name" == "second" and ."Acct-Status-Type" == "Stop"'
[ "$(kinds a third)" = "Start Stop" ] || fail "third: $(kinds a third)"
[ "$(kinds a second)" = "Stop" ] || fail "second: $(kinds a second)"
[ "$(field a third Stop Acct-Session-Id)" = "$(field a third Start Acct-Session-Id)" ] || fail "Acct-Session-Id changed"
[ "$(field a second Stop Acct-Session-Id)" = "$(field b second Start Acct-Session-Id)" ] || fail "Acct-Session-Id of second changed"
in=$(field a third Stop Acct-Input-Octets)
[ "$in" -ge 300000 ] && [ "$in" -lt 303000 ] || fail "octets over restarts: $in"
pass "no record lost over kill -9 of radius, session and all, with no server there ($in octets)"
