// SPDX-License-Identifier: GPL-3.0-or-later
// The configuration loader: defaults, conversion, every example file, errors, what needs a restart.

#include <arpa/inet.h>
#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "yang/config.h"

#define SIZE_MAX_FILE (4u << 20)

static char *slurp(const char *path, size_t *len) {
	FILE *file = fopen(path, "rb");
	if (file == NULL)
		return NULL;
	char *text = malloc(SIZE_MAX_FILE);
	assert_non_null(text);
	*len = fread(text, 1, SIZE_MAX_FILE - 1, file);
	text[*len] = '\0';
	fclose(file);
	return text;
}

static struct cfg *example(const char *name) {
	char path[512], *error = NULL;
	snprintf(path, sizeof(path), "%s/%s", EXAMPLES, name);
	struct cfg *cfg = cfg_load_file(path, &error);
	if (cfg == NULL)
		fail_msg("%s: %s", path, error);
	assert_null(error);
	return cfg;
}

// Calls `each` for every *.json of a folder and returns their number.
static unsigned each_file(const char *folder, void (*each)(const char *path, const char *name)) {
	char path[1024];
	unsigned n = 0;
	DIR *dir = opendir(folder);
	assert_non_null(dir);
	for (struct dirent *e = readdir(dir); e != NULL; e = readdir(dir)) {
		size_t len = strlen(e->d_name);
		if (len < 5 || strcmp(e->d_name + len - 5, ".json") != 0)
			continue;
		snprintf(path, sizeof(path), "%s/%s", folder, e->d_name);
		each(path, e->d_name);
		n++;
	}
	closedir(dir);
	return n;
}

static void loads(const char *path, const char *name) {
	char *error = NULL;
	struct cfg *cfg = cfg_load_file(path, &error);
	if (cfg == NULL)
		fail_msg("%s: %s", path, error);
	cfg_free(cfg);
}

static void test_valid_examples(void **state) {
	assert_true(each_file(EXAMPLES, loads) >= 3);
}

// The text beside the file is the whole error, its name without a folder.
static void refused(const char *path, const char *name) {
	char beside[1024], *error = NULL;
	size_t len = 0, expected_len = 0;
	snprintf(beside, sizeof(beside), "%.*s.expected", (int)strlen(path) - 5, path);
	char *json = slurp(path, &len);
	char *expected = slurp(beside, &expected_len);
	if (expected == NULL)
		fail_msg("%s is missing", beside);
	struct cfg *cfg = cfg_load_mem(json, len, name, &error);
	if (cfg != NULL)
		fail_msg("%s is accepted", path);
	if (expected_len > 0 && expected[expected_len - 1] == '\n')
		expected[expected_len - 1] = '\0';
	assert_string_equal(error, expected);
	free(error);
	free(expected);
	free(json);
}

static void test_invalid_examples(void **state) {
	assert_true(each_file(EXAMPLES "/invalid", refused) >= 30);
}

