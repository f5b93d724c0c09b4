// SPDX-License-Identifier: GPL-3.0-or-later
// The part of a struct cfg that says who may enter, and how. Called by config_build.c.

#include <stdlib.h>
#include <string.h>

#include "yang/config_tree.h"

// ---- methods

static void alternative_build(
	struct build *build, const struct lyd_node *node, struct cfg_alternative *alternative) {
	static const char *const factors[] = {
		[CFG_FACTOR_PASSWORD_FILE] = "password-file",
		[CFG_FACTOR_RADIUS] = "radius",
		[CFG_FACTOR_OTP] = "otp",
		[CFG_FACTOR_PAM] = "pam",
		[CFG_FACTOR_CERTIFICATE] = "certificate",
		[CFG_FACTOR_KERBEROS] = "kerberos",
		[CFG_FACTOR_OIDC] = "oidc",
	};
	alternative->name = build_string(build, node, "name");
	node = tree_child(node, "factor");
	for (; node != NULL && alternative->nb_factors < CFG_FACTORS_MAX; node = tree_next(node)) {
		for (unsigned i = 0; i < sizeof(factors) / sizeof(factors[0]); i++) {
			if (factors[i] != NULL && strcmp(factors[i], lyd_get_value(node)) == 0)
				alternative->factors[alternative->nb_factors++] = i;
		}
	}
}

static void alternatives_build(struct build *build, const struct lyd_node *parent,
	struct cfg_alternative **list, size_t *n) {
	const struct lyd_node *node = tree_child(parent, "method");
	*list = build_entries(build, node, n, sizeof(**list));
	for (size_t i = 0; i < *n; i++, node = tree_next(node))
		alternative_build(build, node, &(*list)[i]);
}

// What holds when no method is configured: the password file alone.
static void alternatives_default(struct build *build, struct cfg_auth *auth) {
	if (auth->nb_alternatives > 0)
		return;
	auth->alternatives = calloc(1, sizeof(*auth->alternatives));
	if (auth->alternatives == NULL) {
		build->oom = true;
		return;
	}
	auth->nb_alternatives = 1;
	auth->alternatives[0].name = build_copy(build, "password");
	auth->alternatives[0].factors[0] = CFG_FACTOR_PASSWORD_FILE;
	auth->alternatives[0].nb_factors = 1;
}

static void alternatives_free(struct cfg_alternative *list, size_t n) {
	for (size_t i = 0; i < n; i++)
		free(list[i].name);
	free(list);
}

// ---- authentication

static void brute_force_build(
	struct build *build, const struct lyd_node *node, struct cfg_brute_force *bf) {
	bf->max_score = tree_number(node, "max-score");
	bf->max_score_prefix = tree_number(node, "max-score-prefix");
	bf->points_wrong_password = tree_number(node, "points-wrong-password");
	bf->points_connection = tree_number(node, "points-connection");
	bf->ban_time = tree_number(node, "ban-time");
	bf->reset_time = tree_number(node, "reset-time");
	build_prefixes(build, node, "exempt", &bf->exempt, &bf->nb_exempt);
}

static void pam_build(struct build *build, const struct lyd_node *node, struct cfg_pam *pam) {
	pam->service = build_string(build, node, "service");
	pam->gid_min = tree_number(node, "gid-min");
	pam->step_timeout = tree_number(node, "step-timeout");
	pam->concurrency = tree_number(node, "concurrency");
}

static void client_cert_build(
	struct build *build, const struct lyd_node *node, struct cfg_client_cert *cert) {
	cert->ca_file = build_string(build, node, "ca-file");
	build_strings(build, node, "crl-file", &cert->crl_files, &cert->nb_crl_files);
	cert->user_field = build_string(build, node, "user-name");
	cert->group_field = build_string(build, node, "group");
	node = tree_child(node, "ocsp");
	cert->ocsp_url = build_string(build, node, "url");
	cert->ocsp_soft = strcmp(tree_text(node, "failure"), "soft") == 0;
	cert->ocsp_timeout_ms = tree_number(node, "timeout");
}

static void client_cert_free(struct cfg_client_cert *cert) {
	free(cert->ca_file);
	build_strings_free(cert->crl_files, cert->nb_crl_files);
	free(cert->user_field);
	free(cert->group_field);
	free(cert->ocsp_url);
}

