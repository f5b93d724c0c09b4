# SPDX-License-Identifier: GPL-3.0-or-later
# shellcheck shell=bash
# What integration tests share: own namespaces, a gateway, clients, and waiting for events.
# Sourced by each test_*.sh; needs root. A test runs in mount, network and process namespaces of
# its own, so that it can run beside others, and everything it started ends with it.

set -eu

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
top=$(cd "$here/../.." && pwd)
: "${BUILD:=$top/build}"
: "${WAIT:=20}" # seconds that any one event may take
export LSAN_OPTIONS="suppressions=$top/tests/lsan.supp:print_suppressions=0" # sanitizer builds

# shellcheck source=tools/dev/lab.sh
. "$top/tools/dev/lab.sh"

skip() { # skip REASON: this machine cannot have what the test needs
	echo "SKIP: $*"
	exit 77
}

fail() {
	echo "FAIL: $*" >&2
	show_logs >&2
	exit 1
}

pass() { echo "ok: $*"; }

show_logs() {
	local f
	for f in "$dir"/log/*; do
		[ -s "$f" ] || continue
		echo "--- ${f##*/} (last lines)"
		tail -n 40 "$f"
	done
}

# Enters the namespaces: re-executes the test under unshare once.
if [ -z "${PENSTOCK_TEST_NS-}" ]; then
	[ "$(id -u)" = 0 ] || skip "needs root"
	[ -c /dev/net/tun ] || skip "needs /dev/net/tun"
	for tool in ip openconnect jq ping iperf3; do
		command -v $tool >/dev/null || skip "needs $tool"
	done
	PENSTOCK_TEST_NS=1 exec "${LAB_UNSHARE[@]}" bash "$0" "$@"
fi

lab_mounts
dir=/run/test
mkdir -p $dir/log $dir/state $dir/run
chmod 755 $dir

# Waits for a line in a log; fails the test after $WAIT seconds. Lines already there count.
wait_log() { # wait_log FILE REGEX [SECONDS]
	timeout "${3-$WAIT}" grep -qE -m1 -- "$2" <(tail -q -n +1 -s 0.1 --pid=$$ -F "$1" 2>/dev/null) ||
		fail "no line /$2/ in ${1##*/} within ${3-$WAIT} s"
}

# configure [JQ-FILTER]: the base configuration, changed by the filter.
configure() {
	jq --arg dir "$dir" "${1-.}" "$here/gateway.json" >"$dir/in.json"
	sed "s|@DIR@|$dir|g" "$dir/in.json" >"$dir/penstock.json"
}

# The example configuration in docs/operations/ that says that this test runs it, as JSON with
# the files in $dir.
doc_example() { # doc_example TEST
	{
		echo '{'
		awk -v mark="<!-- $1 runs this -->" '$0 == mark {on = 1; next}
			on && /^    / {print; next} on && NF {exit}' "$top"/docs/operations/*.md
		echo '}'
	} | sed "s|/etc/penstock|$dir|g"
}

dataplane_start() {
	: >"$dir/log/dataplane"
	in_ns gw "$BUILD/dataplane/penstock-dataplane" -c "$dir/penstock.json" \
		--socket "$dir/run/dataplane.sock" >>"$dir/log/dataplane" 2>&1 &
	dataplane_pid=$!
	wait_until "$WAIT" test -S "$dir/run/dataplane.sock"
}

controlplane_start() {
	: >"$dir/log/controlplane"
	in_ns gw "$BUILD/controlplane/penstock-controlplane" -c "$dir/penstock.json" \
		>>"$dir/log/controlplane" 2>&1 &
	controlplane_pid=$!
	wait_log "$dir/log/controlplane" 'event=ready'
}

ctl() {
	ns gw "$BUILD/tools/cli/penstockctl" --socket "$dir/run/control.sock" "$@"
}

gateway_start() { # gateway_start [JQ-FILTER]
	[ -e "$dir/server.pem" ] || certificate server ec "IP:192.0.2.1,IP:2001:db8:1::1,DNS:vpn.example.net"
	[ -e "$dir/passwd" ] || user test secret
	configure "$@"
	dataplane_start
	controlplane_start
}

declare -A client_pids # of client NAME

