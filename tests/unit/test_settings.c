// SPDX-License-Identifier: GPL-3.0-or-later
// What a session gets of the configuration, its virtual host, group and user, and of what an
// authentication server says: each over the one before.

#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "controlplane/ipc/ipc.h"
#include "controlplane/settings/settings.h"
#include "dataplane/abi/addr.h"

static struct cfg *campus(void) {
	char *error = NULL;
	struct cfg *cfg = cfg_load_file(EXAMPLES "/campus.json", &error);

	if (cfg == NULL)
		fail_msg("%s", error);
	return cfg;
}

static void expect_addr(const struct cfg_addr *addr, const char *text) {
	char shown[INET6_ADDRSTRLEN];

	assert_string_equal(inet_ntop(addr->family, addr->bytes, shown, sizeof(shown)), text);
}

static void expect_inner(const struct abi_addr *addr, const char *text) {
	char shown[INET6_ADDRSTRLEN];
	bool v4 = abi_addr_is4(addr);

	assert_string_equal(inet_ntop(v4 ? AF_INET : AF_INET6, addr->bytes + (v4 ? 12 : 0), shown,
				    sizeof(shown)),
		text);
}

static void test_nobody(void **state) {
	struct cfg *cfg = campus();
	struct settings s;

	settings_compute(&s, cfg, &(struct settings_who){0});
	assert_memory_equal(&s.network, &cfg->network, sizeof(s.network));
	assert_null(s.hostname);
	assert_int_equal(s.nb_pools, 0);
	assert_false(s.no_udp);
	assert_true(s.deny_roaming);
	assert_int_equal(s.max_same_clients, 3);
	assert_int_equal(s.interim_interval, 300);
	assert_true(abi_addr_none(&s.inner4) && abi_addr_none(&s.inner6));
	// Names that the configuration does not have change nothing.
	settings_compute(&s, cfg,
		&(struct settings_who){"www.university.example", "nobody", "nobody", NULL});
	assert_memory_equal(&s.network, &cfg->network, sizeof(s.network));
	cfg_free(cfg);
}

static void test_order(void **state) {
	struct cfg *cfg = campus();
	struct settings s;

	settings_compute(
		&s, cfg, &(struct settings_who){"library.university.example", NULL, NULL, NULL});
	assert_string_equal(s.pools[0], "library");
	assert_int_equal(s.network.mtu, 1380);
	assert_int_equal(s.network.dpd, 30);
	assert_int_equal(s.network.mobile_dpd, 1800); // the top level's
	expect_addr(&s.network.split_include[0].addr, "10.0.80.0");
	// The group goes before the virtual host, where it says something.
	settings_compute(&s, cfg,
		&(struct settings_who){"library.university.example", "staff", "nobody", NULL});
	assert_string_equal(s.pools[0], "staff");
	assert_int_equal(s.network.mtu, 1380);
	assert_int_equal(s.network.session_timeout, 43200);
	assert_int_equal(s.network.nb_split_include, 2);
	assert_int_equal(s.network.split_include[0].len, 0);
	// And the user before the group.
	settings_compute(&s, cfg,
		&(struct settings_who){
			"library.university.example", "staff", "turing@university.example", NULL});
	assert_string_equal(s.pools[0], "staff");
	assert_int_equal(s.network.nb_split_include, 1);
	expect_addr(&s.network.split_include[0].addr, "10.0.9.0");
	expect_addr(&s.network.dns[0], "10.0.9.53");
	assert_int_equal(s.network.nb_dns, 1);
	assert_string_equal(s.network.banner, "All traffic goes through the university");
	assert_true(s.no_udp);
	assert_false(s.deny_roaming); // false goes before true
	assert_string_equal(s.hostname, "bombe");
	expect_inner(&s.inner4, "10.64.7.7");
	expect_inner(&s.inner6, "2001:db8:64:77::1");
	cfg_free(cfg);
}

