// SPDX-License-Identifier: GPL-3.0-or-later
// CONNECT and what follows it: addresses, MTU, DTLS mode, the way into the dataplane, the stream
// and the DTLS channel. Called by role.c with messages of auth and edge.
//
// The steps of a CONNECT: new generation, record on disk, the old connection out of the
// dataplane, SESSION_ADD, and only after its completion the answer to the edge. Each step's
// callback finds the session again by index and generation: a newer CONNECT makes it stale.
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "controlplane/ipc/addr.h"
#include "controlplane/ipc/ipc.h"
#include "controlplane/proc/bytes.h"
#include "controlplane/proc/clock.h"
#include "controlplane/proc/log.h"
#include "controlplane/session/mtu.h"
#include "controlplane/session/sessions.h"

struct step {
	struct session_mgr *mgr;
	struct abi_sid sid;
};

static struct step *step_new(struct session_mgr *mgr, struct abi_sid sid) {
	struct step *step = malloc(sizeof(*step));

	if (step)
		*step = (struct step){mgr, sid};
	return step;
}

// --- answers ---

static void answer_error(
	struct session_mgr *mgr, uint32_t edge, uint64_t req, unsigned status, const char *reason) {
	struct ipc_connect_result msg = {.hdr.req = req, .status = status};

	mgr->nb_refused++;
	snprintf(msg.reason, sizeof(msg.reason), "%s", reason);
	mgr->opts.send(IPC_EDGE, edge, IPC_CONNECT_RESULT, &msg.hdr, sizeof(msg), mgr->opts.arg);
}

void session_connect_fail(
	struct session_mgr *mgr, struct session *session, unsigned status, const char *reason) {
	if (!session->connecting)
		return;
	session->connecting = session->script_holds = session->awaits_dataplane = false;
	log_warning("connect_refused", "session=%u user=%s status=%u reason=%s", session->sid.index,
		log_value(session->str[STR_USER]), status, log_value(reason));
	answer_error(mgr, session->connect.edge, session->connect.req, status, reason);
}

// The port that goes with the TCP listener the client came to.
static uint16_t udp_port(const struct cfg *cfg, uint16_t local_port) {
	for (size_t i = 0; i < cfg->nb_listen; i++) {
		if (cfg->listen[i].tcp_port == local_port)
			return cfg->listen[i].udp_port;
	}
	return cfg->nb_listen ? cfg->listen[0].udp_port : 0;
}

void session_settings(
	const struct session_mgr *mgr, const struct session *session, struct settings *settings) {
	settings_compute(settings, mgr->cfg,
		&(struct settings_who){session->str[STR_SERVER_NAME], session->str[STR_GROUP],
			session->str[STR_USER], session->extra});
}

static uint32_t dpd_of(const struct cfg_network *network, uint32_t wishes) {
	return wishes & IPC_WISH_MOBILE && network->mobile_dpd ? network->mobile_dpd : network->dpd;
}

static uint32_t idle_of(const struct cfg_network *network, uint32_t wishes) {
	return wishes & IPC_WISH_MOBILE && network->mobile_idle_timeout
		? network->mobile_idle_timeout
		: network->idle_timeout;
}

// Seconds left of the session timeout; 0: none is set. Never 0 while it runs.
static uint32_t session_left(const struct session *session, uint32_t timeout) {
	uint64_t now = session_now(), end = session->started + timeout;

	if (!timeout)
		return 0;
	return end > now ? (uint32_t)(end - now) : 1;
}

