// SPDX-License-Identifier: GPL-3.0-or-later
// The filters that sessions refer to, by name. Written by the control thread alone; what a session
// points to stays valid for a reader until its next quiescent state.
#pragma once

#include "dataplane/table/filter_match.h"
#include "dataplane/table/reclaim.h"

struct dp_filter {
	struct filter_rules rules;
	// ctl alone
	uint64_t name;
	uint32_t refs; // sessions
	uint32_t nb_rules;
	struct dp_filter *next; // of its bucket
	struct dp_reclaim reclaim;
};

// Control thread, all of them.

// A part of a filter that has been validated. 0, or -EINVAL out of order, -ENOSPC, -ENOMEM.
int dp_filter_add(const struct abi_cmd_filter_add *add);
// 0, or -ENOENT, -EBUSY: sessions refer to it.
int dp_filter_del(uint64_t name);
// For a session: one more refers to it. NULL: there is none of this name.
struct dp_filter *dp_filter_get(uint64_t name);
// The session has let it go, or was pointing to it until now. NULL is nothing.
void dp_filter_put(struct dp_filter *filter);
// The names of all, at most `max`. Returns how many.
unsigned dp_filter_names(uint64_t *names, unsigned max);
void dp_filters_fini(void); // when no session and no reader is left
