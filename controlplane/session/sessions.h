// SPDX-License-Identifier: GPL-3.0-or-later
// The session table and what happens to a session; shared by the files of this folder.
//
// sessions.c: table, limits, cookies. persist.c: to and from the store. connect.c: CONNECT and
// channels. addresses.c: inner addresses. reconcile.c: the dataplane's events and dump. usage.c:
// what sessions have used. accounting.c: what RADIUS servers are told. info.c: session.h's view.
// filters.c: where they may reach. iroutes.c: networks behind them. scripts.c: the operator's scripts. change.c: what RADIUS servers
// want done. role.c: the process around it.
#pragma once

#include <sys/queue.h>

#include "controlplane/session/accounting.h"
#include "controlplane/session/dataplane.h"
#include "controlplane/session/guard.h"
#include "controlplane/session/pools.h"
#include "controlplane/session/session.h"
#include "controlplane/session/share.h"
#include "controlplane/session/store.h"
#include "controlplane/settings/settings.h"

#define SESSION_UNKNOWN_USER "?" // of a tunnel whose record was lost
#define SESSION_BUCKETS 65536u // power of two
#define SESSION_STREAM_WAIT_S 15u // from the answer to CONNECT until the stream arrives
#define SESSION_HELD_MAX 1024u // CONNECTs that wait for the dataplane or a reconciliation
#define SESSION_HELD_S 3u
#define SESSION_DTLS_WAIT_S 15u // from DTLS parameters until the edge has shaken hands
// An edge may speak of what our predecessor told it for so long. A handshake, and the wait for us.
#define SESSION_PREDECESSOR_S 30u
#define SESSION_FOREIGN ABI_SESSIONS_MAX // holds addresses of other gateways' sessions
#define SESSION_EDGE_ANY UINT32_MAX // after a restart it is not known who sends the stream

enum session_string {
	STR_USER,
	STR_GROUPS,
	STR_GROUP, // the one of them that counts
	STR_AGENT,
	STR_SERVER_NAME,
	STR_HOSTNAME,
	STR_DEVICE_TYPE,
	STR_DEVICE_PLATFORM,
	STR_MAX,
};

LIST_HEAD(iroute_list, iroute); // iroutes.c

// A CONNECT that has not been answered yet.
struct session_connect {
	uint32_t edge;
	uint64_t req;
	uint16_t local_port; // host order: where the client came in
};

enum session_timer {
	TIMER_NONE,
	TIMER_EXPIRY, // the cookie dies
	TIMER_STREAM, // the stream must have come
};

// Of the connect script of the connection at hand.
enum script_state {
	SCRIPT_IDLE, // it has ended well, or there is none
	SCRIPT_WANTED, // asked for once the record is stored
	SCRIPT_ASKED,
	SCRIPT_FAILED, // while no CONNECT waited for it
};

