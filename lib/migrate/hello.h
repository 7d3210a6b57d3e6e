/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a ferry source tells about itself before the first page: the data of section "ferry/hello"
 * (FULL, version 1). Pure.
 *
 *     u32 length of what follows
 *     u16 protocol, u16 oldest protocol it can speak, text8 ferry version
 *     u8 flags: 1 dry run, 2 steady (below)
 *     u32 capabilities (enum hello_capability, or'ed)
 *     u16 blocks, per block: text8 name, u64 length
 *     u16 parts, per part with state: text8 idstr, u32 instance, u32 version, u8 1 if optional
 *     u32 length and text: the machine's description
 *     u8 channels of multifd, 0 without; text8 its compression. May be missing
 *     u16 facts, per fact (<ferry/part.h>): text8 name, text8 value. May be missing
 *     text8 what no other host has. May be missing
 *     what a newer protocol adds, skipped
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include <ferry/migrate.h>

#include "base/buf.h"
#include "lib/state/vm.h"
#include "lib/wire/ram.h"

#define HELLO_VERSION               1u
#define HELLO_MAX_BYTES             (2u << 20)
#define HELLO_DESCRIPTION_MAX_BYTES (1u << 20) /* hundreds of devices: ~100 KiB */
#define HELLO_PARTS_MAX             4096u
#define HELLO_FACTS_MAX             1024u

/* Wire numbers: never reused. */
enum hello_capability {
    HELLO_CAP_XBZRLE = 1 << 0,
    HELLO_CAP_MULTIFD = 1 << 1,
    HELLO_CAP_MAPPED_RAM = 1 << 2,
    HELLO_CAP_IGNORE_SHARED = 1 << 3,
    HELLO_CAP_VALIDATE_UUID = 1 << 4,
};

struct hello {
    uint16_t protocol, oldest;
    char version[WIRE_TEXT8_MAX_BYTES + 1];
    bool dry_run;
    bool steady; /* waits for nobody's word between RAM and the state; older ones do not say */
    uint32_t capabilities;
    struct rd blocks, parts; /* loans: the lists, checked for form */
    uint16_t block_count, part_count;
    const char *description; /* a loan without NUL */
    uint32_t description_bytes;
    uint8_t channels; /* 0: no multifd, or not said */
    char compression[WIRE_TEXT8_MAX_BYTES + 1];
    struct rd facts; /* a loan: the list, checked for form */
    uint16_t fact_count;
    char host[WIRE_TEXT8_MAX_BYTES + 1]; /* "": not said */
};

/* What each side has, and what both must have alike. All loans. */
struct hello_side {
    uint32_t capabilities;
    unsigned channels; /* with multifd */
    const char *compression;
    const struct ram_blocks *blocks;
    const struct ferry_vm *vm;
    const char *host; /* NULL: not said */
};

/* Of the byte of flags; what a reader does not know it passes over. */
enum { HELLO_DRY_RUN = 1, HELLO_STEADY = 2 };

uint32_t hello_capabilities(const struct ferry_migrate_capabilities *c);

/* The section's data. */
void hello_put(struct buf *out, const char *version, bool dry_run, bool steady,
               const struct hello_side *here, const char *description);
/*
 * Data from in: 0, -ENODATA if more bytes are needed (not final), or a refusal. Loans are in's.
 */
int hello_get(struct rd *in, bool final, struct hello *ret, struct ferry_err *err) FERRY_MUST_CHECK;
/*
 * Refused if anything differs from this side; the sentence names everything that does. more: what
 * somebody else has found; NULL: nothing.
 */
int hello_compare(const struct hello *theirs, const struct hello_side *here, const char *more,
                  struct ferry_err *err) FERRY_MUST_CHECK;
/* The facts alone, which more of are known once the host's things are open. */
int hello_compare_facts(const struct hello *theirs, const struct ferry_vm *vm,
                        struct ferry_err *err) FERRY_MUST_CHECK;
