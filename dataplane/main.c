// SPDX-License-Identifier: GPL-3.0-or-later
// penstock-dataplane: options, start-up and its undoing in reverse order.
#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <systemd/sd-daemon.h>

#include "dataplane/crypto/crypto.h"
#include "dataplane/ctl/ctl.h"
#include "dataplane/eal.h"
#include "dataplane/graph.h"
#include "dataplane/l3.h"
#include "dataplane/port.h"
#include "dataplane/stats.h"
#include "dataplane/stream/stream.h"
#include "dataplane/table/reclaim.h"
#include "dataplane/table/session.h"
#include "dataplane/worker.h"
#include "yang/config.h"

#define CONFIG_PATH "/etc/penstock/penstock.json"

static struct {
	const char *config;
	const char *socket;
	bool no_huge;
	bool check;
} options = {.config = CONFIG_PATH};

static struct cfg *cfg;

static int config_init(void) {
	char *error = NULL;

	cfg = cfg_load_file(options.config, &error);
	if (cfg == NULL) {
		fprintf(stderr, "penstock-dataplane: %s: not usable\n%s\n", options.config,
			error != NULL ? error : "");
		free(error);
		return -EINVAL;
	}
	return 0;
}

static void config_fini(void) {
	cfg_free(cfg);
	cfg = NULL;
}

static int eal_init(void) {
	return dp_eal_init(cfg, options.no_huge || !cfg->dataplane.hugepages);
}

static int stats_init(void) {
	return dp_stats_init(cfg);
}

static int lcores_init(void) {
	return dp_lcores_init(cfg);
}

static int pool_init(void) {
	return dp_pool_init(cfg);
}

static int crypto_init(void) {
	return dp_crypto_init(dp_nb_workers + dp_nb_streamers, dp_keys_max(cfg));
}

static int sessions_init(void) {
	int ret = dp_session_table_init(cfg->dataplane.sessions_max, dp_stats_sessions);

	if (ret == 0)
		ret = dp_session_pools_set(cfg);
	if (ret != 0)
		dp_session_table_fini();
	return ret;
}

static int ports_init(void) {
	return dp_ports_init(cfg);
}

static int forwarding_init(void) {
	return dp_l3_init(cfg);
}

static int streams_init(void) {
	return dp_stream_init(cfg);
}

// In the run directory, where the control plane looks for it; which of the two starts first, makes
// the directory.
static int ctl_init(void) {
	char path[128]; // run-directory has at most 80 bytes

	if (options.socket != NULL)
		return dp_ctl_init(cfg, options.socket);
	if (mkdir(cfg->run_dir, 0755) != 0 && errno != EEXIST)
		return -errno;
	snprintf(path, sizeof(path), "%s/dataplane.sock", cfg->run_dir);
	return dp_ctl_init(cfg, path);
}

// Undone in reverse. What comes later uses what comes before. The lcores start last and stop
// first: nothing else has to expect packets while it comes or goes.
static const struct step {
	const char *name; // for people: "cannot set up NAME"
	int (*init)(void); // 0 or -errno
	void (*fini)(void);
	bool tells; // init prints by itself what went wrong
} steps[] = {
	{"the configuration", config_init, config_fini, true},
	{"DPDK", eal_init, dp_eal_fini, true},
	{"statistics", stats_init, dp_stats_fini},
	{"lcores", lcores_init, dp_lcores_fini},
	{"packet buffers", pool_init, dp_pool_fini, true},
	{"cryptography", crypto_init, dp_crypto_fini},
	{"deferred reclamation", dp_reclaim_init, dp_reclaim_fini},
	{"sessions", sessions_init, dp_session_table_fini},
	{"ports", ports_init, dp_ports_fini, true},
	{"forwarding", forwarding_init, dp_l3_fini, true},
	{"streams", streams_init, dp_stream_fini},
	{"the packet graph", dp_graph_init, dp_graph_fini, true},
	{"the control socket", ctl_init, dp_ctl_fini, true},
	{"workers", dp_lcores_launch, dp_lcores_stop},
};

