#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# What ends a session or keeps it out: too many of one user (refused, or the oldest goes), roaming,
# idling while pings go on, the session's time over reconnects, the cookie's time.
# shellcheck source=tests/integration/lib.sh
. "$(dirname "$0")/lib.sh"

for tool in curl jq nft; do
	command -v $tool >/dev/null || skip "needs $tool"
done
ground
ip -n cl addr add 192.0.2.77/24 dev eth0
access='.["penstock:penstock"].authentication'
network='.["penstock:penstock"].network'
gateway_start "${access}[\"max-same-clients\"] = 1"
log=$dir/log/controlplane

reconfigure() { # reconfigure JQ-FILTER
	configure "$1"
	ctl reload >/dev/null || fail "reload: $1"
}
cookie_of() {
	echo secret | ns cl openconnect --authenticate --passwd-on-stdin -u test \
		--servercert "$(pin server)" https://192.0.2.1 2>/dev/null | sed -n "s/^COOKIE='\(.*\)'/\1/p"
}
connect_from() { # connect_from ADDRESS COOKIE: the status of a CONNECT
	set -- "$1" "${2##*webvpn=}"
	ns cl timeout 20 python3 -c '
import socket, ssl, sys
c = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
c.check_hostname, c.verify_mode = False, ssl.CERT_NONE
s = c.wrap_socket(socket.create_connection(("192.0.2.1", 443), 10, (sys.argv[1], 0)))
s.sendall(b"CONNECT /CSCOSSLC/tunnel HTTP/1.1\r\nHost: x\r\nCookie: webvpn=" + sys.argv[2].encode() +
	b"\r\nX-CSTP-Address-Type: IPv4\r\n\r\n")
print(s.recv(4096).split()[1].decode())' "$@"
}
ended() { ! kill -0 "${client_pids[$1]}" 2>/dev/null; }
seconds_of() { # seconds_of REASON: how long the last session that ended for it had its tunnel
	grep "event=disconnect .*reason=$1 " "$log" | tail -1 | sed 's/.*duration=\([0-9]*\).*/\1/'
}