static void answer_ok(struct session_mgr *mgr, struct session *session) {
	struct settings settings;
	const struct cfg_network *network = &settings.network;
	struct ipc_connect_result msg;

	session_settings(mgr, session, &settings);
	msg = (struct ipc_connect_result){
		.hdr.req = session->connect.req,
		.sid = session->sid,
		.inner4 = session->inner4,
		.inner6 = session->inner6,
		.inner6_prefix = session->inner6_prefix,
		.dtls = session->dtls_mode,
		.udp_port = session->dtls_mode ? udp_port(mgr->cfg, session->connect.local_port)
					       : 0,
		.cstp_mtu = session->cstp_mtu,
		.dtls_mtu = session->dtls_mtu,
		.base_mtu = session->base_mtu,
		.dpd = dpd_of(network, session->wishes),
		.keepalive = network->keepalive,
		.idle_timeout = idle_of(network, session->wishes),
		.session_timeout = network->session_timeout,
		.session_remaining = session_left(session, network->session_timeout),
		.rekey_time = network->rekey_time,
	};

	msg.netmask4 = abi_addr_none(&settings.netmask4)
		? pools_netmask4(mgr->pools, &session->inner4)
		: settings.netmask4;
	snprintf(msg.username, sizeof(msg.username), "%s", session->str[STR_USER]);
	snprintf(msg.group, sizeof(msg.group), "%s", session->str[STR_GROUP]);
	snprintf(msg.server_name, sizeof(msg.server_name), "%s", session->str[STR_SERVER_NAME]);
	if (session->extra)
		msg.settings = *session->extra;
	memcpy(msg.app_id, session->app_id, sizeof(msg.app_id));
	session->connecting = false;
	session->edge = session->connect.edge;
	session->awaits_stream = true;
	mgr->opts.send(IPC_EDGE, session->connect.edge, IPC_CONNECT_RESULT, &msg.hdr, sizeof(msg),
		mgr->opts.arg);
}

// --- what the dataplane is told ---

void session_policy(struct session_mgr *mgr, struct session *session, struct abi_policy *policy) {
	struct settings settings;
	const struct cfg_network *network = &settings.network;

	session_settings(mgr, session, &settings);
	memset(policy, 0, sizeof(*policy));
	if (session->dtls_mode == IPC_DTLS_NONE)
		policy->flags |= ABI_POLICY_NO_DTLS;
	if (mgr->cfg->dataplane.client_to_client)
		policy->flags |= ABI_POLICY_CLIENT_TO_CLIENT;
	policy->mtu = session->cstp_mtu;
	policy->dpd_s = dpd_of(network, session->wishes);
	policy->keepalive_s = network->keepalive;
	policy->idle_timeout_s = idle_of(network, session->wishes);
	policy->session_timeout_s = session_left(session, network->session_timeout);
	policy->switch_to_tcp_s = network->switch_to_tcp;
	policy->rx_bytes_per_s = network->rx_rate;
	policy->tx_bytes_per_s = network->tx_rate;
	policy->dscp = network->dscp;
	if (network->dscp_copy)
		policy->flags |= ABI_POLICY_DSCP_COPY;
	policy->filter = filters_use(mgr, session, network);
}

// The dataplane has died under it: the next one is asked, as for those who come meanwhile.
static void await_dataplane(struct session_mgr *mgr, struct session *session) {
	session->installed = 0;
	session->awaits_dataplane = true;
	session_timer_set(mgr, session, TIMER_STREAM, session_now() + SESSION_HELD_S);
}

static void added(int status, void *arg) {
	struct step *step = arg;
	struct session_mgr *mgr = step->mgr;
	struct session *session = session_get(mgr, step->sid);
	char text[IPC_REASON_LEN], v4[ADDR_TEXT_LEN], v6[ADDR_TEXT_LEN], remote[ADDR_TEXT_LEN];

	if (status == -ETIMEDOUT) {
		// It may still be carried out.
		struct abi_cmd cmd = {.type = ABI_CMD_SESSION_DEL,
			.sid = step->sid,
			.session_del = {ABI_END_TEMPORARY}};
		dplane_command(mgr->dplane, &cmd, NULL, NULL);
	}
	free(step);
	// Gone or replaced meanwhile: whoever did that deletes what was added.
	if (!session || !session->connecting)
		return;
	if (status == -ECONNRESET) {
		await_dataplane(mgr, session);
		return;
	}
	if (status != 0) {
		snprintf(text, sizeof(text), "The dataplane refused the session (%s)",
			strerror(-status));
		session_connect_fail(mgr, session, 503, text);
		session_ended(mgr, session, ABI_END_TEMPORARY);
		return;
	}
	session->seen = mgr->dump;
	usage_start(session);
	mgr->nb_connects++;
	log_info("connect", "session=%u.%u user=%s remote=%s ipv4=%s ipv6=%s mtu=%u dtls=%u",
		session->sid.index, session->sid.generation, log_value(session->str[STR_USER]),
		addr_text(&session->remote, remote), addr_text(&session->inner4, v4),
		addr_text(&session->inner6, v6), session->cstp_mtu, session->dtls_mode);
	session_timer_set(mgr, session, TIMER_STREAM, session_now() + SESSION_STREAM_WAIT_S);
	answer_ok(mgr, session);
	scripts_connected(mgr, session);
}

