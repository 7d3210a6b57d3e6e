/* SPDX-License-Identifier: Apache-2.0 */
/*
 * struct board from the inside: how it is made (board_build.c), what it does then (board.c), and
 * what a machine type makes its own with (type.h). Others include board.h. Main thread.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <ferry/err.h>

#include "vmm/backend/backends.h"
#include "vmm/board/board.h"
#include "vmm/dev/dev.h"
#include "vmm/dev/vmgenid.h"
#include "vmm/machine/accel.h"
#include "vmm/machine/bus.h"
#include "vmm/machine/guestmem.h"
#include "vmm/machine/irq.h"
#include "vmm/machine/machine_type.h"

struct board {
    struct board_params params;
    const struct vm_config *config;
    const struct machine_type *type;

    struct ferry_ram *ram;
    struct guestmem mem;
    struct machine_lock lock;
    struct bus bus;
    struct guest_clock *clock;
    struct dev_env env;

    const struct accel *accel;
    struct vcpu *vcpus[CONFIG_HARTS_MAX];
    size_t hart_count;
    struct backends backends;
    struct bell *flushed; /* a worker has flushed an image for a move */
    struct boot *boot;
    struct dev **devices; /* owned, and the array; in the order of QEMU's sections */
    size_t device_count;
    bool running; /* as far as start and stop are concerned */
    bool held;    /* ... but a reset is under way */
};

/* Everything that a board has, by its config; nothing is opened. What there is after a failure
 * board_free() frees. */
int board_build(struct board *b, struct ferry_err *err) FERRY_MUST_CHECK;
/* The file of the config's RAM, if it has one. */
int board_open_file(struct board *b, struct ferry_err *err) FERRY_MUST_CHECK;
/* As a cold boot finds harts and devices. */
void board_power_on(struct board *b);
/* Of a vmgenid: random, or the one that this host's command line gives. */
int board_choose_guid(const struct board *b, bool own_options, uint8_t guid[VMGENID_BYTES],
                      struct ferry_err *err) FERRY_MUST_CHECK;

/* --- For machine types --- */

/* A block of memory of the board's own, in the order of QEMU's RAM blocks. */
int board_add_memory(struct board *b, const char *name, uint64_t base_gpa, uint64_t size_bytes,
                     bool readonly, struct ferry_err *err) FERRY_MUST_CHECK;
/* All vcpus; model: as in struct vcpu_params. */
int board_new_vcpus(struct board *b, const void *model, struct ferry_err *err) FERRY_MUST_CHECK;
/* An interrupt input of a vcpu (vcpu_set_irq()), and how to ask for its level. */
struct irq_line board_vcpu_line(struct vcpu *v, unsigned input);
bool board_get_vcpu_irq(void *vcpu, unsigned input);
/* Takes d, also on failure. Its registers, if it has any, are at gpa. */
int board_add_device(struct board *b, struct dev *d, uint64_t gpa,
                     struct ferry_err *err) FERRY_MUST_CHECK;
/* A device of the board's own, with nothing more than its type to say what it is. */
int board_new_device(struct board *b, const struct dev_type *type, uint64_t gpa,
                     struct irq_line irq, const char *idstr, struct dev **ret,
                     struct ferry_err *err) FERRY_MUST_CHECK;
