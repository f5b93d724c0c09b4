// SPDX-License-Identifier: GPL-3.0-or-later
// CONNECT and its headers as clients read them: tests of controlplane/edge/cstp.c.

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "portal_fixture.h"

#define COOKIE "Cookie: webvpn=AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\r\n"
#define SECRET \
	"X-DTLS-Master-Secret: 000102030405060708090A0B0C0D0E0F101112131415161718191A1B1C1D1E1F" \
	"202122232425262728292A2B2C2D2E2F\r\n"

static void test_connect_request(void **state) {
	struct exchange x = {0};

	ask(&x,
		"CONNECT /CSCOSSLC/tunnel HTTP/1.1\r\n" AGENT COOKIE SECRET
		"X-CSTP-Hostname: laptop\r\nX-CSTP-Base-MTU: 1500\r\nX-CSTP-MTU: 1390\r\n"
		"X-CSTP-Address-Type: IPv6,IPv4\r\nX-CSTP-Full-IPv6-Capability: true\r\n"
		"X-DTLS-CipherSuite: PSK-NEGOTIATE:OC-DTLS1_2-AES256-GCM:OC-DTLS1_2-AES128-GCM:"
		"AES128-SHA\r\n\r\n");
	assert_int_equal(x.todo, PORTAL_CONNECT);
	assert_true(x.portal.close);
	assert_int_equal(x.connect.cookie[31], 31);
	assert_int_equal(x.connect.master[47], 0x2f);
	assert_int_equal(x.connect.base_mtu, 1500);
	assert_int_equal(x.connect.mtu, 1390);
	assert_int_equal(x.connect.wishes,
		IPC_WISH_V4 | IPC_WISH_V6 | IPC_WISH_FULL_IPV6 | IPC_WISH_DTLS_PSK);
	assert_string_equal(x.connect.hostname, "laptop");
	// The suite like the TLS channel's wins over the stronger one.
	assert_int_equal(x.connect.legacy_cipher, ABI_AES_128_GCM);
	assert_string_equal(x.portal.offer.legacy_name, "OC-DTLS1_2-AES128-GCM");
	assert_false(x.portal.offer.dtls12);

	ask(&x,
		"CONNECT CSCOSSLC/tunnel HTTP/1.1\r\nUser-Agent: Cisco AnyConnect 4.9\r\n" COOKIE
			SECRET
		"X-DTLS12-CipherSuite: ECDHE-RSA-AES256-GCM-SHA384:AES256-GCM-SHA384\r\n"
		"X-DTLS-CipherSuite: OC-DTLS1_2-AES128-GCM\r\n"
		"X-AnyConnect-Identifier-DeviceType: phone\r\n\r\n");
	assert_int_equal(x.todo, PORTAL_CONNECT);
	assert_int_equal(x.connect.wishes, IPC_WISH_V4 | IPC_WISH_MOBILE | IPC_WISH_CISCO);
	assert_string_equal(x.portal.offer.legacy_name, "AES256-GCM-SHA384");
	assert_true(x.portal.offer.dtls12);
	assert_string_equal(x.connect.device_type, "phone");
	ask(&x,
		"CONNECT CSCOSSLC/tunnel HTTP/1.1\r\n" COOKIE
		"X-AnyConnect-Identifier-DeviceType: laptop\r\n"
		"X-AnyConnect-Identifier-Platform: win\r\n\r\n");
	assert_int_equal(x.connect.wishes, IPC_WISH_V4);

	ask(&x,
		"CONNECT /CSCOSSLC/tunnel HTTP/1.1\r\n" COOKIE "X-DTLS-CipherSuite: AES128-SHA\r\n"
		"X-DTLS-Master-Secret: 00\r\n\r\n");
	assert_int_equal(x.connect.legacy_cipher, 0);
	assert_null(x.portal.offer.legacy_name);
	buf_reset(&x.out);
}

static void test_connect_refused(void **state) {
	struct exchange x = {0};

	ask(&x, "CONNECT /CSCOSSLC/tunnel HTTP/1.1\r\n\r\n");
	has(&x, "HTTP/1.1 401 Cookie is not acceptable\r\n");
	ask(&x, "CONNECT /CSCOSSLC/tunnel HTTP/1.1\r\nCookie: webvpn=AAEC\r\n\r\n");
	has(&x, "HTTP/1.1 401 Cookie is not acceptable\r\n");
	ask(&x, "CONNECT example.org:443 HTTP/1.1\r\n" COOKIE "\r\n");
	has(&x, "HTTP/1.1 404 ");
	assert_true(x.portal.close);
	buf_reset(&x.out);
}

static void addr4(struct abi_addr *addr, const char *text) {
	memset(addr, 0, sizeof(*addr));
	addr->bytes[10] = addr->bytes[11] = 0xff;
	inet_pton(AF_INET, text, addr->bytes + 12);
}

