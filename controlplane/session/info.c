// SPDX-License-Identifier: GPL-3.0-or-later
// What session.h offers to the CLI's server: looking at sessions and leases, ending sessions.
#include <errno.h>
#include <string.h>

#include "controlplane/proc/clock.h"
#include "controlplane/proc/log.h"
#include "controlplane/session/sessions.h"

#define RELOAD_TIMEOUT_S 30u

static void info_fill(struct session_mgr *mgr, struct session *session, struct session_info *info) {
	const struct abi_session_stats *stats = dplane_session_stats(
		mgr->dplane, session->sid.index);
	const struct cfg_vhost *vhost = cfg_vhost_find(mgr->cfg, session->str[STR_SERVER_NAME]);
	struct settings settings;
	uint32_t timeout;

	session_settings(mgr, session, &settings);
	timeout = settings.network.session_timeout;
	*info = (struct session_info){
		.sid = session->sid,
		.state = session->state,
		.user = session->str[STR_USER],
		.groups = session->str[STR_GROUPS],
		.group = session->str[STR_GROUP],
		.virtual_host = vhost ? vhost->name : "",
		.agent = session->str[STR_AGENT],
		.server_name = session->str[STR_SERVER_NAME],
		.hostname = session->str[STR_HOSTNAME],
		.device_type = session->str[STR_DEVICE_TYPE],
		.device_platform = session->str[STR_DEVICE_PLATFORM],
		.remote = session->remote,
		.remote_port = session->remote_port,
		.inner4 = session->inner4,
		.inner6 = session->inner6,
		.inner6_prefix = session->inner6_prefix,
		.tls_version = session->tls_version,
		.tls_cipher = session->tls_cipher,
		.dtls_mode = session->dtls_mode,
		.dtls_cipher = session->dtls_cipher,
		.channels = session->channels,
		.dtls_tuple = session->dtls_tuple,
		.cstp_mtu = session->cstp_mtu,
		.dtls_mtu = session->dtls_mtu,
		.base_mtu = session->base_mtu,
		.created = session->created,
		.started = session->started,
		.connected = session->connected,
		.disconnected = session->disconnected,
		.expires = session->expires,
		.session_ends = timeout && session->started ? session->started + timeout : 0,
		.last_end = session->last_end,
		.reach = settings.network.reach,
		.dscp = settings.network.dscp,
		.dscp_copy = settings.network.dscp_copy,
		.filter = settings.filter ? settings.filter : "",
	};
	info->nb_iroutes = iroutes_of(session, info->iroutes, ABI_IROUTES_MAX);
	if (stats && session->installed && stats->generation == session->installed)
		info->stats = *stats;
	usage_read(mgr, session);
	info->total = usage_total(session);
}

int session_info_each(struct session_mgr *mgr,
	int (*each)(const struct session_info *info, void *arg), void *arg) {
	int ret = 0;

	for (uint32_t i = 0; i < mgr->index_end && ret == 0; i++) {
		struct session_info info;

		if (!mgr->table[i])
			continue;
		info_fill(mgr, mgr->table[i], &info);
		ret = each(&info, arg);
	}
	return ret;
}

int session_info_get(struct session_mgr *mgr, uint32_t id, struct session_info *info) {
	if (id >= mgr->index_end || !mgr->table[id])
		return -ENOENT;
	info_fill(mgr, mgr->table[id], info);
	return 0;
}

void session_disconnect(struct session_mgr *mgr, struct session *session) {
	if (session->state == SESSION_CONNECTED) {
		session_uninstall(mgr, session, ABI_END_SERVER);
		session_ended(mgr, session, ABI_END_SERVER);
	} else {
		session->last_end = ABI_END_SERVER; // for accounting, which goes on until now
		session_delete(mgr, session, "server");
	}
}

int session_disconnect_id(struct session_mgr *mgr, uint32_t id) {
	if (id >= mgr->index_end || !mgr->table[id])
		return -ENOENT;
	session_disconnect(mgr, mgr->table[id]);
	return 0;
}

