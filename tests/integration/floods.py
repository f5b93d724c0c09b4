# SPDX-License-Identifier: GPL-3.0-or-later
"""Hostile clients: as many connections as are asked for, from 198.18.0.0/16, opened again whenever
the server ends one. Run by test_floods.sh in the client's namespace until it is killed.

floods.py passwords|silent|hello|headers CONNECTIONS
"""

import errno
import selectors
import socket
import ssl
import sys

SERVER = ("192.0.2.1", 443)
SOURCES = 250  # addresses; passwords come from one
BODY = b"username=test&password=guess"
LOGIN = (b"POST /auth HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(BODY)) + BODY

context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
context.check_hostname = False
context.verify_mode = ssl.CERT_NONE


class Client:
    """One connection. What it does depends on the kind of flood."""

    def __init__(self, kind, number):
        self.kind, self.number = kind, number
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = context.wrap_bio(self.incoming, self.outgoing)
        self.ready = False
        self.sock = socket.socket()
        self.sock.setblocking(False)
        self.sock.setsockopt(socket.IPPROTO_IP, 24, 1)  # IP_BIND_ADDRESS_NO_PORT
        host = 1 if kind == "passwords" else number % SOURCES + 1
        self.sock.bind((f"198.18.0.{host}", 0))
        if self.sock.connect_ex(SERVER) not in (0, errno.EINPROGRESS):
            raise OSError("connect")

    def step(self):
        """Something came, or it is connected. False: the connection is over."""
        try:
            if self.kind == "silent":
                return self.sock.recv(65536) != b""
            if self.ready or self.outgoing.pending or self.tls.version() is None:
                self.read()
            self.handshake()
            self.sock.sendall(self.outgoing.read())
            return True
        except BlockingIOError:
            return True
        except (OSError, ssl.SSLError, EOFError):
            return False

    def read(self):
        try:
            data = self.sock.recv(65536)
        except BlockingIOError:
            return
        if not data:
            raise EOFError
        self.incoming.write(data)

    def handshake(self):
        if self.kind == "hello" and self.incoming.pending:
            self.incoming.read()  # it never goes on
            return
        try:
            if not self.ready:
                self.tls.do_handshake()
                self.ready = True
                self.tls.write(LOGIN if self.kind == "passwords" else b"GET / HTTP/1.1\r\nHo")
            elif self.kind == "passwords" and self.tls.read(65536):
                self.tls.write(LOGIN)
        except ssl.SSLWantReadError:
            pass


def main(kind, count):
    selector = selectors.EpollSelector()
    if kind == "passwords":
        count = min(count, 64)

    def start(number):
        try:
            client = Client(kind, number)
        except OSError:
            return
        events = selectors.EVENT_READ
        if kind != "silent":
            events |= selectors.EVENT_WRITE
        selector.register(client.sock, events, client)

    begun = 0
    while True:
        for _ in range(min(100, count - begun)):
            start(begun)
            begun += 1
            if begun == count:
                print("going", flush=True)
        for key, events in selector.select(0.05)[:200]:
            client = key.data
            if events & selectors.EVENT_WRITE:
                selector.modify(client.sock, selectors.EVENT_READ, client)
            if not client.step():
                selector.unregister(client.sock)
                client.sock.close()
                start(client.number)


main(sys.argv[1], int(sys.argv[2]))
