// SPDX-License-Identifier: GPL-3.0-or-later
// Which inner addresses a session gets at its CONNECT. Called by connect.c.
//
// A session keeps the addresses of its first CONNECT: a client that is given others when it comes
// back gives up. So a change of the configuration counts from the next login on.
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

#include "controlplane/ipc/addr.h"
#include "controlplane/proc/log.h"
#include "controlplane/session/sessions.h"

#define IPV6_MTU_MIN 1280u

// Of one family.
struct wanted {
	const struct settings *settings;
	int family;
	const struct abi_addr *own; // all zero: none
	struct abi_addr *addr; // the session's
};

static int take(struct session_mgr *mgr, struct session *session, const struct abi_addr *addr) {
	return pools_take(
		mgr->pools, addr, session->str[STR_USER], session->sid.index, session_now());
}

// Of several sessions of a user the newest has the user's own address.
static void end_holder(
	struct session_mgr *mgr, const struct session *session, const struct abi_addr *addr) {
	uint32_t holder = pools_holder(mgr->pools, addr);
	const struct session *other = holder < ABI_SESSIONS_MAX ? mgr->table[holder] : NULL;
	char text[ADDR_TEXT_LEN];

	if (!other || other == session || strcmp(other->str[STR_USER], session->str[STR_USER]) != 0)
		return;
	log_info("replace_address", "session=%u user=%s address=%s old=%u", session->sid.index,
		log_value(session->str[STR_USER]), addr_text(addr, text), holder);
	session_disconnect_id(mgr, holder);
}

// NULL or why not.
static const char *take_own(
	struct session_mgr *mgr, struct session *session, const struct wanted *wanted) {
	struct abi_addr addr = pools_address(mgr->pools, wanted->own);

	if (abi_addr_none(&addr))
		return "The user's address is in no pool";
	end_holder(mgr, session, &addr);
	if (take(mgr, session, &addr) != 0)
		return "The user's address is in use";
	*wanted->addr = addr;
	return NULL;
}

static const char *lease_any(
	struct session_mgr *mgr, struct session *session, const struct wanted *wanted) {
	struct pools_of of = {wanted->settings->pools, wanted->settings->nb_pools};
	struct record_lease record;

	if (pools_lease(mgr->pools, &of, wanted->family, session->str[STR_USER], session->sid.index,
		    session_now(), wanted->addr) != 0)
		return wanted->family == AF_INET ? "The IPv4 address pool is empty"
						 : "The IPv6 address pool is empty";
	record_lease_init(&record);
	record.addr = *wanted->addr;
	record.last_used = session_now();
	snprintf(record.user, sizeof(record.user), "%s", session->str[STR_USER]);
	store_lease_put(mgr->store, &record);
	return NULL;
}

// What it had is its own still, unless the pools have changed or it is another user's now.
static bool keeps(struct session_mgr *mgr, struct session *session, const struct wanted *wanted) {
	struct abi_addr own = pools_address(mgr->pools, wanted->own);

	if (abi_addr_none(wanted->addr))
		return false;
	if (!pools_owned(mgr->pools, wanted->addr) ||
		memcmp(&own, wanted->addr, sizeof(own)) == 0) {
		if (take(mgr, session, wanted->addr) == 0)
			return true;
	} else {
		pools_release(mgr->pools, wanted->addr, session->sid.index, session_now());
	}
	memset(wanted->addr, 0, sizeof(*wanted->addr));
	return false;
}

static const char *choose(
	struct session_mgr *mgr, struct session *session, const struct wanted *wanted) {
	if (keeps(mgr, session, wanted))
		return NULL;
	return abi_addr_none(wanted->own) ? lease_any(mgr, session, wanted)
					  : take_own(mgr, session, wanted);
}

// The dataplane finds a client by the pool's prefixes, which have one length.
static void check_prefix(const struct session *session) {
	const struct ipc_user_settings *extra = session->extra;
	char text[ADDR_TEXT_LEN];

	if (!extra || !(extra->set & IPC_SET_INNER6) || extra->inner6_prefix == 128 ||
		abi_addr_none(&session->inner6) || extra->inner6_prefix == session->inner6_prefix)
		return;
	log_warning("address_prefix", "session=%u user=%s address=%s asked=%u given=%u",
		session->sid.index, log_value(session->str[STR_USER]),
		addr_text(&session->inner6, text), extra->inner6_prefix, session->inner6_prefix);
}

const char *session_addresses(struct session_mgr *mgr, struct session *session,
	const struct settings *settings, uint32_t wishes, uint16_t data_mtu) {
	const struct pools_of of = {settings->pools, settings->nb_pools};
	const struct wanted four = {settings, AF_INET, &settings->inner4, &session->inner4};
	const struct wanted six = {settings, AF_INET6, &settings->inner6, &session->inner6};
	bool has4 = pools_has(mgr->pools, &of, AF_INET) || !abi_addr_none(four.own);
	bool has6 = pools_has(mgr->pools, &of, AF_INET6) || !abi_addr_none(six.own);
	const char *why = NULL;

	if (has4 && (wishes & IPC_WISH_V4 || !(wishes & IPC_WISH_V6)))
		why = choose(mgr, session, &four);
	if (!why && has6 && wishes & IPC_WISH_V6 && data_mtu >= IPV6_MTU_MIN)
		why = choose(mgr, session, &six);
	if (why)
		return why;
	session->inner6_prefix = abi_addr_none(&session->inner6)
		? 0
		: pools_client_prefix(mgr->pools, &session->inner6);
	check_prefix(session);
	if (abi_addr_none(&session->inner4) && abi_addr_none(&session->inner6))
		return "No address pool serves this client";
	return NULL;
}

const char *session_addresses_again(struct session_mgr *mgr, struct session *session) {
	struct settings settings;

	session_settings(mgr, session, &settings);
	return session_addresses(mgr, session, &settings, session->wishes, session->cstp_mtu);
}
