# SPDX-License-Identifier: GPL-3.0-or-later
"""Bars and lines as SVG, drawn by gnuplot. Called by plots.py."""

import os
import shutil
import subprocess

WIDTH = 900
PANEL_HEIGHT = 330
# Wong's palette, which colour-blind people can tell apart.
COLOURS = ("#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00", "#332288", "#aa4499",
           "#999933", "#882255", "#117733", "#88ccee", "#ddcc77", "#661100")
OTHERS = "#999999"


class PlotFailed(Exception):
    """gnuplot's own words."""


def quoted(text):
    return '"' + str(text).replace("\\", "\\\\").replace('"', "'") + '"'


def block(name, rows):
    """Inline data; None becomes a missing value."""
    lines = [" ".join("?" if cell is None else quoted(cell) if isinstance(cell, str)
                      else f"{cell:.6g}" for cell in row) for row in rows]
    return f"${name} << EOD\n" + "\n".join(lines) + "\nEOD\n"


def short(count):
    """1,000,000 as 1M: ticks stand close."""
    for unit, name in ((1000000, "M"), (1000, "k")):
        if count >= unit and count % unit == 0:
            return f"{count // unit}{name}"
    return str(count)


class Bars:
    """Groups of bars. values[series][group], None where there is nothing; `stacked` puts the
    series of a group on top of each other."""

    def __init__(self, title, ylabel, groups, series, values, stacked=False, digits=0, line=None,
                 colours=None):
        self.title = title
        self.ylabel = ylabel
        self.groups = groups
        self.series = series
        self.values = values
        self.stacked = stacked
        self.digits = digits
        self.colours = [OTHERS if at is None else COLOURS[at % len(COLOURS)]
                        for at in colours or range(len(series))]
        self.line = line  # (value, label) of a level to compare with

    def top(self):
        known = [[value or 0 for value in row] for row in self.values]
        if self.stacked:
            return max(map(sum, zip(*known)), default=0)
        return max((max(row) for row in known), default=0)

    def script(self, name):
        data = [[group, *[row[at] for row in self.values]] for at, group in enumerate(self.groups)]
        count = len(self.series)
        top = max(self.top(), self.line[0] if self.line else 0)
        text = block(name, data)
        text += "set style data histograms\nset style fill solid 1.0 noborder\n"
        kind = "rowstacked" if self.stacked else "clustered gap 1"
        text += f"set style histogram {kind}\nset boxwidth {0.6 if self.stacked else 0.92}\n"
        text += "unset logscale\nset xtics nomirror scale 0\nset auto x\n"
        text += f"set xrange [-0.6:{len(self.groups) - 0.4}]\n"
        text += f"set yrange [0:{top * 1.12 or 1:.6g}]\n"
        plots = [f"${name} using {at + 2}:xtic(1) title {quoted(series)} "
                 f"lc rgb '{self.colours[at]}'"
                 for at, series in enumerate(self.series)]
        if not self.stacked and count * len(self.groups) <= 40:
            # gnuplot puts bar k of n at group + (k - (n - 1) / 2) / (n + gap)
            for at in range(count):
                shift = (at - (count - 1) / 2) / (count + 1)
                form = f"%.{self.digits}f"
                plots.append(f"${name} using ($0+({shift:.5f})):{at + 2}:"
                             f"(sprintf('{form}',${at + 2})) with labels offset 0,0.5 "
                             f"font ',9' notitle")
        if self.line:
            plots.append(f"{self.line[0]} with lines dt 2 lw 1.5 lc rgb '#444444' "
                         f"title {quoted(self.line[1])}")
        return text + self.frame() + "plot " + ", \\\n     ".join(plots) + "\n"

    def frame(self):
        return f"set title {quoted(self.title)}\nset ylabel {quoted(self.ylabel)}\nunset xlabel\n"


class Lines:
    """Lines over a logarithmic axis. points[series] = [(x, y), ...]."""

    def __init__(self, title, xlabel, ylabel, series, points, log_y=False):
        self.title = title
        self.xlabel = xlabel
        self.ylabel = ylabel
        self.series = series
        self.points = points
        self.log_y = log_y

    def script(self, name):
        text = "".join(block(f"{name}_{at}", rows) for at, rows in enumerate(self.points))
        ys = [y for rows in self.points for _, y in rows if y is not None]
        xs = sorted({x for rows in self.points for x, _ in rows})
        text += "unset logscale\nset logscale x\nset xtics nomirror scale 0.5 ("
        text += ", ".join(f"{quoted(short(x))} {x}" for x in xs) + ")\n"
        text += f"set xrange [{min(xs) / 1.3}:{max(xs) * 1.3}]\n"
        if self.log_y:
            text += "set logscale y\nset yrange [*:*]\n"
        else:
            text += f"set yrange [0:{max(ys) * 1.12:.6g}]\n"
        text += f"set title {quoted(self.title)}\nset ylabel {quoted(self.ylabel)}\n"
        text += f"set xlabel {quoted(self.xlabel)}\n"
        plots = [f"${name}_{at} using 1:2 with linespoints lw 2 pt 7 ps 0.5 "
                 f"lc rgb '{COLOURS[at % len(COLOURS)]}' title {quoted(series)}"
                 for at, series in enumerate(self.series)]
        return text + "plot " + ", \\\n     ".join(plots) + "\n"


def draw(path, panels, columns=1):
    """One SVG of all panels, replaced as a whole."""
    rows = -(-len(panels) // columns)
    part = f"{path}.part"
    script = (
        f"set terminal svg size {WIDTH},{PANEL_HEIGHT * rows} dynamic noenhanced "
        "font 'Helvetica,Arial,sans-serif,12' background '#ffffff'\n"
        f"set output {quoted(part)}\nset datafile missing '?'\nset encoding utf8\n"
        "set border 3 lc rgb '#888888'\nset tics textcolor rgb '#222222'\n"
        "set grid ytics lc rgb '#dddddd' lt 1 lw 0.6\nset ytics nomirror format '%.6g'\n"
        "set key outside below center horizontal Left reverse samplen 1.2 spacing 1.1 maxrows 4\n"
        f"set multiplot layout {rows},{columns}\n")
    for at, panel in enumerate(panels):
        script += panel.script(f"p{at}")
    script += "unset multiplot\nunset output\n"
    try:
        if shutil.which("gnuplot") is None:
            raise PlotFailed("no gnuplot: tools/setup --test installs it; then --redraw")
        done = subprocess.run(["gnuplot"], input=script, text=True, capture_output=True,
                              timeout=60)
        if done.returncode != 0 or not os.path.exists(part):
            raise PlotFailed(f"gnuplot cannot draw {path}: {done.stderr.strip()[:300]}")
        os.replace(part, path)
    finally:
        if os.path.exists(part):
            os.unlink(part)
