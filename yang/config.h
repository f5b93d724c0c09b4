// SPDX-License-Identifier: GPL-3.0-or-later
// The configuration as C structures, read from RFC 7951 JSON by libyang. Used by every process.
//
// cfg_load_* validate against the YANG modules (embedded in the program, no files are read) and
// then against the rules that YANG cannot say. All strings are owned by the struct cfg, never
// NULL (empty when not set). Lists are arrays of the given number of entries. Times are in
// seconds, rates in bytes per second, 0 is "off" unless stated.
#pragma once

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct cfg_addr {
	uint8_t family; // AF_INET or AF_INET6; 0: none
	uint8_t bytes[16]; // v4: the first 4
};

struct cfg_prefix {
	struct cfg_addr addr; // host bits are kept (an interface's address) or 0 (a network)
	uint8_t len;
};

enum cfg_port_mode {
	CFG_PORT_DEDICATED, // a DPDK port with a TAP twin in the kernel
	CFG_PORT_SHARED, // AF_XDP (or AF_PACKET) beside the kernel on one NIC; WAN only
	CFG_PORT_TAP, // a TAP into the host kernel; LAN only
};

enum cfg_port_role {
	CFG_ROLE_WAN = 1,
	CFG_ROLE_LAN = 2,
};

enum cfg_driver {
	CFG_DRIVER_AUTO, // shared: AF_XDP, else AF_PACKET
	CFG_DRIVER_AF_XDP,
	CFG_DRIVER_AF_PACKET,
	CFG_DRIVER_DEVARGS, // any DPDK device: `device` is its devargs
};

struct cfg_port {
	char *name;
	enum cfg_port_role role;
	enum cfg_port_mode mode;
	enum cfg_driver driver;
	char *device; // PCI address or vdev devargs (driver devargs), or kernel interface name
	char *kernel_if; // name of the twin or TAP; empty: the port's name
	struct cfg_prefix *addresses; // set on the twin or TAP by the dataplane
	size_t nb_addresses;
	uint16_t mtu; // link MTU; 0: the device's own
	uint16_t rx_queues; // 0: one a worker where the device can
	uint16_t descriptors; // 0: default
};

enum cfg_idle {
	CFG_IDLE_ADAPTIVE,
	CFG_IDLE_BUSY,
};

struct cfg_dataplane {
	uint32_t workers; // packet lcores
	uint32_t streamers; // stream lcores
	uint32_t *cpus; // CPUs for workers, then streamers, then control; empty: all allowed ones
	size_t nb_cpus;
	enum cfg_idle idle;
	bool hugepages; // false: --no-huge
	uint32_t memory_mb; // 0: default
	uint32_t sessions_max;
	uint32_t mbufs; // 0: default
	bool client_to_client;
	uint32_t handshake_rate; // punted handshake datagrams a second, all together
	uint32_t icmp_rate; // ICMP errors a second and worker
	struct cfg_port *ports;
	size_t nb_ports;
};

struct cfg_listen {
	struct cfg_addr addr; // family 0: all addresses of both families
	uint16_t tcp_port;
	uint16_t udp_port; // 0: no DTLS
	bool proxy_required; // a header of the PROXY protocol, from one of these:
	struct cfg_prefix *trusted_proxies;
	size_t nb_trusted_proxies;
};

struct cfg_certificate {
	char *name;
	char *certificate_file; // PEM, leaf first, then the chain
	char *key_file; // PEM
	char **server_names; // SNI; may hold *.example.org; empty: the names in the certificate
	size_t nb_server_names;
};

struct cfg_pool {
	char *name;
	struct cfg_prefix v4; // network; len 0 and family 0: none
	struct cfg_prefix v6;
	struct cfg_addr gateway4; // the gateway's own address in the pool, never leased
	struct cfg_addr gateway6;
	uint8_t v6_client_prefix; // length given to each client, 128 by default
};

#define CFG_ROUTES_MAX 1024u // in a list of them

enum cfg_protocol {
	CFG_PROTOCOL_TCP,
	CFG_PROTOCOL_UDP,
	CFG_PROTOCOL_SCTP,
	CFG_PROTOCOL_ICMP,
	CFG_PROTOCOL_ICMPV6,
	CFG_PROTOCOL_ESP,
	CFG_PROTOCOL_MAX,
};