static void test_defaults(void **state) {
	struct cfg *cfg = example("quickstart.json");
	assert_int_equal(cfg->nb_listen, 1);
	assert_int_equal(cfg->listen[0].addr.family, 0);
	assert_int_equal(cfg->listen[0].tcp_port, 443);
	assert_int_equal(cfg->listen[0].udp_port, 443);
	assert_true(cfg->tls12 && cfg->tls13 && cfg->dtls_psk && cfg->dtls_legacy);
	assert_string_equal(cfg->state_dir, "/var/lib/penstock");
	assert_string_equal(cfg->run_dir, "/run/penstock");
	assert_int_equal(cfg->edges, 2);
	assert_int_equal(cfg->connections_per_edge, 1024);
	assert_int_equal(cfg->log_level, CFG_LOG_INFO);
	assert_int_equal(cfg->auth.nb_alternatives, 1); // without a method: the password file
	assert_string_equal(cfg->auth.alternatives[0].name, "password");
	assert_int_equal(cfg->auth.alternatives[0].nb_factors, 1);
	assert_int_equal(cfg->auth.alternatives[0].factors[0], CFG_FACTOR_PASSWORD_FILE);
	assert_true(cfg->auth.end_removed_users);
	assert_int_equal(cfg->auth.password_tries, 3);
	assert_int_equal(cfg->auth.requests_per_connection, 16);
	assert_int_equal(cfg->auth.timeout, 240);
	assert_int_equal(cfg->auth.header_timeout, 20);
	assert_int_equal(cfg->auth.cookie_timeout, 300);
	assert_int_equal(cfg->auth.max_clients, 0);
	assert_int_equal(cfg->network.dpd, 60);
	assert_int_equal(cfg->network.keepalive, 20);
	assert_int_equal(cfg->network.rekey_time, 86400);
	assert_int_equal(cfg->network.mtu, 0);
	assert_string_equal(cfg->network.banner, "");
	assert_int_equal(cfg->dataplane.workers, 1);
	assert_int_equal(cfg->dataplane.streamers, 1);
	assert_int_equal(cfg->dataplane.nb_cpus, 0);
	assert_int_equal(cfg->dataplane.idle, CFG_IDLE_ADAPTIVE);
	assert_true(cfg->dataplane.hugepages);
	assert_int_equal(cfg->dataplane.sessions_max, 4096);
	assert_false(cfg->dataplane.client_to_client);
	assert_string_equal(cfg->dataplane.ports[1].kernel_if, "");
	assert_int_equal(cfg->pools[0].v6_client_prefix, 128);
	cfg_free(cfg);
}

static void expect_addr(const struct cfg_addr *addr, const char *text) {
	char shown[INET6_ADDRSTRLEN];
	assert_true(addr->family == AF_INET || addr->family == AF_INET6);
	assert_string_equal(inet_ntop(addr->family, addr->bytes, shown, sizeof(shown)), text);
}

static void test_values(void **state) {
	struct cfg *cfg = example("campus.json");
	const struct cfg_port *lan = &cfg->dataplane.ports[1];
	assert_string_equal(cfg->hostname, "vpn.university.example");
	assert_int_equal(cfg->listen[1].tcp_port, 8443);
	assert_int_equal(cfg->listen[1].udp_port, 0);
	assert_false(cfg->listen[1].proxy_required);
	assert_true(cfg->listen[2].proxy_required);
	assert_int_equal(cfg->listen[2].nb_trusted_proxies, 2);
	expect_addr(&cfg->listen[2].trusted_proxies[1].addr, "2001:db8:9::2");
	assert_int_equal(cfg->listen[2].trusted_proxies[1].len, 128);
	assert_false(cfg->tls12 || cfg->dtls_legacy);
	assert_int_equal(cfg->nb_certificates, 2);
	assert_string_equal(cfg->certificates[1].server_names[0], "library.university.example");
	expect_addr(&cfg->pools[0].gateway4, "10.64.255.254");
	expect_addr(&cfg->pools[0].gateway6, "2001:db8:64::1");
	assert_int_equal(cfg->pools[0].v6_client_prefix, 64);
	expect_addr(&cfg->pools[1].gateway4, "10.65.0.1");
	assert_int_equal(cfg->pools[1].v6.addr.family, 0);
	assert_int_equal(cfg->network.nb_dns, 2);
	expect_addr(&cfg->network.dns[1], "2001:db8::53");
	expect_addr(&cfg->network.split_include[0].addr, "10.0.0.0");
	assert_int_equal(cfg->network.split_include[0].len, 8);
	assert_string_equal(cfg->network.split_dns[1], "campus.example");
	assert_true(cfg->network.client_bypass_protocol);
	assert_int_equal(cfg->network.rekey_time, 0);
	assert_int_equal(cfg->network.rx_rate, 12500000);
	assert_int_equal(cfg->dataplane.ports[0].mode, CFG_PORT_SHARED);
	assert_int_equal(cfg->dataplane.ports[0].driver, CFG_DRIVER_AF_PACKET);
	assert_int_equal(lan->mode, CFG_PORT_DEDICATED);
	assert_int_equal(lan->driver, CFG_DRIVER_DEVARGS);
	assert_int_equal(lan->role, CFG_ROLE_LAN);
	assert_string_equal(lan->kernel_if, "vpnlan");
	expect_addr(&lan->addresses[0].addr, "10.1.2.3"); // host bits kept
	assert_int_equal(lan->addresses[0].len, 24);
	assert_int_equal(cfg->log_level, CFG_LOG_WARNING);
	cfg_free(cfg);
	cfg = example("dedicated.json");
	assert_int_equal(cfg->dataplane.nb_cpus, 9);
	assert_int_equal(cfg->dataplane.cpus[8], 1); // order kept
	assert_int_equal(cfg->dataplane.idle, CFG_IDLE_BUSY);
	cfg_free(cfg);
}

