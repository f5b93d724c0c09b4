# SPDX-License-Identifier: GPL-3.0-or-later
"""Huge pages for the time of one benchmark. Called by tools/bench."""

import re

COUNT = "/proc/sys/vm/nr_hugepages"
HEADROOM_MB = 2048  # of ordinary memory that stays


def meminfo(field):
    """A line of /proc/meminfo; 0 where there is none."""
    with open("/proc/meminfo", encoding="utf-8") as file:
        found = re.search(rf"^{field}:\s+(\d+)", file.read(), re.MULTILINE)
    return int(found.group(1)) if found else 0


class Hugepages:
    """Makes sure that `mb` are free, as far as the machine has them; .mb says how many there are.
    What was taken is given back."""

    def __init__(self, mb):
        self.wanted = mb
        self.mb = 0
        self.before = None

    def __enter__(self):
        page_kb = meminfo("Hugepagesize")
        if self.wanted == 0 or page_kb == 0:
            return self
        free = meminfo("HugePages_Free")
        room = max(meminfo("MemAvailable") // 1024 - HEADROOM_MB, 0) * 1024 // page_kb
        more = min(self.wanted * 1024 // page_kb - free, room)
        if more > 0:
            before = int(self.read())
            if self.write(before + more):
                self.before = before
        self.mb = min(meminfo("HugePages_Free") * page_kb // 1024, self.wanted)
        return self

    def __exit__(self, *_):
        if self.before is not None:
            self.write(self.before)

    @staticmethod
    def read():
        with open(COUNT, encoding="utf-8") as file:
            return file.read()

    @staticmethod
    def write(count):
        try:
            with open(COUNT, "w", encoding="utf-8") as file:
                file.write(str(count))
        except OSError:  # a container may not
            return False
        return True
