// SPDX-License-Identifier: GPL-3.0-or-later
// DTLS in the edge: the hello parser, the stateless answer, and whole handshakes with a GnuTLS
// client (what stock openconnect is) over the real punt and inject rings.
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>
#include <event2/event.h>
#include <gnutls/dtls.h>
#include <gnutls/gnutls.h>

#include "controlplane/edge/dtls_flight.h"
#include "controlplane/edge/dtls_hello.h"
#include "controlplane/edge/edge.h"
#include "dataplane/abi/punt.h"
#include "dataplane/abi/ring.h"

#define PSK_PRIORITY \
	"NORMAL:-VERS-SSL3.0:+SHA256:%COMPAT:-3DES-CBC:-ARCFOUR-128:-VERS-TLS-ALL:" \
	"+VERS-DTLS-ALL:-KX-ALL:+PSK"
#define PSK_ONE "NONE:+VERS-DTLS1.2:+COMP-NULL:+PSK:+AEAD:+SHA256:+SIGN-ALL:+"
#define LEGACY_ONE "NONE:+VERS-DTLS1.2:+COMP-NULL:+AEAD:+RSA:%COMPAT:+SIGN-ALL:+"
#define LEGACY_ECDHE "NONE:+VERS-DTLS1.2:+COMP-NULL:+AEAD:+ECDHE-RSA:+GROUP-ALL:%COMPAT:+SIGN-ALL:+"

// The process around dtls.c: what child.h promises to it.
struct child {
	struct event_base *base;
	struct edge edge;
	bool session; // the session process is there
	unsigned nb_query, nb_up, nb_set, nb_lost;
	struct ipc_dtls_query query;
	struct ipc_dtls_up up;
};

struct event_base *child_base(struct child *child) {
	return child->base;
}

void *child_data(struct child *child) {
	return &child->edge;
}

static struct child *the_child;

struct ipc_chan *child_peer(struct child *child, enum ipc_role role, unsigned index) {
	return child->session ? (struct ipc_chan *)child : NULL;
}

void child_dataplane_lost(struct child *child) {
	child->nb_lost++;
}

int ipc_send(struct ipc_chan *chan, enum ipc_type type, struct ipc_hdr *msg, size_t len,
	const int *fds, unsigned nb_fds) {
	if (type == IPC_DTLS_QUERY) {
		the_child->nb_query++;
		memcpy(&the_child->query, msg, sizeof(the_child->query));
	} else {
		assert_int_equal(type, IPC_DTLS_UP);
		the_child->nb_up++;
		memcpy(&the_child->up, msg, sizeof(the_child->up));
	}
	return 0;
}

struct bench {
	struct child child;
	struct abi_ring punt, inject; // the dataplane's ends
	int channel, punt_bell, inject_bell;
	struct abi_tuple tuple;
	uint8_t app_id[IPC_APP_ID_LEN], psk_key[IPC_PSK_LEN], master_secret[IPC_MASTER_LEN];
	gnutls_session_t client;
	gnutls_psk_client_credentials_t psk_cred;
	gnutls_certificate_credentials_t cert_cred;
	unsigned drop_out, drop_in; // bits: lose the nth datagram of the client, of the server
	unsigned nb_out, nb_in;
	uint8_t last_out[2048];
	size_t last_out_len;
	struct abi_punt lost; // the last that the client did not get
	uint64_t server_next, server_nonce; // of the server's newest record
};

static void spin(struct bench *bench) {
	for (int i = 0; i < 4; i++)
		event_base_loop(bench->child.base, EVLOOP_NONBLOCK);
}

static void punt(struct bench *bench, const uint8_t *data, size_t len) {
	struct abi_punt slot = {.tuple = bench->tuple, .len = (uint16_t)len};

	memcpy(slot.data, data, len);
	assert_int_equal(abi_ring_push(&bench->punt, &slot), 0);
	abi_ring_notify(&bench->punt);
	spin(bench);
}

static ssize_t client_push(gnutls_transport_ptr_t arg, const void *data, size_t len) {
	struct bench *bench = arg;

	assert_true(len <= sizeof(bench->last_out));
	memcpy(bench->last_out, data, len);
	bench->last_out_len = len;
	if (!(bench->drop_out >> bench->nb_out++ & 1))
		punt(bench, data, len);
	return (ssize_t)len;
}

