# SPDX-License-Identifier: GPL-3.0-or-later
"""Tables of the results, for the terminal and for the page. Called by tools/bench."""

from benchlib.results import CIPHERS, SIZES, ratio


class Table:
    """Rows of text; None shows as a dash. All columns but the first `left` are numbers."""

    def __init__(self, title, header, rows, left=1):
        self.title = title
        self.header = header
        self.rows = [["–" if cell is None else str(cell) for cell in row] for row in rows]
        self.left = left

    def text(self):
        widths = [max(map(len, column)) for column in zip(self.header, *self.rows)]
        lines = [self.title]
        for row in (self.header, *self.rows):
            cells = [cell.ljust(width) if at < self.left else cell.rjust(width)
                     for at, (cell, width) in enumerate(zip(row, widths))]
            lines.append("    " + "  ".join(cells).rstrip())
        return "\n".join(lines)

    def markdown(self):
        rule = ["---" if at < self.left else "---:" for at in range(len(self.header))]
        lines = ["| " + " | ".join(cells) + " |" for cells in (self.header, rule, *self.rows)]
        return f"{self.title}:\n\n" + "\n".join(lines)


def number(value, digits=1):
    """1,234.5: digits behind the point, fewer where the number is large."""
    if value is None or isinstance(value, str):
        return value
    if abs(value) >= 1000:
        digits = 0
    return f"{value:,.{digits}f}"


def size_text(size):
    return "IMIX" if size == "imix" else f"{size:,}"


def known(wanted, present):
    """Those of `wanted` that are present, in its order, and what else is present behind them."""
    return [x for x in wanted if x in present] + [x for x in present if x not in wanted]


# ---- floor

FLOOR_WAYS = (
    ("ipsec-mb, direct calls", {"layer": "ipsec-mb", "api": "direct"}),
    ("ipsec-mb, burst of jobs", {"layer": "ipsec-mb", "api": "burst-of-jobs"}),
    *((f"{device}{mode}", {"device": device, "api": api})
      for device in ("crypto_aesni_gcm", "crypto_chacha20_poly1305", "crypto_aesni_mb")
      for api, mode in (("enqueue-dequeue", ""), ("synchronous", ", synchronous"))),
)


def floor_cycles(every, direction, cipher, size, layer="ipsec-mb"):
    """The best way's cycles a packet, or None."""
    return every["floor"].least("cycles_packet", layer=layer, direction=direction, cipher=cipher,
                                size=size)


def floor(every):
    found = every["floor"]
    tables = []
    for cipher in known(CIPHERS, found.values_of("cipher")):
        rows = []
        for name, way in FLOOR_WAYS:
            here = {"cipher": cipher, **way}
            if not found.where(**here):
                continue
            cells = [name]
            for size in SIZES:
                both = [number(found.value("cycles_packet", direction=direction, size=size,
                                           **here)) for direction in ("down", "up")]
                cells.append(" / ".join(cell or "–" for cell in both))
            rows.append(cells)
        tables.append(Table(f"Floor, {cipher}, cycles a packet, encrypt / decrypt",
                            ["way"] + [size_text(size) for size in SIZES], rows))
    return tables


# ---- pipe and peer

DIRECTIONS = (("down", "downstream"), ("up", "upstream"))


def cipher_and_size(found, **fields):
    """Each (cipher, size) that there are results for, in the usual order."""
    return [(cipher, size) for cipher in known(CIPHERS, found.values_of("cipher", **fields))
            for size in known(SIZES, found.values_of("size", cipher=cipher, **fields))]


def nodes(found):
    """Cycles a packet of each node, aes-128-gcm; columns: both directions of some sizes."""
    columns = [(direction, size) for direction, _ in DIRECTIONS for size in (64, 1400, "imix")]
    values = [found.value("nodes", direction=direction, size=size, cipher=CIPHERS[0],
                          checksums="nic") or {} for direction, size in columns]
    names = dict.fromkeys(node for column in values for node in column if node != "outside")
    rows = [[node] + [number(column.get(node)) for column in values]
            for node in [*names, "outside"] if any(node in column for column in values)]
    return Table("By node, aes-128-gcm, cycles a packet (outside: the loop and the graph's walk)",
                 ["node"] + [f"{direction} {size_text(size)}" for direction, size in columns], rows)


