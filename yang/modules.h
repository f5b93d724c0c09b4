// SPDX-License-Identifier: GPL-3.0-or-later
// The YANG modules as texts inside the program; the table is written by embed.py at build time.
#pragma once

struct yang_module {
	const char *name; // NULL ends the table
	const char *text;
};

extern const struct yang_module yang_modules[];
