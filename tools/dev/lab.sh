# SPDX-License-Identifier: GPL-3.0-or-later
# shellcheck shell=bash
# Namespaces, links, a gateway's files, and waiting for events: what tests/integration/lib.sh and
# tools/quickstart share. The caller sets BUILD and dir, and defines fail().
# shellcheck disable=SC2034,SC2154

# Put before a command, gives it mount, network and process namespaces of its own, in which
# everything that it starts ends with it.
LAB_UNSHARE=(unshare --mount --net --pid --fork --kill-child --mount-proc --propagation private)

# Inside: directories in which nothing is left behind.
lab_mounts() {
	mount -t tmpfs tmpfs /run
	mkdir -p /run/netns /run/lock
	mount -t tmpfs tmpfs /var/lib
	mount -t sysfs sysfs /sys 2>/dev/null || true
	mount -t bpf bpf /sys/fs/bpf 2>/dev/null || true
	ip link set lo up
}

# Waits until a command succeeds; it is asked again ten times a second.
wait_until() { # wait_until SECONDS COMMAND...
	local end=$((SECONDS + $1))
	shift
	until "$@" >/dev/null 2>&1; do
		[ $SECONDS -lt $end ] || fail "still not true: $*"
		read -rt 0.1 <> <(:) || true
	done
}

ns() { # ns NAME COMMAND...
	ip netns exec "$@"
}

# The same for a process in the background: $! is the command itself.
in_ns() {
	exec ip netns exec "$@"
}

add_ns() { # add_ns NAME...
	local n
	for n in "$@"; do
		ip netns add "$n"
		ip -n "$n" link set lo up
		ns "$n" sysctl -qw net.ipv6.conf.all.accept_dad=0 net.ipv6.conf.default.accept_dad=0 \
			net.ipv6.conf.all.accept_ra=0 net.ipv6.conf.default.accept_ra=0
	done
}

# link NS1 IF1 NS2 IF2 [MTU]: a veth pair without offloads that the dataplane's ports lack.
link() {
	ip link add "$2" netns "$1" mtu "${5-1500}" type veth peer name "$4" netns "$3" mtu "${5-1500}"
	local n i
	for n in "$1 $2" "$3 $4"; do
		i=${n#* } n=${n% *}
		ns "$n" ethtool -K "$i" tx off rx off tso off gso off gro off >/dev/null 2>&1 || true
		ip -n "$n" link set "$i" up
	done
}

addr() { # addr NS IF ADDRESS...
	local n=$1 i=$2 a
	shift 2
	for a in "$@"; do ip -n "$n" addr add "$a" dev "$i" nodad 2>/dev/null || ip -n "$n" addr add "$a" dev "$i"; done
}

# The usual ground: cl (clients) --wan-- gw --lan-- lan. gw's kernel routes between TAP and LAN.
ground() { # ground [WAN-MTU]
	add_ns gw cl lan
	link gw wan0 cl eth0 "${1-1500}"
	link gw lan0 lan eth0
	addr gw wan0 192.0.2.1/24 2001:db8:1::1/64
	addr cl eth0 192.0.2.2/24 2001:db8:1::2/64
	addr gw lan0 198.51.100.1/24 2001:db8:2::1/64
	addr lan eth0 198.51.100.2/24 2001:db8:2::2/64
	ip -n lan route add default via 198.51.100.1
	ip -n lan -6 route add default via 2001:db8:2::1
	ns gw sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1
}

certificate() { # certificate NAME ec|rsa SAN
	local opt="-newkey ec -pkeyopt ec_paramgen_curve:P-256"
	[ "$2" = rsa ] && opt="-newkey rsa:2048"
	# shellcheck disable=SC2086
	openssl req -x509 $opt -nodes -keyout "$dir/$1.key" -out "$dir/$1.pem" -days 2 \
		-subj "/CN=$1" -addext "subjectAltName=$3" 2>/dev/null
	chmod 600 "$dir/$1.key"
}

pin() { # pin NAME: the certificate's pin as openconnect takes it
	openssl x509 -in "$dir/$1.pem" -pubkey -noout | openssl pkey -pubin -outform der |
		openssl dgst -sha256 -binary | base64 | sed 's/^/pin-sha256:/'
}

user() { # user NAME PASSWORD [GROUPS]
	"$BUILD/tools/cli/penstockctl" passwd --stdin -c "$dir/passwd" ${3:+-g "$3"} "$1" <<<"$2" >/dev/null
}
