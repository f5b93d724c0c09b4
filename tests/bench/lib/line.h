// SPDX-License-Identifier: GPL-3.0-or-later
// What a cache line that two cores share costs on this machine. Used by the benchmark of cores.
#pragma once

struct line_cost {
	double transfer; // TSC cycles from one core's write until the other has read it
	double own_add; // an atomic addition to a line that nobody else uses
	double shared_add; // the same while another core adds to the line, too
};

// Measures between two CPUs, on threads of its own. 0 or -errno.
int line_measure(unsigned cpu_a, unsigned cpu_b, struct line_cost *cost);
