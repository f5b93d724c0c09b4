# SPDX-License-Identifier: GPL-3.0-or-later
"""An AnyConnect client for tests that can do what stock clients do not.

The handshake, login and CONNECT are Python's ssl; then its keys are taken out (key log) and the
records are made here, so that a test decides about every byte. Standard library only; the ciphers
are those of the libcrypto that Python's ssl itself uses. Imported by *_cases.py.
"""

import ctypes
import ctypes.util
import hashlib
import hmac
import os
import re
import select
import socket
import ssl
import struct
import tempfile
import time

APPLICATION, HANDSHAKE, ALERT = 23, 22, 21
DATA, DPD_REQ, DPD_RESP, DISCONNECT, KEEPALIVE, TERMINATE = 0, 3, 4, 5, 7, 9

crypto = ctypes.CDLL(ctypes.util.find_library("crypto") or "libcrypto.so.3")
for name in ("EVP_CIPHER_CTX_new", "EVP_aes_128_gcm", "EVP_aes_256_gcm", "EVP_chacha20_poly1305"):
    getattr(crypto, name).restype = ctypes.c_void_p
crypto.EVP_CipherInit_ex.argtypes = [ctypes.c_void_p] * 3 + [ctypes.c_char_p] * 2 + [ctypes.c_int]
crypto.EVP_CipherUpdate.argtypes = [
    ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_char_p, ctypes.c_int]
crypto.EVP_CipherFinal_ex.argtypes = [ctypes.c_void_p] * 3
crypto.EVP_CIPHER_CTX_ctrl.argtypes = [
    ctypes.c_void_p, ctypes.c_int, ctypes.c_int, ctypes.c_char_p]
GET_TAG, SET_TAG = 0x10, 0x11


class Aead:
    """One key of one direction."""

    def __init__(self, cipher, key):
        self.encrypt = self._context(cipher, key, 1)
        self.decrypt = self._context(cipher, key, 0)

    @staticmethod
    def _context(cipher, key, encrypt):
        context = crypto.EVP_CIPHER_CTX_new()
        method = getattr(crypto, "EVP_" + cipher)()
        assert crypto.EVP_CipherInit_ex(context, method, None, key, None, encrypt) == 1
        return context

    @staticmethod
    def _run(context, nonce, aad, text, tag):
        out = ctypes.create_string_buffer(len(text) + 16)
        n = ctypes.c_int()
        assert crypto.EVP_CipherInit_ex(context, None, None, None, nonce, -1) == 1
        if tag is not None:
            crypto.EVP_CIPHER_CTX_ctrl(context, SET_TAG, 16, tag)
        crypto.EVP_CipherUpdate(context, None, ctypes.byref(n), aad, len(aad))
        if text:
            crypto.EVP_CipherUpdate(context, out, ctypes.byref(n), text, len(text))
        end = ctypes.create_string_buffer(16)
        ok = crypto.EVP_CipherFinal_ex(context, end, ctypes.byref(n)) == 1
        return ok, out.raw[:len(text)]

    def seal(self, nonce, aad, text):
        _, body = self._run(self.encrypt, nonce, aad, text, None)
        tag = ctypes.create_string_buffer(16)
        crypto.EVP_CIPHER_CTX_ctrl(self.encrypt, GET_TAG, 16, tag)
        return body + tag.raw

    def open(self, nonce, aad, body):
        ok, text = self._run(self.decrypt, nonce, aad, body[:-16], body[-16:])
        if not ok:
            raise ValueError("record does not authenticate")
        return text


def expand_label(digest, secret, label, length):
    """RFC 8446, 7.1, with an empty context."""
    label = b"tls13 " + label
    info = struct.pack("!HB", length, len(label)) + label + b"\0"
    out, block, i = b"", b"", 1
    while len(out) < length:
        block = hmac.new(secret, block + info + bytes([i]), digest).digest()
        out, i = out + block, i + 1
    return out[:length]


def prf12(digest, secret, label, seed, length):
    """RFC 5246, section 5."""
    seed, out = label + seed, b""
    a = seed
    while len(out) < length:
        a = hmac.new(secret, a, digest).digest()
        out += hmac.new(secret, a + seed, digest).digest()
    return out[:length]


