#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# TLS sessions are resumed by ticket whichever edge a client lands on, and by edges that were
# started anew; tickets of another secret are no harm.
# shellcheck source=tests/integration/lib.sh
. "$(dirname "$0")/lib.sh"

command -v openssl >/dev/null || skip "needs openssl"
ground
gateway_start

# tls OPTIONS...: one connection with a request, which lets a TLS 1.3 client see its tickets.
tls() {
	printf 'GET /no/such/page HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n' |
		ns cl timeout 20 openssl s_client -connect 192.0.2.1:443 -ign_eof "$@" 2>&1
}

# resume VERSION TRIES WHAT: a session of before is resumed so often.
resume() {
	local i
	for ((i = 0; i < $2; i++)); do
		tls "-$1" -sess_in "$dir/session-$1" >"$dir/s_client" || fail "$3: $1: $(cat "$dir/s_client")"
		grep -q '^Reused, ' "$dir/s_client" || fail "$3: $1: try $i was not resumed: $(cat "$dir/s_client")"
		grep -q '^HTTP/1.1 404' "$dir/s_client" || fail "$3: $1: no answer: $(cat "$dir/s_client")"
	done
}

# role_pids ROLE: of the children, by their command line
role_pids() { pgrep -f -- "--role $1" || true; }

for version in tls1_2 tls1_3; do
	tls -$version -sess_out "$dir/session-$version" >"$dir/s_client" || fail "$version: $(cat "$dir/s_client")"
	grep -q '^New, ' "$dir/s_client" || fail "$version: the first is no full handshake"
	resume $version 10 "two edges"
done
pass "TLS 1.2 and 1.3: ten of ten resumed"

grep 'event=handshake .*resumed=1' "$dir/log/controlplane" | grep -o 'index=[0-9]*' | sort | uniq -c >"$dir/edges" || true
[ "$(awk '{n += $1} END {print n}' "$dir/edges")" = 20 ] || fail "the edges counted otherwise: $(cat "$dir/edges")"

# One edge alone cannot answer while it is stopped: the other one resumes what it did not issue.
for edge in $(role_pids edge); do
	kill -STOP "$edge"
	resume tls1_2 3 "edge $edge stopped"
	resume tls1_3 3 "edge $edge stopped"
	kill -CONT "$edge"
done
pass "each edge resumes alone"

for _ in 1 2; do
	ready=$(grep -c 'event=certificates' "$dir/log/controlplane")
	# shellcheck disable=SC2046 # one word a process
	kill -9 $(role_pids edge)
	wait_until "$WAIT" sh -c "[ \$(grep -c event=certificates $dir/log/controlplane) -ge $((ready + 2)) ]"
	resume tls1_2 3 "edges killed"
	resume tls1_3 3 "edges killed"
done
kill -9 "$(role_pids auth)"
resume tls1_2 2 "auth killed"
resume tls1_3 2 "auth killed"
pass "resumed after kill -9 of the edges and of auth"

# Another secret: the tickets are foreign. The handshake is a full one, not a failure.
kill -TERM "$(supervisor_pid)"
wait "$controlplane_pid" || fail "the control plane stopped with status $?"
rm "$dir/state/cookie.key"
controlplane_start
for version in tls1_2 tls1_3; do
	tls -$version -sess_in "$dir/session-$version" >"$dir/s_client" || fail "foreign ticket: $(cat "$dir/s_client")"
	grep -q '^New, ' "$dir/s_client" || fail "$version: a ticket of another secret was taken: $(cat "$dir/s_client")"
	grep -q '^HTTP/1.1 404' "$dir/s_client" || fail "$version: foreign ticket: no answer: $(cat "$dir/s_client")"
done
pass "tickets of another secret lead to a full handshake"
