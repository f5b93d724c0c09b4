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

static bool strings_ok(const struct record_session *r) {
	return ipc_str_ok(r->user, sizeof(r->user)) && r->user[0] &&
		ipc_str_ok(r->groups, sizeof(r->groups)) &&
		ipc_str_ok(r->agent, sizeof(r->agent)) &&
		ipc_str_ok(r->server_name, sizeof(r->server_name)) &&
		ipc_str_ok(r->hostname, sizeof(r->hostname)) &&
		ipc_str_ok(r->device_type, sizeof(r->device_type)) &&
		ipc_str_ok(r->device_platform, sizeof(r->device_platform));
}

bool record_session_read(const void *data, size_t len, struct record_session *out) {
	if (len != sizeof(*out))
		return false;
	memcpy(out, data, sizeof(*out));
	if (out->magic != RECORD_SESSION_MAGIC || out->version != RECORD_VERSION ||
		out->size != sizeof(*out))
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
	return strings_ok(out);
}

bool record_lease_read(const void *data, size_t len, struct record_lease *out) {
	if (len != sizeof(*out))
		return false;
	memcpy(out, data, sizeof(*out));
	return out->magic == RECORD_LEASE_MAGIC && out->version == RECORD_VERSION &&
		out->size == sizeof(*out) && !abi_addr_none(&out->addr) &&
		ipc_str_ok(out->user, sizeof(out->user)) && out->user[0];
}
