#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# Wrong configurations are named and change nothing; reload applies what can be applied.
# shellcheck source=tests/integration/lib.sh
. "$(dirname "$0")/lib.sh"

ground
certificate server ec "IP:192.0.2.1"
user test secret
controlplane=$BUILD/controlplane/penstock-controlplane

wrong() { # wrong JQ-FILTER EXPECTED...
	configure "$1"
	shift
	if "$controlplane" --check "$dir/penstock.json" >"$dir/out" 2>&1; then
		fail "accepted: $(diff <(jq -S . "$here/gateway.json") <(jq -S . "$dir/penstock.json"))"
	fi
	[ "$(wc -l <"$dir/out")" -ge 1 ] || fail "no error text"
	for word in "$@"; do
		grep -qiF -- "$word" "$dir/out" || fail "the error does not say '$word': $(cat "$dir/out")"
	done
}
configure
"$controlplane" --check "$dir/penstock.json" || fail "the base configuration is refused"
wrong '.["penstock:penstock"].nonsense = 1' nonsense
wrong '.["penstock:penstock"].network.dpd = "soon"' dpd soon
wrong '.["penstock:penstock"].network.mtu = 100' mtu 100
wrong '.["penstock:penstock"].pool[0]["ipv4-gateway"] = "10.1.1.1"' gateway 10.1.1.1
wrong '.["penstock:penstock"].dataplane.port[0].mode = "tap"' port
wrong 'del(.["penstock:penstock"].certificate)' certificate
pass "wrong settings are named"

gateway_start
cp "$dir/penstock.json" "$dir/good.json"
client a
client_wait a
client_wait_dtls a

# A broken file: refused with its reason, and what runs goes on.
echo '{"penstock:penstock": {' >"$dir/penstock.json"
ctl reload >"$dir/out" 2>&1 && fail "a broken file is reloaded"
expect_ping a 198.51.100.2
configure '.["penstock:penstock"].network.mtu = 1'
ctl reload >"$dir/out" 2>&1 && fail "an invalid file is reloaded"
grep -q mtu "$dir/out" || fail "reload does not name the setting: $(cat "$dir/out")"
pass "a wrong reload is refused and changes nothing"

# A banner and other DNS for new clients, at once; a new certificate too.
configure '.["penstock:penstock"].network.banner = "Welcome to the pipe" |
	.["penstock:penstock"].network.dns = ["198.51.100.3"] |
	.["penstock:penstock"].network["split-include"] = ["198.51.100.0/24", "2001:db8:2::/64"]'
certificate server rsa "IP:192.0.2.1"
ctl reload >"$dir/out" 2>&1 || fail "reload: $(cat "$dir/out")"
expect_ping a 198.51.100.2
client b
client_wait b
grep -q 'Welcome to the pipe' "$dir/env-b" "$dir/log/client-b" || fail "the banner is not there"
grep -q 'INTERNAL_IP4_DNS=198.51.100.3' "$dir/env-b" || fail "the new DNS is not there"
grep -q 'CISCO_SPLIT_INC_0_ADDR=198.51.100.0' "$dir/env-b" || fail "split include is not there"
grep -q 'CISCO_IPV6_SPLIT_INC_0_ADDR=2001:db8:2::' "$dir/env-b" || fail "IPv6 split include is not there"
pass "reload applies settings and certificates"

configure '.["penstock:penstock"].dataplane.workers = 2'
ctl reload >"$dir/out" 2>&1 || true
grep -q workers "$dir/out" && grep -qi restart "$dir/out" || fail "reload does not say what needs a restart: $(cat "$dir/out")"
kill -HUP "$(supervisor_pid)"
pass "what needs a restart is said"