static void kerberos_build(
	struct build *build, const struct lyd_node *node, struct cfg_kerberos *kerberos) {
	kerberos->keytab_file = build_string(build, node, "keytab-file");
	build_strings(build, node, "realm", &kerberos->realms, &kerberos->nb_realms);
	kerberos->ticket_freshness = tree_number(node, "ticket-freshness");
	kerberos->require_local_user_map = tree_bool(node, "require-local-user-map");
}

static void auth_build(struct build *build, const struct lyd_node *node, struct cfg_auth *auth) {
	auth->password_file = build_string(build, node, "password-file");
	auth->end_removed_users = tree_bool(node, "end-removed-users");
	auth->otp.file = build_string(build, tree_child(node, "otp"), "users-file");
	pam_build(build, tree_child(node, "pam"), &auth->pam);
	client_cert_build(build, tree_child(node, "client-certificate"), &auth->client_cert);
	kerberos_build(build, tree_child(node, "kerberos"), &auth->kerberos);
	auth->select_group = tree_bool(tree_child(node, "group"), "select");
	auth->group_by_url = tree_bool(tree_child(node, "group"), "select-by-url");
	auth->default_group = build_string(build, tree_child(node, "group"), "default-group");
	alternatives_build(build, node, &auth->alternatives, &auth->nb_alternatives);
	alternatives_default(build, auth);
	auth->lower_names = strcmp(tree_text(node, "name-case"), "lower") == 0;
	auth->password_tries = tree_number(node, "password-tries");
	auth->requests_per_connection = tree_number(node, "requests-per-connection");
	auth->timeout = tree_number(node, "login-timeout");
	auth->header_timeout = tree_number(node, "request-timeout");
	auth->cookie_timeout = tree_number(node, "cookie-timeout");
	auth->max_clients = tree_number(node, "max-clients");
	auth->max_same_clients = tree_number(node, "max-same-clients");
	auth->replace_oldest = strcmp(tree_text(node, "max-same-clients-action"),
				       "replace-oldest") == 0;
	auth->deny_roaming = tree_bool(node, "deny-roaming");
	brute_force_build(build, tree_child(node, "brute-force"), &auth->brute_force);
	auth->camouflage.secret = build_string(build, tree_child(node, "camouflage"), "secret");
	auth->camouflage.realm = build_string(build, tree_child(node, "camouflage"), "realm");
}

// ---- groups and virtual hosts

static void groups_build(struct build *build, const struct lyd_node *node, struct cfg *cfg) {
	cfg->groups = build_entries(build, node, &cfg->nb_groups, sizeof(*cfg->groups));
	for (size_t i = 0; i < cfg->nb_groups; i++, node = tree_next(node)) {
		struct cfg_group *group = &cfg->groups[i];
		const char *label = tree_text(node, "label");
		group->name = build_string(build, node, "name");
		group->label = build_copy(
			build, label[0] != '\0' ? label : tree_text(node, "name"));
		group->selectable = tree_bool(node, "selectable");
		build_settings(build, tree_child(node, "settings"), &group->settings);
	}
}

static void groups_free(struct cfg *cfg) {
	for (size_t i = 0; i < cfg->nb_groups; i++) {
		free(cfg->groups[i].name);
		free(cfg->groups[i].label);
		build_settings_free(&cfg->groups[i].settings);
	}
	free(cfg->groups);
}

static int by_name(const void *a, const void *b) {
	return strcmp(((const struct cfg_user *)a)->name, ((const struct cfg_user *)b)->name);
}

static void users_build(struct build *build, const struct lyd_node *node, struct cfg *cfg) {
	cfg->users = build_entries(build, node, &cfg->nb_users, sizeof(*cfg->users));
	for (size_t i = 0; i < cfg->nb_users; i++, node = tree_next(node)) {
		cfg->users[i].name = build_string(build, node, "name");
		build_settings(build, tree_child(node, "settings"), &cfg->users[i].settings);
	}
	if (cfg->nb_users > 1 && !build->oom)
		qsort(cfg->users, cfg->nb_users, sizeof(*cfg->users), by_name);
}

