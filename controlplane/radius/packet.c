// SPDX-License-Identifier: GPL-3.0-or-later
// RADIUS packets by libfreeradius. Called by the others of this folder; fuzzed as a whole.
#include "packet.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <freeradius/build.h> // the others do not compile without it
#include <freeradius/libradius.h>

#include "controlplane/proc/log.h"
#include "dataplane/abi/addr.h"

#define ATTRIBUTES_MAX 256u // of one packet

struct rpacket {
	RADIUS_PACKET *radius;
	bool failed; // an attribute could not be added
};

// What the numbers of packet.h mean, for the library. An attribute that is not here comes out of it
// as bytes without a meaning.
static const char dictionary[] = "ATTRIBUTE User-Name 1 string\n"
				 "ATTRIBUTE User-Password 2 string encrypt=1\n"
				 "ATTRIBUTE NAS-IP-Address 4 ipaddr\n"
				 "ATTRIBUTE Service-Type 6 integer\n"
				 "ATTRIBUTE Framed-Protocol 7 integer\n"
				 "ATTRIBUTE Framed-IP-Address 8 ipaddr\n"
				 "ATTRIBUTE Framed-IP-Netmask 9 ipaddr\n"
				 "ATTRIBUTE Filter-Id 11 string\n"
				 "ATTRIBUTE Reply-Message 18 string\n"
				 "ATTRIBUTE Framed-Route 22 string\n"
				 "ATTRIBUTE State 24 octets\n"
				 "ATTRIBUTE Class 25 octets\n"
				 "ATTRIBUTE Vendor-Specific 26 vsa\n"
				 "ATTRIBUTE Session-Timeout 27 integer\n"
				 "ATTRIBUTE Idle-Timeout 28 integer\n"
				 "ATTRIBUTE Called-Station-Id 30 string\n"
				 "ATTRIBUTE Calling-Station-Id 31 string\n"
				 "ATTRIBUTE NAS-Identifier 32 string\n"
				 "ATTRIBUTE Proxy-State 33 octets\n"
				 "ATTRIBUTE Acct-Status-Type 40 integer\n"
				 "ATTRIBUTE Acct-Input-Octets 42 integer\n"
				 "ATTRIBUTE Acct-Output-Octets 43 integer\n"
				 "ATTRIBUTE Acct-Session-Id 44 string\n"
				 "ATTRIBUTE Acct-Authentic 45 integer\n"
				 "ATTRIBUTE Acct-Session-Time 46 integer\n"
				 "ATTRIBUTE Acct-Input-Packets 47 integer\n"
				 "ATTRIBUTE Acct-Output-Packets 48 integer\n"
				 "ATTRIBUTE Acct-Terminate-Cause 49 integer\n"
				 "ATTRIBUTE Acct-Input-Gigawords 52 integer\n"
				 "ATTRIBUTE Acct-Output-Gigawords 53 integer\n"
				 "ATTRIBUTE Event-Timestamp 55 integer\n"
				 "ATTRIBUTE NAS-Port-Type 61 integer\n"
				 "ATTRIBUTE Connect-Info 77 string\n"
				 "ATTRIBUTE Message-Authenticator 80 octets\n"
				 "ATTRIBUTE Acct-Interim-Interval 85 integer\n"
				 "ATTRIBUTE NAS-IPv6-Address 95 ipv6addr\n"
				 "ATTRIBUTE Framed-IPv6-Prefix 97 ipv6prefix\n"
				 "ATTRIBUTE Framed-IPv6-Route 99 string\n"
				 "ATTRIBUTE Error-Cause 101 integer\n"
				 "ATTRIBUTE Delegated-IPv6-Prefix 123 ipv6prefix\n"
				 "ATTRIBUTE Framed-IPv6-Address 168 ipv6addr\n"
				 "ATTRIBUTE DNS-Server-IPv6-Address 169 ipv6addr\n"
				 "ATTRIBUTE Route-IPv6-Information 170 ipv6prefix\n"
				 "VENDOR Microsoft 311\n"
				 "BEGIN-VENDOR Microsoft\n"
				 "ATTRIBUTE MS-Primary-DNS-Server 28 ipaddr\n"
				 "ATTRIBUTE MS-Secondary-DNS-Server 29 ipaddr\n"
				 "END-VENDOR Microsoft\n"
				 "VENDOR Roaring-Penguin 10055\n"
				 "BEGIN-VENDOR Roaring-Penguin\n"
				 "ATTRIBUTE RP-Upstream-Speed-Limit 1 integer\n"
				 "ATTRIBUTE RP-Downstream-Speed-Limit 2 integer\n"
				 "END-VENDOR Roaring-Penguin\n";

