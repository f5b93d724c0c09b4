# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs one benchmark: progress on the terminal, its JSON lines, its end. Called by tools/bench."""

import json
import os
import selectors
import signal
import subprocess
import sys
import time

SKIPPED = 77
TERM_PATIENCE = 20  # seconds for a benchmark to take down its namespaces
LEFT_PATIENCE = 2  # seconds for the last words of what it left behind


class Failure(Exception):
    """What went wrong, in one sentence."""


class Skip(Exception):
    """Why this machine cannot."""


class Line:
    """One line a benchmark; on a terminal it shows what goes on."""

    def __init__(self, title):
        self.title = title
        self.began = time.monotonic()
        self.tty = sys.stdout.isatty()
        if self.tty:
            self.show("")

    def text(self, what):
        return f"  {self.title:<34}{time.monotonic() - self.began:7.1f} s  {what}"

    def show(self, what):
        if not self.tty:
            return
        try:
            width = os.get_terminal_size().columns
        except OSError:
            width = 80
        print(f"\r\033[K{self.text(what)[:width - 1]}", end="", flush=True)

    def end(self, what):
        start = "\r\033[K" if self.tty else ""
        print(f"{start}{self.text(what)}", flush=True)


def group_lives(process):
    process.poll()
    try:
        os.killpg(process.pid, 0)
    except ProcessLookupError:
        return False
    return True


def end_group(process):
    """Ends the benchmark and all that it started and that is left."""
    for kind in (signal.SIGTERM, signal.SIGKILL):
        if not group_lives(process):
            break
        os.killpg(process.pid, kind)
        deadline = time.monotonic() + TERM_PATIENCE
        while group_lives(process) and time.monotonic() < deadline:
            time.sleep(0.05)
    process.wait()


class Reader:
    """Splits what comes through a pipe into lines."""

    def __init__(self, take):
        self.take = take
        self.rest = b""

    def feed(self, data):
        *lines, self.rest = (self.rest + data).split(b"\n")
        for line in lines:
            self.take(line.decode("utf-8", "replace"))

    def end(self):
        if self.rest:
            self.take(self.rest.decode("utf-8", "replace"))
        self.rest = b""


def follow(process, readers, deadline, tick):
    """Reads both pipes until they end, or a little longer than the benchmark lives: what it left
    behind may hold them open."""
    over = None
    with selectors.DefaultSelector() as selector:
        for pipe, reader in readers:
            selector.register(pipe, selectors.EVENT_READ, reader)
        while selector.get_map() and (over is None or time.monotonic() < over):
            if time.monotonic() > deadline:
                raise Failure("took too long and was ended")
            for key, _ in selector.select(0.2):
                data = os.read(key.fd, 65536)
                if data:
                    key.data.feed(data)
                else:
                    key.data.end()
                    selector.unregister(key.fileobj)
            if over is None and process.poll() is not None:
                over = time.monotonic() + LEFT_PATIENCE
            tick()
    try:
        process.wait(max(deadline - time.monotonic(), 1))
    except subprocess.TimeoutExpired:
        raise Failure("took too long and was ended") from None


def run(command, environment, cpus, seconds, log_path, line):
    """The result objects that the command prints. Failure, Skip; all is over in any case."""
    rows, said = [], []

    def result(text):
        if not text.strip():
            return
        try:
            row = json.loads(text)
        except ValueError:
            row = None
        if not isinstance(row, dict):
            raise Failure(f"printed what is no JSON object: {text[:80]}")
        rows.append(row)

    with open(log_path, "w", encoding="utf-8") as log:

        def message(text):
            log.write(text + "\n")
            log.flush()
            if text.strip():
                said.append(text.strip())
                del said[:-20]

        def tick():
            line.show(said[-1] if said else "")

        process = subprocess.Popen(
            ["setpriv", "--pdeathsig", "TERM", "taskset", "-c", ",".join(map(str, cpus)), *command],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            env=environment, start_new_session=True)
        try:
            readers = ((process.stdout, Reader(result)), (process.stderr, Reader(message)))
            follow(process, readers, time.monotonic() + seconds, tick)
        finally:
            end_group(process)
            process.stdout.close()
            process.stderr.close()
    last = said[-1] if said else "said nothing"
    if process.returncode == SKIPPED:
        raise Skip(last.removeprefix("SKIP: "))
    if process.returncode != 0:
        raise Failure(f"{last} (status {process.returncode}, whole log: {log_path})")
    if not rows:
        raise Failure(f"ended well but printed no result (whole log: {log_path})")
    return rows
