/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The machine whose state QEMU's recorded streams have: riscv64 virt, two harts, disk, NIC, RNG.
 * Tables only, no devices. Harts and virtio devices are opaque bytes where the framing is, and
 * everything else is told field by field.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <ferry/part.h>

#define QEMU_VIRT_HARTS 2

struct qemu_virt;

/* Which of the optional devices the recording has. */
struct qemu_virt_params {
    bool pci_host;
    bool rng;
};

struct qemu_virt *qemu_virt_new(const struct qemu_virt_params *params);
void qemu_virt_free(struct qemu_virt *m);
struct ferry_vm *qemu_virt_vm(struct qemu_virt *m);
/* Every byte of its state; for comparing. */
const void *qemu_virt_bytes(const struct qemu_virt *m, size_t *n);

/* A recording (a file of tests/data/qemu), read whole; free() it. */
uint8_t *qemu_virt_recording(const char *name, size_t *n);
