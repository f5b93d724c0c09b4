#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""The control plane's processes against each other: real roles, no dataplane.

Starts the supervisor in a network namespace of its own and plays a compromised process by taking
descriptors out of one (pidfd_getfd). Waits on log lines and pidfds, never on time.
"""
import ctypes
import json
import os
import select
import signal
import socket
import ssl
import struct
import subprocess
import sys
import tempfile
import time

SKIP = 77
TIMEOUT = 20
PORT = 8443
IPC_FILE_OPEN, IPC_OFFENDER, IPC_LOGIN = 33, 34, 67
IPC_AUTH = 1
PIDFD_GETFD = 438
PROGRAM = os.path.join(os.environ.get("BUILD", "build"), "controlplane/penstock-controlplane")
libc = ctypes.CDLL(None, use_errno=True)


class ControlPlane:
    """One run of the program; its log is read line by line."""

    def __init__(self, config, notify):
        env = dict(os.environ, NOTIFY_SOCKET=notify, ASAN_OPTIONS="detect_leaks=0")
        self.proc = subprocess.Popen([PROGRAM, "-c", config], stderr=subprocess.PIPE, env=env)
        self.lines, self.rest, self.seen = [], b"", 0

    def read(self, timeout):
        if not select.select([self.proc.stderr], [], [], timeout)[0]:
            return False
        data = os.read(self.proc.stderr.fileno(), 65536)
        *lines, self.rest = (self.rest + data).split(b"\n")
        self.lines += [line.decode() for line in lines]
        return data != b""

    def expect(self, *words):
        """The next line (after the last one expected) that holds all the words."""
        end = time.monotonic() + TIMEOUT
        while True:
            while self.seen < len(self.lines):
                self.seen += 1
                if all(word in self.lines[self.seen - 1] for word in words):
                    return self.lines[self.seen - 1]
            left = end - time.monotonic()
            if left <= 0 or not self.read(left):
                tail = "\n".join(self.lines[-40:])
                sys.exit(f"FAIL: no line with {words}; the log ends:\n{tail}")

    def children(self, role):
        pids = []
        with open(f"/proc/{self.proc.pid}/task/{self.proc.pid}/children") as file:
            for pid in map(int, file.read().split()):
                with open(f"/proc/{pid}/cmdline", "rb") as cmdline:
                    words = cmdline.read().split(b"\0")
                if role.encode() in words:
                    pids.append((int(words[words.index(b"--index") + 1]), pid))
        return [pid for _, pid in sorted(pids)]


def check(condition, text):
    if not condition:
        sys.exit(f"FAIL: {text}")


def status_of(pid):
    with open(f"/proc/{pid}/status") as file:
        return dict(line.rstrip("\n").split(":\t", 1) for line in file if ":\t" in line)


def steal(pid, fd):
    pidfd = os.pidfd_open(pid)
    copy = libc.syscall(PIDFD_GETFD, pidfd, fd, 0)
    os.close(pidfd)
    check(copy >= 0, f"descriptor {fd} of {pid} cannot be had")
    return socket.socket(fileno=copy)


def peer_channel(pid):
    """A channel of the process to another child: any SEQPACKET pair but the supervisor's."""
    for fd in sorted(map(int, os.listdir(f"/proc/{pid}/fd"))):
        if fd > 3 and os.readlink(f"/proc/{pid}/fd/{fd}").startswith("socket:"):
            sock = steal(pid, fd)
            if sock.family == socket.AF_UNIX and sock.type == socket.SOCK_SEQPACKET:
                return sock
            sock.close()
    sys.exit(f"FAIL: {pid} has no channel to a peer")


def offend(cp, what, sock_of, message, why):
    edge = cp.children("edge")[0]
    pidfd = os.pidfd_open(edge)
    sock_of(edge).send(message)
    check(select.select([pidfd], [], [], TIMEOUT)[0], f"{what}: the edge lives on")
    cp.expect("event=child_kill", f"pid={edge}", why)
    cp.expect("event=spawned", "edge 0")
    cp.expect("role=edge index=0 event=started")


