// SPDX-License-Identifier: GPL-3.0-or-later
// Session tickets: the keys over time (auth/ticket.c), sealing in one edge and opening in another
// (edge/tls_ticket.c), and the nonces that were sent (edge/tls_sent.c).

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "controlplane/auth/ticket.h"
#include "controlplane/edge/tls_sent.h"
#include "controlplane/edge/tls_ticket.h"

#define PERIOD 3600u
#define NOW ((time_t)500000 * PERIOD + 17)

static const uint8_t cookie_secret[32] = {9, 8, 7}, other_secret[32] = {1};
static const uint8_t leaf[TLS_TICKET_BINDING_LEN] = {0xaa}, other_leaf[TLS_TICKET_BINDING_LEN];

struct ticket {
	uint8_t name[TLS_TICKET_NAME_LEN], iv[TLS_TICKET_IV_LEN], mac[TLS_TICKET_MAC_LEN];
	uint8_t text[100];
};

static void keys_at(struct tls_tickets *tickets, const uint8_t *secret, time_t now) {
	struct ipc_ticket_keys msg;

	assert_int_equal(ticket_keys_make(secret, PERIOD, now, &msg), 0);
	assert_int_equal(tls_tickets_set(tickets, &msg), 0);
}

static void plain(uint8_t text[100]) {
	for (int i = 0; i < 100; i++)
		text[i] = (uint8_t)(i * 7);
}

static void seal(const struct tls_tickets *tickets, struct ticket *t) {
	plain(t->text);
	assert_int_equal(
		tls_ticket_seal(tickets, leaf, t->name, t->iv, t->mac, t->text, sizeof(t->text)),
		0);
}

// Opens a copy; 0 only with the right content.
static int open_copy(
	const struct tls_tickets *tickets, const struct ticket *t, const uint8_t *binding) {
	struct ticket copy = *t;
	uint8_t want[100];
	int err;

	err = tls_ticket_open(
		tickets, binding, copy.name, copy.iv, copy.mac, copy.text, sizeof(copy.text));
	plain(want);
	assert_int_equal(memcmp(copy.text, want, sizeof(want)) == 0, err == 0);
	return err;
}

static void test_period(void **state) {
	struct cfg cfg = {.auth.cookie_timeout = 300};

	assert_int_equal(ticket_period(&cfg), 3600);
	cfg.auth.cookie_timeout = 86400;
	assert_int_equal(ticket_period(&cfg), 86400);
	cfg.auth.cookie_timeout = 30 * 86400; // tickets live a week at most
	assert_int_equal(ticket_period(&cfg), 7 * 86400);
	cfg.auth.cookie_timeout = 0;
	assert_int_equal(ticket_period(&cfg), 3600);
}

static void test_keys(void **state) {
	struct ipc_ticket_keys a, b, c;

	// The same in the whole period, whoever asks; then the current one becomes the previous one.
	assert_int_equal(ticket_keys_make(cookie_secret, PERIOD, NOW, &a), 0);
	assert_int_equal(ticket_keys_make(cookie_secret, PERIOD, NOW + 3500, &b), 0);
	assert_memory_equal(&a, &b, sizeof(a));
	assert_int_equal(ticket_keys_make(cookie_secret, PERIOD, NOW + 3600, &b), 0);
	assert_memory_equal(&a.keys[0], &b.keys[1], sizeof(a.keys[0]));
	assert_memory_not_equal(b.keys[0].name, b.keys[1].name, 16);
	assert_memory_not_equal(b.keys[0].ticket_key, b.keys[1].ticket_key, 32);
	// Another secret or another period: other keys.
	assert_int_equal(ticket_keys_make(other_secret, PERIOD, NOW, &c), 0);
	assert_memory_not_equal(a.keys[0].ticket_key, c.keys[0].ticket_key, 32);
	assert_int_equal(ticket_keys_make(cookie_secret, 1, NOW / PERIOD, &c), 0);
	assert_memory_not_equal(a.keys[0].ticket_key, c.keys[0].ticket_key, 32);
}

