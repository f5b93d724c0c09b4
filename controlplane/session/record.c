// SPDX-License-Identifier: GPL-3.0-or-later
// Checks the store's records as they are read. Called by store.c.
#include "controlplane/session/record.h"

#include <string.h>

#include "controlplane/ipc/ipc.h"
#include "controlplane/session/session.h"
#include "dataplane/abi/cmd.h"

void record_session_init(struct record_session *record) {
	memset(record, 0, sizeof(*record));
	record->magic = RECORD_SESSION_MAGIC;
	record->version = RECORD_VERSION;
	record->size = sizeof(*record);
}

void record_lease_init(struct record_lease *record) {
	memset(record, 0, sizeof(*record));
	record->magic = RECORD_LEASE_MAGIC;
	record->version = RECORD_VERSION;
	record->size = sizeof(*record);
}

bool record_version_known(uint16_t version, uint16_t session_size, uint16_t lease_size) {
	if (lease_size != sizeof(struct record_lease))
		return false;
	return (version == 1 && session_size == RECORD_SESSION_LEN_1) ||
		(version == 2 && session_size == RECORD_SESSION_LEN_2) ||
		(version == 3 && session_size == RECORD_SESSION_LEN_3);
}

// Version 1 had no usage, in the middle; 2 ended before the group, 3 before the facts.
static bool fields_copy(const uint8_t *data, size_t len, struct record_session *out) {
	const size_t used = offsetof(struct record_session, used);
	const size_t wishes = offsetof(struct record_session, wishes);
	struct record_session head;

	memset(out, 0, sizeof(*out));
	if (len < used)
		return false;
	memcpy(&head, data, used);
	if (head.magic != RECORD_SESSION_MAGIC || head.size != len)
		return false;
	if (head.version == RECORD_VERSION && len == sizeof(*out))
		memcpy(out, data, len);
	else if (head.version == 2 && len == RECORD_SESSION_LEN_2)
		memcpy(out, data, RECORD_SESSION_LEN_2);
	else if (head.version == 3 && len == RECORD_SESSION_LEN_3)
		memcpy(out, data, RECORD_SESSION_LEN_3);
	else if (head.version == 1 && len == RECORD_SESSION_LEN_1)
		memcpy((uint8_t *)out + wishes, data + used, RECORD_SESSION_LEN_1 - used);
	else
		return false;
	memcpy(out, data, used);
	out->version = RECORD_VERSION;
	out->size = sizeof(*out);
	return true;
}

void record_script_init(struct record_script *record) {
	memset(record, 0, sizeof(*record));
	record->magic = RECORD_SCRIPT_MAGIC;
	record->version = RECORD_SCRIPT_VERSION;
	record->size = sizeof(*record);
}

static bool strings_ok(const struct record_session *r) {
	return ipc_str_ok(r->user, sizeof(r->user)) && r->user[0] &&
		ipc_str_ok(r->groups, sizeof(r->groups)) &&
		ipc_str_ok(r->agent, sizeof(r->agent)) &&
		ipc_str_ok(r->server_name, sizeof(r->server_name)) &&
		ipc_str_ok(r->hostname, sizeof(r->hostname)) &&
		ipc_str_ok(r->device_type, sizeof(r->device_type)) &&
		ipc_str_ok(r->device_platform, sizeof(r->device_platform)) &&
		ipc_str_ok(r->group, sizeof(r->group));
}

bool record_session_read(const void *data, size_t len, struct record_session *out) {
	if (!fields_copy(data, len, out))
		return false;
	if (out->sid.index >= ABI_SESSIONS_MAX || out->state < SESSION_AUTHENTICATED ||
		out->state > SESSION_DISCONNECTED || out->dtls_mode > IPC_DTLS_LEGACY ||
		out->legacy_cipher > ABI_CHACHA20_POLY1305 ||
		out->tls_cipher > ABI_CHACHA20_POLY1305 ||
		out->dtls_cipher > ABI_CHACHA20_POLY1305 || out->tls_version > ABI_TLS13 ||
		out->inner6_prefix > 128 || out->last_end >= ABI_END_MAX)
		return false;
	if (out->state != SESSION_AUTHENTICATED && !out->sid.generation)
		return false;
	if (!abi_addr_none(&out->inner4) && !abi_addr_is4(&out->inner4))
		return false;
	if (abi_addr_is4(&out->inner6))
		return false;
	return strings_ok(out) && ipc_user_settings_ok(&out->settings) &&
		ipc_acct_facts_ok(&out->facts);
}

bool record_lease_read(const void *data, size_t len, struct record_lease *out) {
	if (len != sizeof(*out))
		return false;
	memcpy(out, data, sizeof(*out));
	return out->magic == RECORD_LEASE_MAGIC && out->version >= 1 &&
		out->version <= RECORD_VERSION && out->size == sizeof(*out) &&
		!abi_addr_none(&out->addr) && ipc_str_ok(out->user, sizeof(out->user)) &&
		out->user[0];
}

// Version 1 ended before the settings.
bool record_script_read(const void *data, size_t len, struct record_script *out) {
	bool old = len == RECORD_SCRIPT_LEN_1;

	memset(out, 0, sizeof(*out));
	if (len != sizeof(*out) && !old)
		return false;
	memcpy(out, data, len);
	if (out->magic != RECORD_SCRIPT_MAGIC || out->size != len ||
		out->version != (old ? 1 : RECORD_SCRIPT_VERSION))
		return false;
	out->version = RECORD_SCRIPT_VERSION;
	out->size = sizeof(*out);
	return ipc_script_facts_ok(&out->facts);
}

void record_acct_init(struct record_acct *record) {
	memset(record, 0, sizeof(*record));
	record->magic = RECORD_ACCT_MAGIC;
	record->version = RECORD_VERSION;
	record->size = sizeof(*record);
}

// Version 3 ended before the facts; earlier ones had none of these.
bool record_acct_read(const void *data, size_t len, struct record_acct *out) {
	bool old = len == RECORD_ACCT_LEN_3;

	memset(out, 0, sizeof(*out));
	if (len != sizeof(*out) && !old)
		return false;
	memcpy(out, data, len);
	if (out->magic != RECORD_ACCT_MAGIC || out->size != len ||
		out->version != (old ? 3 : RECORD_VERSION))
		return false;
	out->version = RECORD_VERSION;
	out->size = sizeof(*out);
	return out->acct.hdr.req != 0 && ipc_acct_ok(&out->acct);
}
