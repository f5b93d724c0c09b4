// SPDX-License-Identifier: GPL-3.0-or-later
// Loads the configuration: JSON text, the YANG modules, struct cfg. Called by every process.

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "yang/config_priv.h"
#include "yang/modules.h"

// libyang's compiled modules: made once (which looks for libyang's plugins in the file system)
// and kept, since later calls may come from a sandbox.
static struct ly_ctx *context;
static const struct lys_module *schema;

void errors_add(struct errors *errors, const char *fmt, ...) {
	char *line = NULL;
	va_list args;
	if (errors->count++ >= CFG_ERRORS_MAX)
		return;
	va_start(args, fmt);
	int len = vasprintf(&line, fmt, args);
	va_end(args);
	char *text = len < 0 ? NULL : realloc(errors->text, errors->len + len + 2);
	if (text == NULL) {
		if (len >= 0)
			free(line);
		errors->oom = true;
		return;
	}
	errors->text = text;
	if (errors->len > 0)
		text[errors->len++] = '\n';
	memcpy(text + errors->len, line, len + 1);
	errors->len += len;
	free(line);
}

static struct cfg *give_up(struct errors *errors, char **error) {
	if (errors->count > CFG_ERRORS_MAX) {
		unsigned more = errors->count - CFG_ERRORS_MAX;
		errors->count = 0;
		errors_add(errors, "... and %u more errors", more);
	}
	if (errors->oom || errors->text == NULL) {
		free(errors->text);
		errors->text = strdup("out of memory");
	}
	*error = errors->text;
	return NULL;
}

static LY_ERR module_import(const char *name, const char *revision, const char *submodule,
	const char *submodule_revision, void *arg, LYS_INFORMAT *format, const char **text,
	void (**free_text)(void *text, void *arg)) {
	for (const struct yang_module *m = yang_modules; m->name != NULL; m++) {
		if (strcmp(m->name, name) == 0 && submodule == NULL) {
			*format = LYS_IN_YANG;
			*text = m->text;
			*free_text = NULL;
			return LY_SUCCESS;
		}
	}
	return LY_ENOTFOUND;
}

int cfg_init(void) {
	struct ly_ctx *ctx = NULL;
	const char *text = NULL;
	if (context != NULL)
		return 0;
	ly_log_options(LY_LOSTORE);
	ly_log_level(LY_LLERR);
	if (ly_ctx_new(NULL,
		    LY_CTX_NO_YANGLIBRARY | LY_CTX_DISABLE_SEARCHDIRS |
			    LY_CTX_DISABLE_SEARCHDIR_CWD | LY_CTX_SET_PRIV_PARSED,
		    &ctx) != LY_SUCCESS)
		return -ENOMEM;
	ly_ctx_set_module_imp_clb(ctx, module_import, NULL);
	for (const struct yang_module *m = yang_modules; m->name != NULL; m++) {
		if (strcmp(m->name, "penstock") == 0)
			text = m->text;
	}
	struct lys_module *module = NULL;
	if (text == NULL || lys_parse_mem(ctx, text, LYS_IN_YANG, &module) != LY_SUCCESS) {
		ly_ctx_destroy(ctx);
		return -EINVAL;
	}
	context = ctx;
	schema = module;
	return 0;
}

void cfg_fini(void) {
	ly_ctx_destroy(context);
	context = NULL;
	schema = NULL;
}

// ---- libyang's messages

// The data path out of: Schema location /a:b/c, data location /a:b/c[name='x'], line number 3.
static void error_path(const char *location, char *path, size_t size) {
	const char *start = location != NULL ? strstr(location, "ata location ") : NULL;
	if (start != NULL)
		start += strlen("ata location ");
	else if (location != NULL && (start = strstr(location, "chema location ")) != NULL)
		start += strlen("chema location ");
	else
		start = "/penstock:penstock";
	if (*start == '"')
		start++;
	const char *end = strstr(start, ", line number");
	size_t len = end != NULL ? (size_t)(end - start) : strlen(start);
	while (len > 0 && (start[len - 1] == '.' || start[len - 1] == '"' || start[len - 1] == ','))
		len--;
	snprintf(path, size, "%.*s", (int)len, start);
}

// A message of the model may be folded over several lines.
static void unfold(char *text) {
	char *to = text;
	for (char *from = text; *from != '\0'; from++) {
		bool blank = *from == ' ' || *from == '\n' || *from == '\t';
		if (!blank)
			*to++ = *from;
		else if (to > text && to[-1] != ' ')
			*to++ = ' ';
	}
	while (to > text && (to[-1] == ' ' || to[-1] == '.'))
		to--;
	*to = '\0';
}

// libyang's own words for what the model says without a message, in ours.
static void rephrase(char *text, size_t size) {
	static const struct {
		const char *start, *fmt;
	} phrases[] = {
		{"Unique data leaf(s) \"", "used twice: %.*s, expected a value of its own"},
		{"Duplicate instance of \"", "used twice: %.*s, expected no entry like it"},
		{"When condition \"",
			"not allowed: condition %.*s is not true, expected no such setting"},
	};
	char what[256];
	for (size_t i = 0; i < sizeof(phrases) / sizeof(*phrases); i++) {
		size_t len = strlen(phrases[i].start);
		if (strncmp(text, phrases[i].start, len) != 0)
			continue;
		snprintf(what, sizeof(what), "%s", text + len);
		snprintf(text, size, phrases[i].fmt, (int)strcspn(what, "\""), what);
		return;
	}
}