class Half:
    """Keys and sequence number of one direction."""

    def __init__(self, client, secret=None, key=None, iv=None, seq=0):
        self.client, self.secret = client, secret
        if secret is None:
            self.aead, self.iv, self.seq = Aead(client.cipher, key), iv, seq
        else:
            self._derive()
            self.seq = seq

    def _derive(self):
        digest = self.client.digest
        self.aead = Aead(
            self.client.cipher, expand_label(digest, self.secret, b"key", self.client.key_len))
        self.iv = expand_label(digest, self.secret, b"iv", 12)
        self.seq = 0

    def update(self):
        digest = self.client.digest
        self.secret = expand_label(
            digest, self.secret, b"traffic upd", hashlib.new(digest).digest_size)
        self._derive()

    def nonce(self, explicit):
        if explicit is not None and len(self.iv) == 4:
            return self.iv + explicit
        seq = self.seq.to_bytes(12, "big")
        return bytes(a ^ b for a, b in zip(self.iv, seq))


class Closed(Exception):
    """The server closed the connection; `reset`: by RST."""

    def __init__(self, reset):
        super().__init__("reset" if reset else "end of stream")
        self.reset = reset


def pace(until):
    """Holds a sender to its rate: until this time of time.monotonic()."""
    select.select([], [], [], max(0, until - time.monotonic()))


def wait_socket(sock, end):
    if not select.select([sock], [], [], max(0, end - time.monotonic()))[0]:
        raise TimeoutError


