// SPDX-License-Identifier: GPL-3.0-or-later
// Frames over either channel of a tunnel: DTLS records by UDP, CSTP in TLS records by TCP, both in
// batches. Called by client.c and traffic.c.
#include "loadgen.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

#include "dataplane/proto/cstp.h"
#include "dataplane/proto/dtls12.h"

#define MESSAGES 16u
#define MESSAGE_BYTES 65536u
#define REST_BYTES TLS_RECORD_MAX
#define CONTROL_MAX 2048u // payload of a control frame

static uint8_t *udp_in; // MESSAGES of MESSAGE_BYTES
static uint8_t *tcp_in; // a rest, then LG_IN_BYTES
static uint8_t udp_out[LG_GSO_BYTES];
static uint8_t plain[8 + LG_SIZE_MAX + CONTROL_MAX]; // the text of the record that is made

void lg_tunnel_init(void) {
	udp_in = malloc((size_t)MESSAGES * MESSAGE_BYTES);
	tcp_in = malloc(REST_BYTES + LG_IN_BYTES);
	if (udp_in == NULL || tcp_in == NULL)
		lg_die("no memory");
}

// --- Records

// Makes a DTLS record of the first `len` bytes of `plain`. Its length.
static size_t dtls_record(struct lg_client *client, uint8_t *dst, uint16_t len) {
	struct lg_keys *keys = &client->dtls_tx;
	unsigned head = DTLS12_HEADER_LEN + dtls12_explicit_len(keys->cipher);
	uint8_t nonce[12], aad[DTLS12_AAD_LEN];

	dtls12_seal(
		dst, keys->cipher, DTLS12_APPLICATION_DATA, keys->seq++, len, keys->iv, nonce, aad);
	lg_seal(keys, dst + head, plain, len, nonce, aad, sizeof(aad));
	return head + len + DTLS12_TAG_LEN;
}

static size_t tls_record(struct lg_client *client, uint8_t *dst, uint16_t len) {
	const struct tls_protection *p = client->protection;
	struct lg_keys *keys = &client->tls_tx;
	uint8_t nonce[12], aad[13];
	unsigned text = tls_record_seal(
		p, dst, TLS_APPLICATION_DATA, len, keys->iv, keys->seq++, nonce, aad);

	if (p->inner_type_len != 0)
		plain[len] = TLS_APPLICATION_DATA;
	lg_seal(keys, dst + tls_text_offset(p), plain, text, nonce, aad, p->aad_len);
	return tls_text_offset(p) + text + TLS_TAG_LEN;
}

// --- Sending

int lg_tunnel_flush(struct lg_client *client) {
	while (client->out_sent < client->out_len) {
		ssize_t n = send(client->tcp, client->out + client->out_sent,
			client->out_len - client->out_sent, MSG_NOSIGNAL);

		if (n < 0 && errno != EAGAIN)
			return -errno;
		if (n < 0) {
			lg_client_watch(client, EPOLLIN | EPOLLOUT);
			return -EAGAIN;
		}
		client->out_sent += (size_t)n;
	}
	client->out_len = client->out_sent = 0;
	lg_client_watch(client, EPOLLIN);
	return 0;
}

static unsigned dtls_send(struct lg_client *client, unsigned kind, unsigned n, uint64_t now) {
	uint16_t record = (uint16_t)(dtls12_overhead(client->dtls_tx.cipher) + 1 + lg_opt.size);
	unsigned max = LG_GSO_BYTES / record;
	size_t len = 0;

	if (n > max)
		n = max;
	if (n > LG_GSO_SEGMENTS)
		n = LG_GSO_SEGMENTS;
	memset(plain, 0, sizeof(plain)); // control frames leave theirs
	plain[0] = LG_DATA;
	for (unsigned i = 0; i < n; i++) {
		lg_packet_fill(client, kind, now, plain + 1);
		len += dtls_record(client, udp_out + len, (uint16_t)(1 + lg_opt.size));
	}
	return lg_udp_send(client->udp, NULL, udp_out, len, record) ? n : 0;
}

