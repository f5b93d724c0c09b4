# SPDX-License-Identifier: GPL-3.0-or-later
# shellcheck shell=bash
# The gateway of tools/quickstart: its configuration, its daemons, hugepages, and undoing what was
# changed on this machine. Sourced by it; BUILD, LOG, LOGS and descriptor 3 (people's stdout) are
# set, and dir is where the gateway's files are.
# shellcheck disable=SC2154

HOST_DIR=/run/penstock-quickstart # gone after a stop
HUGE_MB=320
WAIT=30 # seconds that any one event may take

# ---- what is to be undone: one line each, the last first, also of a run that was killed

undo_add() { # undo_add COMMAND [ARGUMENT]...
	local line
	printf -v line '%q ' "$@"
	printf '%s\n' "$line" >>"$HOST_DIR/undo"
}

undo_all() {
	local line
	[ -d $HOST_DIR ] || return 0
	if [ -f $HOST_DIR/undo ]; then
		while IFS= read -r line; do
			eval "$line" >>"$LOG" 2>&1 || echo "could not undo: $line" >>"$LOG"
		done < <(tac $HOST_DIR/undo)
	fi
	rm -rf $HOST_DIR
}

host_dir() {
	install -d -m 0755 $HOST_DIR
	: >$HOST_DIR/undo
}

undo_write() { # undo_write FILE VALUE: a sysctl that may be gone meanwhile
	[ -e "$1" ] && [ "$(<"$1")" = "$2" ] || echo "$2" 2>/dev/null >"$1" || [ ! -e "$1" ]
}

# ---- hugepages: for as long as it runs

meminfo() { # meminfo FIELD
	awk -v field="$1:" '$1 == field { print $2 }' /proc/meminfo
}

hugepages=false huge_text=''

huge_free_mb() {
	echo $(($(meminfo HugePages_Free) * $(meminfo Hugepagesize) / 1024))
}

hugepages_get() {
	local file=/proc/sys/vm/nr_hugepages before missing_mb size_kb
	size_kb=$(meminfo Hugepagesize)
	if [ ! -w $file ] || [ -z "$size_kb" ]; then
		huge_text="no hugepages: this kernel or container has none, so --no-huge is used"
		return 0
	fi
	missing_mb=$((HUGE_MB - $(huge_free_mb)))
	if [ $missing_mb -gt 0 ]; then
		before=$(<$file)
		if [ "$(meminfo MemAvailable)" -lt $((missing_mb * 3 * 1024)) ]; then
			huge_text="no hugepages: too little memory is free for them, so --no-huge is used"
			return 0
		fi
		undo_add undo_write $file "$before"
		echo $((before + (missing_mb * 1024 + size_kb - 1) / size_kb)) 2>/dev/null >$file || true
	fi
	if [ "$(huge_free_mb)" -lt $HUGE_MB ]; then
		[ $missing_mb -le 0 ] || undo_write $file "$before"
		huge_text="no hugepages: the kernel gave too few, so --no-huge is used"
		return 0
	fi
	hugepages=true
	huge_text="$HUGE_MB MB of hugepages"
	[ $missing_mb -le 0 ] || huge_text+=", given back at the end"
}

# ---- the gateway's files

# Lines of a list as a JSON array.
json_list() {
	jq -Rn '[inputs | select(. != "")]'
}

# gateway_config: from port, wan, tap, pool4, pool6 (prefixes without length: .0/24 and ::/64),
# hugepages, and the lists dns and split, one a line.
gateway_config() {
	jq -n --arg dir "$dir" --argjson port "$port" --arg wan "$wan" --arg tap "$tap" \
		--arg pool4 "$pool4" --arg pool6 "$pool6" --argjson huge "$hugepages" \
		--argjson dns "$(json_list <<<"${dns-}")" \
		--argjson split "$(json_list <<<"${split-}")" '
		{"penstock:penstock": {
			listen: [{name: "all", "tcp-port": $port, "udp-port": $port}],
			certificate: [{name: "server", "certificate-file": "\($dir)/server.pem",
				"key-file": "\($dir)/server.key"}],
			authentication: {"password-file": "\($dir)/passwd"},
			pool: [{name: "default",
				"ipv4-network": "\($pool4).0/24", "ipv4-gateway": "\($pool4).1",
				"ipv6-network": "\($pool6)::/64", "ipv6-gateway": "\($pool6)::1"}],
			network: ({dpd: 30, keepalive: 20}
				+ if $dns == [] then {} else {dns: $dns} end
				+ if $split == [] then {} else {"split-include": $split} end),
			dataplane: {workers: 1, streamers: 1, hugepages: $huge, "sessions-max": 256,
				"client-to-client": true,
				port: [{name: "wan", role: "wan", mode: "shared", device: $wan},
					{name: "lan", role: "lan", mode: "tap", "kernel-interface": $tap,
					address: ["\($pool4).1/24", "\($pool6)::1/64"]}]},
			"state-directory": "\($dir)/state",
			"run-directory": "\($dir)/run"
		}}' >"$dir/penstock.json" &&
		"$BUILD/controlplane/penstock-controlplane" --check "$dir/penstock.json"
}

