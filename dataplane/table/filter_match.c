// SPDX-License-Identifier: GPL-3.0-or-later
// Makes filters of rules and holds packets against them. Called by filter.c and l3-forward.
//
// Networks are ranges without overlap, so that one binary search says what any number of prefixes
// and exceptions say; docs/decisions/0027 has the measurement.
#include "dataplane/table/filter_match.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "dataplane/abi/addr.h"

#define PROTO_ESP 50u
#define PROTO_SCTP 132u
#define EXT_ROUTING 43u
#define EXT_FRAGMENT 44u
#define EXT_AH 51u
#define PORT_DNS 53u
#define PORTS_BYTES 4u // of TCP, UDP and SCTP alike: source, destination

typedef unsigned __int128 wide;

// ---- making

// Both families and ports are made ready as ranges of wide numbers.
struct range {
	wide low, high;
};

static wide load_wide(const uint8_t *bytes, unsigned len) {
	wide v = 0;

	for (unsigned i = 0; i < len; i++)
		v = v << 8 | bytes[i];
	return v;
}

static int by_low(const void *a, const void *b) {
	const struct range *x = a, *y = b;

	return (x->low > y->low) - (x->low < y->low);
}

// Sorts, and joins what overlaps or touches. Returns how many are left.
static unsigned ranges_join(struct range *r, unsigned n) {
	unsigned left = 0;

	qsort(r, n, sizeof(*r), by_low);
	for (unsigned i = 0; i < n; i++) {
		if (left > 0 &&
			(r[left - 1].high == ~(wide)0 || r[i].low <= r[left - 1].high + 1)) {
			if (r[i].high > r[left - 1].high)
				r[left - 1].high = r[i].high;
		} else {
			r[left++] = r[i];
		}
	}
	return left;
}

// `from` less `but`, both joined, into `out`, which has room for n + nb_but.
static unsigned ranges_subtract(const struct range *from, unsigned n, const struct range *but,
	unsigned nb_but, struct range *out) {
	unsigned left = 0, k = 0;

	for (unsigned i = 0; i < n; i++) {
		wide low = from[i].low;
		bool rest = true;

		while (k < nb_but && but[k].high < low)
			k++;
		for (unsigned at = k; at < nb_but && but[at].low <= from[i].high; at++) {
			if (but[at].low > low)
				out[left++] = (struct range){low, but[at].low - 1};
			rest = but[at].high < from[i].high;
			if (!rest)
				break;
			low = but[at].high + 1;
		}
		if (rest)
			out[left++] = (struct range){low, from[i].high};
	}
	return left;
}

// What the work on one family or protocol needs.
struct work {
	struct range *a, *b, *out;
	unsigned nb_a, nb_b;
};

static int work_init(struct work *work, unsigned nb) {
	// one more of each: everything, where nothing is named
	work->a = calloc(nb + 1, sizeof(*work->a));
	work->b = calloc(nb + 1, sizeof(*work->b));
	work->out = calloc(2 * (size_t)nb + 2, sizeof(*work->out));
	return work->a != NULL && work->b != NULL && work->out != NULL ? 0 : -ENOMEM;
}

static void work_fini(struct work *work) {
	free(work->a);
	free(work->b);
	free(work->out);
}

static struct range range_of(const struct abi_filter_rule *rule, bool v4) {
	unsigned bits = v4 ? 32 : 128;
	wide all = v4 ? UINT32_MAX : ~(wide)0;
	wide host = rule->len == 0 ? all : rule->len == bits ? 0 : all >> rule->len;
	wide addr = v4 ? load_wide(rule->addr.bytes + 12, 4) : load_wide(rule->addr.bytes, 16);

	return (struct range){addr & ~host & all, addr | host};
}

// The networks of one family, as ranges in work->out. Returns how many.
static unsigned networks(
	struct work *work, const struct abi_filter_rule *rules, unsigned nb, bool v4) {
	bool any = true; // no ROUTE of either family
	unsigned a, b;

	work->nb_a = work->nb_b = 0;
	for (unsigned i = 0; i < nb; i++) {
		any = any && rules[i].kind != ABI_FILTER_ROUTE;
		if (abi_addr_is4(&rules[i].addr) != v4)
			continue;
		if (rules[i].kind == ABI_FILTER_ROUTE)
			work->a[work->nb_a++] = range_of(&rules[i], v4);
		else if (rules[i].kind == ABI_FILTER_EXCLUDE)
			work->b[work->nb_b++] = range_of(&rules[i], v4);
	}
	if (any)
		work->a[work->nb_a++] = (struct range){0, v4 ? UINT32_MAX : ~(wide)0};
	a = ranges_join(work->a, work->nb_a);
	b = ranges_join(work->b, work->nb_b);
	return ranges_subtract(work->a, a, work->b, b, work->out);
}

