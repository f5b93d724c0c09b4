# SPDX-License-Identifier: GPL-3.0-or-later
"""Fills what stands between the markers of docs/performance.md. Called by tools/bench."""

import os
import re

from benchlib import figures, machine, tables
from benchlib.results import NAMES

# <!-- bench:WHAT --> ... <!-- end -->
MARKED = re.compile(r"(<!-- bench:([a-z-]+) -->\n).*?(<!-- end -->)", re.DOTALL)


def path_of(folder, template):
    """The page itself for its own folder, else a copy beside the results."""
    if os.path.realpath(folder) == os.path.splitext(os.path.realpath(template))[0]:
        return template
    return os.path.join(folder, os.path.basename(template))


def of_machine(every):
    """From the newest run; where runs differ in what they ran on, that is said."""
    documents = [found.document for found in every.values() if found.rows]
    if not documents:
        return "Nothing was measured yet."
    newest = max(documents, key=lambda document: document["date"])
    for document in documents:  # only the floor's run knows the clock
        if "clock" in document["machine"]:
            newest["machine"].setdefault("clock", document["machine"]["clock"])
    newest["hugepages_mb"] = max(document.get("hugepages_mb", 0) for document in documents)
    lines = ["| what | |", "| --- | --- |"]
    lines += [f"| {what} | {text} |" for what, text in machine.rows(newest)]
    lines += ["", "| benchmark | measured | commit |", "| --- | --- | --- |"]
    for name in NAMES:
        if every[name].rows:
            document = every[name].document
            how = ", a short run" if document["short"] else ""
            if document.get("options"):
                how += f", with {' '.join(document['options'])}"
            lines.append(f"| {name} | {document['date']}{how} | "
                         f"{document['machine']['commit']} |")
    return "\n".join(lines)


def of_benchmark(name, every):
    shown = tables.of(name, every)
    if not shown:
        return "Not measured yet."
    return "\n\n".join(table.markdown() for table in shown)


def fill(template, path, every):
    with open(template, encoding="utf-8") as file:
        text = file.read()

    def block(match):
        what = match.group(2)
        if what == "figures":
            content = figures.table(every).markdown()
        elif what == "machine":
            content = of_machine(every)
        elif what in NAMES:
            content = of_benchmark(what, every)
        else:
            raise SystemExit(f"bench: {template} has a marker that nothing fills: {what}")
        return f"{match.group(1)}{content}\n{match.group(3)}"

    part = f"{path}.part"
    try:
        with open(part, "w", encoding="utf-8") as file:
            file.write(MARKED.sub(block, text))
        os.replace(part, path)
    finally:
        if os.path.exists(part):
            os.unlink(part)
