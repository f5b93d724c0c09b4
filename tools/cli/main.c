// SPDX-License-Identifier: GPL-3.0-or-later
// penstockctl: looks at and controls a running concentrator. Started by operators and scripts.

#include <getopt.h>
#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tools/cli/cli.h"

static const char help[] =
	"Usage: penstockctl [--socket PATH] [--json] COMMAND\n"
	"\n"
	"Looks at and controls a running Penstock VPN concentrator.\n"
	"\n"
	"Commands:\n"
	"  status                    a summary\n"
	"  show sessions             clients, one a line\n"
	"  show session ID|USER      everything about one session, or about those of a user\n"
	"  show iroutes              networks behind clients\n"
	"  show interfaces           ports of the dataplane\n"
	"  show counters [--all]     counters that are not zero (or all), and what they mean\n"
	"  show workers [--interval S]\n"
	"                            load of the dataplane's cores since start, or over S seconds\n"
	"  show leases               address pools and who has which address\n"
	"  show bans [--all]         addresses that are refused, until when, and what for\n"
	"                            (or all that have points)\n"
	"  show radius               requests to RADIUS servers, and what they have asked for\n"
	"  show version              versions of the running programs\n"
	"  disconnect user NAME      end all sessions of a user; their cookies die\n"
	"  disconnect id ID          end one session\n"
	"  unban ADDRESS|all         let an address, or all, in again\n"
	"  reload                    read the configuration and the certificates again\n"
	"  drain [--timeout S]       no new clients; those that are there stay, for S seconds\n"
	"  undrain                   take new clients again\n"
	"  stop [--drain [--timeout S]]\n"
	"                            end the control plane now, or when the last client has gone\n"
	"  passwd ...                edit the password file (penstockctl passwd --help)\n"
	"\n"
	"Options:\n"
	"  -s, --socket PATH         the control plane's socket (" CLIENT_SOCKET ")\n"
	"  -j, --json                print the answer as JSON\n"
	"  -h, --help                show this\n"
	"  -V, --version             show the version of penstockctl\n"
	"\n"
	"Exit status: 0 done, 1 failed, 2 wrong usage.\n";

static const struct {
	const char *name;
	int (*run)(struct cli *cli, int argc, char **argv);
	const char *help;
} commands[] = {
	{"status", cmd_status, "Usage: penstockctl [--json] status\n"},
	{"show", cmd_show,
		"Usage: penstockctl [--json] show sessions | session ID|USER | iroutes | interfaces |\n"
		"           counters [--all] | workers [--interval S] | leases | bans [--all] | radius |\n"
		"           version\n"},
	{"disconnect", cmd_disconnect,
		"Usage: penstockctl [--json] disconnect user NAME | id ID\n\n"
		"The client is told, and cannot come back without its password.\n"},
	{"unban", cmd_unban,
		"Usage: penstockctl [--json] unban ADDRESS | all\n\n"
		"Ends the ban of an address, and of its /64 for IPv6; its points are forgotten.\n"},
	{"reload", cmd_reload,
		"Usage: penstockctl [--json] reload\n\n"
		"Says what was applied and what needs a restart. A file with an error changes "
		"nothing.\n"},
	{"drain", cmd_drain,
		"Usage: penstockctl [--json] drain [--timeout S]\n\n"
		"New logins are refused, the health URL answers 503. Clients that are connected "
		"stay,\nand may come back; after S seconds those that are left are disconnected.\n"},
	{"undrain", cmd_undrain, "Usage: penstockctl [--json] undrain\n"},
	{"stop", cmd_stop,
		"Usage: penstockctl [--json] stop [--drain [--timeout S]]\n\n"
		"Ends the control plane, while the dataplane goes on forwarding; with --drain when "
		"the\nlast client has gone, or after S seconds, when those that are left are "
		"disconnected.\n"},
};

static int dispatch(struct cli *cli, int argc, char **argv, bool want_help) {
	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
		if (strcmp(commands[i].name, argv[0]) != 0)
			continue;
		if (want_help) {
			fputs(commands[i].help, stdout);
			return CLI_OK;
		}
		return commands[i].run(cli, argc - 1, argv + 1);
	}
	say_error("unknown command: %s (see penstockctl --help)", argv[0]);
	return CLI_USAGE;
}

static int parse_interval(struct cli *cli, const char *text) {
	char *end;
	unsigned long value = strtoul(text, &end, 10);
	if (text[0] < '0' || text[0] > '9' || *end != '\0' || value < 1 || value > 3600) {
		say_error("--interval %s: expected 1..3600 seconds", text);
		return CLI_USAGE;
	}
	cli->interval = (unsigned)value;
	return CLI_OK;
}

static int parse_timeout(struct cli *cli, const char *text) {
	char *end;
	unsigned long value = strtoul(text, &end, 10);
	if (text[0] < '0' || text[0] > '9' || *end != '\0' || value < 1 || value > 604800) {
		say_error("--timeout %s: expected 1..604800 seconds", text);
		return CLI_USAGE;
	}
	cli->timeout = (unsigned)value;
	return CLI_OK;
}

// `passwd` has options of its own: it is looked for behind those that come before it.
static char **find_passwd(int argc, char **argv, int *rest) {
	int i = 1;
	while (i < argc && argv[i][0] == '-' && argv[i][1] != '\0')
		i += 1 + (strcmp(argv[i], "-s") == 0 || strcmp(argv[i], "--socket") == 0);
	*rest = argc - i;
	return i < argc && strcmp(argv[i], "passwd") == 0 ? argv + i : NULL;
}

static int run(struct cli *cli, int argc, char **argv) {
	static const struct option names[] = {
		{"socket", required_argument, NULL, 's'},
		{"json", no_argument, NULL, 'j'},
		{"all", no_argument, NULL, 'a'},
		{"interval", required_argument, NULL, 'i'},
		{"timeout", required_argument, NULL, 't'},
		{"drain", no_argument, NULL, 'd'},
		{"help", no_argument, NULL, 'h'},
		{"version", no_argument, NULL, 'V'},
		{0},
	};
	bool want_help = false;
	int c, status = CLI_OK;
	while (status == CLI_OK &&
		(c = getopt_long(argc, argv, "s:jahi:t:dV", names, NULL)) != -1) {
		switch (c) {
		case 's':
			cli->client.path = optarg;
			break;
		case 'j':
			cli->json = true;
			break;
		case 'a':
			cli->all = true;
			break;
		case 'i':
			status = parse_interval(cli, optarg);
			break;
		case 't':
			status = parse_timeout(cli, optarg);
			break;
		case 'd':
			cli->drain = true;
			break;
		case 'h':
			want_help = true;
			break;
		case 'V':
			printf("penstockctl %s\n", PENSTOCK_VERSION);
			return CLI_OK;
		default:
			return CLI_USAGE;
		}
	}
	if (status != CLI_OK)
		return status;
	if (optind < argc)
		return dispatch(cli, argc - optind, argv + optind, want_help);
	fputs(help, want_help ? stdout : stderr);
	return want_help ? CLI_OK : CLI_USAGE;
}

int main(int argc, char **argv) {
	struct cli cli = {.client = {.path = CLIENT_SOCKET, .fd = -1}};
	int rest, status;
	setlocale(LC_CTYPE, "");
	char **passwd = find_passwd(argc, argv, &rest);
	if (passwd != NULL)
		status = cmd_passwd(rest, passwd);
	else
		status = run(&cli, argc, argv);
	client_close(&cli.client);
	if (fflush(stdout) != 0 || ferror(stdout)) {
		say_error("the output cannot be written");
		status = CLI_FAILED;
	}
	return status;
}
