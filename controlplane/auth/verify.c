// SPDX-License-Identifier: GPL-3.0-or-later
// A few threads that hash passwords; called by login.c.

#include <errno.h>
#include <event2/event.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "verify.h"

#define THREADS_MAX 8u
// libcrypt's yescrypt keeps its tables on the heap; the rest fits easily.
#define STACK_SIZE (256u * 1024u)

struct job_list {
	struct verify_job *first, **last;
};

struct verify_pool {
	pthread_mutex_t lock; // guards all down to `ended`
	pthread_cond_t wake;
	struct job_list todo, finished;
	unsigned nb_todo;
	uint64_t last_source; // of the job begun last
	bool ended;
	pthread_t threads[THREADS_MAX];
	unsigned nb_threads;
	int bell; // eventfd: something is in `finished`
	struct event *event;
};

static void list_init(struct job_list *list) {
	list->first = NULL;
	list->last = &list->first;
}

static void list_add(struct job_list *list, struct verify_job *job) {
	job->next = NULL;
	*list->last = job;
	list->last = &job->next;
}

static struct verify_job *list_take(struct job_list *list) {
	struct verify_job *job = list->first;

	if (job != NULL) {
		list->first = job->next;
		if (list->first == NULL)
			list->last = &list->first;
	}
	return job;
}

// The first job of another source than the last one's, else the first.
static struct verify_job *todo_take(struct verify_pool *pool) {
	struct job_list *list = &pool->todo;
	struct verify_job **at = &list->first, *job;

	while (*at != NULL && (*at)->source == pool->last_source)
		at = &(*at)->next;
	if (*at == NULL)
		at = &list->first;
	job = *at;
	if (job == NULL)
		return NULL;
	*at = job->next;
	if (list->last == &job->next)
		list->last = at;
	pool->nb_todo--;
	pool->last_source = job->source;
	return job;
}

static unsigned nb_of_source(const struct verify_pool *pool, uint64_t source) {
	unsigned nb = 0;

	for (const struct verify_job *job = pool->todo.first; job != NULL; job = job->next)
		nb += job->source == source;
	return nb;
}

static void ring(struct verify_pool *pool) {
	const uint64_t one = 1;

	// Fails only when the counter is full, and then the loop is awake anyway.
	if (write(pool->bell, &one, sizeof(one)) < 0)
		return;
}

static void *work(void *arg) {
	struct verify_pool *pool = arg;
	struct crypt_data *scratch = calloc(1, sizeof(*scratch));
	struct verify_job *job;

	pthread_mutex_lock(&pool->lock);
	while (!pool->ended) {
		job = todo_take(pool);
		if (job == NULL) {
			pthread_cond_wait(&pool->wake, &pool->lock);
			continue;
		}
		pthread_mutex_unlock(&pool->lock);
		job->ok = scratch != NULL && passwd_verify(&job->entry, job->password, scratch);
		explicit_bzero(job->password, sizeof(job->password));
		explicit_bzero(job->entry.hash_secret, sizeof(job->entry.hash_secret));
		pthread_mutex_lock(&pool->lock);
		list_add(&pool->finished, job);
		ring(pool);
	}
	pthread_mutex_unlock(&pool->lock);
	free(scratch);
	return NULL;
}

static void on_finished(int fd, short what, void *arg) {
	struct verify_pool *pool = arg;
	struct job_list finished;
	struct verify_job *job;
	uint64_t count;

	if (read(fd, &count, sizeof(count)) < 0 && errno != EAGAIN)
		return;
	list_init(&finished);
	pthread_mutex_lock(&pool->lock);
	while ((job = list_take(&pool->finished)) != NULL)
		list_add(&finished, job);
	pthread_mutex_unlock(&pool->lock);
	while ((job = list_take(&finished)) != NULL)
		job->done(job);
}

static int threads_start(struct verify_pool *pool, unsigned threads) {
	sigset_t all, before;
	pthread_attr_t attr;
	int err = 0;

	if (pthread_attr_init(&attr) != 0)
		return -ENOMEM;
	pthread_attr_setstacksize(&attr, STACK_SIZE);
	// Signals are the event loop's.
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	while (err == 0 && pool->nb_threads < threads && pool->nb_threads < THREADS_MAX) {
		err = pthread_create(&pool->threads[pool->nb_threads], &attr, work, pool);
		if (err == 0)
			pool->nb_threads++;
	}
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	pthread_attr_destroy(&attr);
	return pool->nb_threads > 0 ? 0 : -err;
}

struct verify_pool *verify_pool_new(struct event_base *base, unsigned threads) {
	struct verify_pool *pool = calloc(1, sizeof(*pool));
	int err;

	if (pool == NULL)
		return NULL;
	pthread_mutex_init(&pool->lock, NULL);
	pthread_cond_init(&pool->wake, NULL);
	list_init(&pool->todo);
	list_init(&pool->finished);
	pool->bell = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	pool->event = pool->bell < 0
		? NULL
		: event_new(base, pool->bell, EV_READ | EV_PERSIST, on_finished, pool);
	if (pool->event == NULL || event_add(pool->event, NULL) != 0) {
		err = ENOMEM;
		goto fail;
	}
	err = -threads_start(pool, threads);
	if (err == 0)
		return pool;
fail:
	verify_pool_free(pool);
	errno = err;
	return NULL;
}

void verify_pool_free(struct verify_pool *pool) {
	if (pool == NULL)
		return;
	pthread_mutex_lock(&pool->lock);
	pool->ended = true;
	pthread_cond_broadcast(&pool->wake);
	pthread_mutex_unlock(&pool->lock);
	for (unsigned i = 0; i < pool->nb_threads; i++)
		pthread_join(pool->threads[i], NULL);
	if (pool->event != NULL)
		event_free(pool->event);
	if (pool->bell >= 0)
		close(pool->bell);
	pthread_cond_destroy(&pool->wake);
	pthread_mutex_destroy(&pool->lock);
	free(pool);
}

int verify_pool_add(struct verify_pool *pool, struct verify_job *job) {
	int err = 0;

	pthread_mutex_lock(&pool->lock);
	if (pool->nb_todo >= VERIFY_QUEUE_MAX ||
		nb_of_source(pool, job->source) >= VERIFY_SOURCE_MAX) {
		err = -EBUSY;
	} else {
		pool->nb_todo++;
		list_add(&pool->todo, job);
		pthread_cond_signal(&pool->wake);
	}
	pthread_mutex_unlock(&pool->lock);
	return err;
}