unsigned session_disconnect_user(struct session_mgr *mgr, const char *user) {
	unsigned nb = 0;

	for (uint32_t i = 0; i < mgr->index_end; i++) {
		if (mgr->table[i] && (!user || strcmp(mgr->table[i]->str[STR_USER], user) == 0)) {
			session_disconnect(mgr, mgr->table[i]);
			nb++;
		}
	}
	return nb;
}

unsigned session_disconnect_all(struct session_mgr *mgr) {
	return session_disconnect_user(mgr, NULL);
}

int lease_info_each(
	struct session_mgr *mgr, int (*each)(const struct lease_info *info, void *arg), void *arg) {
	return pools_each_lease(mgr->pools, each, arg);
}

int pool_info_each(
	struct session_mgr *mgr, int (*each)(const struct pool_info *info, void *arg), void *arg) {
	return pools_each(mgr->pools, each, arg);
}

void session_totals(struct session_mgr *mgr, struct session_totals *out) {
	*out = (struct session_totals){
		.authenticated = mgr->nb_state[SESSION_AUTHENTICATED],
		.connected = mgr->nb_state[SESSION_CONNECTED],
		.disconnected = mgr->nb_state[SESSION_DISCONNECTED],
		.logins = mgr->nb_logins,
		.connects = mgr->nb_connects,
		.ended = mgr->nb_ended,
		.refused = mgr->nb_refused,
		.bans = bans_count(guard_table(mgr->guard), clock_s()),
		.refused_banned = guard_refused(mgr->guard),
		.ban_overflows = bans_overflows(guard_table(mgr->guard)),
		.max_clients = session_limit(mgr),
		.dataplane = dplane_attached(mgr->dplane),
		.boot_id = dplane_boot_id(mgr->dplane),
		.draining = mgr->maintenance.draining,
		.stopping = mgr->maintenance.stop,
		.scripts_due = mgr->nb_scripts_due,
		.store_fault = mgr->loaded ? store_fault(mgr->store) : 0,
	};
	if (dplane_stats(mgr->dplane))
		out->dataplane_sessions = __atomic_load_n(
			&dplane_stats(mgr->dplane)->sessions, __ATOMIC_RELAXED);
	if (mgr->maintenance.until_s)
		out->drain_ends = session_now() + mgr->maintenance.until_s - clock_s();
}

const struct abi_stats *session_stats(struct session_mgr *mgr) {
	return dplane_stats(mgr->dplane);
}

const struct abi_session_stats *session_stats_at(struct session_mgr *mgr, uint32_t index) {
	return dplane_session_stats(mgr->dplane, index);
}

const struct ipc_radius_counts *session_radius_counts(struct session_mgr *mgr, uint32_t *waiting) {
	*waiting = accounting_waiting(mgr);
	return &mgr->radius_counts;
}

struct bans *session_bans(struct session_mgr *mgr) {
	return guard_table(mgr->guard);
}

const struct cfg *session_cfg(struct session_mgr *mgr) {
	return mgr->cfg;
}

int session_maintain_request(
	struct session_mgr *mgr, bool draining, bool stop, uint32_t timeout_s) {
	struct ipc_maintain msg = {.draining = draining, .stop = stop, .timeout_s = timeout_s};

	return mgr->opts.send(
		IPC_SUPERVISOR, 0, IPC_MAINTAIN, &msg.hdr, sizeof(msg), mgr->opts.arg);
}

int session_reload_request(
	struct session_mgr *mgr, void (*done)(int status, const char *text, void *arg), void *arg) {
	struct ipc_empty msg = {0};
	int ret;

	if (mgr->reload.done)
		return -EBUSY;
	ret = mgr->opts.send(IPC_SUPERVISOR, 0, IPC_RELOAD, &msg.hdr, sizeof(msg), mgr->opts.arg);
	if (ret == 0)
		mgr->reload = (struct session_reload){done, arg, session_now() + RELOAD_TIMEOUT_S};
	return ret;
}
