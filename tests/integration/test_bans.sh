#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# Brute force: an address that guesses passwords is banned at every edge, for its time and no
# longer; the user under attack and everybody else get in; bans outlive processes; unban and reload.
# shellcheck source=tests/integration/lib.sh
. "$(dirname "$0")/lib.sh"

for tool in curl jq; do
	command -v $tool >/dev/null || skip "needs $tool"
done
ground
# A second household, and many hosts of one IPv6 network.
ip -n cl addr add 192.0.2.77/24 dev eth0
ip -n cl addr add 192.0.2.66/24 dev eth0
for host in 101 102 103 104 105 106; do ip -n cl addr add "2001:db8:1::$host/64" dev eth0 nodad; done
ip -n cl addr add 2001:db8:77::2/64 dev eth0 nodad
ip -n gw -6 route add 2001:db8:77::/64 dev wan0

bans='.["penstock:penstock"].authentication["brute-force"]'
gateway_start ".[\"penstock:penstock\"].authentication += $(doc_example test_bans.sh)
	| .[\"penstock:penstock\"].authentication[\"password-tries\"] = 10"

log=$dir/log/controlplane
http() { ns cl curl -sk -o /dev/null -w '%{http_code}' --max-time 20 --interface "$1" "${@:2}" || true; }
login() { # login ADDRESS PASSWORD: the HTTP status, 000: refused
	http "$1" -d "username=test&password=$2" "https://$(gateway_of "$1")/auth"
}
gateway_of() { case $1 in *:*) echo '[2001:db8:1::1]' ;; *) echo 192.0.2.1 ;; esac }
good() { ns cl curl -sk --max-time 20 --interface "$1" -D - -o /dev/null -d 'username=test&password=secret' \
	"https://$(gateway_of "$1")/auth" | grep -qi '^set-cookie: webvpn=[A-Za-z0-9+/]'; }
banned() { ctl --json show bans | jq -e --arg a "$1" 'any(.[]; .address == $a and .banned)' >/dev/null; }
free() { ! banned "$1"; }
lines() { grep -c "event=$1 address=$2 " "$log" || true; }

ctl show bans | grep -q 'Nobody is banned' || fail "somebody is banned at the start: $(ctl show bans)"
for i in 1 2; do [ "$(login 192.0.2.77 wrong$i)" = 200 ] || fail "wrong password $i is not answered"; done
ctl --json show bans --all | jq -e '.[] | select(.address == "192.0.2.77") | .banned == false and .score >= 20' >/dev/null ||
	fail "two wrong passwords have no points: $(ctl --json show bans --all)"
login 192.0.2.77 wrong3 >/dev/null
wait_until 5 banned 192.0.2.77
for i in 1 2 3 4 5 6; do # both edges
	[ "$(login 192.0.2.77 secret)" = 000 ] || fail "a banned address is served"
done
good 192.0.2.2 || fail "the user under attack cannot log in from elsewhere"
[ "$(lines ban 192.0.2.77)" = 1 ] || fail "not one line for one ban: $(grep event=ban "$log")"
refused() { ctl --json show bans | jq -e '.[] | select(.address == "192.0.2.77") | .refused >= 6' >/dev/null; }
wait_until 5 refused
ctl show bans | grep -qE '^192\.0\.2\.77 +3[0-9] ' || fail "the table: $(ctl show bans)"
ctl status | grep -q '^Banned  *1 address' || fail "the status: $(ctl status)"
pass "three wrong passwords ban an address at every edge, and the user from nowhere else"

# Points for connections that come to nothing, but none for health checks and those that log in.
for _ in $(seq 40); do ns cl timeout 5 bash -c 'exec 3<>/dev/tcp/192.0.2.1/443' || fail "a health check is refused"; done
for _ in $(seq 12); do good 192.0.2.2 || fail "a login is refused"; done
free 192.0.2.2 || fail "an address is banned for logins and health checks"
ctl --json show bans --all | jq -e '[.[] | select(.address == "192.0.2.2") | .score] | add // 0 < 10' >/dev/null ||
	fail "points for logins: $(ctl --json show bans --all)"
knock() { for _ in $(seq "$2"); do http "$1" "https://$(gateway_of "$1")/no/such/page" >/dev/null; done; }
knock 192.0.2.2 32
wait_until 5 banned 192.0.2.2
pass "connections that come to nothing have points, others have not"

