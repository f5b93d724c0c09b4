// SPDX-License-Identifier: GPL-3.0-or-later
// The commands of penstockctl that ask the control plane. Called by main.c.

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "tools/cli/cli.h"
#include "tools/cli/render.h"
#include "tools/cli/table.h"

int print_json(json_t *json) {
	int status = json_dumpf(json, stdout, JSON_INDENT(2) | JSON_ENCODE_ANY);
	json_decref(json);
	putchar('\n');
	return status == 0 ? CLI_OK : CLI_FAILED;
}

static uint64_t now_s(void) {
	return (uint64_t)time(NULL);
}

static int usage(const char *text) {
	say_error("%s", text);
	return CLI_USAGE;
}

// {"id": N} of a number, {"user": NAME} of anything else.
static json_t *id_or_user(const char *word) {
	char *end;
	errno = 0;
	unsigned long id = strtoul(word, &end, 10);
	if (word[0] >= '0' && word[0] <= '9' && *end == '\0' && errno == 0 && id <= INT32_MAX)
		return json_pack("{s:I}", "id", (json_int_t)id);
	return json_pack("{s:s}", "user", word);
}

// ---- show

static int show_sessions(struct cli *cli, const char *word) {
	json_t *result = client_ask(&cli->client, "show-sessions", NULL);
	if (result == NULL)
		return CLI_FAILED;
	if (cli->json)
		return print_json(result);
	render_sessions(stdout, result, table_width(stdout), now_s());
	json_decref(result);
	return CLI_OK;
}

// Of the sessions those that have some, as JSON.
static json_t *with_iroutes(const json_t *sessions) {
	json_t *list = json_array(), *session;
	size_t i;
	json_array_foreach((json_t *)sessions, i, session) {
		if (json_array_size(json_object_get(session, "iroutes")) > 0)
			json_array_append_new(list,
				json_pack("{s:O?, s:O?, s:O?, s:O?, s:O?, s:O?}", "id",
					json_object_get(session, "id"), "user",
					json_object_get(session, "user"), "virtual_host",
					json_object_get(session, "virtual_host"), "ipv4",
					json_object_get(session, "ipv4"), "ipv6",
					json_object_get(session, "ipv6"), "iroutes",
					json_object_get(session, "iroutes")));
	}
	return list;
}

static int show_iroutes(struct cli *cli, const char *word) {
	json_t *sessions = client_ask(&cli->client, "show-sessions", NULL), *result;
	if (sessions == NULL)
		return CLI_FAILED;
	result = with_iroutes(sessions);
	json_decref(sessions);
	if (cli->json)
		return print_json(result);
	render_iroutes(stdout, result, table_width(stdout));
	json_decref(result);
	return CLI_OK;
}

static int show_session(struct cli *cli, const char *word) {
	const json_t *session;
	json_t *args = id_or_user(word), *result;
	size_t i;
	if (args == NULL)
		return usage("the user name is not valid UTF-8");
	result = client_ask(&cli->client, "show-session", args);
	if (result == NULL)
		return CLI_FAILED;
	if (json_array_size(result) == 0) {
		say_error("%s has no session", word);
		json_decref(result);
		return CLI_FAILED;
	}
	if (cli->json)
		return print_json(result);
	json_array_foreach(result, i, session) {
		if (i > 0)
			putchar('\n');
		render_session(stdout, session, now_s());
	}
	json_decref(result);
	return CLI_OK;
}

static int show_interfaces(struct cli *cli, const char *word) {
	json_t *result = client_ask(&cli->client, "show-interfaces", NULL);
	if (result == NULL)
		return CLI_FAILED;
	if (cli->json)
		return print_json(result);
	render_interfaces(stdout, result, table_width(stdout));
	json_decref(result);
	return CLI_OK;
}

static int show_counters(struct cli *cli, const char *word) {
	json_t *result = client_ask(&cli->client, "show-counters", NULL);
	if (result == NULL)
		return CLI_FAILED;
	if (cli->json)
		return print_json(result);
	render_counters(stdout, result, table_width(stdout), cli->all);
	json_decref(result);
	return CLI_OK;
}

static double elapsed_s(const struct timespec *since) {
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)(now.tv_sec - since->tv_sec) + (double)(now.tv_nsec - since->tv_nsec) / 1e9;
}

