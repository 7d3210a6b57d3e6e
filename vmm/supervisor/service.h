/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a service manager is told, in the protocol of sd_notify(3): datagrams of NAME=VALUE lines to
 * the socket that NOTIFY_SOCKET names.
 *
 *     READY=1         the guest is here
 *     RELOADING=1     an update has begun; READY=1 again when it is over, well or not
 *     WATCHDOG=1      the VMM that has the guest says that its main loop turns (ERRAND_BEATS)
 *     WATCHDOG_USEC=  0 while the guest is in a VMM too old to say so, which is no reason to end it
 *
 * A process that is not started by one tells nobody. The supervisor does this, which is outside the
 * sandbox and whose pid never changes: MAINPID need not be told, NotifyAccess=main is enough, and a
 * VMM that is the guest's can say that it is well but nothing else, nor that more often than
 * eight times in the time that was asked for.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

/* As it is now. */
struct service_facts {
    bool guest;    /* a VMM has the guest */
    bool updating; /* and another wants it */
    bool beats;    /* whoever has the guest is one that says when its main loop turns */
    bool beat;     /* and has said so since the last time */
};

struct service {
    const char *socket;   /* of the environment, a loan; NULL: there is nobody to tell */
    uint64_t watchdog_us; /* 0: it wants to hear no beats */
    struct service_facts told;
    bool watched;       /* it waits for beats */
    int64_t beat_at_ns; /* when WATCHDOG=1 was said last */
};

/* Of this process's environment; what in it is meant for another process is removed. */
void service_begin(struct service *s);
/* Says what is new about it. Waits some seconds at most for a manager that is busy, with anything
 * but a beat. */
void service_tell(struct service *s, const struct service_facts *now);

/* For who has been handed WATCHDOG_USEC: how often it shall say that it is well; 0 = not. */
int64_t service_beat_interval_ns(void);
