// SPDX-License-Identifier: GPL-3.0-or-later
// Compares the JSON of the configuration with the schema and says everything that is wrong at once.
//
// libyang stops at the first error; this walk finds unknown settings, wrong values and missing
// ones with their paths and what was expected. What passes it goes through libyang all the same.

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "yang/config_priv.h"

#define PATH_MAX_LEN 512
#define SHOWN_MAX 80 // bytes of a wrong value that are shown
#define EXPECTED_MAX 1024

struct walk {
	struct errors *errors;
	const struct ly_ctx *ctx;
};

// Paths are for people: one that is too long is cut.
__attribute__((format(printf, 3, 4))) static void path_set(
	char *path, size_t size, const char *fmt, ...) {
	va_list args;
	va_start(args, fmt);
	vsnprintf(path, size, fmt, args);
	va_end(args);
}

// ---- what was expected

// Types of other modules and unions, which carry no error message of their own.
static const struct {
	const char *type, *text;
} type_texts[] = {
	{"inet:ip-address-no-zone", "an IPv4 or IPv6 address"},
	{"inet:ipv4-address-no-zone", "an IPv4 address"},
	{"inet:ipv6-address-no-zone", "an IPv6 address"},
	{"inet:ip-prefix", "an IPv4 or IPv6 network with its prefix length"},
	{"inet:ipv4-prefix", "an IPv4 network with its prefix length, such as 10.0.0.0/16"},
	{"pst:dscp", "a number from 0 to 63, or \"copy\""},
	{"pst:port-range", "a port from 1 to 65535, or a range such as \"8000-8099\""},
	{"inet:ipv6-prefix", "an IPv6 network with its prefix length, such as 2001:db8::/64"},
};

static void range_text(char *text, size_t size, const struct lysc_range *range) {
	size_t len = strlen(text);
	LY_ARRAY_COUNT_TYPE i;
	LY_ARRAY_FOR(range->parts, i) {
		const char *sep = i > 0 ? " or " : "";
		const struct lysc_range_part *part = &range->parts[i];
		if (part->min_u64 == part->max_u64)
			len += snprintf(text + len, size - len, "%s%" PRIu64, sep, part->min_u64);
		else
			len += snprintf(text + len, size - len, "%s%" PRIu64 "..%" PRIu64, sep,
				part->min_u64, part->max_u64);
		if (len >= size)
			return;
	}
}

static void enum_text(char *text, size_t size, const struct lysc_type_enum *type) {
	size_t len = 0;
	LY_ARRAY_COUNT_TYPE i;
	LY_ARRAY_FOR(type->enums, i) {
		const char *sep = i == 0 ? "one of " : ", ";
		len += snprintf(text + len, size - len, "%s%s", sep, type->enums[i].name);
		if (len >= size)
			return;
	}
}

// The name of the type as the model writes it (LY_CTX_SET_PRIV_PARSED).
static const char *type_name(const struct lysc_node *node) {
	const struct lysp_node *parsed = node->priv;
	if (parsed != NULL && parsed->nodetype == LYS_LEAF)
		return ((const struct lysp_node_leaf *)parsed)->type.name;
	if (parsed != NULL && parsed->nodetype == LYS_LEAFLIST)
		return ((const struct lysp_node_leaflist *)parsed)->type.name;
	return "";
}

static void string_text(char *text, size_t size, const struct lysc_node *node) {
	const struct lysc_type_str *type =
		(const struct lysc_type_str *)((const struct lysc_node_leaf *)node)->type;
	const char *what = "text";
	for (size_t i = 0; i < sizeof(type_texts) / sizeof(*type_texts); i++) {
		if (strcmp(type_texts[i].type, type_name(node)) == 0) {
			snprintf(text, size, "%s", type_texts[i].text);
			return;
		}
	}
	if (type->basetype != LY_TYPE_STRING) {
		snprintf(text, size, "a value of type %s", type_name(node));
		return;
	}
	LY_ARRAY_COUNT_TYPE i;
	LY_ARRAY_FOR(type->patterns, i) {
		if (type->patterns[i]->emsg != NULL)
			what = type->patterns[i]->emsg;
	}
	snprintf(text, size, "%s", what);
	if (type->length != NULL) {
		strncat(text, " of ", size - strlen(text) - 1);
		range_text(text, size, type->length);
		strncat(text, " characters", size - strlen(text) - 1);
	}
}

