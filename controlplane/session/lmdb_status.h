// SPDX-License-Identifier: GPL-3.0-or-later
// What LMDB says, as the stores say it; used by store*.c, otp_store.c and role.c.
#pragma once

#include <errno.h>
#include <lmdb.h>

// 0, -ENOSPC (no room, in the map or on the disk), -EROFS (may not be written) or -EIO.
static inline int lmdb_status(int rc) {
	if (rc == 0)
		return 0;
	if (rc == MDB_MAP_FULL || rc == ENOSPC || rc == EDQUOT || rc == EFBIG)
		return -ENOSPC;
	return rc == EROFS || rc == EACCES || rc == EPERM ? -EROFS : -EIO;
}
