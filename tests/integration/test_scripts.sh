#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# The operator's scripts: their environment, refusal, time limit, order, concurrency; and that each
# connect script that succeeded has its disconnect script, whatever is killed in between.
# shellcheck source=tests/integration/lib.sh
. "$(dirname "$0")/lib.sh"

ground
for name in test bad slow hang other; do user $name secret; done

# What each run was told is in runs/EVENT-ID-USER; `log` has a line for each beginning and end.
mkdir -p "$dir/runs"
cat >"$dir/script" <<-'EOS'
	#!/bin/bash
	runs=/run/test/runs
	env | sort >"$runs/$REASON-$ID-$USERNAME"
	ls -l /proc/self/fd >"$runs/fds"
	echo "begin $REASON $ID $USERNAME" >>"$runs/log"
	echo "hello of $REASON for $USERNAME"
	wait_for() { until [ -e "$runs/$1" ]; do read -rt 0.05 <> <(:); done; }
	case $REASON-$USERNAME in
	connect-test)
		ip route replace 203.0.113.0/24 dev "$DEVICE" && echo "route" >>"$runs/may"
		for forbidden in "unshare -n true" "mount -t tmpfs none /mnt" "chroot / true"; do
			$forbidden && echo "$forbidden" >>"$runs/may"
		done ;;
	connect-bad) echo "not today" >&2; exit 7 ;;
	connect-slow) wait_for go ;;
	connect-hang)
		setsid tail -f "$runs/forever" &
		(tail -f "$runs/forever" & disown; tail -f "$runs/forever") &
		while :; do tail -f "$runs/forever"; done ;;
	disconnect-other) wait_for go-other ;;
	esac
	echo "end $REASON $ID $USERNAME" >>"$runs/log"
EOS
chmod 755 "$dir/script"
log=$dir/runs/log
: >"$log"
touch "$dir/runs/forever"

gateway_start '."penstock:penstock" += {
	"scripts": {"connect": "@DIR@/script", "disconnect": "@DIR@/script",
		"host-update": "@DIR@/script", "timeout": 4, "required": true, "concurrency": 8}}'

lines() { grep -cE "$1" "$log" || true; }
ran() { [ "$(lines "$1")" -ge 1 ]; }
expect_env() { # expect_env FILE NAME VALUE
	grep -qxF "$2=$3" "$1" || fail "${1##*/} has not $2=$3: $(cat "$1")"
}
script_pid() { pgrep -x ps-script; } # not the keepers of what runs

# ---- environment

client a --local-hostname 'home-pc'
client_wait a
expect_ping a 198.51.100.2
wait_until "$WAIT" ran 'end host-update .* test'
id=$(awk '/end connect .* test/ {print $3}' "$log")
file=$dir/runs/connect-$id-test
expect_env "$file" REASON connect
expect_env "$file" USERNAME test
expect_env "$file" IP_REAL 192.0.2.2
expect_env "$file" IP_REAL_LOCAL 192.0.2.1
expect_env "$file" IP_LOCAL 10.200.0.1
expect_env "$file" IP_REMOTE "$(inner4 a)"
expect_env "$file" IPV6_LOCAL 2001:db8:200::1
expect_env "$file" IPV6_REMOTE "$(inner6 a)"
expect_env "$file" IPV6_PREFIX 128
expect_env "$file" DEVICE penstock0
expect_env "$file" HOSTNAME home-pc
expect_env "$file" REMOTE_HOSTNAME home-pc
expect_env "$file" OCSERV_DNS '198.51.100.2 2001:db8:2::2'
expect_env "$file" OCSERV_DNS4 198.51.100.2
grep -q '^USER_AGENT=.*AnyConnect' "$file" || fail "no USER_AGENT: $(cat "$file")"
unknown=$(grep -vE '^(REASON|ID|USERNAME|GROUPNAME|VHOST|HOSTNAME|REMOTE_HOSTNAME|DEVICE(_TYPE|_PLATFORM)?|USER_AGENT|IP(V6)?_[A-Z_]*|OCSERV_[A-Z0-9_]*|PENSTOCK_[A-Z_]*|PATH|LANG|PWD|SHLVL|_)=' "$file" || true)
[ -z "$unknown" ] || fail "the environment has more than it should: $unknown"
[ "$(grep -c -- '->' "$dir/runs/fds")" = 4 ] || # 0, 1, 2 and that of ls itself
	fail "a script inherits descriptors: $(cat "$dir/runs/fds")"
