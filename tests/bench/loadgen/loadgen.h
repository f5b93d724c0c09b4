// SPDX-License-Identifier: GPL-3.0-or-later
// What the files of the load generator share: options, a client, a channel's keys, a run's figures.
//
// One thread, one process, sockets in two network namespaces: the clients' and the LAN's. Because
// both ends are here, every packet's loss and one-way latency is known, and a run can keep a window
// of packets under way: as much as the server can carry, without drowning it.
#pragma once

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include <gnutls/gnutls.h>
#include <http_parser.h>
#include <jansson.h>

#include "dataplane/abi/abi.h"
#include "dataplane/proto/tls_record.h"

#define LG_CLIENTS_MAX 60000u
#define LG_INNER_PORT 7007u // of the generator's packets, both ends
#define LG_SIZE_MIN 60u // inner packet with our payload header, bytes
#define LG_SIZE_MAX 1500u
#define LG_HTTP_MAX 16384u // body of an answer
#define LG_OUT_BYTES (256u << 10) // of records that wait for a TCP socket
#define LG_IN_BYTES (256u << 10) // of one read from a TCP socket
#define LG_GSO_BYTES 65000u
#define LG_GSO_SEGMENTS 64u

struct lg_options {
	struct sockaddr_storage server;
	socklen_t server_len;
	char *host; // as given, for the Host: field
	char *user, *password;
	unsigned clients;
	bool dtls;
	int cipher; // enum abi_cipher; 0: whatever the server picks
	int tls_version; // 12, 13; 0: either
	char *netns, *lan_netns; // names, or NULL: where we are
	struct in_addr lan;
	unsigned size; // inner packet, bytes
	double rate; // packets a second and direction, all clients together; 0: as fast as it goes
	double echo_rate;
	unsigned window; // packets under way, all clients together
	unsigned burst; // packets for one client in a row
	double seconds;
	double interval; // seconds between interval lines; 0: none
	unsigned parallel; // logins under way at once
	double login_rate; // logins begun a second; 0: as many as `parallel` allows
	double login_timeout; // seconds for one login
	unsigned retry_ms; // between attempts of one client
	bool stamps; // of arrivals, by the kernel
	char *restart; // command
	char *sample; // command
	char *watch; // prefixes of process names, separated by commas
	int watch_fd; // of a /proc/PID/stat; -1: none
	int watch_cpu; // -1: none
	bool verbose;
	char **runs;
	unsigned nb_runs;
};

extern struct lg_options lg_opt;

// Record protection of one direction.
struct lg_keys {
	void *schedule; // of the cipher, owned
	uint8_t cipher; // enum abi_cipher
	uint8_t iv[ABI_IV_MAX];
	uint64_t seq; // next record; DTLS: with the epoch in front
};

enum lg_state {
	LG_DOWN, // nothing; begins when its turn comes
	LG_CONNECTING,
	LG_TLS_SHAKE,
	LG_HTTP,
	LG_DTLS_SHAKE,
	LG_DTLS_PROBE, // until the server answers on the DTLS channel
	LG_UP,
};

struct lg_flow { // packets of one direction of one client
	uint64_t next; // sequence number of the next packet
	uint64_t seen; // one behind the highest that arrived
	uint64_t progress_ns; // when something arrived last, or sending began
};

struct lg_client {
	unsigned no;
	enum lg_state state;
	bool done; // reconnect: is back
	int tcp, udp; // -1: none
	uint32_t tcp_events; // what epoll waits for
	gnutls_session_t tls, dtls;
	gnutls_psk_client_credentials_t psk;
	uint64_t began_ns; // this login
	uint64_t retry_ns; // LG_DOWN: not before
	uint64_t timer_ns; // DTLS: next retransmission or probe; 0: none
	unsigned logins, connects, failures, password_logins;

	// login
	char *cookie; // webvpn; NULL: none yet
	char context[256]; // webvpncontext
	unsigned cookie_failures; // CONNECTs in a row that the server hung up on
	unsigned step; // requests on this connection
	bool connecting; // CONNECT was sent
	http_parser parser;
	bool answered; // whole answer parsed
	char field[64];
	bool field_done;
	char *body;
	size_t body_len;
	char *request; // what is left to send
	size_t request_len, request_sent;

