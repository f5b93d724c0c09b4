// SPDX-License-Identifier: GPL-3.0-or-later
// Makes OCSP requests and judges responses, by OpenSSL's libcrypto; called by factor_certificate.c.

#include "client_ocsp.h"

#include <openssl/err.h>
#include <openssl/ocsp.h>
#include <openssl/x509_vfy.h>

#include <stdlib.h>

#define SKEW_S 300 // of the responder's clock
#define AGE_S 300 // of an answer that says no end
#define SECURITY_LEVEL 2

struct client_ocsp {
	OCSP_REQUEST *request;
	OCSP_CERTID *id;
	X509 *issuer;
	X509_STORE *store; // of the issuer alone
};

static X509_STORE *store_new(X509 *issuer) {
	X509_STORE *store = X509_STORE_new();

	if (store != NULL && X509_STORE_add_cert(store, issuer) == 1 &&
		X509_STORE_set_flags(store, X509_V_FLAG_PARTIAL_CHAIN) == 1) {
		X509_VERIFY_PARAM_set_auth_level(X509_STORE_get0_param(store), SECURITY_LEVEL);
		return store;
	}
	X509_STORE_free(store);
	return NULL;
}

static bool request_fill(struct client_ocsp *ocsp, X509 *cert) {
	OCSP_CERTID *id;

	// SHA-1 names the issuer here and secures nothing; it is what all responders know.
	ocsp->id = OCSP_cert_to_id(EVP_sha1(), cert, ocsp->issuer);
	id = ocsp->id != NULL ? OCSP_CERTID_dup(ocsp->id) : NULL;
	if (id == NULL || OCSP_request_add0_id(ocsp->request, id) == NULL) {
		OCSP_CERTID_free(id);
		return false;
	}
	return OCSP_request_add1_nonce(ocsp->request, NULL, -1) == 1;
}

struct client_ocsp *client_ocsp_new(const struct client_chain *chain, X509 *issuer) {
	struct client_ocsp *ocsp = calloc(1, sizeof(*ocsp));

	if (ocsp == NULL)
		return NULL;
	X509_up_ref(issuer);
	ocsp->issuer = issuer;
	ocsp->request = OCSP_REQUEST_new();
	ocsp->store = store_new(issuer);
	if (ocsp->request != NULL && ocsp->store != NULL &&
		request_fill(ocsp, sk_X509_value(chain->certs, 0)))
		return ocsp;
	client_ocsp_free(ocsp);
	return NULL;
}

void client_ocsp_free(struct client_ocsp *ocsp) {
	if (ocsp == NULL)
		return;
	OCSP_REQUEST_free(ocsp->request);
	OCSP_CERTID_free(ocsp->id);
	X509_free(ocsp->issuer);
	X509_STORE_free(ocsp->store);
	free(ocsp);
}

size_t client_ocsp_request(const struct client_ocsp *ocsp, uint8_t *out, size_t size) {
	int len = i2d_OCSP_REQUEST(ocsp->request, NULL);

	if (len <= 0 || (size_t)len > size)
		return 0;
	i2d_OCSP_REQUEST(ocsp->request, &out);
	return (size_t)len;
}

// ---- the answer

static bool is_signed(const struct client_ocsp *ocsp, OCSP_BASICRESP *basic) {
	STACK_OF(X509) *others = sk_X509_new_null(); // the signer, if the answer has no certificate
	bool ok = others != NULL && sk_X509_push(others, ocsp->issuer) > 0 &&
		OCSP_basic_verify(basic, others, ocsp->store, 0) == 1;

	sk_X509_free(others);
	return ok;
}

static bool is_of_now(ASN1_GENERALIZEDTIME *begins, ASN1_GENERALIZEDTIME *ends) {
	return OCSP_check_validity(begins, ends, SKEW_S, ends != NULL ? -1 : AGE_S) == 1;
}

static enum client_ocsp_status basic_check(
	const struct client_ocsp *ocsp, OCSP_BASICRESP *basic, const char **why) {
	ASN1_GENERALIZEDTIME *begins = NULL, *ends = NULL;
	int status, reason;

	if (!is_signed(ocsp, basic))
		*why = "OCSP answer is not signed by who may";
	else if (OCSP_check_nonce(ocsp->request, basic) == 0)
		*why = "OCSP answer is one to another question";
	else if (OCSP_resp_find_status(basic, ocsp->id, &status, &reason, NULL, &begins, &ends) !=
		1)
		*why = "OCSP answer is about another certificate";
	else if (!is_of_now(begins, ends))
		*why = "OCSP answer is too old";
	else if (status == V_OCSP_CERTSTATUS_GOOD)
		return CLIENT_OCSP_GOOD;
	else {
		*why = status == V_OCSP_CERTSTATUS_REVOKED
			? "certificate revoked (OCSP)"
			: "certificate unknown to the OCSP responder";
		return CLIENT_OCSP_BAD;
	}
	return CLIENT_OCSP_NONE;
}

enum client_ocsp_status client_ocsp_check(
	const struct client_ocsp *ocsp, const uint8_t *data, size_t len, const char **why) {
	enum client_ocsp_status status = CLIENT_OCSP_NONE;
	const uint8_t *at = data;
	OCSP_RESPONSE *response = d2i_OCSP_RESPONSE(NULL, &at, (long)len);
	OCSP_BASICRESP *basic = NULL;

	*why = "OCSP answer cannot be read";
	if (response != NULL && at == data + len) {
		if (OCSP_response_status(response) == OCSP_RESPONSE_STATUS_SUCCESSFUL)
			basic = OCSP_response_get1_basic(response);
		else
			*why = "OCSP responder cannot answer";
	}
	if (basic != NULL)
		status = basic_check(ocsp, basic, why);
	OCSP_BASICRESP_free(basic);
	OCSP_RESPONSE_free(response);
	ERR_clear_error();
	return status;
}
