/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Character devices: where the bytes of a serial line or a monitor come from and go to on the host.
 *
 * A chardev is a part of the VM without saved state. It is created from its description, then
 * opened (fresh start) or given named fds (its part's adopt, in a handover), and runs between its
 * part's resume and pause. It keeps no bytes in a pause: what the frontend does not take stays in
 * the kernel, what the kernel does not take stays with the frontend. So a console client stays
 * connected over a handover and nothing is lost or repeated. What is on its way to a file is in
 * flight, as a disk's request is, until quiesce.
 *
 * Named fds: "<id>/in", "<id>/out", "<id>/terminal" (stdio), "<id>/file", "<id>/listen",
 * "<id>/client" (socket),
 * "<id>/pty", "<id>/opened" (pty); "<id>/log", of any with a logfile.
 *
 * Everything here is for the main thread, except chardev_write() and chardev_input_ready(), which
 * any thread may call, with the machine lock held or not. Frontend callbacks run on the main
 * thread without any lock. SIGPIPE must be ignored by the program.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include <ferry/err.h>
#include <ferry/part.h>

#include "vmm/machine/config.h"
#include "vmm/machine/loop.h"

struct chardev;

#define CHARDEV_FDS_MAX 16

enum chardev_event {
    CHARDEV_OPENED = 1, /* a peer is there */
    /* No more input will come. Writes still reach a peer that only closed its sending half (a
     * client given to accept(), stdio); otherwise they are dropped. */
    CHARDEV_CLOSED,
    CHARDEV_BREAK, /* a break on the serial line */
    /* Of a mux: what is typed comes here now, or no longer. Nobody else hears of it. */
    CHARDEV_MUX_IN,
    CHARDEV_MUX_OUT,
};

/* Who uses a chardev. Members may be NULL. A client may be freed in its own callbacks. */
struct chardev_frontend {
    /* How many bytes it can take now; 0 = none, until chardev_input_ready(). NULL: takes none. */
    size_t (*can_receive)(void *arg);
    /* n is at most what can_receive() said. */
    void (*receive)(void *arg, const uint8_t *data, size_t n);
    /*
     * What waits in a socket, before it is read: how many bytes of it shall be, at most n. 0: none
     * yet. NULL: all.
     */
    size_t (*look)(void *arg, const uint8_t *data, size_t n);
    /*
     * A UNIX socket's peer has sent these file descriptors with the bytes that receive() gets next;
     * they are the frontend's. At most CHARDEV_FDS_MAX at once; more are closed. NULL: all are.
     */
    void (*receive_fds)(void *arg, const int *fds, size_t count);
    /* After a short chardev_write(): there is room. Also once whenever the chardev starts to run.
     */
    void (*writable)(void *arg);
    void (*event)(void *arg, enum chardev_event event);
    /*
     * A listening socket serves one client at a time through the callbacks above, unless this is
     * set: then it gives away every connection as a chardev of its own, which already runs. The
     * frontend owns it.
     */
    void (*accept)(void *arg, struct chardev *client);
    /* Who connects to a listening socket must be of this process's user, or root. */
    bool same_user;
    /* A person types whole lines here: leave a terminal in its line mode. */
    bool line_mode;
};

struct chardev_params {
    const struct config_chardev *config; /* copied */
    struct loop *loop;
    bool escape;             /* Ctrl-a is a command key on stdio: x quits, h helps */
    void (*quit)(void *arg); /* Ctrl-a x */
    /* Nobody is awaited any more (chardev_awaits_client). Main thread; NULL: nothing. */
    void (*client_came)(void *arg);
    /* What its part answered 1 to quiesce for is done. Main thread. */
    void (*drained)(void *arg);
    void *arg;
};

/* Opens nothing. */
int chardev_new(struct chardev **ret, const struct chardev_params *params,
                struct ferry_err *err) FERRY_MUST_CHECK;
/* A connection that a listening one accepted: runs from birth. Takes *fd, non-blocking, on success.
 */
int chardev_new_client(struct chardev **ret, struct loop *loop, int *fd,
                       struct ferry_err *err) FERRY_MUST_CHECK;
/* Nothing more is written; what was is on its way out. Does not wait; before several are freed. */
void chardev_end(struct chardev *c);
/*
 * Stops, closes, and undoes what it did to the host (terminal mode, socket path) unless that was
 * handed over: paused and not resumed. NULL is fine. The loop must still exist.
 */
void chardev_free(struct chardev *c);
/* Fresh start: open host resources. Waits for nobody. */
int chardev_open(struct chardev *c, struct ferry_err *err) FERRY_MUST_CHECK;
/*
 * Instead of open: another process opened what this one may not. By the names behind "<id>/" above;
 * takes what is what it should be, all of it on success.
 */
int chardev_open_with(struct chardev *c, struct ferry_named_fd *fds, size_t count,
                      struct ferry_err *err) FERRY_MUST_CHECK;
/* For who opens it for another process: "pty" and "opened", the caller's, and its name. */
#define CHARDEV_PTY_PATH_BYTES 32
int chardev_pty_make(int *ret_master, int *ret_opened, char path[CHARDEV_PTY_PATH_BYTES],
                     struct ferry_err *err) FERRY_MUST_CHECK;
/*
 * A server socket with wait=on was opened, and its first client has not connected: the machine
 * shall not start yet. Whoever starts it looks at this, and again at client_came().
 */
bool chardev_awaits_client(const struct chardev *c);
/* Its part: named fds, adopt, pause, resume. No section in the stream. */
struct ferry_part chardev_part(struct chardev *c);

/* One at a time; -EBUSY. ops and arg are loans until cleared. */
int chardev_set_frontend(struct chardev *c, const struct chardev_frontend *frontend, void *arg,
                         struct ferry_err *err) FERRY_MUST_CHECK;
void chardev_clear_frontend(struct chardev *c);

/*
 * Write what fits without blocking and return how many bytes that was; if fewer than n, the
 * frontend's writable() follows. Without a peer, bytes are dropped and count as written.
 */
size_t chardev_write(struct chardev *c, const void *data, size_t n);
/* can_receive() may say more than before. */
void chardev_input_ready(struct chardev *c);

/* Where input comes from, a loan; -1: from nowhere, or not through a socket. */
int chardev_input_socket(const struct chardev *c);

/* Which process is connected; 0: none, or nobody can say (no UNIX socket, a monitor's clients). */
pid_t chardev_peer_pid(struct chardev *c);
/* Close the connection of whoever is, from the loop; then the next one that waits is served.
 * -ENOTCONN.
 */
int chardev_disconnect(struct chardev *c, struct ferry_err *err) FERRY_MUST_CHECK;

const char *chardev_id(const struct chardev *c);
/*
 * Whoever types there sees no more than what is sent back: a place of a mux, a pty. A terminal on
 * stdio edits lines itself (line_mode), and what is behind a socket nobody knows.
 */
bool chardev_is_raw(const struct chardev *c);
bool chardev_frontend_open(const struct chardev *c);
/* Like "unix:/run/x.sock,server=on", for query-chardev; cut to n bytes with its NUL. */
void chardev_filename(const struct chardev *c, char *ret, size_t n);
