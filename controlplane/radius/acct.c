// SPDX-License-Identifier: GPL-3.0-or-later
// An accounting record as an Accounting-Request (RFC 2866). Called by radius.c for session, which
// keeps the record until it is told that a server has it.
#include "radius.h"

#include <errno.h>
#include <string.h>

#include "controlplane/ipc/addr.h"
#include "controlplane/proc/log.h"

#define SERVICE_FRAMED 2u
#define PROTOCOL_PPP 1u

static void answer(struct radius *radius, uint64_t req, int status) {
	struct ipc_chan *session = child_peer(radius->child, IPC_SESSION, 0);
	struct ipc_acct_done msg = {.hdr.req = req, .status = status};
	if (session != NULL)
		ipc_send(session, IPC_ACCT_DONE, &msg.hdr, sizeof(msg), NULL, 0);
}

static void on_answer(const struct rpacket *packet, const char *server, void *arg) {
	struct work *work = arg;
	answer(work->radius, work->req, packet != NULL ? 0 : -ETIMEDOUT);
	work_free(work);
}

// ---- the record

static uint32_t low(uint64_t value) {
	return (uint32_t)value;
}

static uint32_t high(uint64_t value) {
	return (uint32_t)(value >> 32);
}

static void add_counters(struct rpacket *packet, const struct ipc_acct *msg) {
	rpacket_number(packet, RATTR_ACCT_SESSION_TIME,
		msg->session_time > UINT32_MAX ? UINT32_MAX : low(msg->session_time));
	rpacket_number(packet, RATTR_ACCT_INPUT_OCTETS, low(msg->rx_bytes));
	rpacket_number(packet, RATTR_ACCT_INPUT_GIGAWORDS, high(msg->rx_bytes));
	rpacket_number(packet, RATTR_ACCT_OUTPUT_OCTETS, low(msg->tx_bytes));
	rpacket_number(packet, RATTR_ACCT_OUTPUT_GIGAWORDS, high(msg->tx_bytes));
	rpacket_number(packet, RATTR_ACCT_INPUT_PACKETS, low(msg->rx_packets));
	rpacket_number(packet, RATTR_ACCT_OUTPUT_PACKETS, low(msg->tx_packets));
}

static void add_addresses(struct rpacket *packet, const struct ipc_acct *msg) {
	char text[ADDR_TEXT_LEN];
	if (!abi_addr_none(&msg->remote))
		rpacket_text(packet, RATTR_CALLING_STATION_ID, addr_text(&msg->remote, text));
	if (!abi_addr_none(&msg->local))
		rpacket_text(packet, RATTR_CALLED_STATION_ID, addr_text(&msg->local, text));
	if (!abi_addr_none(&msg->inner4))
		rpacket_address(packet, RATTR_FRAMED_IP_ADDRESS, &msg->inner4);
	if (!abi_addr_none(&msg->inner6))
		rpacket_address(packet, RATTR_FRAMED_IPV6_ADDRESS, &msg->inner6);
}

// Class as the server gave it; ipc_acct_ok() has walked through it before.
static void add_facts(struct rpacket *packet, const struct ipc_acct_facts *facts) {
	if (facts->authentic != IPC_AUTHENTIC_UNKNOWN)
		rpacket_number(packet, RATTR_ACCT_AUTHENTIC, facts->authentic);
	for (unsigned at = 0; at < facts->class_len; at += 1u + facts->class_values[at])
		rpacket_bytes(
			packet, RATTR_CLASS, facts->class_values + at + 1, facts->class_values[at]);
}

static struct rpacket *make_request(struct radius *radius, const struct ipc_acct *msg) {
	const struct cfg *cfg = child_cfg(radius->child);
	char username[IPC_USER_LEN];
	if (!radius_user_name(cfg, msg->username, username, sizeof(username)))
		memcpy(username, msg->username, sizeof(username)); // too long with its realm
	struct rpacket *packet = rpacket_new(RCODE_ACCOUNTING_REQUEST);
	if (packet == NULL)
		return NULL;
	rpacket_number(packet, RATTR_ACCT_STATUS_TYPE, msg->kind);
	rpacket_text(packet, RATTR_ACCT_SESSION_ID, msg->session_id);
	rpacket_text(packet, RATTR_USER_NAME, username);
	radius_add_nas(radius, packet, &msg->local);
	rpacket_number(packet, RATTR_EVENT_TIMESTAMP, low(msg->event_time));
	rpacket_number(packet, RATTR_SERVICE_TYPE, SERVICE_FRAMED);
	rpacket_number(packet, RATTR_FRAMED_PROTOCOL, PROTOCOL_PPP);
	add_facts(packet, &msg->facts);
	add_addresses(packet, msg);
	rpacket_text(packet, RATTR_CONNECT_INFO, msg->agent);
	if (msg->kind != IPC_ACCT_START)
		add_counters(packet, msg);
	if (msg->kind == IPC_ACCT_STOP)
		rpacket_number(packet, RATTR_ACCT_TERMINATE_CAUSE, msg->cause);
	return packet;
}

int acct_begin(struct radius *radius, const struct ipc_acct *msg) {
	if (!ipc_acct_ok(msg))
		return -EINVAL;
	struct work *work = work_new(radius, &radius->records, msg->hdr.req);
	struct rpacket *packet = work != NULL ? make_request(radius, msg) : NULL;
	int status = packet == NULL ? -ENOMEM
				    : exchange_send(radius->exchange, EXCHANGE_ACCT, packet,
					      on_answer, work, &work->request);
	if (status == 0)
		return 0;
	log_debug("radius_acct", "user=%s session=%s text=%s", log_value(msg->username),
		log_value(msg->session_id), log_value(strerror(-status)));
	if (work != NULL)
		work_free(work);
	answer(radius, msg->hdr.req, -EAGAIN);
	return 0;
}
