#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# Settings of users, groups and virtual hosts, as stock clients see them: addresses, pools, routes,
# DNS, banner, timers; and what a reload changes of them.
# shellcheck source=tests/integration/lib.sh
. "$(dirname "$0")/lib.sh"

command -v oathtool >/dev/null || skip "needs oathtool"

ground
key=3132333435363738393031323334353637383930
echo "HOTP/T30/6 bob - $key" >"$dir/tokens"
certificate server ec "IP:192.0.2.1,DNS:vpn.example.net,DNS:lab.example.net"
user test secret
user ann secret
user bob secret
user gus secret guests
user may secret
gateway_start '.["penstock:penstock"] |= (
	.pool += [
		{"name": "guests", "ipv4-network": "10.201.0.0/24"},
		{"name": "lab", "ipv4-network": "10.202.0.0/24"}
	]
	| .dataplane.port[1].address += ["10.201.0.1/24", "10.202.0.1/24"]
	| .network.banner = "Welcome, all"
	| .network["mobile-idle-timeout"] = 3
	| .user = [{"name": "ann", "settings": {
		"ipv4-address": "10.200.0.77",
		"ipv6-address": "2001:db8:200::77",
		"dns": ["198.51.100.9"],
		"split-include": ["198.51.100.0/24"],
		"default-domain": "ann.example.net",
		"banner": "Hello, ann",
		"mtu": 1300,
		"dpd": 17
	}}]
	| .group = [{"name": "guests", "settings": {
		"pool": ["guests"],
		"dpd": 33,
		"max-same-clients": 1,
		"tx-rate": 100000
	}}]
	| .authentication.otp = {"users-file": "@DIR@/tokens"}
	| .["virtual-host"] = [{"name": "lab", "server-name": ["lab.example.net"],
	  "pre-login-banner": "Lab people only",
	  "method": [{"name": "two", "factor": ["password-file", "otp"]}],
	  "settings": {
		"pool": ["lab"],
		"no-udp": true,
		"banner": "This is the lab",
		"proxy-url": "http://pac.example.net/%{U}.pac",
		"custom-header": ["X-Lab: %{U}"],
		"split-exclude": ["198.51.100.128/25"]
	}}])'

env_has() { # env_has CLIENT LINE...
	local name=$1 line
	shift
	for line in "$@"; do
		grep -qxF -- "$line" "$dir/env-$name" || fail "client $name has no $line: $(cat "$dir/env-$name")"
	done
}
env_lacks() { ! grep -qE -- "$2" "$dir/env-$1" || fail "client $1 has $2: $(cat "$dir/env-$1")"; }
# The DPD time that the client was told last.
dpd_is() { [ "$(grep -oE 'X-CSTP-DPD: [0-9]+' "$dir/log/client-$1" | tail -1)" = "X-CSTP-DPD: $2" ]; }

LOGIN=ann client a
client_wait a
client_wait_dtls a
[ "$(inner4 a)" = 10.200.0.77 ] || fail "ann's address is $(inner4 a)"
[ "$(inner6 a)" = 2001:db8:200::77 ] || fail "ann's IPv6 address is $(inner6 a)"
env_has a INTERNAL_IP4_DNS=198.51.100.9 CISCO_SPLIT_INC=1 CISCO_SPLIT_INC_0_ADDR=198.51.100.0 \
	CISCO_DEF_DOMAIN=ann.example.net INTERNAL_IP4_MTU=1300 "CISCO_BANNER=Hello, ann"
dpd_is a 17 || fail "ann's dpd: $(grep DPD "$dir/log/client-a")"
expect_ping a 198.51.100.2
expect_ping a 2001:db8:2::2
pass "a user with addresses, routes, DNS, domain, MTU and banner of its own"

LOGIN=bob client b
client_wait b
[ "$(inner4 b)" != 10.200.0.77 ] || fail "bob has ann's address"
env_has b "INTERNAL_IP4_DNS=198.51.100.2 2001:db8:2::2" "CISCO_BANNER=Welcome, all"
env_lacks b CISCO_SPLIT_INC
dpd_is b 10 || fail "bob's dpd: $(grep DPD "$dir/log/client-b")"
pass "others have what the network says"

LOGIN=may client m --os=android
client_wait m
grep -q 'X-CSTP-Idle-Timeout: 3$' "$dir/log/client-m" || fail "a phone's idle timeout: $(grep Idle "$dir/log/client-m")"
grep -q 'X-CSTP-Idle-Timeout: none' "$dir/log/client-b" || fail "bob's idle timeout: $(grep Idle "$dir/log/client-b")"
wait_log "$dir/log/controlplane" 'event=disconnect .*user=may reason=idle'
ctl --json show sessions | jq -e '.. | objects | select(.user? == "bob" and .state == "connected")' >/dev/null ||
	fail "bob, who is as idle, is not connected any more"
pass "an idle timeout of their own for phones"

