// SPDX-License-Identifier: GPL-3.0-or-later
// Filters: what they make of rules, what they say of packets both ways, fragments, extension headers
// and ICMP errors; and the table that commands fill.
#include <arpa/inet.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "dataplane/abi/addr.h"
#include "dataplane/table/filter.h"

#define TCP 6
#define UDP 17
#define ESP 50
#define ICMP6 58
#define SCTP 132

// ---- rules and packets

static struct abi_addr addr_of(const char *text) {
	struct abi_addr addr = {{[10] = 0xff, [11] = 0xff}};

	if (inet_pton(AF_INET, text, addr.bytes + 12) != 1)
		assert_int_equal(inet_pton(AF_INET6, text, addr.bytes), 1);
	return addr;
}

static struct abi_filter_rule net(enum abi_filter_kind kind, const char *addr, uint8_t len) {
	return (struct abi_filter_rule){.kind = (uint8_t)kind, .addr = addr_of(addr), .len = len};
}

static struct abi_filter_rule service(uint8_t protocol, uint16_t low, uint16_t high) {
	return (struct abi_filter_rule){
		.kind = ABI_FILTER_SERVICE, .protocol = protocol, .low = low, .high = high};
}

static struct filter_rules make(uint32_t flags, const struct abi_filter_rule *rules, unsigned nb) {
	struct filter_rules out;

	assert_int_equal(filter_rules_make(&out, flags, rules, nb), 0);
	return out;
}

#define MAKE(flags, ...) \
	make(flags, (const struct abi_filter_rule[]){__VA_ARGS__}, \
		sizeof((const struct abi_filter_rule[]){__VA_ARGS__}) / \
			sizeof(struct abi_filter_rule))

struct packet {
	uint8_t ip[256];
	size_t len;
};

// An IP header and `upper_len` bytes behind it, which begin with the ports.
static struct packet packet(const char *from, const char *to, uint8_t proto, uint16_t source,
	uint16_t destination, size_t upper_len) {
	struct abi_addr a = addr_of(from), b = addr_of(to);
	bool v6 = !abi_addr_is4(&a);
	size_t header = v6 ? 40 : 20;
	struct packet p = {.len = header + upper_len};
	uint8_t ports[4];

	ip_store16(ports, source);
	ip_store16(ports + 2, destination);
	memcpy(p.ip + header, ports, upper_len < 4 ? upper_len : 4);
	if (v6) {
		p.ip[0] = 0x60;
		ip_store16(p.ip + 4, (uint16_t)upper_len);
		p.ip[6] = proto;
		p.ip[7] = 64;
		memcpy(p.ip + 8, a.bytes, 16);
		memcpy(p.ip + 24, b.bytes, 16);
		return p;
	}
	p.ip[0] = 0x45;
	ip_store16(p.ip + 2, (uint16_t)p.len);
	p.ip[8] = 64;
	p.ip[9] = proto;
	memcpy(p.ip + 12, a.bytes + 12, 4);
	memcpy(p.ip + 16, b.bytes + 12, 4);
	return p;
}

static enum filter_verdict ask(const struct filter_rules *rules, struct packet p, bool to_client) {
	struct ip_info info;
	uint8_t *exact = malloc(p.len); // so that ASan sees a read beyond it
	enum filter_verdict verdict;

	memcpy(exact, p.ip, p.len);
	assert_int_equal(ip_parse(exact, p.len, false, &info), IP_OK);
	verdict = filter_match(rules, exact, &info, to_client);
	free(exact);
	return verdict;
}

// The client's packet and the answer to it.
static void both(const struct filter_rules *rules, const char *client, const char *peer,
	uint8_t proto, uint16_t port, enum filter_verdict expected) {
	assert_int_equal(ask(rules, packet(client, peer, proto, 40000, port, 20), false), expected);
	assert_int_equal(ask(rules, packet(peer, client, proto, port, 40000, 20), true), expected);
}

#define C4 "10.0.0.7"
#define C6 "fd00::7"

