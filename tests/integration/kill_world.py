# SPDX-License-Identifier: GPL-3.0-or-later
"""The gateway, its clients and their traffic, as tests of kill points see them from outside.

test_kill_points.sh has made the namespaces and started the services; kill_points.py and
kill_checks.py use this.
"""
import base64
import ctypes
import hashlib
import hmac
import json
import os
import re
import select
import signal
import socket
import struct
import subprocess
import threading
import time

from kill_trace import kill, pids_of

HERE = os.path.dirname(os.path.abspath(__file__))
DIR = "/run/test"
BUILD = os.environ["BUILD"]
SLOW = 3 if "address" in os.environ.get("SANITIZE", "") else 1
WAIT = 20 * SLOW # seconds that any one event may take
ROLES = ("auth", "edge", "session", "radius", "script", "pam")
EDGES = 2
GATEWAY = "192.0.2.1"
LAN = "198.51.100.2"
ECHO_PORT = 7007
OTP_KEY = "3132333435363738393031323334353637383930"
CLONE_NEWNET = 0x40000000
POLL_S = 0.02


class Failed(Exception):
    """An invariant does not hold, or something did not happen in time."""


def moment(seconds):
    select.select([], [], [], seconds)


def wait_for(condition, what, seconds=None):
    """Until condition() is true (asked again and again); its value."""
    end = time.monotonic() + (WAIT if seconds is None else seconds)
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise Failed(f"not true in time: {what() if callable(what) else what}")
        moment(POLL_S)


def ns(name, *command):
    return ["ip", "netns", "exec", name, *command]


def run(command, **options):
    return subprocess.run(command, capture_output=True, text=True, check=False, **options)


def ctl(*words):
    """penstockctl --json; None when it fails."""
    done = run(ns("gw", f"{BUILD}/tools/cli/penstockctl", "--socket", f"{DIR}/run/control.sock",
        "--json", *words), timeout=90)
    try:
        return json.loads(done.stdout) if done.returncode == 0 else None
    except ValueError:
        return None


