// SPDX-License-Identifier: GPL-3.0-or-later
// Lowers the MSS option of TCP SYNs to what fits the tunnel (RFC 6691). Pure; used by l3-forward.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "dataplane/proto/ip.h"

// ip: a parsed packet, first fragment or whole. mtu: bytes of the smallest link on its way that
// we know. A larger MSS option is lowered in place, the checksum following (RFC 1624); nothing
// is added where there is no option. True: lowered.
bool mss_clamp(uint8_t *ip, const struct ip_info *info, uint16_t mtu);