// ---- start

// The library reads a dictionary by its name only, and refuses one that others may write.
static int dictionary_read(void) {
	char name[16];
	int status = 0;
	int fd = memfd_create("radius-dictionary", MFD_CLOEXEC);
	if (fd < 0)
		return -errno;
	if (write(fd, dictionary, sizeof(dictionary) - 1) != (ssize_t)sizeof(dictionary) - 1 ||
		fchmod(fd, 0400) < 0)
		status = -EIO;
	snprintf(name, sizeof(name), "%d", fd);
	if (status == 0 && dict_init("/proc/self/fd", name) < 0) {
		log_error("radius_dictionary", "text=%s", log_value(fr_strerror()));
		status = -EINVAL;
	}
	close(fd);
	return status;
}

// Signs a packet: what the library and its crypto open, they open at the first use.
static int rehearse(void) {
	static const uint8_t vector[RPACKET_VECTOR_LEN];
	const uint8_t *bytes;
	size_t len;
	struct rpacket *packet = rpacket_new(RCODE_ACCESS_REQUEST);
	if (packet == NULL)
		return -ENOMEM;
	rpacket_text(packet, RATTR_USER_PASSWORD, "rehearsal");
	int status = rpacket_sign(packet, 0, vector, "rehearsal", &bytes, &len);
	rpacket_free(packet);
	return status;
}

int rpacket_init(void) {
	fr_max_attributes = ATTRIBUTES_MAX;
	int status = dictionary_read();
	return status < 0 ? status : rehearse();
}

void rpacket_fini(void) {
	dict_free();
}

// ---- building

struct rpacket *rpacket_new(enum rcode code) {
	static const uint8_t empty[RPACKET_VECTOR_LEN];
	struct rpacket *packet = calloc(1, sizeof(*packet));
	if (packet == NULL)
		return NULL;
	packet->radius = rad_alloc(NULL, false);
	if (packet->radius == NULL) {
		free(packet);
		return NULL;
	}
	packet->radius->code = code;
	// The first attribute, so that nothing of an attacker's choice is in front of it.
	if (code != RCODE_ACCOUNTING_REQUEST)
		rpacket_bytes(packet, RATTR_MESSAGE_AUTHENTICATOR, empty, sizeof(empty));
	return packet;
}

static void wipe_bytes(RADIUS_PACKET *radius) {
	if (radius->data == NULL)
		return;
	explicit_bzero(radius->data, radius->data_len);
	talloc_free(radius->data);
	radius->data = NULL;
	radius->data_len = 0;
}

void rpacket_free(struct rpacket *packet) {
	if (packet == NULL)
		return;
	for (VALUE_PAIR *pair = packet->radius->vps; pair != NULL; pair = pair->next)
		if (pair->da->vendor == 0 && pair->da->attr == RATTR_USER_PASSWORD)
			explicit_bzero((void *)(uintptr_t)pair->vp_strvalue, pair->vp_length);
	wipe_bytes(packet->radius);
	rad_free(&packet->radius);
	free(packet);
}

// NULL: no memory, or not in the dictionary; the packet has failed then.
static VALUE_PAIR *pair_new(struct rpacket *packet, enum rattr attr, PW_TYPE type) {
	VALUE_PAIR *pair = fr_pair_afrom_num(
		packet->radius, (unsigned)attr & 0xff, (unsigned)attr >> 8);
	if (pair != NULL && pair->da->type != type)
		fr_pair_list_free(&pair);
	if (pair == NULL)
		packet->failed = true;
	return pair;
}

static void pair_add(struct rpacket *packet, VALUE_PAIR *pair) {
	fr_pair_add(&packet->radius->vps, pair);
}

void rpacket_number(struct rpacket *packet, enum rattr attr, uint32_t number) {
	VALUE_PAIR *pair = pair_new(packet, attr, PW_TYPE_INTEGER);
	if (pair == NULL)
		return;
	pair->vp_integer = number;
	pair->vp_length = sizeof(number);
	pair_add(packet, pair);
}

void rpacket_text(struct rpacket *packet, enum rattr attr, const char *text) {
	size_t len = strlen(text);
	size_t max = attr == RATTR_USER_PASSWORD ? RPACKET_PASSWORD_MAX : 253;
	if (len == 0)
		return;
	VALUE_PAIR *pair = pair_new(packet, attr, PW_TYPE_STRING);
	if (pair == NULL)
		return;
	if (len > max)
		packet->failed = true;
	fr_pair_value_bstrncpy(pair, text, len < max ? len : max);
	pair_add(packet, pair);
}