// The record is not on disk, but an earlier one of the session is, with the same addresses and cookie:
// after a crash its client would come back with that. So a full disk does not end a tunnel whose
// client only reconnects or changes its keys.
static bool was_stored(struct session_mgr *mgr, const struct session *session) {
	struct record_session record;
	bool same;

	if (store_session_get(mgr->store, session->cookie_hash, &record) != 0)
		return false;
	same = record.state != SESSION_AUTHENTICATED && store_generation_safe(mgr->store) &&
		memcmp(&record.inner4, &session->inner4, sizeof(record.inner4)) == 0 &&
		memcmp(&record.inner6, &session->inner6, sizeof(record.inner6)) == 0;
	explicit_bzero(&record, sizeof(record));
	return same;
}

// The record is on disk.
static void stored(int status, void *arg) {
	struct step *step = arg;
	struct session_mgr *mgr = step->mgr;
	struct session *session = session_get(mgr, step->sid);

	free(step);
	if (!session || !session->connecting)
		return;
	if (status != 0 && !was_stored(mgr, session)) {
		session_connect_fail(mgr, session, 503,
			status == -ENOSPC ? "The session store is full"
					  : "The session store cannot be written");
		session_uninstall(mgr, session, ABI_END_TEMPORARY);
		session_ended(mgr, session, ABI_END_TEMPORARY);
		return;
	}
	if (!scripts_hold(mgr, session))
		session_connect_go(mgr, session);
}

void session_connect_go(struct session_mgr *mgr, struct session *session) {
	struct abi_cmd cmd = {.type = ABI_CMD_SESSION_ADD, .sid = session->sid};
	struct step *step = step_new(mgr, session->sid);
	int status;

	session->awaits_dataplane = false;
	if (session->installed)
		log_info("replace", "session=%u.%u user=%s old=%u", session->sid.index,
			session->sid.generation, log_value(session->str[STR_USER]),
			session->installed);
	usage_end_replaced(mgr, session);
	// The old connection's stream ends with it; its addresses are free for the next command.
	session_uninstall(mgr, session, ABI_END_REPLACED);
	cmd.session_add.inner4 = session->inner4;
	cmd.session_add.inner6 = session->inner6;
	cmd.session_add.inner6_prefix = session->inner6_prefix;
	session_policy(mgr, session, &cmd.session_add.policy);
	status = step ? dplane_command(mgr->dplane, &cmd, added, step) : -ENOMEM;
	if (status == 0) {
		session->installed = session->sid.generation;
		iroutes_set(mgr, session);
		return;
	}
	free(step);
	if (status == -ENOTCONN) {
		await_dataplane(mgr, session);
		return;
	}
	session_connect_fail(mgr, session, 503, "The dataplane is busy");
	session_ended(mgr, session, ABI_END_TEMPORARY);
}

// --- the request ---

static uint8_t choose_dtls(const struct session_mgr *mgr, const struct settings *settings,
	const struct ipc_connect *msg) {
	if (settings->no_udp || !udp_port(mgr->cfg, msg->local_port))
		return IPC_DTLS_NONE;
	if (mgr->cfg->dtls_psk && msg->wishes & IPC_WISH_DTLS_PSK)
		return IPC_DTLS_PSK;
	if (mgr->cfg->dtls_legacy && !bytes_zero(msg->master, sizeof(msg->master)) &&
		(msg->legacy_cipher == ABI_AES_128_GCM || msg->legacy_cipher == ABI_AES_256_GCM))
		return IPC_DTLS_LEGACY;
	return IPC_DTLS_NONE;
}

