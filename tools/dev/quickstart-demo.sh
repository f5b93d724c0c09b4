# SPDX-License-Identifier: GPL-3.0-or-later
# shellcheck shell=bash
# The demonstration of tools/quickstart: gateway, client and LAN host in namespaces. Sourced by it.
# shellcheck disable=SC2034,SC2154

# Outside: hugepages belong to the machine, all else to the namespaces.
demo() {
	local status=0
	demo_pid=
	trap demo_end EXIT
	host_dir
	hugepages_get
	setpriv --pdeathsig KILL env PENSTOCK_QUICKSTART_NS="$hugepages:$huge_text" BUILD="$BUILD" \
		"${LAB_UNSHARE[@]}" bash "$0" 7>&- </dev/null &
	demo_pid=$!
	wait "$demo_pid" || status=$?
	demo_pid=
	exit $status
}

demo_end() {
	trap '' INT TERM HUP
	if [ -n "$demo_pid" ]; then
		kill -KILL "$demo_pid" 2>/dev/null || true # all in the namespaces ends with it
		wait "$demo_pid" 2>/dev/null || true
	fi
	undo_all
}

# ---- inside

# A step that cannot go on.
fail() {
	echo "$*" >>"$LOG"
	{
		steps_end "FAILED"
		steps_tail
	} >&3
	exit 1
}

client_log=

client_start() {
	input=$dir/password in=cl daemon client env VPN_NS=cl openconnect --user "$user" \
		--passwd-on-stdin --servercert "$(pin server)" --interface tun0 -v \
		--script "$ROOT/tests/integration/vpnc-script" https://192.0.2.1
	daemon_until client grep -q 'script: configured' "$client_log"
}

# Lines of the client's log, indented.
client_says() { # client_says REGEX
	grep -aE "$1" "$client_log" | cut -c 1-110 | sed 's/^/    | /'
}

demo_ping() { # demo_ping ADDRESS
	steps_begin "ping $1 through the tunnel"
	ns cl ping -q -c 10 -i 0.1 -W 2 "$1" >"$dir/ping" 2>&1 || fail "$(cat "$dir/ping")"
	cat "$dir/ping" >>"$LOG"
	steps_end "$(sed -nE 's/.* ([0-9]+) received.*/\1 of 10 answered/p' "$dir/ping")$(
		sed -nE 's|^rtt [^=]*= [0-9.]+/([0-9.]+)/.*|, \1 ms|p' "$dir/ping")"
}

demo_iperf() { # demo_iperf TITLE [OPTION]...
	local title=$1
	shift
	steps_begin "$title"
	ns cl timeout 60 iperf3 --json -c 198.51.100.2 -t 3 "$@" >"$dir/iperf" 2>&1 ||
		fail "$(cat "$dir/iperf")"
	cat "$dir/iperf" >>"$LOG"
	steps_end "$(jq -r '.end.sum_received.bits_per_second / 1e6 | floor' "$dir/iperf") Mbit/s"
}

iperf_server() {
	in=lan daemon iperf3 iperf3 -s
	daemon_until iperf3 ns lan sh -c 'ss -Hltn "sport = :5201" | grep -q .'
}

demo_stop() {
	local status=0
	daemon_stop client INT || status=1
	daemon_stop iperf3 >/dev/null 2>&1 || true
	gateway_stop || status=1
	# The TAP goes with the dataplane.
	if ip -n gw link show "$tap" >/dev/null 2>&1; then
		echo "the interface $tap is left behind"
		status=1
	fi
	return $status
}

demo_inside() {
	local user=demo password
	dir=/run/test in=gw wan=wan0 tap=penstock0
	pool4=10.200.0 pool6=2001:db8:200
	hugepages=${PENSTOCK_QUICKSTART_NS%%:*} huge_text=${PENSTOCK_QUICKSTART_NS#*:}
	client_log=$LOGS/quickstart-client.log
	lab_mounts
	password=$(random_password)

	echo "demonstration: client 192.0.2.2 --- gateway 192.0.2.1 --- LAN host 198.51.100.2"
	step "namespaces: client, gateway, LAN host" ground
	step "certificate, user $user with a random password" \
		gateway_files "IP:192.0.2.1,DNS:vpn.example.net" "$user" "$password"
	(umask 077 && echo "$password" >"$dir/password")
	step "configuration" gateway_config
	steps_begin "dataplane"
	dataplane_start >>"$LOG" 2>&1 || fail "the dataplane does not start"
	steps_end "$(wan_driver)"
	echo "    | $huge_text"
	step "control plane" controlplane_start

	step "openconnect logs in" client_start
	client_says '^(POST|Connected to HTTPS|Got CONNECT|CSTP connected|script: configured)'
	step "openconnect connects with DTLS" \
		daemon_until client grep -q 'Established DTLS connection' "$client_log"
	client_says '^Established DTLS'
	demo_ping 198.51.100.2
	demo_ping 2001:db8:2::2
	step "iperf3 server on the LAN host" iperf_server
	demo_iperf "iperf3 from client to LAN host"
	demo_iperf "iperf3 from LAN host to client" -R

	echo "penstockctl show sessions"
	ns gw "$BUILD/tools/cli/penstockctl" --socket "$dir/run/control.sock" show sessions |
		tee -a "$LOG" | sed 's/^/    /'
	step "take everything down" demo_stop
}
