/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A VM, as the library sees it: RAM and an ordered list of parts.
 *
 * A part is anything with saved state or host resources: a hart, a device, a backend. It declares
 * its stream identity, its state table, its named fds and what it does around a pause. A new
 * device is made migratable by its own file and nothing else.
 *
 * A part is created from its description and opens nothing; then it is attached: it either opens
 * its host resources (fresh start) or adopts the named fds that arrived (handover).
 *
 * Everything here is called on one thread, the VM's.
 *
 *   running --quiesce--> draining/drained --pause--> paused --(save)--> handed over, or
 *                                                       \--resume + unquiesce--> running
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include <ferry/err.h>
#include <ferry/ram.h>
#include <ferry/state.h>

#define FERRY_FD_NAME_BYTES 64 /* "net0/tap", with its NUL */

struct ferry_vm;

struct ferry_named_fd {
    char name[FERRY_FD_NAME_BYTES]; /* unique in the VM: "<id>/<what>" */
    int fd;                         /* a loan; -1 while not attached */
};

/*
 * Something that the guest sees and that comes from the host: "disk on virtio-mmio-bus.7: capacity"
 * is "67108864 bytes". Between two hosts it is compared, by its name, before the guest moves.
 */
#define FERRY_FACT_NAME_BYTES  96 /* with its NUL; unique in the VM */
#define FERRY_FACT_VALUE_BYTES 64

struct ferry_fact {
    char name[FERRY_FACT_NAME_BYTES];
    char value[FERRY_FACT_VALUE_BYTES]; /* "": not known yet; nothing is compared */
};

/* Every member may be NULL: nothing to do. */
struct ferry_part_ops {
    /*
     * The guest runs. Take no new request from it and let those in flight finish. Returns 0 if
     * nothing is in flight, 1 if some are: then call ferry_vm_drained() when the last is done.
     */
    int (*quiesce)(void *obj);
    void (*unquiesce)(void *obj);
    /* No hart runs and nothing is in flight. Stop using host resources, close nothing. */
    void (*pause)(void *obj);
    /* Use them (again): after pause, or the first time after attach or adopt and load. */
    void (*resume)(void *obj);
    /* The index-th named fd; 0, or -ENOENT past the last. The list is fixed after create. */
    int (*fd_at)(void *obj, size_t index, struct ferry_named_fd *ret);
    /*
     * Take a named fd that arrived: verify that it is what it should be, re-initialise nothing.
     * Takes *fd on success. Undone by the part's own destructor.
     */
    int (*adopt)(void *obj, const char *name, int *fd, struct ferry_err *err);
    /*
     * The index-th fact; 0, or -ENOENT past the last. Asked before the part is attached, too: then
     * it may look at its host, but opens nothing.
     */
    int (*fact_at)(void *obj, size_t index, struct ferry_fact *ret);
    /*
     * Like fd_at, for what there may be more or fewer of at each time, as clients: asked in the
     * pause, after the part has paused. Names are the part's idstr, '/' and what it likes. The part
     * of that idstr is given them (adopt) by a handover's target that knows of such; which is no
     * condition: what nobody takes is closed, and the guest goes over all the same.
     */
    int (*extra_fd_at)(void *obj, size_t index, struct ferry_named_fd *ret);
};

struct ferry_part {
    const char *idstr;    /* at most 255 bytes, with instance_id unique; loan for the VM's life */
    uint32_t instance_id; /* 0, 1, ... for equal idstr */
    const struct ferry_table *table;  /* NULL: host resources only, no section */
    const struct ferry_part_ops *ops; /* NULL: state only */
    void *obj;                        /* the loaned object */
    size_t obj_bytes;                 /* its size, for the scratch copy */
};

struct ferry_vm_ops {
    /*
     * Stop every hart at an instruction boundary and the guest's clock. Returns when all stopped,
     * with the instant at which the clock did: CLOCK_MONOTONIC, the very reading that it stands at.
     */
    int64_t (*pause)(void *opaque);
    /* The guest has not left after all: the harts run, and the clock as if it had not stopped. */
    void (*resume)(void *opaque);
};

struct ferry_vm_params {
    size_t size_bytes;        /* sizeof(struct ferry_vm_params) */
    const char *machine_name; /* configuration section: "virt"; copied */
    struct ferry_ram *ram;    /* loan */
    const struct ferry_vm_ops *ops;
    void *opaque;
};

FERRY_API int ferry_vm_new(struct ferry_vm **ret, const struct ferry_vm_params *params,
                           struct ferry_err *err) FERRY_MUST_CHECK;
FERRY_API void ferry_vm_free(struct ferry_vm *vm);
/*
 * Parts are saved, loaded, paused and resumed in the order they were added. Copies *part. They come
 * and go while the guest runs, but not during a move, for which the list is read once: -EBUSY where
 * one is about to pause. What ferry_vm_part() gave out is then no longer valid.
 */
FERRY_API int ferry_vm_add_part(struct ferry_vm *vm, const struct ferry_part *part,
                                struct ferry_err *err) FERRY_MUST_CHECK;
/* The object is its owner's, who stops using the list for it first: -ENOENT, there is no such. */
FERRY_API int ferry_vm_remove_part(struct ferry_vm *vm, const char *idstr, uint32_t instance_id,
                                   struct ferry_err *err) FERRY_MUST_CHECK;
FERRY_API size_t ferry_vm_part_count(const struct ferry_vm *vm);
FERRY_API const struct ferry_part *ferry_vm_part(const struct ferry_vm *vm, size_t index);
FERRY_API struct ferry_ram *ferry_vm_ram(const struct ferry_vm *vm);

/*
 * After a migration that left the VM paused here: its parts are in use again. For a guest that is
 * to run on here, from a snapshot; the harts are the caller's.
 */
FERRY_API void ferry_vm_resume(struct ferry_vm *vm);

/* A part that answered 1 to quiesce has nothing in flight any more. */
FERRY_API void ferry_vm_drained(struct ferry_vm *vm);
