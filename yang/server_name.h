// SPDX-License-Identifier: GPL-3.0-or-later
// Matching of server names: does the name of a certificate or a virtual host cover the one that the
// client asked for?
#pragma once

#include <stdbool.h>

// `pattern` is a name or *.name, which covers exactly one label more (RFC 6125, 6.4.3). Letters
// of either case are the same, a dot at the end counts for nothing.
bool server_name_matches(const char *pattern, const char *name);
bool server_name_is_wildcard(const char *pattern);