static uint64_t be64(const uint8_t *p) {
	uint64_t value = 0;

	for (int i = 0; i < 8; i++)
		value = value << 8 | p[i];
	return value;
}

// Remembers the explicit nonce of the server's newest encrypted record.
static void note_nonce(struct bench *bench, const uint8_t *data, size_t len) {
	const uint8_t *end = data + len;
	struct dtls_record record;

	while (dtls_record_next(&data, end, &record)) {
		if (record.epoch != 1 || record.seq < bench->server_next || record.len < 8)
			continue;
		bench->server_next = record.seq + 1;
		bench->server_nonce = be64(record.body);
	}
}

static ssize_t client_pull(gnutls_transport_ptr_t arg, void *data, size_t len) {
	struct bench *bench = arg;
	struct abi_punt slot;

	while (abi_ring_pop(&bench->inject, &slot, false) == 0) {
		assert_memory_equal(&slot.tuple, &bench->tuple, sizeof(slot.tuple));
		note_nonce(bench, slot.data, slot.len);
		if (bench->drop_in >> bench->nb_in++ & 1) {
			bench->lost = slot;
			continue;
		}
		assert_true(slot.len <= len);
		memcpy(data, slot.data, slot.len);
		return slot.len;
	}
	gnutls_transport_set_errno(bench->client, EAGAIN);
	return -1;
}

static int client_wait(gnutls_transport_ptr_t arg, unsigned ms) {
	struct bench *bench = arg;

	return abi_ring_count(&bench->inject, false) > 0;
}

static int setup(void **state) {
	struct bench *bench = calloc(1, sizeof(*bench));
	struct abi_welcome welcome = {.sessions_max = 64, .boot_id = 1};
	int fds[4], pair[2];

	the_child = &bench->child;
	bench->child.base = event_base_new();
	bench->child.session = true;
	for (unsigned i = 0; i < IPC_APP_ID_LEN; i++)
		bench->app_id[i] = (uint8_t)(i + 1);
	memset(bench->psk_key, 7, sizeof(bench->psk_key));
	memset(bench->master_secret, 9, sizeof(bench->master_secret));
	bench->tuple.remote = (struct abi_addr){{[10] = 0xff, 0xff, 192, 0, 2, 1}};
	bench->tuple.local = (struct abi_addr){{[10] = 0xff, 0xff, 192, 0, 2, 2}};
	bench->tuple.remote_port = 1111;
	bench->tuple.local_port = 443;
	fds[0] = abi_ring_create(&bench->punt, "punt", ABI_PUNT_SLOTS, sizeof(struct abi_punt));
	fds[1] = abi_ring_create(&bench->inject, "inject", ABI_PUNT_SLOTS, sizeof(struct abi_punt));
	bench->punt_bell = eventfd(0, EFD_NONBLOCK);
	bench->inject_bell = eventfd(0, EFD_NONBLOCK);
	fds[2] = dup(bench->punt_bell);
	fds[3] = dup(bench->inject_bell);
	bench->punt.bell_fd = (uint32_t)bench->punt_bell;
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair), 0);
	bench->channel = pair[0];
	assert_int_equal(edge_dtls_start(&bench->child), 0);
	edge_dtls_attach(&bench->child, &welcome, pair[1], fds, 4);
	spin(bench);
	*state = bench;
	return 0;
}

static int teardown(void **state) {
	struct bench *bench = *state;

	edge_dtls_stop(&bench->child);
	assert_null(bench->child.edge.dtls);
	if (bench->client)
		gnutls_deinit(bench->client);
	if (bench->psk_cred)
		gnutls_psk_free_client_credentials(bench->psk_cred);
	if (bench->cert_cred)
		gnutls_certificate_free_credentials(bench->cert_cred);
	abi_ring_detach(&bench->punt);
	abi_ring_detach(&bench->inject);
	close(bench->punt_bell);
	close(bench->inject_bell);
	close(bench->channel);
	event_base_free(bench->child.base);
	free(bench);
	return 0;
}

