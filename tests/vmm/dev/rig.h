/* SPDX-License-Identifier: Apache-2.0 */
/* A machine around one device: loop, clock, lock, bus, and lines that remember their level. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "tests/contract/contract.h"
#include "vmm/dev/dev.h"

#define RIG_LINES 32

struct rig {
    struct loop *loop;
    struct loop_timer *end;
    struct machine_lock lock;
    struct guest_clock *clock;
    struct guestmem mem;
    struct dev_env env;
    struct bus bus; /* the device is at address 0 */
    struct dev *dev;
    bool level[RIG_LINES];
    int raised[RIG_LINES]; /* how often it went from low to high */
    int power_offs, resets, exit_code;
};

/* hart_count harts; the device's own line is line 0. Never NULL. */
struct rig *rig_new(const struct dev_type *type, uint32_t hart_count);
void rig_free(struct rig *r);
struct irq_line rig_line(struct rig *r, unsigned number);
bool rig_get_level(void *controller, unsigned number);
void rig_run_for(struct rig *r, int64_t ns);

uint64_t rig_read(struct rig *r, uint64_t offset, unsigned size_bytes);
void rig_write(struct rig *r, uint64_t offset, unsigned size_bytes, uint64_t value);

/* For struct contract_case, whose objects are devices: make is given a struct rig_contract. */
struct rig_contract {
    const struct dev_type *type;
    uint32_t hart_count;
};
void *rig_make_dev(void *arg);
/* The rig that a device of rig_make_dev() lives in. */
struct rig *rig_of(const void *dev);
void rig_destroy_dev(void *dev);
