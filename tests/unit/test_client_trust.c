// SPDX-License-Identifier: GPL-3.0-or-later
// Which certificates of clients are good, and who their users are: CAs of the test's own, revocation
// lists, and certificates with something wrong in each of them.

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include "controlplane/auth/client_trust.h"
#include "identity.h"

static struct identity root, sub, other, client;
static struct client_trust *trust;

// ---- files and messages

static void pem_cas(const char *(*put)(BIO *bio), X509 *a, X509 *b, int expected) {
	BIO *bio = BIO_new(BIO_s_mem());
	char *text;
	long len;

	PEM_write_bio_X509(bio, a);
	if (b != NULL)
		PEM_write_bio_X509(bio, b);
	if (put != NULL)
		put(bio);
	len = BIO_get_mem_data(bio, &text);
	assert_int_equal(client_trust_cas_set(trust, text, (size_t)len), expected);
	BIO_free(bio);
}

static const char *check(X509 *leaf, X509 *issuer) {
	struct client_chain chain = identity_chain(leaf, issuer);
	const char *why = client_trust_check(trust, &chain, NULL);

	client_chain_free(&chain);
	return why;
}

static void is_refused(X509 *leaf, X509 *issuer, const char *reason) {
	const char *why = check(leaf, issuer);

	assert_non_null(why);
	if (strstr(why, reason) == NULL)
		fail_msg("refused for '%s', expected '%s'", why, reason);
}

// A client of `issuer` made by the recipe is refused.
static void is_bad(
	const struct identity *issuer, X509 *sent, struct recipe recipe, const char *why) {
	struct identity made = identity_make(issuer, "ann", &recipe);

	is_refused(made.cert, sent, why);
	identity_drop(&made);
}

struct list {
	long ends; // s from now; 0: ten days
	bool no_end;
	X509 *revoked;
	bool der;
};

static int list_put(
	unsigned file, const struct identity *by, const struct list *list, bool *expired) {
	X509_CRL *crl = X509_CRL_new();
	ASN1_TIME *time = X509_gmtime_adj(NULL, -2 * DAY);
	BIO *bio = BIO_new(BIO_s_mem());
	bool unused;
	char *text;
	long len;
	int err;

	X509_CRL_set_version(crl, X509_CRL_VERSION_2);
	X509_CRL_set_issuer_name(crl, X509_get_subject_name(by->cert));
	X509_CRL_set1_lastUpdate(crl, time);
	X509_gmtime_adj(time, list->ends ? list->ends : 10 * DAY);
	if (!list->no_end)
		X509_CRL_set1_nextUpdate(crl, time);
	if (list->revoked != NULL) {
		X509_REVOKED *entry = X509_REVOKED_new();

		X509_REVOKED_set_serialNumber(entry, X509_get_serialNumber(list->revoked));
		X509_gmtime_adj(time, -DAY);
		X509_REVOKED_set_revocationDate(entry, time);
		X509_CRL_add0_revoked(crl, entry);
	}
	assert_true(X509_CRL_sign(crl, by->key, EVP_sha256()) > 0);
	assert_int_equal(
		list->der ? i2d_X509_CRL_bio(bio, crl) : PEM_write_bio_X509_CRL(bio, crl), 1);
	len = BIO_get_mem_data(bio, &text);
	err = client_trust_crls_set(
		trust, file, text, (size_t)len, expired != NULL ? expired : &unused);
	BIO_free(bio);
	ASN1_TIME_free(time);
	X509_CRL_free(crl);
	return err;
}

static int list_ok(unsigned file, const struct identity *by) {
	return list_put(file, by, &(struct list){0}, NULL);
}

static int setup(void **state) {
	trust = client_trust_new();
	pem_cas(NULL, root.cert, NULL, 0);
	return 0;
}

static int teardown(void **state) {
	client_trust_free(trust);
	return 0;
}

static int group_setup(void **state) {
	const struct recipe ca = {.extensions = {CA, CA_KEY}};

	root = identity_make(NULL, "root", &ca);
	sub = identity_make(&root, "sub", &ca);
	other = identity_make(NULL, "root", &ca); // the same name, another key
	client = identity_make(&sub, "ann", &(struct recipe){0});
	return 0;
}

