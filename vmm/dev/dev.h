/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A device: what the guest sees. (A backend, in vmm/backend, is what the host has.)
 *
 * A device is one file: its struct (whose first member is struct dev), register map, state table
 * and one const struct dev_type, listed in types.c. It sees the machine only through struct
 * dev_env and its backend; it does not know that migration or QMP exist. All handlers run with the
 * machine lock held.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <ferry/err.h>
#include <ferry/part.h>

#include "vmm/machine/bus.h"
#include "vmm/machine/clock.h"
#include "vmm/machine/guestmem.h"
#include "vmm/machine/irq.h"
#include "vmm/machine/lock.h"
#include "vmm/machine/loop.h"

/* The machine as a device sees it; outlives every device. */
struct dev_env {
    const struct guestmem *mem;
    struct loop *loop;
    struct machine_lock *lock;
    struct guest_clock *clock;
    uint32_t hart_count; /* 1 to CONFIG_HARTS_MAX */
    /* Requests of the guest to the machine; from any thread, carried out later by the main thread.
     */
    void (*power_off)(void *machine, int exit_code);
    void (*reset)(void *machine);
    void *machine;
};

struct dev_type;

struct dev {
    const struct dev_type *type;
    const struct dev_env *env;
    struct irq_line irq; /* unset for devices without one */
    char idstr[64];      /* section name in the stream */
    uint32_t instance_id;
    struct bus_region region; /* its registers, at 0 until somebody says where; of 0 bytes: none */
};

struct dev_type {
    const char *name;
    size_t size_bytes; /* of the device struct, which begins with struct dev */
    uint64_t mmio_bytes;
    unsigned access_sizes; /* as in struct bus_region */
    struct bus_ops mmio;
    int (*create)(struct dev *d, struct ferry_err *err); /* may be NULL; opens nothing */
    void (*destroy)(struct dev *d);                      /* may be NULL; half-built is fine */
    /*
     * The machine is about to be reset, its harts do not run: end what is in flight. false: the
     * host still works on something, the device says when not. NULL: nothing ever is.
     */
    bool (*reset_begin)(struct dev *d);
    void (*reset)(struct dev *d);
    const struct ferry_table *table;       /* NULL: no saved state */
    const struct ferry_part_ops *part_ops; /* may be NULL */
};

/* Zeroed struct of the type, base filled in, create() and reset() called. */
int dev_new(struct dev **ret, const struct dev_type *type, const struct dev_env *env,
            struct irq_line irq, const char *idstr, uint32_t instance_id,
            struct ferry_err *err) FERRY_MUST_CHECK;
void dev_free(struct dev *d);
/* Its part, to add to the VM. */
struct ferry_part dev_part(struct dev *d);
