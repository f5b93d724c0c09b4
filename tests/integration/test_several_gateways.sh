#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# Two gateways share sessions through a real Redis server: a client whose gateway is killed comes back to
# the other by its cookie, with the same addresses; the first does not think that it still has it; no
# address is two sessions'; a server that dies, or lies, costs nobody his tunnel.
# test_several_gateways.sh [SEED]
# shellcheck source=tests/integration/lib.sh
. "$(dirname "$0")/lib.sh"
for tool in curl redis-server redis-cli python3; do
	command -v $tool >/dev/null || skip "needs $tool"
done
SEED=${1:-$((($(date +%s) + $$) % 32768))}
echo "seed $SEED: repeat with $0 $SEED"

# cl --a-- ga --a-- lan, and the same by b. The name 192.0.2.1 is the gateway's that the route leads to.
add_ns ga gb cl lan
for n in a b; do
	link g$n wan0 cl to$n
	link g$n lan0 lan to$n
	addr g$n wan0 192.0.2.1/24 2001:db8:1::1/64
	ns g$n sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1
done
addr ga wan0 192.0.2.11/24
addr gb wan0 192.0.2.12/24
addr ga lan0 198.51.100.1/24
addr gb lan0 198.51.100.3/24
addr cl toa 192.0.2.2/32
ip -n lan addr add 198.51.100.2/32 dev lo
ip -n lan route add 198.51.100.1 dev toa src 198.51.100.2
ip -n lan route add 198.51.100.3 dev tob src 198.51.100.2
ip -n cl route add 192.0.2.11 dev toa src 192.0.2.2
ip -n cl route add 192.0.2.12 dev tob src 192.0.2.2
ns ga ip route add 192.0.2.2 dev wan0
ns gb ip route add 192.0.2.2 dev wan0
towards() { # towards NODE: clients reach this one, and so do answers from the LAN
	local hop=198.51.100.1
	[ "$1" = a ] || hop=198.51.100.3
	ip -n cl route replace 192.0.2.1 dev "to$1" src 192.0.2.2
	ip -n lan route replace default via $hop dev "to$1" src 198.51.100.2
}
towards a

certificate server ec "IP:192.0.2.1,DNS:vpn.example.net"
user test secret
(umask 077 && head -c 32 /dev/urandom >"$dir/sessions.key" && echo 'open sesame' >"$dir/redis.password")
redis_start() {
	in_ns lan redis-server --bind 198.51.100.2 --port 6379 --unixsocket "$dir/redis.sock" --save '' \
		--appendonly no --requirepass 'open sesame' >>"$dir/log/redis" 2>&1 &
	redis_pid=$!
	wait_until "$WAIT" redis ping
}
redis() { REDISCLI_AUTH='open sesame' redis-cli -s "$dir/redis.sock" "$@"; }
keys() { redis --raw keys 'penstock:s:*'; }
redis_start

