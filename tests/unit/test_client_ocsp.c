// SPDX-License-Identifier: GPL-3.0-or-later
// What answers of OCSP responders are worth: the right one, and each with something wrong in it.

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <openssl/ocsp.h>

#include "controlplane/auth/client_ocsp.h"
#include "identity.h"

// An answer; all zero is one that says good, signed by the CA, of now, to our question.
struct recipe_answer {
	int status; // V_OCSP_CERTSTATUS_*
	const struct identity *signer; // NULL: the CA
	X509 *about; // NULL: the client's
	long begins, ends; // s from now; ends 0: says none
	bool no_nonce, other_nonce, no_certs;
	int error; // OCSP_RESPONSE_STATUS_*; 0: none
	size_t more; // bytes behind it
};

static struct identity root, other, client, stranger, signer, plain, forged;
static struct client_ocsp *ocsp;

static ASN1_TIME *time_in(long s) {
	return X509_gmtime_adj(NULL, s);
}

static OCSP_BASICRESP *basic_new(const struct recipe_answer *recipe) {
	OCSP_BASICRESP *basic = OCSP_BASICRESP_new();
	X509 *about = recipe->about != NULL ? recipe->about : client.cert;
	const struct identity *by = recipe->signer != NULL ? recipe->signer : &root;
	OCSP_CERTID *id = OCSP_cert_to_id(EVP_sha1(), about, root.cert);
	ASN1_TIME *begins = time_in(recipe->begins), *ends = time_in(recipe->ends);
	ASN1_TIME *revoked = time_in(-DAY);
	uint8_t request[512], nonce[] = "0123456789abcdef";
	const uint8_t *at = request;
	size_t len = client_ocsp_request(ocsp, request, sizeof(request));
	OCSP_REQUEST *asked = d2i_OCSP_REQUEST(NULL, &at, (long)len);

	assert_non_null(asked);
	assert_non_null(OCSP_basic_add1_status(basic, id, recipe->status, 0,
		recipe->status == V_OCSP_CERTSTATUS_REVOKED ? revoked : NULL, begins,
		recipe->ends != 0 ? ends : NULL));
	if (recipe->other_nonce)
		OCSP_basic_add1_nonce(basic, nonce, sizeof(nonce) - 1);
	else if (!recipe->no_nonce)
		assert_int_equal(OCSP_copy_nonce(basic, asked), 1);
	assert_int_equal(OCSP_basic_sign(basic, by->cert, by->key, EVP_sha256(), NULL,
				 recipe->no_certs ? OCSP_NOCERTS : 0),
		1);
	OCSP_REQUEST_free(asked);
	OCSP_CERTID_free(id);
	ASN1_TIME_free(begins);
	ASN1_TIME_free(ends);
	ASN1_TIME_free(revoked);
	return basic;
}

static enum client_ocsp_status judge(struct recipe_answer recipe) {
	OCSP_BASICRESP *basic = recipe.error == 0 ? basic_new(&recipe) : NULL;
	OCSP_RESPONSE *response = OCSP_response_create(recipe.error, basic);
	uint8_t data[4096] = {0}, *at = data;
	int len = i2d_OCSP_RESPONSE(response, NULL);
	enum client_ocsp_status status;
	const char *why = NULL;

	assert_in_range(len, 1, sizeof(data) - 8);
	i2d_OCSP_RESPONSE(response, &at);
	status = client_ocsp_check(ocsp, data, (size_t)len + recipe.more, &why);
	assert_true(status == CLIENT_OCSP_GOOD || why != NULL);
	OCSP_BASICRESP_free(basic);
	OCSP_RESPONSE_free(response);
	return status;
}

#define JUDGE(...) judge((struct recipe_answer){__VA_ARGS__})

static int setup(void **state) {
	const struct recipe ca = {.extensions = {CA, CA_KEY}};
	const struct recipe responder = {.extensions = {"extendedKeyUsage=OCSPSigning"}};
	struct client_chain chain;

	root = identity_make(NULL, "root", &ca);
	other = identity_make(NULL, "root", &ca); // the same name, another key
	client = identity_make(&root, "ann", &(struct recipe){0});
	stranger = identity_make(&root, "bob", &(struct recipe){0});
	signer = identity_make(&root, "responder", &responder);
	plain = identity_make(&root, "responder", &(struct recipe){0});
	forged = identity_make(&other, "responder", &responder);
	chain = identity_chain(client.cert, NULL);
	ocsp = client_ocsp_new(&chain, root.cert);
	client_chain_free(&chain);
	return ocsp == NULL;
}

