# SPDX-License-Identifier: GPL-3.0-or-later
"""The rules of this project that no stock linter knows; called by tools/dev/lint with the files."""

import ast
import os
import re
import sys

MAX_LINES = 800
SPDX = re.compile(r"^(//|/\*) SPDX-License-Identifier: \S+")
COMMENT = re.compile(r"^(//|/\*| \*) ?\S+ \S+")
INCLUDE = re.compile(r'^\s*#\s*include\s+(["<])([^">]+)[">]')
SLEEP_C = re.compile(r"\b(u|nano|clock_nano|rte_delay_us_)?sleep\s*\(")
SLEEP_SH = re.compile(r"(^|[;&|({]|\bdo\b|\bthen\b|\belse\b|\bexec\b)\s*sleep\b")
SLEEP_PY = re.compile(r"\b(time|asyncio)\.sleep\s*\(")
TEXT = (".c", ".h", ".sh", ".py", ".yang", ".build", ".md", ".json")

found = 0


def report(path, line, what):
    global found
    found += 1
    print(f"{path}:{line}: {what}")


def included_path(path, name):
    """Where an #include "name" leads inside this tree, or None."""
    own_top = path.split("/", 1)[0]
    for base in (os.path.dirname(path), "", own_top, "dataplane"):
        candidate = os.path.normpath(os.path.join(base, name))
        if os.path.exists(candidate):
            return candidate
    return os.path.normpath(name) if name.startswith("dataplane/") else None


def check_include(path, number, line):
    match = INCLUDE.match(line)
    if not match:
        return
    kind, name = match.groups()
    if name.endswith(".c"):
        report(path, number, f"#include of a .c file: {name}")
    target = included_path(path, name) if kind == '"' else None
    if target is None:
        target = name if name.startswith("dataplane/") else ""
    outside = target.startswith("dataplane/") and not target.startswith("dataplane/abi/")
    if path.startswith(("controlplane/", "tools/")) and outside:
        report(path, number, f"{name}: of the dataplane only dataplane/abi/ may be included here")
    if path.startswith("dataplane/abi/"):
        if outside:
            report(path, number, f"{name}: the boundary includes nothing of the dataplane")
        if name.startswith("rte_"):
            report(path, number, f"{name}: the boundary includes nothing of DPDK")


def check_c(path, lines):
    if not lines or not SPDX.match(lines[0]):
        report(path, 1, "the first line is no SPDX-License-Identifier comment")
    elif len(lines) < 2 or not COMMENT.match(lines[1]):
        report(path, 2, "no comment here that says what the file does and who calls it")
    for number, line in enumerate(lines, 1):
        check_include(path, number, line)


def check_sleep(path, lines):
    if path.endswith((".c", ".h")):
        pattern, comment = SLEEP_C, "//"
    elif path.endswith(".py"):
        pattern, comment = SLEEP_PY, "#"
    else:
        pattern, comment = SLEEP_SH, "#"
    for number, line in enumerate(lines, 1):
        if pattern.search(line.split(comment, 1)[0]):
            report(path, number, "a test that sleeps: wait for the event instead")


def check_text(path, text, lines):
    for number, line in enumerate(lines, 1):
        if line.endswith((" ", "\t", "\r")):
            report(path, number, "space at the end of the line")
    if text and not text.endswith("\n"):
        report(path, len(lines), "no newline at the end of the file")


def is_script(lines):
    return bool(lines) and lines[0].startswith("#!")


def check(path):
    try:
        with open(path, encoding="utf-8") as file:
            text = file.read()
    except UnicodeDecodeError:
        return  # binary: a corpus, a picture
    lines = text.split("\n")
    if lines and lines[-1] == "":
        lines.pop()
    source = path.endswith((".c", ".h"))
    script = path.endswith((".sh", ".py")) or is_script(lines)
    if source:
        check_c(path, lines)
    if (source or script) and len(lines) > MAX_LINES:
        report(path, MAX_LINES + 1, f"{len(lines)} lines: split by concern (limit {MAX_LINES})")
    if path.startswith("tests/") and (source or script):
        check_sleep(path, lines)
    if path.endswith(TEXT) or script:
        check_text(path, text, lines)
    if path.endswith(".py"):
        try:
            ast.parse(text, path)
        except SyntaxError as error:
            report(path, error.lineno or 1, f"not Python: {error.msg}")


for name in sys.argv[1:]:
    check(name)
sys.exit(1 if found else 0)
