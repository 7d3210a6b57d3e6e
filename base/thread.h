/* SPDX-License-Identifier: Apache-2.0 */
/* How threads begin: with a name, and signals to the process are for the main thread. Their locks.
 */
#pragma once

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include <ferry/err.h>

/* With its NUL; what is longer is cut. */
#define THREAD_NAME_BYTES 16

/*
 * pthread_create() of a thread that
 *
 *   has this name (ps -L, gdb, what a sandbox says of it) before fn runs. It gives it to itself:
 *   that of another thread is a file in /proc, which a sandbox does not let anybody open;
 *   has the priority of the process, wherever its maker puts itself for a while (base/priority.h);
 *   takes no signal but those of its own instructions: memory that is not there (SIGBUS) has a
 *   handler in the program, and a synchronous signal that is blocked would end the process before
 *   it is asked.
 *
 * 0 or a negative errno. Any thread.
 */
int thread_start(pthread_t *ret, const char *name, void *(*fn)(void *arg),
                 void *arg) FERRY_MUST_CHECK;

/*
 * A mutex that threads of different urgency share: who waits for it lends its own to whoever has
 * it, so that the pause of a move does not wait for the turn of a thread that was put aside while
 * it held the lock. Destroyed by pthread_mutex_destroy().
 */
void thread_mutex_init(pthread_mutex_t *mutex);

/* A condition to wait on until a moment of clock_monotonic_ns(): no clock that is set moves it. */
void thread_cond_init(pthread_cond_t *cond);
/* As pthread_cond_timedwait(3), with spurious wake-ups; false: the moment has passed. */
bool thread_cond_wait_until(pthread_cond_t *cond, pthread_mutex_t *mutex, int64_t until_ns);
