#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""The real dataplane against a control plane of this test: HELLO, rings, commands, dump, tokens,
and a peer that breaks every rule. Nothing that a peer does may end the dataplane."""

import json
import mmap
import os
import random
import select
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time

MAGIC = 0x4B545350
SESSION, EDGE, MONITOR = 1, 2, 3
CMD, CPL, EVT, PUNT = (1024, 384), (1024, 16), (4096, 128), (512, 2048)
ADD, DEL, STREAM, DTLS, UPDATE, DUMP, FILTER_ADD, FILTER_DEL, IROUTES = 1, 2, 3, 4, 5, 6, 8, 9, 10
ENOENT, EINVAL, EEXIST, EBADF, EBUSY, EPROTO, EADDRINUSE, ESTALE, EOPNOTSUPP = 2, 22, 17, 9, 16, 71, 98, 116, 95


def check(condition, what):
    if not condition:
        raise AssertionError(what)


class Ring:
    def __init__(self, fd, shape):
        self.slots, self.size = shape
        self.map = mmap.mmap(fd, 192 + self.slots * self.size)
        check(struct.unpack_from("III", self.map, 0)[1:] == shape, "ring header")
        self.index = 0

    def _get(self, offset):
        return struct.unpack_from("I", self.map, offset)[0]

    def _put(self, offset, value):
        struct.pack_into("I", self.map, offset, value & 0xFFFFFFFF)

    def push(self, slot):
        at = 192 + (self.index % self.slots) * self.size
        self.map[at:at + self.size] = slot.ljust(self.size, b"\0")
        self.index = (self.index + 1) & 0xFFFFFFFF
        self._put(64, self.index)

    def pop(self):
        if self._get(64) == self.index:
            return None
        at = 192 + (self.index % self.slots) * self.size
        slot = bytes(self.map[at:at + self.size])
        self.index = (self.index + 1) & 0xFFFFFFFF
        self._put(128, self.index)
        return slot

    def sleep(self, yes):
        self._put(132, 1 if yes else 0)

    def head_set(self, value):
        self._put(64, value)


class Peer:
    def __init__(self, path, role, index=0, magic=MAGIC, versions=(2, 2)):
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.sock.connect(path)  # waits for room in the backlog
        self.sock.settimeout(10)
        self.sock.send(struct.pack("IHHHHI", magic, *versions, role, index, 0))
        data, self.fds, _, _ = socket.recv_fds(self.sock, 64, 16)
        self.closed = not data
        if self.closed:
            return
        (_, self.version, self.status, self.nb_fds, self.sessions_max, self.boot_id,
         self.workers, _) = struct.unpack("IHhIIQII", data)
        check(len(self.fds) == self.nb_fds, "descriptors of the welcome")
        if self.status == 0 and role == SESSION:
            self.cmd, self.cpl = Ring(self.fds[0], CMD), Ring(self.fds[1], CPL)
            self.evt = Ring(self.fds[2], EVT)
            self.bell_cmd, self.bell_evt = self.fds[4], self.fds[5]
        if self.status == 0 and role == EDGE:
            self.punt, self.inject = Ring(self.fds[0], PUNT), Ring(self.fds[1], PUNT)
            self.bell_inject = self.fds[3]
        self.ids = 0

    def ring(self, bell):
        os.write(bell, struct.pack("Q", 1))

    def wait(self, ring):
        until = time.monotonic() + 10
        while time.monotonic() < until:
            slot = ring.pop()
            if slot is not None:
                return slot
            ring.sleep(True)
            if ring._get(64) == ring.index:
                select.select([self.bell_evt], [], [], 1)
                try:
                    os.read(self.bell_evt, 8)
                except BlockingIOError:
                    pass
            ring.sleep(False)
        raise AssertionError("nothing came in the ring")

    def command(self, kind, index, generation, body=b"", reserved=0):
        self.ids += 1
        self.cmd.push(struct.pack("HHIII", kind, reserved, self.ids, index, generation) + body)
        self.ring(self.bell_cmd)
        ident, status, _, _ = struct.unpack("IiII", self.wait(self.cpl))
        check(ident == self.ids, "completion of another command")
        return status

    def token(self, token, fd):
        socket.send_fds(self.sock, [struct.pack("IIQ", MAGIC, 0, token)], [fd])

    def dump(self):
        check(self.command(DUMP, 0, 0) == 0, "dump")
        sessions = []
        while True:
            kind, channels, _, index, generation = struct.unpack_from(
                "HHIII", self.wait(self.evt))
            if kind == 7:
                return sessions
            if kind == 9:
                continue
            check(kind == 6, "event in a dump")
            sessions.append((index, generation, channels))

    def gone(self):
        try:
            return self.sock.recv(1) == b""
        except ConnectionResetError:
            return True

    def close(self):
        self.sock.close()
        for fd in self.fds:
            os.close(fd)


def v4(text):
    return b"\0" * 10 + b"\xff\xff" + socket.inet_aton(text)


def policy(mtu=1400, name=0):
    return struct.pack("IHHIIIIIIIB3xQ", 0, mtu, 0, 0, 0, 0, 0, 0, 0, 0, 0, name)


def add(address, mtu=1400, name=0):
    return v4(address) + b"\0" * 16 + struct.pack("B7x", 0) + policy(mtu, name)


def route(address, length, kind=1):
    return v4(address) + struct.pack("BBBBHH", kind, length, 0, 0, 0, 0)


def filter_part(name, rules, total=None, first=0, flags=1):
    total = len(rules) if total is None else total
    return struct.pack("QIHHH6x", name, flags, total, first, len(rules)) + b"".join(rules)


def keys(length, seq=0, secret=b""):
    return (os.urandom(length).ljust(32, b"\0") + os.urandom(12) +
            struct.pack("B3x", len(secret)) + secret.ljust(48, b"\0") + struct.pack("Q", seq))


def dtls(port, cipher=1, epoch=1):
    # struct abi_cmd is aligned to 8: the body begins at 16
    return (v4("192.0.2.1") + v4("192.0.2.2") + struct.pack("!HH", 443, port) + b"\0" * 4 +
            struct.pack("BBHHH", 3, cipher, epoch, 0, 0) + keys(16) + keys(16))


def stream(token, version=1, cipher=1):
    return struct.pack("QBB6x", token, version, cipher) + keys(16) + keys(16)


class Gateway:
    def __init__(self, directory):
        here = os.path.dirname(os.path.abspath(__file__))
        build = os.environ.get("BUILD", os.path.join(here, "../../build"))
        self.path = os.path.join(directory, "dataplane.sock")
        config = os.path.join(directory, "penstock.json")
        with open(os.path.join(here, "gateway.json"), encoding="utf-8") as base:
            tree = json.loads(base.read().replace("@DIR@", directory))
        tree["penstock:penstock"]["dataplane"]["sessions-max"] = 256
        with open(config, "w", encoding="utf-8") as out:
            json.dump(tree, out)
        ready = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        ready.bind(os.path.join(directory, "notify"))
        ready.settimeout(60)
        environment = dict(os.environ, NOTIFY_SOCKET=os.path.join(directory, "notify"))
        self.log = open(os.path.join(directory, "log"), "wb+")
        self.process = subprocess.Popen(
            [os.path.join(build, "dataplane/penstock-dataplane"), "-c", config,
             "--socket", self.path, "--no-huge"], stdout=self.log, stderr=self.log,
            env=environment)
        check(b"READY=1" in ready.recv(4096), "the dataplane is not ready")
        ready.close()

    def alive(self, what):
        check(self.process.poll() is None, f"the dataplane ended: {what}")

    def peer(self, *args, **kwargs):
        return Peer(self.path, *args, **kwargs)


def test_hello(gw):
    check(os.stat(gw.path).st_mode & 0o777 == 0o600, "mode of the socket")
    check(gw.peer(SESSION, magic=1).closed, "a wrong magic gets no answer")
    check(gw.peer(SESSION, versions=(3, 9)).status == -EPROTO, "version")
    check(gw.peer(SESSION, versions=(1, 9)).status == 0, "version range")
    check(gw.peer(9).status == -EINVAL, "role")
    check(gw.peer(EDGE, 64).status == -EINVAL, "edge number")
    check(gw.peer(SESSION, 1).status == -EINVAL, "index of a session peer")
    peer = gw.peer(SESSION)
    check(peer.status == 0 and peer.nb_fds == 6 and peer.sessions_max == 256, "welcome")
    check(gw.peer(SESSION).status == -EBUSY, "role taken")
    edges = [gw.peer(EDGE, i) for i in range(64)]
    check(all(e.status == 0 and e.nb_fds == 4 for e in edges), "edges")
    check(gw.peer(EDGE, 7).status == -EBUSY, "edge number taken")
    monitor = gw.peer(MONITOR)
    check(monitor.status == 0 and monitor.nb_fds == 1, "monitor")
    check(monitor.boot_id == peer.boot_id != 0, "boot id")
    try:
        mmap.mmap(monitor.fds[0], 4096)
        raise AssertionError("the statistics can be written to")
    except PermissionError:
        pass
    mmap.mmap(monitor.fds[0], 4096, prot=mmap.PROT_READ).close()
    for p in [*edges, monitor, peer]:
        p.close()


def test_commands(gw):
    peer = gw.peer(SESSION)
    check(peer.dump() == [], "empty dump")
    check(peer.command(ADD, 3, 1, add("10.200.0.5")) == 0, "add")
    check(peer.command(ADD, 3, 2, add("10.200.0.6")) == -EEXIST, "index in use")
    check(peer.command(ADD, 4, 1, add("10.200.0.5")) == -EADDRINUSE, "address in use")
    check(peer.command(ADD, 4, 1, add("172.16.0.5")) == -EINVAL, "address in no pool")
    check(peer.command(ADD, 4, 1, add("10.200.0.7", mtu=100)) == -EINVAL, "mtu")
    check(peer.command(ADD, 4, 1, add("10.200.0.7"), reserved=1) == -EINVAL, "reserved")
    check(peer.command(ADD, 256, 1, add("10.200.0.7")) < 0, "index beyond the table")
    check(peer.command(DTLS, 3, 1, dtls(1000)) == 0, "dtls")
    check(peer.command(DTLS, 3, 2, dtls(1000)) == -ESTALE, "generation")
    check(peer.command(DTLS, 3, 1, dtls(1000, cipher=9)) == -EINVAL, "cipher")
    check(peer.command(DTLS, 3, 1, dtls(1001, cipher=2)) == 0, "dtls replaced")
    check(peer.command(UPDATE, 3, 1, policy(1300)) == 0, "update")
    check(peer.command(UPDATE, 9, 1, policy(1300)) == -ESTALE, "update of nobody")
    check(peer.command(77, 3, 1) == -EOPNOTSUPP, "unknown command")
    check(peer.command(STREAM, 3, 1, stream(5)) == -EBADF, "no such descriptor")
    check(peer.dump() == [(3, 1, 2)], "dump")
    # slots with keys are wiped once taken
    check(not any(peer.cmd.map[192:]), "command slots are wiped")
    # a control plane that goes and comes back finds what it left
    peer.close()
    peer = gw.peer(SESSION)
    check(peer.dump() == [(3, 1, 2)], "dump after a restart")
    check(peer.command(DEL, 3, 1, struct.pack("I", 2)) == 0, "del")
    check(peer.command(DEL, 3, 1, struct.pack("I", 2)) == -ESTALE, "del twice")
    check(peer.dump() == [], "empty again")
    peer.close()


def test_filters(gw):
    peer = gw.peer(SESSION)
    rules = [route(f"10.1.{n}.0", 24) for n in range(20)]
    check(peer.command(ADD, 20, 1, add("10.200.0.20", name=7)) == -ENOENT, "no such filter")
    check(peer.command(FILTER_ADD, 0, 0, filter_part(7, rules[:14], 20)) == 0, "first part")
    check(peer.command(ADD, 20, 1, add("10.200.0.20", name=7)) == -ENOENT, "half a filter")
    check(peer.command(FILTER_ADD, 0, 0, filter_part(7, rules[14:], 20, 14)) == 0, "second part")
    check(peer.command(ADD, 20, 1, add("10.200.0.20", name=7)) == 0, "session with a filter")
    check(peer.command(FILTER_DEL, 0, 0, struct.pack("Q", 7)) == -EBUSY, "filter in use")
    check(peer.command(FILTER_ADD, 0, 0, filter_part(8, rules[:1])) == 0, "another filter")
    check(peer.command(UPDATE, 20, 1, policy(name=9)) == -ENOENT, "update: no such filter")
    check(peer.command(UPDATE, 20, 1, policy(name=8)) == 0, "another filter for it")
    check(peer.command(FILTER_DEL, 0, 0, struct.pack("Q", 7)) == 0, "filter that is not used")
    check(peer.command(FILTER_DEL, 0, 0, struct.pack("Q", 7)) == -ENOENT, "twice")
    check(peer.command(DEL, 20, 1, struct.pack("I", 2)) == 0, "end of the session")
    check(peer.command(FILTER_DEL, 0, 0, struct.pack("Q", 8)) == 0, "filter of a past session")
    # parts that do not fit together, and rules that are none
    check(peer.command(FILTER_ADD, 0, 0, filter_part(9, rules[:6], 20, 14)) == -EINVAL, "no start")
    for wrong in (filter_part(0, rules[:1]), filter_part(9, rules[:1], 5000),
                  filter_part(9, rules[:1], flags=6), filter_part(9, rules[:1], flags=8),
                  filter_part(9, [route("10.0.0.0", 33)]), filter_part(9, [route("10.0.0.0", 8, 5)]),
                  filter_part(9, rules[:2], 1), filter_part(9, [], 3)):
        check(peer.command(FILTER_ADD, 0, 0, wrong) == -EINVAL, "a wrong filter")
    # as many as there is room for, and no more
    done = 0
    while peer.command(FILTER_ADD, 0, 0, filter_part(1000 + done, rules[:1])) == 0:
        done += 1
        check(done <= 4096, "filters without a limit")
    check(done == 4096, f"{done} filters")
    peer.close()
    peer = gw.peer(SESSION)
    peer.dump()
    for n in range(done):
        check(peer.command(FILTER_DEL, 0, 0, struct.pack("Q", 1000 + n)) == 0, "away")
    peer.close()
    gw.alive("filters")


def iroutes(*networks):
    return struct.pack("I", len(networks)) + b"".join(
        v4(address) + struct.pack("B3x", length) for address, length in networks)


def test_iroutes(gw):
    def host():
        return subprocess.run(["ip", "route", "show", "10.77.0.0/16"], stdout=subprocess.PIPE,
                              check=True).stdout

    peer = gw.peer(SESSION)
    for n in (20, 21):
        check(peer.command(ADD, n, 1, add(f"10.200.0.{n}")) == 0, "session")
    check(peer.command(IROUTES, 22, 1, iroutes(("10.77.0.0", 16))) == -ESTALE, "of nobody")
    check(peer.command(IROUTES, 20, 1, iroutes(("10.77.0.0", 16), ("10.78.0.0", 16))) == 0, "set")
    check(b"penstock0" in host(), "the host's route")
    check(peer.command(IROUTES, 21, 1, iroutes(("10.77.0.0", 16), ("10.79.0.0", 16))) ==
          -EADDRINUSE, "another's network")
    for wrong in (("10.200.0.0", 16), ("10.200.0.128", 25), ("10.0.0.0", 8)):
        check(peer.command(IROUTES, 20, 1, iroutes(wrong)) == -EINVAL, "a pool's network")
    check(host() == b"", "the host's route stays")
    check(peer.command(IROUTES, 21, 1, iroutes(("10.77.0.0", 16))) == 0, "free now")
    check(peer.command(DEL, 21, 1, struct.pack("I", 2)) == 0, "end of the session")
    check(host() == b"", "the host's route outlives the session")
    check(peer.command(IROUTES, 20, 1, iroutes(("10.77.0.0", 16))) == 0, "free again")
    for wrong in (("10.77.0.0", 0), ("10.77.0.0", 33), ("10.77.0.1", 24)):
        check(peer.command(IROUTES, 20, 1, iroutes(wrong)) == -EINVAL, "no network")
    check(peer.command(IROUTES, 20, 1, struct.pack("I", 17)) == -EINVAL, "too many")
    check(peer.command(DEL, 20, 1, struct.pack("I", 2)) == 0, "end of the session")
    peer.close()


def test_stream(gw):
    peer = gw.peer(SESSION)
    listener = socket.create_server(("127.0.0.1", 0))
    client = socket.create_connection(listener.getsockname())
    server, _ = listener.accept()
    check(peer.command(ADD, 7, 5, add("10.200.0.9")) == 0, "add")
    pipe = os.pipe()
    peer.token(11, pipe[0])
    check(peer.command(STREAM, 7, 5, stream(11)) < 0, "a pipe is no stream")
    peer.token(12, server.fileno())
    server.close()
    check(peer.command(STREAM, 7, 5, stream(12)) == 0, "stream")
    check(peer.command(STREAM, 7, 5, stream(12)) == -EBADF, "a token is good once")
    check(peer.dump() == [(7, 5, 1)], "dump with a stream")
    client.send(b"\x17\x03\x03\x00\x18" + b"x" * 24)  # not authentic: the stream ends
    kind, _, reason, index, generation = struct.unpack_from("HHIII", peer.wait(peer.evt))
    check((kind, reason, index, generation) == (2, 5, 7, 5), "stream down event")
    check(client.recv(100) == b"", "closed")
    # the session itself lives on
    check(peer.dump() == [(7, 5, 0)], "dump without the stream")
    check(peer.command(DEL, 7, 5, struct.pack("I", 2)) == 0, "del")
    peer.close()
    for fd in pipe:
        os.close(fd)


def test_churn(gw):
    """More commands than any pool or ring holds; completions in order."""
    peer = gw.peer(SESSION)
    for i in range(3000):
        index = i % 200
        check(peer.command(ADD, index, i + 1, add(f"10.200.0.{index + 2}")) == 0, "add")
        check(peer.command(DTLS, index, i + 1, dtls(i + 1, 1 + i % 3)) == 0, "dtls")
        check(peer.command(DEL, index, i + 1, struct.pack("I", 2)) == 0, "del")
    check(peer.dump() == [], "nothing left")
    peer.close()


def test_hostile(gw):
    rng = random.Random(1)
    for head in (5000, 0x80000000, 0xFFFFFFFF):
        peer = gw.peer(SESSION)
        peer.cmd.head_set(head)
        peer.ring(peer.bell_cmd)
        check(peer.gone(), "an impossible index ends the peer")
        peer.close()
        edge = gw.peer(EDGE, 3)
        edge.inject.head_set(head)
        edge.ring(edge.bell_inject)
        check(edge.gone(), "an impossible index ends the edge")
        edge.close()
    # words after HELLO that nobody asked for
    edge = gw.peer(EDGE, 1)
    edge.sock.send(b"x" * 16)
    check(edge.gone(), "an edge has nothing to say")
    peer = gw.peer(SESSION)
    peer.sock.send(b"x" * 16)
    check(peer.gone(), "a message without its descriptor")
    peer = gw.peer(SESSION)
    socket.send_fds(peer.sock, [struct.pack("IIQ", MAGIC, 0, 0)], [0])
    check(peer.gone(), "token 0")
    # random commands and datagrams, headers overwritten, completions never read
    for _ in range(20):
        peer, edge = gw.peer(SESSION), gw.peer(EDGE, 2)
        check(peer.status == 0 and edge.status == 0, "attach")
        for i in range(1500):
            body = bytearray(rng.randbytes(384))
            struct.pack_into("HH", body, 0, rng.randrange(13), 0)
            struct.pack_into("II", body, 8, rng.randrange(300), rng.randrange(1, 5))
            peer.cmd.push(bytes(body))
            slot = bytearray(rng.randbytes(2048))
            struct.pack_into("H", slot, 40, rng.randrange(2200))
            edge.inject.push(bytes(slot))
            if i % 50 == 0:
                peer.cmd.map[0:64] = rng.randbytes(64)
                edge.punt.map[rng.randrange(192)] = rng.randrange(256)
        peer.ring(peer.bell_cmd)
        edge.ring(edge.bell_inject)
        peer.close()
        edge.close()
        gw.alive("random commands")
    # descriptors without end
    peer = gw.peer(SESSION)
    for i in range(3000):
        try:
            peer.token(i + 1, 0)
        except (BrokenPipeError, ConnectionResetError, socket.timeout):
            break
    peer.close()
    # connections without a HELLO
    idle = []
    for _ in range(200):
        s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        s.setblocking(False)
        try:
            s.connect(gw.path)
        except BlockingIOError:
            pass
        idle.append(s)
    for s in idle:
        s.close()
    gw.alive("hostile peers")
    peer = gw.peer(SESSION)
    check(peer.status == 0, "attach after all that")
    for index, generation, _ in peer.dump():
        check(peer.command(DEL, index, generation, struct.pack("I", 2)) == 0, "clean up")
    peer.close()


def main():
    if os.geteuid() != 0 or not os.path.exists("/dev/net/tun"):
        print("SKIP: needs root and /dev/net/tun")
        return 77
    if os.environ.get("PENSTOCK_TEST_NS") is None:
        os.environ["PENSTOCK_TEST_NS"] = "1"
        os.execvp("unshare", ["unshare", "--net", "--mount", sys.executable, *sys.argv])
    for line in ("link set lo up", "link add wan0 type veth peer name wan1", "link set wan1 up",
                 "link set wan0 up", "addr add 192.0.2.1/24 dev wan0"):
        subprocess.run(["ip", *line.split()], check=True)
    directory = tempfile.mkdtemp(prefix="boundary-")
    gw = None
    try:
        gw = Gateway(directory)
        for test in (test_hello, test_commands, test_filters, test_iroutes, test_stream, test_churn, test_hostile):
            test(gw)
            gw.alive(test.__name__)
            print(f"ok: {test.__name__}")
        gw.process.send_signal(signal.SIGTERM)
        check(gw.process.wait(30) == 0, "exit status")
        check(not os.path.exists(gw.path), "the socket is gone")
        print("ok: stopped")
        return 0
    except (AssertionError, OSError) as error:
        print(f"FAIL: {error!r}")
        if gw is not None:
            gw.log.seek(0)
            print(gw.log.read().decode(errors="replace")[-4000:])
        raise
    finally:
        if gw is not None and gw.process.poll() is None:
            gw.process.kill()
        shutil.rmtree(directory)


if __name__ == "__main__":
    sys.exit(main())
