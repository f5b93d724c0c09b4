# SPDX-License-Identifier: GPL-3.0-or-later
"""What is going on when a process is killed: each step as a generator, and the points within it.

A step prepares, yields, sets going what is to be disturbed, yields, and then shows that the client
concerned recovers. kill_points.py kills between the second and the third part. `run` is its Run.
"""
import json
import os
import re
import signal
import threading

from kill_trace import pids_of
from kill_world import (DIR, EDGES, GATEWAY, WAIT, Failed, controlplane_log, ctl, ctl_begin,
    kill_role, ns, run as command, wait_for)

CROWD = 5
BAD_ADDRESS = "192.0.2.77" # whose wrong passwords count


def http(path, *options, address="192.0.2.2"):
    """The status of one request and its answer's head; "000": no answer."""
    done = command(ns("cl", "curl", "-sk", "-m", str(WAIT), "--interface", address, "-D", "-",
        "-o", f"{DIR}/log/http-body", "-w", "%{http_code}", *options, f"https://{GATEWAY}{path}"))
    return done.stdout[-3:], done.stdout


def wrong_password():
    return http("/auth", "-d", "username=kim&password=wrong", address=BAD_ADDRESS)[0]


def is_banned():
    return any(one["banned"] for one in ctl("show", "bans") or [] if one["address"] == BAD_ADDRESS)


def ban():
    for _ in range(8):
        if is_banned():
            break
        wrong_password()
    wait_for(is_banned, "wrong passwords ban")


# ---- logins: everything from the first form to the DTLS keys

def enters(run, user):
    yield
    run.begin(user)
    yield
    run.in_at_last()


def enters_file(run):
    yield from enters(run, "kim")


def enters_radius(run):
    yield from enters(run, "rad")


def enters_challenged(run):
    yield from enters(run, "two")


def enters_pam(run):
    yield from enters(run, "pat")


def enters_code(run):
    yield from enters(run, "otto")
    status, head = http("/auth", "-c", f"{DIR}/jar", "-d",
        f"username=otto&password=secret-{run.users.letter}")
    code = run.words[1]
    status, head = http("/auth", "-b", f"{DIR}/jar", "-d", f"secondary_password={code}")
    if re.search(r"(?i)^set-cookie: webvpn=[\w+/]", head, re.MULTILINE):
        raise Failed(f"a one-time password that was used is good again: {status} {head}")


# ---- many at once, so that some are here and some there

def crowd_enters(run):
    yield
    for client in run.crowd:
        run.begin("kim", client)
    yield
    for client in run.crowd:
        run.in_at_last(client)
    addresses = {client.address() for client in run.crowd}
    if len(addresses) != CROWD:
        raise Failed(f"{CROWD} clients have the addresses {addresses}")
    for client in run.crowd:
        client.tell(signal.SIGINT)
    for client in run.crowd:
        client.stop()


def crowd_leaves(run):
    for client in run.crowd:
        run.begin("kim", client)
    for client in run.crowd:
        run.in_at_last(client)
    yield
    for client in run.crowd:
        client.tell(signal.SIGINT)
    yield
    for client in run.crowd:
        client.stop()


# ---- an established tunnel that is made anew, or ends

def comes_back(run):
    run.is_in()
    address = run.client.address()
    yield
    run.client.tell(signal.SIGUSR2)
    yield
    run.back_again(address)


def rekeys(run):
    """By itself, as `rekey-time` says. Takes up to a minute."""
    run.is_in("rey")
    address = run.client.address()
    yield
    run.seconds_to_hit = 75
    yield
    run.back_again(address)


def leaves(run):
    run.is_in()
    yield
    run.client.tell(signal.SIGINT)
    yield
    run.client.stop()


def is_put_out(run):
    run.is_in()
    mine = run.session_id()
    yield
    asked = ctl_begin("disconnect", "id", str(mine))
    yield
    if asked.wait(timeout=90) != 0:
        wait_for(lambda: ctl("status"), "the CLI answers")
        ctl("disconnect", "id", str(mine)) # it may be gone
    wait_for(run.client.ended, "the client that the operator has put out ends")


