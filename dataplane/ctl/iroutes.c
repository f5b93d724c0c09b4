// SPDX-License-Identifier: GPL-3.0-or-later
// Sets and removes networks behind clients. Called by dispatch.c, events.c and dump.c.
#include "dataplane/ctl/iroutes.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "dataplane/abi/addr.h"
#include "dataplane/ctl/netlink.h"
#include "dataplane/l3.h"
#include "dataplane/table/fib.h"
#include "dataplane/table/session.h"

struct iroutes {
	struct abi_sid sid;
	unsigned nb;
	struct abi_prefix prefix[ABI_IROUTES_MAX];
};

static struct iroutes **installed; // by session index
static uint32_t nb_installed;

static struct iroutes *iroutes_of(struct abi_sid sid) {
	struct iroutes *iroutes = installed != NULL && sid.index < nb_installed
		? installed[sid.index]
		: NULL;

	return iroutes != NULL && iroutes->sid.generation == sid.generation ? iroutes : NULL;
}

static struct iroutes *iroutes_make(struct abi_sid sid) {
	if (installed == NULL) {
		installed = calloc(dp_session_max(), sizeof(struct iroutes *));
		nb_installed = installed != NULL ? dp_session_max() : 0;
	}
	if (installed == NULL)
		return NULL;
	if (installed[sid.index] == NULL) {
		installed[sid.index] = calloc(1, sizeof(struct iroutes));
		if (installed[sid.index] != NULL)
			installed[sid.index]->sid = sid;
	}
	return installed[sid.index];
}

static const uint8_t *bytes_of(const struct abi_prefix *prefix) {
	return prefix->addr.bytes + (abi_addr_is4(&prefix->addr) ? 12 : 0);
}

static struct dp_route_spec spec_of(const struct abi_prefix *prefix, struct abi_sid sid) {
	return (struct dp_route_spec){
		.side = DP_FIB_LAN,
		.type = DP_ROUTE_SESSION,
		.port = DP_ROUTE_NO_PORT,
		.v6 = !abi_addr_is4(&prefix->addr),
		.len = prefix->len,
		.prefix = bytes_of(prefix),
		.sid = sid,
	};
}

static bool same(const struct abi_prefix *a, const struct abi_prefix *b) {
	return a->len == b->len && memcmp(&a->addr, &b->addr, sizeof(a->addr)) == 0;
}

static bool listed(const struct abi_prefix *prefix, const struct abi_prefix *list, unsigned nb) {
	for (unsigned i = 0; i < nb; i++)
		if (same(prefix, &list[i]))
			return true;
	return false;
}

static void remove_one(struct iroutes *iroutes, unsigned i) {
	struct dp_route_spec spec = spec_of(&iroutes->prefix[i], iroutes->sid);

	dp_netlink_iroute(&iroutes->prefix[i], false);
	dp_fib_del(&spec);
	iroutes->prefix[i] = iroutes->prefix[--iroutes->nb];
}

static int add_one(struct iroutes *iroutes, const struct abi_prefix *prefix) {
	struct dp_route_spec spec = spec_of(prefix, iroutes->sid);
	int ret;

	if (dp_l3_meets_pool(spec.v6, spec.prefix, spec.len))
		return -EINVAL;
	if (dp_fib_has_session(&spec))
		return -EADDRINUSE;
	ret = dp_fib_add(&spec);
	if (ret != 0)
		return ret;
	iroutes->prefix[iroutes->nb++] = *prefix;
	dp_netlink_iroute(prefix, true);
	return 0;
}

int ctl_iroutes_set(const struct abi_cmd *cmd) {
	const struct abi_cmd_iroutes_set *set = &cmd->iroutes_set;
	struct dp_session *session = dp_session_get(cmd->sid);
	struct iroutes *iroutes = iroutes_of(cmd->sid);
	int ret = 0;

	if (session == NULL)
		return -ESTALE;
	if (iroutes == NULL && set->nb > 0)
		iroutes = iroutes_make(cmd->sid);
	if (iroutes == NULL)
		return set->nb > 0 ? -ENOMEM : 0;
	for (unsigned i = iroutes->nb; i-- > 0;)
		if (!listed(&iroutes->prefix[i], set->prefix, set->nb))
			remove_one(iroutes, i);
	for (unsigned i = 0; i < set->nb; i++) {
		int one = listed(&set->prefix[i], iroutes->prefix, iroutes->nb)
			? 0
			: add_one(iroutes, &set->prefix[i]);

		ret = ret != 0 ? ret : one;
	}
	atomic_store_explicit(&session->routed, iroutes->nb > 0, memory_order_release);
	return ret;
}

void ctl_iroutes_clear(struct abi_sid sid) {
	struct iroutes *iroutes = iroutes_of(sid);

	if (iroutes == NULL)
		return;
	while (iroutes->nb > 0)
		remove_one(iroutes, iroutes->nb - 1);
	free(iroutes);
	installed[sid.index] = NULL;
}

unsigned ctl_iroutes_count(struct abi_sid sid) {
	const struct iroutes *iroutes = iroutes_of(sid);

	return iroutes != NULL ? iroutes->nb : 0;
}

void ctl_iroutes_fini(void) {
	for (uint32_t i = 0; i < nb_installed; i++)
		free(installed[i]);
	free(installed);
	installed = NULL;
	nb_installed = 0;
}