static void test_routes(void **state) {
	struct filter_rules r = MAKE(ABI_FILTER_ROUTES, net(ABI_FILTER_ROUTE, "192.168.0.0", 16),
		net(ABI_FILTER_ROUTE, "2001:db8::", 32), net(ABI_FILTER_EXCLUDE, "192.168.5.0", 24),
		net(ABI_FILTER_ROUTE, "192.168.5.1", 32),
		net(ABI_FILTER_EXCLUDE, "2001:db8:0:5::", 64), net(ABI_FILTER_DNS, "9.9.9.9", 0),
		net(ABI_FILTER_DNS, "2620:fe::fe", 0));

	both(&r, C4, "192.168.0.0", TCP, 22, FILTER_PASS);
	both(&r, C4, "192.168.255.255", UDP, 1, FILTER_PASS);
	both(&r, C4, "192.168.4.255", 47, 0, FILTER_PASS);
	both(&r, C4, "192.168.6.0", ESP, 0, FILTER_PASS);
	both(&r, C4, "192.167.255.255", TCP, 22, FILTER_ROUTE);
	both(&r, C4, "192.169.0.0", TCP, 22, FILTER_ROUTE);
	// what is excluded goes before a longer route
	both(&r, C4, "192.168.5.1", TCP, 22, FILTER_ROUTE);
	both(&r, C4, "192.168.5.255", TCP, 22, FILTER_ROUTE);
	both(&r, C6, "2001:db8:0:4::1", TCP, 22, FILTER_PASS);
	both(&r, C6, "2001:db8:0:5::1", TCP, 22, FILTER_ROUTE);
	both(&r, C6, "2001:db9::1", TCP, 22, FILTER_ROUTE);
	// DNS, and nothing else of its server
	both(&r, C4, "9.9.9.9", UDP, 53, FILTER_PASS);
	both(&r, C4, "9.9.9.9", TCP, 53, FILTER_PASS);
	both(&r, C4, "9.9.9.9", SCTP, 53, FILTER_ROUTE);
	both(&r, C4, "9.9.9.9", UDP, 54, FILTER_ROUTE);
	both(&r, C4, "9.9.9.8", UDP, 53, FILTER_ROUTE);
	both(&r, C6, "2620:fe::fe", UDP, 53, FILTER_PASS);
	both(&r, C6, "2620:fe::ff", UDP, 53, FILTER_ROUTE);
	// a packet too short for ports goes by its address
	assert_int_equal(ask(&r, packet(C4, "192.168.1.1", UDP, 1, 1, 2), false), FILTER_PASS);
	assert_int_equal(ask(&r, packet(C4, "9.9.9.9", UDP, 1, 53, 3), false), FILTER_ROUTE);
	filter_rules_free(&r);
	// without routes all but what is excluded
	r = MAKE(ABI_FILTER_ROUTES, net(ABI_FILTER_EXCLUDE, "10.0.0.0", 8),
		net(ABI_FILTER_EXCLUDE, "0.0.0.0", 1));
	both(&r, C4, "10.1.1.1", TCP, 22, FILTER_ROUTE);
	both(&r, C4, "127.255.255.255", TCP, 22, FILTER_ROUTE);
	both(&r, C4, "128.0.0.0", TCP, 22, FILTER_PASS);
	both(&r, C4, "255.255.255.255", TCP, 22, FILTER_PASS);
	both(&r, C6, "::1", TCP, 22, FILTER_PASS);
	both(&r, C6, "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", TCP, 22, FILTER_PASS);
	filter_rules_free(&r);
	// everything of one family is nothing of the other
	r = MAKE(ABI_FILTER_ROUTES, net(ABI_FILTER_ROUTE, "0.0.0.0", 0));
	both(&r, C4, "1.2.3.4", TCP, 22, FILTER_PASS);
	both(&r, C6, "2001:db8::1", TCP, 22, FILTER_ROUTE);
	filter_rules_free(&r);
	r = MAKE(ABI_FILTER_ROUTES, net(ABI_FILTER_ROUTE, "::", 0),
		net(ABI_FILTER_EXCLUDE, "::", 0));
	both(&r, C6, "2001:db8::1", TCP, 22, FILTER_ROUTE);
	both(&r, C4, "1.2.3.4", TCP, 22, FILTER_ROUTE);
	filter_rules_free(&r);
}

