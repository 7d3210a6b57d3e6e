/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One VM: the board, its harts, its run state and the requests that change it.
 *
 * Main thread only, except the vm_request_ functions. Observers are told of every change in
 * order; the monitor turns that into events.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <ferry/err.h>
#include <ferry/part.h>

#include "vmm/machine/config.h"

struct vm;
struct loop;
struct chardev;
struct drive;

/* QEMU's names (query-status). */
enum run_state {
    RUN_STATE_PRELAUNCH = 1,
    RUN_STATE_INMIGRATE,
    RUN_STATE_RUNNING,
    RUN_STATE_PAUSED,
    RUN_STATE_FINISH_MIGRATE,
    RUN_STATE_POSTMIGRATE,
    RUN_STATE_SHUTDOWN,
    RUN_STATE_INTERNAL_ERROR,
    RUN_STATE_IO_ERROR, /* the host failed a request, which is tried again by cont */
};
#define RUN_STATE_LAST RUN_STATE_IO_ERROR
const char *run_state_name(enum run_state state);

/* Why a shutdown or reset happens; QEMU's ShutdownCause names. */
enum shutdown_cause {
    SHUTDOWN_CAUSE_HOST_QMP_QUIT = 1,
    SHUTDOWN_CAUSE_HOST_QMP_SYSTEM_RESET,
    SHUTDOWN_CAUSE_HOST_SIGNAL,
    SHUTDOWN_CAUSE_GUEST_SHUTDOWN,
    SHUTDOWN_CAUSE_GUEST_RESET,
};
const char *shutdown_cause_name(enum shutdown_cause cause);

enum vm_event {
    VM_EVENT_STOP = 1,
    VM_EVENT_RESUME,
    VM_EVENT_RESET,     /* cause says who */
    VM_EVENT_SHUTDOWN,  /* cause says who */
    VM_EVENT_POWERDOWN, /* asked by the operator */
    VM_EVENT_IO_ERROR,  /* vm_io_error() says which */
    VM_EVENT_UPDATED,   /* this process runs the guest now; migration_info() says since when */
    VM_EVENT_NETDEV,    /* a stream's peer came or went: vm_netdev() says whose */
    VM_EVENT_BALLOON,   /* the guest's balloon holds more or less: vm_balloon() */
};
typedef void vm_observer_fn(void *arg, enum vm_event event, enum shutdown_cause cause);
int vm_observe(struct vm *vm, vm_observer_fn *fn, void *arg,
               struct ferry_err *err) FERRY_MUST_CHECK;

/* A request of the guest that the host could not do. */
struct vm_io_error {
    const char *drive;
    bool write;   /* or flush, discard, write zeroes */
    bool stops;   /* the guest stops; the request is kept for cont */
    bool ignored; /* the guest is told that it was done; else that it failed, if it does not stop */
    bool nospace;
    int errnum;
};
/* During VM_EVENT_IO_ERROR. */
const struct vm_io_error *vm_io_error(const struct vm *vm);
/* During VM_EVENT_NETDEV. */
const struct vm_netdev {
    const char *id;
    const char *path; /* of the socket; NULL where the peer has none */
    bool connected;
} * vm_netdev(const struct vm *vm);

const struct vm_config *vm_config(const struct vm *vm);
struct loop *vm_loop(const struct vm *vm);
enum run_state vm_run_state(const struct vm *vm);

/*
 * QMP stop and cont with QEMU's rules for each run state (docs/qmp.md, RunState). In
 * inmigrate they say what the guest shall do when it has come.
 */
int vm_stop(struct vm *vm, struct ferry_err *err) FERRY_MUST_CHECK;
/*
 * The host still does what the guest asked of a disk before it was stopped: fn() is called when it
 * has, or does not come to an end. false: it does nothing.
 */
bool vm_settles(struct vm *vm, void (*fn)(void *arg), void *arg) FERRY_MUST_CHECK;
int vm_cont(struct vm *vm, struct ferry_err *err) FERRY_MUST_CHECK;
/*
 * The operator's. A guest that is in neither of two places takes no order (-EBUSY), so that none is
 * acknowledged and then forgotten; quit ends the move instead, as long as that leads back here.
 */
int vm_quit(struct vm *vm, struct ferry_err *err) FERRY_MUST_CHECK;
int vm_reset(struct vm *vm, struct ferry_err *err) FERRY_MUST_CHECK;

/* The operator knows that the guest runs nowhere else: cont works again in postmigrate. */
int vm_override_fence(struct vm *vm, struct ferry_err *err) FERRY_MUST_CHECK;

/* Any thread: carried out by the main thread soon. */
void vm_request_reset(struct vm *vm, enum shutdown_cause cause);
void vm_request_shutdown(struct vm *vm, enum shutdown_cause cause, int exit_code);
/* Main thread: the guest is asked to power off, by the power keys of its keyboards. */
int vm_powerdown(struct vm *vm, struct ferry_err *err) FERRY_MUST_CHECK;

/* Main thread: how much RAM the guest shall have, and has, without what its balloon holds; false:
 * it has no balloon. */
bool vm_set_balloon(struct vm *vm, uint64_t ram_bytes);
bool vm_balloon(struct vm *vm, uint64_t *ret_ram_bytes);

/*
 * Backends that come and go. words: of the option that would bring it (-netdev), in JSON. *fd: what
 * it would open is open, and taken on success; -1: it opens that itself. Targets of moves have it,
 * too. A refusal changes nothing; so it is while the VM moves (-EBUSY). Main thread.
 */
int vm_add_netdev(struct vm *vm, const char *words, int *fd,
                  struct ferry_err *err) FERRY_MUST_CHECK;
/* Would it be refused, as far as its words and the VM say? */
int vm_check_netdev(struct vm *vm, const char *words, struct ferry_err *err) FERRY_MUST_CHECK;
/* -ENODEV: there is none; -EBUSY: a card uses it. All that it had is closed. */
int vm_remove_netdev(struct vm *vm, const char *id, struct ferry_err *err) FERRY_MUST_CHECK;

/* The same of chardevs; what was opened has names (vmm/backend/chardev.h). -ENOENT: there is none.
 */
int vm_check_chardev(struct vm *vm, const char *words, struct ferry_err *err) FERRY_MUST_CHECK;
int vm_add_chardev(struct vm *vm, const char *words, struct ferry_named_fd *fds, size_t count,
                   struct ferry_err *err) FERRY_MUST_CHECK;
int vm_remove_chardev(struct vm *vm, const char *id, struct ferry_err *err) FERRY_MUST_CHECK;

/* The same of block nodes, by -blockdev's words. -ENOENT: there is none; -EBUSY: a disk uses it, or
 * what it had is on its way to the disk still. */
int vm_check_blockdev(struct vm *vm, const char *words, struct ferry_err *err) FERRY_MUST_CHECK;
int vm_add_blockdev(struct vm *vm, const char *words, int *fd,
                    struct ferry_err *err) FERRY_MUST_CHECK;
int vm_remove_blockdev(struct vm *vm, const char *node, struct ferry_err *err) FERRY_MUST_CHECK;

/* What the query commands show. The generation ID, as its text is written; false: there is none. */
bool vm_generation(struct vm *vm, uint8_t ret[16]);
size_t vm_hart_count(const struct vm *vm);
int vm_hart_thread_id(const struct vm *vm, size_t index);
