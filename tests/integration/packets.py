# SPDX-License-Identifier: GPL-3.0-or-later
"""Datagrams that no honest client sends: forged, replayed, spoofed. packets.py WHAT [ARGUMENTS].
Called by test_dtls_hostile.sh in the clients' namespace, where eth0 leads to the server.
"""

import os
import random
import socket
import struct
import sys
import time

import anyclient

SERVER, PORT = "192.0.2.1", 443
# Packets a second: what a port bears whose worker has a shared CPU, and is instrumented or not.
RATE = 10000 if os.environ.get("SANITIZE", "none") == "none" else 2000
ETH_IP, ETH_ALL = 0x0800, 3


def packet_socket(protocol=0):
    sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(protocol))
    sock.bind(("eth0", protocol))
    return sock


def mac(path):
    return bytes.fromhex(path.replace(":", ""))


def link_header(server_mac):
    with open("/sys/class/net/eth0/address", encoding="ascii") as file:
        own = mac(file.read().strip())
    return mac(server_mac) + own + struct.pack("!H", ETH_IP)


def udp(source, sport, payload):
    length = 8 + len(payload)
    pseudo = socket.inet_aton(source) + socket.inet_aton(SERVER) + struct.pack("!BBH", 0, 17, length)
    head = struct.pack("!HHHH", sport, PORT, length, 0)
    check = anyclient.checksum(pseudo + head + payload) or 0xffff
    return anyclient.ipv4(source, SERVER, 17, head[:6] + struct.pack("!H", check) + payload)


def dtls_record(kind, epoch, seq, body, version=b"\xfe\xfd"):
    return bytes([kind]) + version + struct.pack("!H", epoch) + seq.to_bytes(6, "big") + \
        struct.pack("!H", len(body)) + body


def client_hello(app_id, cookie=b"", seq=0, rand=None):
    body = b"\xfe\xfd" + (rand or os.urandom(32)) + bytes([len(app_id)]) + app_id + \
        bytes([len(cookie)]) + cookie + struct.pack("!H", 4) + b"\x00\xa9\x00\xa8" + b"\1\0"
    head = b"\1" + len(body).to_bytes(3, "big") + struct.pack("!H", seq) + bytes(3) + \
        len(body).to_bytes(3, "big")
    return dtls_record(22, 0, seq, head + body, b"\xfe\xff")


def spoil(data):
    """One of the many ways in which a datagram can be wrong."""
    data = bytearray(data)
    way = random.randrange(6)
    if way == 0:
        return os.urandom(random.randrange(1, 1400))
    if way == 1:
        return bytes(data[:random.randrange(len(data))])
    if way == 2:
        data[random.randrange(len(data))] ^= 1 << random.randrange(8)
    elif way == 3 and len(data) > 13:
        data[11:13] = os.urandom(2)
    elif way == 4:
        data[5:11] = os.urandom(6)
    else:
        data += os.urandom(random.randrange(1, 40))
    return bytes(data)


def captured(count, kinds, way=socket.PACKET_OUTGOING):
    """Frames of the client with datagrams whose first record is of one of these types."""
    sock, frames = packet_socket(ETH_ALL), []  # own frames are seen so alone
    sock.settimeout(20)
    while len(frames) < count:
        frame, address = sock.recvfrom(1 << 16)
        if address[2] != way or len(frame) < 56:
            continue
        if frame[12:14] != b"\x08\0" or frame[23] != 17:
            continue
        if frame[36:38] == struct.pack("!H", PORT) and frame[42] in kinds:
            frames.append(frame)
    return frames


def replay(count):
    """Sends each of so many records of the client three times again."""
    sock = packet_socket()
    frames = captured(int(count), (23,))
    for frame in frames * 3:
        sock.send(frame)
    print(3 * len(frames))