struct session {
	LIST_ENTRY(session) by_cookie, by_app_id, by_user;
	TAILQ_ENTRY(session) by_due; // in mgr->timer[timer - 1]
	enum session_timer timer;
	uint64_t due; // CLOCK_REALTIME seconds
	uint8_t cookie_hash[IPC_HASH_LEN];
	struct abi_sid sid; // generation 0 before the first CONNECT
	uint32_t installed; // generation in the dataplane, 0: none
	uint32_t seen; // reconciliation that found it there
	enum session_state state;
	bool has_app_id;
	bool connecting; // connect is valid
	struct session_connect connect;
	bool awaits_dataplane; // connecting, but the dataplane it was to go to is gone
	uint32_t edge; // that got the answer and sends the stream
	bool awaits_stream; // from the answer (or a restart of ours) until the stream came, once
	// Edges that got the DTLS parameters of this generation, and those of them that have not told
	// of a handshake yet and may until dtls_until_s (CLOCK_MONOTONIC).
	uint64_t dtls_given, dtls_open;
	uint64_t dtls_until_s;
	uint32_t wishes;
	struct abi_addr remote, inner4, inner6;
	struct abi_tuple dtls_tuple;
	uint16_t remote_port; // host order
	uint16_t cstp_mtu, dtls_mtu, base_mtu;
	uint8_t inner6_prefix;
	uint8_t dtls_mode, dtls_cipher, legacy_cipher;
	uint8_t tls_version, tls_cipher;
	uint8_t channels;
	uint8_t last_end;
	uint64_t created, started, connected, disconnected, expires;
	TAILQ_ENTRY(session) by_interim; // in the accounting's, while interim_due is set
	uint64_t accounted; // when accounting began, 0: it did not
	uint64_t interim_due; // CLOCK_REALTIME seconds, 0: none
	struct session_usage used; // of earlier connections
	struct session_usage live; // of the present one, as last read
	uint32_t live_generation; // whose `live` is; 0: not in the dataplane yet
	struct session_usage folded; // of the connection that is being replaced: in `used` already
	uint32_t folded_generation; // 0: none
	uint64_t usage_saved_s; // CLOCK_MONOTONIC: when the record last got it
	uint64_t usage_saved_packets; // rx and tx that the record has
	uint64_t
		script_id; // of the connection's scripts, 0: no disconnect script is due at its end
	uint64_t script_since; // when the connect script was begun, CLOCK_REALTIME
	struct session_usage script_from; // what the session had carried then
	enum script_state script_state;
	int script_status; // SCRIPT_FAILED
	bool script_holds; // the CONNECT is stored and waits for it
	bool script_goes_on; // the CONNECT took over a connection that was up
	LIST_ENTRY(session) by_script; // SCRIPT_WANTED, SCRIPT_ASKED
	struct abi_addr local; // where the client came in
	// What the shared store has of it, if there is one.
	uint64_t share_epoch; // of our ownership, 0: not known
	uint64_t shared_s; // CLOCK_MONOTONIC: when it was last written
	struct abi_addr shared4, shared6; // addresses that are its own there
	bool share_dirty; // in the list of what is to be written
	bool share_lost; // another gateway owns it
	TAILQ_ENTRY(session) by_dirty;
	uint8_t app_id[IPC_APP_ID_LEN];
	uint8_t psk_key[IPC_PSK_LEN];
	uint8_t master_secret[IPC_MASTER_LEN];
	struct ipc_acct_facts *facts; // for accounting; NULL: none but the next two
	uint8_t authentic; // enum ipc_authentic
	bool password_file; // of a user whom the password file let in
	struct ipc_user_settings *extra; // of the authentication server; NULL: none
	struct filter *filter; // that the dataplane was told for it; NULL: none
	struct iroute_list iroutes; // networks behind its client
	bool iroutes_missing; // it wants one that another has, or that could not be set
	bool iroutes_told; // the dataplane has some for it
	char *str[STR_MAX]; // never NULL
};

struct session_held {
	STAILQ_ENTRY(session_held) next;
	uint64_t since_s;
	struct ipc_connect msg;
};

// A disconnect script that is due. What it is told is in the store.
struct script_due {
	TAILQ_ENTRY(script_due) link;
	struct session_mgr *mgr;
	uint64_t id;
	uint32_t session;
	struct abi_addr inner4, inner6;
	struct ipc_script_facts *facts; // until they are in the store, else NULL
	bool waits; // for the store
	bool sent;
};

struct session_reload {
	void (*done)(int status, const char *text, void *arg);
	void *arg;
	uint64_t due;
};

struct session_mgr_opts {
	struct event_base *base;
	const struct cfg *cfg; // replaced with session_mgr_cfg()
	// Sends to a peer: 0 or -errno. The message may be wiped afterwards.
	int (*send)(enum ipc_role role, unsigned index, enum ipc_type type, struct ipc_hdr *msg,
		size_t len, void *arg);
	void (*dataplane_lost)(void *arg);
	void *arg;
	void (*reopen)(void *arg); // this process is to start anew, for the store's sake
};

LIST_HEAD(session_list, session);
TAILQ_HEAD(session_queue, session);

struct session_mgr {
	struct session_mgr_opts opts;
	const struct cfg *cfg;
	struct store *store;
	struct dplane *dplane;
	struct pools *pools;
	struct guard *guard;
	struct accounting *accounting;
	struct removed *removed;
	struct ipc_radius_counts radius_counts; // as the radius process last told
	struct filters *filters;
	struct share *share; // NULL: sessions are not shared
	struct iroutes *iroutes;
	struct event *commit_event, *tick_event;
	struct session **table; // [ABI_SESSIONS_MAX] by index
	uint32_t *free; // stack of free indexes
	uint32_t nb_free, index_end; // indexes ever used are below index_end
	struct session_list *by_cookie, *by_app_id, *by_user; // [SESSION_BUCKETS]
	struct session_queue timer[2]; // sorted by due: expiry, stream
	uint32_t nb_state[SESSION_DISCONNECTED + 1];
	uint64_t nb_logins, nb_connects, nb_ended, nb_refused;
	bool loaded; // the store's content is in the table
	uint64_t loaded_s; // when, CLOCK_MONOTONIC
	bool adopts; // of a dataplane with sessions whose store is lost: until the first reconciliation
	bool reconciled; // table and dataplane agree
	uint32_t dump; // number of the current or last reconciliation
	bool dumping;
	uint64_t events_lost; // counter of the dataplane at the last reconciliation
	uint32_t usage_sweep; // next index whose usage is read; index_end: from the first
	uint32_t sweep; // next index that gets the new policy after a reload; index_end: done
	uint32_t save_sweep; // next index that is saved again after a fault of the store
	STAILQ_HEAD(, session_held) held;
	unsigned nb_held;
	struct session_list script_connects; // whose connect script is wanted or asked for
	TAILQ_HEAD(, script_due) scripts_due; // in the order of their ends
	unsigned nb_scripts_due, nb_scripts_sent;
	struct session_reload reload;
	struct ipc_maintenance maintenance;
	bool drained; // the supervisor has been told
};

