#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# 100 MB both ways over DTLS and over TLS, compared by hash.
# shellcheck source=tests/integration/lib.sh
. "$(dirname "$0")/lib.sh"

command -v socat >/dev/null || skip "needs socat"
ground
gateway_start
head -c 100000000 /dev/urandom >"$dir/file"
sum=$(sha256sum <"$dir/file")

transfer() { # transfer CLIENT NAME
	ns lan socat -u "OPEN:$dir/file" TCP-LISTEN:7001,reuseaddr 2>>"$dir/log/socat" &
	wait_until 5 ns lan sh -c 'ss -ltn | grep -q :7001'
	[ "$(in_vpn "$1" socat -u TCP:198.51.100.2:7001 - 2>>"$dir/log/socat" | sha256sum)" = "$sum" ] ||
		fail "$2: the file came down changed"
	ns lan sh -c "socat -u TCP6-LISTEN:7002,reuseaddr - 2>>$dir/log/socat | sha256sum >$dir/up" &
	local server=$!
	wait_until 5 ns lan sh -c 'ss -ltn | grep -q :7002'
	in_vpn "$1" socat -u "OPEN:$dir/file" "TCP6:[2001:db8:2::2]:7002" 2>>"$dir/log/socat"
	wait $server
	[ "$(cat "$dir/up")" = "$sum" ] || fail "$2: the file came up changed"
	pass "$2: 100 MB down (IPv4) and up (IPv6)"
}

client d
client_wait d
client_wait_dtls d
transfer d DTLS
client_stop d
client t --no-dtls
client_wait t
transfer t TLS
[ "$(counter drop_stream_bad)" = 0 ] && [ "$(counter drop_stream_auth)" = 0 ] ||
	fail "the stream had bad records"
