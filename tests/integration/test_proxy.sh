#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# Behind a real haproxy with the PROXY protocol, versions 1 and 2: bans, deny-roaming, accounting and
# scripts see the client's address; who may not name addresses, or names none, is refused.
# shellcheck source=tests/integration/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/integration/radius.sh
. "$(dirname "$0")/radius.sh"

for tool in haproxy curl; do
	command -v $tool >/dev/null || skip "needs $tool"
done
# cl (two clients, 203.0.113.2 and .77) -- px (haproxy) -- gw
ground
add_ns px
link px cl0 cl px1
link px gw0 gw px0
addr px cl0 203.0.113.1/24 2001:db8:8::1/64
addr cl px1 203.0.113.2/24 203.0.113.77/24 2001:db8:8::2/64
addr px gw0 10.9.0.2/24 2001:db8:9::2/64
addr gw px0 10.9.0.1/24 2001:db8:9::1/64
addr px gw0 10.9.0.3/24 # not trusted
{
	printf '%s\n' 'defaults' '	timeout connect 5s' '	timeout client 1h' '	timeout server 1h'
	sed -n '/^frontend vpn$/,/^```$/p' "$top/docs/operations/proxy.md" | grep -v '```' |
		sed 's/bind :443/bind :::443/'
	# The same with version 1, and over IPv6.
	printf '%s\n' 'frontend one' '	mode tcp' '	bind :::444 v4v6' '	default_backend one' \
		'backend one' '	mode tcp' '	server gw1 [2001:db8:9::1]:8443 send-proxy check check-send-proxy inter 100ms'
} >"$dir/haproxy.cfg"

: >"$dir/radius.users"
radius_server a 198.51.100.2
radius_start a
mkdir -p "$dir/runs"
# shellcheck disable=SC2016
printf '#!/bin/sh\necho "$REASON $USERNAME $IP_REAL $IP_REAL_LOCAL" >>/run/test/runs/log\n' >"$dir/script"
chmod 755 "$dir/script"
user test secret
user second secret
# shellcheck disable=SC2016
gateway_start ".[\"penstock:penstock\"] += $(doc_example test_proxy.sh)"' | ."penstock:penstock" |= (
	.radius = {"server": [{"name": "a", "address": "198.51.100.2", "secret-file": "\($dir)/radius.secret"}],
		"accounting": true}
	| .authentication["deny-roaming"] = true
	| .authentication["request-timeout"] = 2
	| .["health-path"] = "/health"
	| .scripts = {"connect": "\($dir)/script"}
	| .authentication["brute-force"] = {"max-score": 30, "points-wrong-password": 10, "points-connection": 1})'
in_ns px haproxy -f "$dir/haproxy.cfg" >"$dir/log/haproxy" 2>&1 &
haproxy_pid=$!
v2=https://203.0.113.1 v1=https://203.0.113.1:444 v1_ip6='https://[2001:db8:8::1]:444'
log=$dir/log/controlplane
answers() { ns cl curl -sk -m 5 -o "$dir/page" "$1/"; }
for url in $v2 $v1 "$v1_ip6"; do wait_until "$WAIT" answers "$url"; done

# Two clients behind the same proxy, and one over IPv6.
URL=$v2 client a --no-dtls
client_wait a
[ "$(session_field test remote_address)" = 203.0.113.2 ] || fail "version 2: remote $(session_field test remote_address)"
expect_ping a 198.51.100.2
LOGIN=second URL=$v1_ip6 client b --no-dtls
client_wait b
[ "$(session_field second remote_address)" = 2001:db8:8::2 ] || fail "version 1: remote $(session_field second remote_address)"
expect_ping b 2001:db8:2::2
pass "sessions have their clients' addresses, through versions 1 and 2"

grep -q '^connect test 203.0.113.2 203.0.113.1$' "$dir/runs/log" || fail "the script saw: $(cat "$dir/runs/log")"
grep -q '^connect second 2001:db8:8::2 2001:db8:8::1$' "$dir/runs/log" || fail "the script saw: $(cat "$dir/runs/log")"
calling() { record_there a ".\"User-Name\" == \"$1\" and .\"Calling-Station-Id\" == \"$2\""; }
wait_until "$WAIT" calling test 203.0.113.2
wait_until "$WAIT" calling second 2001:db8:8::2
grep -q 'event=tunnel remote=203.0.113.2:' "$log" || fail "the log has not the client's address"
pass "scripts, accounting and the log too"

# deny-roaming: the cookie is good from its client alone, though all come from one proxy.
cookie=$(ns cl curl -sk --interface 203.0.113.2 -D - -o "$dir/page" -d 'username=test&password=secret' $v2/auth |
	sed -n 's/^[Ss]et-[Cc]ookie: webvpn=\([^;]*\);.*/\1/p')
connect_from() { # connect_from ADDRESS PORT: the status; a tunnel stays until openssl ends
	local line
	read -r line < <(printf 'CONNECT /CSCOSSLC/tunnel HTTP/1.1\r\nHost: x\r\nCookie: webvpn=%s\r\nX-CSTP-Version: 1\r\nX-CSTP-Base-MTU: 1500\r\nX-CSTP-Address-Type: IPv4\r\n\r\n' "$cookie" |
		ns cl timeout 10 openssl s_client -quiet -bind "$1:0" -connect "203.0.113.1:$2" 2>/dev/null)
	awk '{print $2}' <<<"$line"
}
[ "$(connect_from 203.0.113.77 443)" = 401 ] || fail "deny-roaming: the cookie is good from elsewhere"
[ "$(connect_from 203.0.113.2 444)" = 200 ] || fail "deny-roaming: the cookie is not good from its client"
pass "deny-roaming"