void rpacket_bytes(struct rpacket *packet, enum rattr attr, const uint8_t *bytes, size_t len) {
	if (len == 0)
		return;
	VALUE_PAIR *pair = pair_new(packet, attr, PW_TYPE_OCTETS);
	if (pair == NULL)
		return;
	if (len > 253)
		packet->failed = true;
	fr_pair_value_memcpy(pair, bytes, len < 253 ? len : 253);
	pair_add(packet, pair);
}

void rpacket_address(struct rpacket *packet, enum rattr attr, const struct abi_addr *addr) {
	bool is4 = abi_addr_is4(addr);
	VALUE_PAIR *pair = pair_new(packet, attr, is4 ? PW_TYPE_IPV4_ADDR : PW_TYPE_IPV6_ADDR);
	if (pair == NULL)
		return;
	if (is4)
		memcpy(&pair->vp_ipaddr, addr->bytes + 12, 4);
	else
		memcpy(&pair->vp_ipv6addr, addr->bytes, 16);
	pair->vp_length = is4 ? 4 : 16;
	pair_add(packet, pair);
}

// The Message-Authenticator of an answer is over the Request Authenticator (RFC 5176, 3.4). The
// library checks those of ACK and NAK so but does not make them so; it does for Access-Accept. The code
// is in the bytes by then.
static int encode(RADIUS_PACKET *radius, const RADIUS_PACKET *request, const char *shared_secret) {
	unsigned int code = radius->code;
	if (rad_encode(radius, request, shared_secret) < 0)
		return -EMSGSIZE;
	if (request != NULL)
		radius->code = RCODE_ACCESS_ACCEPT;
	int status = rad_sign(radius, request, shared_secret);
	radius->code = code;
	return status < 0 || radius->data_len > RPACKET_MAX ? -EMSGSIZE : 0;
}

int rpacket_sign(struct rpacket *packet, uint8_t id, const uint8_t vector[RPACKET_VECTOR_LEN],
	const char *shared_secret, const uint8_t **bytes, size_t *len) {
	RADIUS_PACKET *radius = packet->radius;
	if (packet->failed)
		return -EINVAL;
	wipe_bytes(radius);
	radius->id = id;
	memcpy(radius->vector, vector, RPACKET_VECTOR_LEN);
	int status = encode(radius, NULL, shared_secret);
	if (status < 0)
		return status;
	// An accounting request is signed in the place of its authenticator: answers refer to that.
	memcpy(radius->vector, radius->data + 4, RPACKET_VECTOR_LEN);
	rpacket_signed(packet, bytes, len);
	return 0;
}

int rpacket_sign_answer(struct rpacket *answer, const struct rpacket *request,
	const char *shared_secret, const uint8_t **bytes, size_t *len) {
	RADIUS_PACKET *radius = answer->radius;
	if (answer->failed)
		return -EINVAL;
	wipe_bytes(radius);
	radius->id = request->radius->id;
	int status = encode(radius, request->radius, shared_secret);
	if (status == 0)
		rpacket_signed(answer, bytes, len);
	return status;
}

void rpacket_signed(const struct rpacket *packet, const uint8_t **bytes, size_t *len) {
	*bytes = packet->radius->data;
	*len = packet->radius->data_len;
}

// ---- reading

// Requests that claim to be answers would not be checked as answers are.
static bool is_answer(const RADIUS_PACKET *radius, const RADIUS_PACKET *request) {
	if (radius->id != request->id)
		return false;
	if (request->code == RCODE_ACCOUNTING_REQUEST)
		return radius->code == RCODE_ACCOUNTING_RESPONSE;
	return radius->code == RCODE_ACCESS_ACCEPT || radius->code == RCODE_ACCESS_REJECT ||
		radius->code == RCODE_ACCESS_CHALLENGE;
}

static bool is_code(const RADIUS_PACKET *radius, const struct rpacket *request) {
	if (request != NULL)
		return is_answer(radius, request->radius);
	return radius->code == RCODE_DISCONNECT_REQUEST || radius->code == RCODE_COA_REQUEST;
}