static void test_services(void **state) {
	struct filter_rules r = MAKE(ABI_FILTER_ALLOW, service(TCP, 443, 443),
		service(TCP, 8000, 8099), service(TCP, 8050, 8200), service(UDP, 53, 53),
		service(SCTP, 0, 65535), service(1, 0, 65535));

	both(&r, C4, "1.2.3.4", TCP, 443, FILTER_PASS);
	both(&r, C6, "2001:db8::1", TCP, 443, FILTER_PASS);
	both(&r, C4, "1.2.3.4", TCP, 442, FILTER_PORT);
	both(&r, C4, "1.2.3.4", TCP, 444, FILTER_PORT);
	both(&r, C4, "1.2.3.4", TCP, 7999, FILTER_PORT);
	both(&r, C4, "1.2.3.4", TCP, 8000, FILTER_PASS);
	both(&r, C4, "1.2.3.4", TCP, 8200, FILTER_PASS);
	both(&r, C4, "1.2.3.4", TCP, 8201, FILTER_PORT);
	both(&r, C4, "1.2.3.4", UDP, 443, FILTER_PORT);
	both(&r, C4, "1.2.3.4", UDP, 53, FILTER_PASS);
	both(&r, C4, "1.2.3.4", SCTP, 9, FILTER_PASS);
	both(&r, C4, "1.2.3.4", 1, 0, FILTER_PASS);
	both(&r, C6, "2001:db8::1", ICMP6, 0, FILTER_PORT);
	both(&r, C6, "2001:db8::1", 1, 0, FILTER_PORT); // no ICMP over IPv6
	both(&r, C4, "1.2.3.4", ESP, 0, FILTER_PORT);
	both(&r, C4, "1.2.3.4", 47, 0, FILTER_PORT);
	// the far end's port counts, not the client's
	assert_int_equal(ask(&r, packet(C4, "1.2.3.4", TCP, 443, 22, 20), false), FILTER_PORT);
	assert_int_equal(ask(&r, packet("1.2.3.4", C4, TCP, 22, 443, 20), true), FILTER_PORT);
	// too short to show it
	assert_int_equal(ask(&r, packet(C4, "1.2.3.4", TCP, 1, 443, 3), false), FILTER_FRAGMENT);
	assert_int_equal(ask(&r, packet(C4, "1.2.3.4", TCP, 1, 443, 4), false), FILTER_PASS);
	filter_rules_free(&r);

	r = MAKE(ABI_FILTER_DENY, service(TCP, 25, 25), service(TCP, 0, 10), service(UDP, 0, 65535),
		service(ICMP6, 0, 65535), service(ESP, 0, 65535));
	both(&r, C4, "1.2.3.4", TCP, 25, FILTER_PORT);
	both(&r, C4, "1.2.3.4", TCP, 10, FILTER_PORT);
	both(&r, C4, "1.2.3.4", TCP, 11, FILTER_PASS);
	both(&r, C4, "1.2.3.4", TCP, 24, FILTER_PASS);
	both(&r, C4, "1.2.3.4", TCP, 65535, FILTER_PASS);
	both(&r, C4, "1.2.3.4", UDP, 53, FILTER_PORT);
	both(&r, C4, "1.2.3.4", SCTP, 53, FILTER_PASS);
	both(&r, C4, "1.2.3.4", 1, 0, FILTER_PASS);
	both(&r, C6, "2001:db8::1", ICMP6, 0, FILTER_PORT);
	both(&r, C4, "1.2.3.4", ESP, 0, FILTER_PORT);
	both(&r, C4, "1.2.3.4", 47, 0, FILTER_PASS);
	filter_rules_free(&r);
	// nothing is named
	r = make(ABI_FILTER_ALLOW, NULL, 0);
	both(&r, C4, "1.2.3.4", TCP, 443, FILTER_PORT);
	both(&r, C4, "1.2.3.4", 1, 0, FILTER_PORT);
	filter_rules_free(&r);
	r = make(ABI_FILTER_DENY, NULL, 0);
	both(&r, C4, "1.2.3.4", TCP, 443, FILTER_PASS);
	assert_true(r.service[FILTER_TCP].all);
	filter_rules_free(&r);
	// both: the network is looked at first; DNS goes before both
	r = MAKE(ABI_FILTER_ROUTES | ABI_FILTER_ALLOW, net(ABI_FILTER_ROUTE, "192.168.0.0", 16),
		service(TCP, 443, 443), net(ABI_FILTER_DNS, "9.9.9.9", 0));
	both(&r, C4, "192.168.1.1", TCP, 443, FILTER_PASS);
	both(&r, C4, "192.168.1.1", TCP, 80, FILTER_PORT);
	both(&r, C4, "192.169.1.1", TCP, 443, FILTER_ROUTE);
	both(&r, C4, "9.9.9.9", UDP, 53, FILTER_PASS);
	filter_rules_free(&r);
}

