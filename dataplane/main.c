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

#include "dataplane/boot.h"
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

static int config_read(void) {
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

static int eal_init(const struct cfg *config) {
	return dp_eal_init(config, options.no_huge || !config->dataplane.hugepages);
}

// In the run directory, where the control plane looks for it; which of the two starts first, makes
// the directory.
static int ctl_init(const struct cfg *config) {
	char path[128]; // run-directory has at most 80 bytes

	if (options.socket != NULL)
		return dp_ctl_init(config, options.socket);
	if (mkdir(config->run_dir, 0755) != 0 && errno != EEXIST)
		return -errno;
	snprintf(path, sizeof(path), "%s/dataplane.sock", config->run_dir);
	return dp_ctl_init(config, path);
}

static int launch(const struct cfg *config) {
	return dp_lcores_launch();
}

// What comes later uses what comes before. The lcores start last and stop first: nothing else has
// to expect packets while it comes or goes.
static const struct dp_step steps[] = {
	{"DPDK", eal_init, dp_eal_fini, true},
	{"statistics", dp_stats_init, dp_stats_fini},
	{"lcores", dp_lcores_init, dp_lcores_fini},
	{"packet buffers", dp_pool_init, dp_pool_fini, true},
	{"cryptography", dp_boot_crypto, dp_crypto_fini},
	{"deferred reclamation", dp_boot_reclaim, dp_reclaim_fini},
	{"sessions", dp_boot_sessions, dp_session_table_fini},
	{"ports", dp_ports_init, dp_ports_fini, true},
	{"forwarding", dp_l3_init, dp_l3_fini, true},
	{"streams", dp_stream_init, dp_stream_fini},
	{"the packet graph", dp_boot_graph, dp_graph_fini, true},
	{"the control socket", ctl_init, dp_ctl_fini, true},
	{"workers", launch, dp_lcores_stop},
};

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
	unsigned done = dp_boot(steps, RTE_DIM(steps), cfg, "penstock-dataplane");
	int ret = -EIO;

	if (done == RTE_DIM(steps)) {
		sd_notifyf(0, "READY=1\nSTATUS=%u workers, %u streamers, %u ports", dp_nb_workers,
			dp_nb_streamers, dp_nb_ports);
		ret = dp_ctl_run();
		sd_notify(0, "STOPPING=1");
	}
	dp_unboot(steps, done);
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
	if (config_read() != 0)
		return EXIT_FAILURE;
	if (!options.check) {
		signals_set();
		status = serve();
	} else {
		status = EXIT_SUCCESS;
	}
	cfg_free(cfg);
	return status;
}
