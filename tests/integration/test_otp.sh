#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# Two factors and alternatives: password and one-time password with stock openconnect and by hand;
# wrong codes, replay (also after a restart of everything), logins that lose their edge in the
# middle, go on from another connection, or belong to another client; limits.
# shellcheck source=tests/integration/lib.sh
. "$(dirname "$0")/lib.sh"

command -v curl >/dev/null || skip "needs curl"
command -v oathtool >/dev/null || skip "needs oathtool"

ground
addr cl eth0 192.0.2.3/24
url=https://192.0.2.1
key() { printf '3132333435363738393031323334353637%04x' "$1"; } # 19 bytes, another one for each number

# Each user whose code is checked has a token of its own, so that no test waits for a time step.
users=(ann bob cid dan eve fay gus hal ida jon kim)
: >"$dir/tokens"
for i in "${!users[@]}"; do
	user "${users[i]}" secret
	echo "HOTP/T30/6 ${users[i]} - $(key "$i")" >>"$dir/tokens"
done
user lee secret
{
	echo "HOTP/E/6 lee - $(key 100) 5"
	echo "HOTP/T60/8 max 4711 $(key 101)"
	echo "HOTP/T30/6 broken - xyz"
} >>"$dir/tokens"
user nan secret # has no token
totp() { # totp USER: its code now
	local i
	for i in "${!users[@]}"; do
		if [ "${users[i]}" = "$1" ]; then
			oathtool --totp "$(key "$i")"
		fi
	done
}

two='."penstock:penstock".authentication += {
	"method": [{"name": "two", "factor": ["password-file", "otp"]}],
	"otp": {"users-file": "@DIR@/tokens"}}'
gateway_start "$two"

# --- by hand ---

# form COOKIES FIELD... : posts the fields with this cookie jar; the status is in $status, the
# answer in body and head.
form() {
	local jar=$dir/jar-$1 field args=()
	shift
	for field; do args+=(--data-urlencode "$field"); done
	status=$(ns cl curl -sk --max-time 30 -c "$jar" -b "$jar" -o "$dir/body" -D "$dir/head" \
		-w '%{http_code}' "${CURL[@]}" "${args[@]}" $url/auth) || true
}
CURL=()
says() { grep -q -- "$1" "$dir/body" || fail "$2: $status: $(cat "$dir/body")"; }
is() { [ "$status" = "$1" ] || fail "$2: status $status, expected $1: $(cat "$dir/body")"; }
in_now() { is 200 "$1" && says 'auth id="success"' "$1"; }
asks_code() { says 'name="secondary_password" label="Code:"' "$1"; }
asks_first() { says 'name="username"' "$1"; }

form two username=ann password=secret
is 200 "password" && asks_code "a right password"
grep -q 'name="username"' "$dir/body" && fail "the second form asks for the username again"
grep -qi '^Set-Cookie: webvpncontext=[A-Za-z0-9+/]*=*; Max-Age=30;' "$dir/head" || fail "no transaction: $(cat "$dir/head")"
grep -qi '^Set-Cookie: webvpn=.' "$dir/head" && fail "a cookie after the first factor"
code=$(totp ann)
form two secondary_password="$code"
in_now "password and code"
grep -qi '^Set-Cookie: webvpn=[A-Za-z0-9+/]' "$dir/head" || fail "no cookie"
form two secondary_password="$code"
asks_first "a transaction that is over"
pass "password and code, over two connections"

form again username=ann password=secret
form again secondary_password="$code"
says 'Login failed' "replay"
asks_code "replay"
grep -q 'event=login_refused user=ann .*reason="code was used before"' "$dir/log/controlplane" ||
	fail "the replay is not in the log"
pass "a used code is refused"

form wrong username=bob password=wrong
asks_first "wrong password"
says 'Login failed' "wrong password"
form none username=nan password=secret
asks_first "a user without a token"
cp "$dir/body" "$dir/body-none"
form wrong2 username=bob password=wrong
cmp "$dir/body" "$dir/body-none" || fail "a user without a token is told apart from a wrong password"
pass "a user without a token is refused like a wrong password"

form tries username=bob password=wrong
form tries username=bob password=secret
asks_code "second try"
form tries secondary_password=000000
says 'Login failed' "wrong code"
asks_code "wrong code"
form tries secondary_password=111111
is 401 "third wrong answer"
form tries secondary_password="$(totp bob)"
asks_first "a transaction that was refused"
pass "wrong passwords and codes count together: 401 after three"

# --- replay after a restart of what could have remembered it ---

