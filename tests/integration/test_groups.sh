#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# Groups: chosen in the form, by the URL, by default, with stock openconnect and by hand; refused to
# users who do not have them. The configuration is the example of docs/operations/groups-and-settings.md.
# shellcheck source=tests/integration/lib.sh
. "$(dirname "$0")/lib.sh"

command -v curl >/dev/null || skip "needs curl"
ground
url=https://192.0.2.1
certificate server ec "IP:192.0.2.1,DNS:vpn.example.net"
for who in 'both staff,guests' 'guest guests,others' 'admin admins' 'none ""'; do
	eval "set -- $who"
	user "$1" secret
	[ -z "$2" ] || echo secret | "$BUILD/tools/cli/penstockctl" passwd --stdin -c "$dir/passwd" -g "$2" "$1" >/dev/null
done
example=$(doc_example test_groups.sh)
[ "$(jq '.group | length' <<<"$example")" = 3 ] || fail "no example: $example"
gateway_start ". * {\"penstock:penstock\": $example}"

form() { # form PATH FIELD... : into $status, body and head
	local path=$1 field args=()
	shift
	for field; do args+=(--data-urlencode "$field"); done
	status=$(ns cl curl -sk --max-time 30 -o "$dir/body" -D "$dir/head" -w '%{http_code}' "${args[@]}" "$url$path") || true
}
says() { grep -q -- "$1" "$dir/body" || fail "$2: $status: $(cat "$dir/body")"; }
in_now() { says 'auth id="success"' "$1"; }
refused() { says 'Login failed' "$1"; }
group_is() { # group_is USER GROUP: of the user's one session, which then ends
	local is
	is=$(session_field "$1" group)
	[ "$is" = "$2" ] || fail "$1 is in the group '$is', expected '$2': $(ctl --json show sessions)"
	ctl disconnect user "$1" >/dev/null
}

form /
says '<select name="group_list" label="Group:">' "form"
says '<option value="staff" selected="true">Staff of Example Ltd</option>' "the default"
says '<option value="guests">guests</option>' "another"
grep -q admins "$dir/body" && fail "a group that is not selectable is in the form"
pass "the form offers groups"

form /auth username=both password=secret group_list=guests
in_now "guests"
group_is both guests
form /auth username=both password=secret
in_now "by default"
group_is both staff
form /auth username=both password=secret 'group_list=Staff of Example Ltd'
in_now "by label"
group_is both staff
form /auth username=guest password=secret
in_now "without the default"
group_is guest guests
form /auth username=guest password=secret group_list=others
in_now "a group of the user that is not in the configuration"
group_is guest others
form /auth username=none password=secret
in_now "no group"
group_is none ""
pass "chosen, default, first, none"

form /auth username=guest password=wrong
cp "$dir/body" "$dir/body-wrong"
for group in staff admins nobodys 'guests,others' GUESTS; do
	form /auth username=guest password=secret group_list="$group"
	refused "group $group"
	grep -v '<option' "$dir/body" | cmp - <(grep -v '<option' "$dir/body-wrong") || fail "$group: another answer than to a wrong password"
done
grep -q 'login_refused user=guest .*reason="not in the group asked for"' "$dir/log/controlplane" || fail "not in the log"
pass "a group that the user does not have is refused like a wrong password"

form /admins
says 'action="/admins"' "form of a URL"
form /admins username=admin password=secret
in_now "by URL"
group_is admin admins
form /admins username=guest password=secret
refused "by URL, not had"
form /guests/ username=both password=secret
in_now "by URL with a slash"
group_is both guests
form /nobodys username=both password=secret
[ "$status" = 404 ] || fail "a URL that is no group: $status"
status=$(ns cl curl -sk -o "$dir/body" -w '%{http_code}' --data-binary '<config-auth client="vpn" type="init"><group-access>https://192.0.2.1/admins</group-access></config-auth>' $url/)
says 'action="/admins"' "group-access"
pass "by URL and group-access"

oc() { # oc USER URL-PATH [options]
	local user=$1 path=$2
	shift 2
	echo secret | ns cl timeout 60 openconnect --authenticate -u "$user" --servercert "$(pin server)" --non-inter \
		--passwd-on-stdin "$@" "$url$path" >"$dir/log/oc" 2>&1
}
oc both "" --authgroup=guests || fail "openconnect --authgroup by name"
group_is both guests
oc both "" --authgroup="Staff of Example Ltd" || fail "openconnect --authgroup by label"
group_is both staff
oc admin /admins --authgroup=admins || fail "openconnect by URL"
group_is admin admins
oc guest "" --authgroup="Staff of Example Ltd" && fail "openconnect: a group that the user does not have"
pass "openconnect: --authgroup and URL"

LOGIN=both client both --authgroup=guests
client_wait both
[ "$(session_field both group)" = guests ] || fail "the tunnel's group: $(session_field both group)"
client_stop both
pass "openconnect: a tunnel in a group"
