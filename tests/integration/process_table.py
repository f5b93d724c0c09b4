# SPDX-License-Identifier: GPL-3.0-or-later
"""The process table of docs/privsep.md: each role tries what it must not do.

Run by test_process_table.sh: `process_table.py CONFIG`, with a dataplane that runs. The control plane
is started again for every few attempts, because a child that dies again and again is started again
with pauses. A role that exists without a row here fails the test.
"""
import contextlib
import os
import re
import select
import signal
import socket
import struct
import subprocess
import sys
import time

import inject
from test_privsep import TIMEOUT, ControlPlane, check, status_of, steal

TOP = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../..")
SANITIZED = "address" in os.environ.get("SANITIZE", "")
DEATHS_A_RUN = 3  # then children are started again with a pause
SIGCHLD = signal.SIGCHLD.value
AT_FDCWD = -100
PATH, PROGRAM = b"/etc/passwd\0", b"/bin/true\0"
ADDRESS = struct.pack("=H6xQ", socket.AF_INET, 0)  # any
IPC_FILE_KEY = 3

# ---- system calls: name, call, arguments, and whether AddressSanitizer needs it itself

CALLS = [
    ("open a file", "openat", (AT_FDCWD, PATH, os.O_RDONLY), True),
    ("write a file", "open", (b"/tmp/x\0", os.O_WRONLY | os.O_CREAT, 0o600), True),
    ("make a socket", "socket", (socket.AF_INET, socket.SOCK_STREAM, 0), False),
    ("make a UNIX socket", "socket", (socket.AF_UNIX, socket.SOCK_STREAM, 0), False),
    ("connect", "connect", (0, ADDRESS, len(ADDRESS)), False),
    ("bind", "bind", (0, ADDRESS, len(ADDRESS)), False),
    ("run a program", "execve", (PROGRAM, 0, 0), False),
    ("fork", "fork", (), False),
    ("fork by clone", "clone", (SIGCHLD, 0, 0, 0, 0), False),
    ("trace another process", "ptrace", (inject.PTRACE_SEIZE, "supervisor", 0, 0), False),
    ("read another's memory", "process_vm_readv", ("supervisor", 0, 0, 0, 0, 0), True),
    ("write another's memory", "process_vm_writev", ("supervisor", 0, 0, 0, 0, 0), False),
    ("take another's descriptor", "pidfd_getfd", (0, 0, 0), False),
    ("end another process", "kill", ("supervisor", 9), False),
    ("be root", "setuid", (0,), False),
    ("mount", "mount", (PATH, PATH, 0, 0, 0), False),
    ("run new code", "mmap", (0, 4096, 5, 0x22, -1, 0), False),
    ("load a BPF program", "bpf", (0, 0, 0), False),
]

# What comes of them. Killed, but for files, which libraries look for and do without.
SANDBOXED = {name: "SIGSYS" for name, *_ in CALLS}
SANDBOXED.update({"open a file": "EACCES", "write a file": "EACCES"})
SESSION = dict(SANDBOXED, **{"open a file": "ENOENT", "write a file": "ENOENT"})  # its root: its own
KERBEROS = SESSION  # its library goes on without a file that is not there
# It connects to its provider, by itself; descriptor 0 is no socket.
OIDC = dict(SANDBOXED, **{"make a socket": "done", "connect": "ENOTSOCK"})
# They are made to run programs and modules that need this machine. What is here is refused to those
# as well.
OTHERS = {"trace another process": "EPERM", "read another's memory": "EPERM",
          "write another's memory": "EPERM", "take another's descriptor": "EPERM", "mount": "EPERM",
          "load a BPF program": "EPERM"}


# ---- messages: a role, its peer, and what another may say there, or it may not say itself

def bare(kind):
    return struct.pack("=HHIQ", kind, 0, 16, 1)


def file_open(file):
    return struct.pack("=HHIQII", 33, 0, 24, 1, file, 0)