// ---- fragments and extension headers

static struct packet fragment4(struct packet p, uint16_t offset, bool more) {
	ip_store16(p.ip + 6, (uint16_t)(offset / 8 | (more ? 0x2000 : 0)));
	return p;
}

// Puts an extension header of 8 bytes behind the IPv6 header.
static struct packet extension(struct packet p, uint8_t type, const uint8_t bytes[7]) {
	memmove(p.ip + 48, p.ip + 40, p.len - 40);
	p.ip[40] = p.ip[6];
	memcpy(p.ip + 41, bytes, 7);
	p.ip[6] = type;
	p.len += 8;
	ip_store16(p.ip + 4, (uint16_t)(p.len - 40));
	return p;
}

static struct packet fragment6(struct packet p, uint16_t offset, bool more) {
	uint8_t bytes[7] = {0, (uint8_t)(offset >> 8), (uint8_t)(offset | more), 1, 2, 3, 4};

	return extension(p, 44, bytes);
}

static void test_fragments(void **state) {
	struct filter_rules ports = MAKE(ABI_FILTER_ALLOW, service(TCP, 443, 443),
		service(UDP, 0, 65535), service(ICMP6, 0, 65535));
	struct filter_rules routes = MAKE(ABI_FILTER_ROUTES,
		net(ABI_FILTER_ROUTE, "192.168.0.0", 16), net(ABI_FILTER_ROUTE, "2001:db8::", 32),
		net(ABI_FILTER_DNS, "9.9.9.9", 0));
	struct packet tcp = packet(C4, "192.168.1.1", TCP, 40000, 443, 24);
	struct packet udp = packet(C4, "192.168.1.1", UDP, 40000, 443, 24);
	struct packet tcp6 = packet(C6, "2001:db8::1", TCP, 40000, 443, 24);
	struct packet icmp6 = packet(C6, "2001:db8::1", ICMP6, 0, 0, 24);
	struct packet dns = packet(C4, "9.9.9.9", UDP, 40000, 53, 24);

	// the first shows its ports; a later one passes only when they do not matter
	assert_int_equal(ask(&ports, fragment4(tcp, 0, true), false), FILTER_PASS);
	assert_int_equal(ask(&ports, fragment4(tcp, 8, true), false), FILTER_FRAGMENT);
	assert_int_equal(ask(&ports, fragment4(tcp, 8, false), false), FILTER_FRAGMENT);
	assert_int_equal(ask(&ports, fragment4(udp, 8, true), false), FILTER_PASS);
	assert_int_equal(ask(&routes, fragment4(tcp, 8, true), false), FILTER_PASS);
	tcp.ip[23] = 80; // 443 is 0x1bb: another port
	assert_int_equal(ask(&ports, fragment4(tcp, 0, true), false), FILTER_PORT);
	// a first one that is too short for its ports
	assert_int_equal(
		ask(&ports, fragment4(packet(C4, "192.168.1.1", TCP, 1, 443, 3), 0, true), false),
		FILTER_FRAGMENT);
	assert_int_equal(ask(&ports, fragment6(tcp6, 0, true), false), FILTER_PASS);
	assert_int_equal(ask(&ports, fragment6(tcp6, 8, true), false), FILTER_FRAGMENT);
	// what a later one says of its protocol over IPv6 need not be true
	assert_int_equal(ask(&ports, fragment6(icmp6, 0, true), false), FILTER_PASS);
	assert_int_equal(ask(&ports, fragment6(icmp6, 8, false), false), FILTER_FRAGMENT);
	assert_int_equal(ask(&routes, fragment6(icmp6, 8, false), false), FILTER_PASS);
	// and the server of DNS is no route
	assert_int_equal(ask(&routes, fragment4(dns, 0, true), false), FILTER_PASS);
	assert_int_equal(ask(&routes, fragment4(dns, 8, true), false), FILTER_ROUTE);
	filter_rules_free(&ports);
	filter_rules_free(&routes);
}

