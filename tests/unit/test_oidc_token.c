// SPDX-License-Identifier: GPL-3.0-or-later
// Bearer tokens and the documents of a provider: what is taken, and what is wrong with the others.

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <jansson.h>

#include "controlplane/oidc/token.h"

#define NOW 1800000000
#define GOOD \
	"{\"iss\":\"https://idp.example.net\",\"aud\":\"penstock\",\"exp\":1800000100," \
	"\"iat\":1799999900,\"name\":\"ann\",\"n\":7,\"groups\":[\"staff\",\"vpn\"]}"

static cjose_jwk_t *rsa, *small, *p256, *p384, *shared, *stranger;
static struct oidc_keys *keys;
static char user[IPC_USER_LEN], groups[IPC_GROUPS_LEN];

static char text_issuer[] = "https://idp.example.net", text_penstock[] = "penstock",
	    text_name[] = "name", text_groups[] = "groups", rs256[] = "RS256", es256[] = "ES256";
static char *audiences[] = {text_penstock};
static char *algorithms[] = {rs256, es256};
static struct cfg_claim required[] = {{(char[]){"n"}, (char[]){"7"}}};
static struct cfg_oidc rules;

// --- making them ---

static char *sign(
	cjose_jwk_t *jwk, const char *alg, const char *kid, const char *typ, const char *claims) {
	cjose_header_t *header = cjose_header_new(NULL);
	const char *text;
	char *copy;

	assert_true(cjose_header_set(header, CJOSE_HDR_ALG, alg, NULL));
	if (kid != NULL)
		assert_true(cjose_header_set(header, CJOSE_HDR_KID, kid, NULL));
	if (typ != NULL)
		assert_true(cjose_header_set(header, "typ", typ, NULL));
	cjose_jws_t *jws = cjose_jws_sign(
		jwk, header, (const uint8_t *)claims, strlen(claims), NULL);
	assert_non_null(jws);
	assert_true(cjose_jws_export(jws, &text, NULL));
	copy = strdup(text);
	cjose_jws_release(jws);
	cjose_header_release(header);
	return copy;
}

static enum ipc_oidc_status check(const char *token) {
	return oidc_token_check(&rules, keys, token, strlen(token), NOW, user, groups);
}

static enum ipc_oidc_status check_signed(
	cjose_jwk_t *jwk, const char *alg, const char *kid, const char *typ, const char *claims) {
	char *token = sign(jwk, alg, kid, typ, claims);
	enum ipc_oidc_status status = check(token);

	free(token);
	if (status != IPC_OIDC_ACCEPTED)
		assert_true(user[0] == '\0' && groups[0] == '\0');
	return status;
}

static enum ipc_oidc_status check_claims(const char *claims) {
	return check_signed(rsa, "RS256", "r1", "JWT", claims);
}

// One member of the set; `more` are further members of it.
static void key_add(char *set, cjose_jwk_t *jwk, const char *more) {
	char *json = cjose_jwk_to_json(jwk, false, NULL);

	assert_non_null(json);
	sprintf(set + strlen(set), "%s{%s,%s", set[strlen(set) - 1] == '[' ? "" : ",", more,
		json + 1);
	cjose_get_dealloc()(json);
}

static cjose_jwk_t *random_rsa(size_t bits) {
	return cjose_jwk_create_RSA_random(bits, (const uint8_t *)"\1\0\1", 3, NULL);
}

static char set[16384] = "{\"keys\":[";

