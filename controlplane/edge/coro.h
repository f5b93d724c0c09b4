// SPDX-License-Identifier: GPL-3.0-or-later
// Coroutines for handshakes: wolfSSL's signature callbacks return a signature, not "later", so the
// call stack waits on a stack of its own while the event loop serves the others.
#pragma once

#include <stdbool.h>

struct coro;
struct coro_pool; // stacks to use again

struct coro_pool *coro_pool_new(void);
// No coroutine of the pool may be alive.
void coro_pool_free(struct coro_pool *pool);

// Runs fn(arg) until its first coro_yield() or its end. NULL: no memory, fn was not called.
struct coro *coro_run(struct coro_pool *pool, void (*fn)(void *arg), void *arg);
// Goes on where coro_yield() was called, until the next one or the end.
void coro_resume(struct coro *coro);
// Inside: back to who called coro_run() or coro_resume().
void coro_yield(struct coro *coro);
// The one that runs now, NULL outside of all.
struct coro *coro_self(void);
bool coro_ended(const struct coro *coro);
// Gives the stack (wiped as far as it was used) back. Only after its end.
void coro_free(struct coro *coro);
