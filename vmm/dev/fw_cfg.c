/* SPDX-License-Identifier: Apache-2.0 */
/*
 *   0x00  data      reads take the next bytes of the selected item, zeros past its end
 *   0x08  selector  2 bytes, big endian
 *   0x10  DMA       8 bytes or high and low half, big endian: where the request is; reads "QEMU
 * CFG"
 *
 * A DMA request is { u32 control, u32 length, u64 address }, big endian; control is written back, 0
 * or the error bit. Firmware and Linux boot without any item: here for guests that found the device
 * under QEMU and may still ask it something.
 */
#include "vmm/dev/fw_cfg.h"

#include <string.h>

#include "base/be.h"
#include "vmm/machine/guestmem.h"

enum {
    FW_CFG_DATA = 0x00,
    FW_CFG_SELECTOR = 0x08,
    FW_CFG_DMA = 0x10,
    FW_CFG_DMA_LOW = 0x14,
    FW_CFG_MMIO_BYTES = 0x18,
};

enum {
    FW_CFG_ITEM_SIGNATURE = 0x00,
    FW_CFG_ITEM_INTERFACE = 0x01, /* u32, little endian: bit 0 registers, bit 1 DMA */
    FW_CFG_ITEM_HARTS = 0x05,     /* u16, little endian */
};

enum {
    FW_CFG_CONTROL_ERROR = 1,
    FW_CFG_CONTROL_READ = 2,
    FW_CFG_CONTROL_SKIP = 4,
    FW_CFG_CONTROL_SELECT = 8,
    FW_CFG_CONTROL_WRITE = 16,
};

#define FW_CFG_REQUEST_BYTES 16u
/* The largest item of QEMU's is smaller. */
#define FW_CFG_DMA_BYTES_MAX (1u << 20)

struct fw_cfg {
    struct dev dev;
    uint16_t cur_entry;
    uint32_t cur_offset;
    uint64_t dma_addr;
};

static const uint8_t dma_signature[8] = "QEMU CFG";

static size_t item(const struct fw_cfg *f, uint8_t bytes[static 4])
{
    switch (f->cur_entry) {
    case FW_CFG_ITEM_SIGNATURE:
        memcpy(bytes, "QEMU", 4);
        return 4;
    case FW_CFG_ITEM_INTERFACE:
        bytes[0] = 3;
        bytes[1] = bytes[2] = bytes[3] = 0;
        return 4;
    case FW_CFG_ITEM_HARTS:
        bytes[0] = (uint8_t)f->dev.env->hart_count;
        bytes[1] = 0;
        return 2;
    default:
        return 0;
    }
}

static void take(struct fw_cfg *f, uint8_t *to, size_t n)
{
    uint8_t bytes[4];
    size_t item_bytes = item(f, bytes);

    for (size_t i = 0; i < n; i++) {
        to[i] = f->cur_offset < item_bytes ? bytes[f->cur_offset] : 0;
        if (f->cur_offset < item_bytes)
            f->cur_offset++;
    }
}

static void fw_cfg_select(struct fw_cfg *f, uint16_t entry)
{
    f->cur_entry = entry;
    f->cur_offset = 0;
}

static int fw_cfg_dma_read(struct fw_cfg *f, uint64_t gpa, uint32_t n)
{
    uint8_t bytes[64];

    if (n > FW_CFG_DMA_BYTES_MAX)
        return -1;
    while (n > 0) {
        uint32_t part = n < sizeof(bytes) ? n : sizeof(bytes);

        take(f, bytes, part);
        if (guestmem_write(f->dev.env->mem, gpa, bytes, part))
            return -1;
        gpa += part;
        n -= part;
    }
    return 0;
}

