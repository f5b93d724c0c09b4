// SPDX-License-Identifier: GPL-3.0-or-later
// Discovery document, then keys; when they are fetched and how long they are good. Called by oidc.c.
//
// Tokens with keys that nobody has can be made by anybody, so they make a fetch at most every
// refresh-interval. A provider that does not answer leaves the keys that are there in force, until
// they are older than keys-max-age.

#include "jwks.h"

#include <errno.h>
#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "controlplane/proc/clock.h"
#include "controlplane/proc/log.h"

#define GET_TIMEOUT_MS 4000u // of one of the two documents: both within a login's step
#define WELL_KNOWN "/.well-known/openid-configuration"
#define LIFE_DEFAULT_S 3600 // when the provider says nothing
#define LIFE_MAX_S 86400
#define RETRY_FIRST_MS 1000u
#define RETRY_MAX_MS 60000u

struct jwks {
	const struct cfg_oidc *cfg;
	struct fetch *fetch;
	void (*changed)(void *arg);
	void *arg;
	struct event *timer; // of the next fetch
	char *issuer, *url; // that the keys are from
	struct oidc_keys *keys;
	uint64_t keys_ms; // when they were fetched
	bool busy;
	bool failed; // the last fetch
	uint64_t tried_ms; // when it began; 0: none did
	unsigned failures; // one after another
};

static void again_in(struct jwks *jwks, uint64_t ms) {
	const struct timeval wait = {.tv_sec = (time_t)(ms / 1000), .tv_usec = ms % 1000 * 1000};

	event_add(jwks->timer, &wait);
}

static void failed(struct jwks *jwks, const char *url, const char *why) {
	uint64_t pause = RETRY_FIRST_MS << (jwks->failures < 6 ? jwks->failures : 6);

	jwks->busy = false;
	jwks->failed = true;
	jwks->failures++;
	log_warning("oidc_keys", "url=%s text=%s", log_value(url), log_value(why));
	again_in(jwks, pause < RETRY_MAX_MS ? pause : RETRY_MAX_MS);
	jwks->changed(jwks->arg);
}

static uint64_t life_s(const struct jwks *jwks, const char *cache_control) {
	long age = oidc_max_age(cache_control);
	uint64_t life = age < 0 ? LIFE_DEFAULT_S : (uint64_t)age;

	if (life > LIFE_MAX_S)
		life = LIFE_MAX_S;
	return life < jwks->cfg->refresh_interval ? jwks->cfg->refresh_interval : life;
}

static void on_keys(const struct fetch_result *result, void *arg) {
	struct jwks *jwks = arg;
	struct oidc_keys *keys = NULL;
	uint64_t life;

	if (result->error == NULL)
		keys = oidc_keys_new(result->body, result->len);
	if (keys == NULL) {
		failed(jwks, "jwks_uri",
			result->error != NULL ? result->error : "no usable key in the document");
		return;
	}
	life = life_s(jwks, result->cache_control);
	log_info("oidc_keys", "keys=%zu seconds=%llu", oidc_keys_count(keys),
		(unsigned long long)life);
	oidc_keys_free(jwks->keys);
	jwks->keys = keys;
	jwks->keys_ms = clock_ms();
	jwks->busy = jwks->failed = false;
	jwks->failures = 0;
	again_in(jwks, life * 1000);
	jwks->changed(jwks->arg);
}

static void on_discovery(const struct fetch_result *result, void *arg) {
	struct jwks *jwks = arg;
	const char *wrong = result->error;
	char uri[OIDC_URL_LEN];

	if (wrong == NULL)
		wrong = oidc_discovery_read(result->body, result->len, jwks->issuer, uri);
	if (wrong == NULL && fetch_get(jwks->fetch, uri, GET_TIMEOUT_MS, on_keys, jwks) != 0)
		wrong = "the jwks_uri is no https URL";
	if (wrong != NULL)
		failed(jwks, jwks->url, wrong);
}