ctlplane() { pgrep -f "penstock-controlplane --role $1" || true; }
restarted() { [ -n "$(ctlplane "$1")" ] && [ "$(ctlplane "$1")" != "$2" ]; }
# kills ROLE: and waits until the next one serves.
kills() {
	local before n
	before=$(ctlplane "$1")
	n=$(grep -c "role=$1 .*event=started" "$dir/log/controlplane")
	# shellcheck disable=SC2086
	kill -9 $before
	timeout "$WAIT" grep -q . <(tail -f -n +1 --pid=$$ "$dir/log/controlplane" |
		grep --line-buffered "role=$1 .*event=started" |
		sed -un "$((n + $(wc -w <<<"$before")))p") || fail "$1 does not come back"
}
code=$(totp cid)
form replay username=cid password=secret
form replay secondary_password="$code"
in_now "before the restart"
kills auth
kills session
form replay2 username=cid password=secret
asks_code "after the restart"
form replay2 secondary_password="$code"
says 'Login failed' "replay after kill -9 of auth and session"
pass "a used code is refused after kill -9 of auth and session"

# HOTP: each counter once, some may be left out, none twice or before.
hotp() { oathtool -c "$1" "$(key 100)"; }
enter() { # enter COUNTER: into $status
	form "hotp$1" username=lee password=secret
	form "hotp$1" secondary_password="$(hotp "$1")"
}
enter 4
says 'Login failed' "a counter before that of the file"
enter 5
in_now "the first counter"
enter 5
says 'Login failed' "the same counter"
enter 9
in_now "some left out"
enter 7
says 'Login failed' "an earlier counter"
kills session
enter 9
says 'Login failed' "the same counter after a restart"
enter 20
in_now "ten left out"
enter 32
says 'Login failed' "too far ahead"
pass "HOTP: counters go forward only"

# --- the middle of a login ---

form edge username=dan password=secret
asks_code "before the edge dies"
kills edge
form edge secondary_password="$(totp dan)"
in_now "after kill -9 of the edges"
form auth username=eve password=secret
asks_code "before auth dies"
kills auth
form auth secondary_password="$(totp eve)"
asks_first "after kill -9 of auth"
form auth username=eve password=secret
form auth secondary_password="$(totp eve)"
in_now "the login after that"
pass "kill -9 in mid-login: of the edge, the login goes on; of auth, it begins anew"

form theirs username=fay password=secret
asks_code "fay"
cp "$dir/jar-theirs" "$dir/jar-stolen"
CURL=(--interface 192.0.2.3)
form stolen secondary_password="$(totp fay)"
asks_first "the transaction of another client"
CURL=()
grep -q 'login_refused .*remote=192.0.2.3 .*transaction of another address' "$dir/log/controlplane" || fail "not in the log"
form theirs secondary_password="$(totp fay)"
in_now "its owner"
printf '#\n192.0.2.1\tFALSE\t/\tTRUE\t0\twebvpncontext\t%s\n' 'AAAAAAAAAAAAAAAAAAAAAA==' >"$dir/jar-made"
form made secondary_password="$(totp gus)"
asks_first "no transaction"
printf '#\n192.0.2.1\tFALSE\t/\tTRUE\t0\twebvpncontext\t%s\n' 'AQIDBAUGBwgJCgsMDQ4PEA==' >"$dir/jar-made"
form made secondary_password="$(totp gus)"
asks_first "a made-up transaction"
pass "a transaction is good for its own client alone"

# --- stock openconnect ---

oc() { # oc USER [options]: its log in log/oc
	local user=$1
	shift
	ns cl timeout 60 openconnect --authenticate -u "$user" --servercert "$(pin server)" --non-inter \
		"$@" $url >"$dir/log/oc" 2>&1
}
printf 'secret\n%s\n' "$(totp gus)" | oc gus --passwd-on-stdin || fail "openconnect with a code"
grep -q "COOKIE='" "$dir/log/oc" || fail "openconnect got no cookie"
printf 'secret\n000000\n%s\n' "$(totp hal)" | oc hal --passwd-on-stdin || fail "openconnect: a wrong code, then a right one"
printf 'secret\n000000\n000000\n000000\n' | oc hal --passwd-on-stdin && fail "openconnect: wrong codes let in"
echo secret | oc ida --passwd-on-stdin --token-mode=totp --token-secret="0x$(key 8)" || fail "openconnect --token-mode=totp"
grep -q 'Generating OATH TOTP token code' "$dir/log/oc" || fail "openconnect made no code"
echo secret | oc jon --passwd-on-stdin -F "main:secondary_password=$(totp jon)" || fail "openconnect -F"
pass "openconnect: code on stdin, --token-mode=totp, -F"
LOGIN=kim PASSWORD=$(printf 'secret\n%s' "$(totp kim)") client kim
client_wait kim
expect_ping kim 198.51.100.2
client_stop kim
pass "openconnect: a tunnel after two factors"

