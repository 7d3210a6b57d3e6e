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
    /* Ferry's own, sent only to a peer that said HELLO on the return path. */
    WIRE_CMD_FERRY_COMMIT = 0x4601, /* the guest is yours: start it */
};

/* A PING with this value asks the peer whether it is ferry: such a one says HELLO before PONG. */
#define WIRE_PING_FERRY  0x46455259u /* "FERY" */
/* The section (FULL, version 1) in which a source tells a ferry peer what it is. */
#define WIRE_FERRY_IDSTR "ferry/hello"

/*
 * Section "ram": records of u64 address | flags, what follows depends on the flags (ram.h).
 * Exactly one flag, and CONTINUE where it may be.
 */
#define WIRE_RAM_IDSTR   "ram"
#define WIRE_RAM_VERSION 4u
enum wire_ram_flag {
    WIRE_RAM_FULL = 0x001, /* retired */
    WIRE_RAM_ZERO = 0x002,
    WIRE_RAM_MEM_SIZE = 0x004,
    WIRE_RAM_PAGE = 0x008,
    WIRE_RAM_EOS = 0x010,
    WIRE_RAM_CONTINUE = 0x020, /* with ZERO, PAGE, XBZRLE: the block is that of the last record */
    WIRE_RAM_XBZRLE = 0x040,
    WIRE_RAM_HOOK = 0x080,     /* RDMA only */
    WIRE_RAM_COMPRESS = 0x100, /* retired */
    WIRE_RAM_MULTIFD_FLUSH = 0x200,
};
#define WIRE_RAM_XBZRLE_ENCODING 1u

/* Channels with pages besides the main one (multifd.h). */
#define WIRE_MULTIFD_MAGIC   0x11223344u
#define WIRE_MULTIFD_VERSION 1u
enum wire_multifd_flag {
    WIRE_MULTIFD_SYNC = 0x01,
    WIRE_MULTIFD_METHOD_MASK = 0x3e,
    WIRE_MULTIFD_DEVICE_STATE = 0x40,
};
/* How the pages of a packet are compressed: bits of WIRE_MULTIFD_METHOD_MASK. */
enum wire_multifd_method {
    WIRE_METHOD_NONE = 0x00,
    WIRE_METHOD_ZLIB = 0x02,
    WIRE_METHOD_ZSTD = 0x04,
    WIRE_METHOD_QPL = 0x08,
    WIRE_METHOD_UADK = 0x10,
    WIRE_METHOD_QATZIP = 0x20,
};

/* Pages at fixed places of a file (mapped.h). */
#define WIRE_MAPPED_VERSION     1u
#define WIRE_MAPPED_ALIGN_BYTES (1u << 20) /* of page areas, as QEMU writes them */

/* Messages from the destination to the source: u16 type, u16 length, payload (return_path.h). */
enum wire_return {
    WIRE_RP_SHUT = 1,
    WIRE_RP_PONG = 2,
    WIRE_RP_REQ_PAGES_ID = 3,
    WIRE_RP_REQ_PAGES = 4,
    WIRE_RP_RECV_BITMAP = 5, /* the bitmap follows outside of the length */
    WIRE_RP_RESUME_ACK = 6,
    WIRE_RP_SWITCHOVER_ACK = 7,
    WIRE_RP_COUNT = 8,
    /* Ferry's own, sent only to a source that sent PING WIRE_PING_FERRY. */
    WIRE_RP_FERRY_HELLO = 0x4601,
    WIRE_RP_FERRY_ACCEPT = 0x4602,
    WIRE_RP_FERRY_REFUSE = 0x4603,
    WIRE_RP_FERRY_LOADED = 0x4604,
    WIRE_RP_FERRY_LEDGER = 0x4605,
};
#define WIRE_FERRY_PROTOCOL                                                                    \
    1u                       /* of HELLO; raised when what two ferries say to each other grows \
                              */
#define WIRE_FERRY_OLDEST 1u /* the oldest that this code can speak */

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
#define WIRE_PAGE_BYTES            (1u << WIRE_PAGE_BITS)

/* RAM blocks: main memory, flash, a few ROMs; like the regions of a handover. */
#define WIRE_RAM_BLOCKS_MAX         64u
/* One byte of length per channel number. */
#define WIRE_MULTIFD_CHANNELS_MAX   255u
/* 512 KiB of pages per packet is part of the format. */
#define WIRE_MULTIFD_PAGES          128u
/* Of one packet: twice its pages, which no compressor needs. QEMU's limit, too. */
#define WIRE_MULTIFD_DATA_MAX_BYTES (1u << 20)
#define WIRE_RAM_BLOCK_NAME_BYTES   256u /* in a packet: with its NUL */
/* A sentence: struct ferry_err without its NUL. */
#define WIRE_RP_TEXT_MAX_BYTES      511u
/* What the target did when: 240 entries of some 60 bytes. */
#define WIRE_RP_LEDGER_MAX_BYTES    (16u << 10)