	// from the answer to CONNECT
	struct in_addr inner;
	uint8_t app_id[32];
	bool has_app_id;
	uint16_t dtls_port;
	unsigned mtu;

	// the tunnel
	const struct tls_protection *protection;
	struct lg_keys tls_tx, tls_rx, dtls_tx, dtls_rx;
	uint8_t *out; // records that wait for the socket
	size_t out_len, out_sent;
	uint8_t *rest; // beginning of a record whose end has not come
	size_t rest_len;
	uint8_t header[28]; // IP and UDP of its upstream packets
	uint32_t header_sum; // for the UDP checksum: pseudo header and header
	struct lg_flow up, down, echo;
};

extern struct lg_client *lg_clients;
extern int lg_epoll;
extern volatile int lg_stop; // a signal asks for the end of the run

// epoll's data: what a descriptor is, and whose.
enum lg_fd {
	LG_FD_LAN,
	LG_FD_TCP,
	LG_FD_UDP
};
#define LG_FD_DATA(kind, no) ((uint64_t)(kind) << 32 | (no))

// --- util.c
uint64_t lg_now(void); // ns, monotonic
void lg_log(const char *format, ...) __attribute__((format(printf, 1, 2))); // when verbose
_Noreturn void lg_die(const char *format, ...) __attribute__((format(printf, 1, 2)));
// Space for what a message says beside its data.
#define LG_CONTROL_BYTES (CMSG_SPACE(sizeof(int)) + CMSG_SPACE(sizeof(struct timespec)))
// Lets the kernel say when it received what is read from the socket, if --stamps asks for it.
void lg_stamp_socket(int fd);
// When the kernel received the message, as lg_now() counts; `now` where it does not say.
uint64_t lg_stamp(struct msghdr *msg, uint64_t now);
// Bytes of each datagram in a message that UDP_GRO put together; 0: it is one.
size_t lg_gro_segment(struct msghdr *msg);
// Sends `len` bytes, at most LG_GSO_SEGMENTS datagrams of `segment` bytes each, by UDP GSO where kernel
// and device have it. To `to`, or the peer of the socket (NULL). False: nothing was sent.
bool lg_udp_send(int fd, const struct sockaddr_in *to, uint8_t *data, size_t len, uint16_t segment);
int lg_socket_in(const char *netns, int family, int type); // dies when it cannot
json_t *lg_sample(void); // what the sample command says, or null
struct lg_cpu {
	double self, watched, softirq, core; // CPU seconds since some past
};
void lg_cpu_read(struct lg_cpu *cpu);
json_t *lg_cpu_report(const struct lg_cpu *from, const struct lg_cpu *to);
void lg_print(json_t *object); // one line to stdout; takes the reference

// --- options.c
void lg_options_parse(int argc, char **argv);

// --- hist.c: latencies in ns, to 1.6 %
#define LG_HIST_SUB 64u
struct lg_hist {
	uint64_t count, max;
	double sum;
	uint64_t bucket[64 * LG_HIST_SUB];
};
void lg_hist_add(struct lg_hist *hist, uint64_t ns);
void lg_hist_join(struct lg_hist *hist, const struct lg_hist *other); // adds the other's
uint64_t lg_hist_quantile(const struct lg_hist *hist, double q);
json_t *lg_hist_report(const struct lg_hist *hist); // microseconds

// --- crypto.c
void lg_crypto_init(void);
void lg_keys_set(struct lg_keys *keys, int cipher, const uint8_t *key);
void lg_keys_clear(struct lg_keys *keys);
void lg_seal(const struct lg_keys *keys, uint8_t *dst, const uint8_t *src, size_t len,
	const uint8_t nonce[12], const uint8_t *aad, size_t aad_len); // the tag follows dst
bool lg_open(const struct lg_keys *keys, uint8_t *dst, const uint8_t *src, size_t len,
	const uint8_t nonce[12], const uint8_t *aad, size_t aad_len); // the tag follows src

// --- tls.c: handshakes. All return 0: done, -EAGAIN, or another -errno.
void lg_tls_init(void);
int lg_tls_start(struct lg_client *client);
int lg_tls_shake(struct lg_client *client);
int lg_tls_take(struct lg_client *client); // the record keys, after CONNECT
int lg_dtls_start(struct lg_client *client);
int lg_dtls_shake(struct lg_client *client); // takes the keys at its end
void lg_tls_end(struct lg_client *client);

