/* SPDX-License-Identifier: Apache-2.0 */
/* Where things are on the `virt` board: physical addresses and PLIC sources. */
#pragma once

#include <stdint.h>

#include "base/num.h"

#define MEMMAP_MROM_GPA          0x1000u
#define MEMMAP_MROM_BYTES        0xf000u
#define MEMMAP_TEST_GPA          0x100000u
#define MEMMAP_TEST_BYTES        0x1000u
#define MEMMAP_RTC_GPA           0x101000u
#define MEMMAP_RTC_BYTES         0x1000u   /* in the device tree; fewer are decoded */
#define MEMMAP_VMGENID_GPA       0x102000u /* not in QEMU's machine */
#define MEMMAP_VMGENID_BYTES     0x1000u
#define MEMMAP_CLINT_GPA         0x2000000u
#define MEMMAP_CLINT_BYTES       0x10000u /* MSWI and MTIMER together */
#define MEMMAP_MTIMER_GPA        0x2004000u
#define MEMMAP_PLIC_GPA          0xc000000u
#define MEMMAP_PLIC_BYTES        0x600000u
#define MEMMAP_UART_GPA          0x10000000u
#define MEMMAP_UART_BYTES        0x100u
#define MEMMAP_VIRTIO_GPA        0x10001000u
#define MEMMAP_VIRTIO_SLOT_BYTES 0x1000u
#define MEMMAP_FLASH_GPA         0x20000000u /* two banks */
#define MEMMAP_FLASH_BYTES       0x2000000u
#define MEMMAP_FW_CFG_GPA        0x10100000u
#define MEMMAP_PCI_IO_GPA        0x3000000u
#define MEMMAP_PCI_ECAM_GPA      0x30000000u
#define MEMMAP_PCI_MMIO_GPA      0x40000000u
#define MEMMAP_PCI_HIGH_ALIGN    0x400000000ull /* the window above RAM begins at such an address */
#define MEMMAP_RAM_GPA           0x80000000u

#define MEMMAP_VIRTIO_IRQ  1 /* slot n has source 1 + n */
#define MEMMAP_UART_IRQ    10
#define MEMMAP_RTC_IRQ     11
#define MEMMAP_VMGENID_IRQ 12
#define MEMMAP_PCI_IRQ     32 /* INTA; INTB to INTD are the next ones */

static inline uint64_t memmap_pci_high_gpa(uint64_t ram_bytes)
{
    return num_align_up(MEMMAP_RAM_GPA + ram_bytes, MEMMAP_PCI_HIGH_ALIGN);
}