static void errors_of_libyang(struct errors *errors) {
	char path[1024], text[1024];
	unsigned before = errors->count;
	for (const struct ly_err_item *e = ly_err_first(context); e != NULL; e = e->next) {
		if (e->level != LY_LLERR || e->msg == NULL)
			continue;
		error_path(e->path, path, sizeof(path));
		snprintf(text, sizeof(text), "%s", e->msg);
		unfold(text);
		rephrase(text, sizeof(text));
		errors_add(errors, "%s: %s", path, text);
	}
	if (errors->count == before)
		errors_add(errors, "/penstock:penstock: not valid");
	ly_err_clean(context, NULL);
}

// ---- loading

// Parses the text as JSON alone: one object, no member twice, valid UTF-8.
static json_t *json_read(struct errors *errors, const char *text, size_t len, const char *name) {
	json_error_t where;
	if (len == 0) {
		errors_add(errors, "%s: the file is empty, expected a JSON object", name);
		return NULL;
	}
	if (len > CFG_BYTES_MAX) {
		errors_add(errors, "%s: the file is too large: %zu bytes, expected at most %u",
			name, len, CFG_BYTES_MAX);
		return NULL;
	}
	json_t *json = json_loadb(text, len, JSON_REJECT_DUPLICATES, &where);
	if (json == NULL) {
		errors_add(errors, "%s: line %d, column %d: not valid JSON: %s", name, where.line,
			where.column, where.text);
		return NULL;
	}
	if (!json_is_object(json)) {
		errors_add(errors, "%s: not a JSON object, expected {\"penstock:penstock\": {...}}",
			name);
		json_decref(json);
		return NULL;
	}
	return json;
}

// The text has passed cfg_check(), so the tree is complete enough to be looked at even when
// libyang finds it invalid: then the other rules are checked all the same.
static struct cfg *convert(struct errors *errors, const char *text) {
	struct lyd_node *tree = NULL;
	struct cfg *cfg = NULL;
	if (lyd_parse_data_mem(context, text, LYD_JSON, LYD_PARSE_ONLY | LYD_PARSE_STRICT, 0,
		    &tree) != LY_SUCCESS) {
		errors_of_libyang(errors);
		goto out;
	}
	if (lyd_validate_all(&tree, context, LYD_VALIDATE_NO_STATE, NULL) != LY_SUCCESS) {
		errors_of_libyang(errors);
		if (lyd_new_implicit_all(&tree, context, LYD_IMPLICIT_NO_STATE, NULL) != LY_SUCCESS)
			goto out;
	}
	cfg = cfg_build(tree);
	if (cfg == NULL)
		errors->oom = true;
	else
		cfg_cross_check(errors, cfg);
out:
	lyd_free_all(tree);
	ly_err_clean(context, NULL);
	if (errors->count > 0 || errors->oom) {
		cfg_free(cfg);
		cfg = NULL;
	}
	return cfg;
}

struct cfg *cfg_load_mem(const char *json, size_t len, const char *name, char **error) {
	struct errors errors = {0};
	char *text = NULL;
	struct cfg *cfg = NULL;
	*error = NULL;
	if (cfg_init() < 0) {
		errors_add(&errors, "%s: the YANG modules cannot be loaded", name);
		return give_up(&errors, error);
	}
	json_t *root = json_read(&errors, json, len, name);
	if (root == NULL)
		return give_up(&errors, error);
	cfg_check(&errors, context, schema, root);
	json_decref(root);
	if (errors.count == 0 && !errors.oom) {
		text = strndup(json, len);
		if (text != NULL)
			cfg = convert(&errors, text);
		free(text);
	}
	return cfg != NULL ? cfg : give_up(&errors, error);
}

static char *file_read(struct errors *errors, const char *path, size_t *len) {
	struct stat st;
	char *text = NULL;
	ssize_t got = 0;
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0 || fstat(fd, &st) < 0) {
		errors_add(errors, "%s: cannot be read: %s", path, strerror(errno));
		goto out;
	}
	if (S_ISDIR(st.st_mode)) {
		errors_add(errors, "%s: is a directory, expected a file", path);
		goto out;
	}
	// One byte more than allowed, so that a larger file (or an endless pipe) is seen as such.
	text = malloc(CFG_BYTES_MAX + 1);
	*len = 0;
	while (text != NULL && *len <= CFG_BYTES_MAX &&
		(got = read(fd, text + *len, CFG_BYTES_MAX + 1 - *len)) > 0)
		*len += got;
	if (text == NULL || got < 0) {
		errors_add(errors, "%s: cannot be read: %s", path, strerror(errno));
		free(text);
		text = NULL;
	}
out:
	if (fd >= 0)
		close(fd);
	return text;
}

struct cfg *cfg_load_file(const char *path, char **error) {
	struct errors errors = {0};
	size_t len = 0;
	char *text = file_read(&errors, path, &len);
	if (text == NULL)
		return give_up(&errors, error);
	struct cfg *cfg = cfg_load_mem(text, len, path, error);
	free(text);
	return cfg;
}