// An answer to `request`, or with NULL a request.
static struct rpacket *read_packet(const uint8_t *bytes, size_t len, const struct rpacket *request,
	const char *shared_secret, bool require_authenticator, const char **why) {
	decode_fail_t reason = DECODE_FAIL_NONE;
	RADIUS_PACKET *original = request != NULL ? request->radius : NULL;
	struct rpacket *packet = calloc(1, sizeof(*packet));
	RADIUS_PACKET *radius = packet != NULL ? rad_alloc(NULL, false) : NULL;
	*why = "no memory";
	if (radius == NULL)
		goto fail;
	radius->data = talloc_memdup(radius, bytes, len);
	radius->data_len = len;
	if (radius->data == NULL)
		goto fail;
	*why = "malformed";
	if (!rad_packet_ok(radius, require_authenticator, &reason)) {
		if (reason == DECODE_FAIL_MA_MISSING)
			*why = "no Message-Authenticator";
		goto fail;
	}
	*why = request != NULL ? "not an answer to this request"
			       : "neither a Disconnect-Request nor a CoA-Request";
	if (!is_code(radius, request))
		goto fail;
	*why = "authenticator does not match: is the shared secret the same on both sides?";
	if (rad_verify(radius, original, shared_secret) < 0)
		goto fail;
	*why = "attributes cannot be decoded";
	if (rad_decode(radius, original, shared_secret) < 0)
		goto fail;
	packet->radius = radius;
	return packet;
fail:
	rad_free(&radius);
	free(packet);
	return NULL;
}

struct rpacket *rpacket_read(const uint8_t *bytes, size_t len, const struct rpacket *request,
	const char *shared_secret, bool require_authenticator, const char **why) {
	return read_packet(bytes, len, request, shared_secret, require_authenticator, why);
}

struct rpacket *rpacket_read_request(const uint8_t *bytes, size_t len, const char *shared_secret,
	bool require_authenticator, const char **why) {
	return read_packet(bytes, len, NULL, shared_secret, require_authenticator, why);
}

const uint8_t *rpacket_vector(const struct rpacket *packet) {
	return packet->radius->vector;
}

enum rcode rpacket_code(const struct rpacket *packet) {
	return (enum rcode)packet->radius->code;
}

static void take_prefix6(const VALUE_PAIR *pair, struct rvalue *value) {
	// In the library's form: a reserved byte, the length, the address.
	value->prefix.len = pair->vp_ipv6prefix[1];
	memcpy(value->prefix.addr.bytes, &pair->vp_ipv6prefix[2], 16);
}

static void take_value(const VALUE_PAIR *pair, struct rvalue *value) {
	switch (pair->da->type) {
	case PW_TYPE_INTEGER:
		value->type = RVALUE_NUMBER;
		value->number = pair->vp_integer;
		break;
	case PW_TYPE_IPV4_ADDR:
		value->type = RVALUE_ADDRESS;
		value->prefix.addr = (struct abi_addr){.bytes[10] = 0xff, .bytes[11] = 0xff};
		memcpy(value->prefix.addr.bytes + 12, &pair->vp_ipaddr, 4);
		value->prefix.len = 32;
		break;
	case PW_TYPE_IPV6_ADDR:
		value->type = RVALUE_ADDRESS;
		memcpy(value->prefix.addr.bytes, &pair->vp_ipv6addr, 16);
		value->prefix.len = 128;
		break;
	case PW_TYPE_IPV6_PREFIX:
		value->type = RVALUE_PREFIX;
		take_prefix6(pair, value);
		break;
	default:
		value->type = RVALUE_BYTES;
		value->bytes = pair->vp_octets;
		value->len = pair->vp_length;
		break;
	}
}

// What has no place in the dictionary, or not the length of its type, has no name to us.
static bool is_unknown(const VALUE_PAIR *pair) {
	return pair->da->flags.is_unknown || pair->da->attr > 255;
}

static const VALUE_PAIR *pair_next(const struct rpacket *packet, const void *cursor) {
	return cursor != NULL ? ((const VALUE_PAIR *)cursor)->next : packet->radius->vps;
}

static void take_pair(const VALUE_PAIR *pair, const void **cursor, struct rvalue *value) {
	*cursor = pair;
	*value = (struct rvalue){.attr = RATTR_VENDOR(pair->da->vendor, pair->da->attr & 0xff)};
	if (!is_unknown(pair))
		take_value(pair, value);
	else if (pair->da->attr <= 255 &&
		dict_attrbyvalue(pair->da->attr, pair->da->vendor) != NULL)
		value->type = RVALUE_INVALID;
	else
		value->type = RVALUE_UNKNOWN;
}

bool rpacket_next(const struct rpacket *packet, const void **cursor, struct rvalue *value) {
	const VALUE_PAIR *pair = pair_next(packet, *cursor);
	while (pair != NULL && is_unknown(pair))
		pair = pair->next;
	if (pair == NULL)
		return false;
	take_pair(pair, cursor, value);
	return true;
}

bool rpacket_next_any(const struct rpacket *packet, const void **cursor, struct rvalue *value) {
	const VALUE_PAIR *pair = pair_next(packet, *cursor);
	if (pair == NULL)
		return false;
	take_pair(pair, cursor, value);
	return true;
}