RELOAD, LOGIN, CERTS, SESSION_NEW, SESSION_CREATED, STREAM_UP, RADIUS_ASK, ACCT, SCRIPT_DONE, BANS = (
    37, 67, 64, 96, 97, 129, 160, 192, 225, 242)

ROLES = {
    "auth": (SANDBOXED, {
        "supervisor": bare(RELOAD), "edge": bare(BANS), "session": bare(STREAM_UP),
        "radius": bare(ACCT), "pam": bare(ACCT), "kerberos": bare(ACCT),
        "oidc": bare(ACCT), "ocsp": bare(ACCT)}),
    "edge": (SANDBOXED, {
        "supervisor": file_open(IPC_FILE_KEY), "auth": bare(SESSION_CREATED),
        "session": bare(SESSION_NEW)}),
    "session": (SESSION, {
        "supervisor": file_open(IPC_FILE_KEY), "auth": bare(LOGIN), "edge": bare(CERTS),
        "radius": bare(RADIUS_ASK), "script": bare(SCRIPT_DONE), "share": bare(SCRIPT_DONE)}),
    "radius": (SANDBOXED, {
        "supervisor": file_open(IPC_FILE_KEY), "auth": bare(LOGIN), "session": bare(SESSION_NEW)}),
    "share": (SANDBOXED, {
        "supervisor": file_open(IPC_FILE_KEY), "session": bare(SESSION_NEW)}),
    "script": (OTHERS, {
        "supervisor": file_open(IPC_FILE_KEY), "session": bare(SESSION_NEW)}),
    "pam": (OTHERS, {"supervisor": file_open(IPC_FILE_KEY), "auth": bare(LOGIN)}),
    "kerberos": (KERBEROS, {"supervisor": file_open(IPC_FILE_KEY), "auth": bare(LOGIN)}),
    "oidc": (OIDC, {"supervisor": file_open(IPC_FILE_KEY), "auth": bare(LOGIN)}),
    "ocsp": (OIDC, {"supervisor": file_open(IPC_FILE_KEY), "auth": bare(LOGIN)}),
}

# ---- which process is at the other end


def sockets_of(pid):
    """Descriptors by the inode of their socket."""
    found = {}
    for fd in os.listdir(f"/proc/{pid}/fd"):
        with contextlib.suppress(FileNotFoundError):
            link = os.readlink(f"/proc/{pid}/fd/{fd}")
            if link.startswith("socket:["):
                found[int(link[8:-1])] = int(fd)
    return found


def peers_by_inode():
    lines = subprocess.run(["ss", "-xHa"], check=True, capture_output=True, text=True).stdout
    return {int(one): int(other) for one, other in
            re.findall(r"^u_seq.*?\*\s+(\d+)\s+\*\s+(\d+)", lines, re.M)}


def children(cp):
    """The pids by role, and those of edges by "edge"."""
    found = {}
    with open(f"/proc/{cp.proc.pid}/task/{cp.proc.pid}/children") as file:
        for pid in map(int, file.read().split()):
            with open(f"/proc/{pid}/cmdline", "rb") as cmdline:
                words = cmdline.read().split(b"\0")
            if b"--role" in words:
                found.setdefault(words[words.index(b"--role") + 1].decode(), []).append(pid)
    return found


def channels(cp, pid):
    """Its descriptors by the role at the other end."""
    owner = {}
    for role, pids in dict(children(cp), supervisor=[cp.proc.pid]).items():
        for other in pids:
            owner.update({inode: role for inode in sockets_of(other)})
    peer = peers_by_inode()
    return {owner[peer[inode]]: fd for inode, fd in sockets_of(pid).items()
            if peer.get(inode) in owner}