static void take_over(struct session *session, const struct ipc_connect *msg) {
	session->wishes = msg->wishes;
	session->remote = msg->remote;
	session->local = msg->local;
	session->remote_port = msg->remote_port;
	session->tls_version = msg->tls_version;
	session->tls_cipher = msg->tls_cipher;
	session->legacy_cipher = msg->legacy_cipher;
	memcpy(session->psk_key, msg->psk, IPC_PSK_LEN);
	memcpy(session->master_secret, msg->master, IPC_MASTER_LEN);
	session_string_set(session, STR_HOSTNAME, msg->hostname);
	session_string_set(session, STR_AGENT, msg->agent);
	session_string_set(session, STR_DEVICE_TYPE, msg->device_type);
	session_string_set(session, STR_DEVICE_PLATFORM, msg->device_platform);
	session->connect = (struct session_connect){msg->edge, msg->hdr.req, msg->local_port};
}

// NULL or why this user may not connect now.
static const char *check_limits(
	struct session_mgr *mgr, const struct session *session, uint32_t same) {
	session_make_room(mgr, session, same);
	if (session->sid.index >= dplane_sessions_max(mgr->dplane))
		return "The dataplane's session table is too small";
	if (session->state != SESSION_DISCONNECTED)
		return NULL; // counted already
	if (mgr->nb_state[SESSION_AUTHENTICATED] + mgr->nb_state[SESSION_CONNECTED] >=
		session_limit(mgr))
		return "Too many clients";
	if (same && session_count_user(mgr, session->str[STR_USER], session) >= same)
		return "Too many connections of this user";
	return NULL;
}

// A cookie is good only where it was given to.
static bool session_roamed(const struct session_mgr *mgr, const struct session *session,
	const struct abi_addr *remote) {
	struct settings settings;

	session_settings(mgr, session, &settings);
	return settings.deny_roaming && memcmp(&session->remote, remote, sizeof(*remote)) != 0;
}

static bool session_timed_out(const struct session_mgr *mgr, const struct session *session) {
	struct settings settings;
	uint64_t end;

	session_settings(mgr, session, &settings);
	end = session->started + settings.network.session_timeout;
	return settings.network.session_timeout && session->started && end <= session_now();
}

static void end_scripts_of(struct session_mgr *mgr, struct session *session,
	const struct abi_addr *inner4, const struct abi_addr *inner6) {
	const struct abi_addr new4 = session->inner4, new6 = session->inner6;

	session->inner4 = *inner4;
	session->inner6 = *inner6;
	scripts_end(mgr, session, ABI_END_REPLACED);
	session->inner4 = new4;
	session->inner6 = new6;
}

// Everything that can be decided at once. NULL or the reason for a 503.
static const char *prepare(
	struct session_mgr *mgr, struct session *session, const struct ipc_connect *msg) {
	const struct abi_addr old4 = session->inner4, old6 = session->inner6;
	uint8_t app_id[IPC_APP_ID_LEN], dtls;
	struct settings settings;
	struct mtu_out mtu;
	const char *why;

	session_settings(mgr, session, &settings);
	dtls = choose_dtls(mgr, &settings, msg);
	mtu = mtu_choose(&(struct mtu_in){
		.outer6 = !abi_addr_is4(&msg->remote),
		.dtls = dtls != IPC_DTLS_NONE,
		.tls13 = msg->tls_version == ABI_TLS13,
		.base_mtu = msg->base_mtu,
		.tunnel_mtu = msg->mtu,
		.path_mtu = msg->path_mtu,
		.cfg_mtu = settings.network.mtu,
	});
	why = check_limits(mgr, session, settings.max_same_clients);
	if (!why && scripts_too_many(mgr, session))
		why = "Disconnect scripts of this session are still due";
	if (!why)
		why = session_addresses(mgr, session, &settings, msg->wishes, mtu.data);
	if (why)
		return why;
	// Scripts know a connection by its addresses: with others it is another one.
	if (session->script_id &&
		(memcmp(&old4, &session->inner4, sizeof(old4)) != 0 ||
			memcmp(&old6, &session->inner6, sizeof(old6)) != 0))
		end_scripts_of(mgr, session, &old4, &old6);
	// Fresh for each CONNECT: a late hello of the old connection finds nothing.
	if (getrandom(app_id, sizeof(app_id), 0) != (ssize_t)sizeof(app_id))
		return "No random numbers";
	take_over(session, msg);
	session_app_id_set(mgr, session, app_id);
	session->dtls_mode = dtls;
	session->dtls_cipher = 0;
	session->base_mtu = mtu.base;
	session->cstp_mtu = session->dtls_mtu = mtu.data;
	return NULL;
}