// As openconnect does it: the app id is put in by way of a pretended resumption.
static void client_new(struct bench *bench, bool legacy, const char *priority,
	gnutls_kx_algorithm_t kx, gnutls_cipher_algorithm_t cipher) {
	gnutls_datum_t id = {bench->app_id, IPC_APP_ID_LEN};
	gnutls_datum_t master = {bench->master_secret, IPC_MASTER_LEN};
	gnutls_datum_t key = {bench->psk_key, IPC_PSK_LEN};

	gnutls_init(&bench->client,
		GNUTLS_CLIENT | GNUTLS_DATAGRAM | GNUTLS_NONBLOCK | GNUTLS_NO_EXTENSIONS);
	assert_int_equal(gnutls_priority_set_direct(bench->client, priority, NULL), 0);
	if (legacy) {
		gnutls_certificate_allocate_credentials(&bench->cert_cred);
		gnutls_credentials_set(bench->client, GNUTLS_CRD_CERTIFICATE, bench->cert_cred);
	} else {
		gnutls_psk_allocate_client_credentials(&bench->psk_cred);
		gnutls_psk_set_client_credentials(bench->psk_cred, "psk", &key, GNUTLS_PSK_KEY_RAW);
		gnutls_credentials_set(bench->client, GNUTLS_CRD_PSK, bench->psk_cred);
	}
	assert_int_equal(gnutls_session_set_premaster(bench->client, GNUTLS_CLIENT, GNUTLS_DTLS1_2,
				 kx, cipher, GNUTLS_MAC_AEAD, GNUTLS_COMP_NULL, &master, &id),
		0);
	gnutls_transport_set_ptr(bench->client, bench);
	gnutls_transport_set_push_function(bench->client, client_push);
	gnutls_transport_set_pull_function(bench->client, client_pull);
	gnutls_transport_set_pull_timeout_function(bench->client, client_wait);
	gnutls_dtls_set_timeouts(bench->client, 50, 12000);
}

static void answer_query(struct bench *bench, uint32_t mode, uint8_t cipher) {
	struct ipc_dtls_params params = {.hdr.req = bench->child.query.hdr.req,
		.mode = mode,
		.sid = {3, 4},
		.cipher = cipher};

	assert_memory_equal(bench->child.query.app_id, bench->app_id, IPC_APP_ID_LEN);
	memcpy(params.psk, bench->psk_key, sizeof(params.psk));
	memcpy(params.master, bench->master_secret, sizeof(params.master));
	assert_int_equal(edge_dtls_params(&bench->child, &params), 0);
}

// The session process: the keys are in force (or not).
static void answer_up(struct bench *bench, int status) {
	struct ipc_dtls_set set = {.hdr.req = bench->child.up.hdr.req, .status = status};

	bench->child.nb_set = bench->child.nb_up;
	assert_int_equal(edge_dtls_set(&bench->child, &set), 0);
}

// Runs both sides until the client is done (or failed: its error is returned).
static int handshake(struct bench *bench, uint32_t mode, uint8_t cipher) {
	unsigned answered = bench->child.nb_query;

	for (;;) {
		int ret = gnutls_handshake(bench->client);

		if (bench->child.nb_query != answered) {
			answered = bench->child.nb_query;
			answer_query(bench, mode, cipher);
		}
		if (bench->child.nb_set != bench->child.nb_up) {
			// Before that the client must not know that it may send (when it resumes, the
			// last word is its own).
			assert_true(ret != 0 || mode == IPC_DTLS_LEGACY);
			answer_up(bench, 0);
		}
		if (ret == 0 || gnutls_error_is_fatal(ret))
			return ret;
		// Waits for the retransmission timers of either side.
		if (!abi_ring_count(&bench->inject, false)) {
			struct timeval tv = {.tv_usec = 10000};

			event_base_loopexit(bench->child.base, &tv);
			event_base_dispatch(bench->child.base);
		}
	}
}