static int routes_make(struct filter_rules *out, struct work *work,
	const struct abi_filter_rule *rules, unsigned nb) {
	out->nb4 = networks(work, rules, nb, true);
	out->route4 = calloc(out->nb4 + 1, sizeof(*out->route4));
	if (out->route4 == NULL)
		return -ENOMEM;
	for (unsigned i = 0; i < out->nb4; i++)
		out->route4[i] = (struct filter_range4){
			(uint32_t)work->out[i].low, (uint32_t)work->out[i].high};
	out->nb6 = networks(work, rules, nb, false);
	// aligned_alloc: the compiler may load wide numbers in one piece
	out->route6 = aligned_alloc(16, (out->nb6 + 1) * sizeof(*out->route6));
	if (out->route6 == NULL)
		return -ENOMEM;
	for (unsigned i = 0; i < out->nb6; i++)
		out->route6[i] = (struct filter_range6){work->out[i].low, work->out[i].high};
	return 0;
}

static int service_make(struct filter_service *out, struct work *work,
	const struct abi_filter_rule *rules, unsigned nb, uint8_t protocol, bool deny) {
	static const struct range every = {0, UINT16_MAX};
	unsigned n;

	work->nb_a = 0;
	for (unsigned i = 0; i < nb; i++)
		if (rules[i].kind == ABI_FILTER_SERVICE && rules[i].protocol == protocol)
			work->a[work->nb_a++] = (struct range){rules[i].low, rules[i].high};
	n = ranges_join(work->a, work->nb_a);
	if (deny)
		n = ranges_subtract(&every, 1, work->a, n, work->out);
	else
		memcpy(work->out, work->a, n * sizeof(*work->a));
	out->all = n == 1 && work->out[0].low == 0 && work->out[0].high == UINT16_MAX;
	out->nb = out->all ? 0 : n;
	out->ports = calloc(out->nb + 1, sizeof(*out->ports));
	if (out->ports == NULL)
		return -ENOMEM;
	for (unsigned i = 0; i < out->nb; i++)
		out->ports[i] = (struct filter_ports){
			(uint16_t)work->out[i].low, (uint16_t)work->out[i].high};
	return 0;
}

static bool named(const struct abi_filter_rule *rules, unsigned nb, uint8_t protocol) {
	for (unsigned i = 0; i < nb; i++)
		if (rules[i].kind == ABI_FILTER_SERVICE && rules[i].protocol == protocol)
			return true;
	return false;
}

static int services_make(struct filter_rules *out, struct work *work,
	const struct abi_filter_rule *rules, unsigned nb, bool deny) {
	static const uint8_t protocols[FILTER_SERVICES] = {
		[FILTER_TCP] = IP_PROTO_TCP,
		[FILTER_UDP] = IP_PROTO_UDP,
		[FILTER_SCTP] = PROTO_SCTP,
	};
	int ret = 0;

	for (unsigned i = 0; ret == 0 && i < FILTER_SERVICES; i++)
		ret = service_make(&out->service[i], work, rules, nb, protocols[i], deny);
	out->icmp = named(rules, nb, IP_PROTO_ICMP) != deny;
	out->icmp6 = named(rules, nb, IP_PROTO_ICMP6) != deny;
	out->esp = named(rules, nb, PROTO_ESP) != deny;
	out->other = deny;
	return ret;
}

static int dns_make(struct filter_rules *out, const struct abi_filter_rule *rules, unsigned nb) {
	out->dns4 = calloc(nb + 1, sizeof(*out->dns4));
	out->dns6 = aligned_alloc(16, (nb + 1) * sizeof(*out->dns6));
	if (out->dns4 == NULL || out->dns6 == NULL)
		return -ENOMEM;
	for (unsigned i = 0; i < nb; i++) {
		const uint8_t *bytes = rules[i].addr.bytes;

		if (rules[i].kind != ABI_FILTER_DNS)
			continue;
		if (abi_addr_is4(&rules[i].addr))
			out->dns4[out->nb_dns4++] = ip_load32(bytes + 12);
		else
			out->dns6[out->nb_dns6++] = load_wide(bytes, 16);
	}
	return 0;
}

int filter_rules_make(struct filter_rules *out, uint32_t flags, const struct abi_filter_rule *rules,
	unsigned nb) {
	struct work work;
	int ret;

	memset(out, 0, sizeof(*out));
	out->any_route = (flags & ABI_FILTER_ROUTES) == 0;
	out->any_service = (flags & (ABI_FILTER_ALLOW | ABI_FILTER_DENY)) == 0;
	ret = work_init(&work, nb);
	if (ret == 0)
		ret = dns_make(out, rules, nb);
	if (ret == 0 && !out->any_route)
		ret = routes_make(out, &work, rules, nb);
	if (ret == 0 && !out->any_service)
		ret = services_make(out, &work, rules, nb, (flags & ABI_FILTER_DENY) != 0);
	work_fini(&work);
	if (ret != 0)
		filter_rules_free(out);
	return ret;
}