static void test_methods(void **state) {
	struct cfg *cfg = example("campus.json");
	assert_string_equal(cfg->auth.alternatives[0].name, "university");
	assert_int_equal(cfg->auth.alternatives[0].factors[0], CFG_FACTOR_RADIUS);
	assert_string_equal(cfg->auth.alternatives[1].name, "local");
	assert_int_equal(cfg->auth.alternatives[1].factors[0], CFG_FACTOR_PASSWORD_FILE);
	assert_int_equal(cfg->auth.alternatives[1].factors[1], CFG_FACTOR_OTP);
	assert_int_equal(cfg->auth.alternatives[1].nb_factors, 2);
	assert_string_equal(cfg->auth.otp.file, "/var/lib/penstock/otp/users");
	cfg_free(cfg);
}

static void test_groups(void **state) {
	struct cfg *cfg = example("campus.json");
	assert_true(cfg->auth.select_group && cfg->auth.group_by_url);
	assert_string_equal(cfg->auth.default_group, "students");
	assert_int_equal(cfg->nb_groups, 3);
	assert_string_equal(cfg->groups[0].label, "Staff");
	assert_string_equal(cfg->groups[1].label, "students"); // the name
	assert_true(cfg->groups[1].selectable);
	assert_false(cfg->groups[2].selectable);
	assert_ptr_equal(cfg_group_find(cfg, "students"), &cfg->groups[1]);
	assert_null(cfg_group_find(cfg, "Students"));
	cfg_free(cfg);
	cfg = example("quickstart.json");
	assert_false(cfg->auth.select_group || cfg->auth.group_by_url);
	assert_string_equal(cfg->auth.default_group, "");
	cfg_free(cfg);
}

static void test_vhosts(void **state) {
	struct cfg *cfg = example("campus.json");
	const struct cfg_vhost *library = &cfg->vhosts[0];
	size_t n = 0;
	assert_int_equal(cfg->nb_vhosts, 1);
	assert_ptr_equal(cfg_vhost_find(cfg, "LIBRARY.university.example"), library);
	assert_ptr_equal(cfg_vhost_find(cfg, "law.lib.university.example"), library);
	assert_null(cfg_vhost_find(cfg, "lib.university.example"));
	assert_null(cfg_vhost_find(cfg, ".lib.university.example"));
	assert_null(cfg_vhost_find(cfg, "a.law.lib.university.example")); // two labels
	assert_ptr_equal(cfg_vhost_find(cfg, "library.university.example."), library);
	assert_null(cfg_vhost_find(cfg, ""));
	assert_null(cfg_vhost_find(cfg, NULL));
	assert_ptr_equal(cfg_alternatives(cfg, library, &n), library->alternatives);
	assert_int_equal(n, 1);
	assert_ptr_equal(cfg_alternatives(cfg, NULL, &n), cfg->auth.alternatives);
	assert_int_equal(n, 6);
	cfg_free(cfg);
}

