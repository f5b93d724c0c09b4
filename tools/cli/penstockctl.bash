# SPDX-License-Identifier: GPL-3.0-or-later
# shellcheck shell=bash
# Completion of penstockctl for bash: commands, options, user names and session ids.

_penstockctl_field() { # _penstockctl_field FIELD [LIST]: of all sessions (or bans), once each
	local words=(penstockctl --json)
	[ -n "$socket" ] && words+=(--socket "$socket")
	# One field a line in the JSON that penstockctl prints.
	"${words[@]}" show "${2-sessions}" 2>/dev/null |
		sed -n "s/^ *\"$1\": \"\{0,1\}\([^\"]*[^\",]\)\"\{0,1\},\{0,1\}\$/\1/p" | sort -u
}

_penstockctl_users() { # _penstockctl_users FILE: users of a password file
	sed -n '/^[^#:][^:]*:/s/:.*//p' "$1" 2>/dev/null
}

_penstockctl() {
	local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]}
	local words=() socket='' file=/etc/penstock/passwd fixed='' names='' i
	COMPREPLY=()
	for ((i = 1; i < COMP_CWORD; i++)); do
		case ${COMP_WORDS[i]} in
		-s | --socket) socket=${COMP_WORDS[++i]} ;;
		-c | --passwd) file=${COMP_WORDS[++i]} ;;
		-g | --groups | -i | --interval | -t | --timeout) ((i++)) ;;
		-*) ;;
		*) words+=("${COMP_WORDS[i]}") ;;
		esac
	done
	case $prev in
	-s | --socket | -c | --passwd)
		mapfile -t COMPREPLY < <(compgen -f -- "$cur")
		return
		;;
	-g | --groups | -i | --interval | -t | --timeout) return ;;
	esac
	case "${words[*]}" in
	'') fixed='status show disconnect unban reload drain undrain stop passwd --socket --json --help --version' ;;
	show) fixed='sessions session iroutes interfaces counters workers leases bans radius version --json' ;;
	'show session') names=$(_penstockctl_field user; _penstockctl_field id) ;;
	'show counters' | 'show bans') fixed='--all --json' ;;
	'show workers') fixed='--interval --json' ;;
	'show '*) fixed='--json' ;;
	disconnect) fixed='user id' ;;
	unban)
		fixed='all'
		names=$(_penstockctl_field address bans | sed 's|/64$||')
		;;
	'disconnect user') names=$(_penstockctl_field user) ;;
	'disconnect id') names=$(_penstockctl_field id) ;;
	drain) fixed='--timeout --json' ;;
	stop) fixed='--drain --timeout --json' ;;
	passwd)
		if [[ $cur == -* ]]; then
			fixed='--passwd --groups --stdin --delete --lock --unlock --help'
		else
			names=$(_penstockctl_users "$file")
		fi
		;;
	esac
	mapfile -t COMPREPLY < <(
		compgen -W "$fixed" -- "$cur"
		IFS=$'\n' # a user name may hold spaces
		compgen -W "$names" -- "$cur"
	)
}

complete -F _penstockctl penstockctl