def connected():
    """The addresses of those that are."""
    shown = wait_for(lambda: ctl("show", "sessions"), "the CLI answers")
    return [one["ipv4"] for one in shown if one["state"] == "connected"]


def falls_silent(run):
    """Dead: no BYE, and its probes are not answered."""
    run.is_in("dad")
    mine = run.client.address()
    yield
    run.seconds_to_hit = 45
    run.client.stop(signal.SIGKILL)
    yield
    wait_for(lambda: mine not in connected(), "a dead client's session ends", 60)


def interim(run):
    """Of the tunnels that are not disturbed; their interval is a minute."""
    yield
    run.seconds_to_hit = 75
    yield


def restarts(run, role):
    """Killed once more, or others, while the newcomer gets what it needs."""
    run.is_in()
    yield
    kill_role(role)
    yield
    if not run.client.pings():
        raise Failed("a tunnel does not work while a process is started anew")
    run.begin("kim")
    run.in_at_last()


def restarts_session(run):
    ban() # which the edges tell the new one
    yield from restarts(run, "session")
    if not {*run.victims, run.again} & {"edge", "children", "supervisor"}: # who else knew of it
        wait_for(is_banned, "the ban is known to the new session process")
    ctl("unban", "all")


def restarts_auth(run):
    yield from restarts(run, "auth")


def restarts_edges(run):
    yield from restarts(run, "edge")


# ---- reload: all processes on one configuration

def configure(letter):
    """Changes something for every role: what edge, auth, session, radius and script show of it."""
    with open(f"{DIR}/penstock.json", encoding="utf-8") as file:
        config = json.load(file)
    root = config["penstock:penstock"]
    root["health-path"] = f"/health-{letter}"
    root["authentication"]["password-file"] = f"{DIR}/passwd-{letter}"
    root["network"]["default-domain"] = f"{letter}.example.net"
    root["radius"]["nas-identifier"] = f"nas-{letter}"
    root["scripts"]["connect"] = root["scripts"]["disconnect"] = f"{DIR}/script-{letter}"
    with open(f"{DIR}/penstock.json", "w", encoding="utf-8") as file:
        json.dump(config, file)


def edge_letter(pid, others):
    """What one edge has: the others do not take connections meanwhile."""
    for other in others:
        send_signal(other, signal.SIGSTOP)
    try:
        has = [letter for letter in "ab" if http(f"/health-{letter}")[0] in ("200", "503")]
    finally:
        for other in others:
            send_signal(other, signal.SIGCONT)
    if len(has) != 1:
        raise Failed(f"edge {pid} has the configurations {has}")
    return has[0]


def send_signal(pid, number):
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        pass


def one_configuration(run):
    """Which one: "a" or "b"; fails when processes have different ones."""
    edges = pids_of("edge")
    letters = {edge_letter(pid, [other for other in edges if other != pid])
        for pid in edges}
    if len(letters) != 1:
        raise Failed(f"edges have different configurations: {letters}")
    letter = run.users.letter = letters.pop()
    scripts_before = run.scripts_lines()
    run.begin("kim")
    run.in_at_last()
    with open(f"{DIR}/env-{run.client.name}", encoding="utf-8") as file:
        domain = re.search(r"CISCO_DEF_DOMAIN=(\w)", file.read()).group(1)
    script = wait_for(lambda: run.scripts_lines()[len(scripts_before):], "a script ran")[-1].split()[2]
    nas = wait_for(lambda: run.start_record(run.client.address()), "a Start")["NAS-Identifier"]
    has = {"edge": letter, "session": domain, "script": script, "radius": nas[-1]}
    if len(set(has.values())) != 1:
        raise Failed(f"one reload, different configurations: {has}")
    return letter


