#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Echo servers and what asks them, for tests of who may reach what.

reach.py serve NAME:PORT...           NAME tcp or udp; on all addresses; says "serving"
reach.py try tcp|udp ADDRESS PORT [BYTES] [SOURCE]
                                      exit status 0: the echo came, 1: it did not
"""
import os
import selectors
import socket
import sys

WAIT_S = 1.0


def listen(selector, protocol, port):
    kind = socket.SOCK_STREAM if protocol == "tcp" else socket.SOCK_DGRAM
    sock = socket.socket(socket.AF_INET6, kind)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
    sock.bind(("::", port))
    if protocol == "tcp":
        sock.listen(64)
        selector.register(sock, selectors.EVENT_READ, accept)
        return
    # answers come from the address that was asked
    sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_RECVPKTINFO, 1)
    selector.register(sock, selectors.EVENT_READ, answer)


def accept(selector, sock):
    selector.register(sock.accept()[0], selectors.EVENT_READ, echo)


def echo(selector, sock):
    try:
        data = sock.recv(65536)
        sock.sendall(data)
    except OSError:
        data = b""
    if not data:
        selector.unregister(sock)
        sock.close()


def answer(_selector, sock):
    data, control, _, sender = sock.recvmsg(65536, 256)
    try:
        sock.sendmsg([data], control, 0, sender)
    except OSError:
        pass


def serve(names):
    selector = selectors.DefaultSelector()
    for name in names:
        protocol, port = name.split(":")
        listen(selector, protocol, int(port))
    print("serving", flush=True)
    while True:
        for key, _ in selector.select():
            key.data(selector, key.fileobj)


def attempt(protocol, address, port, size, source):
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    kind = socket.SOCK_STREAM if protocol == "tcp" else socket.SOCK_DGRAM
    said = os.urandom(size)
    with socket.socket(family, kind) as sock:
        sock.settimeout(WAIT_S)
        if source:
            sock.bind((source, 0))
        try:
            sock.connect((address, port))
            sock.sendall(said)
            heard = b""
            while len(heard) < size:
                more = sock.recv(65536)
                if not more:
                    break
                heard += more
        except OSError:
            return 1
    return 0 if heard == said else 1


def main(argv):
    if argv[1] == "serve":
        serve(argv[2:])
    size = int(argv[5]) if len(argv) > 5 else 8
    return attempt(argv[2], argv[3], int(argv[4]), size, argv[6] if len(argv) > 6 else None)


sys.exit(main(sys.argv))
