// SPDX-License-Identifier: GPL-3.0-or-later
// Filters in the dataplane: where sessions may reach. Called by connect.c, reconcile.c, sessions.c.
//
// A filter is named by a digest of its rules, so sessions with the same rules share one, and after a
// restart, of ours or of the dataplane, the name says whether what is there is what is wanted: the
// rules themselves are made of the settings whenever they are needed, and never kept.
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <wolfssl/options.h>
#include <wolfssl/wolfcrypt/sha256.h>

#include "controlplane/proc/log.h"
#include "controlplane/session/sessions.h"
#include "dataplane/abi/addr.h"

struct filter {
	LIST_ENTRY(filter) link;
	struct session_mgr *mgr;
	uint64_t name;
	uint32_t refs; // sessions that have it, as far as we know
	bool installed; // all of it was sent, and none refused
};

LIST_HEAD(filter_list, filter);

#define BUCKETS 256u
#define NO_FILTER UINT64_MAX // a name that is never installed: the command is refused

struct filters {
	struct filter_list bucket[BUCKETS];
	struct abi_filter_rule rules[ABI_FILTER_RULES_MAX]; // of the session at hand
	unsigned nb;
	uint32_t flags;
	bool full; // more than the dataplane takes
};

static struct filter_list *bucket_of(struct filters *filters, uint64_t name) {
	return &filters->bucket[name % BUCKETS];
}

static struct filter *filter_find(struct filters *filters, uint64_t name) {
	struct filter *filter;

	LIST_FOREACH(filter, bucket_of(filters, name), link) {
		if (filter->name == name)
			return filter;
	}
	return NULL;
}

static struct filter *filter_new(struct session_mgr *mgr, uint64_t name) {
	struct filter *filter = calloc(1, sizeof(*filter));

	if (!filter)
		return NULL;
	filter->mgr = mgr;
	filter->name = name;
	LIST_INSERT_HEAD(bucket_of(mgr->filters, name), filter, link);
	return filter;
}

// --- the rules ---

static struct abi_filter_rule *rule_add(struct filters *filters, enum abi_filter_kind kind) {
	static struct abi_filter_rule nowhere;

	if (filters->nb == ABI_FILTER_RULES_MAX) {
		filters->full = true;
		return &nowhere;
	}
	filters->rules[filters->nb] = (struct abi_filter_rule){.kind = (uint8_t)kind};
	return &filters->rules[filters->nb++];
}

static void add_prefixes(struct filters *filters, enum abi_filter_kind kind,
	const struct cfg_prefix *prefix, size_t nb) {
	for (size_t i = 0; i < nb; i++) {
		struct abi_filter_rule *rule = rule_add(filters, kind);

		rule->addr = settings_addr(&prefix[i].addr);
		rule->len = prefix[i].len;
	}
}

static void add_services(struct filters *filters, const struct cfg_reach *reach) {
	static const uint8_t numbers[CFG_PROTOCOL_MAX] = {
		[CFG_PROTOCOL_TCP] = 6,
		[CFG_PROTOCOL_UDP] = 17,
		[CFG_PROTOCOL_SCTP] = 132,
		[CFG_PROTOCOL_ICMP] = 1,
		[CFG_PROTOCOL_ICMPV6] = 58,
		[CFG_PROTOCOL_ESP] = 50,
	};

	for (size_t i = 0; i < reach->nb_services; i++) {
		const struct cfg_service *service = &reach->services[i];
		struct abi_filter_rule *rule = rule_add(filters, ABI_FILTER_SERVICE);

		rule->protocol = numbers[service->protocol];
		rule->low = service->low;
		rule->high = service->high;
	}
}

static void rules_make(struct filters *filters, const struct cfg_network *network) {
	const struct cfg_reach *reach = &network->reach;

	filters->nb = 0;
	filters->flags = 0;
	filters->full = false;
	if (reach->to_routes) {
		filters->flags |= ABI_FILTER_ROUTES;
		add_prefixes(filters, ABI_FILTER_ROUTE, network->split_include,
			network->nb_split_include);
		add_prefixes(filters, ABI_FILTER_EXCLUDE, network->split_exclude,
			network->nb_split_exclude);
	}
	if (reach->mode != CFG_REACH_ALL) {
		filters->flags |= reach->mode == CFG_REACH_ALLOW ? ABI_FILTER_ALLOW
								 : ABI_FILTER_DENY;
		add_services(filters, reach);
	}
	if (!filters->flags)
		return;
	for (size_t i = 0; i < network->nb_dns; i++)
		rule_add(filters, ABI_FILTER_DNS)->addr = settings_addr(&network->dns[i]);
}

// 0 is no name. What two digests have in common by chance is of no use to anybody: an operator
// writes both.
static uint64_t rules_name(const struct filters *filters) {
	uint8_t digest[WC_SHA256_DIGEST_SIZE];
	uint64_t name = NO_FILTER;
	wc_Sha256 sha;

	if (wc_InitSha256(&sha) != 0)
		return NO_FILTER;
	if (wc_Sha256Update(&sha, (const byte *)&filters->flags, sizeof(filters->flags)) == 0 &&
		wc_Sha256Update(&sha, (const byte *)filters->rules,
			(word32)(filters->nb * sizeof(*filters->rules))) == 0 &&
		wc_Sha256Final(&sha, digest) == 0)
		memcpy(&name, digest, sizeof(name));
	wc_Sha256Free(&sha);
	return name ? name : 1;
}

