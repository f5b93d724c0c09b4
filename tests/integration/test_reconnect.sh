#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# Coming back: a broken TCP connection, a dataplane restart, a second CONNECT with the same
# cookie: always the same addresses, never a password. A wrong cookie and a dead one: 401.
# shellcheck source=tests/integration/lib.sh
. "$(dirname "$0")/lib.sh"

ground
gateway_start
client a
client_wait a
client_wait_dtls a
a4=$(inner4 a) a6=$(inner6 a)
expect_ping a 198.51.100.2

# The client is told to reconnect (SIGUSR2): same cookie, same addresses.
kill -USR2 "${client_pids[a]}"
wait_log "$dir/log/client-a" 'script: reconnected'
[ "$(inner4 a)" = "$a4" ] && [ "$(inner6 a)" = "$a6" ] || fail "other addresses after a reconnect"
wait_until "$WAIT" in_vpn a ping -qc1 -W1 198.51.100.2
pass "reconnect keeps the addresses"

# The TCP connection is cut off by the network.
ns cl ss -K dst 192.0.2.1 dport = 443 >/dev/null 2>&1 || true
wait_until 60 in_vpn a ping -qc1 -W1 198.51.100.2
[ "$(inner4 a)" = "$a4" ] || fail "other address after the connection was cut"
pass "a cut connection comes back"

# The dataplane dies and is started again.
kill -9 "$(dataplane_pid)"
dataplane_start
wait_until 90 in_vpn a ping -qc1 -W1 198.51.100.2
[ "$(inner4 a)" = "$a4" ] && [ "$(inner6 a)" = "$a6" ] || fail "other addresses after the dataplane's restart"

[ "$(grep -c 'role=session event=login ' "$dir/log/controlplane")" = 1 ] || fail "a password was asked for again"
pass "a dataplane restart: the client comes back by cookie"

# What the session has carried counts on over all of it: four connections, two dataplanes.
total_of() { session_field test "$1"; }
expect_ping a 198.51.100.2
[ "$(total_of total_rx_packets)" -gt "$(total_of rx_packets)" ] ||
	fail "totals began anew: $(ctl --json show session test)"
before=$(total_of total_tx_bytes)
kill -9 "$(pgrep -f -- '--role session')"
wait_until "$WAIT" ctl show sessions
expect_ping a 198.51.100.2
[ "$(total_of total_tx_bytes)" -gt "$before" ] ||
	fail "totals were lost with the session process: $before, then $(total_of total_tx_bytes)"
pass "octets and packets count on over reconnections and restarts"

# A cookie of nobody; one that died with a BYE.
for cookie in "$(head -c 32 /dev/zero | base64)" AAAA '!!'; do
	code=$(connect_with "$cookie")
	[ "$code" = 401 ] || fail "cookie $cookie: status $code, expected 401"
done
pass "wrong cookies: 401"
