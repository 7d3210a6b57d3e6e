/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Everything of the host that a description names: chardevs, drives, netdevs. Created without
 * opening anything, then opened (fresh start) or adopted through their parts. Main thread.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include <ferry/err.h>
#include <ferry/part.h>

#include "vmm/backend/block.h"
#include "vmm/backend/chardev.h"
#include "vmm/backend/net.h"
#include "vmm/machine/config.h"
#include "vmm/machine/thread.h"

struct bell;

struct backends {
    struct chardev *chardevs[CONFIG_CHARDEVS_MAX]; /* owned, in the order of the config */
    struct mux *muxes[CONFIG_CHARDEVS_MAX];        /* owned; NULL: chardevs[i] has mux=off */
    struct block *drives[CONFIG_DRIVES_MAX];
    struct net *netdevs[CONFIG_NETDEVS_MAX];
    size_t chardev_count, drive_count, netdev_count;
    bool claimed; /* the locks of images were given with a claim */
};

struct backends_params {
    const struct vm_config *config; /* loans for the life of the backends */
    struct loop *loop;
    struct machine_lock *lock;
    void (*quit)(void *arg);        /* Ctrl-a x on the serial line */
    void (*client_came)(void *arg); /* backends_await_client() may say no now */
    void (*drained)(void *arg);     /* a part that answered 1 to quiesce has nothing in flight */
    void *arg;
    const struct net_host *net_host; /* copied; NULL: netdevs connect once */
    thread_begin_fn *thread_begin;   /* for threads of backends; NULL = nothing */
};

/* *b is all zeros before. On failure backends_free() is still to be called. */
int backends_new(struct backends *b, const struct backends_params *params,
                 struct ferry_err *err) FERRY_MUST_CHECK;
/* Their users are gone. */
void backends_free(struct backends *b);
void backends_free_chardevs(struct backends *b);
/* No request any more; false: the host still works on one, and not for moments only. */
bool backends_stop_drives(struct backends *b);
int backends_open(struct backends *b, struct ferry_err *err) FERRY_MUST_CHECK;
/* For a guest that arrives as a stream: all but the locks of images. */
int backends_open_unlocked(struct backends *b, struct ferry_err *err) FERRY_MUST_CHECK;
/* The locks of all images, or none: then it is as if they had not been tried. */
int backends_take_locks(struct backends *b, struct ferry_err *err) FERRY_MUST_CHECK;
void backends_give_locks(struct backends *b, bool claim);
/* A chardev with wait=on still has no client: the machine shall not start. */
bool backends_await_client(const struct backends *b);
/* Of all images: block_is_idle(). */
bool backends_are_idle(struct backends *b, struct bell *bell);
/* Of all images: block_flush_begin() and its result; the first that failed. */
void backends_flush_begin(struct backends *b, struct bell *bell);
int backends_flush_result(struct backends *b, struct ferry_err *err) FERRY_MUST_CHECK;
int backends_add_parts(struct backends *b, struct ferry_vm *vm,
                       struct ferry_err *err) FERRY_MUST_CHECK;

/*
 * A netdev more, open: the config's last. *fd: what it would open is open, and taken on success;
 * -1: it opens that itself. params: as in backends_new(). *ret: owned by b, until it is removed.
 */
int backends_add_netdev(struct backends *b, const struct backends_params *params, int *fd,
                        struct net **ret, struct ferry_err *err) FERRY_MUST_CHECK;
/* Closes and frees it; its card and its part are gone. */
void backends_remove_netdev(struct backends *b, struct net *n);

/* The same of a chardev, with things by their names (chardev_open_with); none: it opens itself. */
int backends_add_chardev(struct backends *b, const struct backends_params *params,
                         struct ferry_named_fd *fds, size_t count, struct chardev **ret,
                         struct ferry_err *err) FERRY_MUST_CHECK;
/* Nobody uses it. */
void backends_remove_chardev(struct backends *b, struct chardev *c);

/* The same of a drive, with its image; lock: as block_open_with(). */
int backends_add_drive(struct backends *b, const struct backends_params *params, int *fd, bool lock,
                       struct block **ret, struct ferry_err *err) FERRY_MUST_CHECK;
/* No disk uses it, and it flushes nothing. */
void backends_remove_drive(struct backends *b, struct block *d);

/* NULL: none such. */
struct chardev *backends_find_chardev(const struct backends *b, const char *id);
/* What the UART is connected to, and what config->monitors[index] is: a chardev of its own, or a
 * place on a shared one. NULL: on none. */
struct chardev *backends_serial_line(const struct backends *b, const struct vm_config *c);
struct chardev *backends_monitor_line(const struct backends *b, const struct vm_config *c,
                                      size_t index);
struct block *backends_find_drive(const struct backends *b, const char *id);
struct net *backends_find_netdev(const struct backends *b, const char *id);