GRAPH_HOPS = {
    "hop_cycles": "rte_node_enqueue",
    "hop_cycles_moved": "the whole burst moved",
    "hop_cycles_called": "a plain call instead",
}


def pipe(every):
    found = every["pipe"]
    tables = []
    for direction, name in DIRECTIONS:
        rows = []
        for cipher, size in cipher_and_size(found, direction=direction):
            here = {"direction": direction, "cipher": cipher, "size": size}

            def value(field, checksums="nic", here=here):
                return found.value(field, checksums=checksums, **here)

            hot = floor_cycles(every, direction, cipher, size)
            rows.append([cipher, size_text(size), number(value("cycles_packet")),
                         number(value("cycles_median")), number(value("cycles_packet", "cpu")),
                         number(value("floor_cycles")), number(value("ratio"), 2),
                         number(hot), number(ratio(value("cycles_packet"), hot), 2),
                         number(value("mpps"), 2), number(value("gbps"))])
        tables.append(Table(
            f"Pipe, {name}, one worker, cycles a packet",
            ["cipher", "size", "best", "median", "CPU checksums", "cipher, same buffers", "ratio",
             "cipher, hot", "ratio", "Mpps", "Gbit/s"], rows, left=2))
    tables.append(nodes(found))
    rows = [[number(row[field]) for field in GRAPH_HOPS] for row in found.where(what="rte_graph")]
    tables.append(Table("From one node to the next, cycles a packet, 64 packets a burst",
                        list(GRAPH_HOPS.values()), rows, left=0))
    return tables


def peer(every):
    found = every["peer"]
    tables = []
    for checksums, who in (("nic", "checksums as a NIC would do them"),
                           ("cpu", "checksums by the CPU")):
        rows = []
        for cipher, size in cipher_and_size(found, checksums=checksums):
            row = [cipher, size_text(size)]
            for direction, _ in DIRECTIONS:
                here = {"direction": direction, "cipher": cipher, "size": size,
                        "checksums": checksums}
                row += [number(found.value("cycles_packet", **here)),
                        number(found.value("peer_cycles", **here)),
                        number(found.value("ratio", **here), 2),
                        number(found.value("ratio_median", **here), 2)]
            rows.append(row)
        tables.append(Table(
            f"Penstock and ipsec-secgw in turn, {who}, cycles a packet",
            ["cipher", "size", "Penstock down", "secgw down", "ratio", "of medians",
             "Penstock up", "secgw up", "ratio", "of medians"], rows, left=2))
    return tables


# ---- sessions and cores

def sessions(every):
    found = every["sessions"]
    rows = []
    sizes = known(SIZES, found.values_of("size"))
    for count in found.values_of("sessions"):
        row = [f"{count:,}"]
        for direction, _ in DIRECTIONS:
            for size in sizes:
                here = {"sessions": count, "direction": direction, "size": size}
                cycles = number(found.value("cycles_packet", **here))
                times = number(found.value("ratio", **here), 2)
                row.append(f"{cycles} ({times})" if cycles else None)
        row += [number(found.value(field, sessions=count), 0)
                for field in ("bytes_session", "bytes_keys", "bytes_beside_keys")]
        rows.append(row)
    return [Table("Sessions hit at random, aes-128-gcm, cycles a packet (against one session)",
                  ["sessions"] + [f"{direction} {size_text(size)}" for direction, _ in DIRECTIONS
                                  for size in sizes] +
                  ["bytes a session", "of these its keys", "beside them"], rows)]


CORE_MODES = {
    "own": "each its own sessions",
    "half": "half of the packets for the other's",
    "other": "all packets for the other's",
    "one-way": "one receives, the other owns",
}


