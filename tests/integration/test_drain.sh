#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# Maintenance: while the gateway drains new clients are refused and told why, those that are there
# stay and come back; it ends when the last has gone, or the time is over; load balancers see it.
# shellcheck source=tests/integration/lib.sh
. "$(dirname "$0")/lib.sh"

command -v curl >/dev/null || skip "needs curl"

ground
gateway_start '."penstock:penstock"."health-path" = "/health"'

health() { ns cl curl -sk -m 5 -o "$dir/log/health" -w '%{http_code}' "https://192.0.2.1$1"; }
is_health() { [ "$(health /health)" = "$1" ]; }

client a
client_wait a
client_wait_dtls a
wait_until "$WAIT" is_health 200
[ "$(cat "$dir/log/health")" = serving ] || fail "health says: $(cat "$dir/log/health")"
[ "$(ns cl curl -sk -m 5 -I -o /dev/null -w '%{http_code}' https://192.0.2.1/health)" = 200 ] ||
	fail "a HEAD of the health URL is not answered"
[ "$(health /healthy)" = 404 ] || fail "other paths answer, too"
pass "health: 200 while the gateway serves"

# ---- drain

ctl drain | grep -q 'draining; 1 session now' || fail "drain says something else"
wait_until "$WAIT" is_health 503
grep -q maintenance "$dir/log/health" || fail "health says: $(cat "$dir/log/health")"
ctl status | grep -q 'DRAINING' || fail "status does not show it: $(ctl status)"
client n
wait_log "$dir/log/client-n" 'Unexpected 503 result'
ns cl curl -sk -m 5 -D - -o /dev/null -d 'username=test&password=secret' https://192.0.2.1/auth |
	grep -q '^X-Reason: This gateway is in maintenance' || fail "a login is not told why it is refused"
pass "drain: new clients get a 503 with the reason"

expect_ping a 198.51.100.2
kill -USR2 "${client_pids[a]}"
wait_log "$dir/log/client-a" 'script: reconnected'
wait_until "$WAIT" in_vpn a ping -qc1 -W1 198.51.100.2
pass "drain: a session comes back by its cookie"

# Every process but the supervisor dies: it drains all the same.
for role in edge session auth; do
	pgrep -f -- "--role $role" | xargs kill -9
done
wait_until "$WAIT" ctl status
ctl status | grep -q DRAINING || fail "draining was forgotten"
wait_until "$WAIT" is_health 503
grep -q maintenance "$dir/log/health" || fail "health says: $(cat "$dir/log/health")"
expect_ping a 198.51.100.2
pass "drain: survives the death of the other processes"

ctl undrain | grep -q serving || fail "undrain says something else"
wait_until "$WAIT" is_health 200
client n
client_wait n
pass "undrain: new clients come in"

# ---- behind haproxy, with the backend of docs/operations/maintenance.md

if command -v haproxy >/dev/null; then
	{
		printf '%s\n' 'global' "	stats socket $dir/haproxy.sock" 'defaults' \
			'	timeout connect 5s' '	timeout client 1h' '	timeout server 1h' \
			'frontend vpn' '	mode tcp' '	bind 192.0.2.2:8443' '	default_backend vpn'
		sed -n '/^backend vpn$/,/^```$/p' "$top/docs/operations/maintenance.md" | grep -v '```\|gw2'
	} >"$dir/haproxy.cfg"
	in_ns cl haproxy -f "$dir/haproxy.cfg" >"$dir/log/haproxy" 2>&1 &
	haproxy_pid=$!
	# 2: running, 0: stopped.
	server_is() {
		python3 -c 'import socket, sys
s = socket.socket(socket.AF_UNIX)
s.connect(sys.argv[1])
s.sendall(b"show servers state vpn\n")
print(s.makefile().read())' "$dir/haproxy.sock" | awk '$4 == "gw1" {print $6}' | grep -qx "$1"
	}
	wait_until "$WAIT" server_is 2
	URL=https://192.0.2.2:8443 client p --no-dtls
	client_wait p
	ctl drain >/dev/null
	wait_until "$WAIT" server_is 0
	# The client comes back through it; another address is a new client.
	kill -USR2 "${client_pids[p]}"
	wait_log "$dir/log/client-p" 'script: reconnected'
	wait_until "$WAIT" in_vpn p ping -qc1 -W1 198.51.100.2
	! ns cl curl -sk -m 5 --interface 127.0.0.1 https://192.0.2.2:8443/ >/dev/null ||
		fail "haproxy sends new clients to a gateway that drains"
	ctl undrain >/dev/null
	wait_until "$WAIT" server_is 2
	client_stop p
	kill "$haproxy_pid"
	pass "haproxy: takes a draining gateway out, and its sessions still come back"
fi

# ---- without a dataplane

kill -9 "$(dataplane_pid)"
wait "$dataplane_pid" 2>/dev/null || true
wait_until "$WAIT" is_health 503
grep -q dataplane "$dir/log/health" || fail "health says: $(cat "$dir/log/health")"
dataplane_start
wait_until "$WAIT" is_health 200
pass "health: 503 without a dataplane"

# ---- the time is over

wait_until 60 in_vpn a ping -qc1 -W1 198.51.100.2
wait_until 60 in_vpn n ping -qc1 -W1 198.51.100.2
ctl drain --timeout 1 >/dev/null
wait_until "$WAIT" no_session test
wait_log "$dir/log/controlplane" 'event=drained stop=no'
ctl status | grep -q '0 connected' || fail "sessions are left: $(ctl status)"
pass "drain --timeout: those that were left were disconnected, the gateway is still there"
ctl undrain >/dev/null

# ---- stop after drain

client b
client_wait b
ctl stop --drain | grep -q 'draining, then stopping; 1 session now' || fail "stop says something else"
wait_until "$WAIT" is_health 503
expect_ping b 198.51.100.2
kill -0 "$controlplane_pid" || fail "it did not wait for the last client"
kill -INT "${client_pids[b]}"
wait "$controlplane_pid" || fail "the control plane stopped with status $?"
pass "stop --drain: ends when the last client has gone"

controlplane_start
client c
client_wait c
kill -USR2 "$(supervisor_pid)"
wait_until "$WAIT" is_health 503
expect_ping c 198.51.100.2
kill -INT "${client_pids[c]}"
wait "$controlplane_pid" || fail "the control plane stopped with status $?"
pass "SIGUSR2: the same"

controlplane_start
ctl stop >/dev/null
wait "$controlplane_pid" || fail "the control plane stopped with status $?"
pass "stop: ends at once"
kill -TERM "$(dataplane_pid)"
wait "$dataplane_pid" || fail "the dataplane stopped with status $?"
