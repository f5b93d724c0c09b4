#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# Users who are locked or taken out of the password file while they are connected, or while the
# control plane is away: their sessions end, and their cookies; those of others stay.
# shellcheck source=tests/integration/lib.sh
. "$(dirname "$0")/lib.sh"

ground
for name in ann bob cid dan; do user "$name" secret; done
gateway_start
log=$dir/log/controlplane
change() { "$BUILD/tools/cli/penstockctl" passwd -c "$dir/passwd" "$@" >/dev/null; }
is_connected() { [ "$(session_field "$1" state)" = connected ]; }
# A cookie of the user, by a login of its own.
cookie() {
	echo secret | ns cl timeout 30 openconnect --authenticate -u "$1" --servercert "$(pin server)" \
		--non-inter --passwd-on-stdin https://192.0.2.1 2>/dev/null |
		sed -n "s/^COOKIE='\(.*\)'/\1/p"
}

for name in ann bob cid; do
	LOGIN=$name client $name
	client_wait $name
	expect_ping $name 198.51.100.2
done
ann=$(cookie ann)
change -l ann
wait_log "$log" 'event=user_removed user=ann sessions=2'
wait "${client_pids[ann]}" 2>/dev/null || true
[ "$(connect_with "$ann")" = 401 ] || fail "the cookie of a locked user is good"
expect_ping bob 198.51.100.2
expect_ping cid 198.51.100.2
[ "$(grep -c event=user_removed "$log")" = 1 ] || fail "more than one user was removed"
pass "a locked user loses session and cookie, others do not"

# While nobody looks; the tunnel goes on until the control plane is back.
kill -TERM "$(supervisor_pid)"
wait "$controlplane_pid" || fail "the control plane stopped with status $?"
change -d bob
expect_ping bob 198.51.100.2
controlplane_start
wait_log "$log" 'event=user_removed user=bob sessions=1'
wait "${client_pids[bob]}" 2>/dev/null || true
is_connected cid || fail "cid is not connected any more"
pass "a user who was deleted while the control plane was stopped"

jq '."penstock:penstock".authentication."end-removed-users" = false' "$dir/penstock.json" >"$dir/new.json"
mv "$dir/new.json" "$dir/penstock.json"
ctl reload >/dev/null || fail "reload"
change -l cid
before=$(grep -c 'event=passwords' "$log")
[ -n "$(cookie dan)" ] || fail "dan is not let in"
[ "$(grep -c 'event=passwords' "$log")" -gt "$before" ] || fail "the file was not read again"
expect_ping cid 198.51.100.2
[ "$(grep -c event=user_removed "$log")" = 1 ] || fail "a user was removed in spite of the configuration"
jq '."penstock:penstock".authentication."end-removed-users" = true' "$dir/penstock.json" >"$dir/new.json"
mv "$dir/new.json" "$dir/penstock.json"
ctl reload >/dev/null || fail "reload"
wait_log "$log" 'event=user_removed user=cid sessions=1'
wait "${client_pids[cid]}" 2>/dev/null || true
pass "end-removed-users, switched by a reload"
gateway_stop
