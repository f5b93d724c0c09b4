// SPDX-License-Identifier: GPL-3.0-or-later
// penstockctl passwd: reads a password and changes a user of the password file. Called by main.c.

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#include "tools/cli/cli.h"
#include "tools/cli/passwd.h"

#define DEFAULT_FILE "/etc/penstock/passwd"

static const char help[] =
	"Usage: penstockctl passwd [-c FILE] [-g GROUPS] [--stdin] USER\n"
	"       penstockctl passwd [-c FILE] -d|-l|-u USER\n"
	"\n"
	"Sets the password of a user, who is added where unknown, or changes the user.\n"
	"\n"
	"  -c, --passwd FILE     the password file (" DEFAULT_FILE "); made where missing\n"
	"  -g, --groups GROUPS   the user's groups, separated by commas; '' for none\n"
	"      --stdin           read the password from standard input, one line\n"
	"  -d, --delete          delete the user\n"
	"  -l, --lock            lock the user: no login, the password is kept\n"
	"  -u, --unlock          unlock the user\n"
	"  -h, --help            show this\n";

// ---- reading a password

// One line of at most PASSWD_PASSWORD_MAX bytes, byte by byte: no buffer of stdio keeps it.
static int read_secret(int fd, char secret[PASSWD_PASSWORD_MAX + 2]) {
	size_t n = 0;
	for (;;) {
		char c;
		ssize_t got = read(fd, &c, 1);
		if (got < 0)
			return -errno;
		if (got == 0 || c == '\n')
			break;
		if (c == '\0')
			return -EINVAL;
		if (n <= PASSWD_PASSWORD_MAX)
			secret[n++] = c; // one too many is kept: it is refused
	}
	secret[n] = '\0';
	return 0;
}

// Signals wait until the terminal echoes again.
static int read_silent(int tty, const char *prompt, char *secret) {
	struct termios old, silent;
	sigset_t block, before;
	if (dprintf(tty, "%s", prompt) < 0 || tcgetattr(tty, &old) < 0)
		return -errno;
	sigfillset(&block);
	sigprocmask(SIG_BLOCK, &block, &before);
	silent = old;
	silent.c_lflag &= ~(tcflag_t)(ECHO | ISIG);
	tcsetattr(tty, TCSAFLUSH, &silent);
	int status = read_secret(tty, secret);
	tcsetattr(tty, TCSAFLUSH, &old);
	dprintf(tty, "\n");
	sigprocmask(SIG_SETMASK, &before, NULL);
	// Ctrl-C and Ctrl-D arrive as characters.
	if (status == 0 && (strchr(secret, old.c_cc[VINTR]) != NULL && old.c_cc[VINTR] != 0))
		return -EINTR;
	return status;
}

static int ask_twice(const char *user, char *secret) {
	char again_secret[PASSWD_PASSWORD_MAX + 2] = "";
	char prompt[256];
	int tty = open("/dev/tty", O_RDWR | O_CLOEXEC | O_NOCTTY);
	if (tty < 0) {
		say_error("there is no terminal to read the password from (use --stdin)");
		return CLI_FAILED;
	}
	snprintf(prompt, sizeof(prompt), "Password of %s: ", user);
	int status = read_silent(tty, prompt, secret);
	if (status == 0)
		status = read_silent(tty, "The same again: ", again_secret);
	close(tty);
	bool same = strcmp(secret, again_secret) == 0;
	explicit_bzero(again_secret, sizeof(again_secret));
	if (status != 0)
		say_error("no password was read: %s", strerror(-status));
	else if (!same)
		say_error("the two passwords differ; nothing was changed");
	return status == 0 && same ? CLI_OK : CLI_FAILED;
}

static int read_password(const char *user, bool from_stdin, char *secret) {
	int status = from_stdin ? read_secret(STDIN_FILENO, secret) : ask_twice(user, secret);
	if (from_stdin && status != 0) {
		say_error("no password was read: %s", strerror(-status));
		status = CLI_FAILED;
	}
	if (status != CLI_OK)
		return status;
	const char *wrong = passwd_password_wrong(secret);
	if (wrong != NULL)
		say_error("%s; nothing was changed", wrong);
	return wrong != NULL ? CLI_FAILED : CLI_OK;
}