declare -A cp dp
start() { # start NODE: a by the UNIX socket, b by TCP
	mkdir -p "$dir/$1/run"
	configure '."penstock:penstock"'"|= (.[\"shared-store\"] = $(doc_example test_several_gateways.sh |
		jq -c '.["shared-store"]') | .[\"state-directory\"] = \"@DIR@/$1/state\" |
		.[\"run-directory\"] = \"@DIR@/$1/run\" | .[\"shared-store\"].node = \"$1\")"
	[ "$1" = a ] && jq --arg s "$dir/redis.sock" '."penstock:penstock"."shared-store" |=
		(del(.address) | .socket = $s)' "$dir/penstock.json" >"$dir/$1.json" ||
		cp "$dir/penstock.json" "$dir/$1.json"
	in_ns "g$1" "$BUILD/dataplane/penstock-dataplane" -c "$dir/$1.json" \
		--socket "$dir/$1/run/dataplane.sock" >>"$dir/log/dataplane-$1" 2>&1 &
	dp[$1]=$!
	wait_until "$WAIT" test -S "$dir/$1/run/dataplane.sock"
	: >"$dir/log/controlplane-$1"
	in_ns "g$1" "$BUILD/controlplane/penstock-controlplane" -c "$dir/$1.json" \
		>>"$dir/log/controlplane-$1" 2>&1 &
	cp[$1]=$!
	wait_log "$dir/log/controlplane-$1" 'event=ready'
	wait_log "$dir/log/controlplane-$1" 'event=share_state server=up'
}
on() { # on NODE CTL...
	local n=$1
	shift
	ns "g$n" "$BUILD/tools/cli/penstockctl" --socket "$dir/$n/run/control.sock" "$@"
}
sessions() { on "$1" --json show sessions | jq length; }
sessions_are() { [ "$(sessions "$1")" = "$2" ]; }
start a
start b

client c
client_wait c
c4=$(inner4 c) c6=$(inner6 c)
expect_ping c 198.51.100.2
[ "$(sessions a)/$(sessions b)" = 1/0 ] || fail "not one session, and at a: $(sessions a)/$(sessions b)"
[ "$(keys | wc -l)" = 1 ] || fail "the shared store has not the session"
redis --raw hget "$(keys)" r | grep -qa test && fail "the server can read the record"
pass "a session is in the shared store, sealed"

# ---- the gateway dies, with all that it is

mapfile -t children < <(pgrep -P "${cp[a]}")
killed=$(date +%s%3N)
kill -9 "${cp[a]}" "${children[@]}" "${dp[a]}"
wait "${cp[a]}" "${dp[a]}" 2>/dev/null || true
towards b
wait_log "$dir/log/controlplane-b" 'event=session_taken' 60
wait_until 60 in_vpn c ping -qc1 -W1 198.51.100.2
after=$(($(date +%s%3N) - killed))
[ "$(inner4 c)/$(inner6 c)" = "$c4/$c6" ] || fail "other addresses: $(inner4 c) $(inner6 c), not $c4 $c6"
[ "$(on b --json show sessions | jq -r '.[].ipv4')" = "$c4" ] || fail "b does not have the session"
! grep -q 'event=login ' "$dir/log/controlplane-b" || fail "it needed a password"
kill -0 "${client_pids[c]}" || fail "the client has ended"
pass "its client comes to the other, by its cookie, with $c4 and $c6, after $after ms"

# ---- the server dies; the first gateway comes back

login() { # login NODE: status and reason
	ns cl curl -sk -m 10 -o /dev/null -D "$dir/head" -d 'username=test&password=secret' \
		"https://192.0.2.1$([ "$1" = a ] && echo 1 || echo 2)/auth" || fail "no answer from $1"
	status=$(awk 'NR == 1 {print $2}' "$dir/head")
	reason=$(sed -n 's/^X-Reason: *//Ip' "$dir/head" | tr -d '\r')
}
kill -9 "$redis_pid"
wait "$redis_pid" 2>/dev/null || true
wait_log "$dir/log/controlplane-b" 'event=share_state server=away'
login b
[ "$status/$reason" = "503/The shared session store is not there" ] || fail "a login meanwhile: $status $reason"
expect_ping c 198.51.100.2
kill -USR2 "${client_pids[c]}"
wait_log "$dir/log/controlplane-b" 'event=replace'
wait_until "$WAIT" in_vpn c ping -qc1 -W1 198.51.100.2
pass "without the server: tunnels go on, their clients reconnect, nobody new"
: >"$dir/log/controlplane-b"
redis_start
wait_log "$dir/log/controlplane-b" 'event=share_state server=up'
has_key() { [ "$(keys | wc -l)" = 1 ]; }
wait_until "$WAIT" has_key
start a
wait_log "$dir/log/controlplane-a" 'event=session_moved'
sessions_are a 0 || fail "a still has $(sessions a) sessions"
expect_ping c 198.51.100.2
[ "$(on b --json show sessions | jq -r '.[].ipv4')" = "$c4" ] || fail "b has lost the session to a"
pass "the server is filled anew; the first gateway does not take the session back"

# ---- one owner an address, whoever logs in where and connects where

cat >"$dir/talk.py" <<-'EOP'
	import re, socket, ssl
	tls = ssl._create_unverified_context()
	def talk(gateway, request):
	    with tls.wrap_socket(socket.create_connection((gateway, 443), 10)) as s:
	        s.sendall(request.encode())
	        data = b""
	        while b"\r\n\r\n" not in data:
	            more = s.recv(4096)
	            if not more:
	                break
	            data += more
	        return data.decode()
	def connect(gateway, cookie):
	    return talk(gateway, "CONNECT /CSCOSSLC/tunnel HTTP/1.1\r\nHost: x\r\nCookie: webvpn=" + cookie +
	        "\r\nX-CSTP-Version: 1\r\nX-CSTP-Base-MTU: 1500\r\nX-CSTP-Address-Type: IPv6,IPv4\r\n"
	        "X-CSTP-Full-IPv6-Capability: true\r\n\r\n")
	def addresses(answer):
	    assert answer.startswith("HTTP/1.1 200"), answer
	    return re.findall(r"X-CSTP-Address(?:-IP6)?: ([0-9a-f.:]+)", answer)
EOP
cat >"$dir/crowd.py" <<-'EOP'
	import random, re, sys
	from talk import addresses, connect, talk
	random.seed(int(sys.argv[1]))
	gateways = ["192.0.2.11", "192.0.2.12"]
	seen = {sys.argv[2]: "c", sys.argv[3]: "c"}
	cookies = []
	def login(gateway):
	    body = "username=test&password=secret"
	    answer = talk(gateway, "POST /auth HTTP/1.1\r\nHost: x\r\nContent-Type: "
	        "application/x-www-form-urlencoded\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))
	    return re.search(r"webvpn=([^;]+)", answer).group(1)
	for i in range(30):
	    cookie = login(random.choice(gateways))
	    got = addresses(connect(random.choice(gateways), cookie))
	    assert len(got) == 2, got
	    for a in got:
	        assert a not in seen, "%s has %s, which is %s's" % (i, a, seen[a])
	        seen[a] = str(i)
	    cookies.append((cookie, got))
	for cookie, got in random.sample(cookies, 10):  # and again, anywhere
	    now = addresses(connect(random.choice(gateways), cookie))
	    assert now == got, (now, got)
	cookie = login(gateways[0])
	addresses(connect(gateways[0], cookie))
	print(cookie) # of a session that only a has
EOP
: >"$dir/log/crowd"
cookie=$(ns cl python3 "$dir/crowd.py" "$SEED" "$c4" "$c6" 2>>"$dir/log/crowd") || fail "the crowd: $(tail -3 "$dir/log/crowd")"
pass "30 logins over both gateways: no address twice, the same ones when they come again"

# ---- a gateway that was cut off does not bring back what has ended meanwhile

cat >"$dir/one.py" <<-'EOP'
	import re, sys
	from talk import connect
	answer = connect(sys.argv[1], sys.argv[2])
	print(answer.split()[1], *re.findall(r"X-CSTP-Address: ([0-9.]+)", answer))
EOP
connects() { ns cl python3 "$dir/one.py" "192.0.2.1$1" "$2"; } # connects 1|2 COOKIE: status, address
login b
token=$(sed -n 's/^Set-Cookie: webvpn=\([^;]*\);.*/\1/Ip' "$dir/head" | head -1)
read -r status address < <(connects 2 "$token")
[ "$status" = 200 ] || fail "CONNECT at b: $status"
shared_address() { [ -n "$(redis get "$(redis --raw keys 'penstock:a:*' | head -1)")" ]; }
wait_until "$WAIT" shared_address
: >"$dir/log/controlplane-b"
ns gb nft -f - <<-END
	table inet cut {
		chain out {
			type filter hook output priority filter;
			ip daddr 198.51.100.2 tcp dport 6379 drop
		}
	}
END
wait_log "$dir/log/controlplane-b" 'event=share_state server=away' 40
read -r status again < <(connects 1 "$token")
[ "$status/$again" = "200/$address" ] || fail "CONNECT at a: $status $again"
on a disconnect id "$(on a --json show sessions | jq -r --arg a "$address" '.[] | select(.ipv4 == $a) | .id')" >/dev/null ||
	fail "disconnect at a"
refused_at_a() { [ "$(connects 1 "$token")" = 401 ]; }
wait_until "$WAIT" refused_at_a
ns gb nft delete table inet cut
wait_log "$dir/log/controlplane-b" 'event=share_state server=up' 40
gone_at_b() { [ "$(on b --json show sessions | jq --arg a "$address" '[.[] | select(.ipv4 == $a)] | length')" = 0 ]; }
wait_until "$WAIT" gone_at_b
for n in 1 2; do
	[ "$(connects $n "$token")" = 401 ] || fail "a session that was ended is back at gateway $n"
done
pass "a gateway that was cut off does not bring back a session that was ended"

# ---- the server lies

for key in $(keys); do redis hset "$key" r "$(head -c 3000 /dev/zero | tr '\0' x)" o nobody >/dev/null; done
answer=$(ns cl timeout 10 python3 - "$cookie" <<-'EOP'
	import socket, ssl, sys
	tls = ssl._create_unverified_context()
	with tls.wrap_socket(socket.create_connection(("192.0.2.12", 443), 10)) as s:
	    s.sendall(("CONNECT /CSCOSSLC/tunnel HTTP/1.1\r\nHost: x\r\nCookie: webvpn=%s\r\n"
	        "X-CSTP-Version: 1\r\nX-CSTP-Address-Type: IPv4\r\n\r\n" % sys.argv[1]).encode())
	    print(s.recv(12).decode()[-3:])
EOP
)
[ "$answer" = 401 ] || fail "an altered record was taken: $answer"
grep -q 'event=share_record' "$dir/log/controlplane-b" || fail "nobody says why"
pass "a record that was altered is refused"

for n in a b; do
	kill -TERM "${cp[$n]}"
	wait "${cp[$n]}" || fail "the control plane of $n stopped with status $?"
	kill -TERM "${dp[$n]}"
	wait "${dp[$n]}" || fail "the dataplane of $n stopped with status $?"
done