def running(cp, role):
    """One that has started; of several the oldest: the next to come has the shortest pause."""
    end = time.monotonic() + TIMEOUT
    while time.monotonic() < end:
        started = {int(pid) for line in cp.lines
                   for pid in re.findall(r"event=started pid=(\d+)", line)}
        ready = sorted(pid for pid in children(cp).get(role, []) if pid in started)
        if ready:
            return ready[0]
        cp.read(0.1)
    sys.exit(f"FAIL: no {role} runs")


def channel(cp, pid, role):
    """Its channel to a role; one that has just started may not have been introduced yet."""
    end = time.monotonic() + TIMEOUT
    while time.monotonic() < end:
        fds = channels(cp, pid)
        if role in fds:
            return fds[role]
        cp.read(0.1)
    sys.exit(f"FAIL: {pid} has no channel to {role}")


# ---- attempts

def dies(cp, role, pid, what, attempt, *words):
    """The attempt ends the process, which the log says and counts, and another takes its place."""
    pidfd = os.pidfd_open(pid)
    attempt()
    check(select.select([pidfd], [], [], TIMEOUT)[0], f"{role}: {what}: it lives on")
    os.close(pidfd)
    for line in words:
        cp.expect(*line)
    died = cp.expect("event=child_died", f"pid={pid}")
    check(int(re.search(r"breaches=(\d+)", died)[1]) > 0, f"{role}: {what}: not counted: {died}")


def try_call(cp, role, what, name, arguments, expected):
    pid = running(cp, role)
    arguments = [cp.proc.pid if value == "supervisor" else value for value in arguments]
    came = []
    if expected == "SIGSYS":
        dies(cp, role, pid, what, lambda: came.append(inject.call(pid, name, *arguments)))
    else:
        came.append(inject.call(pid, name, *arguments))
    check(came[0] == expected, f"{role}: {what}: {came[0]}, not {expected}")


def try_message(cp, role, peer, message):
    pid = running(cp, role)
    if peer != "supervisor":
        running(cp, peer)
    fd = channel(cp, pid, peer)
    words = [("event=child_kill", f"pid={pid}")]
    if peer != "supervisor":
        words.insert(0, (f"role={peer}", "event=offender", f"peer={role}"))
    dies(cp, role, pid, f"a message to {peer}", lambda: steal(pid, fd).send(message), *words)


def attempts_of(role):
    """All that end the role, and then what does not."""
    calls, messages = ROLES[role]
    deadly, harmless = [], []
    for what, name, arguments, sanitizer_does in CALLS:
        if what not in calls or (SANITIZED and sanitizer_does):
            continue
        one = (f"{role}: {what}", lambda cp, row=(role, what, name, arguments, calls[what]):
               try_call(cp, *row))
        (deadly if calls[what] == "SIGSYS" else harmless).append(one)
    for peer, message in messages.items():
        deadly.append((f"{role}: a message to {peer}",
                       lambda cp, row=(role, peer, message): try_message(cp, *row)))
    return deadly, harmless


# ---- what no attempt is needed for

def roles_of_source():
    """Every role that the program has."""
    with open(os.path.join(TOP, "controlplane/ipc/table.c")) as file:
        return set(re.findall(r'^\s*\[\w+\] = "(\w+)",$', file.read(), re.M)) - {"supervisor"}


def check_rows(cp):
    have, known = set(children(cp)), roles_of_source()
    check(known and set(ROLES) == known, f"rows of {set(ROLES)}, but there are the roles {known}")
    check(have == known, f"the configuration starts {have}, not {known}")
    for role, (_, messages) in ROLES.items():
        for pid in children(cp)[role][:1]:
            peers = set(channels(cp, pid))
            check(peers == set(messages), f"{role} speaks to {peers}, rows for {set(messages)}")


def files_of(pid):
    """What it can map: device and inode of every memfd, open or mapped."""
    found = set()
    for fd in os.listdir(f"/proc/{pid}/fd"):
        with contextlib.suppress(FileNotFoundError):
            if os.readlink(f"/proc/{pid}/fd/{fd}").startswith("/memfd:"):
                found.add(os.stat(f"/proc/{pid}/fd/{fd}").st_ino)
    with open(f"/proc/{pid}/maps") as file:
        found.update(int(line.split()[4]) for line in file if "/memfd:" in line)
    return found