// ---- the command

struct options {
	const char *file;
	bool from_stdin;
	struct passwd_change change;
};

static int apply(const struct options *options) {
	static const char *const done[] = {[PASSWD_SET] = "password set",
		[PASSWD_DELETE] = "deleted",
		[PASSWD_LOCK] = "locked",
		[PASSWD_UNLOCK] = "unlocked"};
	const struct passwd_change *change = &options->change;
	int status = passwd_file_edit(options->file, change);
	if (status == 0)
		printf("%s: %s\n", change->user, done[change->action]);
	else if (status == -ENOENT && change->action != PASSWD_SET)
		say_error("%s: there is no user %s", options->file, change->user);
	else if (status == -EALREADY)
		say_error("%s: user %s is %s already", options->file, change->user,
			change->action == PASSWD_LOCK ? "locked" : "unlocked");
	else
		say_error("%s: cannot be changed: %s", options->file, strerror(-status));
	return status == 0 ? CLI_OK : CLI_FAILED;
}

static int set_password(struct options *options) {
	char secret[PASSWD_PASSWORD_MAX + 2] = "";
	char *hash = NULL;
	int status = read_password(options->change.user, options->from_stdin, secret);
	if (status == CLI_OK) {
		hash = passwd_hash(secret);
		if (hash == NULL) {
			say_error("the password cannot be hashed: %s", strerror(errno));
			status = CLI_FAILED;
		}
	}
	explicit_bzero(secret, sizeof(secret));
	options->change.hash = hash;
	if (status == CLI_OK)
		status = apply(options);
	free(hash);
	return status;
}

// One action at most.
static int set_action(struct options *options, enum passwd_action action) {
	if (options->change.action != PASSWD_SET) {
		say_error("-d, -l and -u exclude each other");
		return CLI_USAGE;
	}
	options->change.action = action;
	return CLI_OK;
}

static int parse(struct options *options, int argc, char **argv) {
	static const struct option names[] = {
		{"passwd", required_argument, NULL, 'c'},
		{"groups", required_argument, NULL, 'g'},
		{"stdin", no_argument, NULL, 's'},
		{"delete", no_argument, NULL, 'd'},
		{"lock", no_argument, NULL, 'l'},
		{"unlock", no_argument, NULL, 'u'},
		{"help", no_argument, NULL, 'h'},
		{0},
	};
	int status = CLI_OK, c;
	optind = 0;
	while (status == CLI_OK && (c = getopt_long(argc, argv, "c:g:dluh", names, NULL)) != -1) {
		switch (c) {
		case 'c':
			options->file = optarg;
			break;
		case 'g':
			options->change.groups = optarg;
			break;
		case 's':
			options->from_stdin = true;
			break;
		case 'd':
			status = set_action(options, PASSWD_DELETE);
			break;
		case 'l':
			status = set_action(options, PASSWD_LOCK);
			break;
		case 'u':
			status = set_action(options, PASSWD_UNLOCK);
			break;
		case 'h':
			fputs(help, stdout);
			exit(CLI_OK);
		default:
			status = CLI_USAGE;
		}
	}
	if (status == CLI_OK && optind != argc - 1) {
		say_error(optind == argc ? "whose password? Give a user name" : "too many words");
		status = CLI_USAGE;
	}
	if (status == CLI_OK)
		options->change.user = argv[optind];
	return status;
}

int cmd_passwd(int argc, char **argv) {
	struct options options = {.file = DEFAULT_FILE};
	int status = parse(&options, argc, argv);
	if (status != CLI_OK)
		return status;
	const char *wrong = passwd_user_wrong(options.change.user);
	if (wrong == NULL && options.change.groups != NULL)
		wrong = passwd_groups_wrong(options.change.groups);
	if (wrong != NULL) {
		say_error("%s", wrong);
		return CLI_USAGE;
	}
	return options.change.action == PASSWD_SET ? set_password(&options) : apply(&options);
}
