#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# A client behind NAT whose port moves: an authentic record moves the session, a forged one does
# not, and forged ones at rate disturb nobody.
# shellcheck source=tests/integration/lib.sh
. "$(dirname "$0")/lib.sh"

for tool in nft conntrack; do command -v $tool >/dev/null || skip "needs $tool"; done
ground
add_ns home
link cl in0 home eth0
addr cl in0 10.0.0.1/24
addr home eth0 10.0.0.2/24
ip -n home route add default via 10.0.0.1
ns cl sysctl -qw net.ipv4.ip_forward=1
nat() { # nat PORT-RANGE
	ns cl nft -f - <<-END
		flush ruleset
		table ip nat {
			chain post {
				type nat hook postrouting priority 100;
				ip protocol udp oifname eth0 snat to 192.0.2.2:$1
				ip protocol tcp oifname eth0 snat to 192.0.2.2
			}
		}
	END
}
nat 20000-20100
gateway_start
CLIENT_NS=home client a
client_wait a
client_wait_dtls a
expect_ping a 198.51.100.2
before=$(counter dtls_moved)

nat 30000-30100
ns cl conntrack -F >/dev/null 2>&1 || fail "cannot flush the NAT's table"
move_done() { in_vpn a ping -q -c 1 -W 1 198.51.100.2 >/dev/null 2>&1; [ "$(counter dtls_moved)" -gt "$before" ]; }
wait_until 20 move_done
expect_ping a 198.51.100.2
on_dtls() { [ "$(session_field test channel)" = DTLS ]; }
wait_until 5 on_dtls
pass "the session followed the client to its new port"

# Forged records from the client's address and other ports: counted, nothing moves.
moved=$(counter dtls_moved)
ns cl timeout 60 python3 - <<'END'
import os, socket
for port in range(40000, 40050):
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    s.bind(("192.0.2.2", port))
    for seq in range(200):
        s.sendto(b"\x17\xfe\xfd\x00\x01" + seq.to_bytes(6, "big") + (80).to_bytes(2, "big") + os.urandom(80), ("192.0.2.1", 443))
END
expect_ping a 198.51.100.2
[ "$(counter dtls_moved)" = "$moved" ] || fail "a forged record moved the session"
[ $(($(counter drop_dtls_auth) + $(counter drop_roam_rate) + $(counter drop_dtls_unknown))) -gt 0 ] ||
	fail "forged records are not counted"
pass "forged records move nothing"