expect_env "$dir/runs/host-update-$id-test" REASON host-update
wait_log "$dir/log/controlplane" 'event=script_output script=connect .*hello of connect for test'
pass "connect and host-update get what ocserv's scripts expect, and nothing else"

# It does what it is made for, and no more.
[ "$(cat "$dir/runs/may")" = route ] || fail "scripts may: $(cat "$dir/runs/may")"
[ -n "$(ip -n gw route show 203.0.113.0/24)" ] || fail "the script's route is not there"
status=/proc/$(script_pid)/status
for line in 'NoNewPrivs: 1' 'Seccomp: 2' 'CapBnd: 00000000000030ef' 'CapEff: 00000000000030ef'; do
	tr '\t' ' ' <"$status" | grep -qx "$line" || fail "the script process has not $line: $(cat "$status")"
done
pass "scripts have the machine's network, nine capabilities and a filter"

# A second CONNECT takes over: neither disconnect nor connect, but host-update.
updates=$(lines 'end host-update .* test')
kill -USR2 "${client_pids[a]}"
wait_log "$dir/log/client-a" 'script: reconnected'
more_updates() { [ "$(lines 'end host-update .* test')" -gt "$updates" ]; }
wait_until "$WAIT" more_updates
[ "$(lines 'begin (dis)?connect .* test')" = 1 ] || fail "scripts ran for a reconnection: $(cat "$log")"
pass "a reconnection is a host-update"

expect_ping a 198.51.100.2
client_stop a
wait_until "$WAIT" ran "end disconnect $id test"
file=$dir/runs/disconnect-$id-test
expect_env "$file" REASON disconnect
expect_env "$file" PENSTOCK_END user
for name in STATS_BYTES_IN STATS_BYTES_OUT STATS_DURATION; do
	value=$(sed -n "s/^$name=//p" "$file")
	[ "${value:-x}" -ge 0 ] 2>/dev/null || fail "$name is '$value'"
done
# Two times five pings of 84 bytes, over two connections.
[ "$(sed -n 's/^STATS_BYTES_IN=//p' "$file")" -ge 840 ] || fail "octets are missing: $(grep STATS "$file")"
pass "disconnect gets the same id and what the connection carried"

# ---- what a client says

# shellcheck disable=SC2016 # it is not for this shell
client a --local-hostname '$(touch /run/test/pwned);`id`"'"'"
client_wait a
wait_until "$WAIT" grep -lq 'REMOTE_HOSTNAME=_(touch _run_test_pwned)__id___$' "$dir"/runs/connect-*-test
client_stop a
[ ! -e "$dir/pwned" ] || fail "a client's name was executed"
pass "a hostile host name is a harmless label"

# ---- refusal and time

LOGIN=bad client b
wait_log "$dir/log/client-b" 'The connect script refused the connection'
wait_log "$dir/log/controlplane" 'event=script_output script=connect .*not today'
pass "exit status 7: the client is refused and told"

LOGIN=slow client s
wait_until "$WAIT" ran 'begin connect .* slow'
client o
client_wait o
! grep -q configured "$dir/log/client-s" || fail "the slow script was not waited for"
client_stop o
touch "$dir/runs/go"
client_wait s
pass "a slow script delays its own client alone"

