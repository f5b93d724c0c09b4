// SPDX-License-Identifier: GPL-3.0-or-later
// Keeps a few capabilities and gives up all others.
#include "caps.h"

#include <errno.h>
#include <stdbool.h>
#include <sys/prctl.h>

static bool is_one_of(cap_value_t cap, const cap_value_t *caps, size_t nb) {
	for (size_t i = 0; i < nb; i++)
		if (caps[i] == cap)
			return true;
	return false;
}

static int bound(const cap_value_t *caps, size_t nb) {
	for (int cap = 0; prctl(PR_CAPBSET_READ, cap, 0, 0, 0) >= 0; cap++)
		if (!is_one_of(cap, caps, nb) && prctl(PR_CAPBSET_DROP, cap, 0, 0, 0) < 0)
			return -errno;
	return 0;
}

// Adds it to `want` if it is held.
static int want_held(cap_t want, cap_t have, cap_value_t cap) {
	cap_flag_value_t held = CAP_CLEAR;

	if (cap_get_flag(have, cap, CAP_PERMITTED, &held) < 0)
		return -errno;
	if (held != CAP_SET)
		return 0;
	if (cap_set_flag(want, CAP_PERMITTED, 1, &cap, CAP_SET) < 0 ||
		cap_set_flag(want, CAP_EFFECTIVE, 1, &cap, CAP_SET) < 0)
		return -errno;
	return 0;
}

int caps_keep(const cap_value_t *caps, size_t nb) {
	cap_t have = cap_get_proc(), want = cap_init();
	int status = have == NULL || want == NULL ? -ENOMEM : bound(caps, nb);

	for (size_t i = 0; status == 0 && i < nb; i++)
		status = want_held(want, have, caps[i]);
	if (status == 0 && cap_set_proc(want) < 0)
		status = -errno;
	cap_free(have);
	cap_free(want);
	return status;
}
