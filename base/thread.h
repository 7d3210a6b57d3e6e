/* SPDX-License-Identifier: Apache-2.0 */
/* How threads begin: with a name, and signals to the process are for the main thread. */
#pragma once

#include <pthread.h>

#include <ferry/err.h>

/* With its NUL; what is longer is cut. */
#define THREAD_NAME_BYTES 16

/*
 * pthread_create() of a thread that
 *
 *   has this name (ps -L, gdb, what a sandbox says of it) before fn runs. It gives it to itself:
 *   that of another thread is a file in /proc, which a sandbox does not let anybody open;
 *   takes no signal but those of its own instructions: memory that is not there (SIGBUS) has a
 *   handler in the program, and a synchronous signal that is blocked would end the process before
 *   it is asked.
 *
 * 0 or a negative errno. Any thread.
 */
int thread_start(pthread_t *ret, const char *name, void *(*fn)(void *arg),
                 void *arg) FERRY_MUST_CHECK;