static unsigned tls_send(struct lg_client *client, unsigned kind, unsigned n, uint64_t now) {
	uint16_t text = (uint16_t)(CSTP_HEADER_LEN + lg_opt.size);
	size_t record = tls_overhead(client->protection) + text;
	unsigned i;

	if (client->out_len != 0)
		return 0; // the socket is full
	if (client->out == NULL)
		client->out = malloc(LG_OUT_BYTES);
	if (client->out == NULL)
		lg_die("no memory");
	memset(plain, 0, sizeof(plain)); // control frames leave theirs
	cstp_header(plain, LG_DATA, (uint16_t)lg_opt.size);
	for (i = 0; i < n && client->out_len + record <= LG_OUT_BYTES; i++) {
		lg_packet_fill(client, kind, now, plain + CSTP_HEADER_LEN);
		client->out_len += tls_record(client, client->out + client->out_len, text);
	}
	lg_tunnel_flush(client); // an error shows when the socket is read
	return i;
}

unsigned lg_tunnel_send(struct lg_client *client, unsigned kind, unsigned n, uint64_t now) {
	unsigned sent;

	if (!lg_opt.dtls)
		return tls_send(client, kind, n, now);
	sent = dtls_send(client, kind, n, now);
	if (sent == 0) { // nothing left: those numbers are free again
		struct lg_flow *flow = kind == LG_ECHO ? &client->echo : &client->up;

		flow->next -= n;
	}
	return sent;
}

void lg_tunnel_frame(
	struct lg_client *client, bool dtls, uint8_t type, const void *payload, size_t len) {
	if (len > CONTROL_MAX)
		len = CONTROL_MAX;
	if (dtls) {
		plain[0] = type;
		memcpy(plain + 1, payload, len);
		len = dtls_record(client, udp_out, (uint16_t)(1 + len));
		lg_udp_send(client->udp, NULL, udp_out, len, (uint16_t)len);
		return;
	}
	if (client->out == NULL)
		client->out = malloc(LG_OUT_BYTES);
	if (client->out == NULL)
		lg_die("no memory");
	cstp_header(plain, type, (uint16_t)len);
	memcpy(plain + CSTP_HEADER_LEN, payload, len);
	len += CSTP_HEADER_LEN;
	if (client->out_len + tls_overhead(client->protection) + len > LG_OUT_BYTES)
		return;
	client->out_len += tls_record(client, client->out + client->out_len, (uint16_t)len);
	lg_tunnel_flush(client);
}

// --- Receiving

// 0, or -ECONNRESET: the server ended the session.
static int frame_in(struct lg_client *client, bool dtls, uint8_t type, const uint8_t *payload,
	size_t len, struct lg_time time) {
	if (type == LG_DATA)
		lg_packet_downstream(payload, len, time);
	else if (type == LG_DPD_REQ)
		lg_tunnel_frame(client, dtls, LG_DPD_RESP, payload, len);
	else if (type == LG_DISCONNECT || type == LG_TERMINATE)
		return -ECONNRESET;
	return 0;
}

static void datagram(
	struct lg_client *client, const uint8_t *at, const uint8_t *end, struct lg_time time) {
	struct dtls12_record record;

	while (at < end && dtls12_parse(&at, end, &record) == 0) {
		struct lg_keys *keys = &client->dtls_rx;
		uint8_t *text = (uint8_t *)(uintptr_t)record.body +
			dtls12_explicit_len(keys->cipher),
			nonce[12], aad[DTLS12_AAD_LEN];
		int len = dtls12_open(&record, keys->cipher, keys->iv, nonce, aad);

		// The handshake's last flight may come again; a closing alert needs no answer.
		if (record.epoch != 1 || record.type != DTLS12_APPLICATION_DATA || len < 1)
			continue;
		if (!lg_open(keys, text, text, (size_t)len, nonce, aad, sizeof(aad)))
			continue;
		lg_client_proved(client);
		if (frame_in(client, true, text[0], text + 1, (size_t)len - 1, time) != 0)
			return;
	}
}

