#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""A RADIUS server that answers late, wrongly or not at all, as the user's name says.

radius_fake.py ADDRESS PORT SECRET: prints "ready", then a line for each new request. Used by
test_radius.sh for what no real server can be made to do. What it checks of a request it checks
strictly: a request without a right Message-Authenticator in the first place gets no answer.

slowN-...   Access-Accept after N seconds, however often it is asked
silent      never
unsigned    Access-Accept without Message-Authenticator (CVE-2024-3596)
foreign     Access-Accept of a server with another secret
tampered    Access-Accept whose Class was changed on the way
other       Access-Accept with a Service-Type that is not ours
stateless   Access-Challenge without State
stuffed     Access-Accept with values that nobody can use
endless     Access-Challenge, whatever the answer
"""
import hashlib
import hmac
import re
import selectors
import socket
import struct
import sys
import time

REQUEST, ACCEPT, REJECT, CHALLENGE = 1, 2, 3, 11


def attribute(number, value):
    return bytes([number, len(value) + 2]) + value


def read(data):
    attributes, at = [], 20
    while at + 2 <= len(data):
        attributes.append((data[at], data[at + 2:at + data[at + 1]]))
        at += max(data[at + 1], 2)
    return attributes


def is_signed(data, secret):
    if data[20:22] != bytes([80, 18]):
        return False
    blank = data[:22] + bytes(16) + data[38:]
    return hmac.compare_digest(hmac.new(secret, blank, "md5").digest(), data[22:38])


def password(data, secret, hidden):
    clear, last = b"", data[4:20]
    for i in range(0, len(hidden), 16):
        block = hidden[i:i + 16]
        key = hashlib.md5(secret + last).digest()
        clear += bytes(a ^ b for a, b in zip(block, key))
        last = block
    return clear.rstrip(b"\0")


def answer(request, code, attributes, secret, signed=True):
    body = (attribute(80, bytes(16)) if signed else b"") + attributes
    head = struct.pack("!BBH", code, request[1], 20 + len(body))
    if signed:
        mac = hmac.new(secret, head + request[4:20] + body, "md5").digest()
        body = attribute(80, mac) + attributes
    digest = hashlib.md5(head + request[4:20] + body + secret).digest()
    return head + digest + body


def respond(data, secret):
    """The answer (None: none), and the seconds after which it is sent."""
    attributes = read(data)
    first = dict(reversed(attributes))
    user = first.get(1, b"").decode()
    slow = re.match(r"slow(\d+)", user)
    if not is_signed(data, secret) or user == "silent":
        return None, 0
    if user == "unsigned":
        return answer(data, ACCEPT, b"", secret, signed=False), 0
    if user == "foreign":
        return answer(data, ACCEPT, b"", secret + b"x"), 0
    if user == "tampered":
        good = answer(data, ACCEPT, attribute(25, b"staff"), secret)
        return good[:-5] + b"admin", 0
    if user == "other":
        return answer(data, ACCEPT, attribute(6, struct.pack("!I", 6)), secret), 0
    if user == "stateless":
        return answer(data, CHALLENGE, attribute(18, b"more"), secret), 0
    if user == "endless":
        return answer(data, CHALLENGE, attribute(24, b"again") + attribute(18, b"Again"), secret), 0
    if user == "stuffed":
        bad = attribute(8, bytes([127, 0, 0, 1])) + attribute(22, b"nowhere") + \
            attribute(8, b"xyz") + attribute(25, bytes(range(200))) + \
            b"".join(attribute(22, b"10.%d.0.0/16" % i) for i in range(60)) + \
            attribute(26, struct.pack("!IBB", 10055, 1, 6) + b"\xff\xff\xff\xff") + \
            attribute(26, b"\0\0") + attribute(97, bytes([0, 200])) + attribute(18, b"\x1b[31m")
        return answer(data, ACCEPT, bad, secret), 0
    good = password(data, secret, first.get(2, b"")) == b"secret"
    return answer(data, ACCEPT if good else REJECT, b"", secret), int(slow[1]) if slow else 0


def main(address, port, secret):
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 22)
    sock.bind((address, int(port)))
    sock.setblocking(False)
    selector = selectors.DefaultSelector()
    selector.register(sock, selectors.EVENT_READ)
    waiting, known, most = [], set(), 0
    print("ready", flush=True)
    while True:
        now = time.monotonic()
        while waiting and waiting[0][0] <= now:
            _, data, to = waiting.pop(0)
            sock.sendto(data, to)
        selector.select(waiting[0][0] - now if waiting else None)
        try:
            while True:
                data, source = sock.recvfrom(4096)
                key = (source, data[1], data[4:20])
                if key in known:
                    continue
                known.add(key)
                reply, delay = respond(data, secret)
                if reply:
                    waiting.append((time.monotonic() + delay, reply, source))
                    waiting.sort(key=lambda entry: entry[0])
                most = max(most, len(waiting))
                user = dict(reversed(read(data))).get(1, b"").decode()
                print(f"request user={user} waiting={len(waiting)} most={most}", flush=True)
        except BlockingIOError:
            pass


main(sys.argv[1], sys.argv[2], sys.argv[3].encode())
