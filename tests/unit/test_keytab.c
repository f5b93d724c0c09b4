// SPDX-License-Identifier: GPL-3.0-or-later
// Keytabs as MIT's own library writes them, broken ones, and who a principal is here.

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>
#include <krb5.h>

#include "controlplane/kerberos/accept.h"
#include "controlplane/kerberos/keytab.h"

static char path[] = "/tmp/penstock-keytab-XXXXXX";
static uint8_t file[4096];
static size_t file_len;

// Two keys of two principals by the library; with the first removed when `hole`.
static void write_keytab(bool hole) {
	static const char *const names[] = {"HTTP/vpn.example.org@EXAMPLE.ORG", "host/x@OTHER.ORG"};
	krb5_keytab_entry entry = {0};
	krb5_keytab keytab;
	krb5_context krb5;
	char name[64];
	FILE *f;

	unlink(path);
	snprintf(name, sizeof(name), "WRFILE:%s", path);
	assert_int_equal(krb5_init_context(&krb5), 0);
	assert_int_equal(krb5_kt_resolve(krb5, name, &keytab), 0);
	for (unsigned i = 0; i < 2; i++) {
		static uint8_t key[32] = {1, 2, 3};

		entry = (krb5_keytab_entry){.vno = i == 0 ? 300 : 7,
			.timestamp = 1000,
			.key = {.enctype = ENCTYPE_AES256_CTS_HMAC_SHA1_96,
				.length = sizeof(key),
				.contents = key}};
		assert_int_equal(krb5_parse_name(krb5, names[i], &entry.principal), 0);
		assert_int_equal(krb5_kt_add_entry(krb5, keytab, &entry), 0);
		if (hole && i == 1) {
			krb5_free_principal(krb5, entry.principal);
			assert_int_equal(krb5_parse_name(krb5, names[0], &entry.principal), 0);
			entry.vno = 300;
			assert_int_equal(krb5_kt_remove_entry(krb5, keytab, &entry), 0);
		}
		krb5_free_principal(krb5, entry.principal);
	}
	krb5_kt_close(krb5, keytab);
	krb5_free_context(krb5);
	f = fopen(path, "rb");
	assert_non_null(f);
	file_len = fread(file, 1, sizeof(file), f);
	fclose(f);
}

struct seen {
	unsigned count;
	struct keytab_entry entries[4];
};

static int take(const struct keytab_entry *entry, void *arg) {
	struct seen *seen = arg;

	if (seen->count == 4)
		return -E2BIG;
	seen->entries[seen->count++] = *entry;
	return 0;
}

static void text_is(const struct keytab_text *text, const char *expected) {
	assert_int_equal(text->len, strlen(expected));
	assert_memory_equal(text->data, expected, text->len);
}

static void test_read(void **state) {
	struct seen seen = {0};
	const struct keytab_entry *entry = &seen.entries[0];

	write_keytab(false);
	assert_int_equal(keytab_read(file, file_len, take, &seen), 0);
	assert_int_equal(seen.count, 2);
	text_is(&entry->realm, "EXAMPLE.ORG");
	assert_int_equal(entry->nb_components, 2);
	text_is(&entry->components[0], "HTTP");
	text_is(&entry->components[1], "vpn.example.org");
	assert_int_equal(entry->vno, 300);
	assert_int_equal(entry->enctype, ENCTYPE_AES256_CTS_HMAC_SHA1_96);
	assert_int_equal(entry->key_len, 32);
	assert_int_equal(entry->key[2], 3);
	assert_int_equal(seen.entries[1].vno, 7);
	write_keytab(true);
	seen.count = 0;
	assert_int_equal(keytab_read(file, file_len, take, &seen), 0);
	assert_int_equal(seen.count, 1);
	text_is(&seen.entries[0].realm, "OTHER.ORG");
}