void filter_rules_free(struct filter_rules *rules) {
	free(rules->route4);
	free(rules->route6);
	free(rules->dns4);
	free(rules->dns6);
	for (unsigned i = 0; i < FILTER_SERVICES; i++)
		free(rules->service[i].ports);
	memset(rules, 0, sizeof(*rules));
}

// ---- asking

// What is known of the far end of one packet, whole or quoted.
struct flow {
	const struct filter_rules *rules;
	const uint8_t *peer; // its address
	bool v6;
	bool later; // fragment
	bool has_port; // TCP, UDP and SCTP: the bytes are there
	uint8_t proto;
	uint16_t port; // the peer's, host byte order
};

static bool has4(const struct filter_rules *rules, uint32_t addr) {
	uint32_t at = 0, n = rules->nb4;

	// the last range that begins at or below the address
	while (n > 1) {
		uint32_t half = n / 2;

		at = rules->route4[at + half].low <= addr ? at + half : at;
		n -= half;
	}
	return n > 0 && rules->route4[at].low <= addr && addr <= rules->route4[at].high;
}

static bool has6(const struct filter_rules *rules, wide addr) {
	uint32_t at = 0, n = rules->nb6;

	while (n > 1) {
		uint32_t half = n / 2;

		at = rules->route6[at + half].low <= addr ? at + half : at;
		n -= half;
	}
	return n > 0 && rules->route6[at].low <= addr && addr <= rules->route6[at].high;
}

static bool is_dns(const struct flow *flow) {
	const struct filter_rules *rules = flow->rules;

	if (!flow->has_port || flow->port != PORT_DNS || flow->later ||
		(flow->proto != IP_PROTO_UDP && flow->proto != IP_PROTO_TCP))
		return false;
	if (!flow->v6) {
		uint32_t addr = ip_load32(flow->peer);

		for (uint32_t i = 0; i < rules->nb_dns4; i++)
			if (rules->dns4[i] == addr)
				return true;
		return false;
	}
	wide addr = load_wide(flow->peer, 16);

	for (uint32_t i = 0; i < rules->nb_dns6; i++)
		if (rules->dns6[i] == addr)
			return true;
	return false;
}

static bool has_route(const struct flow *flow) {
	if (flow->rules->any_route)
		return true;
	return flow->v6 ? has6(flow->rules, load_wide(flow->peer, 16))
			: has4(flow->rules, ip_load32(flow->peer));
}

static enum filter_verdict port_of(const struct filter_service *service, const struct flow *flow) {
	uint32_t at = 0, n = service->nb;

	if (service->all)
		return FILTER_PASS;
	if (n == 0)
		return FILTER_PORT;
	if (!flow->has_port)
		return FILTER_FRAGMENT;
	while (n > 1) {
		uint32_t half = n / 2;

		at = service->ports[at + half].low <= flow->port ? at + half : at;
		n -= half;
	}
	return service->ports[at].low <= flow->port && flow->port <= service->ports[at].high
		? FILTER_PASS
		: FILTER_PORT;
}

static enum filter_verdict service_of(const struct flow *flow) {
	const struct filter_rules *rules = flow->rules;
	bool open = rules->other;

	if (rules->any_service)
		return FILTER_PASS;
	if (flow->v6 && flow->later)
		return FILTER_FRAGMENT;
	switch (flow->proto) {
	case IP_PROTO_TCP:
		return port_of(&rules->service[FILTER_TCP], flow);
	case IP_PROTO_UDP:
		return port_of(&rules->service[FILTER_UDP], flow);
	case PROTO_SCTP:
		return port_of(&rules->service[FILTER_SCTP], flow);
	case IP_PROTO_ICMP:
		open = flow->v6 ? rules->other : rules->icmp;
		break;
	case IP_PROTO_ICMP6:
		open = flow->v6 ? rules->icmp6 : rules->other;
		break;
	case PROTO_ESP:
		open = rules->esp;
		break;
	}
	return open ? FILTER_PASS : FILTER_PORT;
}

static enum filter_verdict verdict(const struct flow *flow) {
	if (is_dns(flow))
		return FILTER_PASS;
	return has_route(flow) ? service_of(flow) : FILTER_ROUTE;
}

static bool has_ports(uint8_t proto) {
	return proto == IP_PROTO_TCP || proto == IP_PROTO_UDP || proto == PROTO_SCTP;
}

// upper: the first `len` bytes behind the headers.
static void flow_port(struct flow *flow, const uint8_t *upper, size_t len, bool to_client) {
	flow->has_port = !flow->later && len >= PORTS_BYTES && has_ports(flow->proto);
	if (flow->has_port)
		flow->port = ip_load16(upper + (to_client ? 0 : 2));
}