def forge(count, server_mac):
    """Spoiled copies of a client's record, from its address and port and from others."""
    sock, header = packet_socket(), link_header(server_mac)
    frame = captured(1, (23,))[0]
    sport = struct.unpack("!H", frame[34:36])[0]
    start = time.monotonic()
    for i in range(int(count)):
        if i % 50 == 0:
            anyclient.pace(start + i / RATE)
        source, port = ("192.0.2.2", sport)
        if i % 3 == 1:
            port = 30000 + i % 1000
        elif i % 3 == 2:
            source, port = f"192.0.2.{random.randrange(3, 250)}", random.randrange(1024, 65536)
        payload = spoil(frame[42:])
        # A whole copy from another port would be a move of the client: never that.
        if payload[:len(frame) - 42] != frame[42:]:
            sock.send(header + udp(source, port, payload))


def flood(seconds, server_mac):
    """ClientHellos from spoofed addresses, with and without a cookie, RATE a second."""
    sock, header = packet_socket(), link_header(server_mac)
    start, sent = time.monotonic(), 0
    while time.monotonic() < start + float(seconds):
        anyclient.pace(start + sent / RATE)
        for _ in range(50):
            source = f"192.0.2.{random.randrange(3, 250)}"
            cookie = os.urandom(32) if random.random() < 0.3 else b""
            hello = client_hello(os.urandom(32), cookie, 1 if cookie else 0)
            if random.random() < 0.2:
                hello = spoil(hello)
            sock.send(header + udp(source, random.randrange(1024, 65536), hello))
            sent += 1
    print(sent)


def ask(sock, datagram, timeout=3):
    sock.settimeout(timeout)
    sock.sendto(datagram, (SERVER, PORT))
    try:
        return sock.recv(2048)
    except TimeoutError:
        return b""


def cookie():
    """A HelloVerifyRequest's cookie is good for the address and port it was sent to alone."""
    client = anyclient.tunnel(extra="X-DTLS-CipherSuite: PSK-NEGOTIATE\r\n")
    app_id, rand = bytes.fromhex(client.header("X-DTLS-App-ID")), os.urandom(32)
    one = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    other = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    far = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    far.bind(("192.0.2.3", 0))
    verify = ask(one, client_hello(app_id, rand=rand))
    assert verify[0] == 22 and verify[13] == 3, "no HelloVerifyRequest"
    proof = verify[28:28 + verify[27]]
    hello = client_hello(app_id, proof, 1, rand)
    for sock in (other, far):
        answer = ask(sock, hello)
        assert answer[:1] == b"" or answer[13] == 3, f"answered with message {answer[13]}"
    changed = proof[:-1] + bytes([proof[-1] ^ 1])
    answer = ask(one, client_hello(app_id, changed, 1, rand))
    assert answer[:1] == b"" or answer[13] == 3, f"changed cookie: message {answer[13]}"
    answer = ask(one, hello)
    assert answer[:1] and answer[13] == 2, "the right cookie gets no ServerHello"
    # Nor does an unknown session get anything.
    rand = os.urandom(32)
    one = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    verify = ask(one, client_hello(rand, rand=rand))
    answer = ask(one, client_hello(rand, verify[28:28 + verify[27]], 1, rand), 1)
    assert not answer or answer[13] != 2, "an unknown session got a ServerHello"
    client.close()


def sized(address, count):
    """Datagrams larger than the tunnel, one that may be cut after one that may not, in turn."""
    whole = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    whole.setsockopt(socket.IPPROTO_IP, 10, 3)  # IP_MTU_DISCOVER: DF, whatever the path says
    cut = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    cut.setsockopt(socket.IPPROTO_IP, 10, 0)
    for i in range(int(count)):
        try:
            whole.sendto(b"whole" + bytes(1455), (address, 7000))
        except ConnectionError:
            pass  # an ICMP error of a datagram before
        cut.sendto(struct.pack("!I", i) + bytes(1456), (address, 7000))
        if i % 8 == 7:
            anyclient.pace(time.monotonic() + 0.002)


def count_sized(count):
    """Says "ready", then waits for so many of what sized() sends; each must come once."""
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.bind(("", 7000))
    sock.settimeout(10)
    print("ready", flush=True)
    missing = set(range(int(count)))
    while missing:
        data = sock.recv(2000)
        assert len(data) == 1460 and not data.startswith(b"whole"), (len(data), data[:5])
        missing.remove(struct.unpack("!I", data[:4])[0])


globals()[sys.argv[1]](*sys.argv[2:])
