// SPDX-License-Identifier: GPL-3.0-or-later
// Accepts Kerberos tickets by MIT's GSSAPI, bare or negotiated (SPNEGO, RFC 4178); called by
// kerberos.c.
//
// The keys are in a keytab of the library's in memory. There is no krb5.conf, so that the process
// needs no file, and no replay cache: a token is good for its TLS connection's client alone, as long
// as nobody reads along there (docs/decisions/0024).

#include "accept.h"

#include <errno.h>
#include <gssapi/gssapi.h>
#include <gssapi/gssapi_ext.h>
#include <gssapi/gssapi_krb5.h>
#include <krb5.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "keytab.h"

#define REALMS_MAX 16u

struct accept_keys {
	krb5_context krb5;
	krb5_keytab keytab;
	gss_cred_id_t cred;
	size_t count;
	char *realms[REALMS_MAX];
	size_t nb_realms;
};

struct accept_context {
	const struct accept_keys *keys;
	gss_ctx_id_t gss;
};

static gss_OID_desc spnego = {6, (void *)(uintptr_t) "\x2b\x06\x01\x05\x05\x02"};

int accept_init(void) {
	gss_OID_set mechs = GSS_C_NO_OID_SET;
	krb5_context krb5;
	OM_uint32 minor;

	if (setenv("KRB5_CONFIG", "/nonexistent/krb5.conf", 1) < 0 ||
		setenv("KRB5RCACHENAME", "none:", 1) < 0)
		return -errno;
	// The library looks at its own settings, plug-ins and locale once.
	if (krb5_init_context(&krb5) != 0)
		return -EIO;
	krb5_free_context(krb5);
	if (GSS_ERROR(gss_indicate_mechs(&minor, &mechs)))
		return -EIO;
	gss_release_oid_set(&minor, &mechs);
	return 0;
}

// --- keys ---

static int realm_add(struct accept_keys *keys, const struct keytab_text *realm) {
	for (size_t i = 0; i < keys->nb_realms; i++) {
		if (strlen(keys->realms[i]) == realm->len &&
			memcmp(keys->realms[i], realm->data, realm->len) == 0)
			return 0;
	}
	if (keys->nb_realms == REALMS_MAX)
		return -E2BIG;
	keys->realms[keys->nb_realms] = strndup(realm->data, realm->len);
	return keys->realms[keys->nb_realms++] != NULL ? 0 : -ENOMEM;
}

static krb5_data data_of(const struct keytab_text *text) {
	return (krb5_data){.length = text->len, .data = (char *)(uintptr_t)text->data};
}

static int key_add(const struct keytab_entry *entry, void *arg) {
	struct accept_keys *keys = arg;
	krb5_data parts[KEYTAB_COMPONENTS_MAX];
	krb5_principal_data principal = {
		.realm = data_of(&entry->realm),
		.data = parts,
		.length = (krb5_int32)entry->nb_components,
		.type = (krb5_int32)entry->name_type,
	};
	krb5_keytab_entry one = {
		.principal = &principal,
		.timestamp = (krb5_timestamp)entry->timestamp,
		.vno = entry->vno,
	};

	for (unsigned i = 0; i < entry->nb_components; i++)
		parts[i] = data_of(&entry->components[i]);
	one.key.enctype = entry->enctype;
	one.key.length = entry->key_len;
	one.key.contents = (krb5_octet *)(uintptr_t)entry->key;
	if (krb5_kt_add_entry(keys->krb5, keys->keytab, &one) != 0)
		return -EINVAL;
	keys->count++;
	return realm_add(keys, &entry->realm);
}

static int cred_acquire(struct accept_keys *keys, const char *name) {
	gss_OID_desc mechs[] = {*gss_mech_krb5, spnego};
	gss_OID_set_desc set = {2, mechs}, krb5_alone = {1, mechs};
	gss_key_value_element_desc element = {"keytab", name};
	gss_key_value_set_desc store = {1, &element};
	OM_uint32 major, minor;

	major = gss_acquire_cred_from(&minor, GSS_C_NO_NAME, GSS_C_INDEFINITE, &set, GSS_C_ACCEPT,
		&store, &keys->cred, NULL, NULL);
	if (GSS_ERROR(major))
		return -EINVAL;
	// Nothing else is negotiated, whatever mechanisms the machine has.
	major = gss_set_neg_mechs(&minor, keys->cred, &krb5_alone);
	return GSS_ERROR(major) ? -EINVAL : 0;
}