static int setup(void **state) {
	oidc_token_init();
	rsa = random_rsa(2048);
	small = random_rsa(1024);
	stranger = random_rsa(2048);
	p256 = cjose_jwk_create_EC_random(CJOSE_JWK_EC_P_256, NULL);
	p384 = cjose_jwk_create_EC_random(CJOSE_JWK_EC_P_384, NULL);
	shared = cjose_jwk_create_oct_spec((const uint8_t *)"0123456789abcdef", 16, NULL);
	key_add(set, rsa, "\"kid\":\"r1\",\"use\":\"sig\"");
	key_add(set, small, "\"kid\":\"small\"");
	key_add(set, stranger, "\"kid\":\"enc\",\"use\":\"enc\"");
	key_add(set, p256, "\"kid\":\"e1\",\"alg\":\"ES256\"");
	key_add(set, p384, "\"kid\":\"e3\",\"alg\":\"ES256\"");
	strcat(set, ",{\"kid\":\"oct\",\"kty\":\"oct\",\"k\":\"MDEyMzQ1Njc4OWFiY2RlZg\"},7,null]}");
	keys = oidc_keys_new(set, strlen(set));
	return keys != NULL ? 0 : -1;
}

static int each(void **state) {
	rules = (struct cfg_oidc){.issuer = text_issuer,
		.audiences = audiences,
		.nb_audiences = 1,
		.algorithms = algorithms,
		.nb_algorithms = 2,
		.user_claim = text_name,
		.group_claim = text_groups,
		.clock_skew = 10};
	return 0;
}

static int teardown(void **state) {
	oidc_keys_free(keys);
	for (size_t i = 0; i < 6; i++)
		cjose_jwk_release((cjose_jwk_t *[]){rsa, small, p256, p384, shared, stranger}[i]);
	return 0;
}

// --- tests ---

static void test_good(void **state) {
	assert_int_equal(check_claims(GOOD), IPC_OIDC_ACCEPTED);
	assert_string_equal(user, "ann");
	assert_string_equal(groups, "staff,vpn");
	assert_int_equal(check_signed(p256, "ES256", "e1", NULL, GOOD), IPC_OIDC_ACCEPTED);
	assert_int_equal(check_signed(rsa, "RS256", "r1", "at+jwt", GOOD), IPC_OIDC_ACCEPTED);
	// Without an id the only key of the kind.
	assert_int_equal(check_signed(rsa, "RS256", NULL, "JWT", GOOD), IPC_OIDC_ACCEPTED);
}

static void test_signature(void **state) {
	char *token = sign(rsa, "RS256", "r1", "JWT", GOOD);

	assert_int_equal(check_signed(stranger, "RS256", "r1", "JWT", GOOD), IPC_OIDC_SIGNATURE);
	assert_int_equal(check_signed(rsa, "RS256", "r2", "JWT", GOOD), IPC_OIDC_UNKNOWN_KEY);
	assert_int_equal(check_signed(rsa, "RS256", "e1", "JWT", GOOD), IPC_OIDC_UNKNOWN_KEY);
	assert_int_equal(check_signed(small, "RS256", "small", "JWT", GOOD), IPC_OIDC_UNKNOWN_KEY);
	assert_int_equal(check_signed(stranger, "RS256", "enc", "JWT", GOOD), IPC_OIDC_UNKNOWN_KEY);
	// One bit of the payload.
	*(strchr(token, '.') + 8) ^= 1;
	assert_int_not_equal(check(token), IPC_OIDC_ACCEPTED);
	free(token);
	token = sign(rsa, "RS256", "r1", "JWT", GOOD);
	strrchr(token, '.')[1] = '\0';
	assert_int_not_equal(check(token), IPC_OIDC_ACCEPTED);
	assert_int_equal(oidc_token_check(&rules, NULL, token, strlen(token), NOW, user, groups),
		IPC_OIDC_UNKNOWN_KEY);
	free(token);
}

