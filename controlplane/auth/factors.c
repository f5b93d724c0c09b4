// SPDX-License-Identifier: GPL-3.0-or-later
// The list of all ways to authenticate; used by login.c and login_steps.c.

#include "factor.h"

const struct factor *const factors[] = {
	&factor_password,
	&factor_otp,
	&factor_radius,
	&factor_pam,
	&factor_kerberos,
	&factor_oidc,
	&factor_certificate,
	NULL,
};

const struct factor *factor_find(enum cfg_factor id) {
	for (size_t i = 0; factors[i] != NULL; i++) {
		if (factors[i]->id == id)
			return factors[i];
	}
	return NULL;
}