static struct ipc_connect_result result_new(void) {
	struct ipc_connect_result r = {
		.inner6_prefix = 128,
		.dtls = IPC_DTLS_PSK,
		.udp_port = 443,
		.cstp_mtu = 1406,
		.dtls_mtu = 1434,
		.base_mtu = 1500,
		.dpd = 90,
		.keepalive = 32400,
		.rekey_time = 3600,
	};

	addr4(&r.inner4, "10.0.0.7");
	addr4(&r.netmask4, "255.255.255.0");
	inet_pton(AF_INET6, "2001:db8::7", r.inner6.bytes);
	memset(r.app_id, 0xa5, sizeof(r.app_id));
	return r;
}

static void test_connect_answer(void **state) {
	struct ipc_connect_result r = result_new();
	struct cstp_offer offer = {.wishes = IPC_WISH_FULL_IPV6, .hostname = "laptop"};
	struct exchange x = {0};

	cstp_connect_answer(&x.out, &r, &offer, &cfg);
	buf_add(&x.out, "", 1);
	assert_string_equal(text_of(&x),
		"HTTP/1.1 200 CONNECTED\r\n"
		"X-CSTP-Version: 1\r\n"
		"X-CSTP-Server-Name: Penstock " PENSTOCK_VERSION "\r\n"
		"X-CSTP-Hostname: laptop\r\n"
		"X-CSTP-DPD: 90\r\n"
		"X-CSTP-Default-Domain: example.org\r\n"
		"X-CSTP-Address: 10.0.0.7\r\n"
		"X-CSTP-Netmask: 255.255.255.0\r\n"
		"X-CSTP-Address-IP6: 2001:db8::7/128\r\n"
		"X-CSTP-DNS: 192.0.2.53\r\n"
		"X-CSTP-DNS: 2001:db8::53\r\n"
		"X-CSTP-NBNS: 192.0.2.53\r\n"
		"X-CSTP-Split-DNS: example.org\r\n"
		"X-CSTP-Split-DNS: example.net\r\n"
		"X-CSTP-Split-Include: 10.1.0.0/255.255.0.0\r\n"
		"X-CSTP-Split-Include-IP6: 2001:db8:1::/48\r\n"
		"X-CSTP-Tunnel-All-DNS: true\r\n"
		"X-CSTP-Client-Bypass-Protocol: false\r\n"
		"X-CSTP-Split-Exclude: 10.1.2.0/255.255.254.0\r\n"
		"X-CSTP-Keepalive: 32400\r\n"
		"X-CSTP-Idle-Timeout: none\r\n"
		"X-CSTP-Smartcard-Removal-Disconnect: true\r\n"
		"X-CSTP-Rekey-Time: 3600\r\n"
		"X-CSTP-Rekey-Method: new-tunnel\r\n"
		"X-CSTP-Lease-Duration: none\r\n"
		"X-CSTP-Session-Timeout: none\r\n"
		"X-CSTP-Disconnected-Timeout: none\r\n"
		"X-CSTP-Keep: true\r\n"
		"X-CSTP-TCP-Keepalive: true\r\n"
		"X-CSTP-License: accept\r\n"
		"X-DTLS-DPD: 90\r\n"
		"X-DTLS-Port: 443\r\n"
		"X-DTLS-Rekey-Time: 3610\r\n"
		"X-DTLS-Rekey-Method: new-tunnel\r\n"
		"X-DTLS-Keepalive: 32400\r\n"
		"X-DTLS-App-ID: a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5\r\n"
		"X-DTLS-CipherSuite: PSK-NEGOTIATE\r\n"
		"X-DTLS-MTU: 1434\r\n"
		"X-CSTP-Base-MTU: 1500\r\n"
		"X-CSTP-MTU: 1406\r\n"
		"X-CSTP-Banner: Welcome: 100%25%0A<b>\r\n"
		"\r\n");
	buf_reset(&x.out);
}

