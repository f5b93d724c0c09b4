# SPDX-License-Identifier: GPL-3.0-or-later
"""What is drawn of each benchmark. Called by tools/bench with all results that there are."""

import os

from benchlib import gnuplot, tables
from benchlib.gnuplot import Bars, Lines
from benchlib.results import CIPHERS, SIZES, ratio
from benchlib.tables import DIRECTIONS, known, size_text

CYCLES = "TSC cycles a packet"


def labels(sizes):
    return [size_text(size) + ("" if size == "imix" else " B") for size in sizes]


def floor(every):
    found = every["floor"]
    panels = []
    for cipher in known(CIPHERS, found.values_of("cipher")):
        ways = [(at, name, way) for at, (name, way) in enumerate(tables.FLOOR_WAYS)
                if found.where(cipher=cipher, **way)]
        values = [[found.value("cycles_packet", direction="down", cipher=cipher, size=size, **way)
                   for size in SIZES] for _, _, way in ways]
        panels.append(Bars(f"The cipher alone: encrypting, {cipher}", CYCLES, labels(SIZES),
                           [name for _, name, _ in ways], values,
                           colours=[at for at, _, _ in ways]))
    return {"floor": (panels, 1)}


def pipe(every):
    found = every["pipe"]
    panels = []
    for cipher in known(CIPHERS, found.values_of("cipher")):
        series, values = [], []
        for direction, name in DIRECTIONS:
            here = {"direction": direction, "cipher": cipher, "checksums": "nic"}
            series += [f"{name}, the cipher alone", f"{name}, the whole pipe"]
            values += [[found.value(field, size=size, **here) for size in SIZES]
                       for field in ("floor_cycles", "cycles_packet")]
        panels.append(Bars(f"One worker from rx to tx, {cipher}", CYCLES, labels(SIZES), series,
                           values, colours=[4, 0, 1, 5]))
    return {"pipe": (panels, 1), "pipe-nodes": (by_node(found), 1)}


def by_node(found):
    """Stacks of the nodes' cycles; what is small everywhere is put together."""
    panels = []
    every_node = list(dict.fromkeys(node for row in found.where(cipher=CIPHERS[0])
                                    for node in row.get("nodes", ())))
    for direction, name in DIRECTIONS:
        here = {"direction": direction, "cipher": CIPHERS[0], "checksums": "nic"}
        rows = [found.value("nodes", size=size, **here) for size in SIZES]
        if not all(rows):
            continue
        large = [node for node in every_node if max(row.get(node, 0) for row in rows) >= 8]
        values = [[row.get(node, 0) for row in rows] for node in large]
        values.append([sum(cycles for node, cycles in row.items() if node not in large)
                       for row in rows])
        panels.append(Bars(f"By node, {name}, {CIPHERS[0]}", CYCLES, labels(SIZES),
                           large + ["others"], values, stacked=True,
                           colours=[every_node.index(node) for node in large] + [None]))
    return panels


def peer(every):
    found = every["peer"]
    panels = []
    for cipher in known(CIPHERS, found.values_of("cipher")):
        series, values = [], []
        for direction, name in DIRECTIONS:
            here = {"direction": direction, "cipher": cipher, "checksums": "nic"}
            series += [f"{name}, ipsec-secgw", f"{name}, Penstock"]
            values += [[found.value(field, size=size, **here) for size in SIZES]
                       for field in ("peer_cycles", "cycles_packet")]
        panels.append(Bars(f"In turn with DPDK's ipsec-secgw, {cipher}", CYCLES, labels(SIZES),
                           series, values, colours=[4, 0, 1, 5]))
    return {"peer": (panels, 1)}


def sessions(every):
    found = every["sessions"]
    series, points = [], []
    for direction, name in DIRECTIONS:
        for size in known(SIZES, found.values_of("size")):
            rows = found.where(direction=direction, size=size)
            series.append(f"{name}, {size_text(size)} B")
            points.append([(row["sessions"], row["cycles_packet"]) for row in rows])
    return {"sessions": ([Lines("Sessions hit at random, aes-128-gcm", "sessions", CYCLES, series,
                                points)], 1)}


