# shellcheck shell=bash
# SPDX-License-Identifier: GPL-3.0-or-later
# Steps with one line and one time each, sourced by tools/setup, tools/check and tools/quickstart.
# The caller sets LOG, the file that takes the whole output.

steps_now() {
	echo "${EPOCHREALTIME/[.,]/}"
}

# steps_begin TITLE: writes the first half of the line.
steps_begin() {
	steps_started=$(steps_now)
	printf '\n=== %s: %s ===\n' "$(date -u +%H:%M:%S)" "$1" >>"$LOG"
	steps_offset=$(wc -c <"$LOG")
	printf '  %-52s' "$1"
}

# steps_end [RESULT]: writes the second half: elapsed seconds, and what came of it.
steps_end() {
	local us=$(($(steps_now) - steps_started))
	printf '%4d.%d s  %s\n' $((us / 1000000)) $((us % 1000000 / 100000)) "${1:-ok}"
}

# steps_tail: the end of what this step wrote, indented, and where the whole is.
steps_tail() {
	tail -c "+$((steps_offset + 1))" "$LOG" | tail -n 25 | cut -c 1-200 | sed 's/^/    | /'
	printf '    whole log: %s\n' "$LOG"
}

# step TITLE COMMAND...: runs the command into the log; on failure shows the log's end.
step() {
	local title=$1 status=0
	shift
	steps_begin "$title"
	"$@" >>"$LOG" 2>&1 </dev/null || status=$?
	if [ $status -eq 0 ]; then
		steps_end
		return 0
	fi
	if [ $status -eq 124 ]; then
		steps_end "timed out"
	else
		steps_end "FAILED (status $status)"
	fi
	steps_tail
	return $status
}

die() {
	printf '%s: %s\n' "${0##*/}" "$*" >&2
	exit 1
}