class Client:
    """Connects on construction; login() and tunnel() go on from there."""

    def __init__(self, host="192.0.2.1", version=13, ciphers=None, rcvbuf=None):
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self.sock = socket.socket(family, socket.SOCK_STREAM)
        if rcvbuf:
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, rcvbuf)
        self.sock.settimeout(20)
        self.sock.connect((host, 443))
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.version = version
        self.raw = b""  # from the socket, not processed
        self.clear = b""  # HTTP
        self.headers, self.status = [], 0
        self._handshake(ciphers)

    def _handshake(self, ciphers):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        context.minimum_version = context.maximum_version = (
            ssl.TLSVersion.TLSv1_3 if self.version == 13 else ssl.TLSVersion.TLSv1_2)
        if ciphers:
            context.set_ciphers(ciphers)
        with tempfile.NamedTemporaryFile() as log:
            context.keylog_filename = log.name
            self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
            self.ssl = context.wrap_bio(self.incoming, self.outgoing)
            self.tx_records = self.rx_records = 0
            first, server = b"", b""
            while True:
                try:
                    self.ssl.do_handshake()
                    break
                except ssl.SSLWantReadError:
                    out = self.outgoing.read()
                    first = first or out
                    self.sock.sendall(out)
                    record = self._raw_record(20)
                    if not server and record[0] == HANDSHAKE:
                        server = record
                    self.incoming.write(record)
            self.sock.sendall(self.outgoing.read())
            self.randoms = first[11:43], server[11:43]
            self.secrets = dict(
                (f[0], bytes.fromhex(f[2])) for f in
                (line.split() for line in log.read().decode().splitlines() if line[0] != "#"))
        name = self.ssl.cipher()[0]
        self.cipher_name = name
        self.digest = "sha384" if "SHA384" in name else "sha256"
        self.cipher = ("chacha20_poly1305" if "CHACHA20" in name else
                       "aes_256_gcm" if "256" in name.replace("SHA256", "") else "aes_128_gcm")
        self.key_len = 16 if self.cipher == "aes_128_gcm" else 32

    def _raw_record(self, timeout):
        """One record as it came; Closed, TimeoutError."""
        end = time.monotonic() + timeout
        while True:
            if len(self.raw) >= 5:
                length = 5 + struct.unpack("!H", self.raw[3:5])[0]
                if len(self.raw) >= length:
                    record, self.raw = self.raw[:length], self.raw[length:]
                    return record
            wait_socket(self.sock, end)
            try:
                data = self.sock.recv(1 << 16)
            except ConnectionError:
                raise Closed(True) from None
            if not data:
                raise Closed(False)
            self.raw += data

    # HTTP, through Python's ssl

    def http(self, request, body=b""):
        """Sends a request, returns status, headers and body of the answer."""
        for at in range(0, len(request + body), 16000):
            self.ssl.write((request + body)[at:at + 16000])
            self.tx_records += 1
        self.sock.sendall(self.outgoing.read())
        while b"\r\n\r\n" not in self.clear:
            self._http_read()
        head, self.clear = self.clear.split(b"\r\n\r\n", 1)
        lines = head.decode().split("\r\n")
        headers = [tuple(line.split(": ", 1)) for line in lines[1:]]
        length = int(dict(headers).get("Content-Length", 0))
        while len(self.clear) < length:
            self._http_read()
        answer, self.clear = self.clear[:length], self.clear[length:]
        return int(lines[0].split()[1]), headers, answer

    def _http_read(self):
        while True:
            try:
                self.clear += self.ssl.read(1 << 16)
                return
            except ssl.SSLWantReadError:
                self.incoming.write(self._raw_record(20))
                self.rx_records += 1

    def login(self, user="test", password="secret"):
        """Returns the cookie."""
        body = f"username={user}&password={password}".encode()
        status, headers, answer = self.http((
            "POST /auth HTTP/1.1\r\nHost: vpn\r\n"
            "Content-Type: application/x-www-form-urlencoded\r\n"
            f"Content-Length: {len(body)}\r\n\r\n").encode(), body)
        for name, value in headers:
            found = re.match("webvpn=([^;]+)", value)
            if name == "Set-Cookie" and found:
                return found[1]
        raise RuntimeError(f"login failed: {status} {answer}")

    def tunnel(self, cookie, extra=""):
        """CONNECT; the status. On 200 the records are ours from here on."""
        self.status, self.headers, _ = self.http((
            "CONNECT /CSCOSSLC/tunnel HTTP/1.1\r\nHost: vpn\r\n"
            f"Cookie: webvpn={cookie}\r\nX-CSTP-Version: 1\r\nX-CSTP-Base-MTU: 1500\r\n"
            "X-CSTP-Address-Type: IPv6,IPv4\r\nX-CSTP-Full-IPv6-Capability: true\r\n"
            f"{extra}\r\n").encode())
        if self.status == 200:
            self._take_keys()
        return self.status

    def header(self, name):
        return dict(self.headers).get(name)

    @property
    def address4(self):
        return self.header("X-CSTP-Address")

    @property
    def address6(self):
        return (self.header("X-CSTP-Address-IP6") or "").split("/")[0]

    def _take_keys(self):
        if self.version == 13:
            self.tx = Half(self, self.secrets["CLIENT_TRAFFIC_SECRET_0"], seq=self.tx_records)
            self.rx = Half(self, self.secrets["SERVER_TRAFFIC_SECRET_0"], seq=self.rx_records)
            return
        iv_len = 12 if "chacha" in self.cipher else 4
        block = prf12(self.digest, self.secrets["CLIENT_RANDOM"], b"key expansion",
                      self.randoms[1] + self.randoms[0], 2 * (self.key_len + iv_len))
        k, i = self.key_len, 2 * self.key_len
        # The Finished messages were the records 0.
        self.tx = Half(self, key=block[:k], iv=block[i:i + iv_len], seq=self.tx_records + 1)
        self.rx = Half(self, key=block[k:i], iv=block[i + iv_len:], seq=self.rx_records + 1)

    # Records

    def record(self, text, kind=APPLICATION, padding=0):
        """A sealed record; the sequence number moves on."""
        half = self.tx
        if self.version == 13:
            text = text + bytes([kind]) + bytes(padding)
            header = struct.pack("!BHH", APPLICATION, 0x303, len(text) + 16)
            out = header + half.aead.seal(half.nonce(None), header, text)
        else:
            explicit = half.seq.to_bytes(8, "big") if len(half.iv) == 4 else b""
            aad = struct.pack("!QBHH", half.seq, kind, 0x303, len(text))
            body = explicit + half.aead.seal(half.nonce(explicit), aad, text)
            out = struct.pack("!BHH", kind, 0x303, len(body)) + body
        half.seq += 1
        return out

    def key_update(self, request):
        """The record of a KeyUpdate; what is sealed later has the next key."""
        out = self.record(bytes([24, 0, 0, 1, 1 if request else 0]), HANDSHAKE)
        self.tx.update()
        return out

    def send(self, *records):
        try:
            self.sock.sendall(b"".join(records))
        except ConnectionError:
            raise Closed(True) from None

    def recv(self, timeout=5):
        """Type and text of the next record; the server's KeyUpdates are followed."""
        record = self._raw_record(timeout)
        half, kind, body = self.rx, record[0], record[5:]
        if self.version == 13:
            text = half.aead.open(half.nonce(None), record[:5], body).rstrip(b"\0")
            kind, text = text[-1], text[:-1]
        else:
            explicit = body[:8] if len(half.iv) == 4 else b""
            body = body[len(explicit):]
            aad = struct.pack("!QBHH", half.seq, kind, 0x303, len(body) - 16)
            text = half.aead.open(half.nonce(explicit), aad, body)
        half.seq += 1
        if kind == HANDSHAKE and text[0] == 24:
            half.update()
        return kind, text

    # Frames and packets

    def frame(self, kind, payload=b""):
        return b"STF\1" + struct.pack("!HBB", len(payload), kind, 0) + payload

    def send_frame(self, kind, payload=b""):
        self.send(self.record(self.frame(kind, payload)))

    def recv_frame(self, kind=None, timeout=5):
        """Payload of the next frame of a type (any other is passed over), or type and payload."""
        end = time.monotonic() + timeout
        while True:
            record_kind, text = self.recv(max(0, end - time.monotonic()))
            if record_kind != APPLICATION:
                continue
            assert text[:4] == b"STF\1" and text[7] == 0, text[:8]
            assert struct.unpack("!H", text[4:6])[0] == len(text) - 8, "length of a frame"
            if kind is None:
                return text[6], text[8:]
            if text[6] == kind:
                return text[8:]

    def echo(self, to, seq, size=56, source=None, ttl=64):
        """An ICMP echo request as a DATA frame, not yet in a record."""
        return self.frame(DATA, echo_request(source or self.source(to), to, seq, size, ttl))

    def source(self, to):
        return self.address6 if ":" in to else self.address4

    def expect_echo(self, seqs, timeout=10):
        """Waits for the answers to all of these sequence numbers; returns those that came."""
        missing, came = set(seqs), []
        end = time.monotonic() + timeout
        while missing:
            packet = self.recv_frame(DATA, max(0, end - time.monotonic()))
            seq = echo_reply(packet)
            if seq is not None:
                came.append(seq)
                missing.discard(seq)
        return came

    def ping(self, to="198.51.100.2", seq=1, size=56, timeout=10):
        self.send(self.record(self.echo(to, seq, size)))
        self.expect_echo([seq], timeout)

    def expect_closed(self, timeout=10):
        """Reads until the server closes; returns (reset?, types of records, frames)."""
        kinds, frames = [], []
        end = time.monotonic() + timeout
        while True:
            try:
                kind, text = self.recv(max(0, end - time.monotonic()))
                kinds.append(kind)
                if kind == APPLICATION:
                    frames.append(text[6])
            except Closed as closed:
                return closed.reset, kinds, frames

    def close(self, reset=False):
        if reset:
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.sock.close()