static void check_keys(struct bench *bench, uint8_t cipher) {
	const struct abi_cmd_dtls_set *dtls = &bench->child.up.dtls;
	gnutls_datum_t mac, iv, key;
	unsigned char seq[8];

	assert_int_equal(bench->child.nb_up, 1);
	assert_int_equal(bench->child.up.sid.index, 3);
	assert_int_equal(bench->child.up.sid.generation, 4);
	assert_memory_equal(&dtls->tuple, &bench->tuple, sizeof(bench->tuple));
	assert_int_equal(dtls->version, ABI_DTLS12);
	assert_int_equal(dtls->cipher, cipher);
	assert_int_equal(dtls->epoch, 1);
	assert_int_equal(gnutls_record_get_state(bench->client, 0, &mac, &iv, &key, seq), 0);
	assert_memory_equal(dtls->rx.key, key.data, key.size);
	assert_memory_equal(dtls->rx.iv, iv.data, iv.size);
	// The client may have repeated its Finished after the one that counted.
	assert_in_range(dtls->rx.seq, 1, seq[7]);
	assert_int_equal(gnutls_record_get_state(bench->client, 1, &mac, &iv, &key, seq), 0);
	assert_memory_equal(dtls->tx.key, key.data, key.size);
	assert_memory_equal(dtls->tx.iv, iv.data, iv.size);
	assert_true(dtls->tx.seq >= 1);
	// GCM: the dataplane's first nonce is the one behind the last of the handshake.
	if (cipher != ABI_CHACHA20_POLY1305)
		assert_int_equal(be64(dtls->tx.iv + 4) + (UINT64_C(1) << 48 | dtls->tx.seq),
			bench->server_nonce + 1);
}

// --- handshakes ---

static void test_psk_as_openconnect(void **state) {
	struct bench *bench = *state;

	client_new(bench, false, PSK_PRIORITY, GNUTLS_KX_PSK, GNUTLS_CIPHER_AES_128_GCM);
	assert_int_equal(handshake(bench, IPC_DTLS_PSK, 0), 0);
	assert_false(gnutls_session_is_resumed(bench->client));
	check_keys(bench, ABI_AES_256_GCM);
	assert_int_equal(bench->child.nb_query, 1);
}

static void test_psk_aes128(void **state) {
	client_new(*state, false, PSK_ONE "AES-128-GCM", GNUTLS_KX_PSK, GNUTLS_CIPHER_AES_128_GCM);
	assert_int_equal(handshake(*state, IPC_DTLS_PSK, 0), 0);
	check_keys(*state, ABI_AES_128_GCM);
}

static void test_psk_chacha(void **state) {
	client_new(*state, false, PSK_ONE "CHACHA20-POLY1305", GNUTLS_KX_PSK,
		GNUTLS_CIPHER_AES_128_GCM);
	assert_int_equal(handshake(*state, IPC_DTLS_PSK, 0), 0);
	check_keys(*state, ABI_CHACHA20_POLY1305);
}

static void test_legacy_aes256(void **state) {
	struct bench *bench = *state;

	client_new(bench, true, LEGACY_ONE "AES-256-GCM", GNUTLS_KX_RSA, GNUTLS_CIPHER_AES_256_GCM);
	assert_int_equal(handshake(bench, IPC_DTLS_LEGACY, ABI_AES_256_GCM), 0);
	assert_true(gnutls_session_is_resumed(bench->client));
	check_keys(bench, ABI_AES_256_GCM);
}

static void test_legacy_aes128(void **state) {
	struct bench *bench = *state;

	client_new(bench, true, LEGACY_ONE "AES-128-GCM", GNUTLS_KX_RSA, GNUTLS_CIPHER_AES_128_GCM);
	assert_int_equal(handshake(bench, IPC_DTLS_LEGACY, ABI_AES_128_GCM), 0);
	assert_true(gnutls_session_is_resumed(bench->client));
	check_keys(bench, ABI_AES_128_GCM);
}

static void test_legacy_ecdhe(void **state) {
	struct bench *bench = *state;

	client_new(bench, true, LEGACY_ECDHE "AES-256-GCM", GNUTLS_KX_ECDHE_RSA,
		GNUTLS_CIPHER_AES_256_GCM);
	assert_int_equal(handshake(bench, IPC_DTLS_LEGACY, ABI_AES_256_GCM), 0);
	assert_true(gnutls_session_is_resumed(bench->client));
	check_keys(bench, ABI_AES_256_GCM);
}

static void test_wrong_secret(void **state) {
	struct bench *bench = *state;

	client_new(bench, true, LEGACY_ONE "AES-256-GCM", GNUTLS_KX_RSA, GNUTLS_CIPHER_AES_256_GCM);
	bench->master_secret[0] ^= 1;
	assert_int_not_equal(handshake(bench, IPC_DTLS_LEGACY, ABI_AES_256_GCM), 0);
	assert_int_equal(bench->child.nb_up, 0);
}