static void expected_text(char *text, size_t size, const struct lysc_node *node) {
	const struct lysc_node_leaf *leaf = (const struct lysc_node_leaf *)node;
	text[0] = '\0';
	switch (leaf->type->basetype) {
	case LY_TYPE_BOOL:
		snprintf(text, size, "true or false");
		break;
	case LY_TYPE_ENUM:
		enum_text(text, size, (const struct lysc_type_enum *)leaf->type);
		break;
	case LY_TYPE_UINT8:
	case LY_TYPE_UINT16:
	case LY_TYPE_UINT32:
		snprintf(text, size, "a number ");
		if (((const struct lysc_type_num *)leaf->type)->range != NULL)
			range_text(text, size, ((const struct lysc_type_num *)leaf->type)->range);
		else
			snprintf(text, size, "a number of type %s", type_name(node));
		if (leaf->units != NULL) {
			strncat(text, " ", size - strlen(text) - 1);
			strncat(text, leaf->units, size - strlen(text) - 1);
		}
		break;
	default:
		string_text(text, size, node);
		break;
	}
}

static void names_text(char *text, size_t size, const struct lysc_node *parent) {
	const struct lysc_node *child = NULL;
	size_t len = 0;
	text[0] = '\0';
	while ((child = lys_getnext(child, parent, NULL, 0)) != NULL && len < size)
		len += snprintf(text + len, size - len, "%s%s", len > 0 ? ", " : "", child->name);
}

// ---- values

static void shown(const json_t *value, char *text, size_t size) {
	char *dump = json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT);
	int len = dump != NULL ? (int)strlen(dump) : 0;
	if (len > SHOWN_MAX) {
		// Not in the middle of a UTF-8 sequence.
		for (len = SHOWN_MAX; len > 0 && (dump[len] & 0xc0) == 0x80; len--)
			;
		snprintf(text, size, "%.*s...", len, dump);
	} else {
		snprintf(text, size, "%s", dump != NULL ? dump : "?");
	}
	free(dump);
}

static void wrong(struct walk *walk, const char *path, const json_t *value, const char *expected) {
	char text[SHOWN_MAX + 8];
	shown(value, text, sizeof(text));
	errors_add(walk->errors, "%s: wrong value: %s, expected %s", path, text, expected);
}

// The lexical form of a JSON value of the right JSON type (RFC 7951, section 6); NULL: not right.
static const char *lexical(
	const struct lysc_type *type, const json_t *value, char *number, size_t size) {
	switch (type->basetype) {
	case LY_TYPE_BOOL:
		return json_is_boolean(value) ? (json_is_true(value) ? "true" : "false") : NULL;
	case LY_TYPE_UINT8:
	case LY_TYPE_UINT16:
	case LY_TYPE_UINT32:
		if (!json_is_integer(value))
			return NULL;
		snprintf(number, size, "%" JSON_INTEGER_FORMAT, json_integer_value(value));
		return number;
	case LY_TYPE_UNION: // of numbers and strings: libyang tries one after the other
		if (json_is_integer(value)) {
			snprintf(number, size, "%" JSON_INTEGER_FORMAT, json_integer_value(value));
			return number;
		}
		return json_string_value(value);
	default:
		return json_string_value(value);
	}
}

static void check_leaf(
	struct walk *walk, const struct lysc_node *node, const json_t *value, const char *path) {
	const struct lysc_node_leaf *leaf = (const struct lysc_node_leaf *)node;
	char expected[EXPECTED_MAX], number[32];
	const char *text = lexical(leaf->type, value, number, sizeof(number));
	LY_ERR err = text == NULL
		? LY_EVALID
		: lyd_value_validate(walk->ctx, node, text, strlen(text), NULL, NULL, NULL);
	ly_err_clean((struct ly_ctx *)walk->ctx, NULL);
	if (err == LY_SUCCESS)
		return;
	expected_text(expected, sizeof(expected), node);
	wrong(walk, path, value, expected);
}

static void check_node(
	struct walk *walk, const struct lysc_node *node, const json_t *value, const char *path);

static unsigned entries_min(const struct lysc_node *node) {
	if (node->nodetype == LYS_LIST)
		return ((const struct lysc_node_list *)node)->min;
	return node->nodetype == LYS_LEAFLIST ? ((const struct lysc_node_leaflist *)node)->min : 0;
}

// Settings that must be there; those of absent containers too.
static void check_missing(
	struct walk *walk, const struct lysc_node *parent, const json_t *object, const char *path) {
	const struct lysc_node *node = NULL;
	char expected[EXPECTED_MAX], below[PATH_MAX_LEN];
	while ((node = lys_getnext(node, parent, NULL, 0)) != NULL) {
		if (object != NULL && json_object_get(object, node->name) != NULL)
			continue;
		path_set(below, sizeof(below), "%s/%s", path, node->name);
		if (node->nodetype == LYS_CONTAINER && (node->flags & LYS_PRESENCE) == 0)
			check_missing(walk, node, NULL, below);
		else if (entries_min(node) > 0)
			errors_add(walk->errors, "%s: missing: no entry, expected at least %u",
				below, entries_min(node));
		else if (node->nodetype == LYS_LEAF && (node->flags & (LYS_MAND_TRUE | LYS_KEY))) {
			expected_text(expected, sizeof(expected), node);
			errors_add(walk->errors, "%s: missing: no value, expected %s", below,
				expected);
		}
	}
}