static int group_teardown(void **state) {
	identity_drop(&root);
	identity_drop(&sub);
	identity_drop(&other);
	identity_drop(&client);
	return 0;
}

// ---- tests

static void test_good(void **state) {
	struct identity direct = identity_make(&root, "bob", &(struct recipe){0});

	assert_null(check(client.cert, sub.cert));
	assert_null(check(direct.cert, NULL));
	assert_null(check(direct.cert, sub.cert)); // more than is needed
	is_refused(client.cert, NULL, "unable to get local issuer");
	is_refused(client.cert, root.cert, "unable to get local issuer");
	identity_drop(&direct);
	// The subordinate CA alone is trusted: what comes from the root is not.
	direct = identity_make(&root, "bob", &(struct recipe){0});
	pem_cas(NULL, sub.cert, NULL, 0);
	assert_null(check(client.cert, NULL));
	is_refused(direct.cert, NULL, "issuer");
	identity_drop(&direct);
}

static void test_bad(void **state) {
	const struct recipe no_ca = {.extensions = {CLIENT, "keyUsage=keyCertSign"}};
	struct identity user = identity_make(&root, "eve", &no_ca);

	is_bad(&other, NULL, (struct recipe){0}, "signature");
	is_bad(&root, NULL, (struct recipe){.begins = -9 * DAY, .ends = -60}, "expired");
	is_bad(&root, NULL, (struct recipe){.begins = 60, .ends = DAY}, "not yet valid");
	is_bad(&root, NULL, (struct recipe){.extensions = {""}}, "not for clients");
	is_bad(&root, NULL, (struct recipe){.extensions = {"extendedKeyUsage=serverAuth"}},
		"unsuitable certificate purpose");
	is_bad(&root, NULL, (struct recipe){.extensions = {"extendedKeyUsage=anyExtendedKeyUsage"}},
		"unsuitable certificate purpose");
	is_bad(&root, NULL, (struct recipe){.extensions = {CLIENT, "keyUsage=keyEncipherment"}},
		"unsuitable certificate purpose");
	is_bad(&root, NULL, (struct recipe){.extensions = {CLIENT, "1.2.3.4=critical,DER:0500"}},
		"unhandled critical extension");
	is_bad(&root, NULL, (struct recipe){.rsa_bits = 1024}, "too weak");
	is_bad(&root, NULL, (struct recipe){.md = EVP_sha1()}, "too weak");
	// A user may sign what he likes, he is no CA.
	is_bad(&user, user.cert, (struct recipe){0}, "CA");
	identity_drop(&user);
}

static void test_ca_rules(void **state) {
	const struct recipe none = {.extensions = {CA ",pathlen:0", CA_KEY}};
	const struct recipe plain = {.extensions = {"keyUsage=critical,keyCertSign"}};
	struct identity last = identity_make(&root, "last", &none),
			beyond = identity_make(&last, "beyond", &none);
	struct identity user = identity_make(&beyond, "ann", &(struct recipe){0});
	X509 *certs[] = {user.cert, beyond.cert, last.cert};
	struct client_chain chain;
	uint8_t data[8192];
	const char *why;

	assert_int_equal(client_chain_read(&chain, data, identity_chain_put(data, certs, 3)), 0);
	why = client_trust_check(trust, &chain, NULL);
	assert_non_null(why);
	assert_non_null(strstr(why, "path length"));
	client_chain_free(&chain);
	identity_drop(&user);
	identity_drop(&beyond);
	identity_drop(&last);
	// The library takes the right to sign certificates for a CA; here it has to say that it is one.
	last = identity_make(&root, "plain", &plain);
	user = identity_make(&last, "ann", &(struct recipe){0});
	assert_non_null(check(user.cert, last.cert));
	identity_drop(&user);
	identity_drop(&last);
}

