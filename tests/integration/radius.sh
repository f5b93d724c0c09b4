# SPDX-License-Identifier: GPL-3.0-or-later
# shellcheck shell=bash
# Real FreeRADIUS servers for the tests of RADIUS, in namespace lan. Sourced after lib.sh.
# shellcheck disable=SC2154

command -v freeradius >/dev/null || skip "needs freeradius"
command -v radclient >/dev/null || skip "needs freeradius-utils"

radius_secret=lab-secret-7Kq
printf '%s\n' "$radius_secret" >"$dir/radius.secret"
chmod 600 "$dir/radius.secret"

# radius_server NAME ADDRESS: writes its configuration. Users in $dir/radius-NAME/users; "two" is
# asked twice more; records in $dir/radius-NAME/detail.
#
# Message-Authenticator in answers: from FreeRADIUS 3.2.5 on by default, before by these lines.
radius_server() {
	local d=$dir/radius-$1
	mkdir -p "$d"
	ip -n lan addr add "$2/24" dev eth0 2>/dev/null || true
	: >"$d/dictionary"
	: >"$d/detail"
	[ -e "$d/users" ] || cp "$dir/radius.users" "$d/users"
	cat >"$d/radiusd.conf" <<-EOF
		prefix = /usr
		raddbdir = $d
		logdir = $d
		run_dir = $d
		libdir = /usr/lib/freeradius
		pidfile = $d/pid
		max_requests = 8192
		hostname_lookups = no
		log {
			destination = stdout
			auth = yes
		}
		security {
			max_attributes = 200
			reject_delay = 0
			status_server = no
			allow_core_dumps = no
		}
		client gateway {
			ipaddr = 198.51.100.1
			secret = $radius_secret
			require_message_authenticator = yes
		}
		thread pool {
			start_servers = 2
			max_servers = 8
		}
		modules {
			pap {
			}
			files {
				usersfile = $d/users
			}
			detail {
				filename = $d/detail
			}
			expr {
			}
			always ok {
				rcode = ok
			}
			always handled {
				rcode = handled
			}
		}
		policy {
			challenge {
				update control {
					&Response-Packet-Type := Access-Challenge
				}
				handled
			}
			sign {
				update reply {
					&Message-Authenticator := 0x00
				}
			}
		}
		server default {
			listen {
				type = auth
				ipaddr = $2
				port = 1812
			}
			listen {
				type = acct
				ipaddr = $2
				port = 1813
			}
			authorize {
				if (&User-Name == "two" && !&State) {
					update control {
						&Cleartext-Password := "first"
						&Auth-Type := Ask
					}
				} elsif (&User-Name == "two" && &session-state:Tmp-Integer-0 == 1) {
					update control {
						&Cleartext-Password := "second"
						&Auth-Type := Ask
					}
				} elsif (&User-Name == "two") {
					update control {
						&Cleartext-Password := "third"
					}
					files
					pap
				} else {
					files
					pap
				}
			}
			authenticate {
				Auth-Type PAP {
					pap
				}
				Auth-Type Ask {
					pap
					update session-state {
						&Tmp-Integer-0 := "%{expr:%{%{session-state:Tmp-Integer-0}:-0} + 1}"
					}
					update reply {
						&Reply-Message := "Enter word %{session-state:Tmp-Integer-0}"
					}
					challenge
				}
			}
			post-auth {
				sign
				Post-Auth-Type REJECT {
					sign
				}
				Post-Auth-Type Challenge {
					sign
				}
			}
			accounting {
				detail
				ok
			}
		}
	EOF
}

declare -A radius_pids # of server NAME

radius_start() { # radius_start NAME
	local log=$dir/log/radius-$1
	: >"$log"
	in_ns lan freeradius -f -l stdout -d "$dir/radius-$1" -n radiusd >>"$log" 2>&1 &
	radius_pids[$1]=$!
	wait_log "$log" 'Ready to process requests'
}

radius_stop() { # radius_stop NAME
	kill -KILL "${radius_pids[$1]}"
	wait "${radius_pids[$1]}" 2>/dev/null || true
}

# records NAME [JQ]: the accounting records, one JSON object each: attribute names and values.
records() {
	python3 - "$dir/radius-$1/detail" <<-'EOF' | jq -c "${2-.}"
		import json, sys
		record = {}
		for line in open(sys.argv[1]):
		    if line.startswith("\t"):
		        name, value = line.strip().split(" = ", 1)
		        record[name] = value.strip('"')
		    elif line == "\n" and record:
		        print(json.dumps(record))
		        record = {}
	EOF
}

record_there() { # record_there NAME JQ-CONDITION
	[ -n "$(records "$1" "select($2)")" ]
}
