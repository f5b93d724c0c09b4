// SPDX-License-Identifier: GPL-3.0-or-later
// The table of filters: put together of commands, counted, freed. Called by the control thread.
#include "dataplane/table/filter.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#define BUCKETS 1024u

static struct dp_filter *buckets[BUCKETS];
static uint32_t nb_filters, nb_rules; // installed

// The one whose parts are coming.
static struct {
	uint64_t name; // 0: none
	uint32_t flags;
	uint16_t total, nb;
	struct abi_filter_rule *rules;
} coming;

static struct dp_filter **place_of(uint64_t name) {
	struct dp_filter **at = &buckets[(name ^ name >> 32) % BUCKETS];

	while (*at != NULL && (*at)->name != name)
		at = &(*at)->next;
	return at;
}

static void coming_drop(void) {
	free(coming.rules);
	memset(&coming, 0, sizeof(coming));
}

static int coming_start(const struct abi_cmd_filter_add *add) {
	coming_drop();
	if (nb_filters >= ABI_FILTERS_MAX || nb_rules + add->total > ABI_FILTERS_RULES_MAX)
		return -ENOSPC;
	coming.rules = calloc((size_t)add->total + 1, sizeof(*coming.rules));
	if (coming.rules == NULL)
		return -ENOMEM;
	coming.name = add->filter;
	coming.flags = add->flags;
	coming.total = add->total;
	return 0;
}

static int install(void) {
	struct dp_filter *filter = calloc(1, sizeof(*filter)), **place = place_of(coming.name);
	int ret = filter == NULL
		? -ENOMEM
		: filter_rules_make(&filter->rules, coming.flags, coming.rules, coming.total);

	if (ret == 0) {
		filter->name = coming.name;
		filter->nb_rules = coming.total;
		*place = filter;
		nb_filters++;
		nb_rules += coming.total;
	} else {
		free(filter);
	}
	coming_drop();
	return ret;
}

int dp_filter_add(const struct abi_cmd_filter_add *add) {
	int ret;

	if (*place_of(add->filter) != NULL)
		return 0;
	if (add->first == 0) {
		ret = coming_start(add);
		if (ret != 0)
			return ret;
	}
	if (coming.name != add->filter || coming.flags != add->flags ||
		coming.total != add->total || coming.nb != add->first) {
		coming_drop();
		return -EINVAL;
	}
	memcpy(coming.rules + add->first, add->rule, add->nb * sizeof(*add->rule));
	coming.nb = (uint16_t)(coming.nb + add->nb);
	return coming.nb == coming.total ? install() : 0;
}

static void filter_release(struct dp_reclaim *reclaim) {
	struct dp_filter *filter = (struct dp_filter *)((char *)reclaim -
		offsetof(struct dp_filter, reclaim));

	filter_rules_free(&filter->rules);
	free(filter);
}

int dp_filter_del(uint64_t name) {
	struct dp_filter **place = place_of(name), *filter = *place;

	if (filter == NULL)
		return -ENOENT;
	if (filter->refs != 0)
		return -EBUSY;
	*place = filter->next;
	nb_filters--;
	nb_rules -= filter->nb_rules;
	// the session that let it go last may still be read with it
	dp_reclaim(&filter->reclaim, filter_release);
	return 0;
}

struct dp_filter *dp_filter_get(uint64_t name) {
	struct dp_filter *filter = *place_of(name);

	if (filter != NULL)
		filter->refs++;
	return filter;
}

void dp_filter_put(struct dp_filter *filter) {
	if (filter != NULL)
		filter->refs--;
}

unsigned dp_filter_names(uint64_t *names, unsigned max) {
	unsigned n = 0;

	for (unsigned i = 0; i < BUCKETS && n < max; i++)
		for (const struct dp_filter *f = buckets[i]; f != NULL && n < max; f = f->next)
			names[n++] = f->name;
	return n;
}

void dp_filters_fini(void) {
	for (unsigned i = 0; i < BUCKETS; i++) {
		while (buckets[i] != NULL) {
			struct dp_filter *filter = buckets[i];

			buckets[i] = filter->next;
			filter_rules_free(&filter->rules);
			free(filter);
		}
	}
	nb_filters = nb_rules = 0;
	coming_drop();
}
