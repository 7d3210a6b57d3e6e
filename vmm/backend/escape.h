/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Command keys of a console: Ctrl-a and the key behind it, in whatever pieces the input comes.
 * Ctrl-a twice is one Ctrl-a of data, as in QEMU.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#define ESCAPE_KEY 0x01 /* Ctrl-a */

enum escape_kind {
    ESCAPE_DATA,    /* the key is meant for whom the console is */
    ESCAPE_BEGUN,   /* a Ctrl-a, whose second key has not come */
    ESCAPE_COMMAND, /* the key is a command's */
};

/* *pending: a Ctrl-a has come before; false at first. */
static inline enum escape_kind escape_take(bool *pending, uint8_t key)
{
    bool was_pending = *pending;

    *pending = !was_pending && key == ESCAPE_KEY;
    if (*pending)
        return ESCAPE_BEGUN;
    return was_pending && key != ESCAPE_KEY ? ESCAPE_COMMAND : ESCAPE_DATA;
}