void session_connect_claimed(struct session_mgr *mgr, struct session *session) {
	uint64_t now = session_now();
	struct step *step;

	session->connecting = true;
	usage_end(mgr, session); // of the connection that this one replaces
	session->sid.generation = store_generation_next(mgr->store);
	session->awaits_stream = false;
	session->dtls_given = session->dtls_open = 0;
	session->connected = now;
	session->expires = 0;
	if (!session->started)
		session->started = now;
	scripts_begin(mgr, session);
	session_state_set(mgr, session, SESSION_CONNECTED);
	session_timer_set(mgr, session, TIMER_NONE, 0);
	step = step_new(mgr, session->sid);
	if (step && session_save(mgr, session, stored, step) == 0)
		return;
	free(step);
	session_connect_fail(mgr, session, 503, "The session store is busy");
	session_uninstall(mgr, session, ABI_END_TEMPORARY);
	session_ended(mgr, session, ABI_END_TEMPORARY);
}

static const char *not_ready(const struct session_mgr *mgr) {
	if (mgr->loaded && mgr->reconciled)
		return "The shared session store is not there";
	return dplane_attached(mgr->dplane) ? "The gateway is starting"
					    : "The dataplane is not there";
}

// Until table and dataplane agree nothing may be installed. Clients come at once when a dataplane
// restarts, and wait long after a refusal: so the request waits a moment, not they.
static bool hold(struct session_mgr *mgr, const struct ipc_connect *msg) {
	struct session_held *held;

	if (mgr->nb_held >= SESSION_HELD_MAX)
		return false;
	held = malloc(sizeof(*held));
	if (!held)
		return false;
	held->since_s = session_now();
	held->msg = *msg;
	STAILQ_INSERT_TAIL(&mgr->held, held, next);
	mgr->nb_held++;
	return true;
}

void session_hold(struct session_mgr *mgr, const struct ipc_connect *msg) {
	if (!hold(mgr, msg))
		answer_error(mgr, msg->edge, msg->hdr.req, 503, not_ready(mgr));
}

static struct session_held *held_pop(struct session_mgr *mgr) {
	struct session_held *held = STAILQ_FIRST(&mgr->held);

	STAILQ_REMOVE_HEAD(&mgr->held, next);
	mgr->nb_held--;
	return held;
}

static void held_free(struct session_held *held) {
	explicit_bzero(held, sizeof(*held));
	free(held);
}

void session_held_run(struct session_mgr *mgr) {
	for (unsigned n = mgr->nb_held; n > 0; n--) {
		struct session_held *held = held_pop(mgr);

		session_connect(mgr, &held->msg);
		held_free(held);
	}
}

void session_held_expire(struct session_mgr *mgr) {
	uint64_t now = session_now();

	while (!STAILQ_EMPTY(&mgr->held) &&
		now - STAILQ_FIRST(&mgr->held)->since_s > SESSION_HELD_S) {
		struct session_held *held = held_pop(mgr);

		answer_error(mgr, held->msg.edge, held->msg.hdr.req, 503, not_ready(mgr));
		held_free(held);
	}
}