// All that may let a user in, in one configuration that is valid.
static void test_all_factors(void **state) {
	struct cfg *cfg = example("campus.json");
	for (enum cfg_factor factor = CFG_FACTOR_PASSWORD_FILE; factor <= CFG_FACTOR_OIDC; factor++)
		assert_true(cfg_uses_factor(cfg, factor));
	assert_string_equal(cfg->auth.client_cert.ocsp_url, "http://ocsp.university.example/");
	assert_string_equal(cfg->auth.kerberos.keytab_file, "/etc/penstock/keytab");
	assert_string_equal(cfg->share.node, "vpn1");
	cfg_free(cfg);
}

static void test_reach(void **state) {
	struct cfg *cfg = example("campus.json");
	const struct cfg_filter *web = cfg_filter_find(cfg, "web");
	const struct cfg_filter *mail = cfg_filter_find(cfg, "no-mail");
	static const struct cfg_service services[] = {
		{CFG_PROTOCOL_TCP, 80, 80},
		{CFG_PROTOCOL_TCP, 443, 443},
		{CFG_PROTOCOL_TCP, 8000, 8099},
		{CFG_PROTOCOL_UDP, 443, 443},
		{CFG_PROTOCOL_ICMP, 0, UINT16_MAX},
		{CFG_PROTOCOL_ICMPV6, 0, UINT16_MAX},
	};
	assert_non_null(web);
	assert_int_equal(web->set, CFG_SET_TO_ROUTES | CFG_SET_TO_PORTS);
	assert_true(web->reach.to_routes);
	assert_int_equal(web->reach.mode, CFG_REACH_ALLOW);
	assert_int_equal(web->reach.nb_services, 6);
	assert_memory_equal(web->reach.services, services, sizeof(services));
	assert_int_equal(mail->set, CFG_SET_TO_PORTS);
	assert_int_equal(mail->reach.mode, CFG_REACH_DENY);
	assert_int_equal(mail->reach.nb_services, 1);
	assert_null(cfg_filter_find(cfg, "we"));
	assert_false(cfg->network.reach.to_routes);
	assert_int_equal(cfg->network.reach.mode, CFG_REACH_ALL);
	cfg_free(cfg);
}

static void test_settings(void **state) {
	struct cfg *cfg = example("campus.json");
	const struct cfg_settings *staff = &cfg->groups[0].settings;
	const struct cfg_settings *library = &cfg->vhosts[0].settings;
	const struct cfg_user *user = cfg_user_find(cfg, "turing@university.example");
	assert_int_equal(staff->set,
		CFG_SET_POOLS | CFG_SET_SPLIT_INCLUDE | CFG_SET_BANNER | CFG_SET_SESSION_TIMEOUT);
	assert_int_equal(staff->nb_pools, 1);
	assert_string_equal(staff->pools[0], "staff");
	assert_int_equal(staff->network.nb_split_include, 2);
	assert_int_equal(staff->network.session_timeout, 43200);
	assert_string_equal(staff->hostname, "");
	assert_int_equal(cfg->groups[2].settings.set, 0);
	assert_int_equal(cfg->groups[1].settings.set,
		CFG_SET_POOLS | CFG_SET_MAX_SAME_CLIENTS | CFG_SET_IDLE_TIMEOUT | CFG_SET_RX_RATE |
			CFG_SET_TX_RATE | CFG_SET_FILTER);
	assert_string_equal(cfg->groups[1].settings.filter, "web");
	assert_int_equal(
		library->set, CFG_SET_POOLS | CFG_SET_SPLIT_INCLUDE | CFG_SET_MTU | CFG_SET_DPD);
	assert_int_equal(library->network.mtu, 1380);
	assert_non_null(user);
	assert_int_equal(user->settings.set,
		CFG_SET_IPV4 | CFG_SET_IPV6 | CFG_SET_DNS | CFG_SET_SPLIT_INCLUDE | CFG_SET_NO_UDP |
			CFG_SET_HOSTNAME | CFG_SET_DENY_ROAMING);
	expect_addr(&user->settings.ipv4, "10.64.7.7");
	expect_addr(&user->settings.ipv6, "2001:db8:64:77::1");
	assert_true(user->settings.no_udp);
	assert_false(user->settings.deny_roaming);
	assert_string_equal(user->settings.hostname, "bombe");
	assert_int_equal(cfg_user_find(cfg, "hopper")->settings.set, CFG_SET_IDLE_TIMEOUT);
	assert_null(cfg_user_find(cfg, "lovelace"));
	cfg_free(cfg);
	cfg = example("quickstart.json");
	assert_null(cfg_user_find(cfg, "hopper"));
	cfg_free(cfg);
}