// Cut off anywhere: no entry that is not whole. Another byte changed anywhere: no read beyond.
static void test_broken(void **state) {
	struct seen seen = {0};

	write_keytab(false);
	for (size_t len = 0; len < file_len; len++) {
		uint8_t *copy = malloc(len + 1); // its end is where the sanitizer watches

		memcpy(copy, file, len);
		seen.count = 0;
		keytab_read(copy, len, take, &seen);
		assert_true(seen.count < 2);
		for (unsigned bit = 0; bit < 8 && len > 0; bit++) {
			copy[len - 1] ^= (uint8_t)(1u << bit);
			seen.count = 0;
			keytab_read(copy, len, take, &seen);
			copy[len - 1] ^= (uint8_t)(1u << bit);
		}
		free(copy);
	}
	assert_int_equal(keytab_read("\x05\x01", 2, take, &seen), -EINVAL);
	assert_int_equal(keytab_read("", 0, take, &seen), -EINVAL);
}

// GSSAPI takes them, and nothing that is none.
static void test_keys(void **state) {
	struct cfg_kerberos cfg = {.require_local_user_map = true};
	struct accept_answer answer;
	struct accept_context *context;
	struct accept_keys *keys;

	write_keytab(false);
	assert_int_equal(accept_init(), 0);
	assert_null(accept_keys_new("no keytab", 9));
	assert_null(accept_keys_new("\x05\x02", 2));
	keys = accept_keys_new(file, file_len);
	assert_non_null(keys);
	assert_int_equal(accept_keys_count(keys), 2);
	unlink(path);
	context = accept_context_new(keys);
	accept_step(context, &cfg, (const uint8_t *)"NTLMSSP\0\1", 9, &answer);
	assert_int_equal(answer.result, ACCEPT_REFUSED);
	assert_true(answer.why[0] != '\0');
	accept_answer_fini(&answer);
	accept_context_free(context);
	accept_keys_free(keys);
}

static bool user_is(const struct cfg_kerberos *cfg, const char *principal, const char *expected) {
	char *realms[] = {(char[]){"EXAMPLE.ORG"}};
	char user[ACCEPT_NAME_LEN];
	const char *why = NULL;

	if (!accept_user(cfg, realms, 1, principal, user, &why))
		return expected == NULL && why != NULL;
	return expected != NULL && strcmp(user, expected) == 0;
}

static void test_user(void **state) {
	char *realms[] = {(char[]){"OTHER.ORG"}, (char[]){"THIRD.ORG"}};
	struct cfg_kerberos cfg = {.require_local_user_map = true};
	char longest[ACCEPT_NAME_LEN + 16];

	assert_true(user_is(&cfg, "ann@EXAMPLE.ORG", "ann"));
	assert_true(user_is(&cfg, "ann@example.org", NULL));
	assert_true(user_is(&cfg, "ann@OTHER.ORG", NULL));
	assert_true(user_is(&cfg, "ann@EXAMPLE.ORG.EVIL", NULL));
	assert_true(user_is(&cfg, "ann/admin@EXAMPLE.ORG", NULL));
	assert_true(user_is(&cfg, "ann\\@EXAMPLE.ORG@EVIL.ORG", NULL));
	assert_true(user_is(&cfg, "ann\\@x@EXAMPLE.ORG", NULL));
	assert_true(user_is(&cfg, "@EXAMPLE.ORG", NULL));
	assert_true(user_is(&cfg, "ann", NULL));
	assert_true(user_is(&cfg, "", NULL));
	memset(longest, 'a', sizeof(longest));
	strcpy(longest + ACCEPT_NAME_LEN - 4, "@EXAMPLE.ORG");
	assert_true(user_is(&cfg, longest, NULL));
	cfg.realms = realms;
	cfg.nb_realms = 2;
	assert_true(user_is(&cfg, "ann@THIRD.ORG", "ann"));
	assert_true(user_is(&cfg, "ann@EXAMPLE.ORG", NULL));
	cfg.require_local_user_map = false;
	assert_true(user_is(&cfg, "ann/admin@THIRD.ORG", "ann/admin@THIRD.ORG"));
	assert_true(user_is(&cfg, "ann@EXAMPLE.ORG", NULL));
	cfg.nb_realms = 0;
	assert_true(user_is(&cfg, "ann@ANY.ORG", "ann@ANY.ORG"));
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_read),
		cmocka_unit_test(test_broken),
		cmocka_unit_test(test_keys),
		cmocka_unit_test(test_user),
	};
	int fd = mkstemp(path), failed;

	if (fd < 0)
		return 1;
	close(fd);
	failed = cmocka_run_group_tests_name("keytab", tests, NULL, NULL);
	unlink(path);
	return failed;
}
