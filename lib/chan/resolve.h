/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Looking up a host's name without waiting for it. The lookup cannot be broken off: who leaves
 * early leaves it to its thread, which then frees everything.
 */
#pragma once

#include <stdbool.h>

#include <ferry/err.h>

struct addrinfo;
struct resolve;

/* Numeric addresses are there at once, without a thread. host "": any (passive) or this host. */
int resolve_start(struct resolve **ret, const char *host, const char *port, bool passive,
                  struct ferry_err *err) FERRY_MUST_CHECK;
/* Can be read when the result is there. */
int resolve_fd(const struct resolve *r);
/* 0 and a list for freeaddrinfo(), -EAGAIN, or the failure. */
int resolve_result(struct resolve *r, struct addrinfo **ret,
                   struct ferry_err *err) FERRY_MUST_CHECK;
void resolve_leave(struct resolve *r);
