// SPDX-License-Identifier: GPL-3.0-or-later
// The environment of scripts: what is in it, and what never gets into it.
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "controlplane/script/env.h"
#include "dataplane/abi/cmd.h"

static const struct abi_addr inner4 = {{[10] = 0xff, 0xff, 10, 9, 0, 2}};

static struct cfg_pool pool = {
	.name = (char *)(uintptr_t) "pool",
	.v4 = {.addr = {AF_INET, {10, 9, 0, 0}}, .len = 24},
	.v6 = {.addr = {AF_INET6, {0xfd, [3] = 9}}, .len = 64},
	.gateway4 = {AF_INET, {10, 9, 0, 1}},
	.gateway6 = {AF_INET6, {0xfd, [3] = 9, [15] = 1}},
	.v6_client_prefix = 128,
};
static struct cfg_prefix routes[] = {
	{{AF_INET, {10, 0, 0, 0}}, 8},
	{{AF_INET6, {0xfd, 1}}, 48},
	{{AF_INET, {0}}, 0},
};
static struct cfg_addr dns[] = {{AF_INET, {10, 0, 0, 53}}};
static const struct cfg cfg = {
	.hostname = (char *)(uintptr_t) "vpn.example.net",
	.pools = &pool,
	.nb_pools = 1,
	.network = {.split_include = routes, .nb_split_include = 3, .dns = dns, .nb_dns = 1},
};

static struct ipc_script_facts facts_of(const char *user) {
	struct ipc_script_facts facts = {.id = 7, .session = 3, .inner4 = inner4};

	snprintf(facts.user, sizeof(facts.user), "%s", user);
	return facts;
}

static const char *value_of(char **env, const char *name) {
	size_t len = strlen(name);

	for (; *env != NULL; env++)
		if (strncmp(*env, name, len) == 0 && (*env)[len] == '=')
			return *env + len + 1;
	return NULL;
}

static void expect(char **env, const char *name, const char *value) {
	const char *have = value_of(env, name);

	assert_non_null(have);
	assert_string_equal(have, value);
}

static void test_connect(void **state) {
	struct ipc_script_facts facts = facts_of("CORP\\ann.lee@example.org");
	char **env;

	snprintf(facts.groups, sizeof(facts.groups), "staff,admin");
	snprintf(facts.group, sizeof(facts.group), "admin");
	assert_int_equal(script_env_make(&cfg, IPC_SCRIPT_CONNECT, &facts, &env), 0);
	expect(env, "REASON", "connect");
	expect(env, "ID", "7");
	expect(env, "USERNAME", "CORP\\ann.lee@example.org");
	expect(env, "GROUPNAME", "admin");
	expect(env, "PENSTOCK_GROUPS", "staff,admin");
	expect(env, "VHOST", "vpn.example.net");
	expect(env, "IP_REMOTE", "10.9.0.2");
	expect(env, "IP_LOCAL", "10.9.0.1");
	expect(env, "OCSERV_ROUTES", "10.0.0.0/255.0.0.0 fd01::/48 0.0.0.0/0.0.0.0");
	expect(env, "OCSERV_ROUTES4", "10.0.0.0/255.0.0.0 0.0.0.0/0.0.0.0");
	expect(env, "OCSERV_ROUTES6", "fd01::/48");
	expect(env, "PENSTOCK_ROUTES", "10.0.0.0/8 fd01::/48 0.0.0.0/0");
	expect(env, "OCSERV_DNS", "10.0.0.53");
	assert_null(value_of(env, "OCSERV_DNS6"));
	assert_null(value_of(env, "IPV6_REMOTE"));
	assert_null(value_of(env, "STATS_BYTES_IN"));
	assert_null(value_of(env, "HOSTNAME"));
	script_env_free(env);
}