def check_rings(cp):
    """The session process's rings are its own, and each edge's."""
    owned = {pid: files_of(pid) for role in children(cp) for pid in children(cp)[role]}
    session = children(cp)["session"][0]
    check(len(owned[session]) >= 4, f"the session process has no rings: {owned[session]}")
    for role, pids in children(cp).items():
        for pid in pids:
            check(role in ("session", "edge") or not owned[pid],
                  f"{role} holds shared memory: {owned[pid]}")
            check(role != "edge" or len(owned[pid]) >= 2, "an edge has no rings")
            for other in owned:
                check(pid == other or not owned[pid] & owned[other],
                      f"{role} {pid} shares memory with {other}")


def check_identity(cp):
    """A user each, nothing of root, a filter."""
    users = set()
    for role, pids in children(cp).items():
        status = status_of(pids[0])
        check(status["NoNewPrivs"].strip() == "1", f"{role}: no_new_privs is off")
        check(status["Seccomp"].strip() == "2", f"{role} has no filter")
        if ROLES[role][0] is OTHERS:
            continue
        uids = status["Uid"].split()
        check(len(set(uids)) == 1 and uids[0] != "0", f"{role} runs as {uids}")
        check(uids[0] not in users, f"{role} shares its user")
        users.add(uids[0])
        for field in "CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb":
            check(int(status[field], 16) == 0, f"{role} has {field}={status[field]}")


# ---- signatures

ECDSA, PKCS1, PSS = 1, 2, 3
TLS13, TLS12 = 1, 2
SHA256 = 6  # wolfCrypt's enum wc_HashType
PARAMS = bytes([3, 0, 23, 65, 4]) + bytes(64)
SENTINEL = b"DOWNGRD\x01"


def sign_request(generation, handshake, content, what, kind=ECDSA, hash_type=SHA256):
    return struct.pack("=HHIQQIIIIII192s", 65, 0, 240, 1 << 40, handshake, generation, 0, kind,
                       content, hash_type, len(what), what)


def answer(sock):
    """The answer to the one request that is under way: status and signature."""
    check(select.select([sock], [], [], TIMEOUT)[0], "auth does not answer")
    message = sock.recv(32768)
    _, _, _, _, status, length = struct.unpack_from("=HHIQiI", message)
    return status, message[24:24 + length]


NO_HANDSHAKES = {
    "a hash": (TLS12, bytes(32)),
    "randoms alone": (TLS12, bytes(64)),
    "a key of another length": (TLS12, bytes(64) + bytes([3, 0, 23, 66, 4]) + bytes(65)),
    "a certificate": (TLS12, b"\x30\x81\x82" + bytes(130)),
    "a transcript of another length": (TLS13, bytes(64)),
    "text": (TLS13, b"a text of any kind"),
    "another content": (3, bytes(32)),
}


def try_sign(cp, what, *requests, refused=()):
    """The edge is held still and its channel used; the last request ends it."""
    edge = running(cp, "edge")
    running(cp, "auth")
    sock = steal(edge, channel(cp, edge, "auth"))
    with inject.Frozen(edge):
        for request in requests[:-1]:
            sock.send(request)
            status, signature = answer(sock)
            expected = -1 if request in refused else 0
            check(status == expected and (status != 0) == (signature == b""), f"{what}: {status}")
    dies(cp, "edge", edge, what, lambda: sock.send(requests[-1]),
         ("role=auth", "event=sign_breach", "breaches="),
         ("role=auth", "event=offender", "peer=edge"), ("event=child_kill", f"pid={edge}"))