# A ban hits the client that guesses, through whichever port, and nobody else behind the proxy.
login() { # login ADDRESS PASSWORD [URL]: the HTTP status, 000: refused
	ns cl curl -sk -o "$dir/page" -w '%{http_code}' -m 10 --interface "$1" \
		-d "username=test&password=$2" "${3-$v2}/auth" || true
}
banned() { ctl --json show bans | jq -e --arg a "$1" 'any(.[]; .address == $a and .banned)' >/dev/null; }
[ "$(login 203.0.113.77 wrong1)" = 200 ] || fail "a wrong password is not answered"
for i in 2 3; do login 203.0.113.77 "wrong$i" >/dev/null; done
wait_until 5 banned 203.0.113.77
for _ in 1 2 3 4; do # both edges
	for url in $v1 $v2; do
		[ "$(login 203.0.113.77 secret "$url")" = 000 ] || fail "a banned client is served"
		[ "$(login 203.0.113.2 secret "$url")" = 200 ] || fail "another client is refused"
	done
done
[ "$(ctl --json show bans | jq length)" = 1 ] || fail "bans: $(ctl --json show bans)"
counted() { ctl --json show bans | jq -e '.[0].refused >= 8'; }
wait_until 5 counted
pass "a ban hits the real client, not the proxy and not the other client"

# By hand, from the proxy's machine: send BYTES... from ADDRESS, and say what comes back.
cat >"$dir/hand.py" <<'EOF'
import os, select, socket, ssl, sys, time
source, target, pieces = sys.argv[1], sys.argv[2], sys.argv[3:]
try:
    sock = socket.create_connection((target, int(os.environ.get("PORT", "8443"))), 5, (source, 0))
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    for piece in pieces:
        if piece == "tls":
            context = ssl._create_unverified_context()
            sock = context.wrap_socket(sock)
            sock.sendall(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n")
            print(sock.recv(12).decode())
            sys.exit()
        data = piece.encode().decode("unicode_escape").encode("latin1")
        sock.sendall(data)
        # Each piece is acknowledged before the next: it is a segment of its own.
        while int.from_bytes(sock.getsockopt(socket.IPPROTO_TCP, 11, 28)[24:28], "little"):
            select.select([], [], [], 0.001)
    start = time.monotonic()
    rest = sock.recv(100)
    print("closed after", round(time.monotonic() - start) if not rest else rest)
except TimeoutError:
    print("nothing comes back")
except OSError:
    print("reset")
EOF
by_hand() { PORT=${PORT-8443} ns px python3 "$dir/hand.py" "$@" 2>&1 || true; }
expect() { # expect ANSWER ARGUMENTS...
	local want=$1 have
	shift
	have=$(by_hand "$@")
	grep -qx "$want" <<<"$have" || fail "by hand $*: $have, not $want"
}
refusals() { grep -c "event=proxy_refused.*$1" "$log" || true; }
expect 'HTTP/1\.1 200' 10.9.0.2 10.9.0.1 'PROXY TCP4 192.0.2.99 10.9.0.1 1 2\r\n' tls
expect 'HTTP/1\.1 200' 10.9.0.2 10.9.0.1 'PROXY' ' TCP4 192.0.2.99 ' '10.9.0.1 1 2\r' '\n' tls
expect 'HTTP/1\.1 200' 2001:db8:9::2 2001:db8:9::1 '\r\n\r\n\x00\r\nQUIT\n\x20\x00' '\x00\x00' tls
expect reset 10.9.0.3 10.9.0.1 'PROXY TCP4 192.0.2.99 10.9.0.1 1 2\r\n' tls
expect reset 10.9.0.3 10.9.0.1
[ "$(refusals 'proxy=10.9.0.3 why="not a trusted-proxy"')" -ge 1 ] || fail "an untrusted address is not logged"
expect reset 10.9.0.2 10.9.0.1 tls
expect reset 10.9.0.2 10.9.0.1 'PROXY TCP4 0.0.0.0 10.9.0.1 1 2\r\n' tls
[ "$(refusals 'proxy=10.9.0.2:[0-9]* why="no header')" = 2 ] || fail "a missing header is not logged"
# Not the client's time but the header's: it is closed though nobody has sent a byte, or all but one.
expect 'closed after [123]' 10.9.0.2 10.9.0.1
expect reset 10.9.0.2 10.9.0.1 'PROXY TCP4 192.0.2.99 10.9.0.1 1 2\r'
[ "$(refusals 'proxy=10.9.0.2:[0-9]* why="its header did not come')" = 2 ] || fail "a late header is not logged"
# The other port takes no header: nobody there may name addresses.
PORT=443 expect reset 10.9.0.2 10.9.0.1 'PROXY TCP4 192.0.2.99 10.9.0.1 1 2\r\n'
pass "no header, half of one, one from elsewhere: refused, in time"

# Checks of haproxy go on all the time, and the proxy has no points for them.
checks() { [ "$(grep -c 'event=proxied .* own=1' "$log")" -ge 40 ]; } # more than bans take
wait_until "$WAIT" checks
! ctl --json show bans --all | jq -e 'any(.[]; .address == "10.9.0.2" or (.address | startswith("2001:db8:9:")))' >/dev/null ||
	fail "the proxy has points: $(ctl --json show bans --all)"
pass "health checks of the proxy cost nothing"
client_stop a
client_stop b
kill "$haproxy_pid"
radius_stop a
gateway_stop
grep -E 'event=counters .*refused_proxy=[1-9]' "$log" >/dev/null || fail "no edge has counted what it refused"
