// SPDX-License-Identifier: GPL-3.0-or-later
// Are the contents of a command possible at all? Pure: no table is looked at. Used by dispatch.
#pragma once

#include "dataplane/abi/cmd.h"

// 0; -EINVAL malformed; -EOPNOTSUPP a type that this version does not know.
int dp_cmd_validate(const struct abi_cmd *cmd);
