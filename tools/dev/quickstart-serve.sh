# SPDX-License-Identifier: GPL-3.0-or-later
# shellcheck shell=bash
# tools/quickstart --serve: a gateway on this machine's own NIC until it is stopped. Sourced by it.
# shellcheck disable=SC2034,SC2154

NFT_TABLE=penstock_quickstart

# ---- what this machine has

serve_interface() {
	wan=$interface
	[ -n "$wan" ] || wan=$(ip -4 -j route show default | jq -r '.[0].dev // empty')
	[ -n "$wan" ] || wan=$(ip -6 -j route show default | jq -r '.[0].dev // empty')
	[ -n "$wan" ] || die "there is no default route: name the NIC with --interface"
	[ -d "/sys/class/net/$wan" ] || die "there is no interface $wan"
	address4=$(serve_address -4)
	address6=$(serve_address -6)
	[ -n "$address4$address6" ] || die "$wan has no address that clients could reach"
}

serve_address() { # serve_address -4|-6: the first global one
	ip "$1" -j addr show dev "$wan" scope global |
		jq -r '[.[].addr_info[]? | select(.deprecated != true) | .local][0] // empty'
}

serve_port() {
	local user
	user=$(ss -Hltnp "sport = :$port"; ss -Hlunp "sport = :$port")
	[ -z "$user" ] || die "port $port is in use$(sed -nE \
		's/.*users:\(\("([^"]*)".*/ by \1/p;T;q' <<<"$user"): choose another with --port"
}

# A network for clients that this machine has no route into but the default one.
serve_pool() {
	for pool4 in 10.200.0 172.29.200 192.168.200 10.113.47; do
		[ -n "$(ip -4 route show table all root "$pool4.0/24"
			ip -4 -j route show table main match "$pool4.0" | jq -r '.[] |
				select(.dst != "default") | .dst')" ] || break
		pool4=
	done
	[ -n "$pool4" ] || die "this machine has routes into every network that clients could get"
	# RFC 4193: 40 random bits.
	pool6=$(openssl rand -hex 5 | sed -E 's/(..)(....)(....)/fd\1:\2:\3/')
}

# The host's resolvers, as far as they can be reached from elsewhere.
serve_dns() {
	local file=/etc/resolv.conf
	if [ -r /run/systemd/resolve/resolv.conf ]; then
		file=/run/systemd/resolve/resolv.conf
	fi
	[ ! -r $file ] || awk '$1 == "nameserver" && $2 !~ /^(127\.|::1$|fe80:)/ { print $2 }' $file |
		head -n 3
}

# ---- what it changes

# Turning forwarding on sets the interfaces' own settings too: all are recorded first. On a host
# with IPv6 by router advertisements it would end that, but for accept_ra=2.
forwarding_on() {
	local f
	for f in /proc/sys/net/ipv4/conf/*/{forwarding,accept_redirects} \
		/proc/sys/net/ipv6/conf/*/forwarding; do
		[ ! -e "$f" ] || undo_add undo_write "$f" "$(<"$f")"
	done
	sysctl_set /proc/sys/net/ipv4/ip_forward 1
	f=/proc/sys/net/ipv6/conf
	[ -e $f/all/forwarding ] && [ "$(<$f/all/forwarding)" = 0 ] || return 0
	for f in /proc/sys/net/ipv6/conf/*/accept_ra; do
		[ "$(<"$f")" != 1 ] || sysctl_set "$f" 2
	done
	sysctl_set /proc/sys/net/ipv6/conf/all/forwarding 1
}

sysctl_set() { # sysctl_set FILE VALUE
	local before
	before=$(<"$1")
	[ "$before" != "$2" ] || return 0
	undo_add undo_write "$1" "$before"
	echo "$2" >"$1"
}

nat_on() {
	undo_add nft delete table inet $NFT_TABLE
	nft -f - <<-EOT
		table inet $NFT_TABLE {
			chain postrouting {
				type nat hook postrouting priority srcnat; policy accept;
				ip saddr $pool4.0/24 oifname != "$tap" masquerade
				ip6 saddr $pool6::/64 oifname != "$tap" masquerade
			}
		}
	EOT
}

has_xdp() {
	ip -j link show dev "$wan" | jq -e '.[0].xdp' >/dev/null 2>&1
}

# Of a dataplane that was killed; one that ends takes its program with it.
undo_xdp() {
	! ip -j link show dev "$1" | jq -e '.[0].xdp' >/dev/null 2>&1 ||
		ip link set dev "$1" xdp off
}

# ---- one after the other

serve() {
	local user=demo password names dns='' split=''
	dir=$HOST_DIR tap=penstock0
	serve_interface
	serve_port
	serve_pool
	[ ! -e /sys/class/net/$tap ] || die "there is an interface $tap already"
	password=$(random_password)
	if $nat; then
		dns=$(serve_dns)
	else
		split=$pool4.0/24$'\n'$pool6::/64
	fi
	names=$(printf '%s\n' ${address4:+"IP:$address4"} ${address6:+"IP:$address6"} | paste -sd ,)

	echo "gateway on $wan"
	trap serve_end EXIT
	host_dir
	has_xdp || undo_add undo_xdp "$wan"
	[ -d /run/dpdk ] || undo_add rmdir /run/dpdk
	hugepages_get
	step "certificate, user $user with a random password" \
		gateway_files "$names" "$user" "$password"
	step "configuration" gateway_config
	steps_begin "dataplane"
	if ! dataplane_start >>"$LOG" 2>&1; then
		steps_end "FAILED"
		steps_tail
		exit 1
	fi
	steps_end "$(wan_driver)"
	echo "    | $huge_text"
	step "control plane" controlplane_start
	step "forwarding" forwarding_on
	if $nat; then
		step "masquerading (nftables table $NFT_TABLE)" nat_on ||
			die "nftables does not work here: without it there is no --nat"
	fi
	serve_tell
	serve_wait
}

serve_tell() {
	local host=${address4:-[$address6]} url tag
	url=https://$host
	[ "$port" = 443 ] || url+=:$port
	tag=$(pin server)
	cat <<-EOT

		  URL       $url
		  user      $user
		  password  $password
		  pin       $tag

		  A client, as root on another machine:
		    echo '$password' | openconnect --user $user --passwd-on-stdin \\
		      --servercert $tag $url
		  What goes on, here:
		    $BUILD/tools/cli/penstockctl --socket $dir/run/control.sock show sessions

	EOT
	if nft list chain ip filter FORWARD 2>/dev/null | grep -q 'policy drop'; then
		echo "  This machine's firewall (ip filter FORWARD) drops what is forwarded: allow $tap in it."
	fi
	echo "serving until Ctrl-C or SIGTERM"
}

# Ends by a signal, or with an error when a daemon does.
serve_wait() {
	local name
	wait -n "${daemon_pid[dataplane]}" "${daemon_pid[controlplane]}" || true
	for name in dataplane controlplane; do
		alive $name || echo "the $name ended: see $LOGS/quickstart-$name.log"
	done
	exit 1
}

serve_stop() {
	local status=0
	gateway_stop || status=1
	undo_all
	if [ -e "/sys/class/net/$tap" ]; then
		echo "the interface $tap is left behind"
		status=1
	fi
	return $status
}

serve_end() {
	local status=$?
	trap '' INT TERM HUP
	trap - EXIT
	step "stop, and undo what was changed" serve_stop || status=1
	# To be stopped is how it ends well.
	case $status in 130 | 143) status=0 ;; esac
	exit $status
}