static void test_set_refuses(void **state) {
	struct tls_tickets tickets = {0};
	struct ipc_ticket_keys msg = {0};

	assert_int_equal(tls_tickets_set(&tickets, &msg), -EINVAL);
	msg.keys[0].name[0] = 1;
	assert_int_equal(tls_tickets_set(&tickets, &msg), -EINVAL);
	msg.keys[1].name[0] = 1;
	assert_int_equal(tls_tickets_set(&tickets, &msg), -EINVAL);
	assert_false(tickets.there);
	msg.keys[1].name[0] = 2;
	assert_int_equal(tls_tickets_set(&tickets, &msg), 0);
	assert_true(tickets.there);
}

static void test_between_edges(void **state) {
	struct tls_tickets a = {0}, b = {0};
	struct ticket t, again;

	assert_int_equal(tls_ticket_seal(&a, leaf, t.name, t.iv, t.mac, t.text, 100), -ENOKEY);
	keys_at(&a, cookie_secret, NOW);
	seal(&a, &t);
	seal(&a, &again);
	assert_memory_not_equal(t.iv, again.iv, sizeof(t.iv));
	assert_memory_not_equal(t.text, again.text, sizeof(t.text));
	assert_int_equal(open_copy(&b, &t, leaf), -ENOKEY);
	keys_at(&b, cookie_secret, NOW);
	assert_int_equal(open_copy(&b, &t, leaf), 0);
	assert_int_equal(open_copy(&b, &t, other_leaf), -EBADMSG);
	keys_at(&b, cookie_secret, NOW + PERIOD);
	assert_int_equal(open_copy(&b, &t, leaf), 0);
	seal(&b, &again); // by the new key: the edge that has it not yet makes a full handshake
	assert_int_equal(open_copy(&a, &again, leaf), -ENOKEY);
	keys_at(&b, cookie_secret, NOW + 2 * PERIOD);
	assert_int_equal(open_copy(&b, &t, leaf), -ENOKEY);
	keys_at(&b, other_secret, NOW); // another installation
	assert_int_equal(open_copy(&b, &t, leaf), -ENOKEY);
}

// Every bit counts.
static void test_tampered(void **state) {
	struct tls_tickets a = {0};
	struct ticket t;

	keys_at(&a, cookie_secret, NOW);
	seal(&a, &t);
	for (size_t bit = 0; bit < 8 * sizeof(t); bit++) {
		struct ticket bad = t, copy;
		uint8_t *bytes = (uint8_t *)&bad;

		bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
		copy = bad;
		assert_int_equal(
			tls_ticket_open(&a, leaf, copy.name, copy.iv, copy.mac, copy.text, 100),
			bit < 8 * sizeof(t.name) ? -ENOKEY : -EBADMSG);
	}
	assert_int_equal(open_copy(&a, &t, leaf), 0);
}

// Records in all splits: the nonce is the last one behind the ChangeCipherSpec.
static void test_sent(void **state) {
	static const uint8_t wire[] = {
		22, 3, 3, 0, 9, 1, 1, 1, 1, 1, 1, 1, 1, 1, // in the clear
		20, 3, 3, 0, 1, 1, // ChangeCipherSpec
		22, 3, 3, 0, 10, 0, 0, 0, 0, 0, 0, 0, 5, 9, 9, // nonce 5
		23, 3, 3, 0, 8, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
		0xff, // and the last there is
	};
	uint64_t nonce;

	for (size_t piece = 1; piece <= sizeof(wire); piece++) {
		struct tls_sent sent = {0};

		assert_false(tls_sent_next_nonce(&sent, &nonce));
		for (size_t at = 0; at < sizeof(wire); at += piece) {
			size_t n = sizeof(wire) - at < piece ? sizeof(wire) - at : piece;

			tls_sent_add(&sent, wire + at, n);
			if (at + n == 20)
				assert_false(tls_sent_next_nonce(&sent, &nonce));
			if (at + n == 34)
				assert_false(tls_sent_next_nonce(&sent, &nonce));
			if (at + n == 35) {
				assert_true(tls_sent_next_nonce(&sent, &nonce));
				assert_int_equal(nonce, 6);
			}
		}
		assert_true(tls_sent_next_nonce(&sent, &nonce));
		assert_int_equal(nonce, 0);
	}
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_period),
		cmocka_unit_test(test_keys),
		cmocka_unit_test(test_set_refuses),
		cmocka_unit_test(test_between_edges),
		cmocka_unit_test(test_tampered),
		cmocka_unit_test(test_sent),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