// Returns how many steps are done, all or those before the one that failed.
static unsigned start(void) {
	for (unsigned i = 0; i < RTE_DIM(steps); i++) {
		int ret = steps[i].init();

		if (ret == 0)
			continue;
		if (!steps[i].tells)
			fprintf(stderr, "penstock-dataplane: cannot set up %s: %s\n", steps[i].name,
				strerror(-ret));
		return i;
	}
	return RTE_DIM(steps);
}

static void undo(unsigned done) {
	while (done > 0)
		steps[--done].fini();
}

static void on_signal(int signo) {
	dp_ctl_stop(); // async-signal-safe
}

static void signals_set(void) {
	struct sigaction stop = {.sa_handler = on_signal};

	sigaction(SIGTERM, &stop, NULL);
	sigaction(SIGINT, &stop, NULL);
	signal(SIGPIPE, SIG_IGN);
	signal(SIGHUP, SIG_IGN); // reload is the control plane's
}

static int serve(void) {
	unsigned done = start();
	int ret = -EIO;

	if (done == RTE_DIM(steps)) {
		sd_notifyf(0, "READY=1\nSTATUS=%u workers, %u streamers, %u ports", dp_nb_workers,
			dp_nb_streamers, dp_nb_ports);
		ret = dp_ctl_run();
		sd_notify(0, "STOPPING=1");
	}
	undo(done);
	return ret == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

static void usage(FILE *out) {
	fprintf(out,
		"Usage: penstock-dataplane [OPTION]...\n"
		"Forwards the packets of the tunnels that penstock-controlplane sets up.\n"
		"\n"
		"  -c, --config FILE   configuration (" CONFIG_PATH ")\n"
		"      --socket PATH   where the control plane attaches (in run-directory:\n"
		"                      " ABI_SOCKET_PATH ")\n"
		"      --no-huge       do not use huge pages, whatever the configuration says\n"
		"      --check         read and check the configuration, then exit\n"
		"      --help          show this and exit\n"
		"      --version       show the version and exit\n");
}

// Returns -1 to go on, else the exit status.
static int parse_options(int argc, char **argv) {
	enum {
		SOCKET = 256,
		NO_HUGE,
		CHECK,
		HELP,
		VERSION
	};
	static const struct option known[] = {
		{"config", required_argument, NULL, 'c'},
		{"socket", required_argument, NULL, SOCKET},
		{"no-huge", no_argument, NULL, NO_HUGE},
		{"check", no_argument, NULL, CHECK},
		{"help", no_argument, NULL, HELP},
		{"version", no_argument, NULL, VERSION},
		{0},
	};
	int opt;

	while ((opt = getopt_long(argc, argv, "c:", known, NULL)) != -1) {
		switch (opt) {
		case 'c':
			options.config = optarg;
			break;
		case SOCKET:
			options.socket = optarg;
			break;
		case NO_HUGE:
			options.no_huge = true;
			break;
		case CHECK:
			options.check = true;
			break;
		case HELP:
			usage(stdout);
			return EXIT_SUCCESS;
		case VERSION:
			printf("penstock-dataplane %s (%s)\n", PENSTOCK_VERSION, rte_version());
			return EXIT_SUCCESS;
		default:
			usage(stderr);
			return EXIT_FAILURE;
		}
	}
	if (optind < argc) {
		fprintf(stderr, "penstock-dataplane: unexpected argument %s\n", argv[optind]);
		return EXIT_FAILURE;
	}
	return -1;
}

int main(int argc, char **argv) {
	int status = parse_options(argc, argv);

	if (status >= 0)
		return status;
	if (options.check) {
		status = config_init() == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
		config_fini();
		return status;
	}
	signals_set();
	return serve();
}