// Each of the client's and the server's first datagrams is lost once.
static void test_loss(void **state) {
	for (unsigned n = 0; n < 5; n++) {
		for (unsigned side = 0; side < 2; side++) {
			struct bench *bench;

			teardown(state);
			setup(state);
			bench = *state;
			bench->drop_out = side ? 0 : 1u << n;
			bench->drop_in = side ? 1u << n : 0;
			client_new(bench, false, PSK_PRIORITY, GNUTLS_KX_PSK,
				GNUTLS_CIPHER_AES_128_GCM);
			assert_int_equal(handshake(bench, IPC_DTLS_PSK, 0), 0);
			check_keys(bench, ABI_AES_256_GCM);
		}
	}
}

// The server's Finished is lost: it is sent again, byte for byte, when wolfSSL is long gone.
static void test_last_flight_again(void **state) {
	struct bench *bench = *state;
	struct timeval gap = {.tv_usec = 250000};
	struct abi_punt again;

	client_new(bench, false, PSK_PRIORITY, GNUTLS_KX_PSK, GNUTLS_CIPHER_AES_128_GCM);
	gnutls_dtls_set_timeouts(bench->client, 5000, 12000);
	bench->drop_in = 1u << 2; // HelloVerifyRequest, ServerHello with its Done, this one
	gnutls_handshake(bench->client);
	gnutls_handshake(bench->client);
	answer_query(bench, IPC_DTLS_PSK, 0);
	assert_int_equal(gnutls_handshake(bench->client), GNUTLS_E_AGAIN);
	assert_int_equal(bench->child.nb_up, 1);
	assert_int_equal(bench->nb_in, 2);
	answer_up(bench, 0);
	assert_int_equal(gnutls_handshake(bench->client), GNUTLS_E_AGAIN);
	assert_int_equal(bench->nb_in, 3);
	// The client's repetition, once the gap between repetitions has passed.
	event_base_loopexit(bench->child.base, &gap);
	event_base_dispatch(bench->child.base);
	punt(bench, bench->last_out, bench->last_out_len);
	assert_int_equal(abi_ring_pop(&bench->inject, &again, false), 0);
	assert_int_equal(again.len, bench->lost.len);
	assert_memory_equal(again.data, bench->lost.data, again.len);
	// Not twice in a moment.
	punt(bench, bench->last_out, bench->last_out_len);
	assert_int_equal(abi_ring_pop(&bench->inject, &again, false), -EAGAIN);
	assert_int_equal(bench->child.nb_up, 1);
}

static void test_unknown_id(void **state) {
	struct bench *bench = *state;

	client_new(bench, false, PSK_PRIORITY, GNUTLS_KX_PSK, GNUTLS_CIPHER_AES_128_GCM);
	gnutls_handshake(bench->client);
	gnutls_handshake(bench->client);
	assert_int_equal(bench->child.nb_query, 1);
	answer_query(bench, IPC_DTLS_NONE, 0);
	spin(bench);
	assert_int_equal(abi_ring_count(&bench->inject, false), 0);
}

// The session process is away when the handshake ends: the keys reach it when it is back, and only
// then the client learns that it may send.
static void test_session_away(void **state) {
	struct bench *bench = *state;

	client_new(bench, false, PSK_PRIORITY, GNUTLS_KX_PSK, GNUTLS_CIPHER_AES_128_GCM);
	gnutls_handshake(bench->client);
	gnutls_handshake(bench->client);
	assert_int_equal(bench->child.nb_query, 1);
	bench->child.session = false;
	answer_query(bench, IPC_DTLS_PSK, 0);
	assert_int_equal(gnutls_handshake(bench->client), GNUTLS_E_AGAIN);
	assert_int_equal(gnutls_handshake(bench->client), GNUTLS_E_AGAIN);
	assert_int_equal(bench->child.nb_up, 0);
	bench->child.session = true;
	edge_dtls_session_up(&bench->child);
	// It asks again: the newcomer takes keys from edges that have asked it.
	assert_int_equal(bench->child.nb_query, 2);
	assert_int_equal(bench->child.nb_up, 1);
	answer_up(bench, 0);
	assert_int_equal(gnutls_handshake(bench->client), 0);
	check_keys(bench, ABI_AES_256_GCM);
}

