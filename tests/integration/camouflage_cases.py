# SPDX-License-Identifier: GPL-3.0-or-later
"""Asks our server and a real nginx the same things and compares every byte of the answers but the
date; then compares how long answers take. Run by test_camouflage.sh in the client's namespace.

camouflage_cases.py same OURS THEIRS | timing OURS
"""

import re
import socket
import ssl
import statistics
import sys
import time

SERVER = "192.0.2.1"
HOST = b"Host: vpn.example.net\r\n"
XML = (b'<?xml version="1.0"?><config-auth client="vpn" type="init">'
       b'<version who="vpn">v9.01</version></config-auth>')
COOKIE = b"Cookie: webvpn=" + b"QUJD" * 10 + b"QUI=\r\nX-CSTP-Address-Type: IPv4\r\n"


def request(method, target=b"/", headers=b"", body=None, version=b"1.1", host=HOST):
    if body is not None:
        headers += b"Content-Length: %d\r\n" % len(body)
    return (method + b" " + target + b" HTTP/" + version + b"\r\n" + host + headers + b"\r\n" +
            (body or b""))


REQUESTS = {
    "page": request(b"GET"),
    "two requests": request(b"GET") + request(b"GET", b"/x"),
    "head": request(b"HEAD"),
    "http/1.0": request(b"GET", version=b"1.0"),
    "http/1.0 keep-alive": request(b"GET", version=b"1.0", headers=b"Connection: keep-alive\r\n"),
    "close": request(b"GET", headers=b"Connection: close\r\n"),
    "path of a client": request(b"GET", b"/+CSCOE+/logon.html"),
    "certificate": request(b"GET", b"/cert.pem"),
    "wrong secret": request(b"GET", b"/?f00-bar.Baz_8"),
    "basic authorization": request(b"GET", headers=b"Authorization: Basic Zm9vOmJhcg==\r\n"),
    "anyconnect init": request(b"POST", headers=b"X-Aggregate-Auth: 1\r\nX-Transcend-Version: 1\r\n"
                               b"User-Agent: Open AnyConnect VPN Agent v9.01\r\n", body=XML),
    "form": request(b"POST", b"/auth", body=b"username=test&password=secret"),
    "login cookies": request(b"GET", headers=b"Cookie: webvpncontext=x; webvpn=y\r\n"),
    "chunked": request(b"POST", headers=b"Transfer-Encoding: chunked\r\n") + b"3\r\nabc\r\n0\r\n\r\n",
    "options": request(b"OPTIONS"),
    "put": request(b"PUT", body=b"abc"),
    "delete": request(b"DELETE"),
    "trace": request(b"TRACE"),
    "no host": request(b"GET", host=b""),
    "two hosts": request(b"GET", host=HOST + HOST),
    "connect": request(b"CONNECT", b"/CSCOSSLC/tunnel"),
    "connect with a cookie": request(b"CONNECT", b"/CSCOSSLC/tunnel", headers=COOKIE),
    "connect and more": request(b"CONNECT", b"/CSCOSSLC/tunnel", headers=COOKIE) + b"xyz",
    "connect elsewhere": request(b"CONNECT", b"/other"),
    "connect to a host": request(b"CONNECT", b"example.com:443"),
    "no http": b"foo\r\n\r\n",
    "no path": request(b"GET", b"x"),
    "long path": request(b"GET", b"/" + b"a" * 9000),
    "long header": request(b"GET", headers=b"X-Long: " + b"a" * 9000 + b"\r\n"),
}


def connect(port, tls=True):
    raw = socket.create_connection((SERVER, port), timeout=20)
    if not tls:
        return raw
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.set_alpn_protocols(["http/1.1"])
    return context.wrap_socket(raw)


def answered(data, head, count):
    """All `count` answers are there."""
    for _ in range(count):
        end = data.find(b"\r\n\r\n")
        length = re.search(rb"Content-Length: (\d+)\r\n", data[:end + 4])
        if end < 0:
            return False
        size = 0 if head or not length else int(length[1])
        if len(data) < end + 4 + size:
            return False
        data = data[end + 4 + size:]
    return True


def ask(port, text, tls=True, count=1):
    """The answers, without their date, and whether the server then closes."""
    sock = connect(port, tls)
    sock.sendall(text)
    data, closed = b"", False
    while not closed and not answered(data, text.startswith(b"HEAD"), count):
        piece = sock.recv(65536)
        data, closed = data + piece, not piece
    # What it announces is what it does.
    if not closed and b"Connection: close" in data:
        closed = sock.recv(1) == b""
    sock.close()
    return re.sub(rb"Date: [^\r]*", b"Date:", data), closed


def same(ours, theirs):
    for name, text in REQUESTS.items():
        count = 2 if name == "two requests" else 1
        one, other = ask(ours, text, count=count), ask(theirs, text, count=count)
        assert one == other, f"{name}:\n{one}\n{other}"
    date = re.search(rb"Date: ([^\r]*)\r", raw(ours, REQUESTS["page"]))[1].decode()
    assert abs(time.mktime(time.strptime(date, "%a, %d %b %Y %H:%M:%S GMT")) -
               time.mktime(time.gmtime())) < 10, date
    for text in (REQUESTS["page"], REQUESTS["options"]):
        one, other = ask(ours, text, tls=False), ask(theirs, text, tls=False)
        assert one == other, f"in clear:\n{one}\n{other}"
    print(len(REQUESTS) + 2)


def raw(port, text):
    sock = connect(port)
    sock.sendall(text)
    return sock.recv(65536)


def seconds(port, text):
    sock = connect(port)
    begin = time.perf_counter()
    sock.sendall(text)
    sock.recv(65536)
    taken = time.perf_counter() - begin
    sock.close()
    return taken


def timing(port):
    """A CONNECT with a cookie goes the same way as one without, and a request with nearly the
    secret takes as long as one with none."""
    pairs = (("connect", "connect with a cookie"), ("page", "wrong secret"))
    for one, other in pairs:
        taken = {one: [], other: []}
        for _ in range(150):
            for name, values in taken.items():
                values.append(seconds(port, REQUESTS[name]))
        a, b = (statistics.median(values) for values in taken.values())
        low = statistics.quantiles(taken[one], n=4)
        # Within the noise of one of them: half of it lies between these two.
        assert abs(a - b) < max(low[2] - low[0], 20e-6), f"{one}: {a * 1e6:.0f} us, {other}: {b * 1e6:.0f} us"
        print(f"{one}: {a * 1e6:.0f} us, {other}: {b * 1e6:.0f} us")


if sys.argv[1] == "same":
    same(int(sys.argv[2]), int(sys.argv[3]))
else:
    timing(int(sys.argv[2]))