static int keys_fill(struct accept_keys *keys, const void *file, size_t len) {
	static unsigned number; // each keytab in memory has a name of its own
	char name[32];
	int err;

	snprintf(name, sizeof(name), "MEMORY:penstock-%u", number++);
	if (krb5_init_context(&keys->krb5) != 0 ||
		krb5_kt_resolve(keys->krb5, name, &keys->keytab) != 0)
		return -EIO;
	err = keytab_read(file, len, key_add, keys);
	if (err == 0 && keys->count == 0)
		err = -EINVAL;
	return err != 0 ? err : cred_acquire(keys, name);
}

struct accept_keys *accept_keys_new(const void *file, size_t len) {
	struct accept_keys *keys = calloc(1, sizeof(*keys));
	int err;

	if (keys == NULL)
		return NULL;
	err = keys_fill(keys, file, len);
	if (err == 0)
		return keys;
	accept_keys_free(keys);
	errno = -err;
	return NULL;
}

void accept_keys_free(struct accept_keys *keys) {
	OM_uint32 minor;

	if (keys == NULL)
		return;
	if (keys->cred != GSS_C_NO_CREDENTIAL)
		gss_release_cred(&minor, &keys->cred);
	// The last reference: the library wipes the keys.
	if (keys->keytab != NULL)
		krb5_kt_close(keys->krb5, keys->keytab);
	if (keys->krb5 != NULL)
		krb5_free_context(keys->krb5);
	for (size_t i = 0; i < keys->nb_realms; i++)
		free(keys->realms[i]);
	free(keys);
}

size_t accept_keys_count(const struct accept_keys *keys) {
	return keys->count;
}

// --- who it is ---

static bool is_listed(const char *realm, char *const *realms, size_t nb_realms) {
	for (size_t i = 0; i < nb_realms; i++) {
		if (strcmp(realms[i], realm) == 0)
			return true;
	}
	return false;
}

bool accept_user(const struct cfg_kerberos *cfg, char *const *realms, size_t nb_realms,
	const char *principal, char user[ACCEPT_NAME_LEN], const char **why) {
	const char *at = strrchr(principal, '@');
	size_t len = at != NULL ? (size_t)(at - principal) : 0;
	bool listed;

	if (len == 0 || strlen(principal) >= ACCEPT_NAME_LEN) {
		*why = "no usable principal";
		return false;
	}
	if (cfg->nb_realms > 0)
		listed = is_listed(at + 1, cfg->realms, cfg->nb_realms);
	else
		listed = is_listed(at + 1, realms, nb_realms);
	if (cfg->nb_realms > 0 || cfg->require_local_user_map) {
		if (!listed) {
			*why = "the realm is not one of ours";
			return false;
		}
	}
	if (!cfg->require_local_user_map) {
		strcpy(user, principal);
		return true;
	}
	// user/admin or host/name are not users; neither is a name with quoted characters.
	if (memchr(principal, '/', len) != NULL || memchr(principal, '\\', len) != NULL ||
		memchr(principal, '@', len) != NULL) {
		*why = "the principal is no local user";
		return false;
	}
	memcpy(user, principal, len);
	user[len] = '\0';
	return true;
}

// --- contexts ---

struct accept_context *accept_context_new(const struct accept_keys *keys) {
	struct accept_context *context = calloc(1, sizeof(*context));

	if (context != NULL)
		context->keys = keys;
	return context;
}

void accept_context_free(struct accept_context *context) {
	OM_uint32 minor;

	if (context == NULL)
		return;
	if (context->gss != GSS_C_NO_CONTEXT)
		gss_delete_sec_context(&minor, &context->gss, GSS_C_NO_BUFFER);
	free(context);
}

