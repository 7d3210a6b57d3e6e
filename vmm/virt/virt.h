/* SPDX-License-Identifier: Apache-2.0 */
/* QEMU's riscv64 machine `virt`. */
#pragma once

#include "vmm/machine/machine_type.h"

struct board;

extern const struct machine_type machine_virt;

/* As in struct board_type. */
int virt_add_memory(struct board *b, struct ferry_err *err) FERRY_MUST_CHECK;
int virt_add_vcpus(struct board *b, struct ferry_err *err) FERRY_MUST_CHECK;
int virt_add_devices(struct board *b, struct ferry_err *err) FERRY_MUST_CHECK;