static void test_reach(void **state) {
	struct cfg_service services[] = {{CFG_PROTOCOL_TCP, 443, 443},
		{CFG_PROTOCOL_UDP, 8000, 8099}, {CFG_PROTOCOL_SCTP, 0, UINT16_MAX},
		{CFG_PROTOCOL_ICMP, 0, UINT16_MAX}, {CFG_PROTOCOL_ESP, 0, UINT16_MAX}};
	struct ipc_script_facts facts = facts_of("ann");
	struct cfg held = cfg;
	char **env;

	assert_int_equal(script_env_make(&held, IPC_SCRIPT_CONNECT, &facts, &env), 0);
	assert_null(value_of(env, "OCSERV_RESTRICT_TO_ROUTES"));
	assert_null(value_of(env, "OCSERV_ALLOW_PORTS"));
	assert_null(value_of(env, "OCSERV_DENY_PORTS"));
	script_env_free(env);
	held.network.reach = (struct cfg_reach){true, CFG_REACH_ALLOW, services, 5};
	assert_int_equal(script_env_make(&held, IPC_SCRIPT_CONNECT, &facts, &env), 0);
	expect(env, "OCSERV_RESTRICT_TO_ROUTES", "1");
	expect(env, "OCSERV_ALLOW_PORTS", "tcp 443 udp 8000:8099 sctp 0:65535 icmp all esp all");
	assert_null(value_of(env, "OCSERV_DENY_PORTS"));
	script_env_free(env);
	held.network.reach.mode = CFG_REACH_DENY;
	assert_int_equal(script_env_make(&held, IPC_SCRIPT_DISCONNECT, &facts, &env), 0);
	assert_null(value_of(env, "OCSERV_ALLOW_PORTS"));
	assert_non_null(value_of(env, "OCSERV_DENY_PORTS"));
	script_env_free(env);
}

// Each way to end has a word that a script can compare with.
static void test_ends(void **state) {
	struct ipc_script_facts facts = facts_of("ann");
	char **env;

	for (uint32_t end = 0; end < ABI_END_MAX; end++) {
		facts.end = end;
		assert_int_equal(script_env_make(&cfg, IPC_SCRIPT_DISCONNECT, &facts, &env), 0);
		assert_non_null(value_of(env, "PENSTOCK_END"));
		if (end != ABI_END_UNSPECIFIED)
			assert_string_not_equal(value_of(env, "PENSTOCK_END"), "unspecified");
		script_env_free(env);
	}
	facts.end = ABI_END_MAX;
	assert_int_equal(script_env_make(&cfg, IPC_SCRIPT_DISCONNECT, &facts, &env), -EINVAL);
}

// What the authentication server says goes before the configuration, as for the client.
static void test_server_settings(void **state) {
	struct ipc_script_facts facts = facts_of("ann");
	char **env;

	facts.settings.nb_dns = 2;
	facts.settings.dns[0] = (struct abi_addr){{[10] = 0xff, [11] = 0xff, 192, 0, 2, 53}};
	facts.settings.dns[1] = (struct abi_addr){{0xfd, [15] = 53}};
	facts.settings.nb_routes = 1;
	facts.settings.routes[0] = (struct ipc_prefix){
		{{[10] = 0xff, [11] = 0xff, 198, 51, 100, 0}}, 24, {0}};
	assert_int_equal(script_env_make(&cfg, IPC_SCRIPT_CONNECT, &facts, &env), 0);
	expect(env, "OCSERV_DNS4", "192.0.2.53");
	expect(env, "OCSERV_DNS6", "fd00::35");
	expect(env, "OCSERV_ROUTES4", "198.51.100.0/255.255.255.0");
	expect(env, "PENSTOCK_ROUTES", "198.51.100.0/24");
	script_env_free(env);
	facts.settings.nb_routes = IPC_USER_ROUTES + 1;
	assert_int_equal(script_env_make(&cfg, IPC_SCRIPT_CONNECT, &facts, &env), -EINVAL);
}

static void test_disconnect(void **state) {
	struct ipc_script_facts facts = facts_of("ann");
	char **env;

	facts.rx_bytes = UINT64_MAX;
	facts.tx_bytes = 5;
	facts.duration = 60;
	facts.end = ABI_END_DPD;
	facts.inner4 = (struct abi_addr){0};
	facts.inner6 = (struct abi_addr){{0xfd, [3] = 9, [15] = 2}};
	facts.inner6_prefix = 128;
	assert_int_equal(script_env_make(&cfg, IPC_SCRIPT_DISCONNECT, &facts, &env), 0);
	expect(env, "STATS_BYTES_IN", "18446744073709551615");
	expect(env, "STATS_BYTES_OUT", "5");
	expect(env, "STATS_DURATION", "60");
	expect(env, "PENSTOCK_END", "dpd");
	expect(env, "IP_REMOTE", "fd00:9::2");
	expect(env, "IP_LOCAL", "fd00:9::1");
	expect(env, "IPV6_REMOTE", "fd00:9::2");
	script_env_free(env);
}