// A protocol and ports of it; 0 to 65535 are all, and what protocols without ports have.
struct cfg_service {
	enum cfg_protocol protocol;
	uint16_t low, high;
};

enum cfg_reach_mode {
	CFG_REACH_ALL, // every protocol
	CFG_REACH_ALLOW, // the services alone
	CFG_REACH_DENY, // all but them
};

// Where clients may reach.
struct cfg_reach {
	bool to_routes; // split-include without split-exclude, and the DNS servers
	enum cfg_reach_mode mode;
	struct cfg_service *services; // grouped by protocol
	size_t nb_services;
};

// What clients are told (RFC-less AnyConnect headers, see docs/protocol.md), and held to.
struct cfg_network {
	struct cfg_addr *dns;
	size_t nb_dns;
	struct cfg_addr *nbns; // v4
	size_t nb_nbns;
	struct cfg_prefix *split_include;
	size_t nb_split_include;
	struct cfg_prefix *split_exclude;
	size_t nb_split_exclude;
	char **split_dns;
	size_t nb_split_dns;
	char *default_domain;
	bool tunnel_all_dns;
	bool client_bypass_protocol;
	char *banner;
	char *proxy_url; // of a PAC file; %{U} and %{G} in it are user and group
	char **custom_headers; // lines of the answer to CONNECT, with the same
	size_t nb_custom_headers;
	char *pre_login_banner;
	uint16_t mtu; // of inner packets at most; 0: from the client's link
	uint32_t keepalive;
	uint32_t dpd;
	uint32_t mobile_dpd;
	uint32_t idle_timeout;
	uint32_t mobile_idle_timeout; // 0: as idle_timeout
	uint32_t session_timeout;
	uint32_t rekey_time; // 0: none
	uint32_t switch_to_tcp; // 0: 3 x DPD
	uint32_t rx_rate, tx_rate;
	uint8_t dscp; // of packets to clients, outside
	bool dscp_copy; // that of the packet inside instead
	struct cfg_reach reach;
	bool append_routes; // of the top level: behind those of virtual hosts, groups and users
};

// Bits of struct cfg_settings.set.
#define CFG_SET_DNS (UINT64_C(1) << 0)
#define CFG_SET_NBNS (UINT64_C(1) << 1)
#define CFG_SET_SPLIT_INCLUDE (UINT64_C(1) << 2)
#define CFG_SET_SPLIT_EXCLUDE (UINT64_C(1) << 3)
#define CFG_SET_SPLIT_DNS (UINT64_C(1) << 4)
#define CFG_SET_DEFAULT_DOMAIN (UINT64_C(1) << 5)
#define CFG_SET_TUNNEL_ALL_DNS (UINT64_C(1) << 6)
#define CFG_SET_CLIENT_BYPASS (UINT64_C(1) << 7)
#define CFG_SET_BANNER (UINT64_C(1) << 8)
#define CFG_SET_MTU (UINT64_C(1) << 9)
#define CFG_SET_KEEPALIVE (UINT64_C(1) << 10)
#define CFG_SET_DPD (UINT64_C(1) << 11)
#define CFG_SET_MOBILE_DPD (UINT64_C(1) << 12)
#define CFG_SET_IDLE_TIMEOUT (UINT64_C(1) << 13)
#define CFG_SET_SESSION_TIMEOUT (UINT64_C(1) << 14)
#define CFG_SET_REKEY_TIME (UINT64_C(1) << 15)
#define CFG_SET_SWITCH_TO_TCP (UINT64_C(1) << 16)
#define CFG_SET_RX_RATE (UINT64_C(1) << 17)
#define CFG_SET_TX_RATE (UINT64_C(1) << 18)
#define CFG_SET_HOSTNAME (UINT64_C(1) << 19)
#define CFG_SET_POOLS (UINT64_C(1) << 20)
#define CFG_SET_NO_UDP (UINT64_C(1) << 21)
#define CFG_SET_MAX_SAME_CLIENTS (UINT64_C(1) << 22)
#define CFG_SET_DENY_ROAMING (UINT64_C(1) << 23)
#define CFG_SET_IPV4 (UINT64_C(1) << 24)
#define CFG_SET_IPV6 (UINT64_C(1) << 25)
#define CFG_SET_TO_ROUTES (UINT64_C(1) << 26)
#define CFG_SET_TO_PORTS (UINT64_C(1) << 27)
#define CFG_SET_FILTER (UINT64_C(1) << 28)
#define CFG_SET_MOBILE_IDLE (UINT64_C(1) << 29)
#define CFG_SET_IROUTES (UINT64_C(1) << 30)
#define CFG_SET_DSCP (UINT64_C(1) << 31)
#define CFG_SET_PROXY_URL (UINT64_C(1) << 32)
#define CFG_SET_CUSTOM_HEADERS (UINT64_C(1) << 33)

