// SPDX-License-Identifier: GPL-3.0-or-later
// A login's question as an Access-Request, and its answer. Called by radius.c for auth.
#include "radius.h"

#include <errno.h>
#include <string.h>
#include <strings.h>

#include "controlplane/ipc/addr.h"
#include "controlplane/proc/log.h"
#include "settings.h"

#define SERVICE_FRAMED 2u
#define SERVICE_AUTHENTICATE_ONLY 8u
#define PORT_TYPE_ASYNC 0u

static void send_answer(struct radius *radius, struct ipc_radius_answer *msg, uint64_t req) {
	struct ipc_chan *auth = child_peer(radius->child, IPC_AUTH, 0);
	msg->hdr.req = req;
	if (auth != NULL)
		ipc_send(auth, IPC_RADIUS_ANSWER, &msg->hdr, sizeof(*msg), NULL, 0);
	explicit_bzero(msg, sizeof(*msg));
}

static void answer_status(struct radius *radius, uint64_t req, enum ipc_radius_status status) {
	struct ipc_radius_answer msg = {.status = status};
	send_answer(radius, &msg, req);
}

// ---- what the server says

static void take_state(const struct rvalue *value, struct ipc_radius_answer *msg) {
	if (value->len > sizeof(msg->state))
		return;
	memcpy(msg->state, value->bytes, value->len);
	msg->state_len = (uint8_t)value->len;
}

// Who the user is for the server (RFC 2865, 5.1): one that takes ANN for ann says so by this. The
// default realm, which we have added, goes. False: no name of a user.
static bool take_username(
	const struct work *work, const struct rvalue *value, char username[IPC_USER_LEN]) {
	const char *realm = child_cfg(work->radius->child)->radius.default_realm;
	char name[IPC_USER_LEN] = "";
	if (value->len == 0 || value->len >= sizeof(name))
		return false;
	memcpy(name, value->bytes, value->len);
	if (strlen(name) != value->len || !ipc_str_ok(name, sizeof(name)))
		return false;
	char *at = strchr(name, '@');
	if (work->realm_added && at != NULL && at != name && strcasecmp(at + 1, realm) == 0)
		memset(at, 0, sizeof(name) - (size_t)(at - name));
	memcpy(username, name, sizeof(name));
	return true;
}

// False: there is no room for it. Any bytes will do (RFC 2865, 5.25).
static bool take_class(const struct rvalue *value, struct ipc_acct_facts *facts) {
	if (value->len == 0)
		return true;
	if (value->len > 253 || facts->class_len + 1 + value->len > IPC_CLASS_LEN)
		return false;
	facts->class_values[facts->class_len] = (uint8_t)value->len;
	memcpy(facts->class_values + facts->class_len + 1, value->bytes, value->len);
	facts->class_len += (uint16_t)(1 + value->len);
	return true;
}

static void log_refused(const struct work *work, const struct rvalue *value, const char *server) {
	log_warning("radius_attribute", "server=%s user=%s vendor=%u attribute=%u text=%s",
		log_value(server), log_value(work->username), value->attr >> 8, value->attr & 0xff,
		"\"its value is not usable and was left out\"");
}

static void take_attributes(const struct work *work, const struct rpacket *answer,
	const char *server, struct ipc_radius_answer *msg, bool *other_service) {
	const struct cfg *cfg = child_cfg(work->radius->child);
	const void *cursor = NULL;
	struct rvalue value;
	while (rpacket_next(answer, &cursor, &value)) {
		if ((value.attr == RATTR_CLASS && !take_class(&value, &msg->facts)) ||
			(value.attr == RATTR_USER_NAME &&
				!take_username(work, &value, msg->username)))
			log_refused(work, &value, server);
		if (value.attr == RATTR_REPLY_MESSAGE)
			settings_message(value.bytes, value.len, msg->message);
		else if (value.attr == RATTR_STATE)
			take_state(&value, msg);
		else if (value.attr == RATTR_SERVICE_TYPE)
			*other_service = value.number != SERVICE_FRAMED;
		else if (value.attr == RATTR_FILTER_ID && cfg->nb_filters == 0)
			continue; // meant for other gateways
		else if (!settings_add(&msg->settings, &value, cfg->radius.groups_from_class))
			log_refused(work, &value, server);
	}
}

// A challenge without State cannot be answered (RFC 2865, 4.4). Service-Type, when it is there,
// must be ours (RFC 2865, 5.6: else it is to be treated as a reject).
static enum ipc_radius_status judge(
	enum rcode code, const struct ipc_radius_answer *msg, bool other_service) {
	if (code == RCODE_ACCESS_ACCEPT)
		return other_service ? IPC_RADIUS_REJECT : IPC_RADIUS_ACCEPT;
	if (code == RCODE_ACCESS_CHALLENGE && msg->state_len > 0)
		return IPC_RADIUS_CHALLENGE;
	return IPC_RADIUS_REJECT;
}