// A name is taken as it is or not at all.
static void test_names(void **state) {
	static const char *const good[] = {"ann", "a", "Ann Lee", "j\xc3\xb6rg", "a-b_c", "x+y=z"};
	static const char *const bad[] = {"", ".", "..", "-rf", "a/b", "../x", "a;b", "$(id)",
		"`id`", "a|b", "a&b", "a>b", "a*", "a?", "a'b", "a\"b", "a\nb", " a", "~a", "a#b",
		"a(b", "{a}", "a[b]", "a!b"};
	char **env;

	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		struct ipc_script_facts facts = facts_of(good[i]);
		assert_int_equal(script_env_make(&cfg, IPC_SCRIPT_CONNECT, &facts, &env), 0);
		expect(env, "USERNAME", good[i]);
		script_env_free(env);
	}
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct ipc_script_facts facts = facts_of(bad[i]);
		assert_int_equal(script_env_make(&cfg, IPC_SCRIPT_CONNECT, &facts, &env), -EINVAL);
		facts = facts_of("ann");
		snprintf(facts.groups, sizeof(facts.groups), "staff,%s", bad[i]);
		if (bad[i][0])
			assert_int_equal(
				script_env_make(&cfg, IPC_SCRIPT_CONNECT, &facts, &env), -EINVAL);
	}
}

// What a client says of itself is a label.
static void test_labels(void **state) {
	struct ipc_script_facts facts = facts_of("ann");
	char **env;

	snprintf(facts.hostname, sizeof(facts.hostname), "%s", "$(reboot);`id`|x'\"\\\xff*");
	snprintf(facts.agent, sizeof(facts.agent), "%s", "Open AnyConnect VPN Agent v9.01");
	memset(facts.device_type, 'x', sizeof(facts.device_type) - 1);
	assert_int_equal(script_env_make(&cfg, IPC_SCRIPT_HOST_UPDATE, &facts, &env), 0);
	expect(env, "REMOTE_HOSTNAME", "_(reboot)__id__x_____");
	expect(env, "USER_AGENT", "Open AnyConnect VPN Agent v9.01");
	assert_int_equal(strlen(value_of(env, "DEVICE_TYPE")), sizeof(facts.device_type) - 1);
	script_env_free(env);
	// No path, and no option of a command.
	snprintf(facts.hostname, sizeof(facts.hostname), "%s", "../../etc/cron.d/x");
	snprintf(facts.device_type, sizeof(facts.device_type), "%s", "-rf");
	assert_int_equal(script_env_make(&cfg, IPC_SCRIPT_HOST_UPDATE, &facts, &env), 0);
	expect(env, "HOSTNAME", "_._.._etc_cron.d_x");
	expect(env, "DEVICE_TYPE", "_rf");
	script_env_free(env);
	// Without a NUL, or with a control character: no message of ours.
	memset(facts.device_platform, 'x', sizeof(facts.device_platform));
	assert_int_equal(script_env_make(&cfg, IPC_SCRIPT_HOST_UPDATE, &facts, &env), -EINVAL);
	facts = facts_of("ann");
	facts.hostname[0] = '\n';
	assert_int_equal(script_env_make(&cfg, IPC_SCRIPT_HOST_UPDATE, &facts, &env), -EINVAL);
	facts = facts_of("ann");
	facts.inner6_prefix = 129;
	assert_int_equal(script_env_make(&cfg, IPC_SCRIPT_HOST_UPDATE, &facts, &env), -EINVAL);
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_connect),
		cmocka_unit_test(test_reach),
		cmocka_unit_test(test_server_settings),
		cmocka_unit_test(test_disconnect),
		cmocka_unit_test(test_ends),
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_labels),
	};

	return cmocka_run_group_tests_name("script_env", tests, NULL, NULL);
}