gateway_files() { # gateway_files NAMES-OF-THE-CERTIFICATE USER PASSWORD
	install -d -m 0755 "$dir" "$dir/run" &&
		certificate server ec "$1" &&
		user "$2" "$3"
}

random_password() {
	openssl rand -base64 30 | tr -dc 'a-km-zA-HJ-NP-Z2-9' | head -c 16
}

# ---- daemons: a log and a number each

declare -A daemon_pid=()

# daemon NAME COMMAND...: in the background, out of reach of the terminal's Ctrl-C, ended with this
# script however that ends. $in is a network namespace for it, $input its standard input, if set.
daemon() {
	local name=$1
	shift
	: >"$LOGS/quickstart-$name.log"
	setsid setpriv --pdeathsig TERM ${in:+ip netns exec} ${in:+"$in"} "$@" \
		>>"$LOGS/quickstart-$name.log" 2>&1 3>&- 7>&- <"${input:-/dev/null}" &
	daemon_pid[$name]=$!
}

alive() { # alive NAME
	[ -n "${daemon_pid[$1]-}" ] && kill -0 "${daemon_pid[$1]}" 2>/dev/null
}

daemon_tail() { # daemon_tail NAME: the end of its log into ours
	echo "--- $1, the end of its log:"
	tail -n 15 "$LOGS/quickstart-$1.log"
}

# daemon_until NAME COMMAND...: waits until the command succeeds; an error when the daemon ends.
# (wait_until would end the script.)
daemon_until() {
	local name=$1 end=$((SECONDS + WAIT))
	shift
	until "$@" >/dev/null 2>&1; do
		if ! alive "$name" || [ $SECONDS -ge $end ]; then
			daemon_tail "$name"
			alive "$name" || daemon_pid[$name]= # nothing to stop
			return 1
		fi
		read -rt 0.1 <> <(:) || true
	done
}

# daemon_stop NAME [SIGNAL]: its exit status; what does not end in time is killed.
daemon_stop() {
	local pid=${daemon_pid[$1]-} status=0 end=$((SECONDS + 15))
	[ -n "$pid" ] || return 0
	daemon_pid[$1]=
	kill -s "${2-TERM}" "$pid" 2>/dev/null || true
	while kill -0 "$pid" 2>/dev/null && [ $SECONDS -lt $end ]; do
		read -rt 0.1 <> <(:) || true
	done
	if kill -KILL "$pid" 2>/dev/null; then
		echo "$1 did not end in time: killed"
	fi
	wait "$pid" 2>/dev/null || status=$?
	[ $status -eq 0 ] || daemon_tail "$1"
	return $status
}

dataplane_try() {
	daemon dataplane "$BUILD/dataplane/penstock-dataplane" --config "$dir/penstock.json" \
		--socket "$dir/run/dataplane.sock"
	daemon_until dataplane test -S "$dir/run/dataplane.sock"
}

# What EAL may find wrong with hugepages only it knows: then without.
dataplane_start() {
	dataplane_try && return 0
	$hugepages || return 1
	daemon_stop dataplane || true
	hugepages=false
	huge_text="no hugepages: the dataplane does not start with them, so --no-huge is used"
	rm -f "$dir/run/dataplane.sock"
	gateway_config && dataplane_try
}

controlplane_start() {
	daemon controlplane "$BUILD/controlplane/penstock-controlplane" --config "$dir/penstock.json"
	daemon_until controlplane grep -q 'event=ready' "$LOGS/quickstart-controlplane.log"
}

# The control plane first: what it still says to the dataplane reaches it.
gateway_stop() {
	local status=0
	daemon_stop controlplane || status=1
	daemon_stop dataplane || status=1
	return $status
}

# How datagrams reach the dataplane.
wan_driver() {
	if grep -q 'AF_PACKET is used instead' "$LOGS/quickstart-dataplane.log"; then
		echo "AF_PACKET, for AF_XDP cannot be had on $wan"
	else
		echo "AF_XDP"
	fi
}
