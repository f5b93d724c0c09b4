// SPDX-License-Identifier: GPL-3.0-or-later
// The CONNECT exchange: reads the client's headers, writes those of the answer; called by conn.c.

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

#include "controlplane/ipc/addr.h"
#include "controlplane/settings/settings.h"
#include "cstp.h"
#include "encode.h"

// Suites of the legacy mode by preference; the CBC ones that clients also name are not offered.
struct legacy_suite {
	const char *name;
	enum abi_cipher cipher;
};

static const struct legacy_suite oc_suites[] = {
	{"OC-DTLS1_2-AES256-GCM", ABI_AES_256_GCM},
	{"OC-DTLS1_2-AES128-GCM", ABI_AES_128_GCM},
	{NULL, 0},
};

static const struct legacy_suite dtls12_suites[] = {
	{"AES256-GCM-SHA384", ABI_AES_256_GCM},
	{"ECDHE-RSA-AES256-GCM-SHA384", ABI_AES_256_GCM},
	{"ECDHE-RSA-AES128-GCM-SHA256", ABI_AES_128_GCM},
	{"AES128-GCM-SHA256", ABI_AES_128_GCM},
	{NULL, 0},
};

// True when `name` is one of the words of a list with the given separators.
static bool list_has(const char *list, const char *separators, const char *name) {
	size_t len = strlen(name);

	while (list != NULL && *list != '\0') {
		size_t n;

		list += strspn(list, separators);
		n = strcspn(list, separators);
		if (n == len && strncasecmp(list, name, n) == 0)
			return true;
		list += n;
	}
	return false;
}

// The best suite that the client names; one with the cipher of the TLS channel wins.
static const struct legacy_suite *suite_choose(
	const struct legacy_suite *suites, const char *list, uint8_t tls_cipher) {
	const struct legacy_suite *best = NULL;

	for (; suites->name != NULL; suites++) {
		if (!list_has(list, ": \t", suites->name))
			continue;
		if (suites->cipher == tls_cipher)
			return suites;
		if (best == NULL)
			best = suites;
	}
	return best;
}

static void legacy_choose(
	struct ipc_connect *connect, struct cstp_offer *offer, const struct http_request *req) {
	const struct legacy_suite *suite;

	suite = suite_choose(
		dtls12_suites, http_header_get(req, "X-DTLS12-CipherSuite"), connect->tls_cipher);
	offer->dtls12 = suite != NULL;
	if (suite == NULL)
		suite = suite_choose(
			oc_suites, http_header_get(req, "X-DTLS-CipherSuite"), connect->tls_cipher);
	if (suite == NULL)
		return;
	offer->legacy_name = suite->name;
	connect->legacy_cipher = suite->cipher;
}

// 0..65535; anything else is 0.
static uint16_t number16(const char *text) {
	unsigned long v;
	char *end;

	if (text == NULL || text[0] < '0' || text[0] > '9')
		return 0;
	v = strtoul(text, &end, 10);
	return *end == '\0' && v <= UINT16_MAX ? (uint16_t)v : 0;
}

// Names are for logs and lists: cut to size, never refused.
static void name_copy(char *out, size_t size, const char *text) {
	size_t n = 0;

	for (; text != NULL && *text != '\0' && n + 1 < size; text++) {
		if ((unsigned char)*text >= 0x20 && *text != 0x7f)
			out[n++] = *text;
	}
	out[n] = '\0';
}

bool cstp_agent_cisco(const char *agent) {
	static const char *const cisco[] = {
		"Cisco AnyConnect", "Cisco Secure Client", "AnyConnect ", "AnyConnect/"};

	for (size_t i = 0; agent != NULL && i < sizeof(cisco) / sizeof(cisco[0]); i++) {
		if (strncmp(agent, cisco[i], strlen(cisco[i])) == 0)
			return true;
	}
	return false;
}

// Phones and tablets say so in their platform. What says no platform but a device is one, too:
// nothing else tells its device.
static bool is_mobile(const struct http_request *req) {
	const char *platform = http_header_get(req, "X-AnyConnect-Identifier-Platform");

	if (platform == NULL)
		return http_header_get(req, "X-AnyConnect-Identifier-DeviceType") != NULL;
	return strncasecmp(platform, "apple-ios", 9) == 0 ||
		strncasecmp(platform, "android", 7) == 0;
}