static int teardown(void **state) {
	struct identity *all[] = {&root, &other, &client, &stranger, &signer, &plain, &forged};

	client_ocsp_free(ocsp);
	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
		identity_drop(all[i]);
	return 0;
}

static void test_request(void **state) {
	uint8_t out[512];
	size_t len = client_ocsp_request(ocsp, out, sizeof(out));

	assert_true(len > 40);
	assert_int_equal(client_ocsp_request(ocsp, out, len), len);
	assert_int_equal(client_ocsp_request(ocsp, out, len - 1), 0);
}

static void test_answers(void **state) {
	assert_int_equal(JUDGE(.status = V_OCSP_CERTSTATUS_GOOD), CLIENT_OCSP_GOOD);
	assert_int_equal(JUDGE(.ends = 3600), CLIENT_OCSP_GOOD);
	assert_int_equal(JUDGE(.no_certs = true), CLIENT_OCSP_GOOD);
	assert_int_equal(JUDGE(.no_nonce = true), CLIENT_OCSP_GOOD);
	assert_int_equal(JUDGE(.signer = &signer), CLIENT_OCSP_GOOD);
	assert_int_equal(JUDGE(.status = V_OCSP_CERTSTATUS_REVOKED), CLIENT_OCSP_BAD);
	assert_int_equal(JUDGE(.status = V_OCSP_CERTSTATUS_UNKNOWN), CLIENT_OCSP_BAD);
}

static void test_not_signed(void **state) {
	assert_int_equal(JUDGE(.signer = &other), CLIENT_OCSP_NONE);
	assert_int_equal(JUDGE(.signer = &other, .no_certs = true), CLIENT_OCSP_NONE);
	assert_int_equal(JUDGE(.signer = &forged), CLIENT_OCSP_NONE);
	assert_int_equal(JUDGE(.signer = &plain), CLIENT_OCSP_NONE); // may not
	assert_int_equal(JUDGE(.signer = &client), CLIENT_OCSP_NONE);
	// Not even to say that it is revoked.
	assert_int_equal(
		JUDGE(.signer = &other, .status = V_OCSP_CERTSTATUS_REVOKED), CLIENT_OCSP_NONE);
}

static void test_not_ours(void **state) {
	assert_int_equal(JUDGE(.about = stranger.cert), CLIENT_OCSP_NONE);
	assert_int_equal(JUDGE(.other_nonce = true), CLIENT_OCSP_NONE);
	assert_int_equal(JUDGE(.error = OCSP_RESPONSE_STATUS_TRYLATER), CLIENT_OCSP_NONE);
	assert_int_equal(JUDGE(.more = 1), CLIENT_OCSP_NONE);
}

static void test_time(void **state) {
	assert_int_equal(JUDGE(.begins = -2 * DAY, .ends = 3600), CLIENT_OCSP_GOOD);
	assert_int_equal(JUDGE(.begins = -2 * DAY, .ends = -3600), CLIENT_OCSP_NONE);
	assert_int_equal(JUDGE(.begins = -3600), CLIENT_OCSP_NONE); // says no end
	assert_int_equal(JUDGE(.begins = 3600), CLIENT_OCSP_NONE);
	assert_int_equal(JUDGE(.begins = 3600, .ends = 2 * DAY), CLIENT_OCSP_NONE);
}

static void test_no_answer(void **state) {
	static const char *const data[] = {"", "0", "<html>not found</html>"};
	const char *why;

	for (size_t i = 0; i < sizeof(data) / sizeof(data[0]); i++)
		assert_int_equal(
			client_ocsp_check(ocsp, (const uint8_t *)data[i], strlen(data[i]), &why),
			CLIENT_OCSP_NONE);
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_request),
		cmocka_unit_test(test_answers),
		cmocka_unit_test(test_not_signed),
		cmocka_unit_test(test_not_ours),
		cmocka_unit_test(test_time),
		cmocka_unit_test(test_no_answer),
	};

	return cmocka_run_group_tests_name("client_ocsp", tests, setup, teardown);
}
