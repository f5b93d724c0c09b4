#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Installs and removes sessions with DTLS keys through the real command ring, as fast as it takes
them: churn.py DATAPLANE-SOCKET COUNT. Called by the benchmark `interference` while no control plane
is attached; sessions of others are left alone. Prints one JSON object."""

import json
import os
import select
import struct
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../integration"))
import test_boundary as boundary  # noqa: E402

BATCH = 256  # commands under way
PATIENCE_S = 5  # without a completion
LIFE = 1 << 30  # generation: of no session of the control plane


def dtls(index):
    """As boundary.dtls, from an address where no client is."""
    body = bytearray(boundary.dtls(1024 + index % 64000))
    body[16:32] = boundary.v4(f"192.0.2.{128 + index // 64000}")
    return bytes(body)


def put(ring, offset, value):
    """One store: struct.pack_into would show the consumer a zero for a moment."""
    memoryview(ring.map).cast("I")[offset // 4] = value & 0xFFFFFFFF


def attach(path):
    """The control plane that was killed may not be forgotten yet."""
    end = time.monotonic() + PATIENCE_S
    while True:
        peer = boundary.Peer(path, boundary.SESSION)
        if not peer.closed and peer.status == 0:
            return peer
        boundary.check(time.monotonic() < end, "attach")
        peer.close()
        select.select([], [], [], 0.01)


def closed(peer):
    return bool(select.select([peer.sock], [], [], 0)[0])


def run(peer, kind, bodies, indexes):
    """All of these commands; completions come in order."""
    sent = done = 0
    progress = time.monotonic()
    while done < len(indexes):
        boundary.check(time.monotonic() < progress + PATIENCE_S,
                       f"command {kind}: {sent} sent, {done} done, closed: {closed(peer)}")
        while sent < len(indexes) and sent - done < BATCH:
            peer.ids += 1
            peer.cmd.push(struct.pack("HHIII", kind, 0, peer.ids, indexes[sent], LIFE) +
                          bodies[sent])
            sent += 1
        peer.ring(peer.bell_cmd)
        slot = peer.cpl.pop()
        if slot is None:
            peer.cpl.sleep(True)
            if peer.cpl._get(64) == peer.cpl.index:
                select.select([peer.bell_evt], [], [], 1)
                try:
                    os.read(peer.bell_evt, 8)
                except BlockingIOError:
                    pass
            peer.cpl.sleep(False)
        while slot is not None:
            progress = time.monotonic()
            _, status, _, _ = struct.unpack("IiII", slot)
            boundary.check(status == 0, f"command {kind}: {os.strerror(-status)}")
            done += 1
            slot = peer.cpl.pop()


def main():
    path, count = sys.argv[1], int(sys.argv[2])
    boundary.Ring._put = put
    peer = attach(path)
    indexes = [peer.sessions_max - 1 - i for i in range(count)]
    adds = [boundary.add(f"10.200.{100 + i // 250}.{2 + i % 250}") for i in range(count)]
    channels = [dtls(i) for i in range(count)]
    ends = [struct.pack("I", 2)] * count
    start = time.monotonic()
    run(peer, boundary.ADD, adds, indexes)
    run(peer, boundary.DTLS, channels, indexes)
    run(peer, boundary.DEL, ends, indexes)
    seconds = time.monotonic() - start
    peer.close()
    print(json.dumps({"sessions": count, "seconds": round(seconds, 3),
                      "rate": round(count / seconds)}))


main()
