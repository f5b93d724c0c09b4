#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# Logins by RADIUS: real FreeRADIUS with stock openconnect (PAP, challenges, attributes, failover),
# and a server that misbehaves: late, silent, forged.
# shellcheck source=tests/integration/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/integration/radius.sh
. "$(dirname "$0")/radius.sh"

command -v curl >/dev/null || skip "needs curl"
ground
cat >"$dir/radius.users" <<-'EOF'
	ann	Cleartext-Password := "ann's password"
	    Class = "OU=staff;admins",
	    Class += 0x01ff00,
	    Reply-Message = "Welcome"

	dora	Cleartext-Password := "secret"
	    Framed-IP-Address = 10.200.0.77,
	    Framed-IPv6-Address = 2001:db8:200::77,
	    Framed-Route = "198.51.100.0/24 0.0.0.0 1",
	    Framed-IPv6-Route = "2001:db8:2::/48 :: 1",
	    MS-Primary-DNS-Server = 198.51.100.53,
	    Session-Timeout = 7200

	DEFAULT	User-Name =~ "^[Ee][Vv][Ee]$", Cleartext-Password := "secret"
	    User-Name := "eve"

	two	Cleartext-Password := "third"
	    Class = "twofold"
EOF
radius_server a 198.51.100.2
radius_server b 198.51.100.3
ip -n lan addr add 198.51.100.4/24 dev eth0
radius_start a
radius_start b
url=https://192.0.2.1
# A cheap hash, also for names that the file does not know: what is tested is not crypt(3).
# shellcheck disable=SC2016
printf 'paul:*:%s\n' "$(openssl passwd -5 -salt 'rounds=1000$abcdefgh' file-password)" >"$dir/passwd"
chmod 600 "$dir/passwd"
# shellcheck disable=SC2016
printf '#!/bin/sh\nenv >%s/told-$USERNAME\n' "$dir" >"$dir/env.sh"
chmod 755 "$dir/env.sh"
# The example of docs/operations/radius.md, in a hurry.
gateway_start '."penstock:penstock" |= (. * '"$(doc_example test_radius.sh)"' | . * {
	"scripts": {"connect": "'"$dir"'/env.sh"},
	"radius": {"timeout": 400, "tries": 2, "dead-time": 4},
	"authentication": {"brute-force": {"max-score": 0}, "login-timeout": 60},
	"connections-per-edge": 4096 # one source may have a quarter of them
})'

# authenticate USER WORD...: openconnect's word on it; each word is the answer to a form.
authenticate() {
	local name=$1
	shift
	printf '%s\n' "$@" | ns cl timeout 40 openconnect --authenticate --passwd-on-stdin -u "$name" \
		--servercert "$(pin server)" $url >"$dir/log/oc-$name" 2>&1
}
lets_in() { authenticate "$@" && grep -q "COOKIE='" "$dir/log/oc-$1"; }
child_pid() { pgrep -x "ps-$1"; }

# --- real servers ---

LOGIN=ann PASSWORD="ann's password" client ann
client_wait ann
expect_ping ann 198.51.100.2
[ "$(session_field ann groups)" = "staff,admins" ] ||
	[ "$(ctl --json show sessions | jq -c '[.. | objects | select(.user? == "ann") | .groups][0]')" = '["staff","admins"]' ] ||
	fail "groups: $(ctl --json show sessions)"
lets_in ann "ann's passwort" && fail "a wrong password is let in"
lets_in nobody secret && fail "an unknown user is let in"
lets_in paul file-password || fail "the password file beside RADIUS: $(cat "$dir/log/oc-paul")"
pass "PAP: let in, refused, groups of Class, beside a password file"

# Class comes back in every record as it was given, also from the successor of a killed process.
old=$(child_pid session)
kill -KILL "$old"
wait_log "$dir/log/controlplane" 'event=reconciled connected=1'
client_stop ann
for kind in Start Stop; do
	wait_until "$WAIT" record_there a '."User-Name" == "ann" and ."Acct-Status-Type" == "'$kind'" and ."Acct-Authentic" == "RADIUS"'
done
for class in 0x4f553d73746166663b61646d696e73 0x01ff00; do
	[ "$(grep -c "Class = $class\$" "$dir/radius-a/detail")" = 2 ] || fail "Class $class: $(cat "$dir/radius-a/detail")"
done
pass "Class and Acct-Authentic in Start and Stop"

