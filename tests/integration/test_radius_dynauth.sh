#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# Dynamic authorisation: radclient ends sessions of stock openconnect and changes them, over
# reconnections and kill -9; who may not is not heard, and nothing is done twice.
# shellcheck source=tests/integration/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/integration/radius.sh
. "$(dirname "$0")/radius.sh"

ground
: >"$dir/radius.users"
radius_server one 198.51.100.2
radius_start one
ip -n lan addr add 198.51.100.4/24 dev eth0
coa_secret=coa-secret-9Zx
printf '%s\n' "$coa_secret" >"$dir/coa.secret"
chmod 600 "$dir/coa.secret"
# The example of docs/operations/radius.md.
gateway_start '."penstock:penstock" |= (. * '"$(doc_example test_radius_dynauth.sh)"'
	| .radius += {"nas-identifier": "lab", "timeout": 300, "tries": 2}
	| .filter = [{"name": "quiet", "restrict-to-ports": {"mode": "deny", "protocol": [{"name": "icmp"}]}}])'
for name in ann ben; do user $name secret; done

# dac KIND ATTRIBUTE...: sends it as the client does; the answer is in log/dac. 0: ACK
dac() {
	local kind=$1
	shift
	printf '%s\n' "$@" "Event-Timestamp = $(date +%s)" 'Message-Authenticator = 0x00' |
		ns lan timeout 30 radclient -x -t 3 -r 1 198.51.100.1:3799 "$kind" "$coa_secret" \
			>"$dir/log/dac" 2>&1 || true
	grep -qE '^Received (Disconnect|CoA)-ACK' "$dir/log/dac"
}
refused() { # refused CAUSE KIND ATTRIBUTE...
	local cause=$1
	shift
	dac "$@" && fail "obeyed: $*"
	grep -qE '^Received (Disconnect|CoA)-NAK' "$dir/log/dac" && grep -q "Error-Cause = $cause" "$dir/log/dac" ||
		fail "not $cause for $*: $(cat "$dir/log/dac")"
}
field() { # field USER KIND NAME
	records one "select(.\"User-Name\" == \"$1\" and .\"Acct-Status-Type\" == \"$2\") | .\"$3\"" | tr -d '"' | tail -1
}
stopped() { record_there one ".\"User-Name\" == \"$1\" and .\"Acct-Status-Type\" == \"Stop\""; }
count() { ctl --json show radius | jq ".dynamic_authorization.$1"; }
counted() { [ "$(count "$1")" -ge "$2" ]; }
login() { # login NAME: with a cookie that the test knows, in $cookie
	cookie=$(echo secret | ns cl openconnect --authenticate --passwd-on-stdin -u "$1" --servercert "$(pin server)" \
		https://192.0.2.1 2>"$dir/log/oc-$1" | sed -n "s/^COOKIE='\(.*\)'/\1/p")
	[ -n "$cookie" ] || fail "$1 cannot log in: $(cat "$dir/log/oc-$1")"
	COOKIE=$cookie client "$1"
	client_wait "$1"
	wait_until "$WAIT" record_there one ".\"User-Name\" == \"$1\" and .\"Acct-Status-Type\" == \"Start\""
}
child_pid() { pgrep -x "ps-$1"; }
restarted() { # restarted ROLE OLD-PID
	local now
	now=$(child_pid "$1") && [ "$now" != "$2" ]
}
python_dac() { ns lan "$here/radius_dac.py" 198.51.100.1 3799 "${SECRET-$coa_secret}" "$@"; }

# --- changes ---

login ann
id=$(field ann Start Acct-Session-Id)
in_vpn ann ping -q -i 0.002 -c 400 -s 972 -W 1 198.51.100.2 >"$dir/log/ping" || fail "ping"
dac coa "Acct-Session-Id = $id" 'User-Name = ann' 'Session-Timeout = 7777' 'Idle-Timeout = 1234' \
	'Acct-Interim-Interval = 60' 'Attr-26.10055.1 = 0x00000014' 'Attr-26.10055.2 = 0x00000014' 'Proxy-State = 0x1234' ||
	fail "CoA: $(cat "$dir/log/dac")"
grep -q 'Proxy-State = 0x1234' "$dir/log/dac" || fail "Proxy-State does not come back"
in_vpn ann ping -q -i 0.002 -c 400 -s 972 -W 1 198.51.100.2 >"$dir/log/ping" || true
lost=$(grep -oE '[0-9.]+% packet loss' "$dir/log/ping")
[ "${lost%%[.%]*}" -ge 30 ] || fail "20 kB/s let 400 kB a second through: $lost"
pass "CoA-Request: rates at once ($lost)"

refused Unsupported-Attribute coa 'User-Name = ann' 'Session-Timeout = 60' 'Login-Service = Telnet'
refused Unsupported-Service coa 'User-Name = ann' 'Session-Timeout = 60' 'Service-Type = Authorize-Only'
refused Invalid-Attribute-Value coa 'User-Name = ann' 'Session-Timeout = 60' 'Idle-Timeout = 0'
refused Missing-Attribute coa 'User-Name = ann'
refused Missing-Attribute coa 'Session-Timeout = 60'
refused Session-Context-Not-Found coa "Acct-Session-Id = $id" 'User-Name = ben' 'Session-Timeout = 60'
refused NAS-Identification-Mismatch coa 'User-Name = ann' 'NAS-Identifier = other' 'Session-Timeout = 60'
refused NAS-Identification-Mismatch coa 'User-Name = ann' 'NAS-IP-Address = 192.0.2.99' 'Session-Timeout = 60'
refused Unsupported-Attribute disconnect 'User-Name = ann' 'Session-Timeout = 60'
refused Missing-Attribute disconnect 'NAS-Identifier = lab'
refused Session-Context-Not-Found disconnect 'User-Name = ann' 'Framed-IP-Address = 10.200.255.254'
pass "what cannot be done is refused as a whole, with its cause"

# The changes are the session's: after kill -9 of both processes, and at the next CONNECT.
for role in radius session; do
	old=$(child_pid $role)
	kill -KILL "$old"
	wait_until "$WAIT" restarted $role "$old"
done
wait_log "$dir/log/controlplane" 'event=reconciled connected=1'
kill -USR2 "${client_pids[ann]}"
wait_log "$dir/log/client-ann" 'X-CSTP-Session-Timeout: 7777'
wait_log "$dir/log/client-ann" 'X-CSTP-Idle-Timeout: 1234'
in_vpn ann ping -q -i 0.002 -c 400 -s 972 -W 1 198.51.100.2 >"$dir/log/ping" || true
lost=$(grep -oE '[0-9.]+% packet loss' "$dir/log/ping")
[ "${lost%%[.%]*}" -ge 30 ] || fail "after a reconnection 20 kB/s let 400 kB a second through: $lost"
pass "changes last over kill -9 and reconnection"

# A filter, by its name.
before=$(session_field ann filter)
refused Invalid-Attribute-Value coa 'User-Name = ann' 'Filter-Id = "unknown"'
dac coa 'User-Name = ann' 'Filter-Id = "quiet"' 'Attr-26.10055.1 = 0x00000000' 'Attr-26.10055.2 = 0x00000000' ||
	fail "Filter-Id: $(cat "$dir/log/dac")"
[ "$before" = "" ] && [ "$(session_field ann filter)" = quiet ] || fail "filter: '$before' '$(session_field ann filter)'"
in_vpn ann ping -q -c 2 -i 0.1 -W 1 198.51.100.2 >"$dir/log/ping" && fail "a filter against ping lets ping through"
pass "Filter-Id: a filter of the configuration, at once"

# --- ends ---

login ben
ben_cookie=$cookie
wait_until "$WAIT" dac disconnect 'User-Name = ben' "Framed-IP-Address = $(inner4 ben)" 'Calling-Station-Id = 192.0.2.2' \
	'NAS-IP-Address = 192.0.2.1' 'NAS-Identifier = lab' # what is older than the process is not heard
wait_until "$WAIT" stopped ben
[ "$(field ben Stop Acct-Terminate-Cause)" = Admin-Reset ] || fail "Acct-Terminate-Cause: $(records one)"
[ "$(connect_with "$ben_cookie")" = 401 ] || fail "the cookie lives on"
[ -n "$(inner4 ann)" ] && [ "$(session_field ann state)" = connected ] || fail "ann is gone, too"
refused Session-Context-Not-Found disconnect 'User-Name = ben'
pass "Disconnect-Request: all attributes match, its cookie is dead, Admin-Reset"

# Sent again, by whomever, it has the same answer and is carried out once.
: >"$dir/radius-one/detail"
login ben
before=$(grep -c 'event=radius_disconnect ' "$dir/log/controlplane")
python_dac --twice User-Name=ben >"$dir/log/twice"
[ "$(sort -u "$dir/log/twice" | wc -l)" = 1 ] && grep -q '^29' "$dir/log/twice" || fail "answers: $(cat "$dir/log/twice")"
[ "$(grep -c 'event=radius_disconnect ' "$dir/log/controlplane")" = $((before + 1)) ] || fail "carried out twice"
pass "a request that is sent again has its answer and does nothing"

# --- who is not heard ---

nothing() { # nothing COUNTER OPTION...: no answer, and counted
	local counter=$1 before
	before=$(count "$counter")
	shift
	[ "$(python_dac "$@" --wait 0.3 User-Name=ann)" = nothing ] || fail "an answer: $*"
	wait_until "$WAIT" counted "$counter" $((before + 1))
}
nothing dropped_foreign --source 198.51.100.4
nothing dropped_unusable --unsigned
SECRET=wrong nothing dropped_unusable
nothing dropped_stale --no-time
nothing dropped_stale --time -400
nothing dropped_stale --time 400
[ "$(session_field ann state)" = connected ] || fail "ann was disconnected by nobody"
grep -qE 'event=radius_request_dropped client=198.51.100.4 ' "$dir/log/controlplane" || fail "nothing in the log"
python_dac --source 198.51.100.4 --count 20000 User-Name=ann
client third
client_wait third
client_stop third
dac coa 'User-Name = ann' 'Session-Timeout = 8888' || fail "after a flood: $(cat "$dir/log/dac")"
flood_counted() { [ "$(count dropped_foreign)" -gt 1000 ]; } # a full socket drops the others
wait_until "$WAIT" flood_counted
pass "others, unsigned, of another time: no answer; a flood of $(count dropped_foreign) changes nothing"

# The session process dies with the request: its successor carries it out.
old=$(child_pid session)
kill -STOP "$old"
python_dac --say-sent --wait "$WAIT" User-Name=ann >"$dir/log/dac" &
dac_pid=$!
wait_log "$dir/log/dac" '^sent'
kill -KILL "$old"
wait_until "$WAIT" restarted session "$old"
wait $dac_pid || true # its answer is what counts
grep -q '^29' "$dir/log/dac" || fail "Disconnect over kill -9: $(cat "$dir/log/dac")"
wait_until "$WAIT" stopped ann
[ "$(field ann Stop Acct-Terminate-Cause)" = Admin-Reset ] || fail "Acct-Terminate-Cause of ann"
pass "kill -9 of session in the middle of a Disconnect-Request"

# A reload takes the client away.
jq 'del(."penstock:penstock".radius."dynamic-authorization".client[0])
	| ."penstock:penstock".radius."dynamic-authorization".client[0] = {"address": "198.51.100.4", "secret-file": "'"$dir"'/coa.secret"}' \
	"$dir/penstock.json" >"$dir/next.json"
cp "$dir/next.json" "$dir/penstock.json"
ctl reload >"$dir/log/reload" || fail "reload: $(cat "$dir/log/reload")"
nothing dropped_foreign --source 198.51.100.2
[ "$(python_dac --source 198.51.100.4 User-Name=ann)" != nothing ] || fail "the new client is not heard"
grep -E "$coa_secret|$radius_secret" "$dir/log/controlplane" && fail "a secret is in the log"
pass "clients change with a reload; no secret in the log"