static void test_extensions(void **state) {
	static const uint8_t plain[7] = {0}, segments[7] = {0, 0, 1}, none[7] = {0, 4, 0};
	struct filter_rules r = MAKE(ABI_FILTER_ALLOW, service(TCP, 443, 443));
	struct packet p = packet(C6, "2001:db8::1", TCP, 40000, 443, 20);
	struct packet q = packet(C4, "1.2.3.4", TCP, 40000, 443, 20);
	struct ip_info info;

	// hop-by-hop, destination options, a used-up routing header
	assert_int_equal(ask(&r, extension(p, 0, plain), false), FILTER_PASS);
	assert_int_equal(ask(&r, extension(extension(p, 60, plain), 0, plain), false), FILTER_PASS);
	assert_int_equal(ask(&r, extension(p, 43, none), false), FILTER_PASS);
	assert_int_equal(ask(&r, extension(p, 43, segments), false), FILTER_ROUTE);
	assert_int_equal(
		ask(&r, extension(extension(p, 43, segments), 60, plain), false), FILTER_ROUTE);
	assert_int_equal(ask(&r, extension(p, 51, plain), false), FILTER_PASS); // AH, 8 bytes
	p.ip[43] = 80;
	assert_int_equal(ask(&r, extension(p, 60, plain), false), FILTER_PORT);
	// more than eight are refused by whoever parses
	for (unsigned i = 0; i < 9; i++)
		p = extension(p, 60, plain);
	assert_int_equal(ip_parse(p.ip, p.len, false, &info), IP_EXTENSIONS);
	// IPv4 options: a timestamp, a loose source route, one that goes too far
	memmove(q.ip + 24, q.ip + 20, q.len - 20);
	q.len += 4;
	q.ip[0] = 0x46;
	ip_store16(q.ip + 2, (uint16_t)q.len);
	memcpy(q.ip + 20, (const uint8_t[]){1, 68, 2, 0}, 4);
	assert_int_equal(ask(&r, q, false), FILTER_PASS);
	memcpy(q.ip + 20, (const uint8_t[]){1, 131, 3, 4}, 4);
	assert_int_equal(ask(&r, q, false), FILTER_ROUTE);
	memcpy(q.ip + 20, (const uint8_t[]){68, 1, 137, 3}, 4);
	assert_int_equal(ask(&r, q, false), FILTER_ROUTE);
	memcpy(q.ip + 20, (const uint8_t[]){1, 1, 1, 137}, 4);
	assert_int_equal(ask(&r, q, false), FILTER_ROUTE);
	memcpy(q.ip + 20, (const uint8_t[]){1, 1, 0, 137}, 4);
	assert_int_equal(ask(&r, q, false), FILTER_PASS); // behind the end
	filter_rules_free(&r);
}