def ctl_begin(*words):
    return subprocess.Popen(ns("gw", f"{BUILD}/tools/cli/penstockctl", "--socket",
        f"{DIR}/run/control.sock", *words), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def controlplane_log():
    with open(f"{DIR}/log/controlplane", encoding="utf-8", errors="replace") as file:
        return file.read()


def complete():
    """Every process is there, serves, and the dataplane is attached."""
    if len(pids_of("supervisor")) != 1 or len(pids_of("edge")) != EDGES:
        return False
    if any(len(pids_of(role)) != 1 for role in ROLES if role != "edge"):
        return False
    status = ctl("status")
    return status is not None and status["sessions"]["dataplane"]


def hotp(counter):
    """RFC 4226, 5.3."""
    mac = hmac.new(bytes.fromhex(OTP_KEY), struct.pack(">Q", counter), hashlib.sha1).digest()
    offset = mac[19] & 15
    return f"{(struct.unpack_from('>I', mac, offset)[0] & 0x7FFFFFFF) % 1000000:06}"


def pin():
    certificate = run(["openssl", "x509", "-in", f"{DIR}/server.pem", "-pubkey", "-noout"]).stdout
    der = base64.b64decode("".join(certificate.splitlines()[1:-1]))
    return "pin-sha256:" + base64.b64encode(hashlib.sha256(der).digest()).decode()


class Client:
    """Stock openconnect; its interface is moved to namespace vpn-NAME."""

    def __init__(self, name):
        self.name, self.user, self.process = name, "", None
        self.log_file = f"{DIR}/log/client-{name}"

    def start(self, user, words, *options):
        """words: the answers to the forms, in their order."""
        with open(self.log_file, "w", encoding="utf-8") as log:
            self.process = subprocess.Popen(ns("cl", "openconnect", "--passwd-on-stdin", "-u", user,
                "--servercert", PIN, "--script", f"{HERE}/vpnc-script", "--interface",
                f"t{self.name}", "--reconnect-timeout", "120", "-v", "--timestamp", *options,
                f"https://{GATEWAY}"), stdin=subprocess.PIPE, stdout=log, stderr=log,
                env=dict(os.environ, VPN_NS=f"vpn-{self.name}"))
        self.process.stdin.write("".join(word + "\n" for word in words).encode())
        self.process.stdin.close()

    def says(self, pattern):
        with open(self.log_file, encoding="utf-8", errors="replace") as file:
            return re.search(pattern, file.read())

    def last_words(self):
        with open(self.log_file, encoding="utf-8", errors="replace") as file:
            return file.read().splitlines()[-5:]

    def configured(self):
        return self.says("script: configured")

    def ended(self):
        return self.process is None or self.process.poll() is not None

    def tell(self, number):
        if not self.ended():
            self.process.send_signal(number)

    def stop(self, number=signal.SIGINT):
        self.tell(number)
        if self.process is not None:
            try:
                self.process.wait(timeout=WAIT)
            except subprocess.TimeoutExpired as error:
                raise Failed(f"client {self.name} does not end") from error

    def pings(self):
        return run(ns(f"vpn-{self.name}", "ping", "-qc1", "-W1", LAN)).returncode == 0

    def address(self):
        words = run(["ip", "-n", f"vpn-{self.name}", "-4", "-o", "addr", "show", "scope",
            "global"]).stdout.split()
        return words[3].split("/")[0] if len(words) > 3 else ""


class Users:
    """Who logs in, and what each answers to the forms."""

    def __init__(self):
        self.counter, self.letter = 0, "a"

    def words(self, user):
        if user == "otto": # a counter is good once, so each try has the next
            self.counter += 1
            return [f"secret-{self.letter}", hotp(self.counter)]
        return {"rad": ["radius"], "pat": ["pam"], "two": ["first", "second", "third"]}.get(user,
            [f"secret-{self.letter}"])


def socket_in(name):
    """A UDP socket in a network namespace, for a process in another."""
    libc = ctypes.CDLL(None, use_errno=True)
    with open("/proc/self/ns/net", encoding="ascii") as mine, \
            open(f"/run/netns/{name}", encoding="ascii") as other:
        if libc.setns(other.fileno(), CLONE_NEWNET) != 0:
            raise OSError(ctypes.get_errno(), f"setns {name}")
        try:
            sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        finally:
            libc.setns(mine.fileno(), CLONE_NEWNET)
    sock.setblocking(False)
    return sock


class Steady(threading.Thread):
    """Numbered datagrams through tunnels that must not notice anything, echoed by the LAN's host."""
    INTERVAL_S = 0.01
    LATE_S = 3

    def __init__(self, names):
        super().__init__(daemon=True)
        self.echo = socket_in("lan")
        self.echo.bind((LAN, ECHO_PORT))
        self.socks = {name: socket_in(f"vpn-{name}") for name in names}
        self.waiting = {name: {} for name in names}
        self.sent, self.number, self.paused, self.ending = 0, 0, False, False
        self.lock = threading.Lock()

    def send(self):
        with self.lock:
            if self.paused:
                return
            self.number += 1
            now = time.monotonic()
            for name, sock in self.socks.items():
                self.waiting[name][self.number] = now
                sock.sendto(struct.pack("Q", self.number), (LAN, ECHO_PORT))
                self.sent += 1

    def receive(self, sock):
        try:
            data, peer = sock.recvfrom(64)
        except (BlockingIOError, ConnectionError):
            return
        if sock is self.echo:
            sock.sendto(data, peer)
            return
        for name, own in self.socks.items():
            if own is sock:
                with self.lock:
                    self.waiting[name].pop(struct.unpack("Q", data)[0], None)

    def run(self):
        due = time.monotonic()
        everyone = [self.echo, *self.socks.values()]
        while not self.ending:
            for sock in select.select(everyone, [], [], max(0, due - time.monotonic()))[0]:
                self.receive(sock)
            if time.monotonic() >= due:
                due = time.monotonic() + self.INTERVAL_S
                self.send()

    def outstanding(self):
        with self.lock:
            return sum(len(waiting) for waiting in self.waiting.values())

    def lost(self):
        """What did not come back in time, by client."""
        late = time.monotonic() - self.LATE_S * SLOW
        with self.lock:
            return {name: len(old) for name, waiting in self.waiting.items()
                if (old := [n for n, sent in waiting.items() if sent < late])}

    def pause(self):
        with self.lock:
            self.paused = True

    def resume(self):
        with self.lock:
            for waiting in self.waiting.values():
                waiting.clear()
            self.paused = False


def kill_role(role):
    kill(pids_of(role))


PIN = pin()
