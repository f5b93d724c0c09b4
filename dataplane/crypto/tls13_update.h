// SPDX-License-Identifier: GPL-3.0-or-later
// Next generation of TLS 1.3 traffic keys (RFC 8446, 7.2). Control thread only.
#pragma once

#include <stdint.h>

#include "dataplane/abi/abi.h"
#include "dataplane/proto/tls_record.h"

// From the secret of `keys` (secret_len bytes) makes the next secret, key and IV in place and
// sets seq to 0. 0, or -EINVAL when there is no secret; `keys` is unchanged then.
int tls13_keys_update(const struct tls_protection *p, struct abi_keys *keys);