def reloads(run, ask):
    old = run.users.letter
    new = "b" if old == "a" else "a"
    configure(new)
    yield
    asked = ask()
    yield
    if asked is not None:
        asked.wait(timeout=90)
    run.wait_complete()
    # A reload that nobody waits for any more may still go on.
    wait_for(run.reload_over, "the reload ends", 60)
    run.wait_complete()
    letter = one_configuration(run)
    run.client.stop()
    if letter == new:
        return
    wait_for(lambda: ctl("reload") is not None, "a reload works")
    if one_configuration(run) != new:
        raise Failed("penstockctl said that the reload was done")


def reloads_by_cli(run):
    yield from reloads(run, lambda: ctl_begin("reload"))


def reloads_by_signal(run):
    def ask():
        for pid in pids_of("supervisor"):
            send_signal(pid, signal.SIGHUP)
    yield from reloads(run, ask)


# ---- bans and maintenance

def bans(run):
    wait_for(lambda: ctl("unban", "all") is not None, "unban")
    yield
    # Points that a killed session process had are forgotten: so on, until it is banned.
    tries = threading.Thread(target=lambda: [wrong_password() for _ in range(4) if not is_banned()])
    tries.start()
    yield
    tries.join()
    run.wait_complete()
    ban()
    for role in run.rng.sample(["session", "edge", "auth"], 3):
        kill_role(role)
        run.wait_complete()
        wait_for(is_banned, f"the ban is known after a kill of {role}", 5)
        for _ in range(2 * EDGES):
            if http("/auth", "-d", f"username=kim&password=secret-{run.users.letter}",
                    address=BAD_ADDRESS)[0] != "000":
                raise Failed(f"a banned address is served after a kill of {role}")
    run.begin("kim")
    run.in_at_last()
    ctl("unban", "all")


def drains(run):
    run.is_in()
    address = run.client.address()
    yield
    asked = ctl_begin("drain")
    yield
    accepted = asked.wait(timeout=90) == 0
    run.wait_complete()
    # The supervisor keeps it: with that one it is gone.
    if not accepted or "supervisor" in run.victims or run.again == "supervisor":
        wait_for(lambda: ctl("drain") is not None, "drain")
    if not ctl("status")["sessions"]["draining"]:
        raise Failed("draining was forgotten")
    wait_for(lambda: all(http("/auth", "-d", "username=kim&password=x")[0] == "503"
        for _ in range(2 * EDGES)), "every edge refuses new clients")
    run.client.tell(signal.SIGUSR2)
    run.back_again(address)
    wait_for(lambda: ctl("undrain") is not None, "undrain")
    wait_for(lambda: not ctl("status")["sessions"]["draining"], "it serves again")


# ---- where: ROLE OPERATION NUMBER, killed before and after it

