/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What both sides have in common: the one fd that stands for all that they wait for, and their
 * clock. Main thread, but for session_clock().
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include <ferry/migrate.h>

/* What is waited for. */
enum session_slot { SESSION_NOTIFY = 0, SESSION_MAIN, SESSION_LANES, SESSION_SLOTS };

struct session {
    int epoll;  /* owned */
    int notify; /* owned eventfd: a lane has something to say */
    struct {
        int fd;
        short events;
    } slots[SESSION_SLOTS];
    ferry_migrate_clock_fn *clock;
    void *opaque;
};

int session_init(struct session *s, ferry_migrate_clock_fn *clock, void *opaque,
                 struct ferry_err *err) FERRY_MUST_CHECK;
void session_free(struct session *s);
/* fd -1 or no events: wait for nothing. Before an fd is closed this must be told. */
void session_watch(struct session *s, enum session_slot slot, int fd, short events);
/* Besides those: to be told once of what is new on fd, a connection whose bytes are not read yet.
 */
void session_watch_edge(struct session *s, int fd, bool on);
/* The lanes' messages up to now are being looked at. */
void session_noticed(struct session *s);
/* A ferry_migrate_clock_fn whose opaque is the struct session; any thread. */
int64_t session_clock(void *session);