static void fw_cfg_dma(struct fw_cfg *f)
{
    const struct guestmem *mem = f->dev.env->mem;
    uint64_t gpa = f->dma_addr;
    uint8_t request[FW_CFG_REQUEST_BYTES], answer[4];
    uint32_t control, n;
    int rc = 0;

    f->dma_addr = 0;
    if (guestmem_read(mem, gpa, request, sizeof(request)))
        return;
    control = be32_load(request);
    n = be32_load(request + 4);
    if (control & FW_CFG_CONTROL_SELECT)
        fw_cfg_select(f, (uint16_t)(control >> 16));
    if (control & FW_CFG_CONTROL_READ) {
        rc = fw_cfg_dma_read(f, be64_load(request + 8), n);
    } else if (control & FW_CFG_CONTROL_WRITE) {
        rc = -1; /* no item can be written */
    } else if (control & FW_CFG_CONTROL_SKIP) {
        f->cur_offset = n > UINT32_MAX - f->cur_offset ? UINT32_MAX : f->cur_offset + n;
    }
    be32_store(answer, rc ? FW_CFG_CONTROL_ERROR : 0);
    if (guestmem_write(mem, gpa, answer, sizeof(answer)))
        return; /* ROM: the guest does not learn that it is done */
}

static int fw_cfg_read(void *dev, uint64_t offset, unsigned size_bytes, uint64_t *ret)
{
    uint8_t bytes[8] = {0};

    if (offset < FW_CFG_SELECTOR)
        take(dev, bytes, size_bytes);
    else if (offset >= FW_CFG_DMA)
        memcpy(bytes, dma_signature + (offset - FW_CFG_DMA), size_bytes);
    *ret = 0;
    for (unsigned i = 0; i < size_bytes; i++)
        *ret |= (uint64_t)bytes[i] << (8 * i);
    return 0;
}

static int fw_cfg_write(void *dev, uint64_t offset, unsigned size_bytes, uint64_t value)
{
    struct fw_cfg *f = dev;

    if (offset == FW_CFG_SELECTOR && size_bytes == 2) {
        fw_cfg_select(f, __builtin_bswap16((uint16_t)value));
    } else if (offset == FW_CFG_DMA && size_bytes == 8) {
        f->dma_addr = __builtin_bswap64(value);
        fw_cfg_dma(f);
    } else if (offset == FW_CFG_DMA && size_bytes == 4) {
        f->dma_addr = (uint64_t)__builtin_bswap32((uint32_t)value) << 32;
    } else if (offset == FW_CFG_DMA_LOW && size_bytes == 4) {
        f->dma_addr |= __builtin_bswap32((uint32_t)value);
        fw_cfg_dma(f);
    }
    return 0;
}

static void fw_cfg_reset(struct dev *d)
{
    struct fw_cfg *f = (struct fw_cfg *)d;

    fw_cfg_select(f, FW_CFG_ITEM_SIGNATURE);
    f->dma_addr = 0;
}

static const struct ferry_field dma_fields[] = {
    FERRY_U64(struct fw_cfg, dma_addr),
};

/* Version 0: QEMU never gave it one. */
static const struct ferry_table dma_table = {
    .name = "fw_cfg/dma",
    .version = 0,
    FERRY_FIELDS(dma_fields),
};

static const struct ferry_table *const fw_cfg_subsections[] = {&dma_table, NULL};

static const struct ferry_field fw_cfg_fields[] = {
    FERRY_U16(struct fw_cfg, cur_entry),
    FERRY_U32(struct fw_cfg, cur_offset, .wire_name = "cur_offset[1]"),
};

static const struct ferry_table fw_cfg_table = {
    .name = "fw_cfg",
    .version = 2,
    .minimum_version = 2,
    FERRY_FIELDS(fw_cfg_fields),
    .subsections = fw_cfg_subsections,
};

const struct dev_type fw_cfg_type = {
    .name = "fw_cfg",
    .size_bytes = sizeof(struct fw_cfg),
    .mmio_bytes = FW_CFG_MMIO_BYTES,
    .access_sizes = 1 | 2 | 4 | 8,
    .mmio = {.read = fw_cfg_read, .write = fw_cfg_write},
    .reset = fw_cfg_reset,
    .table = &fw_cfg_table,
};