void lg_tunnel_read_udp(struct lg_client *client) {
	uint8_t control[MESSAGES][LG_CONTROL_BYTES];
	struct mmsghdr msgs[MESSAGES];
	struct iovec iov[MESSAGES];
	struct lg_time time;
	int n;

	for (unsigned i = 0; i < MESSAGES; i++) {
		iov[i] = (struct iovec){udp_in + (size_t)i * MESSAGE_BYTES, MESSAGE_BYTES};
		msgs[i].msg_hdr = (struct msghdr){.msg_iov = &iov[i],
			.msg_iovlen = 1,
			.msg_control = control[i],
			.msg_controllen = sizeof(control[i])};
	}
	n = recvmmsg(client->udp, msgs, MESSAGES, 0, NULL);
	time.now = lg_now();
	for (int i = 0; i < n && client->udp >= 0; i++) {
		size_t segment = lg_gro_segment(&msgs[i].msg_hdr), len = msgs[i].msg_len;
		const uint8_t *at = iov[i].iov_base;

		if (segment == 0)
			segment = len;
		time.stamp = lg_stamp(&msgs[i].msg_hdr, time.now);
		for (size_t from = 0; from < len; from += segment)
			datagram(client, at + from,
				at + (len - from < segment ? len : from + segment), time);
	}
}

static int record_in(struct lg_client *client, const struct tls_record *record, uint8_t *at,
	struct lg_time time) {
	const struct tls_protection *p = client->protection;
	struct lg_keys *keys = &client->tls_rx;
	uint8_t *text = at + record->text_offset, nonce[12], aad[13];
	const uint8_t *frame = text;
	uint16_t len = record->text_len;
	int type;

	tls_record_open(p, record, at, keys->iv, keys->seq++, nonce, aad);
	if (!lg_open(keys, text, text, len, nonce, aad, p->aad_len))
		return -EBADMSG;
	type = tls_inner_type(p, record->type, text, &len);
	if (type == TLS_HANDSHAKE && len > 0 && text[0] == TLS_HANDSHAKE_KEY_UPDATE)
		lg_die("the server began a KeyUpdate, which is not spoken here: shorter runs, please");
	if (type == TLS_ALERT)
		return -ECONNRESET;
	if (type != TLS_APPLICATION_DATA)
		return 0; // session tickets
	while (frame < text + len) {
		struct cstp_frame f;
		int ret = cstp_parse(&frame, text + len, &f);

		if (ret == 0)
			ret = frame_in(client, false, f.type, f.payload, f.len, time);
		if (ret != 0)
			return ret;
	}
	return 0;
}

int lg_tunnel_read_tcp(struct lg_client *client) {
	size_t len = client->rest_len, at = 0;
	uint8_t control[LG_CONTROL_BYTES];
	struct iovec iov = {tcp_in + len, LG_IN_BYTES};
	struct msghdr msg = {.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control,
		.msg_controllen = sizeof(control)};
	struct lg_time time;
	ssize_t n;

	if (len > 0)
		memcpy(tcp_in, client->rest, len);
	n = recvmsg(client->tcp, &msg, 0);
	if (n < 0)
		return errno == EAGAIN ? 0 : -errno;
	if (n == 0)
		return -ECONNRESET;
	len += (size_t)n;
	// of the last segment: what came before it waited no longer
	time.now = lg_now();
	time.stamp = lg_stamp(&msg, time.now);
	for (;;) {
		struct tls_record record;
		int ret = tls_record_parse(client->protection, tcp_in + at, tcp_in + len, &record);

		if (ret < 0)
			return ret;
		if (ret == 0)
			break;
		ret = record_in(client, &record, tcp_in + at, time);
		if (ret != 0)
			return ret;
		at += record.len;
	}
	client->rest_len = len - at;
	if (client->rest == NULL && client->rest_len > 0)
		client->rest = malloc(REST_BYTES);
	if (client->rest_len > REST_BYTES || (client->rest_len > 0 && client->rest == NULL))
		return -ENOMEM;
	if (client->rest_len > 0)
		memcpy(client->rest, tcp_in + at, client->rest_len);
	return 0;
}