# client NAME [openconnect options]: with $PASSWORD, or $COOKIE when it is set, in namespace cl
# (or $CLIENT_NS); the tunnel's interface is moved into a namespace of its own, named vpn-NAME, so
# that many clients do not meet.
client() {
	local name=$1
	shift
	ip netns list | grep -qw "vpn-$name" || add_ns "vpn-$name"
	: >"$dir/log/client-$name"
	local secret=--passwd-on-stdin
	[ -n "${COOKIE-}" ] && secret=--cookie-on-stdin
	echo "${COOKIE-${PASSWORD-secret}}" | VPN_NS="vpn-$name" in_ns "${CLIENT_NS-cl}" openconnect \
		$secret -u "${LOGIN-test}" --servercert "${PIN-$(pin server)}" \
		--script "$here/vpnc-script" --interface "t${name}" --reconnect-timeout 60 -v --timestamp \
		"$@" "${URL-https://192.0.2.1}" \
		>"$dir/log/client-$name" 2>&1 &
	client_pid=$!
	client_pids[$name]=$client_pid
}

client_wait() { # client_wait NAME: until its addresses are set
	wait_log "$dir/log/client-$1" 'script: configured'
}

client_wait_dtls() {
	wait_log "$dir/log/client-$1" 'Established DTLS connection'
}

in_vpn() { # in_vpn NAME COMMAND...
	local n=$1
	shift
	ns "vpn-$n" "$@"
}

inner4() { ip -n "vpn-$1" -4 -o addr show scope global | awk '{sub("/.*","",$4); print $4; exit}'; }
inner6() { ip -n "vpn-$1" -6 -o addr show scope global | awk '{sub("/.*","",$4); print $4; exit}'; }

counter() { # counter NAME: sum over all workers
	ctl --json show counters --all | jq "[.. | objects | select(.name? == \"$1\") | .value] | add // 0"
}

expect_ping() { # expect_ping NAME ADDRESS [ping options]
	local n=$1 a=$2
	shift 2
	in_vpn "$n" ping -q -i 0.05 -c 5 -W 3 "$@" "$a" >"$dir/log/ping" 2>&1 ||
		fail "client $n cannot ping $a $*: $(cat "$dir/log/ping")"
}

session_field() { # session_field USER FIELD
	ctl --json show sessions | jq -r --arg u "$1" ".. | objects | select(.user? == \$u) | .$2" | head -1
}

# iperf NAME ADDRESS [OPTIONS]: one run against a server of its own in $IPERF_NS; what it said is in
# log/iperf. (A server that is used again may still be busy with the run before.)
iperf() {
	local name=$1 address=$2 server
	shift 2
	in_ns "${IPERF_NS-lan}" iperf3 -s -1 >/dev/null 2>&1 &
	server=$!
	wait_until 5 ns "${IPERF_NS-lan}" sh -c 'ss -ltn | grep -q :5201'
	in_vpn "$name" iperf3 -c "$address" "$@" >"$dir/log/iperf" 2>&1 ||
		fail "client $name: iperf3 $address $*: $(tail -n 3 "$dir/log/iperf")"
	wait $server || true
}

# Ends a client as its user does (BYE), and waits until the server knows.
client_stop() { # client_stop NAME
	local address
	address=$(inner4 "$1")
	kill -INT "${client_pids[$1]}" 2>/dev/null || true
	wait "${client_pids[$1]}" 2>/dev/null || true
	wait_until "$WAIT" no_session "$address"
}

no_session() { ! ctl --json show sessions | grep -q "\"$1\""; }

supervisor_pid() { pgrep -f 'penstock-controlplane -c' | head -1; }
dataplane_pid() { pgrep -x penstock-datapl | head -1; }

# connect_with COOKIE: the status that a CONNECT with this cookie gets; openconnect's form will do
connect_with() {
	set -- "${1##*webvpn=}"
	printf 'CONNECT /CSCOSSLC/tunnel HTTP/1.1\r\nHost: x\r\nCookie: webvpn=%s\r\nX-CSTP-Version: 1\r\nX-CSTP-Base-MTU: 1500\r\nX-CSTP-Address-Type: IPv6,IPv4\r\nX-CSTP-Full-IPv6-Capability: true\r\n\r\n' "$1" |
		ns cl timeout 10 openssl s_client -quiet -connect 192.0.2.1:443 2>/dev/null | head -1 | awk '{print $2}'
}

# Stops both as a service manager does, and waits until they are gone.
gateway_stop() {
	kill -TERM "$(supervisor_pid)"
	wait "$controlplane_pid" || fail "the control plane stopped with status $?"
	kill -TERM "$(dataplane_pid)"
	wait "$dataplane_pid" || fail "the dataplane stopped with status $?"
}