// The dataplane does not have the keys: the client is not told that all is well.
static void test_keys_refused(void **state) {
	struct bench *bench = *state;

	client_new(bench, false, PSK_PRIORITY, GNUTLS_KX_PSK, GNUTLS_CIPHER_AES_128_GCM);
	gnutls_handshake(bench->client);
	gnutls_handshake(bench->client);
	answer_query(bench, IPC_DTLS_PSK, 0);
	assert_int_equal(gnutls_handshake(bench->client), GNUTLS_E_AGAIN);
	assert_int_equal(bench->child.nb_up, 1);
	answer_up(bench, -ENOSPC);
	spin(bench);
	assert_int_equal(gnutls_handshake(bench->client), GNUTLS_E_AGAIN);
	assert_int_equal(bench->nb_in, 2);
	answer_up(bench, 0); // of a slot that is free again: nothing
	assert_int_equal(abi_ring_count(&bench->inject, false), 0);
}

static void test_second_hello_is_ignored(void **state) {
	struct bench *bench = *state;

	client_new(bench, false, PSK_PRIORITY, GNUTLS_KX_PSK, GNUTLS_CIPHER_AES_128_GCM);
	gnutls_handshake(bench->client);
	gnutls_handshake(bench->client);
	assert_int_equal(bench->child.nb_query, 1);
	punt(bench, bench->last_out, bench->last_out_len);
	assert_int_equal(bench->child.nb_query, 1);
}

static void test_garbage(void **state) {
	struct bench *bench = *state;
	struct abi_punt slot = {.tuple = bench->tuple, .len = UINT16_MAX};
	uint8_t data[1984];

	for (unsigned i = 0; i < 2000; i++) {
		for (unsigned j = 0; j < sizeof(data); j++)
			data[j] = (uint8_t)random();
		data[0] = i % 2 ? DTLS_HANDSHAKE : data[0];
		data[1] = i % 3 ? 0xfe : data[1];
		punt(bench, data, (size_t)random() % sizeof(data));
	}
	assert_int_equal(abi_ring_push(&bench->punt, &slot), 0);
	abi_ring_notify(&bench->punt);
	spin(bench);
	assert_int_equal(abi_ring_count(&bench->inject, false), 0);
}

static void test_dataplane_closes(void **state) {
	struct bench *bench = *state;

	shutdown(bench->channel, SHUT_RDWR);
	spin(bench);
	assert_int_equal(bench->child.nb_lost, 1);
}

// --- the hello ---

static size_t make_hello(struct bench *bench, uint8_t *out) {
	client_new(bench, false, PSK_PRIORITY, GNUTLS_KX_PSK, GNUTLS_CIPHER_AES_128_GCM);
	bench->drop_out = 1;
	gnutls_handshake(bench->client);
	memcpy(out, bench->last_out, bench->last_out_len);
	return bench->last_out_len;
}

static void test_hello(void **state) {
	uint8_t data[2048];
	size_t len = make_hello(*state, data);
	struct dtls_hello hello;

	assert_int_equal(len, 168); // as captured
	assert_true(dtls_hello_parse(data, len, &hello));
	assert_int_equal(hello.message_seq, 0);
	assert_int_equal(hello.cookie.len, 0);
	assert_int_equal(hello.session_id.len, 32);
	assert_memory_equal(dtls_hello_app_id(&hello), ((struct bench *)*state)->app_id, 32);
	for (size_t i = 0; i < len; i++)
		assert_false(dtls_hello_parse(data, i, &hello));
	memset(data + 27, 0, 32);
	assert_false(dtls_hello_parse(data, len, &hello)); // all-zero random
}

// The extension of older clients comes before the session id.
static void test_hello_extension(void **state) {
	uint8_t data[256] = {22, 0xfe, 0xff};
	uint8_t *p = data + 25;
	struct dtls_hello hello;

	memcpy(p, (uint8_t[]){0xfe, 0xfd, 1}, 3);
	p += 2 + 32;
	*p++ = 0; // session id
	*p++ = 0; // cookie
	memcpy(p, (uint8_t[]){0, 2, 0, 0xa9, 1, 0, 0, 37, 0xbb, 0x92, 0, 33, 32}, 13);
	p += 13;
	memset(p, 0x33, 32);
	p += 32;
	data[12] = (uint8_t)(p - data - 13);
	data[13] = 1;
	data[16] = data[24] = (uint8_t)(p - data - 25);
	assert_true(dtls_hello_parse(data, (size_t)(p - data), &hello));
	assert_int_equal(hello.app_id.len, 32);
	assert_int_equal(dtls_hello_app_id(&hello)[0], 0x33);
	data[24]--; // a fragment
	assert_false(dtls_hello_parse(data, (size_t)(p - data), &hello));
}

