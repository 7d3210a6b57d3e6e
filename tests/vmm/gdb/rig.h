/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A server of GDB's protocol on a VM whose harts never run: a stop comes at once, and is told of.
 * Its chardev leads nowhere. Ends the program if anything fails.
 */
#pragma once

#include "tests/vmm/accel/riscv64/machine.h"
#include "vmm/gdb/gdb.h"
#include "vmm/machine/vm.h"

#define GDB_RIG_HARTS 2

struct vm {
    enum run_state state;
    struct machine machine;
    vm_observer_fn *observer;
    void *observer_arg;
};

struct gdb_rig {
    struct vm vm;
    struct config_chardev config;
    struct chardev *chardev;
    struct gdb *gdb;
};

void gdb_rig_init(struct gdb_rig *r);
void gdb_rig_free(struct gdb_rig *r);