def cores(every):
    found = every["cores"]
    rows = []
    for row in found.rows:
        if "workers" not in row:
            continue
        rows.append([row["workers"], CORE_MODES.get(row["sessions"], row["sessions"]),
                     row["direction"], size_text(row["size"]), number(row["cycles_packet"]),
                     number(row.get("mpps"), 2), number(row.get("gbps")),
                     number(row.get("handoff_cycles")), row.get("out_of_order")])
    tables = [Table("One and two workers, aes-128-gcm",
                    ["workers", "sessions", "direction", "size", "cycles a packet", "Mpps",
                     "Gbit/s", "handoff, cycles", "out of order"], rows, left=3)]
    lines = [[number(row["transfer_cycles"]), number(row["own_add_cycles"]),
              number(row["shared_add_cycles"])]
             for row in found.where(what="cache line")]
    tables.append(computed_cores(found))
    tables.append(Table("One cache line between two cores, cycles",
                        ["one core to the other", "atomic addition, own line",
                         "atomic addition, shared line"], lines, left=0))
    return tables


WORKERS = (2, 4, 8, 16)


def computed_cores(found):
    """Downstream with more workers than were measured: each packet's chance to arrive at another
    worker than its owner, times the dearest handoff measured."""
    rows = []
    for size in known(SIZES, found.values_of("size")):
        here = {"direction": "down", "size": size, "workers": 2}
        alone = found.value("cycles_packet", sessions="own", **here)
        handoffs = [row["handoff_cycles"] for row in found.where(**here) if "handoff_cycles" in row]
        if alone is None or not handoffs:
            continue
        costs = [alone + max(handoffs) * (n - 1) / n for n in WORKERS]
        rows.append([size_text(size), number(alone), number(max(handoffs))] +
                    [f"{number(cost)} ({n * alone / cost:.1f})" for n, cost in zip(WORKERS, costs)])
    return Table("Computed, not measured: downstream cycles a packet when N workers receive at "
                 "random (and how many workers without handoff do as much)",
                 ["size", "without handoff", "handoff"] + [f"N = {n}" for n in WORKERS], rows)


# ---- real clients

STREAM_MODES = {
    "shared": "one worker serves tunnels and LAN on one CPU",
    "lcore": "a stream lcore has a CPU of its own, the worker another",
}


def streams(every):
    found = every["streams"]
    tables = []
    for mode in known(STREAM_MODES, found.values_of("mode")):
        rows = [[row["connections"], row["direction"], number(row.get("gbps"), 2),
                 number(row.get("cycles_byte"), 2), number(row.get("syscalls_packet"), 3),
                 number(row.get("process_s_gb"), 2), number(row.get("p50_us"), 0),
                 number(row.get("p99_us"), 0)]
                for row in found.where(mode=mode)]
        tables.append(Table(f"TLS tunnels over kernel TCP: {STREAM_MODES.get(mode, mode)}",
                            ["tunnels", "direction", "Gbit/s", "cycles a byte",
                             "system calls a packet", "CPU s/GB", "median latency, us",
                             "99th percentile, us"], rows, left=2))
    return tables


SERVERS = ("ocserv", "penstock")


def pair(found, field, digits, **fields):
    """ocserv's and Penstock's value of a field."""
    return [number(found.value(field, server=server, **fields), digits) for server in SERVERS]


def traffic_ratio(found, field="cpu_s_gb", **fields):
    """Traffic a CPU second, Penstock's against ocserv's."""
    return ratio(found.value(field, figure="traffic", server="ocserv", **fields),
                 found.value(field, figure="traffic", server="penstock", **fields))


CLIENT_FIGURES = (
    ("logins", "per_second", "logins a second", 0),
    ("logins", "latency_p50_ms", "their median latency, ms", 1),
    ("logins", "cpu_ms_login", "CPU ms a login", 2),
    ("memory", "bytes_client", "memory of all processes, bytes a client", 0),
    ("memory", "bytes_each_more", "memory that a client adds, bytes", 0),
    ("restart", "first_seconds", "first client back after a restart, s", 2),
    ("restart", "median_seconds", "half of the clients back, s", 2),
    ("restart", "seconds", "all clients back, s", 2),
)