static void test_cookie(void **state) {
	uint8_t data[2048], secret[DTLS_SECRET_LEN] = {1}, other[DTLS_SECRET_LEN] = {2};
	uint8_t cookie[DTLS_COOKIE_LEN], peer[DTLS_PEER_LEN], hvr[DTLS_HVR_LEN];
	size_t len = make_hello(*state, data);
	struct bench *bench = *state;
	struct dtls_hello hello;

	assert_true(dtls_hello_parse(data, len, &hello));
	dtls_peer(&bench->tuple, peer);
	assert_int_equal(dtls_cookie_make(secret, peer, &hello, cookie), 0);
	assert_false(dtls_cookie_ok(secret, peer, &hello));
	hello.cookie = (struct dtls_bytes){cookie, sizeof(cookie)};
	assert_true(dtls_cookie_ok(secret, peer, &hello));
	assert_false(dtls_cookie_ok(other, peer, &hello));
	peer[17] ^= 1; // another port
	assert_false(dtls_cookie_ok(secret, peer, &hello));
	dtls_hvr_make(&hello, cookie, hvr);
	assert_true(sizeof(hvr) < len);
	assert_int_equal(hvr[13], 3);
	assert_memory_equal(hvr + 28, cookie, sizeof(cookie));
}

// A cookie that is bound to another address makes no state: only a fresh answer.
static void test_stolen_cookie(void **state) {
	struct bench *bench = *state;
	struct abi_punt slot;

	client_new(bench, false, PSK_PRIORITY, GNUTLS_KX_PSK, GNUTLS_CIPHER_AES_128_GCM);
	bench->drop_out = 2; // the hello with the cookie does not arrive
	gnutls_handshake(bench->client);
	gnutls_handshake(bench->client);
	assert_int_equal(bench->child.nb_query, 0);
	bench->tuple.remote.bytes[15] = 99;
	punt(bench, bench->last_out, bench->last_out_len);
	assert_int_equal(bench->child.nb_query, 0);
	assert_int_equal(abi_ring_pop(&bench->inject, &slot, false), 0);
	assert_int_equal(slot.len, DTLS_HVR_LEN);
	assert_true(slot.len <= bench->last_out_len);
}

static void test_flights(void **state) {
	struct dtls_flights *flights = malloc(sizeof(*flights));
	struct dtls_flight flight = {.sid = {1, 1}};

	dtls_flights_init(flights);
	assert_true(dtls_flight_add(&flight, (const uint8_t *)"abc", 3));
	for (uint16_t i = 0; i < 3000; i++) {
		flight.tuple.remote_port = i;
		dtls_flights_keep(flights, &flight, 1000 + i);
	}
	flight.tuple.remote_port = 0;
	assert_null(dtls_flights_repeat(flights, &flight.tuple, 4100)); // gave way
	flight.tuple.remote_port = 2999;
	assert_null(dtls_flights_repeat(flights, &flight.tuple, 4000)); // sent a moment ago
	assert_non_null(dtls_flights_repeat(flights, &flight.tuple, 4300));
	assert_true(dtls_flights_recent(flights, (struct abi_sid){1, 1}, 4300, 3000));
	assert_false(dtls_flights_recent(flights, (struct abi_sid){1, 2}, 4300, 3000));
	assert_false(dtls_flights_recent(flights, (struct abi_sid){1, 1}, 9000, 3000));
	assert_null(dtls_flights_repeat(flights, &flight.tuple, 30000)); // too old
	free(flights);
}

int main(void) {
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(test_psk_as_openconnect),
		T(test_psk_aes128),
		T(test_psk_chacha),
		T(test_legacy_aes256),
		T(test_legacy_aes128),
		T(test_legacy_ecdhe),
		T(test_wrong_secret),
		T(test_loss),
		T(test_last_flight_again),
		T(test_unknown_id),
		T(test_session_away),
		T(test_keys_refused),
		T(test_second_hello_is_ignored),
		T(test_garbage),
		T(test_dataplane_closes),
		T(test_hello),
		T(test_hello_extension),
		T(test_cookie),
		T(test_stolen_cookie),
		cmocka_unit_test(test_flights),
	};

	return cmocka_run_group_tests_name("dtls", tests, NULL, NULL);
}