static uint32_t wishes_of(const struct http_request *req, const struct cfg *cfg) {
	const char *types = http_header_get(req, "X-CSTP-Address-Type");
	const char *full = http_header_get(req, "X-CSTP-Full-IPv6-Capability");
	uint32_t wishes = 0;

	if (types == NULL || list_has(types, ", \t", "IPv4"))
		wishes |= IPC_WISH_V4;
	if (list_has(types, ", \t", "IPv6"))
		wishes |= IPC_WISH_V6;
	if (full != NULL && strcasecmp(full, "true") == 0)
		wishes |= IPC_WISH_FULL_IPV6;
	if (is_mobile(req))
		wishes |= IPC_WISH_MOBILE;
	if (cfg->dtls_psk &&
		list_has(http_header_get(req, "X-DTLS-CipherSuite"), ": \t", "PSK-NEGOTIATE"))
		wishes |= IPC_WISH_DTLS_PSK;
	if (cstp_agent_cisco(http_header_get(req, "User-Agent")))
		wishes |= IPC_WISH_CISCO;
	return wishes;
}

static bool master_read(struct ipc_connect *connect, const struct http_request *req) {
	const char *text = http_header_get(req, "X-DTLS-Master-Secret");

	if (text == NULL)
		return false;
	if (hex_decode(connect->master, IPC_MASTER_LEN, text, strlen(text)))
		return true;
	explicit_bzero(connect->master, IPC_MASTER_LEN);
	return false;
}

int cstp_connect_parse(struct ipc_connect *connect, struct cstp_offer *offer,
	const struct http_request *req, const struct cfg *cfg) {
	const char *cookie;
	size_t len;

	memset(offer, 0, sizeof(*offer));
	if (!http_cookie_get(req, "webvpn", &cookie, &len) ||
		!base64_decode(connect->cookie, IPC_COOKIE_LEN, cookie, len))
		return 401;
	connect->wishes = wishes_of(req, cfg);
	if ((connect->wishes & (IPC_WISH_V4 | IPC_WISH_V6)) == 0)
		return 400;
	connect->base_mtu = number16(http_header_get(req, "X-CSTP-Base-MTU"));
	connect->mtu = number16(http_header_get(req, "X-CSTP-MTU"));
	if (cfg->dtls_legacy && master_read(connect, req))
		legacy_choose(connect, offer, req);
	name_copy(connect->hostname, IPC_NAME_LEN, http_header_get(req, "X-CSTP-Hostname"));
	name_copy(connect->agent, IPC_AGENT_LEN, http_header_get(req, "User-Agent"));
	name_copy(connect->device_type, IPC_NAME_LEN,
		http_header_get(req, "X-AnyConnect-Identifier-DeviceType"));
	name_copy(connect->device_platform, IPC_NAME_LEN,
		http_header_get(req, "X-AnyConnect-Identifier-Platform"));
	name_copy(offer->hostname, IPC_NAME_LEN, connect->hostname);
	offer->wishes = connect->wishes;
	return 0;
}

static const char *status_text(unsigned status) {
	switch (status) {
	case 400:
		return "Bad Request";
	case 401:
		return "Cookie is not acceptable";
	case 404:
		return "Not Found";
	default:
		return "Service Unavailable";
	}
}

void cstp_refuse(struct buf *out, unsigned status, const char *reason) {
	buf_printf(out, "HTTP/1.1 %u %s\r\n", status, status_text(status));
	if (reason != NULL && reason[0] != '\0')
		buf_printf(out, "X-Reason: %s\r\n", reason);
	buf_puts(out, "Content-Length: 0\r\nConnection: close\r\n\r\n");
}

// --- headers of the 200, in the order in which clients are used to see them ---

struct answer {
	struct buf *out;
	const struct ipc_connect_result *result;
	const struct cstp_offer *offer;
	const struct settings *settings;
};

// A v4-mapped address as v4 text, another as v6 text.
static void header_addr(
	struct buf *out, const char *name, const struct abi_addr *addr, int prefix) {
	char room[ADDR_TEXT_LEN];
	const char *text = addr_text(addr, room);

	if (prefix < 0)
		buf_printf(out, "%s: %s\r\n", name, text);
	else
		buf_printf(out, "%s: %s/%d\r\n", name, text, prefix);
}

static void header_number(struct buf *out, const char *name, uint32_t value) {
	if (value != 0)
		buf_printf(out, "%s: %u\r\n", name, value);
}

static void header_text(struct buf *out, const char *name, const char *value) {
	if (value != NULL && value[0] != '\0')
		buf_printf(out, "%s: %s\r\n", name, value);
}