def checksum(data):
    if len(data) % 2:
        data += b"\0"
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xffff) + (total >> 16)
    return ~total & 0xffff


def ipv4(source, to, protocol, payload, ttl=64):
    head = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(payload), 0, 0x4000, ttl, protocol, 0,
                       socket.inet_aton(source), socket.inet_aton(to))
    return head[:10] + struct.pack("!H", checksum(head)) + head[12:] + payload


def echo_request(source, to, seq, size, ttl=64):
    data = os.urandom(size)
    if ":" not in to:
        icmp = struct.pack("!BBHHH", 8, 0, 0, 0x5043, seq) + data
        icmp = icmp[:2] + struct.pack("!H", checksum(icmp)) + icmp[4:]
        return ipv4(source, to, 1, icmp, ttl)
    addresses = socket.inet_pton(socket.AF_INET6, source) + socket.inet_pton(socket.AF_INET6, to)
    icmp = struct.pack("!BBHHH", 128, 0, 0, 0x5043, seq) + data
    pseudo = addresses + struct.pack("!II", len(icmp), 58)
    icmp = icmp[:2] + struct.pack("!H", checksum(pseudo + icmp)) + icmp[4:]
    return struct.pack("!IHBB", 0x60000000, len(icmp), 58, ttl) + addresses + icmp


def echo_reply(packet):
    """Sequence number of an echo reply of ours, or None."""
    if not packet:
        return None
    at = 20 if packet[0] >> 4 == 4 else 40
    kind, _, _, ident, seq = struct.unpack("!BBHHH", packet[at:at + 8])
    return seq if ident == 0x5043 and kind in (0, 129) else None


def tunnel(cookie=None, extra="", **options):
    """A client in its tunnel; client.cookie is its cookie."""
    client = Client(**options)
    client.cookie = cookie or client.login()
    status = client.tunnel(client.cookie, extra)
    if status != 200:
        raise RuntimeError(f"CONNECT: {status} {client.header('X-Reason')}")
    return client
