// SPDX-License-Identifier: GPL-3.0-or-later
// What the files of the configuration loader share: the list of errors and the steps of loading.
#pragma once

#include <jansson.h>
#include <libyang/libyang.h>

#include "yang/config.h"

#define CFG_BYTES_MAX (1u << 20)
#define CFG_ERRORS_MAX 50u // lines shown

// Lines of error text, collected by every step.
struct errors {
	char *text; // malloc'ed, NULL: none
	size_t len;
	unsigned count;
	bool oom;
};

void errors_add(struct errors *errors, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

// Compares the JSON with the schema: unknown settings, wrong types and values, missing ones.
void cfg_check(struct errors *errors, const struct ly_ctx *ctx, const struct lys_module *module,
	const json_t *json);

// Makes a struct cfg of the data tree, which holds the defaults. NULL: out of memory.
struct cfg *cfg_build(const struct lyd_node *penstock);

// The rules that YANG cannot say.
void cfg_cross_check(struct errors *errors, const struct cfg *cfg);
void cfg_cross_check_access(struct errors *errors, const struct cfg *cfg);
void cfg_cross_check_settings(struct errors *errors, const struct cfg *cfg);

// Helpers on addresses. Bit 0 is the first one on the wire.
unsigned addr_bits(const struct cfg_addr *addr); // 32, 128 or 0
unsigned addr_len(const struct cfg_addr *addr); // bytes: 4, 16 or 0
bool addr_equal(const struct cfg_addr *a, const struct cfg_addr *b);
bool addr_in(const struct cfg_addr *addr, const struct cfg_prefix *prefix);
bool prefix_overlap(const struct cfg_prefix *a, const struct cfg_prefix *b);
// Text in one of 4 rotating buffers.
const char *addr_text(const struct cfg_addr *addr);
const char *prefix_text(const struct cfg_prefix *prefix);
