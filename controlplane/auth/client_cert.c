// SPDX-License-Identifier: GPL-3.0-or-later
// Reads a client's certificates, and its user and groups out of them; called by
// factor_certificate.c and client_trust.c.

#include "client_cert.h"

#include <openssl/asn1.h>
#include <openssl/bn.h>
#include <openssl/err.h>
#include <openssl/objects.h>
#include <openssl/x509v3.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "controlplane/proc/bytes.h"

#define LEN_LEN 3u
#define VALUES_MAX 64u // more of one field is nothing that a CA issues

// ---- chain

int client_chain_read(struct client_chain *chain, const uint8_t *data, size_t len) {
	chain->certs = sk_X509_new_null();
	if (chain->certs == NULL)
		return -ENOMEM;
	while (len > 0 && sk_X509_num(chain->certs) < (int)CLIENT_CHAIN_CERTS_MAX) {
		size_t der_len = len >= LEN_LEN ? bytes_get(data, LEN_LEN) : 0;
		const uint8_t *at = data + LEN_LEN;
		X509 *cert;

		if (der_len == 0 || der_len > len - LEN_LEN)
			break;
		cert = d2i_X509(NULL, &at, (long)der_len);
		if (cert == NULL || at != data + LEN_LEN + der_len ||
			sk_X509_push(chain->certs, cert) == 0) {
			X509_free(cert);
			break;
		}
		data = at;
		len -= LEN_LEN + der_len;
	}
	ERR_clear_error();
	if (len == 0 && sk_X509_num(chain->certs) > 0)
		return 0;
	client_chain_free(chain);
	return -EINVAL;
}

void client_chain_free(struct client_chain *chain) {
	sk_X509_pop_free(chain->certs, X509_free);
	chain->certs = NULL;
}

// ---- values of a field

// What is done with each value. False: no more.
typedef bool (*value_handler)(void *arg, const char *text, size_t len);

// Text that may stand for a name: no NUL in it, nothing that controls a terminal.
static bool text_ok(const char *text, size_t len) {
	for (size_t i = 0; i < len; i++) {
		unsigned char c = (unsigned char)text[i];

		if (c < 0x20 || c == 0x7f)
			return false;
	}
	return len > 0;
}

static bool is_ascii(const ASN1_STRING *string) {
	const unsigned char *data = ASN1_STRING_get0_data(string);

	for (int i = 0; i < ASN1_STRING_length(string); i++) {
		if (data[i] >= 0x80)
			return false;
	}
	return true;
}

// One that is no text is handed on as an empty one: it counts, and is good for nothing.
static bool string_add(const ASN1_STRING *string, value_handler add, void *arg) {
	unsigned char *text = NULL;
	int len = -1;
	bool go_on;

	if (ASN1_STRING_type(string) != V_ASN1_IA5STRING || is_ascii(string))
		len = ASN1_STRING_to_UTF8(&text, string);
	if (len < 0 || !text_ok((const char *)text, (size_t)len))
		go_on = add(arg, "", 0);
	else
		go_on = add(arg, (const char *)text, (size_t)len);
	OPENSSL_free(text);
	return go_on;
}

static void subject_values(X509 *cert, const char *oid, value_handler add, void *arg) {
	ASN1_OBJECT *object = OBJ_txt2obj(oid, 1);
	const X509_NAME *subject = X509_get_subject_name(cert);
	int at = -1;

	for (unsigned n = 0; object != NULL && n < VALUES_MAX; n++) {
		at = X509_NAME_get_index_by_OBJ(subject, object, at);
		if (at < 0 ||
			!string_add(X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, at)), add,
				arg))
			break;
	}
	ASN1_OBJECT_free(object);
}