// What is different for the sessions of a virtual host, a group or a user. What is not in `set` is
// empty or 0 and counts for nothing.
struct cfg_settings {
	uint64_t set; // CFG_SET_*
	struct cfg_network network; // no pre_login_banner
	char *hostname; // that the client is told to be its own
	char **pools; // names
	size_t nb_pools;
	bool no_udp; // no DTLS
	uint32_t max_same_clients; // 0: no limit
	bool deny_roaming;
	struct cfg_addr ipv4, ipv6; // of a user alone: its own addresses
	char *filter; // name; empty: none
	struct cfg_prefix *iroutes; // networks behind the client
	size_t nb_iroutes;
};

// Restrictions by name.
struct cfg_filter {
	char *name;
	uint64_t set; // CFG_SET_TO_ROUTES, CFG_SET_TO_PORTS
	struct cfg_reach reach;
};

// What a user shows to be let in.
enum cfg_factor {
	CFG_FACTOR_PASSWORD_FILE = 1,
	CFG_FACTOR_RADIUS,
	CFG_FACTOR_OTP,
	CFG_FACTOR_PAM,
	CFG_FACTOR_CERTIFICATE,
	CFG_FACTOR_KERBEROS,
	CFG_FACTOR_OIDC,
};

#define CFG_FACTORS_MAX 4u

// A user who passes all factors, in this order, of any alternative is let in.
struct cfg_alternative {
	char *name;
	enum cfg_factor factors[CFG_FACTORS_MAX];
	size_t nb_factors;
};

// Certificates of clients.
struct cfg_client_cert {
	char *ca_file; // empty when no alternative uses it
	char **crl_files;
	size_t nb_crl_files;
	char *user_field; // object identifier, or SAN(...): see certificate-field of the types
	char *group_field; // the same; empty: none
	char *ocsp_url; // empty: no responder is asked
	bool ocsp_soft; // without an answer a certificate is good
	uint32_t ocsp_timeout_ms;
};

#define CFG_CRL_FILES_MAX 16u

struct cfg_otp {
	char *file; // as mod_authn_otp's UsersFile; empty: none
};

struct cfg_pam {
	char *service; // name of its file in /etc/pam.d
	uint32_t gid_min; // groups below are not the session's
	uint32_t step_timeout; // from an answer to the next question or the result
	uint32_t concurrency; // conversations at once
};

struct cfg_kerberos {
	char *keytab_file; // empty: none
	char **realms; // none: the keytab's
	size_t nb_realms;
	uint32_t ticket_freshness; // seconds that a ticket-granting ticket may be old; 0: any
	bool require_local_user_map; // false: users are known as name@REALM
};

// Points of an address and bans.
struct cfg_brute_force {
	uint32_t max_score; // 0: no bans
	uint32_t max_score_prefix; // of an IPv6 /64 as a whole
	uint32_t points_wrong_password, points_connection;
	uint32_t ban_time, reset_time;
	struct cfg_prefix *exempt;
	size_t nb_exempt;
};

struct cfg_camouflage {
	char *secret; // https://host/?SECRET; empty: off
	char *realm; // empty: 404
};

struct cfg_auth {
	char *password_file; // user:groups:crypt(3); empty when no alternative uses it
	bool end_removed_users; // sessions of users who are not in it any more
	struct cfg_alternative *alternatives; // at least one: the password file when none is set
	size_t nb_alternatives;
	struct cfg_otp otp;
	struct cfg_pam pam;
	struct cfg_client_cert client_cert;
	struct cfg_kerberos kerberos;
	bool select_group; // the form shows the selectable groups
	char *default_group; // empty: none
	bool group_by_url; // https://host/GROUP
	uint32_t password_tries; // 3
	uint32_t requests_per_connection; // 16
	uint32_t timeout; // of the whole login on one connection
	uint32_t header_timeout; // of one request, first to last byte
	uint32_t cookie_timeout; // after the connection has gone
	uint32_t max_clients; // 0: sessions_max
	uint32_t max_same_clients; // per user, 0: no limit
	bool replace_oldest; // who has as many and logs in again loses the oldest session
	bool lower_names; // cfg_name_fold() does something
	bool deny_roaming; // a cookie is bound to the address of the login
	struct cfg_brute_force brute_force;
	struct cfg_camouflage camouflage;
};