knock 192.0.2.66 40
for i in 1 2 3 4 5; do [ "$(login 192.0.2.66 wrong)" = 200 ] || fail "an exempt address is refused"; done
good 192.0.2.66 || fail "an exempt address cannot log in"
pass "exempt addresses are never banned"

# IPv6: one bad host alone; then one that changes its address takes its network along.
for i in 1 2 3; do login 2001:db8:1::101 wrong$i >/dev/null; done
wait_until 5 banned 2001:db8:1::101
[ "$(login 2001:db8:1::102 wrong)" = 200 ] || fail "a neighbour of a banned host is refused"
login 2001:db8:1::103 wrong >/dev/null
wait_until 5 banned 2001:db8:1::/64
[ "$(login 2001:db8:1::106 secret)" = 000 ] || fail "a banned network is served"
good 2001:db8:77::2 || fail "another network is refused"
ctl unban 2001:db8:1::106 | grep -q '1 ban lifted' || fail "unban of a network"
wait_until 5 good 2001:db8:1::106
[ "$(login 2001:db8:1::101 secret)" = 000 ] || fail "the bad host is let in with its network"
ctl unban 2001:db8:1::101 >/dev/null
wait_until 5 good 2001:db8:1::101
pass "an IPv6 host, and a whole /64"

# Nothing lets a banned address in: not the death of an edge, of auth, of the session process.
children() { pgrep -f "penstock-controlplane --role $1" || true; }
for role in edge auth session; do
	before=$(children "$role")
	xargs kill -9 <<<"$before"
	restarted() { [ -n "$(children "$role")" ] && ! children "$role" | grep -qxF "$before"; }
	wait_until "$WAIT" restarted
	wait_until "$WAIT" banned 192.0.2.77
	wait_until "$WAIT" good 192.0.2.66 # all is up again
	for i in 1 2 3 4; do [ "$(login 192.0.2.77 secret)" = 000 ] || fail "the death of $role lets a banned address in"; done
done
ctl --json show bans | jq -e '.[] | select(.address == "192.0.2.77") | .score >= 30' >/dev/null ||
	fail "the ban has lost what it is for: $(ctl --json show bans)"
pass "bans outlive edges, auth and the session process"

if ctl unban 192.0.2.99 2>/dev/null; then fail "unban of an address that is not banned"; fi
if ctl unban nonsense 2>/dev/null; then fail "unban of nonsense"; fi
ctl unban 192.0.2.77 | grep -q '1 ban lifted' || fail "unban"
wait_until 5 good 192.0.2.77
[ "$(lines ban_lifted 192.0.2.77)" = 1 ] || fail "an unban is not in the log"
login 192.0.2.77 wrong >/dev/null
good 192.0.2.77 || fail "the points are not forgotten by unban"
pass "unban"

# A reload counts at once: whoever is exempt now, and a shorter time.
for i in 1 2 3; do login 192.0.2.77 wrong$i >/dev/null; done
wait_until 5 banned 192.0.2.77
configure "$bans = {\"exempt\": [\"192.0.2.2/32\"]}"
ctl reload >/dev/null || fail "reload"
free 192.0.2.2 || fail "an address is banned although it is exempt now"
banned 192.0.2.77 || fail "a reload lifts a ban"
good 192.0.2.2 || fail "an address is refused although it is exempt now"
configure "$bans = {\"ban-time\": 10}"
ctl reload >/dev/null || fail "reload"
wait_until 15 free 192.0.2.77
good 192.0.2.77 || fail "a ban outlives its time"
for i in 1 2 3; do login 192.0.2.77 wrong$i >/dev/null; done
wait_until 5 banned 192.0.2.77
start=$SECONDS
wait_until 15 good 192.0.2.77
[ $((SECONDS - start)) -ge 7 ] || fail "a ban of 10 s ended after $((SECONDS - start)) s"
for i in 1 2 3; do login 192.0.2.77 wrong$i >/dev/null; done
wait_until 5 banned 192.0.2.77
configure "$bans = {\"max-score\": 0}"
ctl reload >/dev/null || fail "reload"
good 192.0.2.77 || fail "bans are off and still there"
for i in 1 2 3 4; do [ "$(login 192.0.2.77 wrong$i)" = 200 ] || fail "bans are off and somebody is refused"; done
pass "limits change by reload, bans end in time"
ctl unban all | grep -q '0 bans lifted' || fail "unban all"
grep -iE 'secret|wrong[0-9]' "$log" && fail "a password is in the log"
gateway_stop
