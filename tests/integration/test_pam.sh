#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# Logins by PAM with real modules (pam_unix, pam_oath, pam_exec) and a private /etc: stock
# openconnect, questions in further forms, groups and the canonical name; a module that blocks, dies
# or is killed concerns its own login alone.
# shellcheck source=tests/integration/lib.sh
. "$(dirname "$0")/lib.sh"

modules=$(dirname "$(find /lib /usr/lib -name pam_unix.so -print -quit)")
riddle=$BUILD/tests/integration/pam_riddle.so
command -v curl >/dev/null || skip "needs curl"
command -v oathtool >/dev/null || skip "needs oathtool"
[ -e "$modules/pam_oath.so" ] || skip "needs libpam-oath"
[ -e "$riddle" ] || skip "needs libpam0g-dev"

ground
addr cl eth0 192.0.2.3/24
url=https://192.0.2.1

# --- a machine's users and services, seen in these namespaces alone ---

mkdir "$dir/pam.d" "$dir/etc"
for f in passwd shadow group; do
	cp "/etc/$f" "$dir/etc/$f"
	mount --bind "$dir/etc/$f" "/etc/$f"
done
mount --bind "$dir/pam.d" /etc/pam.d
hash=$(openssl passwd -6 'right & good')
number=7000
for name in ann bob cid old; do
	echo "$name:x:$number:$number::/nonexistent:/usr/sbin/nologin" >>/etc/passwd
	echo "$name:x:$number:" >>/etc/group
	changed=19000
	[ $name = old ] && changed=0 # to be changed at once
	echo "$name:$hash:$changed:0:99999:7:::" >>/etc/shadow
	number=$((number + 1))
done
echo "staff-vpn:x:8000:ann,bob" >>/etc/group
key=3132333435363738393031323334353637383930
printf 'HOTP/T30/6 %s - %s\n' ann $key bob $key cid $key >"$dir/oath"
chmod 600 "$dir/oath"

service() { # service LINE...: what the service penstock does from now on
	printf '%s\n' "$@" >/etc/pam.d/penstock
}
unix="auth required pam_unix.so"
account="account required pam_unix.so"
oath="auth required pam_oath.so usersfile=$dir/oath window=5"
printf 'auth required pam_deny.so\naccount required pam_deny.so\n' >/etc/pam.d/other

