#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sends a Disconnect-Request as no well-behaved server would; what comes back is printed as hex.

radius_dac.py ADDRESS PORT SECRET [option...] NAME=VALUE...
Options: --source ADDRESS, --twice (the same bytes from two ports), --unsigned, --time SECONDS
(from now; none: --no-time), --count N (sent and not waited for),
--wait SECONDS (for an answer), --say-sent (a line before the wait).
"""
import argparse
import hashlib
import hmac
import socket
import struct
import time

NUMBERS = {"User-Name": 1, "Acct-Session-Id": 44}


def attribute(number, value):
    return bytes([number, len(value) + 2]) + value


def build(options):
    body = b""
    if not options.unsigned:
        body += attribute(80, bytes(16))
    if not options.no_time:
        body += attribute(55, struct.pack("!I", int(time.time()) + options.time))
    for text in options.attributes:
        name, value = text.split("=", 1)
        body += attribute(NUMBERS[name], value.encode())
    head = struct.pack("!BBH", 40, options.id, 20 + len(body))
    if not options.unsigned:
        mac = hmac.new(options.secret.encode(), head + bytes(16) + body, hashlib.md5).digest()
        body = body[:2] + mac + body[18:]
    vector = hashlib.md5(head + bytes(16) + body + options.secret.encode()).digest()
    return head + vector + body


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("address")
    parser.add_argument("port", type=int)
    parser.add_argument("secret")
    parser.add_argument("attributes", nargs="*")
    parser.add_argument("--source", default="")
    parser.add_argument("--id", type=int, default=7)
    parser.add_argument("--time", type=int, default=0)
    parser.add_argument("--no-time", action="store_true")
    parser.add_argument("--unsigned", action="store_true")
    parser.add_argument("--twice", action="store_true")
    parser.add_argument("--count", type=int, default=0)
    parser.add_argument("--say-sent", action="store_true")
    parser.add_argument("--wait", type=float, default=1)
    options = parser.parse_intermixed_args()
    packet = build(options)
    for _ in range(2 if options.twice else 1):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.bind((options.source, 0))
            for _ in range(options.count):
                sock.sendto(packet, (options.address, options.port))
            if options.count:
                continue
            sock.sendto(packet, (options.address, options.port))
            if options.say_sent:
                print("sent", flush=True)
            sock.settimeout(options.wait)
            try:
                print(sock.recv(4096).hex())
            except TimeoutError:
                print("nothing")


main()