_Static_assert(ABI_EDGES_MAX <= 64, "a bit for each edge");

uint64_t session_now(void); // CLOCK_REALTIME seconds

// --- sessions.c ---

struct session_mgr *session_mgr_new(const struct session_mgr_opts *opts);
void session_mgr_free(struct session_mgr *mgr);
// Answers held CONNECTs now that they can be decided.
void session_held_run(struct session_mgr *mgr);
// The sessions of a user, in no order: the next after `session`, or the first with NULL. NULL: none.
struct session *session_next_of_user(
	struct session_mgr *mgr, const char *user, const struct session *session);
// The session with this Acct-Session-Id (accounting_id()). NULL: none.
struct session *session_find_accounting(struct session_mgr *mgr, uint64_t id);
// Those that waited too long get a 503.
void session_held_expire(struct session_mgr *mgr);
// The configuration was replaced (the old one must still be valid during the call).
void session_mgr_cfg(struct session_mgr *mgr, const struct cfg *cfg, char *text, size_t len);

// A free index of the table, UINT32_MAX: none.
uint32_t session_index_take(struct session_mgr *mgr);
// A new entry of the table, whose index must be free. The caller sets its state. NULL: no memory.
struct session *session_new(struct session_mgr *mgr, uint32_t index,
	const uint8_t cookie_hash[IPC_HASH_LEN], const char *user);
struct session *session_find(struct session_mgr *mgr, const uint8_t cookie_hash[IPC_HASH_LEN]);
struct session *session_find_app_id(struct session_mgr *mgr, const uint8_t app_id[IPC_APP_ID_LEN]);
// NULL unless index and generation are those of a session that is there now.
struct session *session_get(struct session_mgr *mgr, struct abi_sid sid);
void session_app_id_set(struct session_mgr *mgr, struct session *session, const uint8_t *app_id);
void session_string_set(struct session *session, enum session_string which, const char *text);
// What the authentication server says of the session, from now on. 0 or -ENOMEM.
int session_extra_set(struct session *session, const struct ipc_user_settings *settings);
// What accounting says of the login. 0 or -ENOMEM.
int session_facts_set(struct session *session, const struct ipc_acct_facts *facts);
void session_facts_get(const struct session *session, struct ipc_acct_facts *facts);
void session_timer_set(
	struct session_mgr *mgr, struct session *session, enum session_timer timer, uint64_t due);
void session_state_set(struct session_mgr *mgr, struct session *session, enum session_state state);
// Sessions of the user that count for the limit; `but` is left out.
unsigned session_count_user(struct session_mgr *mgr, const char *user, const struct session *but);
// Ends the oldest other sessions of its user until at most `same` are left with it, where the
// configuration says so. 0: no limit.
void session_make_room(struct session_mgr *mgr, const struct session *session, uint32_t same);
uint32_t session_limit(const struct session_mgr *mgr);

// Its connection has gone: the cookie lives on for a while, or dies with it, by the reason.
// `session` may be freed.
void session_ended(struct session_mgr *mgr, struct session *session, enum abi_end reason);
// The cookie is dead: out of table and store. Frees it. It must not be installed any more.
void session_delete(struct session_mgr *mgr, struct session *session, const char *why);
// Out of the dataplane (a command, no answer expected). No-op when it is not installed.
void session_uninstall(struct session_mgr *mgr, struct session *session, enum abi_end reason);
// By the operator or a RADIUS server: the client is told, the cookie dies. `session` is freed. (info.c)
void session_disconnect(struct session_mgr *mgr, struct session *session);
// Commits what is pending now, not at the end of this pass of the loop.
void session_commit(struct session_mgr *mgr);

