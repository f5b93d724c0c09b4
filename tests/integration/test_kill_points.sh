#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# test_kill_points.sh [ROUNDS [SEED]]: kill -9 of control-plane processes at random moments and at
# chosen steps of login, DTLS set-up, reconnection, disconnect and reload. After each: every address
# has one owner, the store has what the dataplane has, connect and disconnect scripts are balanced;
# and over all of it established tunnels lose nothing. The seed is printed: the same seed makes the
# same choices.
# shellcheck source=tests/integration/lib.sh
. "$(dirname "$0")/lib.sh"

ROUNDS=${1:-${KILL_ROUNDS:-20}}
SEED=${2:-${KILL_SEED:-$((($(date +%s) + $$) % 32768))}}
echo "rounds $ROUNDS, seed $SEED: repeat with $0 $ROUNDS $SEED"
RANDOM=$SEED

ground
cat >"$dir/script" <<-'EOS'
	#!/bin/bash
	echo "$REASON $ID" >>/run/test/scripts.log
EOS
chmod 755 "$dir/script"
: >"$dir/scripts.log"
gateway_start '."penstock:penstock" |= (.authentication["cookie-timeout"] = 10 |
	.scripts = {"connect": "@DIR@/script", "disconnect": "@DIR@/script", "required": true})'

pick() { # pick WORD...: one of them in $picked (a subshell would have random numbers of its own)
	shift $((RANDOM % $#))
	picked=$1
}

pids_of() { # pids_of ROLE
	if [ "$1" = all ]; then
		pgrep -x 'ps-(auth|edge|session|script)' || true
	else
		pgrep -x "ps-$1" || true
	fi
}

# Moments: a step that a log line tells of, or some time.
declare -A steps
steps[login]='event=request event=login.*session= event=connect event=tunnel script=connect'
steps[dtls]='event=dtls event=dtls_up event=tunnel'
steps[reconnect]='event=request event=connect event=replace event=tunnel'
steps[disconnect]='event=disconnect event=session_deleted script=disconnect'
steps[reload]='event=reload_asked event=reload event=config'

kill_at() { # kill_at ROLE MOMENT LINES: the log line after LINES lines, or so many ms from now
	case $2 in
	*=*)
		# Not every step comes each time: then it is killed all the same.
		timeout 2 grep -qE -m1 -- "$2" \
			<(tail -n "+$(($3 + 1))" -s 0.01 --pid=$$ -F "$dir/log/controlplane" 2>/dev/null) || true ;;
	*) read -rt "0.$(printf %03d "$2")" <> <(:) || true ;;
	esac
	local victims
	if [ "$1" = supervisor ]; then
		kill -9 "$controlplane_pid"
		wait "$controlplane_pid" 2>/dev/null || true
		controlplane_start
		return
	fi
	mapfile -t victims < <(pids_of "$1")
	[ ${#victims[@]} -eq 0 ] || kill -9 "${victims[@]}" 2>/dev/null || true
}

ended() { ! kill -0 "$1" 2>/dev/null; }
configured() { grep -q 'script: configured' "$dir/log/client-$1"; }
in_or_out() { configured "$1" || ended "${client_pids[$1]}"; }

# The client gets in; a login that was killed half-way is repeated, as its user would.
client_in() { # client_in NAME
	wait_until 30 in_or_out "$1"
	local tries=0
	until configured "$1"; do
		tries=$((tries + 1))
		[ $tries -le 8 ] || fail "client $1 does not get in any more"
		wait_until "$WAIT" serving
		client "$1"
		wait_until 30 in_or_out "$1"
	done
}

# ---- invariants

serving() {
	local role
	for role in auth edge session script; do pgrep -x "ps-$role" >/dev/null || return 1; done
	ctl --json status | jq -e '.sessions.dataplane' >/dev/null
}

# What the store has connected is what the dataplane has, address by address.
agree() {
	ctl --json status >"$dir/status.json" && ctl --json show sessions >"$dir/sessions.json" &&
		jq -e --slurpfile s "$dir/status.json" '
			[.[] | select(.state == "connected")] as $up |
			($up | length) == $s[0].sessions.dataplane_sessions and
			([$up[] | select(.worker != null)] | length) == ($up | length) and
			([.[].ipv4 | select(. != "")] | length == (unique | length)) and
			([.[].ipv6 | select(. != "")] | length == (unique | length))' "$dir/sessions.json" >/dev/null
}

# Every address that is leased belongs to a session that has it.
leases_agree() {
	ctl --json show leases | jq -e --slurpfile s "$dir/sessions.json" '
		[.leases[] | select(.in_use) | [.session, .address]] as $leased |
		([$s[0][] | .id as $i | (.ipv4, (.ipv6 | split("/")[0])) | select(. != "" and . != null) | [$i, .]]) as $held |
		($leased | sort) == ($held | sort)' >/dev/null
}

holds() { # holds SECONDS CONDITION WHAT
	local end=$((SECONDS + $1))
	until "$2"; do
		[ $SECONDS -lt $end ] || fail "$3: not true: $2: $(ctl --json status | jq -c .sessions) \
			$(ctl --json show sessions | jq -c '.[] | [.id, .state, .ipv4, .ipv6, .worker]') \
			$(ctl --json show leases | jq -c '.leases[] | select(.in_use)')"
		read -rt 0.1 <> <(:) || true
	done
}

check() { # check WHAT
	holds "$WAIT" serving "$1"
	# A session whose client did not come to its end is given up after 15 s.
	holds 40 agree "$1"
	holds "$WAIT" leases_agree "$1"
	[ "$(jq '[.[] | select(.state == "connected" and (.ipv4 == $d or .ipv4 == $t))] | length' \
		--arg d "$d4" --arg t "$t4" "$dir/sessions.json")" = 2 ] ||
		fail "$1: an established session was lost: $(cat "$dir/sessions.json")"
}

# ---- the tunnels that must not notice

client d
client_wait d
client_wait_dtls d
client t --no-dtls
client_wait t
d4=$(inner4 d) t4=$(inner4 t)
expect_ping d 198.51.100.2
expect_ping t 198.51.100.2
declare -A pings
for n in d t; do
	in_ns "vpn-$n" ping -q -i 0.02 -W 2 198.51.100.2 >"$dir/steady-$n" 2>&1 &
	pings[$n]=$!
done

round() { # round NUMBER
	local op role moment lines again
	pick login dtls reconnect disconnect reload
	op=$picked
	pick edge auth session script all supervisor
	role=$picked
	pick '' '' edge auth session script
	again=$picked
	# shellcheck disable=SC2086
	pick ${steps[$op]} $((RANDOM % 400)) $((RANDOM % 100))
	moment=$picked
	echo "round $1: $op, $role killed at $moment${again:+, then $again}"
	case $op in
	reconnect | disconnect)
		client k
		client_in k
		expect_ping k 198.51.100.2 ;;
	esac
	lines=$(wc -l <"$dir/log/controlplane")
	case $op in
	login | dtls) client k ;;
	reconnect) kill -USR2 "${client_pids[k]}" ;;
	disconnect) kill -INT "${client_pids[k]}" ;;
	reload) kill -HUP "$controlplane_pid" ;;
	esac
	kill_at "$role" "$moment" "$lines"
	[ -z "$again" ] || kill_at "$again" $((RANDOM % 300)) 0
	case $op in
	login | dtls)
		client_in k
		wait_until "$WAIT" in_vpn k ping -qc1 -W1 198.51.100.2 ;;
	reconnect) # by its cookie, or once more with its password when that was too late
		wait_until 30 in_vpn k ping -qc1 -W1 198.51.100.2 ;;
	reload)
		wait_until "$WAIT" serving
		client k
		client_in k
		expect_ping k 198.51.100.2 ;;
	esac
	check "round $1"
	[ "$op" = disconnect ] || kill -INT "${client_pids[k]}" 2>/dev/null || true
	wait "${client_pids[k]}" 2>/dev/null || true
}

