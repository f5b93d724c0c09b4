// SPDX-License-Identifier: GPL-3.0-or-later
// Our own addresses by port: each change publishes a new list. Called by netlink.
#include "dataplane/table/local.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>

#include "dataplane/proto/ip.h"
#include "dataplane/table/fib.h"

struct dp_locals *_Atomic dp_locals[ABI_PORTS_MAX];

static void locals_free(struct dp_reclaim *reclaim) {
	free((char *)reclaim - offsetof(struct dp_locals, reclaim));
}

static void publish(uint8_t port, struct dp_locals *new) {
	struct dp_locals *old = atomic_exchange(&dp_locals[port], new);

	if (old != NULL)
		dp_reclaim(&old->reclaim, locals_free);
}

static struct dp_locals *copy(uint8_t port) {
	struct dp_locals *old = atomic_load(&dp_locals[port]), *new = calloc(1, sizeof(*new));

	if (new != NULL && old != NULL) {
		new->n = old->n;
		memcpy(new->addr, old->addr, sizeof(new->addr));
	}
	return new;
}

bool dp_local_first(uint8_t port, bool v6, struct abi_addr *out) {
	const struct dp_locals *l = atomic_load_explicit(&dp_locals[port], memory_order_acquire);

	for (uint32_t i = 0; l != NULL && i < l->n; i++) {
		const uint8_t *bytes = l->addr[i].bytes;

		if (dp_addr_is4(&l->addr[i]) == v6 ||
			!ip_is_forwardable(bytes + (v6 ? 0 : 12), v6 ? 6 : 4))
			continue;
		*out = l->addr[i];
		return true;
	}
	return false;
}

int dp_local_add(uint8_t port, const struct abi_addr *addr) {
	struct dp_locals *new;

	if (dp_local_has(port, addr))
		return 0;
	new = copy(port);
	if (new == NULL)
		return -ENOMEM;
	if (new->n == DP_LOCALS_MAX) {
		free(new);
		return -ENOSPC;
	}
	new->addr[new->n++] = *addr;
	publish(port, new);
	return 0;
}

int dp_local_del(uint8_t port, const struct abi_addr *addr) {
	struct dp_locals *new;

	if (!dp_local_has(port, addr))
		return 0;
	new = copy(port);
	if (new == NULL)
		return -ENOMEM;
	for (uint32_t i = 0; i < new->n; i++) {
		if (memcmp(&new->addr[i], addr, sizeof(*addr)) == 0) {
			memmove(&new->addr[i], &new->addr[i + 1], (new->n - i - 1) * sizeof(*addr));
			new->n--;
			break;
		}
	}
	publish(port, new);
	return 0;
}

int dp_local_replace(uint8_t port, const struct abi_addr *addrs, uint32_t n) {
	struct dp_locals *new = calloc(1, sizeof(*new));

	if (new == NULL)
		return -ENOMEM;
	new->n = n;
	memcpy(new->addr, addrs, n * sizeof(*addrs));
	publish(port, new);
	return 0;
}

void dp_local_fini(void) {
	for (unsigned i = 0; i < ABI_PORTS_MAX; i++)
		free(atomic_exchange(&dp_locals[i], NULL));
}
