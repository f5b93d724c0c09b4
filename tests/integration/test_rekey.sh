#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# Rekey by a new tunnel: the client comes back with its cookie, keeps its addresses, gets new keys.
# shellcheck source=tests/integration/lib.sh
. "$(dirname "$0")/lib.sh"

ground
gateway_start '.["penstock:penstock"].network["rekey-time"] = 60'
client a
client_wait a
client_wait_dtls a
grep -q 'X-CSTP-Rekey-Method: new-tunnel' "$dir/log/client-a" || fail "rekey is not announced"
address=$(inner4 a)
expect_ping a 198.51.100.2
wait_log "$dir/log/client-a" 'script: reconnected' 120
handshakes() { [ "$(grep -c 'Established DTLS connection' "$dir/log/client-a")" -ge 2 ]; }
wait_until "$WAIT" handshakes
[ "$(inner4 a)" = "$address" ] || fail "another address after the rekey"
expect_ping a 198.51.100.2
[ "$(grep -c 'role=session.* event=login ' "$dir/log/controlplane")" = 1 ] || fail "a password was asked for again"
[ "$(ctl --json show sessions | jq '[.. | objects | select(.user? == "test")] | length')" = 1 ] ||
	fail "the old tunnel is left over: $(ctl show sessions)"
pass "rekey by new tunnel"