static void users_free(struct cfg *cfg) {
	for (size_t i = 0; i < cfg->nb_users; i++) {
		free(cfg->users[i].name);
		build_settings_free(&cfg->users[i].settings);
	}
	free(cfg->users);
}

static void vhosts_build(struct build *build, const struct lyd_node *node, struct cfg *cfg) {
	cfg->vhosts = build_entries(build, node, &cfg->nb_vhosts, sizeof(*cfg->vhosts));
	for (size_t i = 0; i < cfg->nb_vhosts; i++, node = tree_next(node)) {
		struct cfg_vhost *vhost = &cfg->vhosts[i];
		vhost->name = build_string(build, node, "name");
		build_strings(
			build, node, "server-name", &vhost->server_names, &vhost->nb_server_names);
		vhost->pre_login_banner = build_string(build, node, "pre-login-banner");
		alternatives_build(build, node, &vhost->alternatives, &vhost->nb_alternatives);
		build_settings(build, tree_child(node, "settings"), &vhost->settings);
	}
}

static void vhosts_free(struct cfg *cfg) {
	for (size_t i = 0; i < cfg->nb_vhosts; i++) {
		struct cfg_vhost *vhost = &cfg->vhosts[i];
		free(vhost->name);
		build_strings_free(vhost->server_names, vhost->nb_server_names);
		free(vhost->pre_login_banner);
		alternatives_free(vhost->alternatives, vhost->nb_alternatives);
		build_settings_free(&vhost->settings);
	}
	free(cfg->vhosts);
}

// ---- radius

static void servers_build(
	struct build *build, const struct lyd_node *node, struct cfg_radius *radius) {
	radius->servers = build_entries(build, node, &radius->nb_servers, sizeof(*radius->servers));
	for (size_t i = 0; i < radius->nb_servers; i++, node = tree_next(node)) {
		struct cfg_radius_server *server = &radius->servers[i];
		server->name = build_string(build, node, "name");
		build_addr(tree_text(node, "address"), &server->addr);
		server->auth_port = tree_number(node, "auth-port");
		server->acct_port = tree_number(node, "acct-port");
		server->secret_file = build_string(build, node, "secret-file");
	}
}

static void dynauth_build(
	struct build *build, const struct lyd_node *node, struct cfg_dynauth *dynauth) {
	const struct lyd_node *client = tree_child(node, "client");
	dynauth->clients = build_entries(
		build, client, &dynauth->nb_clients, sizeof(*dynauth->clients));
	for (size_t i = 0; i < dynauth->nb_clients; i++, client = tree_next(client)) {
		build_addr(tree_text(client, "address"), &dynauth->clients[i].addr);
		dynauth->clients[i].secret_file = build_string(build, client, "secret-file");
	}
	build_addr(tree_text(node, "listen-address"), &dynauth->addr);
	if (dynauth->nb_clients > 0)
		dynauth->port = tree_number(node, "port");
	dynauth->require_message_authenticator = tree_bool(node, "require-message-authenticator");
	dynauth->window = tree_number(node, "event-timestamp-window");
}

static void radius_build(
	struct build *build, const struct lyd_node *node, struct cfg_radius *radius) {
	servers_build(build, tree_child(node, "server"), radius);
	radius->timeout_ms = tree_number(node, "timeout");
	radius->tries = tree_number(node, "tries");
	radius->dead_time = tree_number(node, "dead-time");
	radius->nas_identifier = build_string(build, node, "nas-identifier");
	build_addr(tree_text(node, "nas-address"), &radius->nas_address);
	radius->require_message_authenticator = tree_bool(node, "require-message-authenticator");
	radius->default_realm = build_string(build, node, "default-realm");
	radius->accounting = tree_bool(node, "accounting");
	radius->interim_interval = tree_number(node, "interim-interval");
	radius->groups_from_class = tree_bool(node, "groups-from-class");
	dynauth_build(build, tree_child(node, "dynamic-authorization"), &radius->dynauth);
}