// IPC_SESSION_NEW. Non-zero: the content is invalid.
int session_login(struct session_mgr *mgr, const struct ipc_session_new *msg);

// The login of this request is known to all gateways, or (-ENOLINK) cannot be made known.
void session_login_shared(
	struct session_mgr *mgr, uint64_t req, const uint8_t cookie_hash[IPC_HASH_LEN], int status);

// IPC_MAINTENANCE.
void session_maintenance(struct session_mgr *mgr, const struct ipc_maintenance *msg);

// --- change.c: what RADIUS servers want done to sessions ---

// IPC_CHANGE. Answers when it is done and on disk. Non-zero: the content is invalid.
int change_begin(struct session_mgr *mgr, const struct ipc_change *msg);

// --- persist.c ---

// Collects the indexes of the table that nobody has.
void session_indexes_find(struct session_mgr *mgr);
// An address that the session has had; it stays empty when another has it now.
void session_address_keep(struct session_mgr *mgr, struct session *session,
	const struct abi_addr *addr, struct abi_addr *to);
// Takes over an open store whose secret is set, and loads it. 0 or -errno.
int session_mgr_load(struct session_mgr *mgr, struct store *store);
// After a fault of the store: what it has missed is written, some at each tick.
void session_save_tick(struct session_mgr *mgr);
// What is stored of the session. The caller wipes it. 0 or -EIO.
int session_record(
	struct session_mgr *mgr, const struct session *session, struct record_session *record);
// A session of another gateway becomes ours: without a tunnel yet. NULL: no memory, or no place.
struct session *session_import(struct session_mgr *mgr, const struct record_session *record);
// Writes the session to the store. 0 or -errno (done is called only after 0).
int session_save(struct session_mgr *mgr, struct session *session, store_done done, void *arg);

// --- scripts.c ---

#define SCRIPTS_DUE_OF_SESSION 8u // connections whose disconnect scripts have not been run yet

// Whether a CONNECT has to wait outside: too many disconnect scripts of this session are due.
bool scripts_too_many(const struct session_mgr *mgr, const struct session *session);

// A CONNECT begins: gives the connection an id for its scripts when any is configured. One that
// takes over a connection that is still up goes on with that one's.
void scripts_begin(struct session_mgr *mgr, struct session *session);
// The CONNECT is stored. True: it waits for the connect script, and session_connect_go() or
// session_connect_fail() comes later. False: there is nothing to wait for.
bool scripts_hold(struct session_mgr *mgr, struct session *session);
// The CONNECT has succeeded: host-update, when the client told its name or came back.
void scripts_connected(struct session_mgr *mgr, struct session *session);
// Its datagrams come from another address: host-update.
void scripts_moved(
	struct session_mgr *mgr, const struct session *session, const struct abi_addr *remote);
// The connection has ended: its disconnect script is due. The caller saves or deletes the session
// in the same pass, so that both are stored or neither. No-op without an id.
void scripts_end(struct session_mgr *mgr, struct session *session, enum abi_end reason);
// IPC_SCRIPT_DONE. Non-zero: the content is invalid.
int scripts_done(struct session_mgr *mgr, const struct ipc_script_done *msg);
// The script process has come (again): asks for all that it has not answered.
void scripts_peer_up(struct session_mgr *mgr);
void scripts_peer_down(struct session_mgr *mgr);
// What was due when an earlier process ended. 0 or -errno.
int scripts_load(struct session_mgr *mgr);
void scripts_tick(struct session_mgr *mgr);
void scripts_free(struct session_mgr *mgr);
void scripts_forget(struct session *session); // it is freed

// --- usage.c ---

// The dataplane has the session: it counts from zero.
void usage_start(struct session *session);
// Reads what the dataplane has counted for the present connection.
void usage_read(struct session_mgr *mgr, struct session *session);
// The present connection has ended: reads it for the last time and adds it to those before.
void usage_end(struct session_mgr *mgr, struct session *session);
// The connection that was replaced now goes: what it has carried since usage_end() counts, too.
void usage_end_replaced(struct session_mgr *mgr, struct session *session);
// Of all connections, as last read.
struct session_usage usage_total(const struct session *session);
// Some sessions at each tick: reads them, and saves those that have changed.
void usage_tick(struct session_mgr *mgr);
// Before the dataplane's statistics go away.
void usage_read_all(struct session_mgr *mgr);

// --- addresses.c ---

