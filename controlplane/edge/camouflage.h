// SPDX-License-Identifier: GPL-3.0-or-later
// Without the secret this is a web server that has nothing to show. No I/O.
//
// The answers are those of nginx 1.22, the most ordinary of servers: its headers in its order, its
// pages, its statuses, and what it closes after. The secret comes as the query of any path
// (https://host/?SECRET), once a connection; a CONNECT shows a good cookie instead.
#pragma once

#include "portal.h"

// Seconds that the ordinary server keeps an idle connection.
#define CAMOUFLAGE_IDLE_S 75u
#define CAMOUFLAGE_SECRET_LEN 64u // at most, by the YANG model

// The connection has not shown the secret yet.
bool camouflage_on(const struct portal *portal, const struct cfg *cfg);
// The request at hand shows it: from now on this connection is served. Takes the same time whatever
// was sent.
void camouflage_look(struct portal *portal, const struct cfg *cfg, const struct http_request *req);
// Adds the secret to the path of a form, so that the answer may come on another connection.
void camouflage_add(
	const struct portal *portal, const struct cfg *cfg, char *path_secret, size_t size);
// Answers a request in the place of the portal. False: a CONNECT whose cookie has to be asked for;
// camouflage_refuse() with camouflage_connect_status() answers it if that is no good.
bool camouflage_answer(struct portal *portal, const struct cfg *cfg, const struct http_request *req,
	struct buf *out);
int camouflage_connect_status(const struct http_request *req);
// Answers what could not be read, or an outage (400, 405, 413, 414, 431, 503); the connection
// closes.
void camouflage_refuse(struct portal *portal, const struct cfg *cfg, int status, struct buf *out);
// What is no TLS on this port. `http`: it is HTTP.
void camouflage_no_tls(bool http, struct buf *out);
