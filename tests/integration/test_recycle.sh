#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# The life of edges: one that is killed takes the connections along that it held and no other; one
# that has served its number ends once they have left, after its successor has come; with a process
# for each connection too. Nobody is refused, and tunnels stay.
# shellcheck source=tests/integration/lib.sh
. "$(dirname "$0")/lib.sh"

command -v curl >/dev/null || skip "needs curl"
ground
for name in test u1 u2 u3 u4; do user $name secret; done
log=$dir/log/controlplane
# recycle JQ: the settings of edges, in force from now on
recycle() { configure "$base | .[\"penstock:penstock\"] += $1"; ctl reload >/dev/null || fail "reload"; }
base='."penstock:penstock".edges = 3'
example=$(doc_example test_recycle.sh)
gateway_start "$base"

edges() { # "NUMBER PID" of each edge that runs
	local pid
	for pid in $(pgrep -f 'penstock-controlplane --role edge'); do
		awk -v RS='\0' -v pid="$pid" 'on {print $0, pid; exit} $0 == "--index" {on = 1}' "/proc/$pid/cmdline"
	done
}
good() { ns cl curl -sk -m 20 -D - -o "$dir/page" -d "username=${1-test}&password=secret" https://192.0.2.1/auth |
	grep -qi '^set-cookie: webvpn=[A-Za-z0-9+/]'; }

client t
client_wait t
client_wait_dtls t

# ---- kill -9 of one of several

edges >"$dir/edges"
for i in $(seq 20); do good || echo "login $i" >>"$dir/failed"; done & # others log in meanwhile
logins=$!
ns cl python3 "$here/recycle_cases.py" "$log" "$dir/edges" >"$dir/cases" 2>&1 || fail "$(cat "$dir/cases")"
wait $logins
# One connection of a login at most was the victim's just then.
[ ! -e "$dir/failed" ] || [ "$(wc -l <"$dir/failed")" -le 1 ] || fail "others' logins fail: $(cat "$dir/failed")"
[ "$(grep -c 'event=child_died child="edge' "$log")" = 1 ] || fail "more than one edge died"
expect_ping t 198.51.100.2
pass "an edge that is killed: $(cat "$dir/cases"), and no login beside them"

# ---- recycled after ten connections

before=$(edges | awk '{print $2}' | sort)
recycle "$example"
for i in $(seq 60); do good || fail "login $i is refused"; done
parallel() { # parallel LOGINS: eight at a time
	local i pids=()
	for i in $(seq "$1"); do
		good &
		pids+=($!)
		[ $((i % 8)) != 0 ] || { for p in "${pids[@]}"; do wait "$p" || fail "a login is refused"; done; pids=(); }
	done
}
parallel 64
# Those that wait for their last connection have their successors already.
some_run() { [ "$(edges | wc -l)" -ge 3 ] && [ "$(edges | wc -l)" -le 6 ]; }
wait_until "$WAIT" some_run
[ -z "$(comm -12 <(echo "$before") <(edges | awk '{print $2}' | sort))" ] || fail "an edge of before is still there"
taken=$(sed -n 's/.*event=counters accepted=\([0-9]*\) .*/\1/p' "$log" | sort -n | uniq -c)
[ "$(awk '{n += $1 * $2} END {print n}' <<<"$taken")" -ge 95 ] || fail "not so many ended: $taken"
grep 'event=child_died' "$log" | grep -v SIGKILL && fail "an edge died"
[ "$(grep -c 'event=child_died' "$log")" = 1 ] || fail "an edge was killed"
expect_ping t 198.51.100.2
pass "recycled after ten connections: all 124 logins went through"

# ---- a process for each connection

recycle '{"edge": {"recycle-after": 1}}'
for i in 1 2 3; do good || fail "login $i"; done # those of before leave
spawned() { grep -c 'event=spawned' "$log" || true; }
n=$(spawned)
parallel 24
[ $(($(spawned) - n)) -ge 22 ] || fail "only $(($(spawned) - n)) processes for 24 connections"
for name in u1 u2 u3 u4; do LOGIN=$name client $name; done
for name in u1 u2 u3 u4; do
	client_wait $name
	client_wait_dtls $name
	expect_ping $name 198.51.100.2
done
three_run() { [ "$(edges | wc -l)" = 3 ]; }
wait_until "$WAIT" three_run
expect_ping t 198.51.100.2
expect_ping u1 198.51.100.2
[ "$(grep -c 'event=child_died' "$log")" = 1 ] || fail "a process died: $(grep event=child_died "$log")"
pass "a process for each connection: logins, tunnels and DTLS"

# ---- one that does not get rid of its last connection

recycle '{"edge": {"recycle-after": 1, "recycle-timeout": 1}}'
for i in 1 2 3; do good || fail "login $i"; done
wait_until "$WAIT" three_run
n=$(spawned)
in_ns cl timeout 20 openssl s_client -connect 192.0.2.1:443 <> <(:) >"$dir/log/idle" 2>&1 &
idle=$!
four_run() { [ "$(edges | wc -l)" = 4 ]; }
wait_until 5 four_run
wait_until 10 three_run
wait $idle || true
[ "$(grep -c 'event=child_died' "$log")" = 1 ] || fail "a process died: $(grep event=child_died "$log")"
pass "the time limit ends an edge whose last client stays"
for name in t u1 u2 u3 u4; do client_stop $name; done
gateway_stop