static void test_bans(void **state) {
	struct cfg *cfg = example("campus.json");
	const struct cfg_brute_force *bf = &cfg->auth.brute_force;
	assert_true(cfg->auth.replace_oldest);
	assert_true(cfg->auth.deny_roaming);
	assert_int_equal(bf->max_score, 50);
	assert_int_equal(bf->max_score_prefix, 500);
	assert_int_equal(bf->points_connection, 0);
	assert_int_equal(bf->ban_time, 3600);
	assert_int_equal(bf->nb_exempt, 2);
	expect_addr(&bf->exempt[1].addr, "2001:db8::");
	assert_int_equal(bf->exempt[1].len, 32);
	assert_string_equal(cfg->auth.camouflage.secret, "owls-and-larks");
	assert_string_equal(cfg->auth.camouflage.realm, "Campus intranet");
	cfg_free(cfg);
	cfg = example("quickstart.json");
	assert_false(cfg->auth.replace_oldest);
	assert_false(cfg->auth.deny_roaming);
	assert_int_equal(cfg->auth.brute_force.max_score, 30);
	assert_int_equal(cfg->auth.brute_force.max_score_prefix, 120);
	assert_int_equal(cfg->auth.brute_force.points_wrong_password, 10);
	assert_int_equal(cfg->auth.brute_force.points_connection, 1);
	assert_int_equal(cfg->auth.brute_force.ban_time, 300);
	assert_int_equal(cfg->auth.brute_force.reset_time, 300);
	assert_string_equal(cfg->auth.camouflage.secret, "");
	cfg_free(cfg);
}

static void test_scripts(void **state) {
	struct cfg *cfg = example("campus.json");
	assert_string_equal(cfg->scripts.user, "nobody");
	assert_string_equal(cfg->health_path, "/health");
	assert_string_equal(cfg->scripts.connect, "/etc/penstock/connect.sh");
	assert_string_equal(cfg->scripts.disconnect, "/etc/penstock/disconnect.sh");
	assert_string_equal(cfg->scripts.host_update, "/etc/penstock/host-update.sh");
	assert_int_equal(cfg->scripts.timeout, 5);
	assert_true(cfg->scripts.required);
	assert_int_equal(cfg->scripts.concurrency, 16);
	cfg_free(cfg);
	cfg = example("quickstart.json");
	assert_string_equal(cfg->scripts.connect, "");
	assert_string_equal(cfg->scripts.user, "");
	assert_string_equal(cfg->health_path, "");
	assert_int_equal(cfg->scripts.timeout, 10);
	assert_false(cfg->scripts.required);
	assert_int_equal(cfg->scripts.concurrency, 64);
	cfg_free(cfg);
}

