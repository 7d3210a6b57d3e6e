/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The configuration that heads a stream: which machine, and the few settings that change the
 * format of what follows. It is a state table of its own:
 *
 *     u32 length, machine name, then in this order, each optional, the subsections
 *     "configuration/target-page-bits" version 1: u32 bits
 *     "configuration/capabilities"     version 1: u32 count, count x text8 name
 *     "configuration/uuid"             version 1: 16 bytes
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <ferry/err.h>
#include <ferry/state.h>

#include "lib/wire/format.h"

struct wire_config {
    uint32_t machine_bytes;
    char machine[WIRE_MACHINE_MAX_BYTES];
    uint32_t page_bits;        /* 0 = not said, which means WIRE_PAGE_BITS */
    uint32_t capabilities;     /* enum wire_capability, or'ed */
    uint32_t capability_count; /* how many that are; for the wire */
    bool has_uuid;
    uint8_t uuid[WIRE_UUID_BYTES];
};

extern const struct ferry_table wire_config_table;

/* machine: 1 to WIRE_MACHINE_MAX_BYTES bytes. */
int wire_config_make(struct wire_config *ret, const char *machine,
                     struct ferry_err *err) FERRY_MUST_CHECK;

/* Can a VM with config `here` load a stream with config `theirs`? */
int wire_config_match(const struct wire_config *theirs, const struct wire_config *here,
                      struct ferry_err *err) FERRY_MUST_CHECK;
