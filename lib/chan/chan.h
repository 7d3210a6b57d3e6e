/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Channels from the inside: one byte stream, whatever carries it.
 *
 * Nothing blocks but a regular file: -EAGAIN means poll(2) for it. One thread may send while
 * another receives; everything else belongs to one of them. What a channel is made of is one file
 * per kind and one line in types.c.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/uio.h>

#include <ferry/chan.h>

#include "lib/chan/address.h"

struct chan_traits {
    bool both_ways; /* has a return path */
    bool many;      /* can be opened several times: lanes */
    bool seekable;  /* a regular file */
};

struct draft;

struct ferry_chan {
    int fd;        /* owned */
    int direct_fd; /* owned; the same file with O_DIRECT, if it was given; -1 */
    bool socket;
    struct chan_traits traits;
    pid_t pid; /* EXEC: the child, which leads a group; while there is a pidfd */
    int pidfd; /* EXEC: the same, owned; -1 */
    int mail;  /* another process has more to do at the end, and tells here, owned; -1: EXEC: the
                * command's end; FILE: to give it its name */
    struct draft *draft; /* FILE: has its name when it is finished; owned, NULL */
    uint64_t sent_bytes, received_bytes;
    bool finishing;
    bool input_over; /* EXEC: what it wrote is read, and its end is awaited */
    char *name;      /* for sentences: "tcp:..."; owned */
};

/* All of the kinds, ended by NULL. */
struct chan_type {
    enum ferry_address_kind kind;
    const char *scheme; /* "tcp:" */
    bool many;
    int (*parse)(struct ferry_address *a, const char *rest, struct ferry_err *err);
    /* May be NULL: nothing of it is the monitor's. */
    int (*resolve)(struct ferry_address *a, const struct ferry_fd_names *names, int flags,
                   struct ferry_err *err);
    /*
     * Open to write to (out) or to read from. Only for kinds that need not wait; NULL: connect.h
     * and listener.c do it.
     */
    int (*open)(const struct ferry_address *a, bool out, struct ferry_chan **ret,
                struct ferry_err *err);
};
extern const struct chan_type *const chan_types[];

/* Takes *fd on success; makes it non-blocking where that means something. */
int chan_new(struct ferry_chan **ret, int *fd, const char *name,
             struct ferry_err *err) FERRY_MUST_CHECK;

static inline const struct chan_traits *chan_traits(const struct ferry_chan *c)
{
    return &c->traits;
}
static inline const char *chan_name(const struct ferry_chan *c)
{
    return c->name;
}
/* To poll(2); never ready for a regular file, which always can be read and written. */
int chan_fd(const struct ferry_chan *c);

/* At least one byte of n > 0 vectors, or -EAGAIN, or -EPIPE when the peer is gone, or -errno. */
ssize_t chan_send(struct ferry_chan *c, const struct iovec *iov, size_t n,
                  struct ferry_err *err) FERRY_MUST_CHECK;
/*
 * 0 at the end. A reset is an end, too: what was received before it counts. A command's is its
 * own: -EPIPE with its status where that says that it failed.
 */
ssize_t chan_recv(struct ferry_chan *c, void *data, size_t n,
                  struct ferry_err *err) FERRY_MUST_CHECK;
/* -ECONNRESET: chan_recv() said 0, and more was to come. Names what has ended, and after how much.
 */
int chan_cut_short(const struct ferry_chan *c, struct ferry_err *err);
/* The first n bytes to come, which stay there: 0, or -EAGAIN; -ECONNRESET at the end. Sockets. */
int chan_peek(struct ferry_chan *c, void *data, size_t n, struct ferry_err *err) FERRY_MUST_CHECK;
/* What was sent and the peer's side has not taken yet, as far as the kernel tells. */
uint64_t chan_queued_bytes(const struct ferry_chan *c);
/* A file's bytes are on its disk, as long as that takes; nothing for other channels. */
int chan_sync(struct ferry_chan *c, struct ferry_err *err) FERRY_MUST_CHECK;
/* Nothing more will be sent: 0 when that is certain to be kept (a file, after chan_sync(), has its
 * name; a command has ended well), or -EAGAIN: ask again when chan_finish_fd() can be read. A file
 * that is freed before is removed. */
int chan_finish(struct ferry_chan *c, struct ferry_err *err) FERRY_MUST_CHECK;
int chan_finish_fd(const struct ferry_chan *c);
/* Both directions, at once, whoever uses them: sends fail, receivers see the end. */
void chan_shutdown(struct ferry_chan *c);
/* No more sends; the peer sees the end. */
void chan_shutdown_write(struct ferry_chan *c);