PASSWORD = """
edge send:SIGN 1|auth recv:SIGN 1|auth send:SIGNED 1|edge recv:SIGNED 1
edge send:LOGIN 1|auth recv:LOGIN 1
auth send:SESSION_NEW 1|session recv:SESSION_NEW 1
session call:pwrite64 1|session call:fdatasync 1
session send:SESSION_CREATED 1|auth recv:SESSION_CREATED 1
auth send:LOGIN_RESULT 1|edge recv:LOGIN_RESULT 1"""
RADIUS = """
auth send:RADIUS_ASK 1|radius recv:RADIUS_ASK 1|radius call:sendto 1|radius call:recvfrom 1
radius send:RADIUS_ANSWER 1|auth recv:RADIUS_ANSWER 1"""
CHALLENGE = """
edge send:LOGIN 2|auth recv:LOGIN 3|auth send:RADIUS_ASK 2|radius recv:RADIUS_ASK 2
radius call:sendto 3|radius call:recvfrom 2|radius send:RADIUS_ANSWER 2|auth recv:RADIUS_ANSWER 3
auth send:LOGIN_RESULT 2|edge recv:LOGIN_RESULT 2"""
CODE = """
edge send:LOGIN 2|auth recv:LOGIN 2|auth send:OTP_ASK 1|session recv:OTP_ASK 1
auth send:OTP_ASK 2|session recv:OTP_ASK 2|session call:fdatasync 1|session send:OTP_ANSWER 1
session send:OTP_ANSWER 2|auth recv:OTP_ANSWER 2|auth send:LOGIN_RESULT 2|edge recv:LOGIN_RESULT 2"""
PAM = """
auth send:PAM_ASK 1|pam recv:PAM_ASK 1|pam send:PAM_ANSWER 1|auth recv:PAM_ANSWER 1"""
CONNECT = """
edge send:CONNECT 1|auth recv:CONNECT 1|auth send:SESSION_CONNECT 1|session recv:SESSION_CONNECT 1
session send:CONNECT_RESULT 1|edge recv:CONNECT_RESULT 1"""
SCRIPT = """
session send:SCRIPT_RUN 1|script recv:SCRIPT_RUN 1
script send:SCRIPT_DONE 1|session recv:SCRIPT_DONE 1"""
HAND_OVER = """
edge send:STREAM_UP 1|session recv:STREAM_UP 1|session send:fd 1|dataplane recv:fd 1"""
DTLS = """
edge send:DTLS_QUERY 1|session recv:DTLS_QUERY 1|session send:DTLS_PARAMS 1|edge recv:DTLS_PARAMS 1
edge send:DTLS_UP 1|session recv:DTLS_UP 1|session send:DTLS_SET 1|edge recv:DTLS_SET 1"""
ACCOUNTING = """
session send:ACCT 1|radius recv:ACCT 1|radius call:sendto 1|radius call:recvfrom 1
radius send:ACCT_DONE 1|session recv:ACCT_DONE 1"""
STORE = """
session call:pwrite64 2|session call:fdatasync 2|session call:fdatasync 3"""
CROWD_IN = """
auth recv:LOGIN 3|auth send:SESSION_NEW 4|session recv:SESSION_NEW 3|session call:fdatasync 4
session recv:SESSION_CONNECT 3|session send:CONNECT_RESULT 4|edge send:STREAM_UP 3
session recv:STREAM_UP 4|session send:fd 2|session send:ACCT 3|session recv:ACCT_DONE 2
script send:SCRIPT_DONE 2|edge send:DTLS_UP 3|session send:DTLS_SET 4"""
CROWD_OUT = """
session call:fdatasync 2|session send:ACCT 2|radius call:recvfrom 2|session recv:ACCT_DONE 3
session send:SCRIPT_RUN 2|script send:SCRIPT_DONE 4"""
RELOAD = """
supervisor send:CONFIG 1|supervisor send:CONFIG 2|supervisor send:CONFIG 4|supervisor send:CONFIG 6
auth recv:CONFIG 1|edge recv:CONFIG 1|edge recv:CONFIG 2|session recv:CONFIG 1
radius recv:CONFIG 1|script recv:CONFIG 1|pam recv:CONFIG 1|auth send:FILE_OPEN 1|supervisor send:FILE 1
auth send:RELOADED 1|edge send:RELOADED 1|edge send:RELOADED 2|session send:RELOADED 1
radius send:RELOADED 1|script send:RELOADED 1
supervisor recv:RELOADED 1|supervisor recv:RELOADED 3|supervisor recv:RELOADED 6"""
RELOAD_CLI = """
session send:RELOAD 1|supervisor recv:RELOAD 1
supervisor send:RELOAD_RESULT 1|session recv:RELOAD_RESULT 1"""
BANS = """
auth send:WRONG_PASSWORD 1|session recv:WRONG_PASSWORD 2|auth send:WRONG_PASSWORD 3
session send:BANS 1|session send:BANS 2|edge recv:BANS 1|edge recv:BANS 2"""
DRAIN = """
session send:MAINTAIN 1|supervisor recv:MAINTAIN 1|supervisor send:MAINTENANCE 1
supervisor send:MAINTENANCE 2|supervisor send:MAINTENANCE 3|edge recv:MAINTENANCE 1
edge recv:MAINTENANCE 2|session recv:MAINTENANCE 1"""