// 0 is a value like any other: it turns off what the level before has on.
static void test_zero(void **state) {
	struct cfg *cfg = campus();
	struct settings s;

	settings_compute(&s, cfg, &(struct settings_who){NULL, "students", "nobody", NULL});
	assert_int_equal(s.network.idle_timeout, 3600);
	assert_int_equal(s.network.rx_rate, 2500000);
	assert_int_equal(s.max_same_clients, 1);
	settings_compute(&s, cfg, &(struct settings_who){NULL, "students", "hopper", NULL});
	assert_int_equal(s.network.idle_timeout, 0);
	assert_int_equal(s.network.rx_rate, 2500000);
	cfg_free(cfg);
}

static struct abi_addr four(uint8_t a, uint8_t b, uint8_t c, uint8_t d) {
	return (struct abi_addr){{[10] = 0xff, 0xff, a, b, c, d}};
}

static void test_extra(void **state) {
	struct ipc_user_settings extra = {
		.set = IPC_SET_INNER4 | IPC_SET_NETMASK4 | IPC_SET_RX_RATE |
			IPC_SET_SESSION_TIMEOUT | IPC_SET_INTERIM,
		.nb_dns = 2,
		.nb_routes = 2,
		.inner4 = four(10, 64, 1, 2),
		.netmask4 = four(255, 255, 255, 0),
		.dns = {four(10, 1, 1, 1), {{0x20, 1, 0xd, 0xb8, [15] = 0x53}}},
		.routes = {{four(10, 7, 0, 0), 16, {0}}, {{{0x20, 1, 0xd, 0xb8}}, 32, {0}}},
		.rx_rate = 0, // no limit
		.session_timeout = 600,
		.idle_timeout = 1, // not set
		.interim_interval = 60,
	};
	struct cfg *cfg = campus();
	struct settings s;

	assert_true(ipc_user_settings_ok(&extra));
	assert_false(ipc_user_settings_empty(&extra));
	settings_compute(&s, cfg,
		&(struct settings_who){NULL, "students", "turing@university.example", &extra});
	expect_inner(&s.inner4, "10.64.1.2"); // above the user's
	expect_inner(&s.inner6, "2001:db8:64:77::1");
	expect_inner(&s.netmask4, "255.255.255.0");
	assert_int_equal(s.network.nb_dns, 2);
	expect_addr(&s.network.dns[0], "10.1.1.1");
	expect_addr(&s.network.dns[1], "2001:db8::53");
	assert_int_equal(s.network.nb_split_include, 2);
	expect_addr(&s.network.split_include[0].addr, "10.7.0.0");
	assert_int_equal(s.network.split_include[0].len, 16);
	assert_int_equal(s.network.split_include[1].len, 32);
	assert_int_equal(s.network.rx_rate, 0);
	assert_int_equal(s.network.tx_rate, 6250000); // the group's
	assert_int_equal(s.network.session_timeout, 600);
	assert_int_equal(s.network.idle_timeout, 3600); // the group's
	assert_int_equal(s.interim_interval, 60);
	cfg_free(cfg);
}

static void test_append_routes(void **state) {
	struct ipc_user_settings extra = {
		.nb_routes = 1,
		.routes = {{four(10, 7, 0, 0), 16, {0}}},
	};
	struct cfg *cfg = campus();
	struct settings s;
	size_t nb = cfg->network.nb_split_include, nb_not = cfg->network.nb_split_exclude;

	cfg->network.append_routes = true;
	settings_compute(&s, cfg, &(struct settings_who){0});
	assert_ptr_equal(s.network.split_include, cfg->network.split_include);
	assert_int_equal(s.network.nb_split_include, nb);
	settings_compute(
		&s, cfg, &(struct settings_who){NULL, NULL, "turing@university.example", NULL});
	assert_int_equal(s.network.nb_split_include, 1 + nb);
	expect_addr(&s.network.split_include[0].addr, "10.0.9.0");
	expect_addr(&s.network.split_include[1].addr, "10.0.0.0");
	assert_int_equal(s.network.nb_split_exclude, nb_not);
	settings_compute(
		&s, cfg, &(struct settings_who){NULL, NULL, "turing@university.example", &extra});
	assert_int_equal(s.network.nb_split_include, 1 + nb);
	expect_addr(&s.network.split_include[0].addr, "10.7.0.0");
	expect_addr(&s.network.split_include[1].addr, "10.0.0.0");
	cfg_free(cfg);
}