static void fetch_begin(struct jwks *jwks) {
	jwks->tried_ms = clock_ms();
	event_del(jwks->timer);
	jwks->busy = true;
	if (fetch_get(jwks->fetch, jwks->url, GET_TIMEOUT_MS, on_discovery, jwks) != 0)
		failed(jwks, jwks->url, "no https URL");
}

static void on_timer(evutil_socket_t fd, short what, void *arg) {
	struct jwks *jwks = arg;

	if (!jwks->busy)
		fetch_begin(jwks);
}

// --- from outside ---

const struct oidc_keys *jwks_keys(struct jwks *jwks) {
	if (jwks->keys != NULL &&
		clock_ms() - jwks->keys_ms > (uint64_t)jwks->cfg->keys_max_age * 1000) {
		log_warning("oidc_keys", "text=\"the keys are too old and are not used any more\"");
		oidc_keys_free(jwks->keys);
		jwks->keys = NULL;
	}
	return jwks->keys;
}

bool jwks_want(struct jwks *jwks) {
	// Without any key each login needs the provider: then it is asked sooner.
	uint64_t pause = jwks->keys != NULL ? (uint64_t)jwks->cfg->refresh_interval * 1000
					    : RETRY_FIRST_MS;

	if (!jwks->busy && jwks->cfg->issuer[0] != '\0' && clock_ms() - jwks->tried_ms >= pause)
		fetch_begin(jwks);
	return jwks->busy;
}

bool jwks_is_stale(const struct jwks *jwks) {
	return jwks->failed;
}

static char *url_of(const struct cfg_oidc *cfg) {
	size_t len = strlen(cfg->issuer);
	char *url;

	if (cfg->configuration_url[0] != '\0')
		return strdup(cfg->configuration_url);
	// OpenID Connect Discovery 1.0, 4.1: a slash at the end is left out first.
	if (len > 0 && cfg->issuer[len - 1] == '/')
		len--;
	return asprintf(&url, "%.*s" WELL_KNOWN, (int)len, cfg->issuer) < 0 ? NULL : url;
}

static bool is_same(const char *a, const char *b) {
	return a != NULL && strcmp(a, b) == 0;
}

static void source_set(struct jwks *jwks, char *issuer, char *url) {
	if (!is_same(jwks->issuer, issuer) || !is_same(jwks->url, url)) {
		oidc_keys_free(jwks->keys);
		jwks->keys = NULL;
	}
	free(jwks->issuer);
	free(jwks->url);
	jwks->issuer = issuer;
	jwks->url = url;
}

void jwks_configure(struct jwks *jwks, const struct cfg_oidc *cfg) {
	char *issuer = strdup(cfg->issuer), *url = url_of(cfg);

	jwks->cfg = cfg;
	fetch_cancel(jwks->fetch);
	jwks->busy = false;
	event_del(jwks->timer);
	if (issuer == NULL || url == NULL)
		abort(); // what is in force must be what was configured
	source_set(jwks, issuer, url);
	jwks->failures = 0;
	if (issuer[0] != '\0')
		fetch_begin(jwks);
	else
		jwks->changed(jwks->arg);
}

struct jwks *jwks_new(
	struct event_base *base, struct fetch *fetch, void (*changed)(void *arg), void *arg) {
	struct jwks *jwks = calloc(1, sizeof(*jwks));

	if (jwks == NULL)
		return NULL;
	jwks->fetch = fetch;
	jwks->changed = changed;
	jwks->arg = arg;
	jwks->timer = event_new(base, -1, 0, on_timer, jwks);
	if (jwks->timer == NULL) {
		free(jwks);
		return NULL;
	}
	return jwks;
}

void jwks_free(struct jwks *jwks) {
	if (jwks == NULL)
		return;
	event_free(jwks->timer);
	oidc_keys_free(jwks->keys);
	free(jwks->issuer);
	free(jwks->url);
	free(jwks);
}
