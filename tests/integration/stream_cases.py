# SPDX-License-Identifier: GPL-3.0-or-later
"""What a TLS tunnel must bear, one case a call: stream_cases.py CASE. Called by test_stream.sh.

Says "ready" where the script has something to do, and goes on when it gets a line.
"""

import socket
import struct
import sys
import time

import anyclient
from anyclient import ALERT, APPLICATION, DISCONNECT, DPD_REQ, DPD_RESP, HANDSHAKE, KEEPALIVE, tunnel

LAN4, LAN6 = "198.51.100.2", "2001:db8:2::2"


def ready(text=""):
    print("ready", text, flush=True)
    sys.stdin.readline()


def all_pass(client):
    client.ping(LAN4)
    client.ping(LAN6, size=1200)


def records():
    """One byte a segment, many records a write, several frames a record, padding; all ciphers."""
    suites = [(13, None)] + [(12, "ECDHE-ECDSA-" + c) for c in (
        "AES128-GCM-SHA256", "AES256-GCM-SHA384", "CHACHA20-POLY1305")]
    for version, ciphers in suites:
        client = tunnel(version=version, ciphers=ciphers)
        all_pass(client)
        for byte in client.record(client.echo(LAN4, 2)):
            client.send(bytes([byte]))
        client.expect_echo([2])
        client.send(*(client.record(client.echo(LAN4, i, 20)) for i in range(300)))
        client.expect_echo(range(300))
        client.send(*(client.record(client.echo(LAN6, i, 1200)) for i in range(100)))
        client.expect_echo(range(100))
        client.send(client.record(b"".join(client.echo(LAN4, i) for i in range(10))))
        client.expect_echo(range(10))
        if version == 13:
            client.send(client.record(client.echo(LAN4, 5), padding=1000))
            client.expect_echo([5])
            client.send(client.record(client.echo(LAN4, 6), padding=16000))
            client.expect_echo([6])
        # a full record: the largest that TLS allows
        many = b"".join(client.echo(LAN4, i, 1300) for i in range(11))
        fill = client.frame(KEEPALIVE, bytes(16384 - len(many) - 8))
        client.send(client.record(many + fill))
        client.expect_echo(range(11))
        client.close()


def key_update():
    """With and without request, in a row, with data behind in the same write."""
    client = tunnel()
    client.ping()
    client.send(client.key_update(False))
    client.ping(seq=2)
    client.send(client.key_update(True))
    rx = client.rx.secret
    client.ping(seq=3)
    client.ping(seq=4)
    assert client.rx.secret != rx, "the server did not update its keys"
    rx = client.rx.secret
    client.send(client.key_update(False), client.key_update(False), client.key_update(True),
                client.record(client.echo(LAN4, 5)), client.key_update(True))
    client.expect_echo([5])
    client.ping(seq=6)
    assert client.rx.secret != rx
    client.close()


def key_update_traffic():
    """Under traffic: an update every 70 records, one in three with a request, all in large writes."""
    client = tunnel()
    seq = 0
    for turn in range(10):
        out, expected = [], []
        for i in range(350):
            if i % 70 == 35:
                out.append(client.key_update(turn % 3 == 0))
            out.append(client.record(client.echo(LAN4, seq, 600)))
            expected.append(seq)
            seq = (seq + 1) & 0xffff
        client.send(*out)
        client.expect_echo(expected, 20)
    all_pass(client)
    client.close()


def key_update_split():
    """A KeyUpdate one byte at a time, and half a record behind it."""
    client = tunnel()
    for byte in client.key_update(True):
        client.send(bytes([byte]))
    client.ping()
    update, record = client.key_update(True), client.record(client.echo(LAN4, 7))
    client.send(update, record[:10])  # and the rest in another segment
    client.send(record[10:])
    client.expect_echo([7])
    client.close()


def key_update_useless():
    """A client that does nothing but update is sent away."""
    client = tunnel()
    client.ping()
    try:
        for _ in range(40):
            client.send(client.key_update(True))
    except anyclient.Closed:
        pass
    client.expect_closed()


def sent_away(make):
    """The client is closed after what make(client) sends."""
    client = tunnel()
    client.ping()
    try:
        client.send(*make(client))
    except anyclient.Closed:
        return
    client.expect_closed()


def changed(record, at, value=None):
    data = bytearray(record)
    data[at] = value if value is not None else data[at] ^ 1
    return [bytes(data)]


