#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Writes a C file with the text of each YANG module; run by meson: embed.py OUT MODULE..."""

import os
import re
import sys


def array(text):
    data = text.encode() + b"\0"
    rows = (data[i:i + 16] for i in range(0, len(data), 16))
    return "\n".join("\t" + " ".join("%d," % byte for byte in row) for row in rows)


def main(out, paths):
    parts = ['#include "yang/modules.h"\n']
    table = []
    for path in paths:
        name = os.path.splitext(os.path.basename(path))[0]
        symbol = "text_" + re.sub(r"\W", "_", name)
        with open(path, encoding="utf-8") as file:
            parts.append("static const char %s[] = {\n%s\n};\n" % (symbol, array(file.read())))
        table.append('\t{ "%s", %s },' % (name, symbol))
    parts.append("const struct yang_module yang_modules[] = {\n%s\n\t{ 0, 0 },\n};\n"
                 % "\n".join(table))
    with open(out, "w", encoding="utf-8") as file:
        file.write("\n".join(parts))


main(sys.argv[1], sys.argv[2:])