static int show_workers(struct cli *cli, const char *word) {
	struct timespec start, wait = {.tv_sec = cli->interval};
	json_t *before = NULL, *result;
	double interval = 0;
	clock_gettime(CLOCK_MONOTONIC, &start);
	if (cli->interval > 0) {
		before = client_ask(&cli->client, "show-workers", NULL);
		if (before == NULL)
			return CLI_FAILED;
		clock_gettime(CLOCK_MONOTONIC, &start);
		nanosleep(&wait, NULL);
	}
	result = client_ask(&cli->client, "show-workers", NULL);
	interval = elapsed_s(&start);
	if (result == NULL) {
		json_decref(before);
		return CLI_FAILED;
	}
	if (cli->json && before != NULL)
		return print_json(json_pack("{s:f, s:o, s:o}", "interval", interval, "before",
			before, "after", result));
	if (cli->json)
		return print_json(result);
	render_workers(stdout, result, before, interval, table_width(stdout));
	json_decref(before);
	json_decref(result);
	return CLI_OK;
}

static int show_leases(struct cli *cli, const char *word) {
	json_t *pools = client_ask(&cli->client, "show-pools", NULL);
	json_t *leases = pools != NULL ? client_ask(&cli->client, "show-leases", NULL) : NULL;
	if (leases == NULL) {
		json_decref(pools);
		return CLI_FAILED;
	}
	if (cli->json)
		return print_json(json_pack("{s:o, s:o}", "pools", pools, "leases", leases));
	render_pools(stdout, pools, table_width(stdout));
	putchar('\n');
	render_leases(stdout, leases, table_width(stdout), now_s());
	json_decref(pools);
	json_decref(leases);
	return CLI_OK;
}

static int show_bans(struct cli *cli, const char *word) {
	json_t *args = json_pack("{s:b}", "all", cli->all);
	json_t *result = args != NULL ? client_ask(&cli->client, "show-bans", args) : NULL;
	if (result == NULL)
		return CLI_FAILED;
	if (cli->json)
		return print_json(result);
	render_bans(stdout, result, table_width(stdout), now_s());
	json_decref(result);
	return CLI_OK;
}

static int show_radius(struct cli *cli, const char *word) {
	json_t *result = client_ask(&cli->client, "show-radius", NULL);
	if (result == NULL)
		return CLI_FAILED;
	if (cli->json)
		return print_json(result);
	render_radius(stdout, result);
	json_decref(result);
	return CLI_OK;
}

static int show_version(struct cli *cli, const char *word) {
	json_t *result = client_ask(&cli->client, "show-version", NULL);
	if (result == NULL) {
		if (!cli->json)
			printf("penstockctl    %s\n", PENSTOCK_VERSION);
		return CLI_FAILED;
	}
	if (cli->json) {
		json_object_set_new(result, "penstockctl", json_string(PENSTOCK_VERSION));
		return print_json(result);
	}
	render_version(stdout, result);
	json_decref(result);
	return CLI_OK;
}

int cmd_show(struct cli *cli, int argc, char **argv) {
	static const struct {
		const char *name;
		int (*run)(struct cli *cli, const char *word);
		bool word; // wants one more
	} what[] = {
		{"sessions", show_sessions, false},
		{"session", show_session, true},
		{"iroutes", show_iroutes, false},
		{"interfaces", show_interfaces, false},
		{"counters", show_counters, false},
		{"workers", show_workers, false},
		{"leases", show_leases, false},
		{"bans", show_bans, false},
		{"radius", show_radius, false},
		{"version", show_version, false},
	};
	if (argc == 0)
		return usage(
			"show what? sessions, session, iroutes, interfaces, counters, workers, leases, bans, "
			"radius or version");
	for (size_t i = 0; i < sizeof(what) / sizeof(what[0]); i++) {
		if (strcmp(what[i].name, argv[0]) != 0)
			continue;
		if (what[i].word && argc != 2)
			return usage("which session? Give its id or a user name");
		if (!what[i].word && argc != 1)
			return usage("too many words");
		return what[i].run(cli, what[i].word ? argv[1] : NULL);
	}
	say_error("unknown: show %s (see penstockctl --help)", argv[0]);
	return CLI_USAGE;
}