static void test_connect_variants(void **state) {
	struct ipc_connect_result r = result_new();
	struct cstp_offer offer = {.legacy_name = "AES256-GCM-SHA384", .dtls12 = true};
	struct exchange x = {0};

	r.dtls = IPC_DTLS_LEGACY;
	r.inner6_prefix = 64;
	r.session_timeout = 7200;
	r.session_remaining = 7000;
	r.idle_timeout = 600;
	r.rekey_time = 0;
	cstp_connect_answer(&x.out, &r, &offer, &cfg);
	buf_add(&x.out, "", 1);
	has(&x, "X-CSTP-Address: 2001:db8::7\r\nX-CSTP-Netmask: 2001:db8::/64\r\n");
	has_not(&x, "X-CSTP-Address-IP6");
	has(&x, "X-DTLS-Session-ID: a5a5");
	has(&x, "X-DTLS12-CipherSuite: AES256-GCM-SHA384\r\n");
	has(&x, "X-CSTP-Session-Timeout: 7200\r\nX-CSTP-Session-Timeout-Remaining: 7000\r\n");
	has(&x, "X-CSTP-Idle-Timeout: 600\r\n");
	has(&x, "X-CSTP-Rekey-Method: none\r\n");
	has_not(&x, "X-DTLS-App-ID");
	has_not(&x, "Rekey-Time");
	buf_reset(&x.out);

	r.dtls = IPC_DTLS_NONE;
	memset(&r.inner6, 0, sizeof(r.inner6));
	offer.wishes = IPC_WISH_CISCO | IPC_WISH_FULL_IPV6;
	cstp_connect_answer(&x.out, &r, &offer, &cfg);
	buf_add(&x.out, "", 1);
	has_not(&x, "X-DTLS");
	has_not(&x, "2001:db8::7");
	has(&x, "X-CSTP-DNS-IP6: 2001:db8::53\r\n");
	buf_reset(&x.out);

	r.status = 503;
	strcpy(r.reason, "No address left");
	cstp_connect_answer(&x.out, &r, &offer, &cfg);
	buf_add(&x.out, "", 1);
	assert_memory_equal(text_of(&x),
		"HTTP/1.1 503 Service Unavailable\r\nX-Reason: No address left\r\n", 61);
	buf_reset(&x.out);
}

// The answer is made of the settings of the session that the result names.
static void test_connect_settings(void **state) {
	static struct cfg_addr own_dns[] = {{AF_INET, {192, 0, 2, 54}}};
	static char line[] = "X-Desk: %{U} of %{G}%{", *lines[] = {line};
	static struct cfg_user user = {
		.name = "ann",
		.settings = {.set = CFG_SET_DNS | CFG_SET_BANNER | CFG_SET_HOSTNAME |
				CFG_SET_TUNNEL_ALL_DNS | CFG_SET_PROXY_URL | CFG_SET_CUSTOM_HEADERS,
			.network = {.dns = own_dns,
				.nb_dns = 1,
				.banner = "Hello, ann",
				.proxy_url = "http://pac.example.org/%{G}/%{U}.pac",
				.custom_headers = lines,
				.nb_custom_headers = 1},
			.hostname = "anns-laptop"},
	};
	struct ipc_connect_result r = result_new();
	struct cstp_offer offer = {.wishes = IPC_WISH_FULL_IPV6, .hostname = "laptop"};
	struct cfg with = cfg;
	struct exchange x = {0};

	with.users = &user;
	with.nb_users = 1;
	strcpy(r.username, "ann");
	strcpy(r.group, "a/b");
	r.settings.nb_routes = 1;
	addr4(&r.settings.routes[0].addr, "10.77.0.0");
	r.settings.routes[0].len = 16;
	cstp_connect_answer(&x.out, &r, &offer, &with);
	buf_add(&x.out, "", 1);
	has(&x, "X-CSTP-Hostname: anns-laptop\r\n");
	has(&x, "X-CSTP-DNS: 192.0.2.54\r\nX-CSTP-NBNS: 192.0.2.53\r\n");
	has_not(&x, "2001:db8::53");
	has(&x, "X-CSTP-Split-Include: 10.77.0.0/255.255.0.0\r\nX-CSTP-Tunnel-All-DNS: false\r\n");
	has(&x, "X-CSTP-Split-Exclude: 10.1.2.0/255.255.254.0\r\n");
	has(&x, "X-CSTP-Banner: Hello, ann\r\n");
	has(&x, "X-CSTP-MSIE-Proxy-PAC-URL: http://pac.example.org/a%2Fb/ann.pac\r\n");
	has(&x, "X-Desk: ann of a/b%{\r\n");
	buf_reset(&x.out);
	strcpy(r.username, "bob");
	r.settings.nb_routes = 0;
	cstp_connect_answer(&x.out, &r, &offer, &with);
	buf_add(&x.out, "", 1);
	has(&x, "X-CSTP-Hostname: laptop\r\n");
	has(&x, "X-CSTP-Split-Include: 10.1.0.0/255.255.0.0\r\n");
	has(&x, "X-CSTP-Banner: Welcome");
	buf_reset(&x.out);
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_connect_request),
		cmocka_unit_test(test_connect_refused),
		cmocka_unit_test(test_connect_answer),
		cmocka_unit_test(test_connect_variants),
		cmocka_unit_test(test_connect_settings),
	};

	return cmocka_run_group_tests_name("edge_cstp", tests, NULL, NULL);
}
