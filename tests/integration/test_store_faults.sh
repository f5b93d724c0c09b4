#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# The store's disk is full, or read-only; its file is of a newer version, or damaged. Tunnels go on, who
# cannot be remembered is refused with the reason, who was let in has a good cookie afterwards.
# shellcheck source=tests/integration/lib.sh
. "$(dirname "$0")/lib.sh"
command -v curl >/dev/null || skip "needs curl"

ground
mkdir -p "$dir/state"
mount -t tmpfs -o size=1m,mode=711 tmpfs "$dir/state"
gateway_start '."penstock:penstock".authentication["cookie-timeout"] = 600'
store=$dir/state/session/sessions.mdb

login() { # login: the status in $status, what the server says of it in $reason, and a good $cookie
	ns cl curl -sk -o "$dir/body" -D "$dir/head" -d 'username=test&password=secret' \
		https://192.0.2.1/auth || fail "the login got no answer"
	status=$(awk 'NR == 1 {print $2}' "$dir/head")
	reason=$(sed -n 's/^X-Reason: *//Ip' "$dir/head" | tr -d '\r')
	cookie=$(sed -n 's/^Set-Cookie: *webvpn=\([^;]*\).*/\1/Ip' "$dir/head" | tr -d '\r')
}
logs_in() { login; [ "$status" = 200 ]; }
store_is() { [ "$(ctl --json status | jq -r .sessions.store)" = "$1" ]; }
serving() { ctl --json status | jq -e .sessions.dataplane; }
session_dies() { # the session process is killed, and a new one serves
	kill -9 "$(pgrep -x ps-session)"
	: >"$dir/log/controlplane"
	wait_log "$dir/log/controlplane" 'event=reconciled'
}
controlplane_dies() {
	kill -9 "$controlplane_pid"
	wait "$controlplane_pid" 2>/dev/null || true
}
tunnels_go_on() { # tunnels_go_on WHEN: without a break since they were set up
	expect_ping a 198.51.100.2
	kill -0 "${client_pids[a]}" || fail "$1: the client has ended"
	[ "$(grep -c 'script: configured' "$dir/log/client-a")" = 1 ] || fail "$1: the client had to come again"
	pass "$1: the tunnel goes on"
}

client a
client_wait a
client_wait_dtls a
a4=$(inner4 a)
in_ns vpn-a ping -q -i 0.05 -W 2 198.51.100.2 >"$dir/steady" 2>&1 &
steady=$!

# ---- full

dd if=/dev/zero of="$dir/state/fill" bs=4k 2>/dev/null || true
truncate -s -65536 "$dir/state/fill"
good=()
for ((i = 0; i < 400; i++)); do
	login
	[ "$status" = 200 ] || break
	good+=("$cookie")
done
[ "$status" = 503 ] && [ "$reason" = "The session store is full" ] ||
	fail "a login that cannot be stored: $status, $reason, after ${#good[@]}"
grep -q 'event=store_fault file=session/sessions.mdb .*make room on the disk' "$dir/log/controlplane" ||
	fail "nobody is told what to do"
