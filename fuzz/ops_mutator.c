/* SPDX-License-Identifier: Apache-2.0 */
/*
 * For libFuzzer: operations are changed, copied, moved and dropped as a whole. Left to itself it
 * inserts and erases single bytes, behind which each operation becomes another.
 */
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "fuzz/ops.h"

size_t LLVMFuzzerMutate(uint8_t *data, size_t n, size_t max_bytes);
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t n, size_t max_bytes, unsigned seed);

static unsigned draw(unsigned *seed, size_t below)
{
    *seed = *seed * 1664525u + 1013904223u;
    return (*seed >> 8) % (unsigned)below;
}

/* How many, from `at` on; mostly few. */
static size_t draw_run(unsigned *seed, size_t left)
{
    size_t most = draw(seed, 4) ? 4 : 64;

    return 1 + draw(seed, left < most ? left : most);
}

static void change(uint8_t *op, unsigned *seed)
{
    uint8_t raw[OP_BYTES];
    unsigned from = draw(seed, OP_BYTES), n = 1 + draw(seed, OP_BYTES - from);

    memcpy(raw, op, sizeof(raw));
    LLVMFuzzerMutate(raw + from, n, n);
    memcpy(op, raw, sizeof(raw));
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t n, size_t max_bytes, unsigned seed)
{
    size_t count = n < OPS_AT ? 0 : (n - OPS_AT) / OP_BYTES, at, run, to;
    size_t room = max_bytes < OPS_AT ? 0 : (max_bytes - OPS_AT) / OP_BYTES;
    uint8_t *ops = data + OPS_AT;

    if (count == 0 || draw(&seed, 8) == 0)
        return LLVMFuzzerMutate(data, n, max_bytes);
    at = draw(&seed, count);
    run = draw_run(&seed, count - at);
    switch (draw(&seed, 4)) {
    case 0: /* drop */
        if (count > run) {
            memmove(ops + at * OP_BYTES, ops + (at + run) * OP_BYTES,
                    (count - at - run) * OP_BYTES);
            count -= run;
        }
        break;
    case 1: /* again, elsewhere */
        to = draw(&seed, count + 1);
        if (count + run <= room) {
            uint8_t copy[64 * OP_BYTES];

            memcpy(copy, ops + at * OP_BYTES, run * OP_BYTES);
            memmove(ops + (to + run) * OP_BYTES, ops + to * OP_BYTES, (count - to) * OP_BYTES);
            memcpy(ops + to * OP_BYTES, copy, run * OP_BYTES);
            count += run;
        }
        break;
    default:
        change(ops + at * OP_BYTES, &seed);
        break;
    }
    return OPS_AT + count * OP_BYTES;
}