# What the server says of the user goes before the configuration.
LOGIN=dora PASSWORD=secret client dora
client_wait dora
[ "$(inner4 dora)" = 10.200.0.77 ] || fail "Framed-IP-Address: $(inner4 dora)"
[ "$(inner6 dora)" = 2001:db8:200::77 ] || fail "Framed-IPv6-Address: $(inner6 dora)"
expect_ping dora 198.51.100.2
for line in 'X-CSTP-DNS: 198.51.100.53' 'X-CSTP-Split-Include: 198.51.100.0/255.255.255.0' \
	'X-CSTP-Split-Include-IP6: 2001:db8:2::/48' 'X-CSTP-Session-Timeout: 7200'; do
	grep -qF "$line" "$dir/log/client-dora" || fail "no '$line': $(grep -o 'X-CSTP-[^ ]*: .*' "$dir/log/client-dora")"
done
for line in OCSERV_DNS4=198.51.100.53 OCSERV_ROUTES4=198.51.100.0/255.255.255.0 OCSERV_ROUTES6=2001:db8:2::/48; do
	grep -qxF "$line" "$dir/told-dora" || fail "no '$line' for scripts: $(cat "$dir/told-dora")"
done
client_stop dora
pass "addresses, routes, DNS and session timeout as the server says, also for scripts"

lets_in two first second third || fail "three rounds: $(cat "$dir/log/oc-two")"
grep -q 'Enter word 1' "$dir/log/oc-two" || fail "the first challenge is not shown: $(cat "$dir/log/oc-two")"
grep -q 'Enter word 2' "$dir/log/oc-two" || fail "the second challenge is not shown"
lets_in two first wrong wrong wrong && fail "a wrong answer is let in"
pass "two challenges, with stock openconnect"

# A server that takes EVE for eve says who she is, and that is who has the session.
LOGIN=EVE PASSWORD=secret client eve
client_wait eve
[ "$(session_field eve state)" = connected ] || fail "EVE is not eve: $(ctl --json show sessions)"
wait_until "$WAIT" record_there a '."User-Name" == "eve" and ."Acct-Status-Type" == "Start"'
client_stop eve
lets_in PAUL file-password && fail "PAUL is paul without being told so"
jq '."penstock:penstock".authentication."name-case" = "lower"' "$dir/penstock.json" >"$dir/next.json"
cp "$dir/next.json" "$dir/penstock.json"
ctl reload >"$dir/log/reload" || fail "reload: $(cat "$dir/log/reload")"
lets_in PAUL file-password || fail "PAUL is not paul: $(cat "$dir/log/oc-PAUL")"
grep -q 'event=login .*user=paul ' "$dir/log/controlplane" || fail "whose session is PAUL's?"
pass "names as the server says them, and small letters as configured"

# The first server dies: the next login takes its tries and goes on to the second; those after it
# do not wait for it.
radius_stop a
lets_in ann "ann's password" || fail "failover: $(cat "$dir/log/oc-ann")"
wait_log "$dir/log/controlplane" 'event=radius_server_dead server=one'
before=$(grep -c 'event=radius_answer server=two' "$dir/log/controlplane")
begin=${EPOCHREALTIME/./}
lets_in ann "ann's password" || fail "second login after failover"
[ $((${EPOCHREALTIME/./} - begin)) -lt 1200000 ] || fail "a login after failover took $((${EPOCHREALTIME/./} - begin)) us"
[ "$(grep -c 'event=radius_answer server=two' "$dir/log/controlplane")" -gt "$before" ] || fail "not by b"
radius_start a
back() { lets_in ann "ann's password" && grep -q 'event=radius_server_back server=one' "$dir/log/controlplane"; }
wait_until "$WAIT" back
pass "failover, and back to the first server"

# All dead: an answer, not a hang.
radius_stop a
radius_stop b
lets_in ann "ann's password" && fail "let in without a server"
grep -q 'Got HTTP response: HTTP/1.1 503' "$dir/log/oc-ann" || fail "not told to try later: $(cat "$dir/log/oc-ann")"
lets_in paul file-password || fail "the password file without RADIUS servers"
pass "no server at all: refused, others enter"

# --- a server that misbehaves ---

radius_start b
ns lan "$here/radius_fake.py" 198.51.100.4 1812 "$radius_secret" >"$dir/log/fake" 2>&1 &
wait_log "$dir/log/fake" '^ready'
jq --arg secret "$dir/radius.secret" '."penstock:penstock".radius += {
	"server": [{"name": "fake", "address": "198.51.100.4", "secret-file": $secret}],
	"timeout": 1000, "tries": 1, "dead-time": 0, "accounting": false}' \
	"$dir/penstock.json" >"$dir/next.json"
cp "$dir/next.json" "$dir/penstock.json"
ctl reload >"$dir/log/reload" || fail "reload: $(cat "$dir/log/reload")"

