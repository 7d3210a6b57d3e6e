/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Registers of configuration space: PCI Local Bus 3.0 (chapter 6), PCI-to-PCI Bridge 1.2 (3.2) and
 * PCI Express Base 4.0 (7.5 to 7.8). Little endian; offsets and bits only.
 */
#pragma once

enum {
    PCI_VENDOR_ID = 0x00,
    PCI_DEVICE_ID = 0x02,
    PCI_COMMAND = 0x04,
    PCI_STATUS = 0x06,
    PCI_REVISION = 0x08,
    PCI_CLASS_PROG = 0x09,
    PCI_CLASS = 0x0a, /* base class in the high byte */
    PCI_CACHE_LINE = 0x0c,
    PCI_HEADER_TYPE = 0x0e,
    PCI_BAR_0 = 0x10,
    PCI_SUBSYSTEM_VENDOR = 0x2c, /* of a type 0 header, as the next */
    PCI_SUBSYSTEM = 0x2e,
    PCI_CAPABILITIES = 0x34, /* where the list begins */
    PCI_INTERRUPT_LINE = 0x3c,
    PCI_INTERRUPT_PIN = 0x3d,
    PCI_HEADER_BYTES = 0x40,
    PCI_EXTENDED = 0x100, /* the extended list, PCI Express only */

    PCI_COMMAND_IO = 0x0001,
    PCI_COMMAND_MEMORY = 0x0002,
    PCI_COMMAND_MASTER = 0x0004,
    PCI_COMMAND_SERR = 0x0100,
    PCI_COMMAND_NO_INTX = 0x0400,

    PCI_STATUS_INTX = 0x0008,
    PCI_STATUS_CAPABILITIES = 0x0010,
    PCI_STATUS_ERRORS = 0xf900, /* written with ones to clear them, in both status registers */

    PCI_HEADER_BRIDGE = 0x01,
    PCI_HEADER_MULTIFUNCTION = 0x80,

    /* A type 1 header. */
    PCI_PRIMARY_BUS = 0x18,
    PCI_SECONDARY_BUS = 0x19,
    PCI_SUBORDINATE_BUS = 0x1a,
    PCI_IO_BASE = 0x1c, /* bits 7-4 are address bits 15-12 */
    PCI_IO_LIMIT = 0x1d,
    PCI_SECONDARY_STATUS = 0x1e,
    PCI_MEMORY_BASE = 0x20, /* bits 15-4 are address bits 31-20 */
    PCI_MEMORY_LIMIT = 0x22,
    PCI_PREFETCH_BASE = 0x24, /* the same; bits 3-0 are 1: 64 bits wide */
    PCI_PREFETCH_LIMIT = 0x26,
    PCI_PREFETCH_BASE_HIGH = 0x28,
    PCI_PREFETCH_LIMIT_HIGH = 0x2c,
    PCI_BRIDGE_CONTROL = 0x3e,
    PCI_BRIDGE_CONTROL_RESET = 0x40,

    PCI_BAR_IS_IO = 0x1,
    PCI_BAR_IS_64 = 0x4,
    PCI_BAR_IS_PREFETCH = 0x8,

    /* Capabilities, and extended ones. */
    PCI_CAP_MSI = 0x05,
    PCI_CAP_VENDOR = 0x09,
    PCI_CAP_SUBSYSTEM = 0x0d,
    PCI_CAP_EXPRESS = 0x10,
    PCI_CAP_MSIX = 0x11,
    PCI_EXTCAP_AER = 0x0001,
    PCI_EXTCAP_ACS = 0x000d,

    /* PCI Express, from its capability. */
    PCIE_FLAGS = 0x02,
    PCIE_DEVICE_CAP = 0x04,
    PCIE_DEVICE_CONTROL = 0x08,
    PCIE_DEVICE_STATUS = 0x0a,
    PCIE_LINK_CAP = 0x0c,
    PCIE_LINK_STATUS = 0x12,
    PCIE_SLOT_CAP = 0x14,
    PCIE_SLOT_CONTROL = 0x18,
    PCIE_SLOT_STATUS = 0x1a,
    PCIE_ROOT_CONTROL = 0x1c,
    PCIE_ROOT_STATUS = 0x20,
    PCIE_DEVICE_CAP_2 = 0x24,
    PCIE_DEVICE_CONTROL_2 = 0x28,
    PCIE_LINK_CAP_2 = 0x2c,
    PCIE_LINK_CONTROL_2 = 0x30,
    PCIE_CAP_BYTES = 0x3c,

    PCIE_FLAGS_VERSION = 0x0002,
    PCIE_FLAGS_ROOT_PORT = 0x0040,
    PCIE_FLAGS_SLOT = 0x0100,

    /* Slot capabilities; the number is in bits 31 to 19. */
    SLOT_CAP_BUTTON = 0x00000001,
    SLOT_CAP_POWER = 0x00000002, /* a controller of it */
    SLOT_CAP_ATTENTION_LED = 0x00000008,
    SLOT_CAP_POWER_LED = 0x00000010,
    SLOT_CAP_SURPRISE = 0x00000020,
    SLOT_CAP_HOTPLUG = 0x00000040,
    SLOT_CAP_INTERLOCK = 0x00020000,
    SLOT_CAP_NUMBER_SHIFT = 19,

    /* Slot status; the first five bits are what the same bits of the control enable. */
    SLOT_BUTTON_PRESSED = 0x0001,
    SLOT_POWER_FAULT = 0x0002,
    SLOT_LATCH_CHANGED = 0x0004,
    SLOT_PRESENCE_CHANGED = 0x0008,
    SLOT_COMMAND_COMPLETED = 0x0010,
    SLOT_EVENTS = 0x001f,
    SLOT_PRESENT = 0x0040,
    SLOT_INTERLOCKED = 0x0080,
    SLOT_LINK_CHANGED = 0x0100,

    SLOT_CONTROL_INTERRUPT = 0x0020,
    SLOT_CONTROL_ATTENTION_OFF = 0x00c0,
    SLOT_CONTROL_LED = 0x0300, /* of the power: on, blinking, off */
    SLOT_CONTROL_LED_BLINKS = 0x0200,
    SLOT_CONTROL_LED_OFF = 0x0300,
    SLOT_CONTROL_POWER_OFF = 0x0400,
    SLOT_CONTROL_INTERLOCK = 0x0800, /* written with 1: the interlock turns over */

    /* MSI-X, from its capability. */
    MSIX_CONTROL = 0x02,
    MSIX_TABLE = 0x04,
    MSIX_PBA = 0x08,
    MSIX_CAP_BYTES = 12,
    MSIX_CONTROL_MASK_ALL = 0x4000,
    MSIX_CONTROL_ENABLE = 0x8000,
    MSIX_ENTRY_BYTES = 16, /* of the table: address, data, control */
    MSIX_ENTRY_DATA = 8,
    MSIX_ENTRY_CONTROL = 12,
    MSIX_ENTRY_MASKED = 0x1,
};
