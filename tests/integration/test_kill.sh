#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# kill -9 of each control-plane process, and of all, under traffic: no packet of an established
# tunnel is lost, and logins, DTLS and the CLI work again afterwards.
# shellcheck source=tests/integration/lib.sh
. "$(dirname "$0")/lib.sh"

ground
gateway_start
PASSWORD=secret client d
client_wait d
client_wait_dtls d
client t --no-dtls
client_wait t
expect_ping d 198.51.100.2
expect_ping t 198.51.100.2

# role_pids ROLE|all: of the children, by their command line
role_pids() {
	local role=$1
	[ "$role" != all ] || role='(edge|auth|session)'
	pgrep -f -- "--role $role" || true
}

steady() { # steady NAME: starts a ping that must lose nothing
	in_vpn "$1" ping -q -i 0.01 -c 400 -W 2 198.51.100.2 >"$dir/steady-$1" 2>&1 &
	eval "steady_$1=$!"
}

steady_end() { # steady_end NAME WHAT
	eval "wait \$steady_$1" || true
	grep -q ' 0% packet loss' "$dir/steady-$1" || fail "$2: client $1 lost packets: $(cat "$dir/steady-$1")"
}

for role in edge auth session all; do
	steady d
	steady t
	wait_until 5 grep -q PING "$dir/steady-t"
	mapfile -t victims < <(role_pids $role)
	[ ${#victims[@]} -gt 0 ] || fail "no process of $role"
	kill -9 "${victims[@]}"
	steady_end d "$role killed"
	steady_end t "$role killed"
	wait_until "$WAIT" ctl show sessions
	[ "$(ctl --json show sessions | jq '[.. | objects | select(.user? == "test")] | length')" = 2 ] ||
		fail "after $role was killed the sessions are not the two that are connected"
	client "new$role"
	client_wait "new$role"
	client_wait_dtls "new$role"
	expect_ping "new$role" 198.51.100.2
	client_stop "new$role"
	pass "kill -9 of $role: nothing lost, new logins work"
done

# The supervisor too: the control plane is started again by the service manager.
steady d
steady t
kill -9 "$(supervisor_pid)"
steady_end d "supervisor killed"
steady_end t "supervisor killed"
controlplane_start
wait_until "$WAIT" ctl show sessions
[ "$(ctl --json show sessions | jq '[.. | objects | select(.user? == "test")] | length')" = 2 ] ||
	fail "after the supervisor was killed the sessions are not the two that are connected"
expect_ping d 198.51.100.2
expect_ping t 198.51.100.2
client_stop t
pass "kill -9 of the supervisor: nothing lost, the next one takes up where it was"