static void check_object(
	struct walk *walk, const struct lysc_node *parent, const json_t *object, const char *path) {
	char below[PATH_MAX_LEN], names[EXPECTED_MAX];
	const char *key;
	json_t *value;
	if (!json_is_object(object)) {
		wrong(walk, path, object, "an object {...}");
		return;
	}
	json_object_foreach((json_t *)object, key, value) {
		const struct lysc_node *node = lys_find_child(parent, parent->module, key, 0, 0, 0);
		path_set(below, sizeof(below), "%s/%.128s", path, key);
		if (node != NULL) {
			check_node(walk, node, value, below);
			continue;
		}
		names_text(names, sizeof(names), parent);
		errors_add(walk->errors, "%s: unknown setting: %.128s, expected one of %s", below,
			key, names);
	}
	check_missing(walk, parent, object, path);
}

static bool check_count(
	struct walk *walk, const json_t *array, const char *path, unsigned min, unsigned max) {
	char expected[64];
	size_t n = json_array_size(array);
	if (!json_is_array(array)) {
		wrong(walk, path, array, "an array [...]");
		return false;
	}
	if (n >= min && n <= max)
		return true;
	if (max != UINT32_MAX)
		snprintf(expected, sizeof(expected), "%u to %u", min, max);
	else
		snprintf(expected, sizeof(expected), "at least %u", min);
	errors_add(
		walk->errors, "%s: wrong number of entries: %zu, expected %s", path, n, expected);
	return n <= max;
}

// An entry is named by its key where that is a plain name, else by its place.
static void entry_path(char *below, size_t size, const char *path, const json_t *entry, size_t i) {
	const char *name = json_string_value(json_object_get(entry, "name"));
	if (name != NULL && strlen(name) < 64 && strpbrk(name, "'\n\r\t") == NULL)
		path_set(below, size, "%s[name='%s']", path, name);
	else
		path_set(below, size, "%s[%zu]", path, i + 1);
}

static void check_list(
	struct walk *walk, const struct lysc_node *node, const json_t *array, const char *path) {
	const struct lysc_node_list *list = (const struct lysc_node_list *)node;
	char below[PATH_MAX_LEN];
	size_t i;
	json_t *entry;
	if (!check_count(walk, array, path, list->min, list->max))
		return;
	json_array_foreach(array, i, entry) {
		entry_path(below, sizeof(below), path, entry, i);
		check_object(walk, node, entry, below);
	}
}

static void check_leaf_list(
	struct walk *walk, const struct lysc_node *node, const json_t *array, const char *path) {
	const struct lysc_node_leaflist *list = (const struct lysc_node_leaflist *)node;
	char below[PATH_MAX_LEN];
	size_t i;
	json_t *value;
	if (!check_count(walk, array, path, list->min, list->max))
		return;
	json_array_foreach(array, i, value) {
		path_set(below, sizeof(below), "%s[%zu]", path, i + 1);
		check_leaf(walk, node, value, below);
	}
}

static void check_node(
	struct walk *walk, const struct lysc_node *node, const json_t *value, const char *path) {
	switch (node->nodetype) {
	case LYS_CONTAINER:
		check_object(walk, node, value, path);
		break;
	case LYS_LIST:
		check_list(walk, node, value, path);
		break;
	case LYS_LEAFLIST:
		check_leaf_list(walk, node, value, path);
		break;
	default:
		check_leaf(walk, node, value, path);
		break;
	}
}

void cfg_check(struct errors *errors, const struct ly_ctx *ctx, const struct lys_module *module,
	const json_t *json) {
	struct walk walk = {errors, ctx};
	const struct lysc_node *top = lys_find_child(NULL, module, "penstock", 0, 0, 0);
	const char *key;
	json_t *value;
	json_object_foreach((json_t *)json, key, value) {
		if (strcmp(key, "penstock:penstock") != 0)
			errors_add(errors,
				"/%.128s: unknown setting: %.128s, expected penstock:penstock", key,
				key);
	}
	value = json_object_get(json, "penstock:penstock");
	if (value == NULL)
		errors_add(
			errors, "/penstock:penstock: missing: no value, expected an object {...}");
	else
		check_object(&walk, top, value, "/penstock:penstock");
}