def test_offences(cp):
    # A type that is not the edge's: opening a file.
    offend(cp, "file", lambda pid: steal(pid, 3),
           struct.pack("HHIQII", IPC_FILE_OPEN, 0, 24, 1, 3, 0), "not in the table")
    # The right type, to a peer, of a wrong length.
    offend(cp, "length", peer_channel, struct.pack("HHIQ", IPC_LOGIN, 0, 16, 1),
           "")
    # Accusing auth ends auth, and the edge that did it.
    auth = cp.children("auth")[0]
    offend(cp, "accusation", lambda pid: steal(pid, 3),
           struct.pack("HHIQII128s", IPC_OFFENDER, 0, 152, 1, IPC_AUTH, 0, b"lies"),
           "depends on")
    check(auth not in cp.children("auth"), "the accused lives on")


def login():
    """A real TLS handshake (signed by auth) and a password that auth checks."""
    body = (b'<?xml version="1.0" encoding="UTF-8"?>\n<config-auth client="vpn" '
            b'type="auth-reply" aggregate-auth-version="2"><auth><username>bob</username>'
            b'<password>secret</password></auth></config-auth>')
    head = ("POST /auth HTTP/1.1\r\nHost: vpn.test\r\nUser-Agent: Open AnyConnect VPN Agent\r\n"
            "X-Aggregate-Auth: 1\r\nContent-Type: application/xml\r\n"
            f"Content-Length: {len(body)}\r\n\r\n")
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    with socket.create_connection(("127.0.0.1", PORT), TIMEOUT) as plain:
        with context.wrap_socket(plain, server_hostname="vpn.test") as tls:
            tls.sendall(head.encode() + body)
            answer = tls.recv(4096)
    check(answer.startswith(b"HTTP/1.1 200") and b"webvpn=" in answer, f"login: {answer[:80]}")


def test_identity(cp):
    """Each role another user, nothing of root, a filter, and no way back."""
    users = set()
    for role in "auth", "session", "edge":
        status = status_of(cp.children(role)[0])
        uids = status["Uid"].split()
        check(len(set(uids)) == 1 and uids[0] != "0", f"{role} runs as {uids}")
        for field in "CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb":
            check(int(status[field], 16) == 0, f"{role} has {field}={status[field]}")
        check(status["NoNewPrivs"].strip() == "1", f"{role}: no_new_privs is off")
        check(status["Seccomp"].strip() == "2", f"{role} has no filter")
        users.add(uids[0])
    check(len(users) == 3, "roles share a user")
    caps = int(status_of(cp.proc.pid)["CapEff"], 16)
    check(caps & (1 << 19) == 0 and caps & (1 << 12) == 0, "supervisor can ptrace or set routes")


def test_kill(cp):
    for role in "auth", "session", "edge":
        pid = cp.children(role)[0]
        os.kill(pid, signal.SIGKILL)
        cp.expect("event=child_died", f"pid={pid}", "SIGKILL")
        cp.expect(f"role={role}", "event=started")
        login()
    for pid in cp.children("auth") + cp.children("session") + cp.children("edge"):
        os.kill(pid, signal.SIGKILL)
    for _ in range(4):
        cp.expect("event=started")
    login()


def test_reload(cp, path, config):
    cp.proc.send_signal(signal.SIGHUP)
    cp.expect("event=reload", "status=done")
    with open(path, "w") as file:
        file.write('{"penstock:penstock": {"no-such-thing": 1}}')
    cp.proc.send_signal(signal.SIGHUP)
    cp.expect("event=reload", "level=error")
    with open(path, "w") as file:
        json.dump(config, file)
    # A certificate that cannot be read: nothing changes, and logins go on.
    key = config["penstock:penstock"]["certificate"][0]["key-file"]
    os.rename(key, key + ".away")
    cp.proc.send_signal(signal.SIGHUP)
    cp.expect("event=reload", "level=error", "nothing was changed")
    login()
    os.rename(key + ".away", key)
    cp.proc.send_signal(signal.SIGHUP)
    cp.expect("event=reload", "status=done")
    login()


def run_to_end(path):
    return subprocess.run([PROGRAM, "-c", path], capture_output=True, text=True, timeout=TIMEOUT,
                          env=dict(os.environ, ASAN_OPTIONS="detect_leaks=0"))