static void test_append_many(void **state) {
	struct cfg_prefix *more = calloc(CFG_ROUTES_MAX, sizeof(*more));
	struct cfg cfg = {.network = {.split_include = more,
				  .nb_split_include = CFG_ROUTES_MAX,
				  .append_routes = true}};
	struct cfg_group group = {.name = (char[]){"g"},
		.settings = {.set = CFG_SET_SPLIT_INCLUDE,
			.network = {.split_include = calloc(CFG_ROUTES_MAX, sizeof(*more)),
				.nb_split_include = CFG_ROUTES_MAX}}};
	struct settings s;

	cfg.groups = &group;
	cfg.nb_groups = 1;
	more[CFG_ROUTES_MAX - 1].len = 77;
	settings_compute(&s, &cfg, &(struct settings_who){NULL, "g", NULL, NULL});
	assert_int_equal(s.network.nb_split_include, 2 * CFG_ROUTES_MAX);
	assert_int_equal(s.network.split_include[2 * CFG_ROUTES_MAX - 1].len, 77);
	free(group.settings.network.split_include);
	free(more);
}

// What restricts is said beside a filter's name, in the filter, or further down.
static void test_reach(void **state) {
	struct ipc_user_settings extra = {.set = IPC_SET_FILTER, .filter = "no-mail"};
	struct cfg *cfg = campus();
	struct settings s;

	settings_compute(&s, cfg, &(struct settings_who){NULL, "staff", "nobody", NULL});
	assert_null(s.filter);
	assert_false(s.network.reach.to_routes);
	assert_int_equal(s.network.reach.mode, CFG_REACH_ALL);
	settings_compute(&s, cfg, &(struct settings_who){NULL, "students", "nobody", NULL});
	assert_string_equal(s.filter, "web");
	assert_false(s.filter_unknown);
	assert_true(s.network.reach.to_routes);
	assert_int_equal(s.network.reach.mode, CFG_REACH_ALLOW);
	assert_int_equal(s.network.reach.nb_services, 6);
	// the user's own word goes before the group's filter
	cfg->users[0].settings.set |= CFG_SET_TO_ROUTES;
	settings_compute(
		&s, cfg, &(struct settings_who){NULL, "students", cfg->users[0].name, NULL});
	assert_false(s.network.reach.to_routes);
	assert_int_equal(s.network.reach.nb_services, 6);
	// and beside a filter the level's own
	cfg->groups[1].settings.set |= CFG_SET_TO_PORTS;
	cfg->groups[1].settings.network.reach.mode = CFG_REACH_DENY;
	settings_compute(&s, cfg, &(struct settings_who){NULL, "students", "nobody", NULL});
	assert_true(s.network.reach.to_routes);
	assert_int_equal(s.network.reach.mode, CFG_REACH_DENY);
	assert_int_equal(s.network.reach.nb_services, 0);
	// a server's goes before all; what it does not say stays
	assert_true(ipc_user_settings_ok(&extra));
	assert_false(ipc_user_settings_empty(&extra));
	settings_compute(&s, cfg, &(struct settings_who){NULL, "students", "nobody", &extra});
	assert_string_equal(s.filter, "no-mail");
	assert_true(s.network.reach.to_routes);
	assert_int_equal(s.network.reach.nb_services, 1);
	// one that nobody knows lets nobody anywhere
	strcpy(extra.filter, "other");
	settings_compute(&s, cfg, &(struct settings_who){NULL, "staff", "nobody", &extra});
	assert_true(s.filter_unknown);
	assert_true(s.network.reach.to_routes);
	assert_int_equal(s.network.reach.mode, CFG_REACH_ALLOW);
	assert_int_equal(s.network.reach.nb_services, 0);
	extra.filter[0] = '\0';
	assert_false(ipc_user_settings_ok(&extra));
	cfg_free(cfg);
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_nobody),
		cmocka_unit_test(test_order),
		cmocka_unit_test(test_zero),
		cmocka_unit_test(test_extra),
		cmocka_unit_test(test_append_routes),
		cmocka_unit_test(test_append_many),
		cmocka_unit_test(test_reach),
	};
	int ret = cmocka_run_group_tests_name("settings", tests, NULL, NULL);

	cfg_fini();
	return ret;
}
