// SPDX-License-Identifier: GPL-3.0-or-later
// What penstockctl's commands share: the options, and one function a command.
#pragma once

#include <stdbool.h>

#include "tools/cli/client.h"

enum {
	CLI_OK = 0,
	CLI_FAILED = 1,
	CLI_USAGE = 2,
};

struct cli {
	struct client client;
	bool json;
	bool all; // show counters, show bans
	unsigned interval; // show workers: seconds, 0: totals
	bool drain; // stop
	unsigned timeout; // drain, stop: seconds, 0: none
};

// Each gets the words behind its name and returns an exit status.
int cmd_show(struct cli *cli, int argc, char **argv);
int cmd_status(struct cli *cli, int argc, char **argv);
int cmd_disconnect(struct cli *cli, int argc, char **argv);
int cmd_unban(struct cli *cli, int argc, char **argv);
int cmd_reload(struct cli *cli, int argc, char **argv);
int cmd_drain(struct cli *cli, int argc, char **argv);
int cmd_undrain(struct cli *cli, int argc, char **argv);
int cmd_stop(struct cli *cli, int argc, char **argv);
// `argv[0]` is "passwd": it has options of its own.
int cmd_passwd(int argc, char **argv);

// Prints indented JSON and takes over `json`.
int print_json(json_t *json);
