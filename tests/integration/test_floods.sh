#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# Floods: wrong passwords at full rate, half-open TLS connections and slow headers from many
# addresses. Others log in meanwhile, and memory stays bounded. FLOOD sets the number of connections.
# shellcheck source=tests/integration/lib.sh
. "$(dirname "$0")/lib.sh"

for tool in curl jq python3; do
	command -v $tool >/dev/null || skip "needs $tool"
done
: "${FLOOD:=3000}" # 10000 for the whole of it
ground
# The attackers' network; the user keeps his own address.
ip -n cl route add local 198.18.0.0/16 dev lo
ip -n gw route add 198.18.0.0/16 dev wan0
ulimit -n $((FLOOD + 1000))
access='.["penstock:penstock"].authentication'
gateway_start "${access}[\"brute-force\"] = {} | .[\"penstock:penstock\"][\"log-level\"] = \"info\""
log=$dir/log/controlplane

good() { ns cl curl -sk --max-time 30 --interface 192.0.2.2 -D - -o /dev/null -d 'username=test&password=secret' \
	https://192.0.2.1/auth | grep -qi '^set-cookie: webvpn=[A-Za-z0-9+/]'; }
rss_kb() { # of all processes of the control plane
	local pid
	for pid in $(pgrep -f penstock-controlplane); do
		awk '/^VmRSS/ { print $2 }' "/proc/$pid/status" 2>/dev/null || true
	done | awk '{ n += $1 } END { print n }'
}
logins() { # logins WHAT: five in turn, while the flood goes on
	local begin i
	for i in 1 2 3 4 5; do
		begin=$(date +%s%N)
		good || fail "$1: login $i of another user fails"
		echo "$1: login $i took $((($(date +%s%N) - begin) / 1000000)) ms"
	done >"$dir/log/logins"
	kill -0 "$flood" 2>/dev/null || fail "$1: the flood ended early: $(cat "$dir/log/flood")"
}
flood() { # flood KIND: in the background, until it is killed
	ns cl python3 "$here/floods.py" "$1" "$FLOOD" >"$dir/log/flood" 2>&1 &
	flood=$!
	wait_log "$dir/log/flood" '^going$' 120
}
flood_stop() {
	kill "$flood"
	wait "$flood" 2>/dev/null || true
}

good || fail "the first login"
before=$(rss_kb)

flood passwords
banned() { ctl --json show bans | jq -e 'any(.[]; .address == "198.18.0.1" and .banned and .refused > 1000)' >/dev/null; }
wait_until 60 banned
logins passwords
flood_stop
[ "$(grep -c 'event=ban address=198.18.0.1 ' "$log")" = 1 ] || fail "not one line for one ban"
refused=$(grep -c 'event=login_refused .*remote=198.18.0.1' "$log")
[ "$refused" -lt 200 ] || fail "$refused passwords were tried"
pass "wrong passwords at full rate: $refused tries, then a ban; others log in: $(tail -1 "$dir/log/logins")"

# Nobody is banned here, so that the flood goes on.
configure "${access}[\"brute-force\"] = {\"max-score\": 0} | .[\"penstock:penstock\"][\"log-level\"] = \"info\""
ctl reload >/dev/null || fail "reload"
for kind in silent hello headers; do
	flood $kind
	logins $kind
	flood_stop
	pass "$FLOOD connections ($kind): others log in: $(tail -1 "$dir/log/logins")"
done
after=$(rss_kb)
# As many WOLFSSL objects as edges may have connections, and the tables.
# AddressSanitizer keeps what was freed, 256 MB in each process.
grep -qF __asan_init "$BUILD/controlplane/penstock-controlplane" ||
	[ $((after - before)) -lt 400000 ] || fail "memory grew from $before to $after KB"
pass "memory: $before KB before, $after KB after"
grep -E 'event=child_died|level=error' "$log" && fail "a process died"
gateway_stop