struct cfg_group {
	char *name;
	char *label; // for the form: the name when none is set
	bool selectable; // shown in the form
	struct cfg_settings settings;
};

struct cfg_user {
	char *name;
	struct cfg_settings settings;
};

// What is different for clients that come to one of these names.
struct cfg_vhost {
	char *name;
	char **server_names; // SNI; may hold *.example.org
	size_t nb_server_names;
	char *pre_login_banner; // empty: that of cfg.network
	struct cfg_alternative *alternatives; // none: those of cfg.auth
	size_t nb_alternatives;
	struct cfg_settings settings;
};

struct cfg_http_header {
	char *name, *value;
};

struct cfg_claim {
	char *name, *value;
};

// Whose bearer tokens are taken.
struct cfg_oidc {
	char *issuer; // empty: nobody's
	char *configuration_url; // empty: the issuer's well-known one
	char **audiences;
	size_t nb_audiences;
	char **algorithms; // names of RFC 7518
	size_t nb_algorithms;
	struct cfg_claim *required;
	size_t nb_required;
	char *user_claim, *group_claim; // group_claim empty: no groups
	uint32_t clock_skew;
	uint32_t refresh_interval; // at least between two fetches of the keys
	uint32_t keys_max_age;
	char *ca_file;
};

struct cfg_radius_server {
	char *name;
	struct cfg_addr addr;
	uint16_t auth_port, acct_port;
	char *secret_file; // the secret is its first line
};

// Who may send Disconnect-Request and CoA-Request (RFC 5176).
struct cfg_dynauth_client {
	struct cfg_addr addr;
	char *secret_file; // the secret is its first line
};

struct cfg_dynauth {
	struct cfg_addr addr; // that it listens on; family 0: all of both families
	uint16_t port; // 0: off, as there is no client
	struct cfg_dynauth_client *clients;
	size_t nb_clients;
	bool require_message_authenticator;
	uint32_t window; // of Event-Timestamp, seconds; 0: it does not count
};

struct cfg_radius {
	struct cfg_radius_server *servers; // in order of preference; none: no RADIUS
	size_t nb_servers;
	uint32_t timeout_ms; // of one try
	uint32_t tries; // of one server
	uint32_t dead_time; // 0: a server that does not answer is asked as before
	char *nas_identifier; // empty: the gateway's hostname
	struct cfg_addr nas_address; // family 0: the address that the client came to
	bool require_message_authenticator;
	char *default_realm; // without '@'; empty: none
	bool accounting;
	uint32_t interim_interval; // 0: none
	bool groups_from_class;
	struct cfg_dynauth dynauth;
};

// Programs of the operator; empty: none.
struct cfg_scripts {
	char *user; // that they run as; empty: root
	char *connect;
	char *disconnect;
	char *host_update;
	uint32_t timeout; // then it is killed
	bool required; // a failed connect script refuses the client
	uint32_t concurrency;
};

// Sessions that are shared with other gateways.
struct cfg_share {
	char *node; // name of this gateway; empty: nothing is shared
	char *socket; // UNIX socket of the server; empty: address and port
	struct cfg_addr address;
	uint16_t port;
	char *username; // empty: the server's default user
	char *password_file; // empty: none; the password is its first line
	char *secret_file; // 32 bytes
	char *prefix;
	bool allow_away; // logins go on while the server is away
};

enum cfg_log_level {
	CFG_LOG_ERROR,
	CFG_LOG_WARNING,
	CFG_LOG_INFO,
	CFG_LOG_DEBUG,
};

