// SPDX-License-Identifier: GPL-3.0-or-later
// Any bytes as records of the session store: what passes the check is safe to use.
#include <stdlib.h>
#include <string.h>

#include "controlplane/session/record.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void patch(uint8_t *record, const uint8_t *data, size_t size, size_t len) {
	// Pairs of an offset and a byte, so that the magic and size can stay right.
	for (size_t i = 0; i + 2 < size; i += 3)
		record[(data[i] << 8 | data[i + 1]) % len] = data[i + 2];
}

static void check(const struct record_session *record) {
	if (record->version != RECORD_VERSION || record->sid.index >= ABI_SESSIONS_MAX ||
		strlen(record->user) >= sizeof(record->user) ||
		strlen(record->device_platform) >= sizeof(record->device_platform) ||
		strlen(record->group) >= sizeof(record->group) ||
		record->settings.nb_routes > IPC_USER_ROUTES ||
		strlen(record->settings.groups) >= sizeof(record->settings.groups))
		abort();
}

// The same bytes as an earlier version had them.
static void check_old(struct record_session *session, uint16_t version, uint16_t len) {
	struct record_session out;

	session->version = version;
	session->size = len;
	if (record_session_read(session, len, &out))
		check(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
	struct record_session session, session_out;
	struct record_lease lease, lease_out;
	struct record_script script, script_out;

	record_session_read(data, size, &session_out);
	record_lease_read(data, size, &lease_out);
	record_script_read(data, size, &script_out);
	record_session_init(&session);
	session.state = 1;
	memcpy(session.user, "ann", 4);
	patch((uint8_t *)&session, data, size, sizeof(session));
	if (record_session_read(&session, sizeof(session), &session_out))
		check(&session_out);
	check_old(&session, 1, RECORD_SESSION_LEN_1);
	check_old(&session, 2, RECORD_SESSION_LEN_2);
	check_old(&session, 3, RECORD_SESSION_LEN_3);
	record_lease_init(&lease);
	lease.addr.bytes[0] = 0xfd;
	memcpy(lease.user, "ann", 4);
	patch((uint8_t *)&lease, data, size, sizeof(lease));
	if (record_lease_read(&lease, sizeof(lease), &lease_out) &&
		strlen(lease_out.user) >= sizeof(lease_out.user))
		abort();
	record_script_init(&script);
	script.facts.id = 1;
	memcpy(script.facts.user, "ann", 4);
	patch((uint8_t *)&script, data, size, sizeof(script));
	if (record_script_read(&script, sizeof(script), &script_out) &&
		(script_out.facts.session >= ABI_SESSIONS_MAX || !script_out.facts.id ||
			strlen(script_out.facts.groups) >= sizeof(script_out.facts.groups) ||
			strlen(script_out.facts.agent) >= sizeof(script_out.facts.agent)))
		abort();
	return 0;
}
