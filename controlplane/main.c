// SPDX-License-Identifier: GPL-3.0-or-later
// Command line of penstock-controlplane: the supervisor, a check of the configuration, or a role.
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>

#include "controlplane/pam/pam.h"
#include "controlplane/proc/child.h"
#include "supervisor/supervisor.h"

#define DEFAULT_CONFIG "/etc/penstock/penstock.json"

#ifdef __SANITIZE_ADDRESS__
// The leak check stops the process from a tracer, which no sandbox here allows; leaks are looked
// for in the unit tests.
int __lsan_is_turned_off(void);
int __lsan_is_turned_off(void) {
	return 1;
}
#endif

struct options {
	const char *config;
	const char *check;
	const char *role;
	unsigned index;
};

static const char usage[] =
	"Usage: penstock-controlplane [OPTION]...\n"
	"The control plane of the Penstock VPN concentrator.\n"
	"\n"
	"  -c, --config FILE  configuration (default " DEFAULT_CONFIG ")\n"
	"      --check FILE   validate FILE, print what is wrong with it, change nothing\n"
	"  -f, --foreground   stay in the foreground (it always does)\n"
	"  -h, --help         show this help\n"
	"  -V, --version      show the version\n"
	"\n"
	"SIGHUP reloads the configuration and the certificates; SIGTERM ends it, while the\n"
	"dataplane goes on forwarding.\n";

static int check_config(const char *path) {
	char *error = NULL;
	struct cfg *cfg = cfg_load_file(path, &error);
	if (cfg == NULL) {
		fprintf(stderr, "%s\n", error != NULL ? error : "out of memory");
		free(error);
		return EXIT_FAILURE;
	}
	cfg_free(cfg);
	printf("%s: valid\n", path);
	return EXIT_SUCCESS;
}

static int run_role(const char *name, unsigned index) {
	static const struct child_role *const roles[] = {
		&auth_role,
		&edge_role,
		&session_role,
		&radius_role,
		&script_role,
		&pam_role,
		&kerberos_role,
		&oidc_role,
		&share_role,
		&ocsp_role,
	};
	char title[16];
	if (strcmp(name, PAM_LOGIN_ROLE) == 0) {
		prctl(PR_SET_NAME, "ps-pam-login", 0, 0, 0);
		return pam_login_main();
	}
	for (size_t i = 0; i < sizeof(roles) / sizeof(roles[0]); i++) {
		if (strcmp(roles[i]->name, name) != 0)
			continue;
		snprintf(title, sizeof(title), "ps-%s", name);
		prctl(PR_SET_NAME, title, 0, 0, 0);
		return child_main(roles[i], index);
	}
	fprintf(stderr, "penstock-controlplane: no such role: %s\n", name);
	return EXIT_FAILURE;
}

static int parse_index(const char *text, unsigned *index) {
	char *end;
	errno = 0;
	unsigned long value = strtoul(text, &end, 10);
	if (errno != 0 || *text < '0' || *text > '9' || *end != '\0' || value >= ABI_EDGES_MAX)
		return -EINVAL;
	*index = (unsigned)value;
	return 0;
}

enum {
	OPT_CHECK = 256,
	OPT_ROLE,
	OPT_INDEX,
};

// 0: go on; 1: done, exit well; -1: wrong usage.
static int parse(int argc, char **argv, struct options *options) {
	static const struct option longs[] = {
		{"config", required_argument, NULL, 'c'},
		{"check", required_argument, NULL, OPT_CHECK},
		{"foreground", no_argument, NULL, 'f'},
		{"role", required_argument, NULL, OPT_ROLE}, // internal
		{"index", required_argument, NULL, OPT_INDEX}, // internal
		{"help", no_argument, NULL, 'h'},
		{"version", no_argument, NULL, 'V'},
		{0},
	};
	int option;
	while ((option = getopt_long(argc, argv, "c:fhV", longs, NULL)) != -1) {
		switch (option) {
		case 'c':
			options->config = optarg;
			break;
		case OPT_CHECK:
			options->check = optarg;
			break;
		case 'f':
			break;
		case OPT_ROLE:
			options->role = optarg;
			break;
		case OPT_INDEX:
			if (parse_index(optarg, &options->index) < 0)
				return -1;
			break;
		case 'h':
			fputs(usage, stdout);
			return 1;
		case 'V':
			puts("penstock-controlplane " PENSTOCK_VERSION);
			return 1;
		default:
			return -1;
		}
	}
	return optind == argc ? 0 : -1;
}

int main(int argc, char **argv) {
	struct options options = {.config = DEFAULT_CONFIG};
	int parsed = parse(argc, argv, &options);
	if (parsed < 0) {
		fputs("Try 'penstock-controlplane --help'.\n", stderr);
		return 2;
	}
	if (parsed > 0)
		return EXIT_SUCCESS;
	if (options.role != NULL)
		return run_role(options.role, options.index);
	if (options.check != NULL)
		return check_config(options.check);
	return supervisor_main(options.config);
}
