/* SPDX-License-Identifier: Apache-2.0 */
/* struct ferry_address from the inside (<ferry/chan.h>): a parsed place, nothing is open yet. */
#pragma once

#include <stdbool.h>
#include <sys/un.h>

#include <ferry/chan.h>

/* A shell's command line, a path: what fits a monitor's line. */
#define ADDRESS_TEXT_MAX_BYTES 8192u
#define ADDRESS_ARGS_MAX       256u

struct chan_type;

struct ferry_address {
    const struct chan_type *type;
    char *text; /* owned, like all that follow */
    char *host; /* TCP; "" = any */
    char *port;
    bool loopback; /* TCP: who listens there is for this host only */
    char *path;    /* UNIX, FILE */
    char **argv;
    char *name;    /* FD: the monitor's name for it; NULL: a number */
    int fd;        /* FD; FILE from an fd set; -1: not resolved yet */
    int direct_fd; /* FILE from an fd set: the same with O_DIRECT, if the set has it; else -1 */
    uint64_t offset_bytes; /* FILE */
    bool in_place;         /* FILE: written as it is */
    int mail;              /* another process opens it: we are told here, owned; -1 */
    bool mail_used;        /* its first answer was for somebody; another has to be asked for */
};

/* Empty, of this type; NULL and err on failure. */
struct ferry_address *address_new(const struct chan_type *type, struct ferry_err *err);
/* Of one that is connected to: TCP, UNIX, or what another process opens. NULL and err on failure.
 */
struct ferry_address *address_copy(const struct ferry_address *a, struct ferry_err *err);
/* Makes ->text; -errno. */
int address_describe(struct ferry_address *a, struct ferry_err *err, const char *fmt,
                     ...) FERRY_MUST_CHECK __attribute__((format(printf, 3, 4)));