// --- http.c: requests and answers of a login. The same returns.
void lg_http_begin(struct lg_client *client); // on a new connection
int lg_http_run(struct lg_client *client); // 0: the tunnel is open
void lg_http_end(struct lg_client *client);

// --- client.c: life of a client
void lg_clients_init(void);
void lg_client_begin(struct lg_client *client); // connects, and logs in or reconnects
void lg_client_event(struct lg_client *client, enum lg_fd fd, uint32_t events);
void lg_client_timer(struct lg_client *client, uint64_t now);
void lg_client_bye(struct lg_client *client); // ends the session, too
void lg_client_fail(struct lg_client *client, const char *what, int error);
void lg_client_proved(struct lg_client *client); // the server answered on the DTLS channel
void lg_client_watch(struct lg_client *client, uint32_t events); // of its TCP socket
extern unsigned lg_nb_up, lg_nb_pending;
extern void (*lg_on_up)(struct lg_client *client); // of the run; may be NULL
extern void (*lg_on_down)(struct lg_client *client);

// --- tunnel.c: frames over either channel
enum lg_frame { // draft-mavrogiannopoulos-openconnect, section 2.2
	LG_DATA = 0,
	LG_DPD_REQ = 3,
	LG_DPD_RESP = 4,
	LG_DISCONNECT = 5,
	LG_KEEPALIVE = 7,
	LG_TERMINATE = 9,
};
// Sends up to n data packets of the client, as lg_packet_fill() makes them; how many were sent.
unsigned lg_tunnel_send(struct lg_client *client, unsigned kind, unsigned n, uint64_t now);
void lg_tunnel_frame(struct lg_client *client, bool dtls, uint8_t type, const void *payload,
	size_t len); // control frames
int lg_tunnel_flush(struct lg_client *client); // TCP: 0, -EAGAIN, -errno
int lg_tunnel_read_tcp(struct lg_client *client); // 0 or -errno: the stream ended
void lg_tunnel_read_udp(struct lg_client *client);
void lg_tunnel_init(void);

// --- lan.c
void lg_lan_init(void);
void lg_lan_read(void);
unsigned lg_lan_send(struct lg_client *client, unsigned n, uint64_t now);

// --- packet.c: the generator's inner packets
enum lg_kind {
	LG_UPSTREAM = 1,
	LG_DOWNSTREAM,
	LG_ECHO
};
struct lg_payload { // host byte order: both ends are here
	uint32_t magic;
	uint32_t kind; // enum lg_kind
	uint32_t client;
	uint32_t run; // packets of an earlier run do not count
	uint64_t seq;
	uint64_t sent_ns;
};
void lg_packet_header(struct lg_client *client); // when its address is known
// The next upstream packet, but for the zeros behind its payload.
void lg_packet_fill(struct lg_client *client, unsigned kind, uint64_t now, uint8_t *packet);
struct lg_time { // of an arrival, as lg_now() counts
	uint64_t now; // it was read
	uint64_t stamp; // the kernel received it
};
void lg_packet_downstream(const uint8_t *packet, size_t len, struct lg_time time); // from a tunnel
struct lg_payload lg_payload_next(struct lg_client *client, unsigned kind, uint64_t now);
// len: of the inner packet, bytes
void lg_payload_arrived(const struct lg_payload *payload, size_t len, struct lg_time time);

// --- traffic.c
struct lg_way { // figures of one direction of a run
	uint64_t sent, received, bytes; // packets; inner bytes received
	struct lg_hist latency; // until it was read
	struct lg_hist kernel; // --stamps: until the kernel received it
	uint64_t recent; // received since the last interval line
	struct lg_hist recent_latency;
};
extern struct lg_way lg_up, lg_down, lg_echo;
extern uint32_t lg_run_no;
void lg_poll(int timeout_us); // handles whatever has come
void lg_begin_some(void); // logins of clients that are down
void lg_login_all(void); // until all clients are up
json_t *lg_run_report(const char *name); // what every run's line begins with
void lg_run_traffic(const char *name);

// --- sessions.c
void lg_run_logins(const char *name);
void lg_run_reconnect(const char *name);