static void test_oidc(void **state) {
	struct cfg *cfg = example("campus.json");
	const struct cfg_oidc *oidc = &cfg->oidc;
	assert_string_equal(oidc->issuer, "https://idp.university.example/realms/campus");
	assert_string_equal(
		oidc->configuration_url, "https://idp.university.example/configuration");
	assert_int_equal(oidc->nb_audiences, 2);
	assert_string_equal(oidc->audiences[1], "vpn-test");
	assert_int_equal(oidc->nb_algorithms, 1);
	assert_string_equal(oidc->algorithms[0], "PS256");
	assert_int_equal(oidc->nb_required, 1);
	assert_string_equal(oidc->required[0].name, "mfa");
	assert_string_equal(oidc->required[0].value, "true");
	assert_string_equal(oidc->user_claim, "sub");
	assert_string_equal(oidc->group_claim, "groups");
	assert_int_equal(oidc->clock_skew, 5);
	assert_int_equal(oidc->refresh_interval, 30);
	assert_int_equal(oidc->keys_max_age, 7200);
	assert_string_equal(oidc->ca_file, "/etc/penstock/idp-ca.pem");
	assert_string_equal(cfg->auth.alternatives[2].name, "sso");
	assert_int_equal(cfg->auth.alternatives[2].factors[0], CFG_FACTOR_OIDC);
	cfg_free(cfg);
	cfg = example("quickstart.json");
	assert_string_equal(cfg->oidc.issuer, "");
	assert_int_equal(cfg->oidc.nb_algorithms, 2);
	assert_string_equal(cfg->oidc.algorithms[0], "RS256");
	assert_string_equal(cfg->oidc.algorithms[1], "ES256");
	assert_string_equal(cfg->oidc.user_claim, "preferred_username");
	assert_int_equal(cfg->oidc.refresh_interval, 60);
	assert_int_equal(cfg->oidc.keys_max_age, 86400);
	assert_string_equal(cfg->oidc.ca_file, "/etc/ssl/certs/ca-certificates.crt");
	cfg_free(cfg);
}

static void test_radius(void **state) {
	struct cfg *cfg = example("campus.json");
	const struct cfg_radius *radius = &cfg->radius;
	assert_int_equal(radius->nb_servers, 2);
	assert_string_equal(radius->servers[0].name, "first");
	assert_int_equal(radius->servers[0].auth_port, 1812);
	assert_int_equal(radius->servers[0].acct_port, 1813);
	assert_string_equal(radius->servers[0].secret_file, "/etc/penstock/radius.secret");
	expect_addr(&radius->servers[1].addr, "2001:db8::18");
	assert_int_equal(radius->servers[1].acct_port, 11813);
	assert_int_equal(radius->timeout_ms, 1500);
	assert_int_equal(radius->tries, 2);
	assert_int_equal(radius->dead_time, 60);
	assert_string_equal(radius->nas_identifier, "vpn1");
	expect_addr(&radius->nas_address, "10.1.2.3");
	assert_true(radius->require_message_authenticator && radius->groups_from_class);
	assert_string_equal(radius->default_realm, "university.example");
	assert_true(radius->accounting);
	assert_int_equal(radius->interim_interval, 300);
	assert_int_equal(radius->dynauth.port, 3799);
	assert_int_equal(radius->dynauth.nb_clients, 1);
	expect_addr(&radius->dynauth.addr, "10.1.2.3");
	expect_addr(&radius->dynauth.clients[0].addr, "10.0.0.18");
	assert_string_equal(
		radius->dynauth.clients[0].secret_file, "/etc/penstock/radius-coa.secret");
	assert_true(radius->dynauth.require_message_authenticator);
	assert_int_equal(radius->dynauth.window, 300);
	cfg_free(cfg);
	cfg = example("quickstart.json");
	assert_int_equal(cfg->radius.nb_servers, 0);
	assert_int_equal(cfg->radius.dynauth.port, 0); // off without a client
	assert_int_equal(cfg->radius.timeout_ms, 3000);
	assert_int_equal(cfg->radius.tries, 3);
	assert_int_equal(cfg->radius.dead_time, 120);
	assert_int_equal(cfg->radius.interim_interval, 600);
	assert_false(cfg->radius.accounting);
	cfg_free(cfg);
}

