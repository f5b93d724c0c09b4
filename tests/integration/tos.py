#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""The DSCP of packets on the wire: tos.py INTERFACE tcp|udp 4|6 PORT CLIENT-PORT DSCP

Waits until a packet with payload from PORT to CLIENT-PORT (0: any) has this DSCP. Exit status 1 when none has within 5 s; says what it saw instead.
"""
import socket
import struct
import sys
import time

ETH = {"4": 0x0800, "6": 0x86DD}
PROTOCOL = {"tcp": 6, "udp": 17}


def look(frame, protocol, family):
    """DSCP, source port, destination port and payload length, or None."""
    ip = frame[14:]
    if family == "4":
        length, header, kind, dscp = struct.unpack_from("!H", ip, 2)[0], (ip[0] & 15) * 4, ip[9], ip[1] >> 2
    else:
        length, header, kind = struct.unpack_from("!H", ip, 4)[0] + 40, 40, ip[6]
        dscp = (ip[0] << 4 | ip[1] >> 4) >> 2 & 63
    if kind != PROTOCOL[protocol] or len(ip) < header + 20:
        return None
    source, to = struct.unpack_from("!HH", ip, header)
    upper = 8 if protocol == "udp" else (ip[header + 12] >> 4) * 4
    return dscp, source, to, length - header - upper


def main(interface, protocol, family, port, client, dscp):
    seen = set()
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH[family])) as sock:
        sock.bind((interface, ETH[family]))
        sock.settimeout(0.2)
        print("looking", flush=True)
        until = time.monotonic() + 5
        while time.monotonic() < until:
            try:
                found = look(sock.recv(65536), protocol, family)
            except TimeoutError:
                continue
            if found and found[1] == int(port) and found[2] in (int(client), found[2] if client == "0" else -1) \
                    and found[3] > 0:
                if found[0] == int(dscp):
                    return 0
                seen.add(found[0])
    print(f"seen: {sorted(seen)}")
    return 1


sys.exit(main(*sys.argv[1:]))