static bool strings_ok(const struct ipc_connect *msg) {
	return ipc_str_ok(msg->hostname, sizeof(msg->hostname)) &&
		ipc_str_ok(msg->agent, sizeof(msg->agent)) &&
		ipc_str_ok(msg->device_type, sizeof(msg->device_type)) &&
		ipc_str_ok(msg->device_platform, sizeof(msg->device_platform));
}

// An edge that cannot know whether its question was lost with our predecessor asks once more: it has
// its answer already, or will have it.
static bool is_same(const struct session *session, const struct ipc_connect *msg) {
	return msg->hdr.req && session->connect.req == msg->hdr.req &&
		session->connect.edge == msg->edge;
}

int session_connect(struct session_mgr *mgr, const struct ipc_connect *msg) {
	if (msg->edge >= ABI_EDGES_MAX || msg->tls_version > ABI_TLS13 ||
		msg->tls_cipher > ABI_CHACHA20_POLY1305 ||
		msg->legacy_cipher > ABI_CHACHA20_POLY1305 || !strings_ok(msg))
		return -EPROTO;
	if (!mgr->loaded || !mgr->reconciled)
		session_hold(mgr, msg);
	else if (!share_connect(mgr, msg))
		session_connect_shared(mgr, msg);
	return 0;
}

void session_connect_shared(struct session_mgr *mgr, const struct ipc_connect *msg) {
	char text[ADDR_TEXT_LEN];
	struct session *session;
	const char *why;

	session = session_find(mgr, msg->cookie);
	if (session && session_timed_out(mgr, session)) {
		session_uninstall(mgr, session, ABI_END_SESSION_TIMEOUT);
		session_delete(mgr, session, "session-timeout");
		session = NULL;
	}
	if (session && session_roamed(mgr, session, &msg->remote)) {
		log_warning("connect_refused",
			"session=%u user=%s remote=%s status=401 reason=\"the cookie is of another "
			"address\"",
			session->sid.index, log_value(session->str[STR_USER]),
			addr_text(&msg->remote, text));
		session = NULL;
	}
	if (!session) {
		answer_error(mgr, msg->edge, msg->hdr.req, 401, "Cookie is not acceptable");
		return;
	}
	if (is_same(session, msg))
		return;
	// The client gave up on its first try: only the newest counts.
	session_connect_fail(mgr, session, 503, "Replaced by another CONNECT");
	why = prepare(mgr, session, msg);
	if (!why) {
		session->connecting = true;
		if (!share_claim(mgr, session))
			session_connect_claimed(mgr, session);
		return;
	}
	log_warning("connect_refused", "session=%u user=%s status=503 reason=%s",
		session->sid.index, log_value(session->str[STR_USER]), log_value(why));
	answer_error(mgr, msg->edge, msg->hdr.req, 503, why);
}

// --- channels ---

static bool keys_ok(const struct abi_keys *keys) {
	return keys->secret_len == 0 || keys->secret_len == 32 || keys->secret_len == 48;
}

static bool cipher_ok(uint8_t cipher) {
	return cipher >= ABI_AES_128_GCM && cipher <= ABI_CHACHA20_POLY1305;
}

// What no edge says that runs our code: it is ended for it.
static int breach(unsigned edge, struct abi_sid sid, const char *what) {
	log_error("edge_breach", "edge=%u session=%u.%u text=%s", edge, sid.index, sid.generation,
		log_value(what));
	return -EPERM;
}

// Our predecessor may have told edges what we do not know of.
static bool predecessor_counts(const struct session_mgr *mgr) {
	return clock_s() - mgr->loaded_s <= SESSION_PREDECESSOR_S;
}

static void stream_set(int status, void *arg) {
	struct step *step = arg;
	struct session_mgr *mgr = step->mgr;
	struct session *session = session_get(mgr, step->sid);

	free(step);
	if (!session)
		return;
	if (status == 0) {
		session->channels |= ABI_CHANNEL_STREAM;
		accounting_start(mgr, session);
		session->expires = 0;
		session_timer_set(mgr, session, TIMER_NONE, 0);
		return;
	}
	log_warning("stream_refused", "session=%u.%u user=%s status=%d", session->sid.index,
		session->sid.generation, log_value(session->str[STR_USER]), status);
	session_uninstall(mgr, session, ABI_END_ERROR);
	session_ended(mgr, session, ABI_END_ERROR);
}