// ---- the others

int cmd_status(struct cli *cli, int argc, char **argv) {
	if (argc != 0)
		return usage("too many words");
	json_t *result = client_ask(&cli->client, "show-status", NULL);
	if (result == NULL)
		return CLI_FAILED;
	if (cli->json)
		return print_json(result);
	render_status(stdout, result, table_width(stdout), now_s());
	json_decref(result);
	return CLI_OK;
}

int cmd_disconnect(struct cli *cli, int argc, char **argv) {
	json_t *args = NULL;
	if (argc == 2 && strcmp(argv[0], "user") == 0) {
		args = json_pack("{s:s}", "user", argv[1]);
	} else if (argc == 2 && strcmp(argv[0], "id") == 0) {
		args = id_or_user(argv[1]);
		if (json_object_get(args, "id") == NULL) {
			json_decref(args);
			return usage("the id of a session is a number");
		}
	} else {
		return usage("disconnect whom? user NAME or id ID");
	}
	if (args == NULL)
		return usage("the user name is not valid UTF-8");
	json_t *result = client_ask(&cli->client, "disconnect", args);
	if (result == NULL)
		return CLI_FAILED;
	if (cli->json)
		return print_json(result);
	json_int_t n = json_integer_value(json_object_get(result, "sessions"));
	printf("%lld session%s disconnected\n", (long long)n, n == 1 ? "" : "s");
	json_decref(result);
	return CLI_OK;
}

int cmd_unban(struct cli *cli, int argc, char **argv) {
	if (argc != 1)
		return usage("unban whom? An address, or all");
	json_t *args = strcmp(argv[0], "all") == 0 ? json_pack("{s:b}", "all", 1)
						   : json_pack("{s:s}", "address", argv[0]);
	json_t *result = args != NULL ? client_ask(&cli->client, "unban", args) : NULL;
	if (result == NULL)
		return CLI_FAILED;
	if (cli->json)
		return print_json(result);
	json_int_t n = json_integer_value(json_object_get(result, "bans"));
	printf("%lld ban%s lifted\n", (long long)n, n == 1 ? "" : "s");
	json_decref(result);
	return CLI_OK;
}

int cmd_reload(struct cli *cli, int argc, char **argv) {
	if (argc != 0)
		return usage("too many words");
	json_t *result = client_ask(&cli->client, "reload", NULL);
	if (result == NULL)
		return CLI_FAILED;
	if (cli->json)
		return print_json(result);
	const char *text = json_string_value(json_object_get(result, "text"));
	size_t len = text != NULL ? strlen(text) : 0;
	printf("%s%s", len > 0 ? text : "reloaded", len > 0 && text[len - 1] == '\n' ? "" : "\n");
	json_decref(result);
	return CLI_OK;
}

// ---- maintenance

// The answer holds how many sessions there are.
static int maintain(struct cli *cli, const char *command, json_t *args, const char *done) {
	json_t *result = client_ask(&cli->client, command, args);
	if (result == NULL)
		return CLI_FAILED;
	if (cli->json)
		return print_json(result);
	json_int_t n = json_integer_value(json_object_get(result, "sessions"));
	printf("%s; %lld session%s now\n", done, (long long)n, n == 1 ? "" : "s");
	json_decref(result);
	return CLI_OK;
}

int cmd_drain(struct cli *cli, int argc, char **argv) {
	if (argc != 0)
		return usage("too many words");
	return maintain(cli, "drain", json_pack("{s:i}", "timeout", (int)cli->timeout), "draining");
}

int cmd_undrain(struct cli *cli, int argc, char **argv) {
	if (argc != 0)
		return usage("too many words");
	return maintain(cli, "undrain", NULL, "serving");
}

int cmd_stop(struct cli *cli, int argc, char **argv) {
	if (argc != 0)
		return usage("too many words");
	if (cli->timeout != 0 && !cli->drain)
		return usage("--timeout goes with --drain");
	return maintain(cli, "stop",
		json_pack("{s:b, s:i}", "drain", cli->drain, "timeout", (int)cli->timeout),
		cli->drain ? "draining, then stopping" : "stopping");
}
