#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# The process table of docs/privsep.md: every role, as it runs, tries what it must not do, and is
# stopped, counted and logged. Also what auth signs, and how often.
# shellcheck source=tests/integration/lib.sh
. "$(dirname "$0")/lib.sh"

[ "$(uname -m)" = x86_64 ] || skip "puts system calls of x86-64 into processes"
ground
printf 'a secret of eight and more\n' >"$dir/radius.secret"
printf '\5\2' >"$dir/keytab" # without a key: every ticket is refused
printf '#!/bin/sh\n' >"$dir/script"
head -c 32 /dev/urandom >"$dir/sessions.key"
chmod 600 "$dir/radius.secret" "$dir/sessions.key"
chmod 755 "$dir/script"
certificate server ec "IP:192.0.2.1,DNS:vpn.example.net"
user test secret
# Every role is started: one that is not here has no row to be tested by.
# shellcheck disable=SC2016
configure '."penstock:penstock" |= (
	.radius = {"server": [{"name": "a", "address": "198.51.100.2", "secret-file": "\($dir)/radius.secret"}]}
	| .["shared-store"] = {"node": "a", "socket": "\($dir)/redis.sock", "secret-file": "\($dir)/sessions.key"}
	| .scripts = {"connect": "\($dir)/script"}
	| .authentication.pam = {"service": "penstock"}
	| .authentication.kerberos = {"keytab-file": "\($dir)/keytab"}
	| .authentication."client-certificate" = {"ocsp": {"url": "http://198.51.100.2/"}}
	| .oidc = {"issuer": "https://idp.example.net", "audience": ["penstock"]}
	| .authentication.method = [{"name": "password", "factor": ["password-file"]},
		{"name": "pam", "factor": ["pam"]}, {"name": "ticket", "factor": ["kerberos"]},
		{"name": "token", "factor": ["oidc"]}]
	| .edges = 3
	| .["signature-rate"] = 40)'
dataplane_start
ns gw python3 "$here/process_table.py" "$dir/penstock.json" || fail "the process table"