static void test_files(void **state) {
	char *error = NULL;
	assert_null(cfg_load_file("/nonexistent/penstock.json", &error));
	assert_string_equal(
		error, "/nonexistent/penstock.json: cannot be read: No such file or directory");
	free(error);
	assert_null(cfg_load_file("/", &error));
	assert_string_equal(error, "/: is a directory, expected a file");
	free(error);
	assert_null(cfg_load_file("/dev/zero", &error)); // endless
	assert_non_null(strstr(error, "too large"));
	free(error);
	size_t len = (1u << 20) + 1;
	char *huge = malloc(len);
	memset(huge, ' ', len);
	assert_null(cfg_load_mem(huge, len, "huge", &error));
	assert_string_equal(
		error, "huge: the file is too large: 1048577 bytes, expected at most 1048576");
	free(error);
	free(huge);
}

// As many errors as one can read, then their number.
static void test_many_errors(void **state) {
	char json[8192] = "{\"penstock:penstock\": {", *error = NULL;
	for (unsigned i = 0; i < 200; i++)
		sprintf(json + strlen(json), "%s\"x%u\": 1", i > 0 ? "," : "", i);
	strcat(json, "}}");
	assert_null(cfg_load_mem(json, strlen(json), "many", &error));
	unsigned lines = 1;
	for (const char *c = error; *c != '\0'; c++)
		lines += *c == '\n';
	assert_int_equal(lines, 51);
	assert_non_null(strstr(error, "\n... and 153 more errors"));
	free(error);
}

static void test_restart(void **state) {
	const char *paths[32];
	struct cfg *old = example("campus.json");
	struct cfg *new = example("campus.json");
	assert_int_equal(cfg_restart_needed(old, new, paths, 32), 0);
	// Applied live.
	new->network.dpd = 7;
	new->auth.max_clients = 9;
	new->log_level = CFG_LOG_DEBUG;
	new->dataplane.client_to_client = false;
	new->tls12 = true;
	new->radius.servers[0].auth_port = 18120;
	assert_int_equal(cfg_restart_needed(old, new, paths, 32), 0);
	new->dataplane.workers = 5;
	new->listen[2].trusted_proxies[1].len = 64;
	assert_int_equal(cfg_restart_needed(old, new, paths, 32), 2);
	new->listen[1].tcp_port = 9443;
	new->pools[0].v4.len = 17;
	new->radius.dynauth.port = 3800;
	new->dataplane.ports[1].addresses[0].len = 25;
	assert_int_equal(cfg_restart_needed(old, new, paths, 32), 5);
	assert_string_equal(paths[0], "listen");
	assert_string_equal(paths[1], "pool");
	assert_string_equal(paths[2], "radius/dynamic-authorization/port");
	assert_string_equal(paths[3], "dataplane/workers");
	assert_string_equal(paths[4], "dataplane/port");
	assert_int_equal(cfg_restart_needed(old, new, paths, 1), 5);
	cfg_free(old);
	old = example("quickstart.json");
	assert_int_equal(cfg_restart_needed(old, old, paths, 32), 0);
	cfg_free(new);
	new = example("quickstart.json");
	new->auth.alternatives[0].factors[0] = CFG_FACTOR_PAM;
	assert_int_equal(cfg_restart_needed(old, new, paths, 32), 1);
	assert_string_equal(paths[0], "factor pam (the first)");
	assert_int_equal(cfg_restart_needed(new, old, paths, 32), 0);
	cfg_free(old);
	cfg_free(new);
}

static int fini(void **state) {
	cfg_fini();
	return 0;
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_valid_examples),
		cmocka_unit_test(test_invalid_examples),
		cmocka_unit_test(test_defaults),
		cmocka_unit_test(test_values),
		cmocka_unit_test(test_methods),
		cmocka_unit_test(test_groups),
		cmocka_unit_test(test_vhosts),
		cmocka_unit_test(test_all_factors),
		cmocka_unit_test(test_reach),
		cmocka_unit_test(test_settings),
		cmocka_unit_test(test_bans),
		cmocka_unit_test(test_scripts),
		cmocka_unit_test(test_oidc),
		cmocka_unit_test(test_radius),
		cmocka_unit_test(test_files),
		cmocka_unit_test(test_many_errors),
		cmocka_unit_test(test_restart),
	};
	return cmocka_run_group_tests(tests, NULL, fini);
}
