// SPDX-License-Identifier: GPL-3.0-or-later
// The packet graph: names of its nodes, and the graph each worker walks. Used by all nodes.
//
// A node is one file under node/: enum of its edges, process function, registration. Packets are
// struct rte_mbuf *; dp_pkt(m) is what they carry along; dp_self is the worker that runs the
// node. A node never frees a packet by itself: it passes it on, or calls dp_drop(), which counts
// the reason. There is no drop node: dp_drop() does it all, in one call a reason and burst.
//
//   rx -> classify | tx (from a twin)          handoff-rx -> one edge for each enum dp_resume
//
// What the nodes expect of a packet:
//   classify     data at the Ethernet header, port set to where it came from
//   punt-kernel  as classify: the whole frame; port says whose twin
//   tx           data at the Ethernet header, port set to where it goes
//   the others   see their file
#pragma once

#include <rte_graph.h>
#include <rte_graph_worker.h>
#include <rte_version.h>

#include "dataplane/pkt.h"
#include "dataplane/worker.h"

#define DP_NODE_RX "rx"
#define DP_NODE_HANDOFF_RX "handoff-rx"
#define DP_NODE_CLASSIFY "classify"
#define DP_NODE_OUTER_REASSEMBLE "outer-reassemble"
#define DP_NODE_PUNT_CONTROL "punt-control"
#define DP_NODE_PUNT_KERNEL "punt-kernel"
#define DP_NODE_INJECT "inject"
#define DP_NODE_DTLS_DECODE "dtls-decode"
#define DP_NODE_TUNNEL_IN "tunnel-in"
#define DP_NODE_L3_INPUT "l3-input"
#define DP_NODE_L3_FORWARD "l3-forward"
#define DP_NODE_ICMP_ERROR "icmp-error"
#define DP_NODE_ICMP_LOCAL "icmp-local"
#define DP_NODE_ARP_ND "arp-nd"
#define DP_NODE_LAN_OUTPUT "lan-output"
#define DP_NODE_TUNNEL_OUT "tunnel-out"
#define DP_NODE_DTLS_ENCODE "dtls-encode"
#define DP_NODE_OUTER_OUTPUT "outer-output"
#define DP_NODE_TX "tx"

// Boot, after ports and tables: one graph a worker. 0 or -errno.
int dp_graph_init(void);
void dp_graph_fini(void);