# --- as many as allowed: one more is refused, or replaces the oldest ---
client a
client_wait a
expect_ping a 198.51.100.2
status=$(ns cl curl -sk -D "$dir/head" -o /dev/null -w '%{http_code}' -d 'username=test&password=secret' https://192.0.2.1/auth)
[ "$status" = 503 ] || fail "a second session gets $status, expected 503"
grep -qi '^X-Reason: Too many sessions of this user' "$dir/head" || fail "no reason: $(cat "$dir/head")"
expect_ping a 198.51.100.2
pass "one more than max-same-clients is refused, and told why"

reconfigure "${access}[\"max-same-clients\"] = 1 | ${access}[\"max-same-clients-action\"] = \"replace-oldest\""
old=$(ctl --json show session test | jq -r '.[0].id')
cookie=$(cookie_of)
[ -n "$cookie" ] || fail "the user cannot log in once more"
expect_ping a 198.51.100.2 # a login alone takes no tunnel away
COOKIE=$cookie client b
client_wait b
wait_log "$dir/log/client-a" "Received server disconnect: b0 'Replaced by a newer session of this user'"
wait_until 20 ended a
expect_ping b 198.51.100.2
grep -q "event=displaced session=$old\..* user=test" "$log" || fail "the log does not name the replaced session"
grep -q "event=disconnect session=$old\..* reason=displaced" "$log" || fail "the log does not say how it ended"
grep -q "Reconnect\|Attempting to connect" <(sed '1,/Received server disconnect/d' "$dir/log/client-a") &&
	fail "the replaced client comes back"
[ "$(ctl --json show sessions | jq length)" = 1 ] || fail "not one session: $(ctl show sessions)"
pass "the oldest session goes, its client is told why and does not come back"

# Its own way back is never closed to a client.
kill -USR2 "${client_pids[b]}"
wait_log "$dir/log/client-b" 'script: reconnected'
wait_until "$WAIT" in_vpn b ping -qc1 -W1 198.51.100.2
kill -9 "${client_pids[b]}"
COOKIE=$cookie client c
client_wait c
expect_ping c 198.51.100.2
client_stop c
pass "a client comes back by its cookie"

# --- roaming ---
for deny in true false; do
	reconfigure "${access}[\"deny-roaming\"] = $deny"
	cookie=$(cookie_of)
	here_=$(connect_from 192.0.2.2 "$cookie")
	away=$(connect_from 192.0.2.77 "$cookie")
	[ "$here_" = 200 ] || fail "deny-roaming $deny: the cookie gets $here_ where it was given to"
	[ "$away" = "$([ $deny = true ] && echo 401 || echo 200)" ] || fail "deny-roaming $deny: the cookie gets $away elsewhere"
	ctl disconnect user test >/dev/null
done
# DTLS from another address than TLS.
ns cl nft -f - <<-END
	table ip t {
		chain p {
			type nat hook postrouting priority 100;
			udp dport 443 ip saddr 192.0.2.2 snat to 192.0.2.77
		}
	}
END
client d
client_wait d
client_wait_dtls d
client_stop d
reconfigure "${access}[\"deny-roaming\"] = true"
client e
client_wait e
expect_ping e 198.51.100.2
wait_log "$dir/log/client-e" 'DTLS handshake (failed|timed out)'
[ "$(session_field test channel)" = TLS ] || fail "DTLS from another address in spite of deny-roaming"
client_stop e
ns cl nft delete table ip t
client f
client_wait_dtls f
client_stop f
pass "deny-roaming: cookie and DTLS are good only where the login came from"

# --- idle: pings are no use, other packets are ---
reconfigure "${network}[\"idle-timeout\"] = 8"
client g
client_wait g
(while ! ended g; do in_vpn g ping -qc 5 -i 0.2 -W 1 198.51.100.2 >/dev/null || true; done) &
pings=$!
wait_log "$log" 'event=disconnect .*reason=idle' 40
[ "$(seconds_of idle)" -le 15 ] || fail "ended after $(seconds_of idle) s with an idle timeout of 8 s"
wait_until 20 ended g
wait $pings
grep -q "Received server disconnect: b0 'Idle for too long'" "$dir/log/client-g" || fail "the idle client is not told"
pass "an idle session ends although it pings"

client h
client_wait h
begin=$SECONDS
in_vpn h timeout 20 python3 -c '
import select, socket, time
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
end = time.monotonic() + 18
while time.monotonic() < end:
	s.sendto(b"x", ("198.51.100.2", 9))
	select.select([], [], [], 0.5)'
[ $((SECONDS - begin)) -ge 17 ] || fail "the sender ended early"
in_vpn h ping -qc 2 -i 0.2 -W 2 198.51.100.2 >/dev/null || fail "a session with traffic was ended"
wait_until 30 ended h # now it idles
pass "a session with traffic goes on until that ends"

# --- the session's time goes on over reconnects ---
reconfigure "${network}[\"session-timeout\"] = 14"
cookie=$(cookie_of)
COOKIE=$cookie client i
client_wait i
begin=$SECONDS
reconnects() { grep -c 'script: reconnected' "$dir/log/client-i"; }
n=0
while [ $n -lt 3 ] && [ $((SECONDS - begin)) -lt 9 ]; do
	n=$((n + 1))
	kill -USR2 "${client_pids[i]}" || fail "the client is gone after $((SECONDS - begin)) s"
	again() { [ "$(reconnects)" -ge $n ]; }
	wait_until 20 again
done
wait_until 30 ended i
took=$((SECONDS - begin))
{ [ $took -ge 9 ] && [ $took -le 22 ]; } || fail "a session of 14 s took $took s"
[ "$(connect_with "$cookie")" = 401 ] || fail "the cookie outlives the session's time"
pass "reconnects do not prolong a session"
# Disconnected when its time comes: as dead.
reconfigure "${network}[\"session-timeout\"] = 6"
cookie=$(cookie_of)
COOKIE=$cookie client j
client_wait j
begin=$SECONDS
kill -9 "${client_pids[j]}"
over() { [ $((SECONDS - begin)) -ge 7 ]; }
wait_until 20 over
[ "$(connect_with "$cookie")" = 401 ] || fail "a disconnected session comes back after its time"
pass "a session's time goes on without a connection"

# --- the cookie's time ---
reconfigure "${access}[\"cookie-timeout\"] = 10"
cookie=$(cookie_of)
COOKIE=$cookie client k
client_wait k
kill -9 "${client_pids[k]}"
[ "$(connect_with "$cookie")" = 200 ] || fail "the cookie is dead at once"
gone() { ! ctl --json show sessions | jq -e --arg u test 'any(.[]; .user == $u)' >/dev/null; }
begin=$SECONDS
wait_until 40 gone
[ $((SECONDS - begin)) -ge 8 ] || fail "the cookie lived $((SECONDS - begin)) s, expected 10"
[ "$(connect_with "$cookie")" = 401 ] || fail "the cookie outlives its time"
pass "a cookie lives for its time"
gateway_stop
