# SPDX-License-Identifier: GPL-3.0-or-later
"""Connections that are open while their edge is killed: run by test_recycle.sh in namespace cl.

`recycle_cases.py LOG PIDS`: LOG is the control plane's; PIDS a file with the edges' process ids by
number. Opens connections, kills the edge that holds the first of them, and says what became of all.
"""
import os
import re
import select
import signal
import socket
import ssl
import sys

GATEWAY = ("192.0.2.1", 443)
CONNECTIONS = 24
REQUEST = b"GET / HTTP/1.1\r\nHost: x\r\nUser-Agent: test\r\n\r\n"


def connect():
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    sock = context.wrap_socket(socket.create_connection(GATEWAY, 10))
    return sock


def answers(sock):
    try:
        sock.sendall(REQUEST)
        return sock.recv(100).startswith(b"HTTP/1.1 200")
    except OSError:
        return False


def edge_of(log, port):
    """The edge's number, from the line of the handshake."""
    for _ in range(1000):
        with open(log) as file:
            found = re.search(rf"index=(\d+) event=handshake remote=192\.0\.2\.2:{port} ", file.read())
        if found:
            return int(found[1])
        select.select([], [], [], 0.01)
    sys.exit(f"FAIL: no handshake of port {port} in the log")


def main():
    log = sys.argv[1]
    socks = [connect() for _ in range(CONNECTIONS)]
    edges = [edge_of(log, sock.getsockname()[1]) for sock in socks]
    if len(set(edges)) < 2:
        sys.exit(f"FAIL: one edge has all connections: {edges}")
    with open(sys.argv[2]) as file:
        pids = dict(map(int, line.split()) for line in file)
    victim = edges[0]
    os.kill(pids[victim], signal.SIGKILL)
    for edge, sock in zip(edges, socks):
        if answers(sock) != (edge != victim):
            sys.exit(f"FAIL: a connection of edge {edge}, where {victim} was killed")
    for _ in range(4 * len(pids)):
        if not answers(connect()):
            sys.exit("FAIL: a newcomer is not served")
    print(f"{edges.count(victim)} of {CONNECTIONS} connections ended")


main()
