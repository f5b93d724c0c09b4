// SPDX-License-Identifier: GPL-3.0-or-later
// Reading values out of libyang's data tree; shared by the files that build a struct cfg.
#pragma once

#include "yang/config_priv.h"

// `oom` stays set once an allocation has failed: the result is then thrown away as a whole.
struct build {
	bool oom;
};

const struct lyd_node *tree_child(const struct lyd_node *parent, const char *name);
// The next entry of the same list or leaf-list.
const struct lyd_node *tree_next(const struct lyd_node *node);

// Values of a leaf below `parent`: empty, 0 or false when it is not there.
const char *tree_text(const struct lyd_node *parent, const char *name);
uint32_t tree_number(const struct lyd_node *parent, const char *name);
bool tree_bool(const struct lyd_node *parent, const char *name);
// The place of the value in `names`; the first one when it is not there.
unsigned tree_choice(const struct lyd_node *parent, const char *name, const char *const *names);

// Malloc'ed copies, freed by cfg_free().
char *build_copy(struct build *build, const char *value);
char *build_string(struct build *build, const struct lyd_node *parent, const char *name);
// Zeroed entries for a list; *n is 0 when there are none.
void *build_entries(struct build *build, const struct lyd_node *first, size_t *n, size_t size);
void build_strings(struct build *build, const struct lyd_node *parent, const char *name,
	char ***list, size_t *n);
void build_strings_free(char **list, size_t n);

// Family 0 when it is no address.
void build_addr(const char *value, struct cfg_addr *addr);
// Family 0 when it is no prefix, which cfg_cross_check() reports.
void build_prefix(const char *value, struct cfg_prefix *prefix);
void build_addresses(struct build *build, const struct lyd_node *parent, const char *name,
	struct cfg_addr **list, size_t *n);
void build_prefixes(struct build *build, const struct lyd_node *parent, const char *name,
	struct cfg_prefix **list, size_t *n);

// config_settings.c: what sessions get.
void build_network(struct build *build, const struct lyd_node *node, struct cfg_network *net);
void build_network_free(struct cfg_network *net);
void build_settings(
	struct build *build, const struct lyd_node *node, struct cfg_settings *settings);
void build_settings_free(struct cfg_settings *settings);
void build_filters(struct build *build, const struct lyd_node *node, struct cfg *cfg);
void build_filters_free(struct cfg *cfg);

// config_access.c: users and logins.
void build_access(struct build *build, const struct lyd_node *top, struct cfg *cfg);
void build_access_free(struct cfg *cfg);