BAD = {
    "magic": lambda c: [c.record(b"STX\1" + c.echo(LAN4, 1)[4:])],
    "long": lambda c: [c.record(b"STF\1" + struct.pack("!HBB", 200, 0, 0) + bytes(100))],
    "trailing": lambda c: [c.record(c.frame(KEEPALIVE) + b"abc")],
    "reserved": lambda c: [c.record(b"STF\1\0\0\7\1")],
    "short": lambda c: [c.record(b"STF\1\0")],
    "empty": lambda c: [c.record(b"")],
    "oversize": lambda c: [c.record(bytes(16385))],
    "huge": lambda c: [struct.pack("!BHH", APPLICATION, 0x303, 0xffff) + bytes(1000)],
    "tiny": lambda c: [struct.pack("!BHH", APPLICATION, 0x303, 3) + bytes(3)],
    "version": lambda c: changed(c.record(c.echo(LAN4, 1)), 2),
    "outer": lambda c: changed(c.record(c.echo(LAN4, 1)), 0, 22),
    "plain": lambda c: [b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"],
    "inner": lambda c: [c.record(c.echo(LAN4, 1), 99)],
    "untyped": lambda c: [c.record(b"", 0)],
    "handshake": lambda c: [c.record(bytes([1, 0, 0, 4, 0, 0, 0, 0]), HANDSHAKE)],
    "update-value": lambda c: [c.record(bytes([24, 0, 0, 1, 2]), HANDSHAKE)],
    "update-long": lambda c: [c.record(bytes([24, 0, 0, 1, 0, 0]), HANDSHAKE)],
}
UNAUTHENTIC = {
    "tag": lambda c: changed(c.record(c.echo(LAN4, 1)), -1),
    "text": lambda c: changed(c.record(c.echo(LAN4, 1)), 20),
    "again": lambda c: [c.record(c.frame(KEEPALIVE))] * 2,
    "skipped": lambda c: [c.record(b""), c.record(c.echo(LAN4, 1))][1:],
    "zeros": lambda c: [struct.pack("!BHH", APPLICATION, 0x303, 60) + bytes(60)],
}


def unknown_frame():
    """A frame of an unknown type is dropped; the tunnel stays."""
    client = tunnel()
    for kind in (1, 2, 6, 8, 100, 255):
        client.send_frame(kind, b"abc")
    all_pass(client)
    client.close()


def dpd():
    """Answers have the size and content of the probe; keepalives are borne."""
    client = tunnel()
    for payload in (b"", b"x", bytes(range(100)), bytes(1300)):
        client.send_frame(DPD_REQ, payload)
        assert client.recv_frame(DPD_RESP) == payload
    for _ in range(50):
        client.send_frame(KEEPALIVE)
    client.ping()
    client.close()


def back(client):
    """The cookie is good for the same addresses again."""
    again = tunnel(client.cookie)
    assert (again.address4, again.address6) == (client.address4, client.address6)
    all_pass(again)
    return again


def close_notify():
    client = tunnel()
    client.ping()
    client.send(client.record(b"\1\0", ALERT))
    reset, kinds, _ = client.expect_closed()
    assert not reset and kinds[-1] == ALERT, (reset, kinds)
    back(client).close()


def reset():
    client = tunnel()
    client.ping()
    client.close(reset=True)
    back(client).close()


def half_close():
    """What was sent before the FIN is delivered; then the server closes too."""
    client = tunnel()
    client.ping()
    client.send(client.record(client.echo(LAN4, 3)))
    client.sock.shutdown(socket.SHUT_WR)
    client.expect_closed()
    back(client).close()


def cut():
    """The end in the middle of a record."""
    client = tunnel()
    client.send(client.record(client.echo(LAN4, 3))[:-5])
    client.sock.shutdown(socket.SHUT_WR)
    client.expect_closed()
    back(client).close()


def temporary():
    """An empty DISCONNECT: the cookie stays. With a text it is BYE, and the cookie dies."""
    client = tunnel()
    client.send_frame(DISCONNECT)
    client.expect_closed()
    again = back(client)
    again.send_frame(DISCONNECT, b"\xb0bye")
    again.expect_closed()
    other = anyclient.Client()
    assert other.tunnel(client.cookie) == 401, other.status


def leave(count):
    """Clients that say BYE as soon as they are in: nothing of them is touched any more."""
    for _ in range(int(count)):
        client = tunnel()
        client.send_frame(DISCONNECT, b"\xb0bye")
        client.close()


def replaced():
    """The second CONNECT replaces the first tunnel, which is closed."""
    client = tunnel()
    client.ping()
    again = back(client)
    client.expect_closed()
    all_pass(again)
    again.close()


def operator():
    """Disconnected by the operator while it sends: a DISCONNECT, close_notify, no reset."""
    client = tunnel()
    client.ping()
    ready(client.address4)
    end = time.monotonic() + 15
    frames, kinds, was_reset = [], [], False
    client.sock.setblocking(True)
    while time.monotonic() < end:
        try:
            client.send(client.record(client.echo(LAN4, 1, 1000)))
            kind, text = client.recv(0.02)
        except TimeoutError:
            continue
        except anyclient.Closed as closed:
            was_reset = closed.reset
            break
        kinds.append(kind)
        if kind == APPLICATION:
            frames.append(text[6])
        if kind == ALERT:
            break
    assert DISCONNECT in frames and ALERT in kinds and not was_reset, (
        frames[-3:], kinds[-3:], was_reset)


def slow(count):
    """Clients that do not read their sockets, until they are told to."""
    clients = [tunnel(rcvbuf=8192) for _ in range(int(count))]
    for client in clients:
        client.ping()
    ready(" ".join(client.address4 for client in clients))
    for client in clients:
        # All that was queued comes, and after it the answer to a new request.
        deadline = time.monotonic() + 30
        while True:
            try:
                client.ping(LAN4, 9, timeout=1)
                break
            except TimeoutError:
                assert time.monotonic() < deadline, "no recovery"
        client.close()


def flood(packets, *addresses):
    """From the LAN: so many datagrams to each."""
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    for i in range(int(packets)):
        for address in addresses:
            sock.sendto(bytes(1300), (address, 9))
        if i % max(1, 4 // len(addresses)) == 0:
            anyclient.pace(time.monotonic() + 0.001)  # a rate that the ports bear


def main():
    name, rest = sys.argv[1], sys.argv[2:]
    if name == "list":
        print(*(BAD if rest == ["bad"] else UNAUTHENTIC))
    elif name in ("bad", "unauthentic"):
        sent_away((BAD if name == "bad" else UNAUTHENTIC)[rest[0]])
    else:
        globals()[name](*rest)


main()