static void on_answer(const struct rpacket *answer, const char *server, void *arg) {
	static const char *const names[] = {"accept", "reject", "challenge", "unreachable"};
	struct work *work = arg;
	struct ipc_radius_answer msg = {.status = IPC_RADIUS_UNREACHABLE};
	bool other_service = false;
	if (answer != NULL) {
		take_attributes(work, answer, server, &msg, &other_service);
		msg.status = judge(rpacket_code(answer), &msg, other_service);
	}
	if (other_service && msg.status == IPC_RADIUS_REJECT)
		log_warning("radius_service", "server=%s user=%s text=%s", log_value(server),
			log_value(work->username),
			"\"Service-Type of the Access-Accept is not Framed: refused\"");
	if (msg.status != IPC_RADIUS_ACCEPT) {
		memset(&msg.settings, 0, sizeof(msg.settings));
		memset(&msg.facts, 0, sizeof(msg.facts));
		memset(msg.username, 0, sizeof(msg.username));
	}
	if (msg.status != IPC_RADIUS_CHALLENGE)
		msg.state_len = 0;
	log_debug("radius_answer", "server=%s user=%s result=%s", log_value(server),
		log_value(work->username), names[msg.status]);
	send_answer(work->radius, &msg, work->req);
	work_free(work);
}

// ---- what it is asked

static struct rpacket *make_request(
	struct radius *radius, const struct ipc_radius_ask *msg, const char *username) {
	char addr[ADDR_TEXT_LEN];
	struct rpacket *packet = rpacket_new(RCODE_ACCESS_REQUEST);
	if (packet == NULL)
		return NULL;
	rpacket_text(packet, RATTR_USER_NAME, username);
	rpacket_text(packet, RATTR_USER_PASSWORD, msg->password);
	radius_add_nas(radius, packet, &msg->local);
	if (!abi_addr_none(&msg->remote))
		rpacket_text(packet, RATTR_CALLING_STATION_ID, addr_text(&msg->remote, addr));
	if (!abi_addr_none(&msg->local))
		rpacket_text(packet, RATTR_CALLED_STATION_ID, addr_text(&msg->local, addr));
	rpacket_text(packet, RATTR_CONNECT_INFO, msg->agent);
	rpacket_number(packet, RATTR_SERVICE_TYPE, SERVICE_AUTHENTICATE_ONLY);
	rpacket_number(packet, RATTR_NAS_PORT_TYPE, PORT_TYPE_ASYNC);
	rpacket_bytes(packet, RATTR_STATE, msg->state, msg->state_len);
	return packet;
}

static int send_request(struct work *work, const struct ipc_radius_ask *msg) {
	struct radius *radius = work->radius;
	struct rpacket *packet = make_request(radius, msg, work->username);
	if (packet == NULL)
		return -ENOMEM;
	return exchange_send(
		radius->exchange, EXCHANGE_AUTH, packet, on_answer, work, &work->request);
}

int ask_begin(struct radius *radius, const struct ipc_radius_ask *msg) {
	char username[IPC_USER_LEN];
	if (!ipc_str_ok(msg->username, sizeof(msg->username)) || msg->username[0] == '\0' ||
		!ipc_str_ok(msg->password, sizeof(msg->password)) ||
		!ipc_str_ok(msg->agent, sizeof(msg->agent)) || msg->state_len > IPC_STATE_LEN)
		return -EINVAL;
	// No server takes what cannot be said (RFC 2865, 5.2); without a password nobody enters.
	if (!radius_user_name(
		    child_cfg(radius->child), msg->username, username, sizeof(username)) ||
		msg->password[0] == '\0' || strlen(msg->password) > RPACKET_PASSWORD_MAX) {
		answer_status(radius, msg->hdr.req, IPC_RADIUS_REJECT);
		return 0;
	}
	struct work *work = work_new(radius, &radius->asks, msg->hdr.req);
	if (work == NULL) {
		answer_status(radius, msg->hdr.req, IPC_RADIUS_UNREACHABLE);
		return 0;
	}
	work->remote = msg->remote;
	memcpy(work->username, username, sizeof(work->username));
	work->realm_added = strcmp(username, msg->username) != 0;
	int status = send_request(work, msg);
	if (status < 0) {
		log_warning("radius_ask", "user=%s text=%s", log_value(username),
			log_value(status == -ENOENT	   ? "no server can be asked"
					: status == -EBUSY ? "too many requests wait for an answer"
							   : strerror(-status)));
		work_free(work);
		answer_status(radius, msg->hdr.req, IPC_RADIUS_UNREACHABLE);
	}
	return 0;
}