START = """
supervisor send:CONFIG 1|supervisor send:PEER 1|supervisor send:PEER 3|supervisor send:START 1
supervisor recv:READY 1"""
START_SESSION = """
supervisor send:MAINTENANCE 1|supervisor send:STATE_DIR 1|supervisor send:CONTROL_LISTENER 1
supervisor recv:FILE_OPEN 1|supervisor send:FILE 1|supervisor send:DATAPLANE 1|edge send:BANS 1"""
START_AUTH = """
supervisor recv:FILE_OPEN 1|supervisor send:FILE 1|supervisor send:FILE 3|edge recv:CERTS 1
edge recv:TICKET_KEYS 1"""
START_EDGES = """
supervisor send:LISTENER 1|supervisor send:DATAPLANE 1|auth send:CERTS 1|auth send:TICKET_KEYS 2"""

# name: step, points, who else may be the victim there, slow
CONTROL = ("auth", "edge", "session", "radius", "script", "children", "supervisor")
STEPS = {
    "login by password": (enters_file, PASSWORD, CONTROL),
    "login by RADIUS": (enters_radius, RADIUS, CONTROL + ("freeradius",)),
    "login with challenges": (enters_challenged, CHALLENGE, CONTROL + ("freeradius",)),
    "login by PAM": (enters_pam, PAM, CONTROL + ("pam",)),
    "login with a code": (enters_code, CODE, CONTROL),
    "CONNECT": (enters_file, CONNECT + SCRIPT, CONTROL + ("dataplane",)),
    "hand-over": (enters_file, HAND_OVER + STORE, CONTROL + ("dataplane",)),
    "DTLS": (enters_file, DTLS, CONTROL + ("dataplane",)),
    "accounting start": (enters_file, ACCOUNTING, CONTROL + ("freeradius",)),
    "reconnection": (comes_back, CONNECT + HAND_OVER + DTLS, CONTROL + ("dataplane",)),
    "disconnect by the user": (leaves, ACCOUNTING + SCRIPT + STORE, CONTROL + ("freeradius",)),
    "disconnect by the operator": (is_put_out, ACCOUNTING, CONTROL + ("freeradius",)),
    "crowd enters": (crowd_enters, CROWD_IN, CONTROL + ("dataplane", "freeradius")),
    "crowd leaves": (crowd_leaves, CROWD_OUT, CONTROL + ("freeradius",)),
    "reload by CLI": (reloads_by_cli, RELOAD + RELOAD_CLI, CONTROL),
    "reload by signal": (reloads_by_signal, RELOAD, CONTROL),
    "restart of session": (restarts_session, START + START_SESSION, CONTROL),
    "restart of auth": (restarts_auth, START + START_AUTH, CONTROL),
    "restart of edges": (restarts_edges, START + START_EDGES, CONTROL),
    "bans": (bans, BANS, ("auth", "edge", "session")),
    "drain": (drains, DRAIN, CONTROL),
}
# These wait for a timer, a minute or nearly: the points where most has been done.
REKEY = """
session send:CONNECT_RESULT 1|edge send:STREAM_UP 1|session send:fd 1|edge send:DTLS_UP 1"""
INTERIM = """
session call:fdatasync 1|session send:ACCT 1|radius call:recvfrom 1|session recv:ACCT_DONE 1"""
SLOW_STEPS = {
    "disconnect by silence": (falls_silent, ACCOUNTING + SCRIPT, CONTROL + ("dataplane",)),
    "rekey": (rekeys, REKEY, CONTROL),
    "accounting interim": (interim, INTERIM, CONTROL + ("freeradius",)),
}


def combinations(slow):
    """(step, role, operation, number, phase, others who may be the victim) of every point."""
    found = []
    for name, (_, points, others) in {**STEPS, **(SLOW_STEPS if slow else {})}.items():
        for point in re.split(r"[|\n]", points.strip()):
            role, operation, number = point.split()
            for phase in ("after",) if operation.startswith("recv") else ("before", "after"):
                found.append((name, role, operation, number, phase, others))
    return found
