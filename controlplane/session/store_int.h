// SPDX-License-Identifier: GPL-3.0-or-later
// The store's insides. Shared by store.c and store_commit.c.
#pragma once

#include <lmdb.h>

#include "controlplane/session/store.h"

enum op_type {
	OP_SESSION_PUT,
	OP_SESSION_DEL,
	OP_LEASE_PUT,
	OP_LEASE_DEL,
	OP_SCRIPT_PUT,
	OP_SCRIPT_DEL,
	OP_ACCT_PUT,
	OP_ACCT_DEL,
};

struct op {
	enum op_type type;
	int status;
	store_done done;
	void *arg;
	union {
		struct record_session session;
		struct record_lease lease;
		struct record_script script;
		uint64_t script_id; // big endian: the key
		uint8_t cookie_hash[IPC_HASH_LEN];
		struct abi_addr addr;
		struct record_acct acct;
		uint64_t acct_number;
	};
};

// The "format" entry of the meta table.
struct format {
	uint32_t magic;
	uint16_t version; // RECORD_VERSION
	uint16_t session_size, lease_size;
	uint16_t reserved;
};
_Static_assert(sizeof(struct format) == 12, "format");

struct store {
	MDB_env *env;
	MDB_dbi sessions, leases, scripts, acct, meta;
	struct store_hooks hooks;
	struct op **ops;
	size_t nb_ops, ops_size;
	uint32_t generation; // last given out
	uint32_t generation_end; // to be reserved up to here
	uint32_t generation_safe; // reserved on disk up to here
	bool has_key;
	bool read_only; // the whole file
	bool is_new; // there was none that could be read
	bool panic; // LMDB does not go on with this environment
	int fault; // status of the last commit that failed; 0: all is well
	bool back; // the fault has gone since the last tick
	uint64_t fault_s; // since, CLOCK_MONOTONIC
	int told; // the last one that was logged
	uint64_t told_s; // when
	struct op **kept; // deletions that the disk has not taken
	size_t nb_kept, kept_size;
	uint8_t seal_key[32];
};

void store_op_free(struct op *op);
// Numbers as keys, so that their order is that of the bytes.
void store_acct_key(uint64_t number, uint8_t key[8]);
// LMDB's error: said once, however many changes fail of it and however often there is room for a
// little.
void store_fault_set(struct store *store, int rc);
