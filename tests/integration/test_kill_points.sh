#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# test_kill_points.sh [ROUNDS [SEED]]: kill -9 of every process at each message and store write of
# login, CONNECT, hand-over, DTLS, rekey, disconnect, accounting, reload, bans and drain. After each:
# every address has one owner, store, dataplane and accounting have the same sessions, the client
# concerned recovers, and the established tunnels of others lose nothing. The seed is printed: the
# same seed makes the same choices. kill_points.py has the rounds, kill_steps.py the points.
# shellcheck source=tests/integration/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/integration/radius.sh
. "$(dirname "$0")/radius.sh"

for tool in curl mdb_dump python3; do
	command -v $tool >/dev/null || skip "needs $tool"
done
ROUNDS=${1:-${KILL_ROUNDS:-25}}
SEED=${2:-${KILL_SEED:-$((($(date +%s) + $$) % 32768))}}
echo "rounds $ROUNDS, seed $SEED: repeat with $0 $ROUNDS $SEED"
export BUILD

ground
add_ns vpn-k vpn-c0 vpn-c1 vpn-c2 vpn-c3 vpn-c4
addr cl eth0 192.0.2.77/24 # whose wrong passwords count
for letter in a b; do # configurations, which a reload changes between
	cat >"$dir/script-$letter" <<-EOS
		#!/bin/bash
		echo "\$REASON \$ID $letter" >>/run/test/scripts.log
	EOS
	chmod 755 "$dir/script-$letter"
	# A cheap hash, also for names that the file does not know: what is tested is not crypt(3).
	# shellcheck disable=SC2016
	hash=$(openssl passwd -5 -salt 'rounds=1000$abcdefgh' "secret-$letter")
	printf '%s:*:'"$hash"'\n' kim otto rey dad test >"$dir/passwd-$letter"
	chmod 600 "$dir/passwd-$letter"
done
ln -s passwd-a "$dir/passwd"
: >"$dir/scripts.log"
echo "HOTP/E/6 otto - 3132333435363738393031323334353637383930 0" >"$dir/tokens"
chmod 600 "$dir/tokens"
cat >"$dir/radius.users" <<-'EOF'
	rad	Cleartext-Password := "radius"

	two	Cleartext-Password := "third"
EOF
radius_server a 198.51.100.3
# A user of this machine, seen in these namespaces alone.
mkdir "$dir/pam.d" "$dir/etc"
for f in passwd shadow; do
	cp "/etc/$f" "$dir/etc/$f"
	mount --bind "$dir/etc/$f" "/etc/$f"
done
mount --bind "$dir/pam.d" /etc/pam.d
echo 'pat:x:7000:65534::/nonexistent:/usr/sbin/nologin' >>/etc/passwd
echo "pat:$(openssl passwd -6 pam):19000:0:99999:7:::" >>/etc/shadow
printf '%s\n' 'auth required pam_unix.so nodelay' 'account required pam_unix.so' >/etc/pam.d/penstock

# service NAME NS COMMAND...: started again when it fails, as the units have it (but sooner).
service() {
	local name=$1 status
	shift
	while :; do
		status=0
		ns "$@" >>"$dir/log/$name" 2>&1 || status=$?
		[ $status -ne 0 ] || break
		read -rt 0.1 <> <(:) || true
	done
	echo "$status" >"$dir/ended-$name"
}
stopped() { # stopped NAME PID: by SIGTERM, in order
	kill -TERM "$2"
	wait_until "$WAIT" test -s "$dir/ended-$1"
	[ "$(cat "$dir/ended-$1")" = 0 ] || fail "$1 stopped with status $(cat "$dir/ended-$1")"
}

certificate server ec "IP:192.0.2.1,DNS:vpn.example.net"
# shellcheck disable=SC2016
configure '."penstock:penstock" |= (
	."health-path" = "/health-a" |
	.network."default-domain" = "a.example.net" |
	.scripts = {"connect": "@DIR@/script-a", "disconnect": "@DIR@/script-a", "required": true} |
	.radius = {
		"server": [{"name": "a", "address": "198.51.100.3", "secret-file": "@DIR@/radius.secret"}],
		"timeout": 500, "tries": 4, "dead-time": 1,
		"nas-identifier": "nas-a", "accounting": true, "interim-interval": 60} |
	.user = [
		{"name": "rey", "settings": {"rekey-time": 60}},
		{"name": "dad", "settings": {"dpd": 2}}] |
	.authentication += {
		"password-file": "@DIR@/passwd-a", "cookie-timeout": 10, "login-timeout": 60,
		"otp": {"users-file": "@DIR@/tokens"},
		"method": [
			{"name": "token", "factor": ["password-file", "otp"]},
			{"name": "password", "factor": ["password-file"]},
			{"name": "radius", "factor": ["radius"]},
			{"name": "pam", "factor": ["pam"]}],
		"brute-force": {"max-score": 30, "exempt": ["192.0.2.2/32", "2001:db8:1::2/128"]}})'
service radius lan freeradius -f -l stdout -d "$dir/radius-a" -n radiusd &
service dataplane gw "$BUILD/dataplane/penstock-dataplane" -c "$dir/penstock.json" \
	--socket "$dir/run/dataplane.sock" &
wait_until "$WAIT" test -S "$dir/run/dataplane.sock"
wait_log "$dir/log/radius" 'Ready to process requests'
service controlplane gw "$BUILD/controlplane/penstock-controlplane" -c "$dir/penstock.json" &
wait_log "$dir/log/controlplane" 'event=ready'

# The tunnels that must not notice.
PASSWORD=secret-a client d
client_wait d
client_wait_dtls d
PASSWORD=secret-a client t --no-dtls
client_wait t
expect_ping d 198.51.100.2
expect_ping t 198.51.100.2

python3 "$here/kill_points.py" "$ROUNDS" "$SEED" || fail "see above"
stopped controlplane "$(supervisor_pid)"
stopped dataplane "$(dataplane_pid)"
pass "$ROUNDS rounds: store, dataplane and accounting agree, established tunnels lost nothing"
