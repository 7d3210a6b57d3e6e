/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The migration stream: every number of it and every limit on it. QEMU's format, version 3.
 *
 *     stream   := u32 "QEVM", u32 3, [configuration], item..., u8 EOF, [description]
 *     item     := section | command
 *     section  := u8 START or FULL, u32 id, text8 idstr, u32 instance, u32 version, data, footer
 *               | u8 PART or END, u32 id, data, footer
 *     footer   := u8 FOOTER, u32 id
 *     command  := u8 COMMAND, u16 number, u16 length, payload
 *     configuration := u8 CONFIGURATION, u32 length, machine name, subsections
 *     description   := u8 DESCRIPTION, u32 length, JSON text
 *     text8    := u8 length, that many bytes, no NUL
 *
 * Numbers are big endian. Data of a section has no length and no tags: the reader knows it, or
 * cannot go on. Subsections (lib/state) have the same place in a configuration as in data.
 *
 * These are the wire's values: never renumbered, never reused, retired ones stay listed.
 */
#pragma once

#define WIRE_MAGIC   0x5145564du /* "QEVM" */
#define WIRE_VERSION 3u

enum wire_item {
    WIRE_EOF = 0x00,
    WIRE_SECTION_START = 0x01,
    WIRE_SECTION_PART = 0x02,
    WIRE_SECTION_END = 0x03,
    WIRE_SECTION_FULL = 0x04,
    WIRE_SUBSECTION = 0x05,  /* inside data and configuration only */
    WIRE_DESCRIPTION = 0x06, /* after EOF only */
    WIRE_CONFIGURATION = 0x07,
    WIRE_COMMAND = 0x08,
    WIRE_FOOTER = 0x7e,
};

enum wire_command {
    WIRE_CMD_OPEN_RETURN_PATH = 1,
    WIRE_CMD_PING = 2,
    WIRE_CMD_POSTCOPY_ADVISE = 3,
    WIRE_CMD_POSTCOPY_LISTEN = 4,
    WIRE_CMD_POSTCOPY_RUN = 5,
    WIRE_CMD_POSTCOPY_DISCARD = 6,
    WIRE_CMD_PACKAGED = 7, /* as many bytes as the payload says follow outside of it */
    WIRE_CMD_ENABLE_COLO = 8,
    WIRE_CMD_POSTCOPY_RESUME = 9,
    WIRE_CMD_RECV_BITMAP = 10,
    WIRE_CMD_SWITCHOVER_START = 11,
    WIRE_CMD_COUNT = 12,
};

/* Capabilities that a configuration lists, as bits in the order in which they are listed. */
enum wire_capability {
    WIRE_CAP_X_IGNORE_SHARED = 1 << 0,
    WIRE_CAP_MAPPED_RAM = 1 << 1,
};
#define WIRE_CAP_COUNT 2u

#define WIRE_UUID_BYTES 16u

/* A one byte length says so. */
#define WIRE_TEXT8_MAX_BYTES       255u
/* The length has four bytes; machine names have one or two dozen letters. */
#define WIRE_MACHINE_MAX_BYTES     255u
/* Parts of a VM: a few per hart and per device; 512 harts with 100 devices stay below. */
#define WIRE_SECTIONS_MAX          4096u
/* Read and thrown away, so it costs nothing but time; 30 bytes of JSON per byte of state at most.
 */
#define WIRE_DESCRIPTION_MAX_BYTES (16u << 20)
/* The device state of a postcopy, in one piece: as much as a handover may have. */
#define WIRE_PACKAGE_MAX_BYTES     (64u << 20)
/* What a reader keeps of an item that is not complete. Larger than any state table can describe. */
#define WIRE_BUFFER_MAX_BYTES      (16u << 20)
/* Version of the two description-less formats. */
#define WIRE_CONFIGURATION_VERSION 1u
/* QEMU's guest page for this machine; sent as bits only where a CPU family has a choice. */
#define WIRE_PAGE_BITS             12u
