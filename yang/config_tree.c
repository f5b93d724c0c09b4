// SPDX-License-Identifier: GPL-3.0-or-later
// Reads values out of libyang's data tree. Called by the files that build a struct cfg.

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

#include "yang/config_tree.h"

// ---- the data tree

const struct lyd_node *tree_child(const struct lyd_node *parent, const char *name) {
	const struct lyd_node *node = parent != NULL ? lyd_child(parent) : NULL;
	while (node != NULL && strcmp(LYD_NAME(node), name) != 0)
		node = node->next;
	return node;
}

// Entries are neighbours.
const struct lyd_node *tree_next(const struct lyd_node *node) {
	return node->next != NULL && node->next->schema == node->schema ? node->next : NULL;
}

static size_t tree_count(const struct lyd_node *node) {
	size_t n = 0;
	for (; node != NULL; node = tree_next(node))
		n++;
	return n;
}

const char *tree_text(const struct lyd_node *parent, const char *name) {
	const struct lyd_node *node = tree_child(parent, name);
	const char *value = node != NULL ? lyd_get_value(node) : NULL;
	return value != NULL ? value : "";
}

uint32_t tree_number(const struct lyd_node *parent, const char *name) {
	return (uint32_t)strtoul(tree_text(parent, name), NULL, 10);
}

bool tree_bool(const struct lyd_node *parent, const char *name) {
	return strcmp(tree_text(parent, name), "true") == 0;
}

unsigned tree_choice(const struct lyd_node *parent, const char *name, const char *const *names) {
	const char *value = tree_text(parent, name);
	for (unsigned i = 0; names[i] != NULL; i++) {
		if (strcmp(names[i], value) == 0)
			return i;
	}
	return 0;
}

char *build_copy(struct build *build, const char *value) {
	char *dup = strdup(value);
	if (dup == NULL)
		build->oom = true;
	return dup;
}

char *build_string(struct build *build, const struct lyd_node *parent, const char *name) {
	return build_copy(build, tree_text(parent, name));
}

void *build_entries(struct build *build, const struct lyd_node *first, size_t *n, size_t size) {
	void *list;
	*n = tree_count(first);
	if (*n == 0)
		return NULL;
	list = calloc(*n, size);
	if (list == NULL) {
		build->oom = true;
		*n = 0;
	}
	return list;
}

void build_strings(struct build *build, const struct lyd_node *parent, const char *name,
	char ***list, size_t *n) {
	const struct lyd_node *node = tree_child(parent, name);
	*list = build_entries(build, node, n, sizeof(**list));
	for (size_t i = 0; i < *n; i++, node = tree_next(node))
		(*list)[i] = build_copy(build, lyd_get_value(node));
}

// ---- addresses

void build_addr(const char *value, struct cfg_addr *addr) {
	memset(addr, 0, sizeof(*addr));
	if (inet_pton(AF_INET, value, addr->bytes) == 1)
		addr->family = AF_INET;
	else if (inet_pton(AF_INET6, value, addr->bytes) == 1)
		addr->family = AF_INET6;
}

void build_prefix(const char *value, struct cfg_prefix *prefix) {
	char host[INET6_ADDRSTRLEN];
	const char *slash = strchr(value, '/');
	memset(prefix, 0, sizeof(*prefix));
	if (slash == NULL || (size_t)(slash - value) >= sizeof(host))
		return;
	memcpy(host, value, slash - value);
	host[slash - value] = '\0';
	build_addr(host, &prefix->addr);
	unsigned long len = strtoul(slash + 1, NULL, 10);
	if (len > addr_bits(&prefix->addr))
		memset(prefix, 0, sizeof(*prefix));
	else
		prefix->len = (uint8_t)len;
}

void build_addresses(struct build *build, const struct lyd_node *parent, const char *name,
	struct cfg_addr **list, size_t *n) {
	const struct lyd_node *node = tree_child(parent, name);
	*list = build_entries(build, node, n, sizeof(**list));
	for (size_t i = 0; i < *n; i++, node = tree_next(node))
		build_addr(lyd_get_value(node), &(*list)[i]);
}

void build_prefixes(struct build *build, const struct lyd_node *parent, const char *name,
	struct cfg_prefix **list, size_t *n) {
	const struct lyd_node *node = tree_child(parent, name);
	*list = build_entries(build, node, n, sizeof(**list));
	for (size_t i = 0; i < *n; i++, node = tree_next(node))
		build_prefix(lyd_get_value(node), &(*list)[i]);
}

void build_strings_free(char **list, size_t n) {
	for (size_t i = 0; i < n; i++)
		free(list[i]);
	free(list);
}