int session_stream_up(
	struct session_mgr *mgr, unsigned edge, const struct ipc_stream_up *msg, int fd) {
	struct session *session = session_get(mgr, msg->sid);
	struct abi_cmd cmd = {.type = ABI_CMD_STREAM_SET, .sid = msg->sid};
	struct step *step;
	int ret;

	if (!cipher_ok(msg->stream.cipher) || !keys_ok(&msg->stream.rx) ||
		!keys_ok(&msg->stream.tx) ||
		(msg->stream.version != ABI_TLS12 && msg->stream.version != ABI_TLS13))
		return -EPROTO;
	// Replaced or ended meanwhile: the socket closes, the client tries again.
	if (!session || session->installed != msg->sid.generation || session->connecting)
		return 0;
	// Whom our predecessor answered is not known: then any edge, but soon and once as well.
	if (session->edge == SESSION_EDGE_ANY) {
		if (!session->awaits_stream || !predecessor_counts(mgr)) {
			log_warning("stream_unexpected", "edge=%u session=%u.%u", edge,
				msg->sid.index, msg->sid.generation);
			return 0;
		}
	} else if (session->edge != edge) {
		return breach(edge, msg->sid, "stream of another edge's session");
	} else if (!session->awaits_stream) {
		return breach(edge, msg->sid, "second stream for one CONNECT");
	}
	session->awaits_stream = false;
	cmd.stream_set = msg->stream;
	step = step_new(mgr, msg->sid);
	ret = step ? dplane_send_fd(mgr->dplane, fd, &cmd.stream_set.token) : -ENOMEM;
	if (ret == 0)
		ret = dplane_command(mgr->dplane, &cmd, stream_set, step);
	explicit_bzero(&cmd, sizeof(cmd));
	if (ret == 0)
		return 0;
	free(step);
	log_warning("stream_refused", "session=%u.%u user=%s status=%d", session->sid.index,
		session->sid.generation, log_value(session->str[STR_USER]), ret);
	session_uninstall(mgr, session, ABI_END_ERROR);
	session_ended(mgr, session, ABI_END_ERROR);
	return 0;
}

static void dtls_grant(struct session *session, unsigned edge) {
	uint64_t now = clock_s();

	if (now > session->dtls_until_s)
		session->dtls_open = 0;
	session->dtls_given |= UINT64_C(1) << edge;
	session->dtls_open |= UINT64_C(1) << edge;
	session->dtls_until_s = now + SESSION_DTLS_WAIT_S;
}

int session_dtls_query(struct session_mgr *mgr, unsigned edge, const struct ipc_dtls_query *msg) {
	struct session *session = session_find_app_id(mgr, msg->app_id);
	struct ipc_dtls_params params = {.hdr.req = msg->hdr.req, .mode = IPC_DTLS_NONE};

	if (edge >= ABI_EDGES_MAX)
		return -EPROTO;
	if (session && session->state == SESSION_CONNECTED &&
		session->installed == session->sid.generation &&
		session->dtls_mode != IPC_DTLS_NONE &&
		!session_roamed(mgr, session, &msg->remote)) {
		params.mode = session->dtls_mode;
		params.sid = session->sid;
		dtls_grant(session, edge);
		if (params.mode == IPC_DTLS_PSK) {
			memcpy(params.psk, session->psk_key, sizeof(params.psk));
		} else {
			params.cipher = session->legacy_cipher;
			memcpy(params.master, session->master_secret, sizeof(params.master));
		}
	}
	mgr->opts.send(IPC_EDGE, edge, IPC_DTLS_PARAMS, &params.hdr, sizeof(params), mgr->opts.arg);
	explicit_bzero(&params, sizeof(params));
	return 0;
}