lets_in slow0-good secret || fail "the other server works: $(cat "$dir/log/oc-slow0-good")"
for bad in unsigned foreign tampered other stateless; do
	lets_in $bad secret && fail "$bad: let in"
	grep -q "event=login_refused user=$bad " "$dir/log/controlplane" || fail "$bad: not in the log"
done
grep -q 'event=radius_answer_refused server=fake .*no Message-Authenticator' "$dir/log/controlplane" ||
	fail "a missing Message-Authenticator is not in the log"
grep -q 'event=radius_service server=fake user=other' "$dir/log/controlplane" || fail "Service-Type"
pass "unsigned, foreign and tampered answers are as good as none"

lets_in stuffed secret || fail "unusable attributes: $(cat "$dir/log/oc-stuffed")"
grep -q 'event=radius_attribute server=fake user=stuffed .*attribute=8 ' "$dir/log/controlplane" || fail "no line for a bad address"
lets_in endless 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 && fail "endless challenges: let in"
grep -qE 'event=login_refused user=endless .*(challenges|forms)' "$dir/log/controlplane" || fail "endless: $(grep endless "$dir/log/controlplane" | tail -3)"
pass "unusable attributes are left out, challenges have an end"

# Hundreds of logins wait for their answers at once: they take as long as one, and a user of the
# password file, or one with a quick answer, waits for none of them.
jq '."penstock:penstock".radius.timeout = 15000' "$dir/penstock.json" >"$dir/next.json"
cp "$dir/next.json" "$dir/penstock.json"
ctl reload >"$dir/log/reload" || fail "reload: $(cat "$dir/log/reload")"
many=${MANY-300} wait=${SLOW-8}
for i in $(seq "$many"); do
	[ "$i" = 1 ] || echo next
	echo "url = \"$url/auth\""
	echo "data = \"username=slow$wait-$i&password=secret\""
	echo insecure
	echo "output = /dev/null"
	printf '%s\n' 'write-out = "%{http_code}\n"'
	echo 'max-time = 60'
done >"$dir/curl.conf"
ns cl curl -sS --parallel --parallel-immediate --parallel-max "$many" -K "$dir/curl.conf" >"$dir/log/curl" 2>&1 &
curl_pid=$!
wait_log "$dir/log/fake" "waiting=$((many / 2)) "
begin=${EPOCHREALTIME/./}
lets_in paul file-password || fail "password file beside slow logins"
lets_in slow0-quick secret || fail "a quick answer beside slow ones"
took=$((${EPOCHREALTIME/./} - begin))
[ $took -lt $((wait * 1000000)) ] || fail "two quick logins beside slow ones took $took us"
[ "$(grep -cx 200 "$dir/log/curl")" -lt "$many" ] || fail "the slow logins are over: the test says nothing"
wait $curl_pid || true # its words are in its log
[ "$(grep -cx 200 "$dir/log/curl")" = "$many" ] || fail "of $many slow logins: $(grep -aE '^(curl:|[0-9]{3}$)' "$dir/log/curl" | sort | uniq -c | xargs)"
most=$(grep -o 'most=[0-9]*' "$dir/log/fake" | tail -1)
[ "${most#most=}" -ge $((many * 9 / 10)) ] || fail "only $most waited at once"
pass "$many slow logins at once (${most#most=} at the server), two others beside them in $((took / 1000)) ms"

# kill -9 of the process while a login waits: it is asked again, and the user notices nothing.
authenticate slow3-kill secret &
login_pid=$!
wait_log "$dir/log/fake" 'user=slow3-kill '
old=$(child_pid radius)
kill -KILL "$old"
wait $login_pid || fail "a login over kill -9 of radius: $(cat "$dir/log/oc-slow3-kill")"
[ "$(grep -c 'user=slow3-kill ' "$dir/log/fake")" = 2 ] || fail "asked $(grep -c 'user=slow3-kill ' "$dir/log/fake") times"
pass "kill -9 of radius in the middle of a login"

# A secret that cannot be read is refused by a reload, and the old servers stay.
rm "$dir/radius.secret"
ctl reload >"$dir/log/reload" 2>&1 && fail "a reload without the secret"
grep -q 'RADIUS server fake' "$dir/log/reload" || fail "the reload does not say why: $(cat "$dir/log/reload")"
lets_in slow0-still secret || fail "the old servers are gone after a refused reload"
grep -E "$radius_secret|file-password|ann's password" "$dir/log/controlplane" && fail "a secret is in the log"
pass "a reload without a secret changes nothing; no secret in the log"