CORE_GROUPS = {"own": "each its own", "half": "half the other's", "other": "all the other's",
               "one-way": "one receives"}


def cores(every):
    found = every["cores"]
    panels = []
    for size in known(SIZES, found.values_of("size")):
        groups, values = [], [[], []]
        for workers in found.values_of("workers"):
            for mode in found.values_of("sessions", workers=workers):
                here = {"workers": workers, "sessions": mode, "size": size}
                groups.append("1 worker" if workers == 1 else f"2: {CORE_GROUPS.get(mode, mode)}")
                for at, (direction, _) in enumerate(DIRECTIONS):
                    values[at].append(found.value("cycles_packet", direction=direction, **here))
        panels.append(Bars(f"One and two workers, aes-128-gcm, {size_text(size)} B", CYCLES,
                           groups, [name for _, name in DIRECTIONS], values))
    return {"cores": (panels, 1)}


def streams(every):
    found = every["streams"]
    panels = []
    for field, label, digits in (("gbps", "Gbit/s", 1), ("cycles_byte", "TSC cycles a byte", 2),
                                 ("syscalls_packet", "system calls a packet", 2)):
        for mode in known(tables.STREAM_MODES, found.values_of("mode")):
            counts = found.values_of("connections", mode=mode)
            values = [[found.value(field, mode=mode, connections=count, direction=direction)
                       for count in counts] for direction, _ in DIRECTIONS]
            title = "one worker for all" if mode == "shared" else "stream lcore and worker"
            panels.append(Bars(f"TLS tunnels, {title}", label,
                               [f"{count:,} tunnel{'s' if count > 1 else ''}" for count in counts],
                               [name for _, name in DIRECTIONS], values, digits=digits))
    return {"streams": (panels, max(len(found.values_of("mode")), 1))}


def clients(every):
    found = every["clients"]
    panels = []
    for channel in found.values_of("channel", figure="traffic"):
        for direction, name in DIRECTIONS:
            here = {"figure": "traffic", "channel": channel, "direction": direction}
            counts = found.values_of("clients", **here)
            values = [[ratio(1, found.value("cpu_s_gb", clients=count, server=server, **here))
                       for count in counts] for server in tables.SERVERS]
            panels.append(Bars(f"Traffic over {channel.upper()}, {name}", "GB a CPU second",
                               [f"{count:,} client{'s' if count > 1 else ''}" for count in counts],
                               ["ocserv", "Penstock"], values, digits=2, colours=[4, 0]))
    return {"clients": (panels, 2)}


def interference(every):
    found = every["interference"]
    panels = []
    for channel in found.values_of("channel"):
        whats = known(tables.DISTURBANCES, found.values_of("what", channel=channel))
        values = [[found.value(field, channel=channel, what=what) for what in whats]
                  for field in ("p50_us", "p99_us")]
        quiet = found.value("p99_us", channel=channel, what="quiet")
        panels.append(Bars(f"Through the gateway in established {channel.upper()} tunnels, meanwhile:",
                           "microseconds", [tables.disturbance(what)[0] for what in whats],
                           ["median", "99th percentile"], values,
                           line=(2 * quiet, "twice the quiet 99th percentile") if quiet else None))
    return {"interference": (panels, 1)}


DRAWN = {
    "floor": floor,
    "pipe": pipe,
    "peer": peer,
    "sessions": sessions,
    "cores": cores,
    "streams": streams,
    "clients": clients,
    "interference": interference,
}


def draw(every, folder):
    """Draws all that there are results for; the files' names."""
    drawn = []
    for name, found in every.items():
        if not found.rows:
            continue
        for plot, (panels, columns) in DRAWN[name](every).items():
            if panels:
                gnuplot.draw(os.path.join(folder, f"{plot}.svg"), panels, columns)
                drawn.append(plot)
    return drawn
