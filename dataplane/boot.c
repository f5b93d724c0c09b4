// SPDX-License-Identifier: GPL-3.0-or-later
// Start-up as an ordered list of steps; called by main and by the benchmarks of the packet path.
#include "dataplane/boot.h"

#include <stdio.h>
#include <string.h>

#include "dataplane/crypto/crypto.h"
#include "dataplane/eal.h"
#include "dataplane/graph.h"
#include "dataplane/stats.h"
#include "dataplane/table/reclaim.h"
#include "dataplane/table/session.h"
#include "dataplane/worker.h"
#include "yang/config.h"

unsigned dp_boot(const struct dp_step *steps, unsigned nb, const struct cfg *cfg, const char *who) {
	for (unsigned i = 0; i < nb; i++) {
		int ret = steps[i].init(cfg);

		if (ret == 0)
			continue;
		if (!steps[i].tells)
			fprintf(stderr, "%s: cannot set up %s: %s\n", who, steps[i].name,
				strerror(-ret));
		return i;
	}
	return nb;
}

void dp_unboot(const struct dp_step *steps, unsigned done) {
	while (done > 0) {
		done--;
		if (steps[done].fini != NULL)
			steps[done].fini();
	}
}

int dp_boot_crypto(const struct cfg *cfg) {
	return dp_crypto_init(dp_nb_workers + dp_nb_streamers, dp_keys_max(cfg));
}

int dp_boot_reclaim(const struct cfg *cfg) {
	return dp_reclaim_init();
}

int dp_boot_sessions(const struct cfg *cfg) {
	int ret = dp_session_table_init(cfg->dataplane.sessions_max, dp_stats_sessions);

	if (ret == 0)
		ret = dp_session_pools_set(cfg);
	if (ret != 0)
		dp_session_table_fini();
	return ret;
}

int dp_boot_graph(const struct cfg *cfg) {
	return dp_graph_init();
}
