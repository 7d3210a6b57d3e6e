/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The section "globalstate": the run state that the sender had just before it stopped to migrate,
 * and so what the receiver shall enter.
 *
 *     u32 length of the name with its NUL, name[32] padded with NUL, u8 1, u8 was suspended,
 *     66 bytes unused
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include <ferry/state.h>

#define GLOBALSTATE_NAME_BYTES 32u

struct globalstate {
    uint32_t name_bytes;
    char name[GLOBALSTATE_NAME_BYTES]; /* NUL terminated; one of QEMU's run states */
    uint8_t has_was_suspended;
    uint8_t was_suspended;
};

extern const struct ferry_table globalstate_table; /* idstr "globalstate", instance 0 */

/* name: "running", "paused", ... shorter than GLOBALSTATE_NAME_BYTES. */
struct globalstate globalstate_make(const char *name);
/* Shall the receiver run the guest? */
bool globalstate_runs(const struct globalstate *g);