static void addresses(const struct answer *a) {
	const struct ipc_connect_result *result = a->result;
	struct abi_addr net = result->inner6;
	unsigned prefix = result->inner6_prefix;

	if (!abi_addr_none(&result->inner4)) {
		header_addr(a->out, "X-CSTP-Address", &result->inner4, -1);
		header_addr(a->out, "X-CSTP-Netmask", &result->netmask4, -1);
	}
	if (abi_addr_none(&result->inner6))
		return;
	if (a->offer->wishes & IPC_WISH_FULL_IPV6) {
		header_addr(a->out, "X-CSTP-Address-IP6", &result->inner6, (int)prefix);
		return;
	}
	header_addr(a->out, "X-CSTP-Address", &result->inner6, -1);
	for (unsigned i = 0; i < 128; i++) {
		if (i >= prefix)
			net.bytes[i / 8] &= (uint8_t) ~(0x80u >> i % 8);
	}
	header_addr(a->out, "X-CSTP-Netmask", &net, (int)prefix);
}

static void cfg_addr_text(char *text, size_t size, const struct cfg_addr *addr) {
	if (inet_ntop(addr->family, addr->bytes, text, (socklen_t)size) == NULL)
		text[0] = '\0';
}

static void name_servers(const struct answer *a) {
	const struct cfg_network *net = &a->settings->network;
	char text[INET6_ADDRSTRLEN];

	for (size_t i = 0; i < net->nb_dns; i++) {
		bool other = net->dns[i].family == AF_INET6 && a->offer->wishes & IPC_WISH_CISCO;

		cfg_addr_text(text, sizeof(text), &net->dns[i]);
		header_text(a->out, other ? "X-CSTP-DNS-IP6" : "X-CSTP-DNS", text);
	}
	for (size_t i = 0; i < net->nb_nbns; i++) {
		cfg_addr_text(text, sizeof(text), &net->nbns[i]);
		header_text(a->out, "X-CSTP-NBNS", text);
	}
	for (size_t i = 0; i < net->nb_split_dns; i++)
		header_text(a->out, "X-CSTP-Split-DNS", net->split_dns[i]);
}

static void routes(
	const struct answer *a, const char *name, const struct cfg_prefix *list, size_t n) {
	char text[INET6_ADDRSTRLEN], mask[INET_ADDRSTRLEN];

	for (size_t i = 0; i < n; i++) {
		cfg_addr_text(text, sizeof(text), &list[i].addr);
		if (list[i].addr.family == AF_INET6) {
			if (a->offer->wishes & IPC_WISH_FULL_IPV6)
				buf_printf(a->out, "%s-IP6: %s/%u\r\n", name, text, list[i].len);
			else
				buf_printf(a->out, "%s: %s/%u\r\n", name, text, list[i].len);
			continue;
		}
		uint32_t bits = list[i].len == 0 ? 0 : htonl(UINT32_MAX << (32 - list[i].len));

		inet_ntop(AF_INET, &bits, mask, sizeof(mask));
		buf_printf(a->out, "%s: %s/%s\r\n", name, text, mask);
	}
}

static void timers(const struct answer *a) {
	const struct ipc_connect_result *result = a->result;
	struct buf *out = a->out;

	header_number(out, "X-CSTP-Keepalive", result->keepalive);
	if (result->idle_timeout != 0)
		header_number(out, "X-CSTP-Idle-Timeout", result->idle_timeout);
	else
		buf_puts(out, "X-CSTP-Idle-Timeout: none\r\n");
	buf_puts(out, "X-CSTP-Smartcard-Removal-Disconnect: true\r\n");
	header_number(out, "X-CSTP-Rekey-Time", result->rekey_time);
	buf_printf(out, "X-CSTP-Rekey-Method: %s\r\n", result->rekey_time ? "new-tunnel" : "none");
	if (result->session_timeout == 0) {
		buf_puts(out, "X-CSTP-Lease-Duration: none\r\nX-CSTP-Session-Timeout: none\r\n");
	} else {
		header_number(out, "X-CSTP-Lease-Duration", result->session_timeout);
		header_number(out, "X-CSTP-Session-Timeout", result->session_timeout);
		buf_printf(
			out, "X-CSTP-Session-Timeout-Remaining: %u\r\n", result->session_remaining);
	}
	buf_puts(out,
		"X-CSTP-Disconnected-Timeout: none\r\n"
		"X-CSTP-Keep: true\r\n"
		"X-CSTP-TCP-Keepalive: true\r\n"
		"X-CSTP-License: accept\r\n");
}