for ((i = 1; i <= ROUNDS; i++)); do
	round "$i"
done

# ---- nothing is left behind

only_two() { agree && [ "$(jq length "$dir/sessions.json")" = 2 ] && leases_agree; }
wait_until 60 only_two
for n in d t; do
	kill -INT "${pings[$n]}"
	wait "${pings[$n]}" || true
	grep -q ' 0% packet loss' "$dir/steady-$n" || fail "client $n lost packets: $(cat "$dir/steady-$n")"
done
pass "$ROUNDS rounds: store, dataplane and addresses agree, established tunnels lost nothing"

kill -INT "${client_pids[d]}" "${client_pids[t]}"
none_left() { [ "$(ctl --json show sessions | jq length)" = 0 ]; }
wait_until 60 none_left
# Every connect has its disconnect. A killed script process runs what it ran again, so: by id; and
# one whose outcome nobody heard may have a disconnect without a connect.
scripts_balanced() {
	[ "$(ctl --json status | jq .sessions.scripts_due)" = 0 ] &&
		[ -z "$(comm -23 <(awk '$1 == "connect" {print $2}' "$dir/scripts.log" | sort -u) \
			<(awk '$1 == "disconnect" {print $2}' "$dir/scripts.log" | sort -u))" ]
}
wait_until "$WAIT" scripts_balanced
pass "each connect script has its disconnect script"
gateway_stop