def test_refused_starts(folder, path, config):
    """While another runs: the lock; then, in another run directory, the port."""
    second = run_to_end(path)
    check(second.returncode == 1 and "another penstock-controlplane" in second.stderr,
          f"second start: {second.stderr}")
    other = json.loads(json.dumps(config))
    other["penstock:penstock"]["run-directory"] = folder + "/run2"
    with open(path + ".other", "w") as file:
        json.dump(other, file)
    busy = run_to_end(path + ".other")
    check(busy.returncode == 1 and f"0.0.0.0:{PORT}" in busy.stderr and "in use" in busy.stderr,
          f"port in use: {busy.stderr}")


def test_stop(cp, folder, notify):
    children = cp.children("auth") + cp.children("session") + cp.children("edge")
    check(len(children) == 4, f"children: {children}")
    cp.proc.terminate()
    check(cp.proc.wait(TIMEOUT) == 0, f"exit status {cp.proc.returncode}")
    check(not any(os.path.exists(f"/proc/{pid}") for pid in children), "a child is left")
    check(not os.path.exists(folder + "/run/control.sock"), "the control socket is left")
    check(b"STOPPING=1" in drain(notify), "systemd is not told of the end")


def drain(notify):
    text = b""
    while select.select([notify], [], [], 0)[0]:
        text += notify.recv(4096) + b"\n"
    return text


def test_modes(folder):
    def mode(name):
        return os.stat(folder + name).st_mode & 0o777
    check(mode("/state/cookie.key") == 0o600 and os.stat(folder + "/state/cookie.key").st_uid == 0,
          "cookie.key")
    check(mode("/run/store.key") == 0o600, "store.key")
    check(mode("/state/session") == 0o700 and os.stat(folder + "/state/session").st_uid != 0,
          "the session's directory")
    check(mode("/run/control.sock") == 0o660, "control.sock")


def prepare(folder):
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
                    "ec_paramgen_curve:P-256", "-nodes", "-keyout", folder + "/key.pem", "-out",
                    folder + "/cert.pem", "-days", "2", "-subj", "/CN=vpn.test"],
                   check=True, capture_output=True)
    crypted = subprocess.run(["openssl", "passwd", "-6", "secret"], check=True,
                             capture_output=True, text=True).stdout.strip()
    with open(folder + "/passwd", "w") as file:
        file.write(f"bob:staff:{crypted}\n")
    config = {"penstock:penstock": {
        "listen": [{"name": "all", "tcp-port": PORT, "udp-port": PORT}],
        "certificate": [{"name": "c", "certificate-file": folder + "/cert.pem",
                         "key-file": folder + "/key.pem"}],
        "authentication": {"password-file": folder + "/passwd"},
        "pool": [{"name": "p", "ipv4-network": "10.10.0.0/16"}],
        "state-directory": folder + "/state",
        "run-directory": folder + "/run",
        "edges": 2,
        "dataplane": {"port": [
            {"name": "wan", "role": "wan", "mode": "shared", "device": "lo"},
            {"name": "vpn0", "role": "lan", "mode": "tap", "address": ["10.10.0.1/16"]}]},
    }}
    with open(folder + "/penstock.json", "w") as file:
        json.dump(config, file)
    return folder + "/penstock.json", config


def main():
    if os.geteuid() != 0:
        print("needs root")
        return SKIP
    if len(sys.argv) < 2:
        os.execvp("unshare", ["unshare", "-n", sys.executable, os.path.abspath(__file__), "inside"])
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    with tempfile.TemporaryDirectory(prefix="penstock-privsep-") as folder:
        path, config = prepare(folder)
        notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        notify.bind(folder + "/notify")
        cp = ControlPlane(path, folder + "/notify")
        try:
            cp.expect("event=ready")
            check(select.select([notify], [], [], TIMEOUT)[0] and b"READY=1" in drain(notify),
                  "systemd is not told of the start")
            for name, test in (
                    ("identity", lambda: test_identity(cp)),
                    ("modes", lambda: test_modes(folder)),
                    ("login", login),
                    ("offences", lambda: test_offences(cp)),
                    ("login after them", login),
                    ("kill -9", lambda: test_kill(cp)),
                    ("reload", lambda: test_reload(cp, path, config)),
                    ("refused starts", lambda: test_refused_starts(folder, path, config)),
                    ("stop", lambda: test_stop(cp, folder, notify))):
                test()
                print(f"ok: {name}", flush=True)
        finally:
            if cp.proc.poll() is None:
                cp.proc.kill()
    return 0


if __name__ == "__main__":
    sys.exit(main())
