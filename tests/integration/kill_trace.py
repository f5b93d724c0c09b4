#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Kills processes when a traced one reaches a point: its n-th message of a type, or system call.

    kill_trace.py ROLE OPERATION NUMBER PHASE VICTIM...

ROLE: that of a child, supervisor or dataplane (its control thread); every process of the role is
traced, also those that start later. OPERATION: send:TYPE or recv:TYPE with a message's name of
enum ipc_type without IPC_, send:fd or recv:fd (a socket for the dataplane), or call:NAME for a system
call. PHASE: before or after the call; what was received is seen after it alone. VICTIM: a role,
`self` (the process at the point), children (all of the control plane's), or the name of a process.

Says "armed" when it traces, "hit ..." when it has killed. Used by kill_points.py; also by hand.
No hook in the programs: ptrace, one stop a system call.
"""
import ctypes
import glob
import os
import platform
import re
import signal
import struct
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
HEADERS = os.path.join(HERE, "../../controlplane/ipc/*.h")
CALLS = {
    "x86_64": {"sendmsg": 46, "recvmsg": 47, "sendto": 44, "recvfrom": 45, "fdatasync": 75,
        "pwrite64": 18, "msync": 26},
    "aarch64": {"sendmsg": 211, "recvmsg": 212, "sendto": 206, "recvfrom": 207, "fdatasync": 83,
        "pwrite64": 68, "msync": 227},
}[platform.machine()]
# From <sys/ptrace.h>.
CONT, SYSCALL, SEIZE, INTERRUPT, LISTEN, SYSCALL_INFO = 7, 24, 0x4206, 0x4207, 0x4208, 0x420E
TRACESYSGOOD = 1
EVENT_STOP = 128
ENTRY, EXIT = 1, 2
ABI_MAGIC_LEN = 16 # of what goes over the dataplane's channel with a socket: magic, pad, token
WALL = 0x40000000
CHILDREN = ("auth", "edge", "session", "radius", "script", "pam")
SCAN_S = 0.01

libc = ctypes.CDLL(None, use_errno=True)
libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
libc.ptrace.restype = ctypes.c_long


def message_types():
    """{name: number} of enum ipc_type."""
    text = ""
    for name in glob.glob(HEADERS):
        with open(name, encoding="utf-8") as file:
            text += file.read()
    body = re.search(r"enum ipc_type \{(.*?)\n\};", text, re.DOTALL).group(1)
    types, number = {}, 0
    for name, value in re.findall(r"^\s*IPC_(\w+)(?: = (\d+))?,", body, re.MULTILINE):
        number = int(value) if value else number + 1
        types[name] = number
    return types


def comm_of(role):
    return {"supervisor": "penstock-contro", "dataplane": "penstock-datapl"}.get(role,
        "ps-" + role if role in CHILDREN else role)


def pids_of(role):
    """Those that live (a dead one is there until it is waited for)."""
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/stat", encoding="utf-8") as file:
                comm, rest = file.read().split("(", 1)[1].rsplit(") ", 1)
        except OSError:
            continue
        if comm == comm_of(role) and rest[0] not in "ZX":
            found.append(int(pid))
    return sorted(found)


def kill(pids):
    for pid in pids:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            pass


class Point:
    """What is waited for; counts its occurrences over all traced processes."""

    def __init__(self, operation, number, phase):
        kind, self.name = operation.split(":")
        self.kind, self.left, self.phase = kind, number, ENTRY if phase == "before" else EXIT
        if kind == "recv":
            self.phase = EXIT
        call = {"send": "sendmsg", "recv": "recvmsg"}.get(kind, self.name)
        self.call = CALLS[call]
        self.type = None if kind == "call" or self.name == "fd" else message_types()[self.name]

    def header(self, pid, msghdr):
        """Of the message at this struct msghdr: its first 16 bytes and its length."""
        with open(f"/proc/{pid}/mem", "rb", 0) as memory:
            memory.seek(msghdr + 16)
            iov, = struct.unpack("Q", memory.read(8))
            memory.seek(iov)
            base, length = struct.unpack("QQ", memory.read(16))
            memory.seek(base)
            return memory.read(16), length

    def is_here(self, pid, nr, args, result):
        if nr != self.call or (self.phase == EXIT and result < 0):
            return False
        if self.kind == "call":
            return True
        head, length = self.header(pid, args[1])
        kind, _, size = struct.unpack("HHI", head[:8])
        if self.kind == "recv":
            length = result
        if self.type is None:
            return length == ABI_MAGIC_LEN and size != length
        return kind == self.type and size == length

    def reached(self, pid, nr, args, result):
        if not self.is_here(pid, nr, args, result):
            return False
        self.left -= 1
        return self.left == 0


class Tracer:
    def __init__(self, role, point, victims):
        self.role, self.point, self.victims = role, point, victims
        self.seen, self.entries = set(), {}

    def request(self, what, pid, data=0, addr=0):
        return libc.ptrace(what, pid, addr, data)

    def seize_new(self, *_):
        for pid in pids_of(self.role):
            if pid not in self.seen and self.request(SEIZE, pid, TRACESYSGOOD) == 0:
                self.seen.add(pid)
                self.request(INTERRUPT, pid)

    def info(self, pid):
        buffer = ctypes.create_string_buffer(88)
        if self.request(SYSCALL_INFO, pid, ctypes.addressof(buffer), len(buffer)) <= 0:
            return None
        op, = struct.unpack_from("B", buffer)
        if op == ENTRY:
            return op, struct.unpack_from("7Q", buffer, 24)
        return op, struct.unpack_from("q", buffer, 24)

    def strike(self, pid):
        pids = []
        for victim in self.victims:
            if victim == "self":
                pids.append(pid)
            elif victim == "children":
                pids += [p for role in CHILDREN for p in pids_of(role)]
            else:
                pids += pids_of(victim)
        kill(pids)
        print("hit", " ".join(map(str, pids)), flush=True)

    def at_syscall(self, pid):
        """True: this was the point."""
        info = self.info(pid)
        if info is None:
            return False
        op, values = info
        if op == ENTRY:
            self.entries[pid] = values
            return self.point.phase == ENTRY and self.point.reached(pid, values[0], values[1:], 0)
        entry = self.entries.pop(pid, None)
        return entry is not None and self.point.phase == EXIT and self.point.reached(pid, entry[0],
            entry[1:], values[0])

    def stopped(self, pid, status):
        """Lets the process go on. True: the point was reached."""
        sig, event = (status >> 8) & 0xFF, status >> 16
        if sig == signal.SIGTRAP | 0x80:
            try:
                if self.at_syscall(pid):
                    return True
            except OSError:
                pass # it died just now
            self.request(SYSCALL, pid)
        elif event == EVENT_STOP:
            self.request(SYSCALL if sig == signal.SIGTRAP else LISTEN, pid)
        else:
            self.request(SYSCALL, pid, sig)
        return False

    def run(self):
        signal.signal(signal.SIGALRM, self.seize_new)
        self.seize_new()
        print("armed", flush=True)
        signal.setitimer(signal.ITIMER_REAL, SCAN_S, SCAN_S)
        while True:
            try:
                pid, status = os.waitpid(-1, WALL)
            except ChildProcessError:
                signal.pause() # none is there: seize_new() sees the next one
                continue
            if os.WIFSTOPPED(status) and self.stopped(pid, status):
                signal.setitimer(signal.ITIMER_REAL, 0)
                self.strike(pid)
                return # and all that is traced goes on


if __name__ == "__main__":
    Tracer(sys.argv[1], Point(sys.argv[2], int(sys.argv[3]), sys.argv[4]), sys.argv[5:]).run()