// ---- ICMP errors

static struct packet error_about(
	const char *from, const char *to, uint8_t type, const struct packet *quoted, size_t quote) {
	bool v6 = strchr(from, ':') != NULL;
	size_t header = v6 ? 40 : 20;
	struct packet p = packet(from, to, v6 ? ICMP6 : 1, 0, 0, 8 + quote);

	p.ip[header] = type;
	memcpy(p.ip + header + 8, quoted->ip, quote);
	return p;
}

static void test_errors(void **state) {
	struct filter_rules r = MAKE(ABI_FILTER_ROUTES | ABI_FILTER_ALLOW,
		net(ABI_FILTER_ROUTE, "192.168.0.0", 16), net(ABI_FILTER_ROUTE, "2001:db8::", 32),
		service(TCP, 443, 443));
	struct packet good = packet(C4, "192.168.1.1", TCP, 40000, 443, 20);
	struct packet bad = packet(C4, "192.168.1.1", TCP, 40000, 80, 20);
	struct packet good6 = packet(C6, "2001:db8::1", TCP, 40000, 443, 20);
	struct packet answer = packet("192.168.1.1", C4, TCP, 443, 40000, 20);
	const char *router = "203.0.113.9", *router6 = "2001:db9::9";

	// a router that is nobody's to reach tells the client of its own packet
	assert_int_equal(ask(&r, error_about(router, C4, 3, &good, 28), true), FILTER_PASS);
	assert_int_equal(ask(&r, error_about(router, C4, 11, &good, 40), true), FILTER_PASS);
	assert_int_equal(ask(&r, error_about(router6, C6, 2, &good6, 60), true), FILTER_PASS);
	assert_int_equal(
		ask(&r, error_about(router, C4, 3, &(struct packet){0}, 28), true), FILTER_ROUTE);
	// not of others: another flow, another client, no ports, no error, a redirect
	assert_int_equal(ask(&r, error_about(router, C4, 3, &bad, 28), true), FILTER_ROUTE);
	assert_int_equal(
		ask(&r, error_about(router, "10.0.0.8", 3, &good, 28), true), FILTER_ROUTE);
	assert_int_equal(ask(&r, error_about(router, C4, 3, &good, 23), true), FILTER_ROUTE);
	assert_int_equal(ask(&r, error_about(router, C4, 3, &good, 10), true), FILTER_ROUTE);
	assert_int_equal(ask(&r, error_about(router, C4, 0, &good, 28), true), FILTER_ROUTE);
	assert_int_equal(ask(&r, error_about(router, C4, 5, &good, 28), true), FILTER_ROUTE);
	assert_int_equal(ask(&r, error_about(router6, C6, 128, &good6, 60), true), FILTER_ROUTE);
	assert_int_equal(ask(&r, error_about(router6, C6, 2, &good6, 43), true), FILTER_ROUTE);
	// the other way: the client tells its peer, and nobody else
	assert_int_equal(
		ask(&r, error_about(C4, "192.168.1.1", 3, &answer, 28), false), FILTER_PASS);
	assert_int_equal(
		ask(&r, error_about(C4, "192.168.9.9", 3, &answer, 28), false), FILTER_PORT);
	assert_int_equal(ask(&r, error_about(C4, router, 3, &answer, 28), false), FILTER_ROUTE);
	// a quoted later fragment does not show whose it was
	good = fragment4(good, 8, false);
	assert_int_equal(ask(&r, error_about(router, C4, 3, &good, 28), true), FILTER_ROUTE);
	filter_rules_free(&r);
}

// ---- against a plain reading of the rules

static bool within(const struct abi_filter_rule *rule, const struct abi_addr *addr) {
	unsigned len = rule->len + (abi_addr_is4(&rule->addr) ? 96 : 0);

	if (abi_addr_is4(&rule->addr) != abi_addr_is4(addr))
		return false;
	for (unsigned i = 0; i < len; i++)
		if ((rule->addr.bytes[i / 8] ^ addr->bytes[i / 8]) >> (7 - i % 8) & 1)
			return false;
	return true;
}

