// SPDX-License-Identifier: GPL-3.0-or-later
// LMDB files of the session process: opened, examined, put aside. Used by store.c, otp_store.c and
// role.c.
#pragma once

#include <lmdb.h>
#include <stddef.h>

// Why a file is not opened that LMDB itself would open.
#define STORE_FILE_NEWER (-40001) // it is of a newer version of this software
#define STORE_FILE_CUT (-40002) // shorter than it says

// What LMDB's error, errno's or one of the above means, for people.
const char *store_file_error(int rc);

// Opens or makes the file, in the working directory. `flags`: 0 or MDB_RDONLY. LMDB's error; *env is
// NULL then.
int store_file_open(MDB_env **env, const char *name, size_t bytes_max, unsigned flags);

// Walks through all of the file, in the working directory, read only. LMDB believes what stands in
// pages: a damaged file can end the process here by a signal, so this is for a process of its own. 0,
// also when there is no file, or LMDB's error.
int store_file_check(const char *name);

// Renames the file to NAME.bad-TIME, in the directory. 0 or -errno.
int store_file_set_aside(int dir_fd, const char *name, const char *why);
