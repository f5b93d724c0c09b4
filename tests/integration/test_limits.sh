#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# What an edge does with clients that take too long, come too often, or speak another TLS: each is
# ended in its time, the others are served meanwhile.
# shellcheck source=tests/integration/lib.sh
. "$(dirname "$0")/lib.sh"

for tool in curl openssl python3; do
	command -v $tool >/dev/null || skip "needs $tool"
done
ground
ip -n cl addr add 192.0.2.77/24 dev "$(ip -n cl -o -4 addr show to 192.0.2.0/24 | awk '{print $2; exit}')"
gateway_start '.["penstock:penstock"].edges = 1
	| .["penstock:penstock"]["connections-per-edge"] = 400
	| .["penstock:penstock"].authentication["request-timeout"] = 2
	| .["penstock:penstock"].authentication["login-timeout"] = 5'

url=https://192.0.2.1/no/such/page
get() { ns cl curl -sk -o /dev/null -w '%{http_code}' --max-time 20 "$@" $url || true; }
served() { [ "$(get "${@:2}")" = 404 ] || fail "$1: another client is not served"; }

# held SCRIPT: runs it with `tcp()` and `closed(socket)`, which gives the seconds until the end.
held() {
	ns cl timeout 60 python3 -c '
import os, socket, ssl, sys, time
def tcp(source="192.0.2.2"):
	return socket.create_connection(("192.0.2.1", 443), timeout=30, source_address=(source, 0))
def tls(s):
	c = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
	c.check_hostname = False
	c.verify_mode = ssl.CERT_NONE
	return c.wrap_socket(s)
def hello():
	c = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
	c.check_hostname = False
	c.verify_mode = ssl.CERT_NONE
	i, o = ssl.MemoryBIO(), ssl.MemoryBIO()
	try:
		c.wrap_bio(i, o).do_handshake()
	except ssl.SSLWantReadError:
		return o.read()
def closed(s):
	begin = time.monotonic()
	try:
		while s.recv(65536):
			pass
	except ConnectionResetError:
		pass
	return time.monotonic() - begin
'"$1" || fail "$2"
	served "after: $2"
}

held 't = closed(tcp()); assert 1 < t < 6, t' "a connection without a word is not ended in time"
held 's = tcp(); s.send(hello()[:20]); t = closed(s); assert 1 < t < 6, t' "half a ClientHello is not ended in time"
held 's = tcp(); s.send(hello()); t = closed(s); assert 1 < t < 6, t' "an abandoned handshake is not ended in time"
pass "silence, half a ClientHello and an abandoned handshake end with the request timeout"

held 's = tls(tcp()); t = closed(s); assert 3 < t < 9, t' "an idle TLS connection is not ended in time"
pass "an idle TLS connection ends with the login timeout"
held 's = tls(tcp()); s.send(b"GET / HT"); t = closed(s); assert 1 < t < 6, t' "half a request is not ended in time"
pass "half a request ends with the request timeout"

# Other TLS: an alert says why, and nothing is left behind.
alert() { # alert WHAT REGEX OPTIONS...
	ns cl timeout 20 openssl s_client -connect 192.0.2.1:443 "${@:3}" </dev/null >"$dir/s_client" 2>&1 || true
	grep -qiE "$2" "$dir/s_client" || fail "$1: no such alert: $(cat "$dir/s_client")"
	served "after: $1"
}
alert "TLS 1.1" 'alert (protocol version|handshake failure)' -tls1_1 -cipher 'ALL:@SECLEVEL=0'
alert "CBC only" 'alert handshake failure' -tls1_2 -cipher 'ECDHE-ECDSA-AES128-SHA'
ns cl curl -s --max-time 10 $url >/dev/null 2>&1 && fail "the certificate of the test is trusted"
served "after: a client that does not trust the certificate"
held 's = tcp(); s.send(b"\x16\x03\x01\x00\x10" + b"\x01" * 16 + b"\x99" * 64); t = closed(s); assert t < 6, t' "nonsense"
held 's = tcp(); s.send(hello() + b"\x17\x03\x03\x00\x20" + b"\x55" * 32); t = closed(s); assert t < 6, t' "data in a handshake"
grep -q 'event=handshake_failed' "$dir/log/controlplane" || fail "no failed handshake is in the log"
pass "other versions and ciphers get an alert, nonsense its end"

# One source may have a quarter of the connections: 100. The next are closed at once, others served.
held '
held = [tcp() for i in range(130)]
for s in held[100:]:
	assert closed(s) < 1
served = tls(tcp("192.0.2.77"))
served.send(b"GET /no/such/page HTTP/1.1\r\nHost: x\r\n\r\n")
assert b"404" in served.recv(100)
' "the limit of one source"
pass "one source gets its share, another is served"
gateway_stop

# Full: who comes takes the place of a silent one; who has asked something stays, and only then
# newcomers wait.
configure '.["penstock:penstock"].edges = 1
	| .["penstock:penstock"]["connections-per-edge"] = 4
	| .["penstock:penstock"].authentication["login-timeout"] = 6'
dataplane_start
controlplane_start
held '
ask = b"GET /no/such/page HTTP/1.1\r\nHost: x\r\n\r\n"
def served(s):
	s.sendall(ask)
	assert b"404" in s.recv(1000)
	return s
first = served(tls(tcp()))
idle = [tcp() for i in range(3)]
late = served(tls(tcp()))
assert closed(idle[0]) < 1, "the oldest silent one is still there"
served(first)
more = [served(tls(tcp())) for i in range(2)]
served(first), served(late)
waiting = tcp()
waiting.send(hello())
waiting.settimeout(1)
try:
	assert not waiting.recv(1), "served beyond the limit"
	assert False, "closed beyond the limit"
except TimeoutError:
	pass
waiting.settimeout(30)
assert waiting.recv(1) == b"\x16", "not served when there was room"
' "a full edge"
pass "a full edge serves those who ask, and the next when there is room"
gateway_stop