// What stands in the file of CAs is no user by that.
static void test_ca_as_client(void **state) {
	const struct recipe both = {.extensions = {CA, CLIENT}};
	struct identity ca = identity_make(NULL, "ann", &both);

	pem_cas(NULL, ca.cert, NULL, 0);
	is_refused(ca.cert, NULL, "CA's own");
	identity_drop(&ca);
}

static const char *broken_put(BIO *bio) {
	BIO_puts(bio, "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n");
	return NULL;
}

static void test_ca_files(void **state) {
	static const char words[] = "no certificates here";

	assert_null(client_trust_missing(trust, 0));
	pem_cas(broken_put, sub.cert, NULL, -EINVAL);
	pem_cas(NULL, sub.cert, client.cert, -EINVAL); // one is no CA
	assert_int_equal(client_trust_cas_set(trust, words, sizeof(words) - 1), -EINVAL);
	assert_int_equal(client_trust_cas_set(trust, "", 0), -EINVAL);
	assert_null(check(client.cert, sub.cert)); // the root still counts
	client_trust_free(trust);
	trust = client_trust_new();
	assert_non_null(client_trust_missing(trust, 0));
	is_refused(client.cert, sub.cert, "issuer");
}

static void test_names(void **state) {
	X509_NAME *name;
	uint8_t out[1024];
	const uint8_t *at = out;
	size_t len;

	pem_cas(NULL, root.cert, sub.cert, 0);
	len = client_trust_names(trust, out, sizeof(out));
	assert_true(len > 4);
	at += 2;
	name = d2i_X509_NAME(NULL, &at, out[0] << 8 | out[1]);
	assert_int_equal(X509_NAME_cmp(name, X509_get_subject_name(root.cert)), 0);
	X509_NAME_free(name);
	assert_ptr_equal(at, out + 2 + (out[0] << 8 | out[1]));
	assert_true((size_t)(at - out) < len);
	assert_int_equal(client_trust_names(trust, out, len), len);
	assert_int_equal(client_trust_names(trust, out, len - 1), 0);
}

static void test_revoked(void **state) {
	bool expired;

	assert_int_equal(list_ok(0, &root), 0);
	is_refused(client.cert, sub.cert, "unable to get certificate CRL");
	assert_int_equal(list_ok(1, &sub), 0);
	assert_null(check(client.cert, sub.cert));
	assert_int_equal(list_put(1, &sub, &(struct list){.revoked = client.cert}, NULL), 0);
	is_refused(client.cert, sub.cert, "revoked");
	assert_int_equal(list_put(1, &sub, &(struct list){.der = true}, NULL), 0);
	assert_null(check(client.cert, sub.cert));
	// The CA between is revoked.
	assert_int_equal(list_put(0, &root, &(struct list){.revoked = sub.cert}, NULL), 0);
	is_refused(client.cert, sub.cert, "revoked");
	// Trusted by itself, it needs no list of the root, and one that revokes it counts.
	pem_cas(NULL, sub.cert, NULL, 0);
	client_trust_crls_limit(trust, 0);
	assert_int_equal(list_ok(0, &sub), 0);
	assert_null(check(client.cert, NULL));
	assert_int_equal(list_put(0, &sub, &(struct list){.ends = -60}, &expired), 0);
	assert_true(expired);
	is_refused(client.cert, NULL, "CRL has expired");
	client_trust_crls_limit(trust, 0);
	assert_null(check(client.cert, NULL));
}

static void test_list_files(void **state) {
	static const char words[] = "-----BEGIN X509 CRL-----\nMIIB\n-----END X509 CRL-----\n";
	const struct list revoked = {.revoked = client.cert};
	bool expired;

	assert_non_null(client_trust_missing(trust, 1));
	assert_int_equal(list_ok(0, &root), 0);
	assert_null(client_trust_missing(trust, 1));
	assert_non_null(client_trust_missing(trust, 2));
	assert_int_equal(list_put(1, &sub, &revoked, NULL), 0);
	is_refused(client.cert, sub.cert, "revoked");
	// None of these changes that.
	assert_int_equal(
		client_trust_crls_set(trust, 1, words, sizeof(words) - 1, &expired), -EINVAL);
	assert_int_equal(client_trust_crls_set(trust, 1, "", 0, &expired), -EINVAL);
	assert_int_equal(client_trust_crls_set(trust, 1, "0\x03xyz", 5, &expired), -EINVAL);
	assert_int_equal(list_put(1, &sub, &(struct list){.no_end = true}, NULL), -EINVAL);
	assert_int_equal(list_ok(1, &other), -EINVAL); // of the root, it says
	assert_int_equal(list_ok(CFG_CRL_FILES_MAX, &root), -EINVAL);
	is_refused(client.cert, sub.cert, "revoked");
}