store_is full || fail "the status does not say it: $(ctl --json status)"
ctl status | grep -q '^Store .*full' || fail "penstockctl status does not say it"
[ ${#good[@]} -gt 0 ] || fail "the test left no room for a login"
pass "full after ${#good[@]} logins: refused, and said"
kill -USR2 "${client_pids[a]}" # the client connects anew, with its cookie
wait_log "$dir/log/controlplane" 'event=replace'
expect_ping a 198.51.100.2
[ "$(inner4 a)" = "$a4" ] || fail "another address after a reconnection"
pass "full: a client with a tunnel reconnects"
session_dies
grep -q 'event=reconciled connected=1 lost=0' "$dir/log/controlplane" || fail "a session was lost"
login
[ "$status" = 503 ] || fail "still full, and a login got $status"
expect_ping a 198.51.100.2

rm "$dir/state/fill"
mount -o remount,size=64m "$dir/state"
wait_until "$WAIT" logs_in
store_is ok || fail "it has room: $(ctl --json status | jq .sessions)"
printf '%s\n' "${good[@]}" | ns cl python3 -c '
import socket, ssl, sys
tls = ssl._create_unverified_context()
for cookie in sys.stdin.read().split():
    with tls.wrap_socket(socket.create_connection(("192.0.2.1", 443), 10)) as s:
        s.sendall(b"CONNECT /CSCOSSLC/tunnel HTTP/1.1\r\nHost: x\r\nCookie: webvpn=" + cookie.encode() +
            b"\r\nX-CSTP-Version: 1\r\nX-CSTP-Base-MTU: 1500\r\nX-CSTP-Address-Type: IPv4\r\n\r\n")
        assert s.recv(12) == b"HTTP/1.1 200", cookie
' || fail "a cookie that was given out is not good any more"
pass "room again: logins, and all ${#good[@]} cookies that were given out are good"

# ---- read-only: the whole machine's disk, as after an I/O error

controlplane_dies
wait_until "$WAIT" mount -o remount,ro "$dir/state" # the last writer has ended
controlplane_start
wait_until "$WAIT" serving
grep -q 'event=store_fault file=session/sessions.mdb error="Read-only file system"' "$dir/log/controlplane" ||
	fail "nobody is told that it is read-only"
login
[ "$status" = 503 ] && [ "$reason" = "The session store cannot be written" ] ||
	fail "a login that cannot be stored: $status, $reason"
store_is read-only || fail "the status does not say it"
expect_ping a 198.51.100.2
mount -o remount,rw "$dir/state"
nsenter -t "$controlplane_pid" -m mount -o remount,rw "$dir/state" # it has a copy of the mount
wait_until 30 logs_in
pass "read-only: refused, and said; writable again: logins"
[ "$(session_field test state | head -1)" != "" ] || fail "no session is left"

# ---- a newer version's

controlplane_dies
version() { # version FROM TO: in the format entry, which stands behind its magic number
	python3 - "$store" "$1" "$2" <<-'EOP'
		import sys
		path, old, new = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
		data = open(path, 'rb').read()
		a, b = (b'PSTK' + n.to_bytes(2, 'little') for n in (old, new))
		assert a in data
		open(path, 'r+b').write(data.replace(a, b))
	EOP
}
now=$(python3 - "$store" <<-'EOP'
	import sys
	data = open(sys.argv[1], 'rb').read()
	print(int.from_bytes(data[(at := data.index(b'PSTK')) + 4:at + 6], 'little'))
EOP
)
version "$now" 60000
sum=$(sha256sum <"$store")
! timeout "$WAIT" ip netns exec gw "$BUILD/controlplane/penstock-controlplane" -c "$dir/penstock.json" \
	>"$dir/log/controlplane" 2>&1 || fail "it starts with a newer version's store"
grep -q 'event=start text="a process could not start' "$dir/log/controlplane" || fail "it does not end by itself"
grep -q 'event=store_open file=session/sessions.mdb .*newer version.*start that version again' \
	"$dir/log/controlplane" || fail "nobody is told whose store it is"
[ "$(sha256sum <"$store")" = "$sum" ] || fail "a newer version's store was changed"
expect_ping a 198.51.100.2
version 60000 "$now"
controlplane_start
wait_log "$dir/log/controlplane" 'event=reconciled connected=[1-9][0-9]* lost=0'
pass "a newer version's store is left as it is"

# ---- damaged: tunnels whose records are lost go on under no name

connected=$(ctl --json status | jq .sessions.dataplane_sessions)
for damage in garbage cut empty; do
	controlplane_dies
	case $damage in
	garbage) python3 -c 'import random, sys; random.seed(1); f = open(sys.argv[1], "r+b"); n = f.seek(0, 2); f.seek(8192); f.write(random.randbytes(n - 8192))' "$store" ;;
	cut) truncate -s 12288 "$store" ;;
	empty) truncate -s 0 "$store" ;;
	esac
	controlplane_start
	wait_log "$dir/log/controlplane" "event=reconciled connected=$connected lost=0"
	grep -q 'event=store_set_aside file=session/sessions.mdb kept_as=session/sessions.mdb.bad-' \
		"$dir/log/controlplane" || fail "$damage: nobody is told where the file is"
	logs_in || fail "$damage: nobody logs in: $status"
	[ "$(ctl --json show sessions | jq --arg a "$a4" '[.[] | select(.ipv4 == $a)] | length')" = 1 ] ||
		fail "$damage: not one session has the tunnel's address"
	expect_ping a 198.51.100.2
	# The file's name ends with the second.
	rm "$dir"/state/session/*.bad-*
	pass "$damage: begun anew, the tunnel goes on"
done
kill -INT "$steady"
wait "$steady" || true
grep -q ' 0% packet loss' "$dir/steady" || fail "packets were lost: $(cat "$dir/steady")"
client_stop a
pass "a tunnel without a record ends as any other"
gateway_stop
