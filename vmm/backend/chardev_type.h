/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a type of chardev is made of. For vmm/backend/chardev_*.c only.
 *
 * The core (chardev.c) moves bytes between one pair of fds and the frontend; a type opens, adopts
 * and closes what is behind them, and tells the core which pair is in use (chardev_use_fds).
 */
#pragma once

#include <pthread.h>

#include "vmm/backend/chardev.h"
#include "vmm/backend/loss.h"

#define CHARDEV_READ_BYTES 4096u /* at most this much per turn of the loop */

struct chardev_type {
    const char *name; /* QEMU's backend name */
    enum config_chardev_type config_type;
    size_t size_bytes; /* of the type's struct, which begins with struct chardev */
    /* All may be NULL. Main thread. */
    int (*create)(struct chardev *c, struct ferry_err *err); /* opens nothing */
    int (*open)(struct chardev *c, struct ferry_err *err);
    /* The index-th named fd: what follows "<id>/", and the fd; -ENOENT past the last. */
    int (*fd_at)(struct chardev *c, size_t index, const char **what, int *fd);
    int (*adopt)(struct chardev *c, const char *what, int *fd, struct ferry_err *err);
    void (*start)(struct chardev *c);  /* running is set; before the core looks at the fds */
    void (*update)(struct chardev *c); /* the frontend came, went or has room; may run or not */
    void (*stop)(struct chardev *c);   /* use no host resource any more, close nothing */
    void (*hangup)(struct chardev *c); /* the peer is gone */
    /* Rewrites input in place; returns how much of it is left. */
    size_t (*filter)(struct chardev *c, uint8_t *data, size_t n);
    void (*destroy)(struct chardev *c); /* close everything; half-built is fine */
    void (*filename)(const struct chardev *c, char *ret, size_t n);
    /* As chardev_write(), which then is all of it: bytes that go to no fd of its own. Any thread.
     */
    size_t (*write)(struct chardev *c, const void *data, size_t n);
    bool is_raw; /* nobody shows who types there what they type (chardev_is_raw) */
};

/* Every type a user can name; NULL terminated. */
extern const struct chardev_type *const chardev_types[];
extern const struct chardev_type chardev_null_type;
extern const struct chardev_type chardev_stdio_type;
extern const struct chardev_type chardev_file_type;
extern const struct chardev_type chardev_socket_type;
extern const struct chardev_type chardev_pty_type;

struct chardev {
    const struct chardev_type *type;
    const struct config_chardev *config; /* NULL for an accepted client; else, but for places of a
                                            mux, own_config */
    struct config_chardev own_config;    /* its strings are owned */
    struct loop *loop;
    bool escape;
    void (*quit)(void *arg);
    void (*client_came)(void *arg);
    void (*drained)(void *arg);
    void *arg;
    char idstr[FERRY_FD_NAME_BYTES]; /* of its part */

    /* Main thread. */
    const struct chardev_frontend *frontend;
    void *frontend_arg;
    bool running; /* between resume and pause */
    bool handed;  /* paused after it ran, or adopted and not yet running: what it did to the
                     host is now somebody else's to undo */
    bool freed;
    bool drain_wanted;  /* drained() has to be called when the writer is idle */
    bool awaits_client; /* the first one; then client_came() */
    int log_fd;         /* owned; of config->logfile; -1 = none */
    int in_fd;          /* loan from the type; -1 = none */
    bool in_is_socket;
    bool told_open; /* of this peer */
    bool input_over;
    bool always_readable; /* the kernel cannot watch it (a regular file, /dev/null) */
    struct loop_watch *in_watch;
    struct loop_watch *out_watch; /* NULL if out_fd is in_fd: one fd, one watch */

    /* Any thread, under lock. The lock is a leaf: nothing is taken inside but the loop's own. */
    pthread_mutex_t lock;
    int out_fd; /* loan from the type; -1 = no peer */
    bool out_is_socket;
    bool out_is_file;      /* written to by a thread */
    struct writer *writer; /* owned; its; NULL: not needed yet. Changed by the main thread */
    struct writer *log;    /* the same, of log_fd */
    bool want_writable;    /* a write was short */
    bool broken;           /* a write found that the peer is gone */
    struct loss loss;      /* of what no thread writes */
    bool quiesced;         /* the writer gets nothing more */
    bool kicked;           /* an update is posted to the loop */
    /* The owner, a posted update and a running callback each hold one: the struct goes last. */
    unsigned refs;
};

/* Of type->size_bytes, all else zero; NULL: no memory. */
struct chardev *chardev_alloc(const struct chardev_type *type, struct loop *loop);
/* From now on move bytes between these (loans; -1 = none) and the frontend. */
void chardev_use_fds(struct chardev *c, int in_fd, int out_fd);
/* Stop using them; after it the type may close them. */
void chardev_drop_fds(struct chardev *c);
/* Look again at what to watch. Main thread. */
void chardev_update(struct chardev *c);
/* Under c->lock, any thread: chardev_update() soon, from the loop. */
void chardev_kick(struct chardev *c);
/* The owner lets go: a loop that ends would never come to it. */
void chardev_unkick(struct chardev *c);
/* Watch nothing until the next chardev_update(). */
void chardev_unwatch(struct chardev *c);
/* Keep c's memory across callbacks that may free it. */
void chardev_hold(struct chardev *c);
void chardev_release(struct chardev *c);
void chardev_tell(struct chardev *c, enum chardev_event event);
/* Nothing is on its way to a file. */
bool chardev_is_written(struct chardev *c);
