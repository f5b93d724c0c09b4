#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# Logins by Kerberos with a real MIT KDC: stock openconnect and curl with tickets, the form for those
# without, realms, old tickets, a second factor, a new keytab, and a process that dies.
# shellcheck source=tests/integration/lib.sh
. "$(dirname "$0")/lib.sh"

for tool in krb5kdc kadmin.local kinit curl oathtool; do
	PATH=$PATH:/usr/sbin command -v $tool >/dev/null || skip "needs $tool"
done
PATH=$PATH:/usr/sbin
curl -V | grep -q GSS-API || skip "needs curl with GSS-API"

ground
name=vpn.example.net
mkdir "$dir/kdc"
cp /etc/hosts "$dir/hosts"
printf '192.0.2.1 %s\n' $name >>"$dir/hosts"
mount --bind "$dir/hosts" /etc/hosts

# --- a KDC beside the client, with two realms that trust each other ---

cat >"$dir/krb5.conf" <<-EOF
	[libdefaults]
	default_realm = EXAMPLE.NET
	dns_lookup_kdc = false
	dns_lookup_realm = false
	rdns = false
	dns_canonicalize_hostname = false
	[realms]
	EXAMPLE.NET = {
		kdc = 127.0.0.1:88
	}
	OTHER.NET = {
		kdc = 127.0.0.1:88
	}
	[domain_realm]
	.example.net = EXAMPLE.NET
EOF
cat >"$dir/kdc.conf" <<-EOF
	[kdcdefaults]
	kdc_listen = 127.0.0.1:88
	kdc_tcp_listen = 127.0.0.1:88
	[realms]
	EXAMPLE.NET = {
		database_name = $dir/kdc/example
		key_stash_file = $dir/kdc/stash.example
	}
	OTHER.NET = {
		database_name = $dir/kdc/other
		key_stash_file = $dir/kdc/stash.other
	}
	[logging]
	kdc = FILE:$dir/log/kdc
EOF
export KRB5_CONFIG=$dir/krb5.conf KRB5_KDC_PROFILE=$dir/kdc.conf
kadmin() { kadmin.local -r "$1" -q "$2" >>"$dir/log/kadmin" 2>&1 || fail "kadmin: $2: $(tail -3 "$dir/log/kadmin")"; }
for realm in EXAMPLE.NET OTHER.NET; do
	kdb5_util -r $realm create -s -P master >>"$dir/log/kadmin" 2>&1 || fail "kdb5_util: $(cat "$dir/log/kadmin")"
	kadmin $realm "addprinc -pw trust krbtgt/EXAMPLE.NET@OTHER.NET"
	kadmin $realm "addprinc -pw secret ann"
done
for user in bob ann/admin; do kadmin EXAMPLE.NET "addprinc -pw secret $user"; done
kadmin EXAMPLE.NET "addprinc -randkey HTTP/$name"
kadmin EXAMPLE.NET "ktadd -k $dir/keytab HTTP/$name"
in_ns cl krb5kdc -n -r EXAMPLE.NET -r OTHER.NET >"$dir/log/krb5kdc" 2>&1 &
wait_until "$WAIT" ns cl sh -c 'ss -ltn | grep -q :88'

