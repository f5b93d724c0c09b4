// SPDX-License-Identifier: GPL-3.0-or-later
// The rules on who may enter that YANG cannot say. Called by config_cross.c.

#include "yang/config_priv.h"

#define TOP "/penstock:penstock"

static bool has_factor(const struct cfg_alternative *alternative, enum cfg_factor factor) {
	for (size_t i = 0; i < alternative->nb_factors; i++) {
		if (alternative->factors[i] == factor)
			return true;
	}
	return false;
}

static bool uses_factor(const struct cfg *cfg, enum cfg_factor factor) {
	for (size_t i = 0; i < cfg->auth.nb_alternatives; i++) {
		if (has_factor(&cfg->auth.alternatives[i], factor))
			return true;
	}
	return false;
}

void cfg_cross_check_access(struct errors *errors, const struct cfg *cfg) {
	if (uses_factor(cfg, CFG_FACTOR_PASSWORD_FILE) && cfg->auth.password_file[0] == '\0')
		errors_add(errors,
			TOP "/authentication/password-file: missing: no value, expected the path "
			    "of the file with the users, as a method has the factor "
			    "password-file");
}