struct cfg {
	char *hostname; // shown to clients; empty: the machine's
	struct cfg_listen *listen;
	size_t nb_listen;
	struct cfg_certificate *certificates; // the first is used without SNI
	size_t nb_certificates;
	bool tls12, tls13;
	bool dtls_psk, dtls_legacy;
	char *state_dir; // store, cookie secret; default /var/lib/penstock
	char *run_dir; // sockets; default /run/penstock
	uint32_t edges; // edge processes
	uint32_t connections_per_edge; // at most, not yet in a tunnel
	uint32_t recycle_after; // connections in the life of an edge; 0: any number
	uint32_t recycle_timeout; // then it ends
	uint32_t signature_rate; // of one edge, a second; 0: no limit
	struct cfg_http_header *http_headers; // of each answer before the tunnel
	size_t nb_http_headers;
	char *health_path; // answered for load balancers; empty: none
	enum cfg_log_level log_level;
	struct cfg_auth auth;
	struct cfg_radius radius;
	struct cfg_oidc oidc;
	struct cfg_group *groups;
	size_t nb_groups;
	struct cfg_user *users; // sorted by name
	size_t nb_users;
	struct cfg_vhost *vhosts;
	size_t nb_vhosts;
	struct cfg_scripts scripts;
	struct cfg_filter *filters;
	size_t nb_filters;
	struct cfg_share share;
	struct cfg_network network;
	struct cfg_pool *pools;
	size_t nb_pools;
	struct cfg_dataplane dataplane;
};

// Compiles the YANG modules, once. The only step that looks at the file system (for libyang's
// plugins): a process that loads a configuration in a sandbox without files calls it (or loads one)
// before it enters. 0 or -errno. cfg_fini frees what it holds.
int cfg_init(void);
void cfg_fini(void);

// Parses and validates. On failure returns NULL and *error is a malloc'ed text of one or more
// lines, each: PATH: what is wrong, the value, what was expected. `name` is used in messages.
struct cfg *cfg_load_file(const char *path, char **error);
struct cfg *cfg_load_mem(const char *json, size_t len, const char *name, char **error);

void cfg_free(struct cfg *cfg);

// Is any of the operator's scripts configured?
static inline bool cfg_has_scripts(const struct cfg *cfg) {
	const struct cfg_scripts *scripts = &cfg->scripts;

	return (scripts->connect && scripts->connect[0]) ||
		(scripts->disconnect && scripts->disconnect[0]) ||
		(scripts->host_update && scripts->host_update[0]);
}

// Says whether going from `old` to `new` needs a restart of the dataplane or the control plane.
// Returns the number of such settings; names up to `max` of their paths into `paths`.
size_t cfg_restart_needed(
	const struct cfg *old, const struct cfg *new, const char **paths, size_t max);

// The virtual host of a server name (SNI, without a port; NULL or empty: none), or NULL. Case does
// not matter; a full name goes before one with '*.' (RFC 6125, 6.4.3: one label).
const struct cfg_vhost *cfg_vhost_find(const struct cfg *cfg, const char *server_name);
// The group of this very name, or NULL.
const struct cfg_group *cfg_group_find(const struct cfg *cfg, const char *name);
// The user of this very name, or NULL.
// Makes a user's name what it is for this gateway (authentication/name-case).
void cfg_name_fold(const struct cfg *cfg, char *name);
const struct cfg_user *cfg_user_find(const struct cfg *cfg, const char *name);
// The filter of this very name, or NULL.
const struct cfg_filter *cfg_filter_find(const struct cfg *cfg, const char *name);
// How users of the virtual host (NULL: of none) may log in: *n alternatives, at least one.
const struct cfg_alternative *cfg_alternatives(
	const struct cfg *cfg, const struct cfg_vhost *vhost, size_t *n);
// Has any alternative of the server name's virtual host (`all`: have all of them) this factor?
bool cfg_vhost_has_factor(
	const struct cfg *cfg, const char *server_name, enum cfg_factor factor, bool all);
bool cfg_has_factor(const struct cfg_alternative *alternative, enum cfg_factor factor);
// Has any method of any virtual host this factor?
bool cfg_uses_factor(const struct cfg *cfg, enum cfg_factor factor);

// Number of addresses that can be leased in a prefix (network, broadcast and gateway left out
// for v4; for v6 interface identifiers, or client prefixes, from 1 up; at most 2^20).
uint32_t cfg_pool_size(const struct cfg_pool *pool, int family);

// Address number `n` (0-based, < cfg_pool_size) of the pool, and its inverse (-1: not in it).
void cfg_pool_address(const struct cfg_pool *pool, int family, uint32_t n, uint8_t *bytes);
int64_t cfg_pool_index(const struct cfg_pool *pool, int family, const uint8_t *bytes);