// --- into the dataplane ---

struct filter_step {
	struct session_mgr *mgr;
	uint64_t name;
};

static void added(int status, void *arg) {
	struct filter_step *step = arg;
	struct filter *filter = filter_find(step->mgr->filters, step->name);

	free(step);
	if (status == 0 || !filter)
		return;
	filter->installed = false; // sessions that want it are refused: tried again with the next
	if (status != -ECONNRESET)
		log_error("filter_refused", "filter=%016llx status=%d",
			(unsigned long long)filter->name, status);
}

static int send_part(struct session_mgr *mgr, const struct filter *filter, unsigned first) {
	struct filters *filters = mgr->filters;
	struct abi_cmd cmd = {.type = ABI_CMD_FILTER_ADD};
	struct filter_step *step = malloc(sizeof(*step));
	unsigned nb = filters->nb - first;
	int ret = -ENOBUFS;

	if (nb > ABI_FILTER_PART)
		nb = ABI_FILTER_PART;
	cmd.filter_add.filter = filter->name;
	cmd.filter_add.flags = filters->flags;
	cmd.filter_add.total = (uint16_t)filters->nb;
	cmd.filter_add.first = (uint16_t)first;
	cmd.filter_add.nb = (uint16_t)nb;
	memcpy(cmd.filter_add.rule, filters->rules + first, nb * sizeof(*filters->rules));
	if (step) {
		*step = (struct filter_step){mgr, filter->name};
		ret = dplane_command(mgr->dplane, &cmd, added, step);
	}
	if (ret != 0)
		free(step);
	return ret;
}

static void install(struct session_mgr *mgr, struct filter *filter) {
	unsigned first = 0;
	int ret;

	do {
		ret = send_part(mgr, filter, first);
		first += ABI_FILTER_PART;
	} while (ret == 0 && first < mgr->filters->nb);
	filter->installed = ret == 0;
	if (ret != 0)
		log_error("filter_refused", "filter=%016llx status=%d",
			(unsigned long long)filter->name, ret);
}

// --- sessions ---

static void hold(struct session *session, struct filter *filter) {
	filters_release(session);
	session->filter = filter;
	filter->refs++;
}

uint64_t filters_use(
	struct session_mgr *mgr, struct session *session, const struct cfg_network *network) {
	struct filters *filters = mgr->filters;
	struct filter *filter;
	uint64_t name;

	rules_make(filters, network);
	if (!filters->flags) {
		filters_release(session);
		return 0;
	}
	name = filters->full ? NO_FILTER : rules_name(filters);
	filter = name != NO_FILTER ? filter_find(filters, name) : NULL;
	if (!filter && name != NO_FILTER)
		filter = filter_new(mgr, name);
	if (!filter) {
		log_error("filter_refused", "session=%u user=%s text=%s", session->sid.index,
			log_value(session->str[STR_USER]),
			filters->full ? "\"more routes and ports than a filter can have\""
				      : "\"no memory\"");
		return NO_FILTER;
	}
	if (!filter->installed)
		install(mgr, filter);
	hold(session, filter);
	return name;
}

void filters_release(struct session *session) {
	if (session->filter)
		session->filter->refs--; // the tick removes it
	session->filter = NULL;
}

// --- what the dataplane says ---

void filters_seen(struct session_mgr *mgr, uint64_t name) {
	struct filter *filter = filter_find(mgr->filters, name);

	if (!filter)
		filter = filter_new(mgr, name);
	if (filter)
		filter->installed = true;
}

void filters_adopt(struct session_mgr *mgr, struct session *session, uint64_t name) {
	struct filter *filter = name ? filter_find(mgr->filters, name) : NULL;

	if (filter)
		hold(session, filter);
}

void filters_lost(struct session_mgr *mgr) {
	struct filter *filter;

	for (unsigned i = 0; i < BUCKETS; i++) {
		LIST_FOREACH(filter, &mgr->filters->bucket[i], link)
			filter->installed = false;
	}
}

// --- the end of filters ---

static void filter_remove(struct session_mgr *mgr, struct filter *filter) {
	struct abi_cmd cmd = {.type = ABI_CMD_FILTER_DEL, .filter_del = {.filter = filter->name}};

	// Behind the commands of the sessions that had it. What goes wrong shows at the next dump.
	if (filter->installed && dplane_command(mgr->dplane, &cmd, NULL, NULL) != 0)
		return;
	LIST_REMOVE(filter, link);
	free(filter);
}

void filters_tick(struct session_mgr *mgr) {
	// After a start or a reload it is not known yet who wants which.
	if (!mgr->reconciled || mgr->sweep < mgr->index_end)
		return;
	for (unsigned i = 0; i < BUCKETS; i++) {
		struct filter *filter = LIST_FIRST(&mgr->filters->bucket[i]), *next;

		for (; filter; filter = next) {
			next = LIST_NEXT(filter, link);
			if (filter->refs == 0)
				filter_remove(mgr, filter);
		}
	}
}

struct filters *filters_new(void) {
	return calloc(1, sizeof(struct filters));
}

void filters_free(struct filters *filters) {
	for (unsigned i = 0; filters && i < BUCKETS; i++) {
		while (!LIST_EMPTY(&filters->bucket[i])) {
			struct filter *filter = LIST_FIRST(&filters->bucket[i]);

			LIST_REMOVE(filter, link);
			free(filter);
		}
	}
	free(filters);
}