def sign_attempts(generation):
    good = [sign_request(generation, 1 << 20, TLS13, bytes(32)),
            sign_request(generation, (1 << 20) + 1, TLS12, bytes(56) + SENTINEL + PARAMS)]
    downgrade = sign_request(generation, (1 << 20) + 2, TLS12, bytes(64) + PARAMS)
    yield ("a handshake twice, and a hidden downgrade",
           lambda cp: try_sign(cp, "twice", *good, downgrade, good[0], refused=(downgrade,)))
    for what, (content, text) in NO_HANDSHAKES.items():
        request = sign_request(generation, 1 << 20, content, text)
        yield f"sign {what}", lambda cp, row=(what, request): try_sign(cp, *row)


def handshake(*options):
    """A real one, with a client that offers these alone; the certificate is verified."""
    run = subprocess.run(["openssl", "s_client", "-connect", "127.0.0.1:443", "-CAfile",
                          "/run/test/server.pem", "-verify_return_error", *options],
                         stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=TIMEOUT)
    check(run.returncode == 0 and "Verification: OK" in run.stdout,
          f"a client with {options}: {run.stdout[-500:]} {run.stderr}")


def check_clients():
    for group in "X25519", "P-256", "P-384":
        handshake("-tls1_3", "-groups", group)
    for groups in "X25519:P-256", "P-256", "P-384:P-256":
        handshake("-tls1_2", "-groups", groups)


def check_rate(cp):
    """More than `signature-rate` a second are refused, and the edge lives on."""
    edge = children(cp)["edge"][0]
    sock = steal(edge, channels(cp, edge)["auth"])
    with open(sys.argv[1]) as file:
        rate = int(re.search(r'"signature-rate": *(\d+)', file.read())[1])
    with inject.Frozen(edge):
        statuses = []
        for i in range(2 * rate):
            sock.send(sign_request(cp.generation, 1000 + i, TLS13, bytes(32)))
            statuses.append(answer(sock)[0])
    check(statuses[0] == 0 and statuses.count(-16) >= rate // 2, f"rate: {statuses}")
    cp.expect("role=auth", "event=sign_refused", "too many a second")
    check(edge in children(cp)["edge"], "an edge that asks too often is ended")


# ---- runs

@contextlib.contextmanager
def control_plane(config):
    cp = ControlPlane(config, "/run/test/notify")
    try:
        for words in (("event=ready",), ("role=session", "event=reconciled"),
                      ("role=edge", "event=dataplane_attached"), ("role=edge", "event=certificates")):
            cp.seen = 0  # they come in any order
            cp.expect(*words)
        cp.seen = len(cp.lines)
        line = next(line for line in cp.lines if "role=auth event=certificates" in line)
        cp.generation = int(re.search(r"generation=(\w+)", line)[1], 16)
        yield cp
        cp.proc.terminate()
        check(cp.proc.wait(TIMEOUT) == 0, f"exit status {cp.proc.returncode}")
    finally:
        if cp.proc.poll() is None:
            cp.proc.kill()
            cp.proc.wait()


def main():
    config = sys.argv[1]
    deadly = {}
    with control_plane(config) as cp:
        check_rows(cp)
        check_identity(cp)
        check_rings(cp)
        check_clients()
        signs = list(sign_attempts(cp.generation))
        for role in ROLES:
            deadly[role], harmless = attempts_of(role)
            for name, attempt in harmless:
                attempt(cp)
                print(f"ok: {name}: answered with an error", flush=True)
        check_clients()
        check_rate(cp)
    deadly["edge"] += [(f"edge: {name}", attempt) for name, attempt in signs]
    while any(deadly.values()):
        with control_plane(config) as cp:
            # In turns: while one is started again the others are tried.
            for _ in range(DEATHS_A_RUN):
                for role, attempts in deadly.items():
                    for name, attempt in attempts[:len(children(cp).get(role, []))]:
                        attempt(cp)
                        print(f"ok: {name}: ended, counted and logged", flush=True)
                        attempts.pop(0)
    with control_plane(config):
        check_clients()


main()
