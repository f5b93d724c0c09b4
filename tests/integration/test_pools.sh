#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# Small pools: an empty one refuses with a reason, addresses come free and stay with their users.
# shellcheck source=tests/integration/lib.sh
. "$(dirname "$0")/lib.sh"
export PYTHONDONTWRITEBYTECODE=1

ground
tunnels() { ns cl timeout 60 python3 "$here/pool_cases.py" "$@" >"$dir/log/case" 2>&1 || fail "$*: $(cat "$dir/log/case")"; }

gateway_start '.["penstock:penstock"].pool[0] = {"name": "default",
		"ipv4-network": "10.200.0.0/30", "ipv4-gateway": "10.200.0.1"}
	| .["penstock:penstock"].dataplane.port[1].address = ["10.200.0.1/30"]
	| .["penstock:penstock"].authentication["cookie-timeout"] = 10'
user u2 secret
user u3 secret
tunnels full
grep -q 'event=connect_refused.*status=503' "$dir/log/controlplane" || fail "the refusal is not in the log"
pass "one address: the second user gets a 503 with its reason, and the address when it is free"
tunnels expiry
pass "the cookie's timeout frees the address"
gateway_stop

rm -rf "$dir/state"
mkdir "$dir/state"
gateway_start '.["penstock:penstock"].pool[0] = {"name": "default",
		"ipv4-network": "10.200.0.0/29", "ipv4-gateway": "10.200.0.1"}
	| .["penstock:penstock"].dataplane.port[1].address = ["10.200.0.1/29"]'
tunnels twice
pass "the same user twice has two addresses"
tunnels sticky
pass "a user who comes back gets the same address, while others come and go"
