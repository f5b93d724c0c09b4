// SPDX-License-Identifier: GPL-3.0-or-later
// The rules on who may enter that YANG cannot say. Called by config_cross.c.

#include <stdio.h>
#include <string.h>

#include "yang/config_priv.h"

#define TOP "/penstock:penstock"

// ---- methods

// A login's first form has one password.
static void check_passwords(
	struct errors *errors, const struct cfg_alternative *list, size_t n, const char *path) {
	for (size_t i = 0; i < n; i++) {
		if (cfg_has_factor(&list[i], CFG_FACTOR_PASSWORD_FILE) &&
			cfg_has_factor(&list[i], CFG_FACTOR_RADIUS))
			errors_add(errors,
				"%s/method[name='%s']/factor: two passwords: password-file and "
				"radius, expected one of them, or a method for each",
				path, list[i].name);
	}
}

// A token comes with the first request of a login, or never.
static void check_tokens(
	struct errors *errors, const struct cfg_alternative *list, size_t n, const char *path) {
	static const struct {
		enum cfg_factor factor;
		const char *name;
	} tokens[] = {{CFG_FACTOR_KERBEROS, "kerberos"}, {CFG_FACTOR_OIDC, "oidc"}};
	for (size_t i = 0; i < 2 * n; i++) {
		const struct cfg_alternative *alternative = &list[i / 2];
		enum cfg_factor factor = tokens[i % 2].factor;
		if (cfg_has_factor(alternative, factor) && alternative->factors[0] != factor)
			errors_add(errors,
				"%s/method[name='%s']/factor: %s behind another factor, expected "
				"it to be the first",
				path, alternative->name, tokens[i % 2].name);
		if (cfg_has_factor(alternative, factor) &&
			cfg_has_factor(alternative, CFG_FACTOR_CERTIFICATE))
			errors_add(errors,
				"%s/method[name='%s']/factor: %s and certificate, expected one of "
				"them, or a method for each",
				path, alternative->name, tokens[i % 2].name);
	}
}

static void check_alternatives(struct errors *errors, const struct cfg *cfg) {
	char path[128];
	check_passwords(
		errors, cfg->auth.alternatives, cfg->auth.nb_alternatives, TOP "/authentication");
	check_tokens(
		errors, cfg->auth.alternatives, cfg->auth.nb_alternatives, TOP "/authentication");
	for (size_t i = 0; i < cfg->nb_vhosts; i++) {
		const struct cfg_vhost *vhost = &cfg->vhosts[i];
		snprintf(path, sizeof(path), TOP "/virtual-host[name='%s']", vhost->name);
		check_passwords(errors, vhost->alternatives, vhost->nb_alternatives, path);
		check_tokens(errors, vhost->alternatives, vhost->nb_alternatives, path);
	}
}

static void check_methods(struct errors *errors, const struct cfg *cfg) {
	check_alternatives(errors, cfg);
	if (cfg_uses_factor(cfg, CFG_FACTOR_PASSWORD_FILE) && cfg->auth.password_file[0] == '\0')
		errors_add(errors,
			TOP "/authentication/password-file: missing: no value, expected the path "
			    "of the file with the users, as a method has the factor "
			    "password-file");
	if (cfg_uses_factor(cfg, CFG_FACTOR_OTP) && cfg->auth.otp.file[0] == '\0')
		errors_add(errors,
			TOP "/authentication/otp/users-file: missing: no value, expected the path "
			    "of the file with the tokens, as a method has the factor otp");
	if (cfg_uses_factor(cfg, CFG_FACTOR_OIDC) && cfg->oidc.issuer[0] == '\0')
		errors_add(errors,
			TOP "/oidc/issuer: missing: no value, expected the URL of who signs the "
			    "tokens, as a method has the factor oidc");
	if (cfg_uses_factor(cfg, CFG_FACTOR_CERTIFICATE) &&
		cfg->auth.client_cert.ca_file[0] == '\0')
		errors_add(errors,
			TOP "/authentication/client-certificate/ca-file: missing: no value, "
			    "expected the path of the file with the CAs, as a method has the "
			    "factor certificate");
	if (cfg_uses_factor(cfg, CFG_FACTOR_KERBEROS) && cfg->auth.kerberos.keytab_file[0] == '\0')
		errors_add(errors,
			TOP "/authentication/kerberos/keytab-file: missing: no value, expected the "
			    "path of the keytab, as a method has the factor kerberos");
	if (cfg_uses_factor(cfg, CFG_FACTOR_RADIUS) && cfg->radius.nb_servers == 0)
		errors_add(errors,
			TOP "/radius/server: missing: no entry, expected at least one, as a "
			    "method has the factor radius");
}

// ---- users

static void check_names(struct errors *errors, const struct cfg *cfg) {
	for (size_t i = 0; cfg->auth.lower_names && i < cfg->nb_users; i++) {
		const char *name = cfg->users[i].name;
		if (strpbrk(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZ") != NULL)
			errors_add(errors,
				TOP "/user[name='%s']: no user has this name, as "
				    "authentication/name-case is lower, expected small letters",
				name);
	}
}

// ---- groups and virtual hosts

static void check_default_group(struct errors *errors, const struct cfg *cfg) {
	const char *name = cfg->auth.default_group;
	if (name[0] != '\0' && cfg_group_find(cfg, name) == NULL)
		errors_add(errors,
			TOP "/authentication/group/default-group: unknown group: %s, expected the "
			    "name of an entry of group",
			name);
}

static const char *vhost_with_name(const struct cfg *cfg, size_t before, const char *name) {
	for (size_t i = 0; i < before; i++) {
		for (size_t n = 0; n < cfg->vhosts[i].nb_server_names; n++) {
			if (strcasecmp(cfg->vhosts[i].server_names[n], name) == 0)
				return cfg->vhosts[i].name;
		}
	}
	return NULL;
}

static void check_vhosts(struct errors *errors, const struct cfg *cfg) {
	for (size_t i = 1; i < cfg->nb_vhosts; i++) {
		const struct cfg_vhost *vhost = &cfg->vhosts[i];
		for (size_t n = 0; n < vhost->nb_server_names; n++) {
			const char *other = vhost_with_name(cfg, i, vhost->server_names[n]);
			if (other != NULL)
				errors_add(errors,
					TOP "/virtual-host[name='%s']/server-name: used twice: %s, "
					    "expected a name that virtual host %s does not have",
					vhost->name, vhost->server_names[n], other);
		}
	}
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
	for (size_t i = 0; cfg->radius.dynauth.port != 0 && i < cfg->nb_listen; i++) {
		if (cfg->listen[i].udp_port != cfg->radius.dynauth.port)
			continue;
		errors_add(errors,
			TOP "/radius/dynamic-authorization/port: used twice: %u, expected a port "
			    "that clients do not use (listen[%zu]/udp-port)",
			cfg->radius.dynauth.port, i + 1);
	}
}

void cfg_cross_check_access(struct errors *errors, const struct cfg *cfg) {
	check_methods(errors, cfg);
	check_names(errors, cfg);
	check_default_group(errors, cfg);
	check_vhosts(errors, cfg);
	check_servers(errors, &cfg->radius);
	check_dynauth(errors, cfg);
}
