#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# How sessions end: by the user, by the operator, by silence (DPD), and what becomes of the cookie.
# shellcheck source=tests/integration/lib.sh
. "$(dirname "$0")/lib.sh"

command -v nft >/dev/null || skip "needs nft"
ground
gateway_start '.["penstock:penstock"].network.dpd = 2'

cookie_of() { # cookie_of: logs in, prints the cookie
	printf 'secret\n' | ns cl openconnect --authenticate --passwd-on-stdin -u test \
		--servercert "$(pin server)" https://192.0.2.1 2>/dev/null | sed -n "s/^COOKIE='\(.*\)'/\1/p"
}

# The user leaves (BYE): the cookie dies.
cookie=$(cookie_of)
[ -n "$cookie" ] || fail "no cookie"
[ "$(connect_with "$cookie")" = 200 ] || fail "the cookie is not accepted"
[ "$(connect_with "$cookie")" = 200 ] || fail "the cookie is not accepted twice"
COOKIE=$cookie client u
client_wait u
client_wait_dtls u
expect_ping u 198.51.100.2
client_stop u
code=$(connect_with "$cookie")
[ "$code" = 401 ] || fail "after BYE the cookie gets $code, expected 401"
pass "the user leaves: the cookie dies"

# The operator ends it: the client goes, its cookie is worth nothing.
for mode in "" --no-dtls; do
	cookie=$(cookie_of)
	COOKIE=$cookie client o $mode
	client_wait o
	expect_ping o 198.51.100.2
	ctl disconnect user test
	wait_log "$dir/log/client-o" 'script: disconnected'
	code=$(connect_with "$cookie")
	[ "$code" = 401 ] || fail "after disconnect the cookie gets $code, expected 401"
	wait "${client_pids[o]}" || true
	pass "the operator disconnects ${mode:-with DTLS}"
done
ctl disconnect user nobody >"$dir/log/ctl" 2>&1 && fail "disconnect of an unknown user succeeds"
grep -q nobody "$dir/log/ctl" || fail "the error does not name the user: $(cat "$dir/log/ctl")"

# The client vanishes: silence ends the session, the cookie stays for its timeout.
cookie=$(cookie_of)
COOKIE=$cookie client v
client_wait v
client_wait_dtls v
address=$(inner4 v)
kill -9 "${client_pids[v]}"
ip -n cl link set eth0 down
wait_log "$dir/log/controlplane" 'reason=dpd' 30
pass "a silent client is ended by DPD"
ip -n cl link set eth0 up
wait_until 10 ns cl ping -qc1 -W1 192.0.2.1
COOKIE=$cookie client w
client_wait w
[ "$(inner4 w)" = "$address" ] || fail "another address after coming back"
expect_ping w 198.51.100.2
pass "and comes back by cookie to the same address"

# UDP dies, TCP lives: the server falls back to TLS, and DTLS comes back.
client_wait_dtls w
ns cl nft -f - <<-END
	table inet f {
		chain o {
			type filter hook output priority 0;
			udp dport 443 drop
		}
		chain i {
			type filter hook input priority 0;
			udp sport 443 drop
		}
	}
END
on_tls() { [ "$(session_field test channel)" = TLS ]; }
wait_until 30 on_tls
wait_until 30 in_vpn w ping -qc1 -W1 198.51.100.2
pass "UDP blocked: TLS carries on"
ns cl nft delete table inet f