static void test_chain_read(void **state) {
	X509 *certs[] = {client.cert, sub.cert, root.cert};
	struct client_chain chain;
	uint8_t data[32768];
	size_t len = identity_chain_put(data, certs, 3);

	assert_int_equal(client_chain_read(&chain, data, len), 0);
	client_chain_free(&chain);
	for (size_t n = 0; n < len; n++) {
		size_t first = 3 + ((size_t)data[1] << 8 | data[2]);
		size_t second = first + 3 + ((size_t)data[first + 1] << 8 | data[first + 2]);
		int err = client_chain_read(&chain, data, n);

		assert_int_equal(err, n == first || n == second ? 0 : -EINVAL);
		if (err == 0)
			client_chain_free(&chain);
	}
	data[2]++;
	assert_int_equal(client_chain_read(&chain, data, len), -EINVAL);
	for (len = 0; len < 20 * 600;)
		len += identity_chain_put(data + len, certs, 1);
	assert_int_equal(client_chain_read(&chain, data, len), -EINVAL); // too many
}

// ---- users and groups

struct field {
	const char *name;
	const char *value;
	int len; // -1: all
	int type;
};

static const char *user_of(const struct identity *made, const char *field, char *user) {
	struct client_chain chain = identity_chain(made->cert, NULL);
	const char *why = client_cert_user(&chain, field, user);

	client_chain_free(&chain);
	return why;
}

static struct identity with_subject(const struct field *fields, size_t n) {
	struct identity made = identity_begin(&root, &(struct recipe){0});

	for (size_t i = 0; i < n; i++)
		assert_int_equal(
			X509_NAME_add_entry_by_txt(X509_get_subject_name(made.cert), fields[i].name,
				fields[i].type, (const unsigned char *)fields[i].value,
				fields[i].len, -1, 0),
			1);
	identity_sign(&made, &root, &(struct recipe){0});
	return made;
}

static void user_is(const struct field *fields, size_t n, const char *field, const char *expected) {
	struct identity made = with_subject(fields, n);
	char user[IPC_USER_LEN];
	const char *why = user_of(&made, field, user);

	if (expected != NULL) {
		assert_null(why);
		assert_string_equal(user, expected);
	} else {
		assert_non_null(why);
		assert_string_equal(user, "");
	}
	identity_drop(&made);
}

static void test_subject(void **state) {
	const struct field one[] = {
		{"CN", "Ann", -1, MBSTRING_UTF8}, {UID, "ann", -1, MBSTRING_UTF8}};
	const struct field two[] = {
		{UID, "ann", -1, MBSTRING_UTF8}, {UID, "bob", -1, MBSTRING_UTF8}};
	const struct field twice[] = {
		{UID, "ann", -1, MBSTRING_UTF8}, {UID, "ann", -1, MBSTRING_UTF8}};
	const struct field zero[] = {{UID, "ann\0bob", 7, V_ASN1_UTF8STRING}};
	const struct field line[] = {{UID, "ann\nbob", 7, V_ASN1_UTF8STRING}};
	const struct field wide[] = {{UID, "\0a\0n\0n", 6, V_ASN1_BMPSTRING}};
	const struct field accents[] = {{UID, "\xc3\xa4nn", -1, MBSTRING_UTF8}};
	char longest[IPC_USER_LEN + 1];
	struct field large = {"1.2.3.4", longest, -1, V_ASN1_UTF8STRING};

	user_is(one, 2, UID, "ann");
	user_is(one, 2, "2.5.4.3", "Ann");
	user_is(one, 2, "2.5.4.11", NULL);
	user_is(two, 2, UID, NULL);
	user_is(twice, 2, UID, NULL);
	user_is(zero, 1, UID, NULL);
	user_is(line, 1, UID, NULL);
	user_is(wide, 1, UID, "ann");
	user_is(accents, 1, UID, "\xc3\xa4nn");
	memset(longest, 'a', IPC_USER_LEN);
	longest[IPC_USER_LEN] = '\0';
	user_is(&large, 1, "1.2.3.4", NULL);
	longest[IPC_USER_LEN - 1] = '\0';
	user_is(&large, 1, "1.2.3.4", longest);
}

