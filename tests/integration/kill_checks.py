# SPDX-License-Identifier: GPL-3.0-or-later
"""What holds after every kill, asked from outside: the CLI, the store read by mdb_dump, FreeRADIUS's
file of records, what scripts wrote down. Used by kill_points.py."""
import re
import socket
import struct

from kill_world import DIR, WAIT, Failed, complete, controlplane_log, ctl, run, wait_for

# Of struct record_session (controlplane/session/record.h), which only grows at its end.
HASH, SID, STATE, INNER4, ACCOUNTED = 8, 40, 48, 72, 3192
# What nobody but this test may end, and what no process of ours says of another.
UNEXPECTED = re.compile(r"event=child_died .*(exit=|signal=SIG(?!KILL))|event=child_kill|"
    r"event=offender|event=edge_breach|Sanitizer|runtime error:")
STATES = {1: "authenticated", 2: "connected", 3: "disconnected"}
SETTLE_S = 2 * WAIT # a session whose client did not come to its end is given up after 15 s


def store_sessions():
    """Of each record: its accounting id, session id, state, IPv4 address, whether it is accounted."""
    path = f"{DIR}/state/session/sessions.mdb"
    done = run(["mdb_dump", "-n", "-s", "sessions", path])
    if done.returncode != 0:
        raise Failed(f"the store cannot be read: {done.stderr}")
    lines = [line[1:] for line in done.stdout.splitlines() if line.startswith(" ")]
    sessions = []
    for text in lines[1::2]:
        data = bytes.fromhex(text)
        address = data[INNER4:INNER4 + 16]
        sessions.append({
            "account": data[HASH:HASH + 8].hex(),
            "id": struct.unpack_from("=I", data, SID)[0],
            "state": STATES.get(data[STATE], "?"),
            "ipv4": socket.inet_ntoa(address[12:]) if any(address) else "",
            "accounted": struct.unpack_from("=Q", data, ACCOUNTED)[0] != 0,
        })
    return sessions


def records():
    """FreeRADIUS's accounting records in the order in which it has acknowledged them."""
    found, record = [], {}
    with open(f"{DIR}/radius-a/detail", encoding="utf-8") as file:
        for line in file:
            if line.startswith("\t"):
                name, value = line.strip().split(" = ", 1)
                record[name] = value.strip('"')
            elif record:
                found.append(record)
                record = {}
    return found


def duplicates(text, values):
    twice = {value for value in values if values.count(value) > 1}
    return [f"{text}: more than once: {sorted(twice)}"] if twice else []


class Checks:
    def __init__(self, steady, addresses):
        self.steady, self.addresses = steady, addresses
        self.accounted = set() # every session that the store ever said is accounted
        self.checked = 0

    # Each says what is wrong: an empty list is what is waited for.

    def tables(self):
        """The session process's table, the store and the dataplane have the same sessions."""
        shown, status, stored = ctl("show", "sessions"), ctl("status"), store_sessions()
        if shown is None or status is None:
            return ["the CLI does not answer"]
        up = [one for one in shown if one["state"] == "connected"]
        wrong = []
        if len(up) != status["sessions"]["dataplane_sessions"]:
            wrong.append(f"{len(up)} connected, the dataplane has "
                f"{status['sessions']['dataplane_sessions']}")
        wrong += [f"the dataplane does not know session {one['id']}" for one in up
            if one["worker"] is None]
        table = sorted((one["id"], one["state"], one["ipv4"]) for one in shown)
        store = sorted((one["id"], one["state"], one["ipv4"]) for one in stored)
        if table != store:
            wrong.append(f"the table has {table}, the store {store}")
        wrong += duplicates("IPv4", [one["ipv4"] for one in shown if one["ipv4"]])
        wrong += duplicates("IPv6", [one["ipv6"] for one in shown if one["ipv6"]])
        wrong += [f"{address} is not connected" for address in self.addresses
            if address not in [one["ipv4"] for one in up]]
        return wrong + self.leases(shown)

    @staticmethod
    def leases(shown):
        """Every leased address belongs to the session that has it."""
        answer = ctl("show", "leases")
        if answer is None:
            return ["the CLI does not answer"]
        leased = sorted((one["session"], one["address"]) for one in answer["leases"]
            if one["in_use"])
        held = sorted((one["id"], address) for one in shown
            for address in (one["ipv4"], one["ipv6"].split("/")[0]) if address)
        return [] if leased == held else [f"leased {leased}, held {held}"]

    def accounting(self):
        """Each session that is accounted has its Start, each that has ended its Stop."""
        open_now = {one["account"] for one in store_sessions() if one["accounted"]}
        self.accounted |= open_now
        started, stopped = set(), set()
        for record in records():
            kinds = {"Start": started, "Stop": stopped}
            if record["Acct-Status-Type"] in kinds:
                kinds[record["Acct-Status-Type"]].add(record["Acct-Session-Id"])
        wrong = [f"{account}: no Start" for account in self.accounted - started]
        wrong += [f"{account}: has ended, but no Stop" for account in started - open_now - stopped]
        wrong += [f"{account}: a Stop of a session that goes on" for account in open_now & stopped]
        return wrong

    @staticmethod
    def record_contents():
        """What does not become true by waiting: order, repetitions, octets."""
        seen, wrong = {}, []
        for record in records():
            account, kind = record["Acct-Session-Id"], record["Acct-Status-Type"]
            told = seen.setdefault(account, [])
            what = {name: record.get(name) for name in ("Acct-Status-Type", "Event-Timestamp",
                "Acct-Input-Octets", "Acct-Output-Octets", "Framed-IP-Address", "User-Name")}
            if what in told: # the same record once more: its acknowledgement was lost
                continue
            if kind in ("Start", "Stop") and any(one["Acct-Status-Type"] == kind for one in told):
                wrong.append(f"{account}: two different {kind}s: {told} {what}")
            if told and told[-1]["Acct-Status-Type"] == "Stop":
                wrong.append(f"{account}: {kind} after Stop")
            if kind != "Start" and not told:
                wrong.append(f"{account}: {kind} before Start")
            for name in ("Acct-Input-Octets", "Acct-Output-Octets"):
                before = max((int(one[name] or 0) for one in told), default=0)
                if kind != "Start" and int(what[name] or 0) < before:
                    wrong.append(f"{account}: {name} goes back from {before} to {what[name]}")
            if told and told[0]["User-Name"] != what["User-Name"]:
                wrong.append(f"{account}: of two users")
            told.append(what)
        return wrong

    @staticmethod
    def log():
        """No process ended by itself or accused another."""
        found = [line for line in controlplane_log().splitlines() if UNEXPECTED.search(line)]
        if found:
            raise Failed("\n".join(found))

    def no_loss(self):
        lost = self.steady.lost()
        if lost:
            raise Failed(f"established tunnels lost datagrams: {lost}")

    def all(self):
        """Raises what does not hold."""
        wait_for(complete, "all processes serve")
        for each in (self.tables, self.accounting):
            wait_for(lambda each=each: not each(), each, SETTLE_S)
        wrong = self.record_contents()
        if wrong:
            raise Failed("\n".join(wrong))
        self.log()
        self.no_loss()
        self.checked += 1


def scripts_balanced():
    """Each connect script has its disconnect script. By id: a killed script process runs what it
    ran again, and one whose outcome nobody heard may have a disconnect without a connect."""
    ids = {"connect": set(), "disconnect": set()}
    with open(f"{DIR}/scripts.log", encoding="utf-8") as file:
        for line in file:
            reason, number = line.split()[:2]
            ids.setdefault(reason, set()).add(number)
    return ids["connect"] <= ids["disconnect"]
