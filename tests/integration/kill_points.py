#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Rounds of kill points, run by test_kill_points.sh: kill_points.py ROUNDS SEED.

Every point of kill_steps.py is in a list that the seed shuffles: once with the process that is there
as the victim, once with another. A round takes the next one; it depends on seed and number alone,
so KILL_ROUND=N repeats one. KILL_STEP=REGEX takes the steps of these names alone.
"""
import os
import random
import re
import signal
import subprocess
import sys
import time
import traceback

import kill_steps
from kill_checks import Checks, records, scripts_balanced
from kill_trace import pids_of
from kill_world import (DIR, HERE, SLOW, WAIT, Client, Failed, Steady, Users, complete,
    controlplane_log, ctl, kill_role, moment, wait_for)

SLOW_FROM = 100 # rounds: then those that wait for a timer are among them
HIT_S = WAIT # nearly always much sooner; what is not reached costs as long
TRIES = 8 # of a login that was killed half-way: its user repeats it
RECOVERY_S = 70 # openconnect tries again after 10, 20, 30 s


class Run:
    """The state that outlasts a round."""

    def __init__(self, seed):
        self.seed, self.rng = seed, random.Random(seed)
        self.users, self.client = Users(), Client("k")
        self.words = []
        self.crowd = [Client(f"c{i}") for i in range(kill_steps.CROWD)]
        self.victims, self.again, self.seconds_to_hit = [], "", HIT_S
        self.repeated, self.slowest = {}, (0, 0)
        self.points = []

    def shuffled(self, slow):
        rng = random.Random(self.seed)
        points = []
        for point in kill_steps.combinations(slow):
            if not re.search(os.environ.get("KILL_STEP", ""), point[0]):
                continue
            points.append((*point[:5], "self"))
            points.append((*point[:5], rng.choice(point[5])))
        rng.shuffle(points)
        return points

    # What steps use.

    def begin(self, user, client=None):
        client = client or self.client
        client.stop()
        client.user = user
        self.words = self.users.words(user)
        client.start(user, self.words)

    def in_at_last(self, client=None):
        """The client gets in; a login that was killed half-way is repeated, as its user would."""
        client = client or self.client
        for _ in range(TRIES):
            wait_for(lambda: client.configured() or client.ended(), "the client's end", RECOVERY_S)
            if client.configured():
                break
            self.may_repeat(client)
            self.wait_complete()
            self.begin(client.user, client)
        else:
            raise Failed(f"the client does not get in any more after {TRIES} logins")
        wait_for(client.pings, "the client's tunnel works", RECOVERY_S)

    def may_repeat(self, client):
        """Edges keep what they have asked, so only who loses his edge, or auth between two forms,
        has to log in again. (A RADIUS server takes the answer to a challenge once: who asks again
        because radius has died with the reply is refused. A conversation of PAM ends with its process.)"""
        killed = {*self.victims, self.again} - {""}
        excuses = {"edge", "children", "supervisor", "dataplane"}
        excuses |= {"two": {"auth", "radius", "freeradius"}, "otto": {"auth"},
            "pat": {"pam"}}.get(client.user, set())
        if not killed & excuses:
            raise Failed(f"a login failed after a kill of {killed}: {client.last_words()}")
        print(f"    login repeated: {client.last_words()[-3:]}", flush=True)
        for one in killed & excuses:
            self.repeated[one] = self.repeated.get(one, 0) + 1

    def is_in(self, user="kim"):
        self.begin(user)
        self.in_at_last()
        wait_for(lambda: self.client.says("Established DTLS"), "DTLS", RECOVERY_S)

    def back_again(self, address):
        """The same client, with the address it had."""
        wait_for(lambda: self.client.pings() or self.client.ended(), "the client's tunnel works",
            RECOVERY_S)
        if self.client.ended():
            raise Failed("the client has given up")
        if self.client.address() != address:
            raise Failed(f"had {address}, has {self.client.address()}")

    def session_id(self):
        mine = self.client.address()
        return next(one["id"] for one in ctl("show", "sessions") if one["ipv4"] == mine)

    @staticmethod
    def wait_complete():
        wait_for(complete, "all processes serve")

    @staticmethod
    def scripts_lines():
        with open(f"{DIR}/scripts.log", encoding="utf-8") as file:
            return [line for line in file if line.startswith("connect ")]

    @staticmethod
    def start_record(address):
        found = [one for one in records() if one["Acct-Status-Type"] == "Start" and
            one.get("Framed-IP-Address") == address]
        return found[-1] if found else None

    @staticmethod
    def reload_over():
        """None is under way: the last has come to its end, or its supervisor to his."""
        log = controlplane_log()
        over = max(log.rfind("event=reload "), log.rfind("role=supervisor event=ready"))
        return over >= log.rfind("event=reload_asked")


class Tracer:
    """kill_trace.py in a process of its own."""

    def __init__(self, role, operation, number, phase, victims):
        self.process = subprocess.Popen([sys.executable, f"{HERE}/kill_trace.py", role, operation,
            number, phase, *victims], stdout=subprocess.PIPE, text=True)
        if self.process.stdout.readline() != "armed\n":
            raise Failed("the tracer does not start")

    def hit(self, seconds):
        try:
            return self.process.communicate(timeout=seconds)[0].startswith("hit")
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.communicate()
            return False


def one_round(run, checks, number):
    step, role, operation, count, phase, victim = run.points[(number - 1) % len(run.points)]
    run.rng = random.Random(f"{run.seed} {number}")
    again = run.rng.choice(["", "", "", "auth", "edge", "session", "radius", "script"])
    pause = run.rng.random() * 0.3
    run.victims, run.again, run.seconds_to_hit = [role if victim == "self" else victim], again, HIT_S
    print(f"round {number}: {step}: {victim} killed {phase} {role} {operation} {count}"
        f"{f', then {again}' if again else ''}", flush=True)

    going = {**kill_steps.STEPS, **kill_steps.SLOW_STEPS}[step][0](run)
    next(going)
    run.wait_complete()
    if "dataplane" in run.victims:
        checks.steady.pause()
    tracer = Tracer(role, operation, count, phase, [victim])
    next(going)
    hit = tracer.hit(run.seconds_to_hit)
    if not hit:
        print("    this point was not reached", flush=True)
    if again:
        moment(pause)
        kill_role(again)
    struck = time.monotonic()
    for _ in going:
        raise Failed(f"{step} yields a third time")
    if not run.client.ended(): # also when DTLS was set up after that
        wait_for(run.client.pings, "the client's tunnel works", RECOVERY_S)
    run.slowest = max(run.slowest, (time.monotonic() - struck, number))
    if "dataplane" in run.victims:
        for name in checks.steady.socks:
            wait_for(Client(name).pings, f"client {name} comes back", RECOVERY_S)
        checks.steady.resume()
    checks.all()
    run.client.stop()
    return hit


def finish(run, checks):
    """Everybody leaves: nothing is left behind, and nothing was lost."""
    checks.steady.pause()
    wait_for(lambda: not checks.steady.outstanding(), "the last datagrams come back")
    checks.steady.ending = True
    checks.steady.join()
    checks.addresses = []
    for pid in pids_of("openconnect"):
        os.kill(pid, signal.SIGINT)
    wait_for(lambda: ctl("show", "sessions") == [], "no session is left", 60)
    checks.all()
    wait_for(scripts_balanced, "each connect script has its disconnect script", 60)


def main(rounds, seed):
    run = Run(seed)
    run.points = run.shuffled(rounds >= SLOW_FROM)
    steady = Steady(["d", "t"])
    checks = Checks(steady, [Client(name).address() for name in ("d", "t")])
    steady.start()
    missed, started = [], time.monotonic()
    only = int(os.environ.get("KILL_ROUND", 0))
    number = 0
    try:
        for number in [only] if only else range(1, rounds + 1):
            if not one_round(run, checks, number):
                missed.append(number)
        finish(run, checks)
    except (Failed, OSError, ValueError, KeyError, subprocess.TimeoutExpired):
        traceback.print_exc()
        sys.exit(f"FAIL: round {number}, seed {seed}: KILL_ROUND={number} repeats it alone")
    print(f"ok: {checks.checked} checks in {time.monotonic() - started:.0f} s, "
        f"{steady.sent} datagrams of other tunnels, none lost; logins repeated: {run.repeated}; "
        f"slowest recovery {run.slowest[0]:.0f} s in round {run.slowest[1]}; "
        f"points not reached in rounds: {missed}")
    if len(missed) > max(1, rounds // 10):
        sys.exit("FAIL: too many points were not reached: the steps are not what they were")


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