static enum filter_verdict plain(uint32_t flags, const struct abi_filter_rule *rules, unsigned nb,
	const struct abi_addr *peer, uint8_t proto, uint16_t port) {
	bool routes = false, in = false, excluded = false, is_service = false;

	for (unsigned i = 0; i < nb; i++) {
		routes |= rules[i].kind == ABI_FILTER_ROUTE;
		in |= rules[i].kind == ABI_FILTER_ROUTE && within(&rules[i], peer);
		excluded |= rules[i].kind == ABI_FILTER_EXCLUDE && within(&rules[i], peer);
		is_service |= rules[i].kind == ABI_FILTER_SERVICE && rules[i].protocol == proto &&
			rules[i].low <= port && port <= rules[i].high;
	}
	if ((flags & ABI_FILTER_ROUTES) && (excluded || (routes && !in)))
		return FILTER_ROUTE;
	if ((flags & ABI_FILTER_ALLOW) && !is_service)
		return FILTER_PORT;
	return (flags & ABI_FILTER_DENY) && is_service ? FILTER_PORT : FILTER_PASS;
}

// Addresses of a few bits, so that rules and packets meet.
static struct abi_addr random_addr(bool v6) {
	struct abi_addr addr = {{[10] = 0xff, [11] = 0xff}};
	unsigned bits = (unsigned)rand();

	if (v6)
		return (struct abi_addr){{0x20, (uint8_t)(bits & 3), [7] = (uint8_t)(bits >> 2 & 3),
			[8] = (uint8_t)(bits >> 4 & 0xc0), [15] = (uint8_t)(bits >> 8 & 1)}};
	addr.bytes[12] = (uint8_t)(bits & 0xc1);
	addr.bytes[13] = (uint8_t)(bits >> 8 & 3);
	addr.bytes[15] = (uint8_t)(bits >> 10 & 0x83);
	return addr;
}

static struct abi_filter_rule random_rule(void) {
	static const uint8_t protocols[] = {TCP, UDP, SCTP};
	bool v6 = rand() & 1;

	if (rand() % 3 == 0) {
		uint16_t low = (uint16_t)(rand() % 20);

		return service(protocols[rand() % 3], low, (uint16_t)(low + rand() % 6));
	}
	return (struct abi_filter_rule){
		.kind = (uint8_t)(rand() & 1 ? ABI_FILTER_ROUTE : ABI_FILTER_EXCLUDE),
		.addr = random_addr(v6),
		.len = (uint8_t)(rand() % (v6 ? 129 : 33)),
	};
}

static void test_random(void **state) {
	static const uint32_t modes[] = {0, ABI_FILTER_ALLOW, ABI_FILTER_DENY};
	static const uint8_t protocols[] = {TCP, UDP, SCTP};

	srand(27);
	for (unsigned round = 0; round < 2000; round++) {
		uint32_t flags = modes[rand() % 3] | (rand() & 1 ? ABI_FILTER_ROUTES : 0);
		struct abi_filter_rule rules[24];
		unsigned nb = (unsigned)rand() % 25;
		struct filter_rules r;

		for (unsigned i = 0; i < nb; i++)
			rules[i] = random_rule();
		r = make(flags, rules, nb);
		for (unsigned i = 0; i < 20; i++) {
			struct abi_addr peer = random_addr(rand() & 1);
			uint16_t port = (uint16_t)(rand() % 27);
			uint8_t proto = protocols[rand() % 3];
			char text[INET6_ADDRSTRLEN];
			bool v4 = abi_addr_is4(&peer);

			inet_ntop(v4 ? AF_INET : AF_INET6, peer.bytes + (v4 ? 12 : 0), text,
				sizeof(text));
			both(&r, v4 ? C4 : C6, text, proto, port,
				plain(flags, rules, nb, &peer, proto, port));
		}
		filter_rules_free(&r);
	}
}

// ---- the table