service "$unix" "$account"
base=".\"penstock:penstock\" += $(doc_example test_pam.sh) | .\"penstock:penstock\".authentication |= (
	.[\"login-timeout\"] = 30 | .[\"brute-force\"] = {\"max-score\": 0})"
gateway_start "$base"

form() { # form NAME FIELD... : into $status and body
	local name=$1 field args=()
	shift
	for field; do args+=(--data-urlencode "$field"); done
	status=$(ns cl curl -sk --max-time 30 -c "$dir/jar-$name" -b "$dir/jar-$name" \
		-o "$dir/body-$name" -D "$dir/head-$name" -w '%{http_code}' \
		"${CURL[@]}" "${args[@]}" $url/auth) || true
}
CURL=()
says() { grep -qF -- "$2" "$dir/body-$1" || fail "$1: no $2: $status $(cat "$dir/head-$1" "$dir/body-$1")"; }
in_now() { [ "$status" = 200 ] && says "$1" 'auth id="success"'; }
right='password=right & good'

# --- one password ---

PASSWORD='right & good' LOGIN=ann client one
client_wait one
expect_ping one 198.51.100.2
[ "$(session_field ann group)" = staff-vpn ] || fail "group: $(ctl --json show sessions)"
client_stop one
pass "openconnect by pam_unix, with the group of the machine"

form wrong username=ann password=wrong
says wrong 'Login failed.'
says wrong 'name="username"'
form wrong username=nobody-here password=wrong
says wrong 'Login failed.'
form wrong username=ann "$right"
in_now wrong
form old username=old "$right"
says old 'Your password has expired'
pass "a wrong password and an expired one are refused"

# --- many at once ---

names=() jobs_many=()
for n in $(seq 24); do
	names+=("many$n")
	form "many$n" username=ann "$right" &
	jobs_many+=($!)
done
wait "${jobs_many[@]}"
for name in "${names[@]}"; do
	says "$name" 'auth id="success"'
done
pass "24 logins at once, whose processes end while others are started"

# --- questions ---

service "$unix" "$oath" "$account"
form code username=ann "$right"
says code 'label="One-time password (OATH) for `ann'"'"':'
says code '<input type="password"'
form code secondary_password="$(oathtool --totp $key)"
in_now code
form code2 username=bob "$right"
form code2 secondary_password=000000
says code2 'Login failed.'
says code2 'name="username"'
PASSWORD="right & good
$(oathtool --totp $key)" LOGIN=cid client two
client_wait two
client_stop two
pass "password and pam_oath's code, with openconnect and by hand"

service "auth required $riddle renames" "$unix" "auth required $riddle asks" "$account"
form riddle username=ANN "$right"
says riddle '<message>The door is open.</message>'
says riddle '<input type="text" name="secondary_password" label="Colour:"/>'
form riddle secondary_password="blue & green"
says riddle 'type="password" name="secondary_password2" label="Answer:"'
says riddle '<message>1. left 2. right Which:</message>'
form riddle secondary_password2=2
in_now riddle
session_field ann user | grep -qx ann || fail "not known by the canonical name: $(ctl --json show sessions)"
form riddle2 username=ann "$right"
form riddle2 secondary_password=red
says riddle2 'Login failed. That was &lt;wrong&gt;.'
pass "messages, questions in the open and in lines, and the canonical name"

# --- the client's address, and a module that blocks ---

cat >"$dir/gate" <<-EOF
	#!/bin/bash
	echo "\$PAM_RHOST \$PAM_SERVICE \$PAM_USER" >>$dir/gate.log
	[ "\$PAM_USER" = bob ] || exit 0
	(setsid tail -n 7777 -f /dev/null &) # out of the session, too
	exec tail -n 7777 -f /dev/null
EOF
chmod 700 "$dir/gate"
service "$unix" "auth required pam_exec.so quiet $dir/gate" "$account"
ns cl bash -c "curl -sk --max-time 60 -o $dir/body-bob -D $dir/head-bob -w '%{http_code} %{time_total}' \
	--data-urlencode username=bob --data-urlencode '$right' $url/auth >$dir/status-bob" &
bob=$!
blocked() { [ "$(pgrep -c -f '^tail -n 7777')" = 2 ]; }
unblocked() { ! pgrep -f '^tail -n 7777' >/dev/null; }
wait_until "$WAIT" blocked
for n in 1 2 3; do
	form "beside$n" username=ann "$right"
	in_now "beside$n"
	kill -0 $bob || fail "the blocked login did not block: $(cat "$dir/status-bob")"
done
grep -qx '192.0.2.2 penstock ann' "$dir/gate.log" || fail "address: $(cat "$dir/gate.log")"
wait $bob || true
grep -q '^503 ' "$dir/status-bob" || fail "a module that blocks: $(cat "$dir/status-bob")"
wait_until "$WAIT" unblocked
wait_log "$dir/log/controlplane" 'event=login_refused user=bob .*reason="timeout, waiting for a factor"'
pass "a module that blocks forever delays its own login alone, and is killed with all it started"

# --- ends in the middle ---

block() { # a login of bob in the background that blocks
	ns cl bash -c "curl -sk --max-time 60 -o /dev/null -D $dir/head-bob -w '%{http_code}' \
		--data-urlencode username=bob --data-urlencode '$right' $url/auth >$dir/status-bob" &
	bob=$!
	wait_until "$WAIT" blocked
}
serves() { # after a death it may pause before it comes back
	form serves username=ann "$right"
	[ "$status" = 200 ]
}
ends() { # ends WHAT: and the next login is as good as ever
	wait $bob || true
	[ "$(cat "$dir/status-bob")" = 503 ] || fail "$1: $(cat "$dir/status-bob" "$dir/head-bob")"
	wait_until "$WAIT" unblocked
	wait_until "$WAIT" serves
	form "after-$1" username=ann "$right"
	in_now "after-$1"
}
configure "$base"' | ."penstock:penstock".authentication.pam += {"step-timeout": 30, "concurrency": 4}'
ctl reload >/dev/null || fail "reload"
block
kill -9 "$(pgrep -x ps-pam)"
ends pam
grep -qi '^X-Reason: The login was interrupted. Please try again' "$dir/head-bob" || fail "$(cat "$dir/head-bob")"
block
kill -9 "$(pgrep -x ps-pam-login)"
ends conversation
service "$unix" "auth required $riddle dies" "$account"
form dies username=ann "$right"
[ "$status" = 503 ] || fail "a module that dies: $status"
service "$unix" "auth required pam_not_there.so" "$account"
form none username=ann "$right"
[ "$status" = 200 ] || [ "$status" = 503 ] || fail "a module that is not there: $status"
in_now none 2>/dev/null && fail "a module that is not there lets in"
service "$unix" "$oath" "$account"
form half username=cid "$right"
says half 'One-time password'
kill -9 "$(pgrep -x ps-pam)"
wait_until "$WAIT" pgrep -x ps-pam
form half secondary_password="$(oathtool --totp $key)"
[ "$status" = 503 ] || fail "an answer to a conversation that has gone: $status"
pass "what is killed in the middle fails its own login, and nothing is left of it"

# --- places ---

wait_until "$WAIT" serves
for n in 1 2 3 4 5 6; do
	form "open$n" username=cid "$right"
	says "open$n" 'One-time password'
done
open() { [ "$(pgrep -c -x ps-pam-login)" -le 4 ]; }
wait_until "$WAIT" open
CURL=(--interface 192.0.2.3)
form other username=ann "$right"
says other 'One-time password'
CURL=()
form more username=cid "$right"
CURL=(--interface 192.0.2.3)
wait_until "$WAIT" open
form other secondary_password="$(oathtool --totp -N '30 seconds' $key)"
in_now other
pass "who leaves logins open takes places from itself"

grep -qF 'right & good' "$dir/log/controlplane" && fail "the password is in the log"
pass "no password in the log"
