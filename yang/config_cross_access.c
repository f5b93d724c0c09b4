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

// ---- methods

// A login's first form has one password.
static void check_passwords(
	struct errors *errors, const struct cfg_alternative *list, size_t n, const char *path) {
	for (size_t i = 0; i < n; i++) {
		if (has_factor(&list[i], CFG_FACTOR_PASSWORD_FILE) &&
			has_factor(&list[i], CFG_FACTOR_RADIUS))
			errors_add(errors,
				"%s/method[name='%s']/factor: two passwords: password-file and "
				"radius, expected one of them, or a method for each",
				path, list[i].name);
	}
}

static void check_methods(struct errors *errors, const struct cfg *cfg) {
	check_passwords(
		errors, cfg->auth.alternatives, cfg->auth.nb_alternatives, TOP "/authentication");
	if (uses_factor(cfg, CFG_FACTOR_PASSWORD_FILE) && cfg->auth.password_file[0] == '\0')
		errors_add(errors,
			TOP "/authentication/password-file: missing: no value, expected the path "
			    "of the file with the users, as a method has the factor "
			    "password-file");
	if (uses_factor(cfg, CFG_FACTOR_OTP) && cfg->auth.otp.file[0] == '\0')
		errors_add(errors,
			TOP "/authentication/otp/users-file: missing: no value, expected the path "
			    "of the file with the tokens, as a method has the factor otp");
	if (uses_factor(cfg, CFG_FACTOR_RADIUS) && cfg->radius.nb_servers == 0)
		errors_add(errors,
			TOP "/radius/server: missing: no entry, expected at least one, as a "
			    "method has the factor radius");
}

// ---- radius

static void check_servers(struct errors *errors, const struct cfg_radius *radius) {
	for (size_t i = 0; i < radius->nb_servers; i++) {
		const struct cfg_radius_server *server = &radius->servers[i];
		if (server->auth_port == server->acct_port)
			errors_add(errors,
				TOP "/radius/server[name='%s']/acct-port: the same as auth-port: "
				    "%u, expected a port of its own",
				server->name, server->acct_port);
		for (size_t k = 0; k < i; k++) {
			if (!addr_equal(&server->addr, &radius->servers[k].addr) ||
				server->auth_port != radius->servers[k].auth_port)
				continue;
			errors_add(errors,
				TOP "/radius/server[name='%s']/address: used twice: %s port %u, "
				    "expected a server of its own",
				server->name, addr_text(&server->addr), server->auth_port);
			break;
		}
	}
}

static void check_dynauth(struct errors *errors, const struct cfg *cfg) {
	for (size_t i = 0; cfg->radius.dynauth_port != 0 && i < cfg->nb_listen; i++) {
		if (cfg->listen[i].udp_port != cfg->radius.dynauth_port)
			continue;
		errors_add(errors,
			TOP "/radius/dynamic-authorization/port: used twice: %u, expected a port "
			    "that clients do not use (listen[%zu]/udp-port)",
			cfg->radius.dynauth_port, i + 1);
	}
}

void cfg_cross_check_access(struct errors *errors, const struct cfg *cfg) {
	check_methods(errors, cfg);
	check_servers(errors, &cfg->radius);
	check_dynauth(errors, cfg);
}