static void radius_free(struct cfg_radius *radius) {
	for (size_t i = 0; i < radius->nb_servers; i++) {
		free(radius->servers[i].name);
		free(radius->servers[i].secret_file);
	}
	for (size_t i = 0; i < radius->dynauth.nb_clients; i++)
		free(radius->dynauth.clients[i].secret_file);
	free(radius->dynauth.clients);
	free(radius->servers);
	free(radius->nas_identifier);
	free(radius->default_realm);
}

// ---- oidc

static void oidc_build(struct build *build, const struct lyd_node *node, struct cfg_oidc *oidc) {
	const struct lyd_node *claim = tree_child(node, "required-claim");
	oidc->issuer = build_string(build, node, "issuer");
	oidc->configuration_url = build_string(build, node, "configuration-url");
	build_strings(build, node, "audience", &oidc->audiences, &oidc->nb_audiences);
	build_strings(build, node, "algorithm", &oidc->algorithms, &oidc->nb_algorithms);
	oidc->required = build_entries(build, claim, &oidc->nb_required, sizeof(*oidc->required));
	for (size_t i = 0; i < oidc->nb_required; i++, claim = tree_next(claim)) {
		oidc->required[i].name = build_string(build, claim, "name");
		oidc->required[i].value = build_string(build, claim, "value");
	}
	oidc->user_claim = build_string(build, node, "user-claim");
	oidc->group_claim = build_string(build, node, "group-claim");
	oidc->clock_skew = tree_number(node, "clock-skew");
	oidc->refresh_interval = tree_number(node, "refresh-interval");
	oidc->keys_max_age = tree_number(node, "keys-max-age");
	oidc->ca_file = build_string(build, node, "ca-file");
}

static void oidc_free(struct cfg_oidc *oidc) {
	for (size_t i = 0; i < oidc->nb_required; i++) {
		free(oidc->required[i].name);
		free(oidc->required[i].value);
	}
	free(oidc->required);
	build_strings_free(oidc->audiences, oidc->nb_audiences);
	build_strings_free(oidc->algorithms, oidc->nb_algorithms);
	free(oidc->issuer);
	free(oidc->configuration_url);
	free(oidc->user_claim);
	free(oidc->group_claim);
	free(oidc->ca_file);
}

// ---- scripts

static void scripts_build(
	struct build *build, const struct lyd_node *node, struct cfg_scripts *scripts) {
	scripts->user = build_string(build, node, "user");
	scripts->connect = build_string(build, node, "connect");
	scripts->disconnect = build_string(build, node, "disconnect");
	scripts->host_update = build_string(build, node, "host-update");
	scripts->timeout = tree_number(node, "timeout");
	scripts->required = tree_bool(node, "required");
	scripts->concurrency = tree_number(node, "concurrency");
}

static void scripts_free(struct cfg_scripts *scripts) {
	free(scripts->user);
	free(scripts->connect);
	free(scripts->disconnect);
	free(scripts->host_update);
}

void build_access(struct build *build, const struct lyd_node *top, struct cfg *cfg) {
	auth_build(build, tree_child(top, "authentication"), &cfg->auth);
	groups_build(build, tree_child(top, "group"), cfg);
	users_build(build, tree_child(top, "user"), cfg);
	vhosts_build(build, tree_child(top, "virtual-host"), cfg);
	radius_build(build, tree_child(top, "radius"), &cfg->radius);
	oidc_build(build, tree_child(top, "oidc"), &cfg->oidc);
	scripts_build(build, tree_child(top, "scripts"), &cfg->scripts);
}

void build_access_free(struct cfg *cfg) {
	free(cfg->auth.password_file);
	free(cfg->auth.otp.file);
	free(cfg->auth.pam.service);
	client_cert_free(&cfg->auth.client_cert);
	free(cfg->auth.kerberos.keytab_file);
	build_strings_free(cfg->auth.kerberos.realms, cfg->auth.kerberos.nb_realms);
	free(cfg->auth.default_group);
	free(cfg->auth.brute_force.exempt);
	free(cfg->auth.camouflage.secret);
	free(cfg->auth.camouflage.realm);
	groups_free(cfg);
	users_free(cfg);
	vhosts_free(cfg);
	alternatives_free(cfg->auth.alternatives, cfg->auth.nb_alternatives);
	radius_free(&cfg->radius);
	oidc_free(&cfg->oidc);
	scripts_free(&cfg->scripts);
}