static void test_algorithm(void **state) {
	static char hs256[] = "HS256", ps256[] = "PS256", none[] = "none";
	static char *all[] = {rs256, hs256, ps256, none};
	cjose_jwk_t *confused = cjose_jwk_create_oct_spec((const uint8_t *)set, 512, NULL);

	assert_int_equal(check_signed(shared, "HS256", "oct", "JWT", GOOD), IPC_OIDC_ALGORITHM);
	assert_int_equal(check_signed(rsa, "PS256", "r1", "JWT", GOOD), IPC_OIDC_ALGORITHM);
	// {"alg":"none"}
	assert_int_not_equal(check("eyJhbGciOiJub25lIn0.e30."), IPC_OIDC_ACCEPTED);
	// Even a configuration that allowed it has no key for it.
	rules.algorithms = all;
	rules.nb_algorithms = 4;
	assert_int_equal(check_signed(shared, "HS256", "oct", "JWT", GOOD), IPC_OIDC_UNKNOWN_KEY);
	assert_int_equal(check_signed(confused, "HS256", "r1", "JWT", GOOD), IPC_OIDC_UNKNOWN_KEY);
	assert_int_equal(check("eyJhbGciOiJub25lIn0.e30."), IPC_OIDC_UNKNOWN_KEY);
	assert_int_equal(check_signed(rsa, "PS256", "r1", "JWT", GOOD), IPC_OIDC_ACCEPTED);
	// A key of another curve than its algorithm says.
	rules.algorithms = algorithms;
	rules.nb_algorithms = 2;
	assert_int_equal(check_signed(p384, "ES384", "e3", "JWT", GOOD), IPC_OIDC_ALGORITHM);
	cjose_jwk_release(confused);
}

static void test_shape(void **state) {
	static const char *const wrong[] = {"", ".", "..", "a.b", "a.b.c.d", "a b.c.d", "e30.e30.",
		"e30.e30.e30", "W10.e30.AA", "eyJhbGciOjd9.e30.AA",
		"eyJhbGciOiJSUzI1NiJ9.e30.A\nA"};
	char *token = malloc(IPC_TOKEN_LEN + 2);

	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
		assert_int_equal(check(wrong[i]), IPC_OIDC_MALFORMED);
	memset(token, 'a', IPC_TOKEN_LEN + 1);
	token[1] = token[3] = '.';
	assert_int_equal(
		oidc_token_check(&rules, keys, token, IPC_TOKEN_LEN + 1, NOW, user, groups),
		IPC_OIDC_MALFORMED);
	free(token);
	assert_int_equal(check_signed(rsa, "RS256", "r1", "logout+jwt", GOOD), IPC_OIDC_MALFORMED);
	assert_int_equal(check_signed(rsa, "RS256", "r1", "dpop+jwt", GOOD), IPC_OIDC_MALFORMED);
	assert_int_equal(check_claims("[]"), IPC_OIDC_MALFORMED);
	assert_int_equal(check_claims("no json"), IPC_OIDC_MALFORMED);
	assert_int_equal(check_claims("{\"iss\":\"x\",\"iss\":\"https://idp.example.net\"}"),
		IPC_OIDC_MALFORMED);
}

static void test_claims(void **state) {
	json_t *claims = json_loads(GOOD, 0, NULL);
	static const struct {
		const char *name, *value; // JSON; NULL: without it
		enum ipc_oidc_status status;
	} cases[] = {
		{"iss", "\"https://idp.example.net/\"", IPC_OIDC_ISSUER},
		{"iss", "[\"https://idp.example.net\"]", IPC_OIDC_ISSUER},
		{"iss", NULL, IPC_OIDC_ISSUER},
		{"aud", "\"other\"", IPC_OIDC_AUDIENCE},
		{"aud", "[\"other\",\"penstock\"]", IPC_OIDC_ACCEPTED},
		{"aud", "[[\"penstock\"]]", IPC_OIDC_AUDIENCE},
		{"aud", "{\"penstock\":1}", IPC_OIDC_AUDIENCE},
		{"aud", NULL, IPC_OIDC_AUDIENCE},
		{"exp", NULL, IPC_OIDC_MALFORMED},
		{"exp", "\"1800000100\"", IPC_OIDC_MALFORMED},
		{"exp", "1799999990", IPC_OIDC_EXPIRED},
		{"exp", "1799999991", IPC_OIDC_ACCEPTED},
		{"exp", "1.9e9", IPC_OIDC_ACCEPTED},
		{"exp", "-1", IPC_OIDC_EXPIRED},
		{"nbf", "1800000010", IPC_OIDC_ACCEPTED},
		{"nbf", "1800000011", IPC_OIDC_NOT_YET},
		{"nbf", "null", IPC_OIDC_MALFORMED},
		{"iat", "1800000011", IPC_OIDC_NOT_YET},
		{"iat", "true", IPC_OIDC_MALFORMED},
		{"iat", NULL, IPC_OIDC_ACCEPTED},
		{"name", "\"\"", IPC_OIDC_USER},
		{"name", "7", IPC_OIDC_USER},
		{"name", "[\"ann\"]", IPC_OIDC_USER},
		{"name", "\"a\\tb\"", IPC_OIDC_USER},
		{"name", NULL, IPC_OIDC_USER},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		json_t *changed = json_deep_copy(claims);
		char *text;

		json_object_del(changed, cases[i].name);
		if (cases[i].value != NULL)
			json_object_set_new(changed, cases[i].name,
				json_loads(cases[i].value, JSON_DECODE_ANY, NULL));
		text = json_dumps(changed, JSON_COMPACT);
		if (check_claims(text) != cases[i].status)
			fail_msg("%s", text);
		free(text);
		json_decref(changed);
	}
	json_decref(claims);
}

