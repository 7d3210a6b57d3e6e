/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Machines that guests can leave for and come back from: -M virt,compat=NAME. What each of them
 * has other than this program's own machine is written down here and nowhere else.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include <ferry/err.h>

#include "vmm/accel/riscv64/hart.h"

struct vm_config;

struct compat {
    const char *name;
    bool qemu_devices; /* fw_cfg, PCI host and flash on the board, with their sections and RAM */
    struct hart_quirks hart;
    bool mtimer3;                /* section "riscv_mtimer" has version 3, else 1 */
    const char *mmu_type;        /* in the device tree */
    uint32_t virtio_queue_num;   /* size of each queue until the driver says; 0: the device's own */
    bool virtio_queue_num_fixed; /* ... which is also the largest it can be, else 1024 is */
};

/* Of a config that has been checked; NULL: the machine of this program. */
const struct compat *compat_of(const struct vm_config *c);
/* name NULL: *ret is NULL, the machine of this program. Refused with the names there are. */
int compat_find(const struct compat **ret, const char *name,
                struct ferry_err *err) FERRY_MUST_CHECK;