static struct abi_cmd_filter_add part(uint64_t name, uint16_t total, uint16_t first, uint16_t nb) {
	struct abi_cmd_filter_add add = {.filter = name,
		.flags = ABI_FILTER_ROUTES,
		.total = total,
		.first = first,
		.nb = nb};

	for (unsigned i = 0; i < nb; i++) {
		add.rule[i] = net(ABI_FILTER_ROUTE, "10.0.0.0", 24);
		add.rule[i].addr.bytes[14] = (uint8_t)(first + i);
	}
	return add;
}

static int add(uint64_t name, uint16_t total, uint16_t first, uint16_t nb) {
	struct abi_cmd_filter_add cmd = part(name, total, first, nb);

	return dp_filter_add(&cmd);
}

static void test_table(void **state) {
	struct dp_filter *f;
	uint64_t names[4];

	assert_int_equal(dp_reclaim_init(), 0);
	assert_null(dp_filter_get(7));
	assert_int_equal(add(7, 20, 0, 14), 0);
	assert_null(dp_filter_get(7)); // not before it is whole
	assert_int_equal(add(7, 20, 14, 6), 0);
	f = dp_filter_get(7);
	assert_non_null(f);
	both(&f->rules, C4, "10.0.19.1", TCP, 1, FILTER_PASS);
	both(&f->rules, C4, "10.0.20.1", TCP, 1, FILTER_ROUTE);
	// again: what is there stays
	assert_int_equal(add(7, 1, 0, 1), 0);
	both(&f->rules, C4, "10.0.19.1", TCP, 1, FILTER_PASS);
	assert_int_equal(dp_filter_del(7), -EBUSY);
	assert_int_equal(dp_filter_del(8), -ENOENT);
	dp_filter_put(f);
	// out of order, another in between, a gap
	assert_int_equal(add(9, 20, 14, 6), -EINVAL);
	assert_int_equal(add(9, 20, 0, 14), 0);
	assert_int_equal(add(10, 20, 14, 6), -EINVAL);
	assert_int_equal(add(9, 20, 14, 6), -EINVAL);
	assert_int_equal(add(9, 40, 0, 14), 0);
	assert_int_equal(add(9, 40, 28, 12), -EINVAL);
	assert_null(dp_filter_get(9));
	assert_int_equal(add(9, 0, 0, 0), 0);
	assert_int_equal(dp_filter_names(names, 4), 2);
	assert_int_equal(names[0] + names[1], 16);
	assert_int_equal(dp_filter_del(7), 0);
	assert_int_equal(dp_filter_del(9), 0);
	assert_int_equal(dp_filter_names(names, 4), 0);
	// bounded
	for (uint64_t i = 1; i <= ABI_FILTERS_MAX; i++)
		assert_int_equal(add(i, 1, 0, 1), 0);
	assert_int_equal(add(ABI_FILTERS_MAX + 1, 1, 0, 1), -ENOSPC);
	assert_int_equal(dp_filter_del(5), 0);
	assert_int_equal(add(ABI_FILTERS_MAX + 1, 1, 0, 1), 0);
	dp_filters_fini();
	for (uint64_t i = 1; i <= ABI_FILTERS_RULES_MAX / ABI_FILTER_RULES_MAX; i++)
		for (uint16_t at = 0; at < ABI_FILTER_RULES_MAX; at = (uint16_t)(at + 8))
			assert_int_equal(add(i, ABI_FILTER_RULES_MAX, at, 8), 0);
	assert_int_equal(add(1000, 1, 0, 1), -ENOSPC);
	assert_int_equal(add(1000, 0, 0, 0), 0);
	dp_filters_fini();
	dp_reclaim_fini();
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_routes),
		cmocka_unit_test(test_services),
		cmocka_unit_test(test_fragments),
		cmocka_unit_test(test_extensions),
		cmocka_unit_test(test_errors),
		cmocka_unit_test(test_random),
		cmocka_unit_test(test_table),
	};

	return cmocka_run_group_tests_name("filter", tests, NULL, NULL);
}