ticket() { # ticket PRINCIPAL [kinit options]: in a cache of its own, used from now on
	local principal=$1
	shift
	export KRB5CCNAME=FILE:$dir/cc-${principal//\//-}
	echo secret | ns cl kinit "$@" "$principal" >/dev/null 2>"$dir/log/kinit" || fail "kinit: $(cat "$dir/log/kinit")"
}

user ann secret
: >"$dir/tokens"
base=".\"penstock:penstock\" += $(doc_example test_kerberos.sh) | .\"penstock:penstock\".authentication |= (
	.[\"login-timeout\"] = 30 | .[\"brute-force\"] = {\"max-score\": 0})"
gateway_start "$base"
grep -q 'role=kerberos event=keytab keys=' "$dir/log/controlplane" || fail "no keytab"

url=https://$name
init='<config-auth client="vpn" type="init"><version who="vpn">v9</version></config-auth>'
negotiate() { # negotiate [curl options]: into $status, body and head
	status=$(ns cl curl -sk --max-time 20 --negotiate -u : -c "$dir/jar" -b "$dir/jar" -o "$dir/body" \
		-D "$dir/head" -w '%{http_code}' -d "$init" "$@" $url/) || true
	rm -f "$dir/jar"
}
says() { grep -qF -- "$1" "$dir/body" || fail "no $1: $status $(cat "$dir/head" "$dir/body")"; }
refused() { [ "$status" = 401 ] || fail "$1: $status $(cat "$dir/head" "$dir/body")"; }
last_user() { ctl --json show sessions | jq -r '[.. | objects | select(.user?)] | max_by(.id).user'; }

# --- openconnect: a ticket, no password ---

ticket ann
URL=$url PASSWORD='' LOGIN='' client one --http-auth=Negotiate
client_wait one
expect_ping one 198.51.100.2
[ -n "$(session_field ann id)" ] || fail "user: $(ctl --json show sessions)"
client_stop one
grep -q 'role=kerberos event=kerberos user=ann remote=192.0.2.2' "$dir/log/controlplane" || fail "no line of the login"
pass "openconnect with a ticket"

KRB5CCNAME=FILE:$dir/none URL=$url PASSWORD=secret LOGIN=ann client two
client_wait two
client_stop two
pass "openconnect without a ticket gets the form"

# --- curl ---

negotiate
says 'auth id="success"'
grep -qi '^WWW-Authenticate: Negotiate [A-Za-z0-9+/=]' "$dir/head" || fail "no token of the server: $(cat "$dir/head")"
status=$(ns cl curl -sk -o "$dir/body" -D "$dir/head" -w '%{http_code}' -d "$init" $url/)
says 'name="username"'
status=$(ns cl curl -sk -o "$dir/body" -D "$dir/head" -w '%{http_code}' -H 'X-Support-HTTP-Auth: true' -d "$init" $url/)
refused "openconnect without a token yet"
grep -qi '^X-HTTP-Auth-Support: fallback' "$dir/head" || fail "no fallback: $(cat "$dir/head")"
for bad in 'Negotiate' 'Negotiate YWJj' 'Negotiate TlRMTVNTUAABAAAA' \
	"Negotiate $(head -c 24000 /dev/zero | base64 -w0)"; do
	status=$(ns cl curl -sk -o "$dir/body" -D "$dir/head" -w '%{http_code}' -H "Authorization: $bad" -d "$init" $url/)
	[ "$status" = 401 ] || says 'name="username"'
	grep -q 'auth id="success"' "$dir/body" && fail "let in by $bad"
done
pass "curl with a ticket, and what is no ticket"

# --- who ---

ticket ann/admin
negotiate
refused "a principal of two parts"
ticket ann@OTHER.NET
negotiate
refused "a realm that is not ours"
grep -q 'event=kerberos remote=192.0.2.2 result=refused text="the realm is not one of ours"' "$dir/log/controlplane" || fail "no line of it"
configure "$base"' | ."penstock:penstock".authentication.kerberos.realm = ["OTHER.NET"]'
ctl reload >/dev/null || fail "reload"
negotiate
says 'auth id="success"'
ticket bob
negotiate
refused "the keytab's realm, when another is configured"
configure "$base"' | ."penstock:penstock".authentication.kerberos["require-local-user-map"] = false'
ctl reload >/dev/null || fail "reload"
ticket ann@OTHER.NET
negotiate
says 'auth id="success"'
[ -n "$(session_field ann@OTHER.NET id)" ] || fail "not known with the realm: $(ctl --json show sessions)"
pass "realms, and users known with theirs"

# --- how old ---

configure "$base"' | ."penstock:penstock".authentication.kerberos["ticket-freshness"] = 3600'
ctl reload >/dev/null || fail "reload"
ticket bob
negotiate
says 'auth id="success"'
configure "$base"' | ."penstock:penstock".authentication.kerberos["ticket-freshness"] = 1'
ctl reload >/dev/null || fail "reload"
old() { negotiate && [ "$status" = 401 ]; }
wait_until "$WAIT" old
grep -q 'text="the ticket-granting ticket is too old"' "$dir/log/controlplane" || fail "no line of it"
pass "a ticket that is too old"

# --- a second factor, and no form at all ---

key=3132333435363738393031323334353637383930
echo "HOTP/T30/6 bob - $key" >"$dir/tokens"
configure "$base"' | ."penstock:penstock".authentication |= (.method = [{"name": "both", "factor": ["kerberos", "otp"]}]
	| .otp = {"users-file": "@DIR@/tokens"})'
ctl reload >/dev/null || fail "reload"
status=$(ns cl curl -sk -o "$dir/body" -D "$dir/head" -w '%{http_code}' -d "$init" $url/)
refused "no form where every method begins with Kerberos"
grep -qi '^X-HTTP-Auth-Support' "$dir/head" && fail "a fallback that there is not"
ticket bob
status=$(ns cl curl -sk --max-time 20 --negotiate -u : -c "$dir/jar2" -o "$dir/body" -D "$dir/head" \
	-w '%{http_code}' -d "$init" $url/)
says 'label="Code:"'
status=$(ns cl curl -sk -b "$dir/jar2" -o "$dir/body" -D "$dir/head" -w '%{http_code}' \
	-d "secondary_password=$(oathtool --totp $key)" $url/auth)
says 'auth id="success"'
pass "a ticket and a code"

# --- a new key, and a process that dies ---

configure "$base"
ctl reload >/dev/null || fail "reload"
kadmin EXAMPLE.NET "cpw -randkey HTTP/$name"
rm "$dir/cc-bob"
ticket bob
negotiate
refused "a ticket with a key that the keytab does not have"
kadmin EXAMPLE.NET "ktadd -norandkey -k $dir/keytab HTTP/$name"
ctl reload >/dev/null || fail "reload"
negotiate
says 'auth id="success"'
mv "$dir/keytab" "$dir/keytab.good"
echo nonsense >"$dir/keytab"
ctl reload >/dev/null 2>&1 && fail "a reload with a broken keytab"
negotiate
says 'auth id="success"'
mv "$dir/keytab.good" "$dir/keytab"
pass "a new keytab with a reload; a broken one refuses it"

kerberos() { pgrep -x ps-kerberos; }
before=$(kerberos)
requests() { grep -c 'event=request .*path=/$' "$dir/log/controlplane"; }
count=$(requests)
asked() { [ "$(requests)" -gt "$count" ]; }
kill -STOP "$before"
ns cl curl -sk --max-time 30 --negotiate -u : -o /dev/null -D "$dir/head-late" -w '%{http_code}' \
	-d "$init" $url/ >"$dir/status-late" &
late=$!
wait_until "$WAIT" asked
kill -9 "$before"
wait $late || true
grep -qE '^(503|200)$' "$dir/status-late" || fail "a login while the process died: $(cat "$dir/status-late" "$dir/head-late")"
serves() { negotiate && [ "$status" = 200 ]; }
wait_until "$WAIT" serves
says 'auth id="success"'
pass "kill -9 of the process: an error, and later logins as ever"

grep -E "$(base64 -w0 <"$dir/keytab" | cut -c1-40)" "$dir/log/controlplane" && fail "a key in the log"
grep -qi 'negotiate [A-Za-z0-9+/]\{40\}' "$dir/log/controlplane" && fail "a token in the log"
pass "no key or token in the log"