// Keys on their way into the dataplane.
struct dtls_step {
	struct session_mgr *mgr;
	struct abi_sid sid;
	unsigned edge;
	uint64_t req;
};

// The edge holds the handshake's last flight back until it knows.
static int dtls_answer(struct session_mgr *mgr, unsigned edge, uint64_t req, int status) {
	struct ipc_dtls_set msg = {.hdr.req = req, .status = status};

	mgr->opts.send(IPC_EDGE, edge, IPC_DTLS_SET, &msg.hdr, sizeof(msg), mgr->opts.arg);
	return 0;
}

static void dtls_refused(const struct session *session, int status) {
	log_warning("dtls_refused", "session=%u.%u user=%s status=%d", session->sid.index,
		session->sid.generation, log_value(session->str[STR_USER]), status);
}

static void dtls_set(int status, void *arg) {
	struct dtls_step *step = arg;
	struct session_mgr *mgr = step->mgr;
	struct session *session = session_get(mgr, step->sid);

	dtls_answer(mgr, step->edge, step->req, status);
	free(step);
	if (!session || status == 0)
		return;
	session->dtls_cipher = 0;
	dtls_refused(session, status);
}

static int dtls_command(struct session_mgr *mgr, const struct session *session, unsigned edge,
	const struct ipc_dtls_up *msg) {
	struct abi_cmd cmd = {.type = ABI_CMD_DTLS_SET, .sid = msg->sid, .dtls_set = msg->dtls};
	struct dtls_step *step = malloc(sizeof(*step));
	int ret = -ENOMEM;

	cmd.dtls_set.mtu = session->dtls_mtu;
	if (step) {
		*step = (struct dtls_step){mgr, msg->sid, edge, msg->hdr.req};
		ret = dplane_command(mgr->dplane, &cmd, dtls_set, step);
	}
	if (ret != 0)
		free(step);
	explicit_bzero(&cmd, sizeof(cmd));
	return ret;
}

// 1: may tell of a handshake now. 0: no, but it can be a race. Negative: it cannot.
static int dtls_may(const struct session_mgr *mgr, const struct session *session, unsigned edge) {
	uint64_t bit = UINT64_C(1) << edge;

	if (session->dtls_open & bit && clock_s() <= session->dtls_until_s)
		return 1;
	if (session->dtls_given & bit || predecessor_counts(mgr))
		return 0;
	return breach(edge, session->sid, "DTLS keys for a session that it was not asked for");
}

int session_dtls_up(struct session_mgr *mgr, unsigned edge, const struct ipc_dtls_up *msg) {
	struct session *session = session_get(mgr, msg->sid);
	int ret;

	if (!cipher_ok(msg->dtls.cipher) || msg->dtls.version != ABI_DTLS12 || !msg->dtls.epoch ||
		msg->dtls.rx.seq >> 48 || msg->dtls.tx.seq >> 48 || edge >= ABI_EDGES_MAX)
		return -EPROTO;
	// Replaced or ended meanwhile, or never there.
	if (!session)
		return dtls_answer(mgr, edge, msg->hdr.req, -ESTALE);
	ret = dtls_may(mgr, session, edge);
	if (ret < 0)
		return ret;
	if (ret == 0) {
		dtls_refused(session, -ESTALE);
		return dtls_answer(mgr, edge, msg->hdr.req, -ESTALE);
	}
	session->dtls_open &= ~(UINT64_C(1) << edge);
	if (session->installed != msg->sid.generation || session->dtls_mode == IPC_DTLS_NONE ||
		session_roamed(mgr, session, &msg->dtls.tuple.remote))
		return dtls_answer(mgr, edge, msg->hdr.req, -ESTALE);
	ret = dtls_command(mgr, session, edge, msg);
	if (ret != 0) {
		dtls_refused(session, ret);
		return dtls_answer(mgr, edge, msg->hdr.req, ret);
	}
	session->dtls_cipher = msg->dtls.cipher;
	session->dtls_tuple = msg->dtls.tuple;
	return 0;
}