// Gives the session the addresses that it does not have yet. NULL, or why it cannot have them.
const char *session_addresses(struct session_mgr *mgr, struct session *session,
	const struct settings *settings, uint32_t wishes, uint16_t data_mtu);

// The addresses that were taken from it again; as session_addresses(), for the CONNECT at hand.
const char *session_addresses_again(struct session_mgr *mgr, struct session *session);

// --- filters.c ---

struct filters *filters_new(void);
void filters_free(struct filters *filters);
// The filter that the session is to have from now on by these settings, sent to the dataplane before
// any command that names it. Its name, or 0: none is wanted. On an error (logged) it is a name
// that the dataplane refuses: nobody gets in without the filter that is meant for him.
uint64_t filters_use(
	struct session_mgr *mgr, struct session *session, const struct cfg_network *network);
// The session has none any more.
void filters_release(struct session *session);
// Answers to the dump: the dataplane has it; the session has it there.
void filters_seen(struct session_mgr *mgr, uint64_t name);
void filters_adopt(struct session_mgr *mgr, struct session *session, uint64_t name);
void filters_lost(struct session_mgr *mgr); // the dataplane went away
void filters_tick(struct session_mgr *mgr); // removes those that nobody has

// --- removed.c ---

int removed_init(struct session_mgr *mgr);
void removed_free(struct session_mgr *mgr);
// Auth says that the password file is another one.
void removed_changed(struct session_mgr *mgr);
// Non-zero: the content is invalid.
int removed_answer(struct session_mgr *mgr, const struct ipc_users_answer *msg);
void removed_tick(struct session_mgr *mgr);

// --- iroutes.c ---

struct iroutes *iroutes_new(void);
void iroutes_free(struct iroutes *iroutes);
// Takes what the session's settings say and nobody else has, and tells the dataplane, which has the
// session. No-op when there is nothing to tell.
void iroutes_set(struct session_mgr *mgr, struct session *session);
// Answer to the dump: the dataplane has `nb` for the session, so they were its own before.
void iroutes_adopt(struct session_mgr *mgr, struct session *session, uint32_t nb);
// It is not in the dataplane any more.
void iroutes_release(struct session_mgr *mgr, struct session *session);
void iroutes_tick(struct session_mgr *mgr); // what was given back is taken by others
// Those that it has, at most `max`. Returns how many.
unsigned iroutes_of(const struct session *session, struct abi_prefix *out, unsigned max);

// --- connect.c: messages. Non-zero: the content is invalid, the sender is ended. ---

int session_connect(struct session_mgr *mgr, const struct ipc_connect *msg);
// The fd stays the caller's.
int session_stream_up(
	struct session_mgr *mgr, unsigned edge, const struct ipc_stream_up *msg, int fd);
int session_dtls_query(struct session_mgr *mgr, unsigned edge, const struct ipc_dtls_query *msg);
// Accepted once for each IPC_DTLS_PARAMS, from the edge that got it, while the handshake may last.
int session_dtls_up(struct session_mgr *mgr, unsigned edge, const struct ipc_dtls_up *msg);
void session_connect_fail(
	struct session_mgr *mgr, struct session *session, unsigned status, const char *reason);
// Keeps a CONNECT until it can be decided, for SESSION_HELD_S at most; then, or when too many wait, it
// gets a 503.
void session_hold(struct session_mgr *mgr, const struct ipc_connect *msg);
// The shared store has been asked about the cookie: what is known of it here is all.
void session_connect_shared(struct session_mgr *mgr, const struct ipc_connect *msg);
// The addresses are the session's own, among all gateways.
void session_connect_claimed(struct session_mgr *mgr, struct session *session);
// Into the dataplane: the CONNECT is stored, and its connect script has let it in.
void session_connect_go(struct session_mgr *mgr, struct session *session);
// As of now. See settings.h on how long it is valid.
void session_settings(
	const struct session_mgr *mgr, const struct session *session, struct settings *settings);
// For the next command about the session, which the caller sends: its filter goes before it.
void session_policy(struct session_mgr *mgr, struct session *session, struct abi_policy *policy);

// --- reconcile.c ---

// Attached: ask what is installed. Also to be called when events may have been lost.
void reconcile_start(struct session_mgr *mgr);
void reconcile_event(const struct abi_evt *evt, void *mgr);
void reconcile_lost(void *mgr); // the dataplane went away
void reconcile_tick(struct session_mgr *mgr);
// What the session is held to now, to the dataplane. A session whose filter is not taken is ended. 0 or
// -errno: to be tried again.
int session_policy_send(struct session_mgr *mgr, struct session *session);