def clients(every):
    found = every["clients"]
    rows = []
    for channel in found.values_of("channel", figure="traffic"):
        for direction, _ in DIRECTIONS:
            for count in found.values_of("clients", figure="traffic", channel=channel):
                here = {"channel": channel, "direction": direction, "clients": count}
                rows.append([channel.upper(), direction, count,
                             *pair(found, "gbps", 2, figure="traffic", **here),
                             *pair(found, "cpu_s_gb", 2, figure="traffic", **here),
                             *pair(found, "core_s_gb", 2, figure="traffic", **here),
                             number(found.value("busy_s_gb", figure="traffic", server="penstock",
                                                **here), 2),
                             number(traffic_ratio(found, **here), 1)])
    tables = [Table("Traffic, each server on one core (O: ocserv, P: Penstock)",
                    ["over", "direction", "clients", "O Gbit/s", "P Gbit/s",
                     "O CPU s/GB", "P CPU s/GB", "O whole core s/GB", "P whole core s/GB",
                     "P poll loop s/GB", "traffic a CPU second, P : O"], rows, left=2)]
    rows = []
    for figure, field, name, digits in CLIENT_FIGURES:
        for channel in found.values_of("channel", figure=figure) or [None]:
            here = {"figure": figure} if channel is None else {"figure": figure,
                                                                "channel": channel}
            ocserv, penstock = (found.value(field, server=server, **here) for server in SERVERS)
            if ocserv is None and penstock is None:
                continue
            rows.append([name, channel.upper() if channel else "DTLS",
                         found.value("clients", **here), number(ocserv, digits),
                         number(penstock, digits), number(ratio(penstock, ocserv), 2)])
    tables.append(Table("Logins, memory, restart", ["figure", "over", "clients", "ocserv",
                                                    "Penstock", "P : O"], rows, left=2))
    return tables


# (name, unit of the disturbance's rate)
DISTURBANCES = {
    "quiet": ("nothing else", ""),
    "elsewhere": ("a flood elsewhere", "/s"),
    "hello-flood": ("ClientHello flood", "/s"),
    "forged": ("forged records", "/s"),
    "sessions": ("sessions come and go", "/s"),
    "kill": ("control plane killed", " times"),
}


def disturbance(what):
    return DISTURBANCES.get(what, (what, ""))


def interference(every):
    found = every["interference"]
    rows = []
    for channel in found.values_of("channel"):
        for what in known(DISTURBANCES, found.values_of("what", channel=channel)):
            for row in found.where(channel=channel, what=what):
                name, unit = disturbance(what)
                rate = number(row.get("rate"), 0)
                rows.append([channel.upper(), name, rate and rate + unit,
                             number(row.get("packets_s"), 0), number(row.get("sent"), 0),
                             number(row.get("lost"), 0), number(row.get("p50_us"), 0),
                             number(row.get("p99_us"), 0), number(row.get("max_us"), 0),
                             number(row.get("p99_ratio"), 2),
                             number(row.get("echo_p50_us"), 0),
                             number(row.get("echo_p99_us"), 0)])
    return [Table("Established tunnels meanwhile",
                  ["over", "meanwhile", "rate", "packets/s", "sent", "lost", "median, us",
                   "99 %, us", "longest, us", "99 % against quiet", "round trip: median, us",
                   "round trip: 99 %, us"], rows, left=2)]


OF = {
    "floor": floor,
    "pipe": pipe,
    "peer": peer,
    "sessions": sessions,
    "cores": cores,
    "streams": streams,
    "clients": clients,
    "interference": interference,
}


def of(name, every):
    """The tables of one benchmark."""
    if not every[name].rows:
        return []
    return [table for table in OF[name](every) if table.rows]