static void test_alternative_names(void **state) {
	struct recipe recipe = {.extensions = {CLIENT,
					"subjectAltName=email:ann@x.org,DNS:a.x.org,DNS:b.x.org,"
					"otherName:1.3.6.1.4.1.311.20.2.3;UTF8:ann@corp,"
					"otherName:1.2.3;UTF8:eve"}};
	struct identity made = identity_make(&root, "cn", &recipe);
	char user[IPC_USER_LEN];

	assert_null(user_of(&made, "SAN(rfc822name)", user));
	assert_string_equal(user, "ann@x.org");
	assert_null(user_of(&made, "SAN(upn)", user));
	assert_string_equal(user, "ann@corp");
	assert_non_null(user_of(&made, "SAN(dnsname)", user)); // two
	assert_non_null(user_of(&made, "SAN(other)", user));
	identity_drop(&made);
	// Not a string of the kind that it has to be.
	recipe.extensions[1] = "subjectAltName=otherName:1.3.6.1.4.1.311.20.2.3;IA5:ann@corp";
	made = identity_make(&root, "cn", &recipe);
	assert_non_null(user_of(&made, "SAN(upn)", user));
	assert_non_null(user_of(&made, "SAN(rfc822name)", user));
	identity_drop(&made);
}

static void test_groups(void **state) {
	const struct field fields[] = {{UID, "ann", -1, MBSTRING_UTF8},
		{"OU", "staff", -1, MBSTRING_UTF8}, {"OU", "root,admins", -1, MBSTRING_UTF8},
		{"OU", "a\nb", 3, V_ASN1_UTF8STRING}, {"OU", "vpn", -1, MBSTRING_UTF8}};
	struct identity made = with_subject(fields, 5);
	struct client_chain chain = identity_chain(made.cert, NULL);
	char groups[IPC_GROUPS_LEN], serial[32], subject[40];

	client_cert_groups(&chain, "2.5.4.11", groups);
	assert_string_equal(groups, "staff,vpn");
	client_cert_groups(&chain, "2.5.4.10", groups);
	assert_string_equal(groups, "");
	client_cert_groups(&chain, "", groups);
	assert_string_equal(groups, "");
	client_cert_describe(&chain, serial, sizeof(serial), subject, sizeof(subject));
	assert_true(strlen(serial) > 0 && strlen(subject) < sizeof(subject));
	client_chain_free(&chain);
	identity_drop(&made);
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_good, setup, teardown),
		cmocka_unit_test_setup_teardown(test_bad, setup, teardown),
		cmocka_unit_test_setup_teardown(test_ca_rules, setup, teardown),
		cmocka_unit_test_setup_teardown(test_ca_as_client, setup, teardown),
		cmocka_unit_test_setup_teardown(test_ca_files, setup, teardown),
		cmocka_unit_test_setup_teardown(test_names, setup, teardown),
		cmocka_unit_test_setup_teardown(test_revoked, setup, teardown),
		cmocka_unit_test_setup_teardown(test_list_files, setup, teardown),
		cmocka_unit_test(test_chain_read),
		cmocka_unit_test(test_subject),
		cmocka_unit_test(test_alternative_names),
		cmocka_unit_test(test_groups),
	};

	return cmocka_run_group_tests_name("client_trust", tests, group_setup, group_teardown);
}
