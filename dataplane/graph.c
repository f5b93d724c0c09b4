// SPDX-License-Identifier: GPL-3.0-or-later
// Makes one graph a worker. Called at boot and at the end.
#include "dataplane/graph.h"

#include <errno.h>
#include <stdio.h>

#include <rte_errno.h>

#include "dataplane/port.h"

// The edges of these bring in all the others.
static const char *const source_nodes[] = {DP_NODE_RX, DP_NODE_HANDOFF_RX};

static int create(struct dp_lcore *lcore) {
	struct rte_graph_param param = {
		.socket_id = SOCKET_ID_ANY,
		.nb_node_patterns = RTE_DIM(source_nodes),
		.node_patterns = (const char **)(uintptr_t)source_nodes,
	};
	char name[RTE_GRAPH_NAMESIZE];

	snprintf(name, sizeof(name), "worker-%u", lcore->number);
	if (rte_graph_create(name, &param) == RTE_GRAPH_ID_INVALID) {
		fprintf(stderr, "penstock-dataplane: cannot make the packet graph: %s\n",
			rte_strerror(rte_errno));
		return rte_errno != 0 ? -rte_errno : -EINVAL;
	}
	lcore->graph = rte_graph_lookup(name);
	return lcore->graph != NULL ? 0 : -ENOENT;
}

int dp_graph_init(void) {
	for (unsigned i = 0; i < dp_nb_workers; i++) {
		int ret = create(&dp_lcores[i]);

		if (ret != 0) {
			dp_graph_fini();
			return ret;
		}
	}
	return 0;
}

void dp_graph_fini(void) {
	for (unsigned i = 0; i < dp_nb_workers; i++) {
		if (dp_lcores[i].graph == NULL)
			continue;
		rte_graph_destroy(rte_graph_from_name(dp_lcores[i].graph->name));
		dp_lcores[i].graph = NULL;
	}
}
