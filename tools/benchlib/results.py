# SPDX-License-Identifier: GPL-3.0-or-later
"""Results of benchmarks: kept as JSON, looked up by fields. Used by all of tools/bench."""

import json
import os

# In the order in which they run and are shown.
NAMES = ("floor", "pipe", "peer", "sessions", "cores", "streams", "clients", "interference")
CIPHERS = ("aes-128-gcm", "aes-256-gcm", "chacha20-poly1305")
SIZES = (64, 256, 512, 1400, "imix")


class Results:
    """The result objects of one benchmark, and the run they come from."""

    def __init__(self, name, document):
        self.name = name
        self.document = document
        self.rows = document["results"]

    def where(self, **fields):
        """The objects that have all these values; a tuple or list stands for any of its own."""

        def fits(row):
            for key, wanted in fields.items():
                value = row.get(key)
                if isinstance(wanted, (tuple, list)):
                    if value not in wanted:
                        return False
                elif value != wanted:
                    return False
            return True

        return [row for row in self.rows if fits(row)]

    def value(self, field, **fields):
        """A field of the first such object, or None."""
        for row in self.where(**fields):
            if row.get(field) is not None:
                return row[field]
        return None

    def least(self, field, **fields):
        values = [row[field] for row in self.where(**fields) if row.get(field) is not None]
        return min(values, default=None)

    def values_of(self, field, **fields):
        """The different values of a field, in the order of their first appearance."""
        return list(dict.fromkeys(row[field] for row in self.where(**fields) if field in row))


class NoResults(Results):
    """What stands in for a benchmark that has not run: finds nothing."""

    def __init__(self, name):
        super().__init__(name, {"results": []})


def ratio(a, b):
    """a / b where both are known and b is not nought, else None."""
    return a / b if a is not None and b else None


def save(path, document):
    """All or nothing: an interrupted run leaves the file as it was."""
    part = f"{path}.part"
    try:
        with open(part, "w", encoding="utf-8") as file:
            # one result a line: a change of one figure is a change of one line
            head = {key: value for key, value in document.items() if key != "results"}
            text = json.dumps(head, indent=1)[:-2] + ',\n "results": [\n'
            text += ",\n".join("  " + json.dumps(row) for row in document["results"])
            file.write(text + "\n ]\n}\n")
        os.replace(part, path)
    finally:
        if os.path.exists(part):
            os.unlink(part)


def load(folder):
    """All benchmarks: {name: Results}, NoResults where there is no file."""
    every = {}
    for name in NAMES:
        try:
            with open(os.path.join(folder, f"{name}.json"), encoding="utf-8") as file:
                every[name] = Results(name, json.load(file))
        except FileNotFoundError:
            every[name] = NoResults(name)
        except (KeyError, TypeError, ValueError) as error:
            raise SystemExit(f"bench: {file.name} is not what tools/bench writes: {error}")
    return every
