// SPDX-License-Identifier: GPL-3.0-or-later
// Coroutines for handshakes, by ucontext on stacks with a guard page; called by conn_tls.c.

#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>

#include "coro.h"

#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/common_interface_defs.h>
#endif

#define GUARD_SIZE 4096u
// wolfSSL keeps big numbers on the stack; measured: below 40 KiB. Pages are taken when touched.
#define STACK_SIZE (256u * 1024u)
#define SPARE_MAX 32u

struct coro {
	struct coro *next_spare;
	struct coro_pool *pool;
	ucontext_t here, caller;
	uint8_t *stack; // above the guard page
	void (*fn)(void *arg);
	void *arg;
	bool ended;
	void *fake_stack; // the address sanitizer's
	const void *caller_stack;
	size_t caller_size;
};

struct coro_pool {
	struct coro *spare;
	unsigned nb_spare;
};

static struct coro *running; // the process has one event loop

// --- the address sanitizer wants to know about changes of stack ---

static void switch_begin(void **save, const void *stack, size_t size) {
#ifdef __SANITIZE_ADDRESS__
	__sanitizer_start_switch_fiber(save, stack, size);
#endif
}

static void switch_end(void *saved, const void **old, size_t *size) {
#ifdef __SANITIZE_ADDRESS__
	__sanitizer_finish_switch_fiber(saved, old, size);
#endif
}

// --- stacks ---

static struct coro *coro_new(struct coro_pool *pool) {
	struct coro *coro = pool->spare;
	uint8_t *map;

	if (coro != NULL) {
		pool->spare = coro->next_spare;
		pool->nb_spare--;
		return coro;
	}
	coro = calloc(1, sizeof(*coro));
	if (coro == NULL)
		return NULL;
	map = mmap(NULL, GUARD_SIZE + STACK_SIZE, PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK | MAP_NORESERVE, -1, 0);
	if (map == MAP_FAILED) {
		free(coro);
		return NULL;
	}
	if (mprotect(map, GUARD_SIZE, PROT_NONE) != 0) {
		munmap(map, GUARD_SIZE + STACK_SIZE);
		free(coro);
		return NULL;
	}
	coro->stack = map + GUARD_SIZE;
	coro->pool = pool;
	return coro;
}

static void coro_unmap(struct coro *coro) {
	munmap(coro->stack - GUARD_SIZE, GUARD_SIZE + STACK_SIZE);
	free(coro);
}

struct coro_pool *coro_pool_new(void) {
	return calloc(1, sizeof(struct coro_pool));
}

void coro_pool_free(struct coro_pool *pool) {
	struct coro *coro;

	if (pool == NULL)
		return;
	while ((coro = pool->spare) != NULL) {
		pool->spare = coro->next_spare;
		coro_unmap(coro);
	}
	free(pool);
}

void coro_free(struct coro *coro) {
	struct coro_pool *pool = coro->pool;

	// Dropped pages read as zero: handshake secrets that lay on the stack are gone.
	if (pool->nb_spare == SPARE_MAX || madvise(coro->stack, STACK_SIZE, MADV_DONTNEED) != 0) {
		coro_unmap(coro);
		return;
	}
	coro->next_spare = pool->spare;
	pool->spare = coro;
	pool->nb_spare++;
}

// --- switching ---

static void entry(void) {
	struct coro *coro = running;

	switch_end(NULL, &coro->caller_stack, &coro->caller_size);
	coro->fn(coro->arg);
	coro->ended = true;
	// For the last time: there is no fake stack to keep.
	switch_begin(NULL, coro->caller_stack, coro->caller_size);
	swapcontext(&coro->here, &coro->caller);
	abort();
}

void coro_resume(struct coro *coro) {
	void *fake = NULL;

	running = coro;
	switch_begin(&fake, coro->stack, STACK_SIZE);
	swapcontext(&coro->caller, &coro->here);
	switch_end(fake, NULL, NULL);
	running = NULL;
}

void coro_yield(struct coro *coro) {
	switch_begin(&coro->fake_stack, coro->caller_stack, coro->caller_size);
	swapcontext(&coro->here, &coro->caller);
	switch_end(coro->fake_stack, &coro->caller_stack, &coro->caller_size);
}

struct coro *coro_run(struct coro_pool *pool, void (*fn)(void *arg), void *arg) {
	struct coro *coro = coro_new(pool);

	if (coro == NULL)
		return NULL;
	coro->fn = fn;
	coro->arg = arg;
	coro->ended = false;
	getcontext(&coro->here);
	coro->here.uc_stack.ss_sp = coro->stack;
	coro->here.uc_stack.ss_size = STACK_SIZE;
	coro->here.uc_link = NULL;
	makecontext(&coro->here, entry, 0);
	coro_resume(coro);
	return coro;
}

struct coro *coro_self(void) {
	return running;
}

bool coro_ended(const struct coro *coro) {
	return coro->ended;
}
