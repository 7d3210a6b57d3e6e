/* SPDX-License-Identifier: Apache-2.0 */
/* The virtio-mmio transport (virtio 1.2, section 4.2): a device in a slot of the board. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "vmm/dev/virtio/transport.h"

#define VIRTIO_MMIO_BYTES          0x200u
#define VIRTIO_MMIO_MAGIC          0x74726976u
#define VIRTIO_MMIO_VENDOR         0x554d4551u
#define VIRTIO_MMIO_VERSION_LEGACY 1u
#define VIRTIO_MMIO_VERSION_MODERN 2u

/* Its registers that are not virtio's: in each struct virtio_dev, for the state's sake (state.h).
 */
struct virtio_mmio {
    uint32_t host_features_sel; /* which half */
    uint32_t guest_features_sel;
    uint32_t guest_page_shift; /* legacy */
};

/* Offsets; L: legacy only, M: modern only. */
#define VIRTIO_MMIO_R_MAGIC          0x000u
#define VIRTIO_MMIO_R_VERSION        0x004u
#define VIRTIO_MMIO_R_DEVICE_ID      0x008u
#define VIRTIO_MMIO_R_VENDOR         0x00cu
#define VIRTIO_MMIO_R_HOST_FEATURES  0x010u
#define VIRTIO_MMIO_R_HOST_SEL       0x014u
#define VIRTIO_MMIO_R_GUEST_FEATURES 0x020u
#define VIRTIO_MMIO_R_GUEST_SEL      0x024u
#define VIRTIO_MMIO_R_PAGE_SIZE      0x028u /* L */
#define VIRTIO_MMIO_R_QUEUE_SEL      0x030u
#define VIRTIO_MMIO_R_QUEUE_NUM_MAX  0x034u
#define VIRTIO_MMIO_R_QUEUE_NUM      0x038u
#define VIRTIO_MMIO_R_QUEUE_ALIGN    0x03cu /* L */
#define VIRTIO_MMIO_R_QUEUE_PFN      0x040u /* L */
#define VIRTIO_MMIO_R_QUEUE_READY    0x044u /* M */
#define VIRTIO_MMIO_R_QUEUE_NOTIFY   0x050u
#define VIRTIO_MMIO_R_ISR            0x060u
#define VIRTIO_MMIO_R_ISR_ACK        0x064u
#define VIRTIO_MMIO_R_STATUS         0x070u
#define VIRTIO_MMIO_R_DESC_LOW       0x080u /* M, and the next five */
#define VIRTIO_MMIO_R_DESC_HIGH      0x084u
#define VIRTIO_MMIO_R_AVAIL_LOW      0x090u
#define VIRTIO_MMIO_R_AVAIL_HIGH     0x094u
#define VIRTIO_MMIO_R_USED_LOW       0x0a0u
#define VIRTIO_MMIO_R_USED_HIGH      0x0a4u
#define VIRTIO_MMIO_R_SHM_LOW        0x0b0u
#define VIRTIO_MMIO_R_SHM_HIGH       0x0b4u
#define VIRTIO_MMIO_R_QUEUE_RESET    0x0c0u /* M */
#define VIRTIO_MMIO_R_GENERATION     0x0fcu /* M */
#define VIRTIO_MMIO_R_CONFIG         0x100u

/* A slot, whose registers are at gpa; legacy: they are of version 1. */
struct virtio_place virtio_mmio_place(unsigned slot, uint64_t gpa, struct irq_line irq,
                                      bool legacy);
