/* SPDX-License-Identifier: Apache-2.0 */
/* How threads begin: signals to the process are for the main thread. */
#pragma once

#include <pthread.h>

/*
 * pthread_create() of a thread that takes no signal but those of its own instructions: memory that
 * is not there (SIGBUS) has a handler in the program, and a synchronous signal that is blocked
 * would end the process before it is asked. 0 or a negative errno.
 */
int thread_start(pthread_t *ret, void *(*fn)(void *arg), void *arg);