# One at a time: the others wait for their turn.
sed -i 's/"concurrency": 8/"concurrency": 1/' "$dir/penstock.json"
ctl reload >/dev/null
rm -f "$dir/runs/go"
LOGIN=slow client q
waits() { [ "$(lines 'begin connect .* slow')" = 2 ]; }
wait_until "$WAIT" waits
connects() { grep -c 'path=/CSCOSSLC/tunnel' "$dir/log/controlplane"; }
before=$(connects) scripts=$(lines begin)
client o
asked() { [ "$(connects)" -gt "$before" ]; }
wait_until "$WAIT" asked
wait_until "$WAIT" ctl show sessions # what came before this question has been looked at
[ "$(lines begin)" = "$scripts" ] || fail "two scripts run where one may: $(cat "$log")"
touch "$dir/runs/go"
client_wait q
client_wait o
client_stop o
client_stop q
sed -i 's/"concurrency": 1/"concurrency": 8/' "$dir/penstock.json"
ctl reload >/dev/null
pass "as many run as may, the others wait"

LOGIN=hang client h
wait_log "$dir/log/client-h" 'The connect script did not end in time'
none_left() { ! pgrep -f 'tail -f .*forever'; }
wait_until "$WAIT" none_left
pass "a script without end is killed with all that it started"
[ "$(lines 'begin disconnect .* (bad|hang)')" = 0 ] ||
	fail "a disconnect script ran for a connect script that failed: $(cat "$log")"
pass "no disconnect for a connect script that failed"

# ---- whatever dies

expect_once() { # expect_once ID USER: its disconnect script ended once
	wait_until "$WAIT" ran "end disconnect $1 $2"
	wait_until "$WAIT" ctl show sessions
	[ "$(lines "end disconnect $1 $2")" = 1 ] || fail "disconnect of $1 ran more than once: $(cat "$log")"
}
last_id() { awk -v u="$1" '$1 == "end" && $2 == "connect" && $4 == u {id = $3} END {print id}' "$log"; }

# The session process, while the client is connected, and then while the disconnect script runs.
rm -f "$dir/runs/go-other"
LOGIN=other client c
client_wait c
id=$(last_id other)
kill -9 "$(pgrep -f -- '--role session')"
wait_until "$WAIT" ctl show sessions
kill -INT "${client_pids[c]}"
wait_until "$WAIT" ran "begin disconnect $id other"
kill -9 "$(pgrep -f -- '--role session')"
wait_until "$WAIT" ctl show sessions
touch "$dir/runs/go-other"
expect_once "$id" other
[ "$(lines "begin disconnect $id other")" = 1 ] || fail "asked for twice: $(cat "$log")"
pass "kill -9 of session: the disconnect script runs once"

# The script process while it runs: what it ran is killed, and runs again under the same id.
rm -f "$dir/runs/go-other"
LOGIN=other client c
client_wait c
id=$(last_id other)
kill -INT "${client_pids[c]}"
wait_until "$WAIT" ran "begin disconnect $id other"
kill -9 "$(script_pid)"
again() { [ "$(lines "begin disconnect $id other")" = 2 ]; }
wait_until "$WAIT" again
touch "$dir/runs/go-other"
expect_once "$id" other
pass "kill -9 of the script process: what it ran is run again"

# The script process while a client waits for its connect script.
rm -f "$dir/runs/go"
LOGIN=slow client w
slow_begun() { [ "$(lines 'begin connect .* slow')" = "$1" ]; }
wait_until "$WAIT" slow_begun 3
kill -9 "$(script_pid)"
wait_until "$WAIT" slow_begun 4
touch "$dir/runs/go"
client_wait w
pass "kill -9 of the script process: the client that waits gets in"

# All of the control plane, and the client leaves meanwhile.
id=$(last_id slow)
kill -9 "$(supervisor_pid)"
wait "$controlplane_pid" 2>/dev/null || true
kill -INT "${client_pids[w]}"
wait "${client_pids[w]}" 2>/dev/null || true
controlplane_start
expect_once "$id" slow
pass "kill -9 of all: the disconnect script runs after the start"

# Each connect script that ended well has its disconnect; none is left behind.
client_stop s
balanced() {
	local good
	good=$(awk '$1 == "end" && $2 == "connect" {print $3}' "$log" | sort)
	[ "$good" = "$(awk '$1 == "end" && $2 == "disconnect" {print $3}' "$log" | sort)" ]
}
wait_until "$WAIT" balanced
pass "one disconnect for each connect"
gateway_stop