static enum ipc_oidc_status with(const char *member) {
	char claims[2048];

	snprintf(claims, sizeof(claims), "%.*s,%s}", (int)strlen(GOOD) - 1, GOOD, member);
	return check_claims(claims);
}

static void test_required(void **state) {
	rules.required = required;
	rules.nb_required = 1;
	assert_int_equal(check_claims(GOOD), IPC_OIDC_ACCEPTED);
	required[0] = (struct cfg_claim){(char[]){"n"}, (char[]){"8"}};
	assert_int_equal(check_claims(GOOD), IPC_OIDC_CLAIM);
	required[0] = (struct cfg_claim){(char[]){"v"}, (char[]){"true"}};
	assert_int_equal(check_claims(GOOD), IPC_OIDC_CLAIM);
	assert_int_equal(with("\"v\":true"), IPC_OIDC_ACCEPTED);
	assert_int_equal(with("\"v\":\"true\""), IPC_OIDC_ACCEPTED);
	assert_int_equal(with("\"v\":false"), IPC_OIDC_CLAIM);
	assert_int_equal(with("\"v\":[1,true]"), IPC_OIDC_ACCEPTED);
	assert_int_equal(with("\"v\":null"), IPC_OIDC_CLAIM);
	assert_int_equal(with("\"v\":{\"true\":true}"), IPC_OIDC_CLAIM);
}

static void test_groups(void **state) {
	static char more[] = "more";

	rules.group_claim = more;
	assert_int_equal(with("\"more\":\"one group\""), IPC_OIDC_ACCEPTED);
	assert_string_equal(groups, "one group");
	// What cannot be the name of a group is none.
	assert_int_equal(with("\"more\":[\"a\",\"b,c\",\"\",7,\"d:e\",[\"x\"],\"f\\u0001\",\"g\"]"),
		IPC_OIDC_ACCEPTED);
	assert_string_equal(groups, "a,g");
	assert_int_equal(with("\"more\":7"), IPC_OIDC_ACCEPTED);
	assert_string_equal(groups, "");
}

static void test_groups_many(void **state) {
	char claims[8192];
	size_t len = (size_t)snprintf(
		claims, sizeof(claims), "%.*s,\"many\":[\"x\"", (int)strlen(GOOD) - 1, GOOD);
	static char many[] = "many";

	for (unsigned i = 0; i < 100; i++)
		len += (size_t)snprintf(
			claims + len, sizeof(claims) - len, ",\"group-number-%u\"", i);
	snprintf(claims + len, sizeof(claims) - len, "]}");
	rules.group_claim = many;
	assert_int_equal(check_claims(claims), IPC_OIDC_ACCEPTED);
	assert_true(strlen(groups) < IPC_GROUPS_LEN && strlen(groups) > IPC_GROUPS_LEN - 20);
	assert_int_equal(groups[strlen(groups) - 1] >= '0', 1);
}