// The string of a name of this kind, or NULL.
static const ASN1_STRING *general_name_string(const GENERAL_NAME *name, const char *kind) {
	ASN1_OBJECT *type;
	ASN1_TYPE *value;

	if (name->type == GEN_EMAIL && strcmp(kind, "SAN(rfc822name)") == 0)
		return name->d.rfc822Name;
	if (name->type == GEN_DNS && strcmp(kind, "SAN(dnsname)") == 0)
		return name->d.dNSName;
	if (name->type != GEN_OTHERNAME || strcmp(kind, "SAN(upn)") != 0 ||
		!GENERAL_NAME_get0_otherName(name, &type, &value) ||
		OBJ_obj2nid(type) != NID_ms_upn || value == NULL ||
		value->type != V_ASN1_UTF8STRING)
		return NULL;
	return value->value.utf8string;
}

static void alternative_values(X509 *cert, const char *kind, value_handler add, void *arg) {
	GENERAL_NAMES *names = X509_get_ext_d2i(cert, NID_subject_alt_name, NULL, NULL);

	for (int i = 0; i < sk_GENERAL_NAME_num(names) && i < (int)VALUES_MAX; i++) {
		const ASN1_STRING *string = general_name_string(
			sk_GENERAL_NAME_value(names, i), kind);

		if (string != NULL && !string_add(string, add, arg))
			break;
	}
	GENERAL_NAMES_free(names);
}

static void values(
	const struct client_chain *chain, const char *field, value_handler add, void *arg) {
	X509 *cert = sk_X509_value(chain->certs, 0);

	if (field[0] >= '0' && field[0] <= '9')
		subject_values(cert, field, add, arg);
	else
		alternative_values(cert, field, add, arg);
	ERR_clear_error();
}

// ---- user and groups

struct user_value {
	unsigned count;
	bool fits;
	char *user;
};

static bool user_add(void *arg, const char *text, size_t len) {
	struct user_value *value = arg;

	value->fits = len > 0 && len < IPC_USER_LEN;
	if (value->fits) {
		memcpy(value->user, text, len);
		value->user[len] = '\0';
	}
	return ++value->count < 2;
}

const char *client_cert_user(const struct client_chain *chain, const char *field, char *user) {
	struct user_value value = {.user = user};

	memset(user, 0, IPC_USER_LEN);
	values(chain, field, user_add, &value);
	if (value.count == 1 && value.fits)
		return NULL;
	memset(user, 0, IPC_USER_LEN);
	if (value.count == 0)
		return "certificate names no user";
	// Which of them a rule meant is not for the client to choose.
	return value.count > 1 ? "certificate names several users"
			       : "certificate's user name cannot be used";
}

static bool group_add(void *arg, const char *text, size_t len) {
	char *groups = arg;
	size_t used = strlen(groups), comma = used > 0;

	// A comma within would make two groups of one.
	if (len == 0 || len >= IPC_GROUP_LEN || memchr(text, ',', len) != NULL ||
		used + comma + len >= IPC_GROUPS_LEN)
		return true;
	if (comma)
		groups[used++] = ',';
	memcpy(groups + used, text, len);
	groups[used + len] = '\0';
	return true;
}

void client_cert_groups(const struct client_chain *chain, const char *field, char *groups) {
	memset(groups, 0, IPC_GROUPS_LEN);
	if (field[0] != '\0')
		values(chain, field, group_add, groups);
}

void client_cert_describe(const struct client_chain *chain, char *serial, size_t serial_size,
	char *subject, size_t subject_size) {
	X509 *cert = sk_X509_value(chain->certs, 0);
	BIGNUM *number = ASN1_INTEGER_to_BN(X509_get0_serialNumber(cert), NULL);
	char *hex = number != NULL ? BN_bn2hex(number) : NULL;

	snprintf(serial, serial_size, "%s", hex != NULL ? hex : "");
	OPENSSL_free(hex);
	BN_free(number);
	subject[0] = '\0';
	X509_NAME_oneline(X509_get_subject_name(cert), subject, (int)subject_size);
	ERR_clear_error();
}
