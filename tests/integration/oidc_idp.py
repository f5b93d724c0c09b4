#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""An OpenID provider for test_oidc.sh: keys and tokens by openssl(1), documents by HTTPS, names by
DNS.

  oidc_idp.py jwk KEY KID [ALG]               the public JWK of a private key
  oidc_idp.py token KEY KID ALG CLAIMS [HDR]  a signed token; KEY: for HS256 any file, for none '-'
  oidc_idp.py serve DIR ADDRESS ISSUER        serves DIR/jwks.json; how is said in DIR/idp-mode
  oidc_idp.py dns ADDRESS NAME                answers that NAME is at ADDRESS
"""
import base64
import hashlib
import hmac
import http.server
import json
import os
import socket
import ssl
import subprocess
import sys
import threading
import time


def b64(data):
    return base64.urlsafe_b64encode(data).rstrip(b'=').decode()


def openssl(*args, data=None):
    return subprocess.run(['openssl', *args], input=data, check=True, capture_output=True).stdout


def jwk(key, kid, alg=None):
    der = openssl('pkey', '-in', key, '-pubout', '-outform', 'DER')
    out = {'kid': kid, 'use': 'sig'}
    if alg:
        out['alg'] = alg
    if b'\x2a\x86\x48\xce\x3d\x02\x01' in der:  # id-ecPublicKey; the point comes last
        out.update(kty='EC', crv='P-256', x=b64(der[-64:-32]), y=b64(der[-32:]))
    else:
        modulus = openssl('rsa', '-in', key, '-noout', '-modulus').decode().strip().split('=')[1]
        out.update(kty='RSA', n=b64(bytes.fromhex(modulus)), e='AQAB')
    return out


def raw_signature(der):
    """r and s of 32 bytes each (RFC 7518, 3.4) out of the ASN.1 that openssl makes."""
    numbers, at = b'', 2
    for _ in range(2):
        size = der[at + 1]
        numbers += der[at + 2:at + 2 + size].lstrip(b'\0').rjust(32, b'\0')
        at += 2 + size
    return numbers


def signature(key, alg, data):
    if alg == 'none':
        return b''
    if alg == 'HS256':
        with open(key, 'rb') as file:
            return hmac.new(file.read(), data, hashlib.sha256).digest()
    options = []
    if alg.startswith('PS'):
        options = ['-sigopt', 'rsa_padding_mode:pss', '-sigopt', 'rsa_pss_saltlen:digest']
    made = openssl('dgst', '-sha256', '-sign', key, *options, data=data)
    return raw_signature(made) if alg == 'ES256' else made


def token(key, kid, alg, claims, header=None):
    head = {'alg': alg, 'typ': 'JWT'}
    if kid:
        head['kid'] = kid
    head.update(json.loads(header or '{}'))
    body = {'iat': int(time.time()), 'exp': int(time.time()) + 300}
    body.update(json.loads(claims))
    data = b64(json.dumps(head).encode()) + '.' + b64(json.dumps(body).encode())
    return data + '.' + b64(signature(key, alg, data.encode()))


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = 'HTTP/1.1'
    folder = issuer = ''

    def mode(self):
        try:
            with open(os.path.join(self.folder, 'idp-mode'), encoding='ascii') as file:
                return file.read().split()
        except FileNotFoundError:
            return []

    def document(self):
        if self.path == '/keys':
            with open(os.path.join(self.folder, 'jwks.json'), 'rb') as file:
                return file.read()
        issuer = 'https://other.example.net' if 'other-issuer' in self.mode() else self.issuer
        return json.dumps({'issuer': issuer, 'jwks_uri': self.issuer + '/keys'}).encode()

    def do_GET(self):
        mode = self.mode()
        print(self.path, *mode, flush=True)
        if 'slow' in mode:
            threading.Event().wait(60)
        body = b'x' * (1 << 20) if 'large' in mode else self.document()
        self.send_response(500 if 'error' in mode else 200)
        self.send_header('Content-Type', 'application/json')
        self.send_header('Content-Length', str(len(body)))
        for word in mode:
            if word.startswith('max-age='):
                self.send_header('Cache-Control', 'public, ' + word)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format, *args):  # do_GET does
        pass


def serve(folder, address, issuer):
    Handler.folder, Handler.issuer = folder, issuer
    server = http.server.ThreadingHTTPServer((address, 443), Handler)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(os.path.join(folder, 'idp.pem'), os.path.join(folder, 'idp.key'))
    server.socket = context.wrap_socket(server.socket, server_side=True)
    print('serving', flush=True)
    server.serve_forever()


def dns(address, name):
    wanted = b''.join(bytes([len(part)]) + part.encode() for part in name.split('.')) + b'\0'
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.bind((address, 53))
    print('resolving', flush=True)
    while True:
        query, peer = sock.recvfrom(512)
        end = query.index(b'\0', 12) + 5
        question = query[12:end]
        found = question[:-4].lower() == wanted and question[-4:-2] == b'\0\1'
        head = query[:2] + b'\x81\x80' + b'\0\1' + (b'\0\1' if found else b'\0\0') + b'\0\0\0\0'
        answer = b'\xc0\x0c\0\1\0\1\0\0\0\x3c\0\4' + socket.inet_aton(address)
        sock.sendto(head + question + (answer if found else b''), peer)


def main():
    command, args = sys.argv[1], sys.argv[2:]
    if command == 'jwk':
        print(json.dumps(jwk(*args)))
    elif command == 'token':
        print(token(*args))
    elif command == 'serve':
        threading.Thread(target=serve, args=args).start()
    else:
        dns(*args)


main()
