// SPDX-License-Identifier: GPL-3.0-or-later
// Looks up what a configuration says of a server name, a group, a user, a filter or a factor. Called by
// auth, session, edge, radius.

#include <stdlib.h>
#include <string.h>

#include "yang/config.h"
#include "yang/server_name.h"

static bool vhost_has(const struct cfg_vhost *vhost, const char *name, bool wildcard) {
	for (size_t i = 0; i < vhost->nb_server_names; i++) {
		if (server_name_is_wildcard(vhost->server_names[i]) == wildcard &&
			server_name_matches(vhost->server_names[i], name))
			return true;
	}
	return false;
}

const struct cfg_vhost *cfg_vhost_find(const struct cfg *cfg, const char *server_name) {
	if (server_name == NULL || server_name[0] == '\0')
		return NULL;
	for (int wildcard = 0; wildcard <= 1; wildcard++) {
		for (size_t i = 0; i < cfg->nb_vhosts; i++) {
			if (vhost_has(&cfg->vhosts[i], server_name, wildcard))
				return &cfg->vhosts[i];
		}
	}
	return NULL;
}

const struct cfg_group *cfg_group_find(const struct cfg *cfg, const char *name) {
	for (size_t i = 0; i < cfg->nb_groups; i++) {
		if (strcmp(cfg->groups[i].name, name) == 0)
			return &cfg->groups[i];
	}
	return NULL;
}

const struct cfg_filter *cfg_filter_find(const struct cfg *cfg, const char *name) {
	for (size_t i = 0; i < cfg->nb_filters; i++) {
		if (strcmp(cfg->filters[i].name, name) == 0)
			return &cfg->filters[i];
	}
	return NULL;
}

void cfg_name_fold(const struct cfg *cfg, char *name) {
	if (!cfg->auth.lower_names)
		return;
	for (; *name != '\0'; name++)
		if (*name >= 'A' && *name <= 'Z')
			*name += 'a' - 'A';
}

static int name_compare(const void *name, const void *user) {
	return strcmp(name, ((const struct cfg_user *)user)->name);
}

const struct cfg_user *cfg_user_find(const struct cfg *cfg, const char *name) {
	if (cfg->nb_users == 0)
		return NULL;
	return bsearch(name, cfg->users, cfg->nb_users, sizeof(*cfg->users), name_compare);
}

bool cfg_has_factor(const struct cfg_alternative *alternative, enum cfg_factor factor) {
	for (size_t i = 0; i < alternative->nb_factors; i++) {
		if (alternative->factors[i] == factor)
			return true;
	}
	return false;
}

const struct cfg_alternative *cfg_alternatives(
	const struct cfg *cfg, const struct cfg_vhost *vhost, size_t *n) {
	if (vhost != NULL && vhost->nb_alternatives > 0) {
		*n = vhost->nb_alternatives;
		return vhost->alternatives;
	}
	*n = cfg->auth.nb_alternatives;
	return cfg->auth.alternatives;
}

static size_t count_with(const struct cfg_alternative *list, size_t n, enum cfg_factor factor) {
	size_t count = 0;

	for (size_t i = 0; i < n; i++)
		count += cfg_has_factor(&list[i], factor);
	return count;
}

bool cfg_vhost_has_factor(
	const struct cfg *cfg, const char *server_name, enum cfg_factor factor, bool all) {
	size_t n, count;
	const struct cfg_alternative *list;

	list = cfg_alternatives(cfg, cfg_vhost_find(cfg, server_name), &n);
	count = count_with(list, n, factor);
	return all ? count == n : count > 0;
}

bool cfg_uses_factor(const struct cfg *cfg, enum cfg_factor factor) {
	size_t count = count_with(cfg->auth.alternatives, cfg->auth.nb_alternatives, factor);

	for (size_t i = 0; i < cfg->nb_vhosts; i++)
		count += count_with(
			cfg->vhosts[i].alternatives, cfg->vhosts[i].nb_alternatives, factor);
	return count > 0;
}
