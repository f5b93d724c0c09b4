# SPDX-License-Identifier: GPL-3.0-or-later
"""The table of figures to reach, with what was measured. Called by page.py and tools/bench."""

from benchlib.results import ratio
from benchlib.tables import Table, disturbance, floor_cycles, traffic_ratio

CIPHER = "aes-128-gcm"


class Figure:
    """One line: `measured` are (label, value, limit) in the order shown; at_least turns the
    comparison round."""

    def __init__(self, name, target, measured, at_least=False, digits=2,
                 beside=""):
        self.name = name
        self.target = target
        self.measured = measured
        self.at_least = at_least
        self.digits = digits
        self.beside = beside  # said, not judged

    def text(self):
        parts = [f"{label}{value:,.{self.digits}f}" for label, value, _ in self.measured
                 if value is not None]
        return "; ".join(parts) + self.beside if parts else None

    def verdict(self):
        known = [(value, limit) for _, value, limit in self.measured if value is not None]
        if not known:
            return "not measured"
        if len(known) < len(self.measured):
            return "measured in part"
        met = all(value >= limit if self.at_least else value <= limit for value, limit in known)
        return "yes" if met else "no"


def pipe_value(every, field, direction, size):
    return every["pipe"].value(field, direction=direction, size=size, cipher=CIPHER,
                               checksums="nic")


def pipe(every):
    above = []
    for size in (64, 1400):
        more = ratio(pipe_value(every, "cycles_packet", "up", size),
                     pipe_value(every, "cycles_packet", "down", size))
        above.append((f"{size:,} B: ", more, 1.10))
    hot = ratio(pipe_value(every, "cycles_packet", "down", 1400),
                floor_cycles(every, "down", CIPHER, 1400))
    return [
        Figure("downstream, 1,400 bytes, ratio to the crypto floor", "at most 1.20",
               [("", pipe_value(every, "ratio", "down", 1400), 1.20)],
               beside=f" (to the hot floor {hot:.2f})" if hot else ""),
        Figure("upstream against downstream, cycles", "at most 1.10", above),
    ]


def peer(every):
    def against(direction, size):
        return every["peer"].value("ratio", direction=direction, size=size, cipher=CIPHER,
                                   checksums="nic")

    return [
        Figure("downstream, cycles against ipsec-secgw", "at most 0.80 at 64 bytes, 0.95 at 1,400",
               [("64 B: ", against("down", 64), 0.80), ("1,400 B: ", against("down", 1400), 0.95)]),
        Figure("upstream, cycles against ipsec-secgw", "the same + 10 %",
               [("64 B: ", against("up", 64), 0.88), ("1,400 B: ", against("up", 1400), 1.045)]),
    ]


def sessions(every):
    found = every["sessions"]

    def times(size, direction):
        return found.value("ratio", sessions=60000, size=size, direction=direction)

    return [
        Figure("60,000 sessions against one", "at most 1.20 at 1,400 bytes, 2.0 at 64",
               [(f"{size:,} B {direction}: ", times(size, direction), limit)
                for size, limit in ((1400, 1.20), (64, 2.0)) for direction in ("down", "up")]),
        Figure("1,000,000 sessions: bytes a session beside its two key schedules",
               "at most 2.5 KB",
               [("", found.value("bytes_beside_keys", sessions=1000000), 2560)], digits=0),
    ]


def cores(every):
    rows = [row for row in every["cores"].rows if row.get("handoff_cycles") is not None]
    most = max((row["handoff_cycles"] for row in rows), default=None)
    disorder = max((row["out_of_order"] for row in rows), default=None)
    return [
        Figure("handoff to another worker, cycles a packet", "at most 60",
               [("at most ", most, 60)], digits=1),
        Figure("handoff: packets out of order", "0", [("", disorder, 0)], digits=0),
    ]


def clients(every):
    found = every["clients"]

    def traffic(channel, limit):
        return [(f"{direction}: ", traffic_ratio(found, channel=channel, direction=direction,
                                                 clients=50), limit)
                for direction in ("down", "up")]

    def logins(channel):
        here = {"figure": "logins", "channel": channel}
        return ratio(found.value("per_second", server="penstock", **here),
                     found.value("per_second", server="ocserv", **here))

    return [
        Figure("DTLS traffic a CPU second against ocserv, 50 clients", "at least 6",
               traffic("dtls", 6), at_least=True, digits=1),
        Figure("TLS traffic a CPU second against ocserv, 50 clients", "at least 3",
               traffic("tls", 3), at_least=True, digits=1),
        Figure("full logins a second on one core against ocserv", "at least 5",
               [("with DTLS: ", logins("dtls"), 5), ("TLS alone: ", logins("tls"), 5)],
               at_least=True, digits=1),
    ]


def interference(every):
    rows = [row for row in every["interference"].rows if row["what"] not in ("quiet", "elsewhere")]
    whats = list(dict.fromkeys(row["what"] for row in rows))

    def worst(field, what):
        return max(row[field] for row in rows if row["what"] == what)

    return [
        Figure("packets that established tunnels lose during each interference", "0",
               [(f"{disturbance(what)[0]}: ", worst("lost", what), 0) for what in whats],
               digits=0),
        Figure("their 99th percentile latency against the quiet one", "under 2",
               [(f"{disturbance(what)[0]}: ", worst("p99_ratio", what), 2) for what in whats]),
    ]


BENCHMARKS = (pipe, peer, sessions, cores, clients, interference)


def of(every):
    return [figure for lines in BENCHMARKS for figure in lines(every)]


def table(every):
    rows = [[figure.name, figure.target, figure.text(), figure.verdict()] for figure in of(every)]
    return Table("On x86-64 with VAES, one worker, AES-128-GCM",
                 ["figure", "to reach", "measured", "reached"], rows, left=4)