static void dtls(const struct answer *a) {
	const struct ipc_connect_result *result = a->result;
	char id[2 * IPC_APP_ID_LEN + 1];
	struct buf *out = a->out;

	if (result->dtls == IPC_DTLS_NONE || result->udp_port == 0 ||
		(result->dtls == IPC_DTLS_LEGACY && a->offer->legacy_name == NULL))
		return;
	header_number(out, "X-DTLS-DPD", result->dpd);
	header_number(out, "X-DTLS-Port", result->udp_port);
	// A little later than the TLS channel's: one new tunnel renews both.
	if (result->rekey_time != 0)
		buf_printf(out, "X-DTLS-Rekey-Time: %u\r\nX-DTLS-Rekey-Method: new-tunnel\r\n",
			result->rekey_time + 10);
	header_number(out, "X-DTLS-Keepalive", result->keepalive);
	hex_encode(id, result->app_id, IPC_APP_ID_LEN, false);
	if (result->dtls == IPC_DTLS_PSK)
		buf_printf(out, "X-DTLS-App-ID: %s\r\nX-DTLS-CipherSuite: PSK-NEGOTIATE\r\n", id);
	else
		buf_printf(out, "X-DTLS-Session-ID: %s\r\nX-DTLS%s-CipherSuite: %s\r\n", id,
			a->offer->dtls12 ? "12" : "", a->offer->legacy_name);
	header_number(out, "X-DTLS-MTU", result->dtls_mtu);
}

// A header is one line: what is no printable ASCII goes as %XX, which clients undo.
static void banner(const struct answer *a) {
	const char *text = a->settings->network.banner;

	if (text == NULL || text[0] == '\0')
		return;
	buf_puts(a->out, "X-CSTP-Banner: ");
	for (; *text != '\0'; text++) {
		if ((unsigned char)*text < 0x20 || (unsigned char)*text >= 0x7f || *text == '%')
			buf_printf(a->out, "%%%02X", (unsigned char)*text);
		else
			buf_add(a->out, text, 1);
	}
	buf_puts(a->out, "\r\n");
}

// With user and group in the places of %{U} and %{G}; in a URL percent-encoded.
static void text_with_names(const struct answer *a, const char *text, bool url) {
	char encoded[3 * IPC_USER_LEN];

	_Static_assert(IPC_USER_LEN >= IPC_GROUP_LEN, "either fits");
	while (*text != '\0') {
		bool user = strncmp(text, "%{U}", 4) == 0;

		if (!user && strncmp(text, "%{G}", 4) != 0) {
			buf_add(a->out, text++, 1);
			continue;
		}
		const char *name = user ? a->result->username : a->result->group;

		if (url)
			percent_encode(encoded, name);
		buf_puts(a->out, url ? encoded : name);
		text += 4;
	}
	buf_puts(a->out, "\r\n");
}

static void custom(const struct answer *a) {
	const struct cfg_network *net = &a->settings->network;

	if (net->proxy_url != NULL && net->proxy_url[0] != '\0') {
		buf_puts(a->out, "X-CSTP-MSIE-Proxy-PAC-URL: ");
		text_with_names(a, net->proxy_url, true);
	}
	for (size_t i = 0; i < net->nb_custom_headers; i++)
		text_with_names(a, net->custom_headers[i], false);
}

static void accept_answer(const struct answer *a) {
	const struct cfg_network *net = &a->settings->network;
	struct buf *out = a->out;

	buf_puts(out,
		"HTTP/1.1 200 CONNECTED\r\n"
		"X-CSTP-Version: 1\r\n"
		"X-CSTP-Server-Name: Penstock " PENSTOCK_VERSION "\r\n");
	header_text(out, "X-CSTP-Hostname",
		a->settings->hostname != NULL ? a->settings->hostname : a->offer->hostname);
	header_number(out, "X-CSTP-DPD", a->result->dpd);
	header_text(out, "X-CSTP-Default-Domain", net->default_domain);
	addresses(a);
	name_servers(a);
	routes(a, "X-CSTP-Split-Include", net->split_include, net->nb_split_include);
	buf_printf(out, "X-CSTP-Tunnel-All-DNS: %s\r\n", net->tunnel_all_dns ? "true" : "false");
	buf_printf(out, "X-CSTP-Client-Bypass-Protocol: %s\r\n",
		net->client_bypass_protocol ? "true" : "false");
	routes(a, "X-CSTP-Split-Exclude", net->split_exclude, net->nb_split_exclude);
	timers(a);
	dtls(a);
	header_number(out, "X-CSTP-Base-MTU", a->result->base_mtu);
	header_number(out, "X-CSTP-MTU", a->result->cstp_mtu);
	banner(a);
	custom(a);
	buf_puts(out, "\r\n");
}

void cstp_connect_answer(struct buf *out, const struct ipc_connect_result *result,
	const struct cstp_offer *offer, const struct cfg *cfg) {
	const struct settings_who who = {
		result->server_name, result->group, result->username, &result->settings};
	struct settings settings;

	if (result->status != 0) {
		cstp_refuse(out, result->status == 401 ? 401 : 503, result->reason);
		return;
	}
	settings_compute(&settings, cfg, &who);
	accept_answer(&(struct answer){out, result, offer, &settings});
}