// Strict and loose source routes (RFC 791, 3.1); options that cannot be read are taken for one.
static bool source_routed4(const uint8_t *ip, unsigned header_len) {
	for (unsigned at = IP4_HEADER; at < header_len;) {
		uint8_t type = ip[at];

		if (type == 0)
			return false;
		if (type == 1) {
			at++;
			continue;
		}
		if (type == 131 || type == 137 || at + 1 >= header_len || ip[at + 1] < 2)
			return true;
		at += ip[at + 1];
	}
	return false;
}

// The extension headers were walked by ip_parse: they are within the packet and at most eight.
static bool source_routed6(const uint8_t *ip, const struct ip_info *info) {
	uint8_t next = ip[6];

	for (unsigned at = IP6_HEADER; at + 8 <= info->header_len;) {
		const uint8_t *p = ip + at;

		if (next == EXT_ROUTING && p[3] != 0)
			return true;
		at += next == EXT_FRAGMENT ? 8
			: next == EXT_AH   ? ((unsigned)p[1] + 2) * 4
					   : ((unsigned)p[1] + 1) * 8;
		next = p[0];
	}
	return false;
}

static bool source_routed(const uint8_t *ip, const struct ip_info *info) {
	if (info->version == 4)
		return info->header_len > IP4_HEADER && source_routed4(ip, info->header_len);
	return info->header_len > IP6_HEADER && source_routed6(ip, info);
}

// ---- ICMP errors

static bool is_error(const uint8_t *ip, const struct ip_info *info) {
	uint8_t type = ip[info->header_len];

	if (ip_is_fragment(info) || info->total_len < info->header_len + 8u)
		return false;
	if (info->version == 4)
		return info->proto == IP_PROTO_ICMP && (type == 3 || type == 11 || type == 12);
	return info->proto == IP_PROTO_ICMP6 && type >= 1 && type <= 4;
}

// The flow of a packet that is quoted, of which the headers and a little more are there. False: it
// cannot be told. Of IPv6 extensions only a fragment header is walked over.
static bool quoted_flow(struct flow *flow, const uint8_t *ip, size_t len, bool to_client) {
	size_t header = flow->v6 ? IP6_HEADER : IP4_HEADER;

	if (len < header || ip[0] >> 4 != (flow->v6 ? 6 : 4))
		return false;
	flow->peer = ip + (flow->v6 ? (to_client ? 8 : 24) : (to_client ? 12 : 16));
	if (flow->v6) {
		flow->proto = ip[6];
		if (flow->proto == EXT_FRAGMENT) {
			if (len < header + 8)
				return false;
			flow->proto = ip[header];
			flow->later = (ip_load16(ip + header + 2) & 0xfff8) != 0;
			header += 8;
		}
	} else {
		header = (size_t)(ip[0] & 15) * 4;
		if (header < IP4_HEADER || header > len)
			return false;
		flow->proto = ip[9];
		flow->later = (ip_load16(ip + 6) & 0x1fff) != 0;
	}
	flow_port(flow, ip + header, len - header, to_client);
	return true;
}

// An error about a packet that may pass in the other direction is part of it: a path's MTU may be
// told by a router whose own address is nobody's to reach. It must be for the packet's sender.
static bool error_passes(const struct filter_rules *rules, const uint8_t *ip,
	const struct ip_info *info, bool to_client) {
	struct flow flow = {.rules = rules, .v6 = info->version == 6};
	const uint8_t *quote = ip + info->header_len + 8;
	size_t len = info->total_len - info->header_len - 8u, addr = flow.v6 ? 16 : 4;

	if (!quoted_flow(&flow, quote, len, !to_client))
		return false;
	return memcmp(ip_source(quote, info->version), ip_destination(ip, info->version), addr) ==
		0 &&
		verdict(&flow) == FILTER_PASS;
}

enum filter_verdict filter_match(const struct filter_rules *rules, const uint8_t *ip,
	const struct ip_info *info, bool to_client) {
	struct flow flow = {
		.rules = rules,
		.v6 = info->version == 6,
		.later = info->fragment_offset != 0,
		.proto = info->proto,
		.peer = to_client ? ip_source(ip, info->version)
				  : ip_destination(ip, info->version),
	};
	enum filter_verdict what;

	if (source_routed(ip, info))
		return FILTER_ROUTE;
	flow_port(&flow, ip + info->header_len, (size_t)(info->total_len - info->header_len),
		to_client);
	what = verdict(&flow);
	if (what != FILTER_PASS && info->total_len > info->header_len && is_error(ip, info) &&
		error_passes(rules, ip, info, to_client))
		return FILTER_PASS;
	return what;
}
