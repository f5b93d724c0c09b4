# SPDX-License-Identifier: GPL-3.0-or-later
"""Who gets which address: pool_cases.py CASE. Called by test_pools.sh."""

import sys
import time

from anyclient import DISCONNECT, Client, pace

LAN = "198.51.100.2"


def connect(user, cookie=None):
    """A client after CONNECT, whatever its status is."""
    client = Client()
    client.cookie = cookie or client.login(user)
    client.tunnel(client.cookie)
    return client


def up(user, cookie=None):
    client = connect(user, cookie)
    assert client.status == 200, f"{user}: {client.status} {client.header('X-Reason')}"
    client.ping(LAN)
    return client


def leave(client):
    client.send_frame(DISCONNECT, b"\xb0bye")
    client.expect_closed()


def soon(user, seconds=30):
    """Asks until there is an address."""
    end = time.monotonic() + seconds
    cookie = None
    while True:
        client = connect(user, cookie)
        if client.status == 200:
            client.ping(LAN)
            return client
        assert time.monotonic() < end, f"{user}: still {client.status} {client.header('X-Reason')}"
        cookie = client.cookie if client.status == 503 else None
        client.close()
        pace(time.monotonic() + 0.2)


def full():
    first = up("test")
    assert first.address4 == "10.200.0.2", first.address4
    second = connect("u2")
    assert second.status == 503, second.status
    assert second.header("X-Reason"), second.headers
    print(second.header("X-Reason"))
    first.ping(LAN)
    leave(first)
    second = soon("u2")
    assert second.address4 == "10.200.0.2"
    leave(second)


def expiry():
    first = soon("test")
    first.close(reset=True)  # no BYE: the cookie, and with it the address, is kept for a while
    assert connect("u3").status == 503, "the address of a living cookie was given away"
    third = soon("u3")
    dead = connect("test", first.cookie)
    assert dead.status == 401, f"the dead cookie gets {dead.status}"
    leave(third)


def twice():
    first, second = up("test"), up("test")
    assert first.address4 != second.address4
    third = up("u2")
    assert len({first.address4, second.address4, third.address4}) == 3
    for client in (first, second, third):
        client.ping(LAN)
        leave(client)


def sticky():
    first = up("test")
    address = first.address4
    leave(first)
    for _ in range(3):
        other = up("u2")
        assert other.address4 != address, "an address that a user had was given away in need of none"
        again = up("test")
        assert again.address4 == address, (again.address4, address)
        leave(other)
        leave(again)


globals()[sys.argv[1]](*sys.argv[2:])