static void test_key_set(void **state) {
	static const char padded[] = "{\"keys\":[{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"_ShtPgGe"
				     "OHfKd39IzCK2bdmGfyLdmJLrDGz9QeQYSv=z\",\"y\":\"y62eZ9Idd0"
				     "vghMrWHdoW2L77p0vEizjQVP09IYRPpDw\"}]}";

	assert_int_equal(oidc_keys_count(keys), 3);
	assert_null(oidc_keys_new("", 0));
	assert_null(oidc_keys_new("{}", 2));
	assert_null(oidc_keys_new("[]", 2));
	assert_null(oidc_keys_new("{\"keys\":[]}", 11));
	assert_null(
		oidc_keys_new("{\"keys\":[{\"kty\":\"RSA\",\"n\":\"AQAB\",\"e\":\"AQAB\"}]}", 46));
	// Padding in the middle, which cjose does not survive.
	assert_null(oidc_keys_new(padded, strlen(padded)));
	assert_non_null(oidc_keys_find(keys, "RS512", "r1"));
	assert_null(oidc_keys_find(keys, "ES384", "e3"));
	assert_null(oidc_keys_find(keys, "HS256", "oct"));
}

static void test_key_doubtful(void **state) {
	char two[8192] = "{\"keys\":[";
	struct oidc_keys *both;

	key_add(two, rsa, "\"kid\":\"a\"");
	key_add(two, stranger, "\"kid\":\"b\"");
	strcat(two, "]}");
	both = oidc_keys_new(two, strlen(two));
	assert_non_null(oidc_keys_find(both, "RS256", "a"));
	assert_null(oidc_keys_find(both, "RS256", NULL));
	oidc_keys_free(both);
}

static const char *discovery(const char *json, char *uri) {
	return oidc_discovery_read(json, strlen(json), text_issuer, uri);
}

static void test_discovery(void **state) {
	char uri[OIDC_URL_LEN];

	assert_null(discovery("{\"issuer\":\"https://idp.example.net\","
			      "\"jwks_uri\":\"https://keys.example.net/a\"}",
		uri));
	assert_string_equal(uri, "https://keys.example.net/a");
	assert_non_null(discovery("{\"issuer\":\"https://other.example.net\","
				  "\"jwks_uri\":\"https://keys.example.net/a\"}",
		uri));
	assert_non_null(discovery("{\"issuer\":\"https://idp.example.net\","
				  "\"jwks_uri\":\"http://keys.example.net/a\"}",
		uri));
	assert_non_null(discovery("{\"issuer\":\"https://idp.example.net\"}", uri));
	assert_non_null(discovery("[]", uri));
	assert_non_null(discovery("", uri));
}

static void test_max_age(void **state) {
	assert_int_equal(oidc_max_age("max-age=3600"), 3600);
	assert_int_equal(oidc_max_age("public, max-age=60,must-revalidate"), 60);
	assert_int_equal(oidc_max_age("Max-Age=\"60\""), 60);
	assert_int_equal(oidc_max_age("max-age=60, no-store"), 0);
	assert_int_equal(oidc_max_age("no-cache"), 0);
	assert_int_equal(oidc_max_age("max-age=-5"), 0);
	assert_int_equal(oidc_max_age("s-maxage=5"), -1);
	assert_int_equal(oidc_max_age(""), -1);
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_good, each),
		cmocka_unit_test_setup(test_signature, each),
		cmocka_unit_test_setup(test_algorithm, each),
		cmocka_unit_test_setup(test_shape, each),
		cmocka_unit_test_setup(test_claims, each),
		cmocka_unit_test_setup(test_required, each),
		cmocka_unit_test_setup(test_groups, each),
		cmocka_unit_test_setup(test_groups_many, each),
		cmocka_unit_test_setup(test_key_set, each),
		cmocka_unit_test_setup(test_key_doubtful, each),
		cmocka_unit_test_setup(test_discovery, each),
		cmocka_unit_test_setup(test_max_age, each),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