LOGIN=gus client g
client_wait g
case $(inner4 g) in
10.201.0.*) ;;
*) fail "the guest's address is $(inner4 g)" ;;
esac
[ -z "$(inner6 g)" ] || fail "the guest has an IPv6 address, but the pool has none"
dpd_is g 33 || fail "the guest's dpd: $(grep DPD "$dir/log/client-g")"
[ "$(session_field gus group)" = guests ] || fail "the group is not shown"
expect_ping g 198.51.100.2
LOGIN=gus client g2
wait_log "$dir/log/client-g2" 'HTTP/1.1 [45]|Too many'
wait "$client_pid" 2>/dev/null && fail "a second guest session is let in"
pass "a group's pool, dpd and limit of sessions"

# The user's own address: one session has it, the newest.
LOGIN=ann client a2
client_wait a2
[ "$(inner4 a2)" = 10.200.0.77 ] || fail "ann's second session has $(inner4 a2)"
wait "${client_pids[a]}" 2>/dev/null || true
grep -q 'event=replace_address' "$dir/log/controlplane" || fail "the replacement is not logged"
expect_ping a2 198.51.100.2
pass "the newest of a user's sessions has the user's own address"

# By the name that the client asks for: other ways to log in, too.
echo secret | ns cl timeout 60 openconnect --authenticate -u bob --servercert "$(pin server)" \
	--non-inter --passwd-on-stdin --resolve lab.example.net:192.0.2.1 https://lab.example.net \
	>"$dir/log/alone" 2>&1 && fail "the lab lets in without a code"
grep -q 'Code:' "$dir/log/alone" || fail "the lab asks for no code"
grep -q 'Lab people only' "$dir/log/alone" || fail "the lab's form does not show its banner"
LOGIN=bob PASSWORD=$(printf 'secret\n%s' "$(oathtool --totp $key)") URL=https://lab.example.net client l --resolve lab.example.net:192.0.2.1
client_wait l
case $(inner4 l) in
10.202.0.*) ;;
*) fail "the lab's address is $(inner4 l)" ;;
esac
env_has l "CISCO_BANNER=This is the lab" CISCO_PROXY_PAC=http://pac.example.net/bob.pac CISCO_SPLIT_EXC_0_ADDR=198.51.100.128
ctl --json show sessions | jq -e '.. | objects | select(.virtual_host? == "lab" and .user == "bob")' >/dev/null ||
	fail "the virtual host is not shown"
expect_ping l 198.51.100.2
grep -q 'Established DTLS' "$dir/log/client-l" && fail "DTLS in spite of no-udp"
pass "a virtual host's methods, pool, banner, routes, without DTLS"

# A reload counts from the next CONNECT on; the addresses stay.
jq '.["penstock:penstock"] |= (
	.network += {"append-routes": true, "split-include": ["203.0.113.0/24", "2001:db8:7::/48"],
		"split-exclude": ["203.0.113.128/25"]}
	| .user[0].settings += {"dns": ["198.51.100.10"], "banner": "Hello again", "dpd": 19}
	| .group[0].settings += {"dpd": 34, "pool": ["default"]})' "$dir/penstock.json" >"$dir/new.json"
mv "$dir/new.json" "$dir/penstock.json"
ctl reload >"$dir/out" 2>&1 || fail "reload: $(cat "$dir/out")"
guest=$(inner4 g)
kill -USR2 "${client_pids[g]}"
wait_until "$WAIT" dpd_is g 34
expect_ping g 198.51.100.2
[ "$(session_field gus ipv4)" = "$guest" ] || fail "the guest's address changed: $(session_field gus ipv4)"
client_stop a2
LOGIN=ann client a3
client_wait a3
env_has a3 INTERNAL_IP4_DNS=198.51.100.10 "CISCO_BANNER=Hello again" CISCO_SPLIT_INC=2 \
	CISCO_SPLIT_INC_0_ADDR=203.0.113.0 CISCO_SPLIT_INC_1_ADDR=198.51.100.0 \
	CISCO_IPV6_SPLIT_INC_0_ADDR=2001:db8:7:: CISCO_SPLIT_EXC_0_ADDR=203.0.113.128
dpd_is a3 19 || fail "ann's new dpd: $(grep DPD "$dir/log/client-a3")"
client_stop g
LOGIN=gus client g3
client_wait g3
case $(inner4 g3) in
10.200.0.*) ;;
*) fail "the guest's new address is $(inner4 g3)" ;;
esac
env_has g3 CISCO_SPLIT_INC=1 CISCO_SPLIT_INC_0_ADDR=203.0.113.0
pass "a reload changes settings at the next CONNECT, and addresses at the next login; append-routes"

# The group and the virtual host outlive the processes.
kill -KILL "$(pgrep -f 'session' -P "$(supervisor_pid)" | head -1)"
wait_until "$WAIT" sh -c "[ \$(grep -c 'event=store_loaded' $dir/log/controlplane) -ge 2 ]"
kill -USR2 "${client_pids[g3]}"
wait_log "$dir/log/client-g3" 'script: reconnected'
dpd_is g3 34 || fail "dpd after a restart: $(grep DPD "$dir/log/client-g3")"
expect_ping g3 198.51.100.2
[ "$(session_field gus group)" = guests ] || fail "the group is gone after a restart"
pass "group and settings outlive the session process"