static void refuse(struct accept_answer *answer, const char *why) {
	answer->result = ACCEPT_REFUSED;
	snprintf(answer->why, sizeof(answer->why), "%s", why);
}

// The library's words: of the mechanism when it has any, else of GSSAPI.
static void refuse_status(struct accept_answer *answer, OM_uint32 major, OM_uint32 minor) {
	gss_buffer_desc text = GSS_C_EMPTY_BUFFER;
	OM_uint32 ignored, more = 0;
	int type = minor != 0 ? GSS_C_MECH_CODE : GSS_C_GSS_CODE;

	refuse(answer, "refused by GSSAPI");
	if (GSS_ERROR(gss_display_status(&ignored, minor != 0 ? minor : major, type,
		    (gss_OID)gss_mech_krb5, &more, &text)))
		return;
	snprintf(answer->why, sizeof(answer->why), "%.*s", (int)text.length,
		(const char *)text.value);
	gss_release_buffer(&ignored, &text);
}

// How long ago did the user give a password (or the like) to the KDC? The ticket-granting ticket's
// time is in every ticket made with it.
static bool is_fresh(const struct accept_context *context, const struct cfg_kerberos *cfg) {
	krb5_timestamp when;
	OM_uint32 minor;

	if (cfg->ticket_freshness == 0)
		return true;
	if (GSS_ERROR(gsskrb5_extract_authtime_from_sec_context(&minor, context->gss, &when)))
		return false;
	// Seconds since 1970, of 32 bits without a sign (until 2106).
	return (int64_t)time(NULL) - (int64_t)(uint32_t)when <= (int64_t)cfg->ticket_freshness;
}

static void name_check(const struct accept_context *context, const struct cfg_kerberos *cfg,
	gss_name_t client, struct accept_answer *answer) {
	gss_buffer_desc text = GSS_C_EMPTY_BUFFER;
	char principal[ACCEPT_NAME_LEN] = "";
	const char *why = NULL;
	OM_uint32 minor;
	gss_OID type;

	if (GSS_ERROR(gss_display_name(&minor, client, &text, &type))) {
		refuse(answer, "the client has no name");
		return;
	}
	if (text.length < sizeof(principal) && memchr(text.value, '\0', text.length) == NULL)
		memcpy(principal, text.value, text.length);
	gss_release_buffer(&minor, &text);
	if (!gss_oid_equal(type, (gss_OID)gss_nt_krb5_name))
		refuse(answer, "anonymous, or no Kerberos name");
	else if (!accept_user(cfg, context->keys->realms, context->keys->nb_realms, principal,
			 answer->user, &why))
		refuse(answer, why);
	else if (!is_fresh(context, cfg))
		refuse(answer, "the ticket-granting ticket is too old");
}

void accept_step(struct accept_context *context, const struct cfg_kerberos *cfg,
	const uint8_t *token, size_t len, struct accept_answer *answer) {
	gss_buffer_desc in = {len, (void *)(uintptr_t)token}, out = GSS_C_EMPTY_BUFFER;
	gss_name_t client = GSS_C_NO_NAME;
	OM_uint32 major, minor, ignored;

	*answer = (struct accept_answer){.result = ACCEPT_DONE};
	major = gss_accept_sec_context(&minor, &context->gss, context->keys->cred, &in,
		GSS_C_NO_CHANNEL_BINDINGS, &client, NULL, &out, NULL, NULL, NULL);
	answer->token = out.value;
	answer->token_len = out.length;
	if (GSS_ERROR(major))
		refuse_status(answer, major, minor);
	else if ((major & GSS_S_CONTINUE_NEEDED) == 0)
		name_check(context, cfg, client, answer);
	else if (out.length > 0)
		answer->result = ACCEPT_MORE;
	else
		refuse(answer, "the library has nothing to say");
	if (client != GSS_C_NO_NAME)
		gss_release_name(&ignored, &client);
}

void accept_answer_fini(struct accept_answer *answer) {
	gss_buffer_desc token = {answer->token_len, answer->token};
	OM_uint32 minor;

	gss_release_buffer(&minor, &token);
	answer->token = NULL;
	answer->token_len = 0;
}
