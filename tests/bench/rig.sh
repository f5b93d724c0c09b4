# SPDX-License-Identifier: GPL-3.0-or-later
# shellcheck shell=bash
# What the benchmarks `streams` and `interference` share: namespaces whose links offload what NICs
# do, a gateway on the last CPU that we may use, tests/bench/loadgen on the first. Sourced by them
# after tests/integration/lib.sh.
# shellcheck disable=SC2034,SC2154

loadgen=$BUILD/tests/bench/loadgen
cipher=aes-128-gcm

# The CPUs that we may use, one a line.
cpu_list() {
	local part
	taskset -cp $$ | sed 's/.*: //' | tr , '\n' | while read -r part; do
		seq "${part%-*}" "${part#*-}"
	done
}

mapfile -t cpus < <(cpu_list)
load_cpu=${cpus[0]} server_cpu=${cpus[-1]}

rig_check() {
	[ -x "$loadgen" ] || skip "the build has no loadgen: needs GnuTLS's and ipsec-mb's headers" >&2
	[ "$load_cpu" != "$server_cpu" ] || skip "needs two CPUs" >&2
	certificate server ec "IP:192.0.2.1,DNS:vpn.example.net"
	user test secret
	rig_ground
}

# The ground of the tests, with the offloads of a NIC; what clients send has whole checksums, because
# AF_XDP gets it as it is.
rig_ground() {
	local where
	ground
	for where in "gw wan0" "gw lan0" "lan eth0"; do
		ns "${where% *}" ethtool -K "${where#* }" tx on rx on sg on tso on gso on gro on \
			>/dev/null 2>&1 || true
	done
	ns cl ethtool -K eth0 rx on gro on >/dev/null 2>&1 || true
}

rig_gateway_start() { # rig_gateway_start JQ-FILTER: changes the object of the module
	rm -rf "$dir/state" "$dir/run"
	mkdir -p "$dir/state" "$dir/run"
	configure ".\"penstock:penstock\" |= (
		.pool = [{name: \"default\", \"ipv4-network\": \"10.200.0.0/16\",
			\"ipv4-gateway\": \"10.200.0.1\"}]
		| .authentication.\"cookie-timeout\" = 300
		| .network = {keepalive: 300, dpd: 60}
		| .dataplane.\"sessions-max\" = 16384
		| .dataplane.port[1].address = [\"10.200.0.1/16\"]
		| .\"log-level\" = \"warning\" | $1)"
	dataplane_start
	# its control thread
	taskset -cp "${controlplane_cpu-$server_cpu}" "$dataplane_pid" >/dev/null
	controlplane_start_quiet
}

# Without the line that says ready, which this log level leaves out: whoever can log in, knows.
controlplane_start_quiet() {
	: >"$dir/log/controlplane"
	in_ns gw taskset -c "${controlplane_cpu-$server_cpu}" "$BUILD/controlplane/penstock-controlplane" \
		-c "$dir/penstock.json" >>"$dir/log/controlplane" 2>&1 &
	controlplane_pid=$!
	wait_until "$WAIT" answers
}

answers() {
	taskset -c "$load_cpu" "$loadgen" --netns cl --lan-netns lan --login-timeout 2 \
		--seconds 0.1 --tls echo
}

load() { # load OPTION...: results are in $dir/out
	# shellcheck disable=SC2086
	taskset -c "$load_cpu" ${load_command-} "$loadgen" --netns cl --lan-netns lan --cipher $cipher \
		--watch penstock- --watch-cpu "$server_cpu" "$@" 2>"$dir/log/loadgen" >"$dir/out" ||
		fail "loadgen $*: $(cat "$dir/log/loadgen")"
}

# Ends both, whatever state they are in.
rig_gateway_kill() {
	local pids
	pids=$(pgrep '^penstock-' || true)
	# shellcheck disable=SC2086
	kill -KILL $pids 2>/dev/null || true
	# shellcheck disable=SC2086
	wait_until "$WAIT" rig_gone $pids
}

rig_gone() { # rig_gone PID...: ended, if perhaps not yet waited for
	local pid
	for pid; do
		[ ! -e "/proc/$pid/exe" ] || return 1
	done
}