# --- alternatives, and a PIN ---

three='."penstock:penstock".authentication += {
	"password-tries": 20,
	"method": [
		{"name": "two", "factor": ["password-file", "otp"]},
		{"name": "password", "factor": ["password-file"]},
		{"name": "code", "factor": ["otp"]}],
	"otp": {"users-file": "@DIR@/tokens"}}'
configure "$three"
ctl reload >/dev/null || fail "reload"
form or1 username=nan password=secret
in_now "without a token, by the second way"
form or2 username=bob password=secret
asks_code "with a token, the first way"
form or3 username=max password="4711$(oathtool --totp -d 8 -s 60 "$(key 101)")"
in_now "PIN and code alone, by the third way"
form or4 username=max password="4712$(oathtool --totp -d 8 -s 60 "$(key 101)")"
asks_first "a wrong PIN"
form or5 username=nobody password=secret
asks_first "nobody"
pass "alternatives: whichever lets the user in"

# A factor that does not work is not one that the user does without.
user broken secret
form broken username=broken password=secret
is 503 "a token that cannot be used"
mv "$dir/tokens" "$dir/tokens.away"
form away username=bob password=secret
is 503 "no file of tokens"
mv "$dir/tokens.away" "$dir/tokens"
form back username=bob password=secret
asks_code "the file of tokens is back"
pass "alternatives: none leads around a factor that does not work"

example=$(doc_example test_otp.sh)
[ "$(jq '.authentication.method | length' <<<"$example")" = 2 ] || fail "no example: $example"
configure ". * {\"penstock:penstock\": $example}"
ctl reload >/dev/null || fail "reload with the example of docs/operations/one-time-passwords.md"
form example1 username=nan password=secret
in_now "the example, without a token"
form example2 username=bob password=secret
asks_code "the example, with a token"
pass "the example of docs/operations/one-time-passwords.md"

configure "$three"
ctl reload >/dev/null || fail "reload"

# A virtual host with ways of its own; the code is asked for by the name that the client came to.
configure '."penstock:penstock" += {
	"virtual-host": [{"name": "strict", "server-name": ["strict.example.net"],
		"method": [{"name": "two", "factor": ["password-file", "otp"]}]}]}
	| ."penstock:penstock".authentication += {"otp": {"users-file": "@DIR@/tokens"}}'
ctl reload >/dev/null || fail "reload"
form host1 username=bob password=secret
in_now "the default host"
CURL=(--resolve strict.example.net:443:192.0.2.1)
url=https://strict.example.net
form host2 username=bob password=secret
asks_code "the host with two factors"
form host3 username=nan password=secret
asks_first "the host with two factors, without a token"
CURL=()
url=https://192.0.2.1
pass "a virtual host's own ways"

configure "$three"
ctl reload >/dev/null || fail "reload"

# Sixteen further forms and no more, whatever the configuration allows; over several connections.
form rounds username=bob password=secret
for ((i = 1; i < 16; i++)); do
	form rounds secondary_password="00000$((i % 10))"
	is 200 "round $i"
	asks_code "round $i"
done
form rounds secondary_password=000000
is 401 "after sixteen forms"
grep -q 'login_refused user=bob .*too many forms' "$dir/log/controlplane" || fail "not in the log"
# That were more wrong codes than are looked at: now a right one is not, either.
form paused username=bob password=secret
form paused secondary_password="$(totp bob)"
says 'Login failed' "a right code after many wrong ones"
grep -q 'login_refused user=bob .*too many wrong codes' "$dir/log/controlplane" || fail "the pause is not in the log"
pass "sixteen rounds"

# A form that nobody answers is forgotten, and said.
configure '."penstock:penstock".authentication += {
	"login-timeout": 5,
	"method": [{"name": "two", "factor": ["password-file", "otp"]}],
	"otp": {"users-file": "@DIR@/tokens"}}'
ctl reload >/dev/null || fail "reload"
form late username=bob password=secret
asks_code "before the time is up"
wait_log "$dir/log/controlplane" 'login_refused user=bob .*no answer to the form'
form late secondary_password="$(totp bob)"
asks_first "after the time"
pass "a login that takes too long begins anew"

grep -qE "secret|$(key 100)|$code" "$dir/log/controlplane" && fail "a password, key or code is in the log"
pass "no secret in the log"
