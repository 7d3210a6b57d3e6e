// SPDX-License-Identifier: Apache-2.0
/* The random number device: each request must come back, and not with the bytes of the last one. */
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include "witness.h"

#define PERIOD_NS (NS_PER_S / 4)

static void run_rng(struct worker *me)
{
    struct witness *w = me->w;
    int fd = (int)(intptr_t)me->arg;
    uint8_t before[16] = {0};
    uint8_t bytes[16];

    for (;;) {
        ssize_t got;

        worker_stand_if_parked(me);
        op_begin(me);
        got = read(fd, bytes, sizeof(bytes));
        op_end(me);
        if (got <= 0)
            verdict_fail(w, "rng: read gave %zd (%s)", got, got < 0 ? strerror(errno) : "end");
        else if (got == sizeof(bytes) && memcmp(bytes, before, sizeof(bytes)) == 0)
            verdict_fail(w, "rng: the same 16 bytes twice in a row");
        memcpy(before, bytes, sizeof(before));
        atomic_fetch_add(&w->rng.reads, 1);
        sleep_until_ns(now_ns() + PERIOD_NS);
    }
}

void rng_add(struct witness *w)
{
    uint8_t byte;
    int fd = open("/dev/hwrng", O_RDONLY | O_CLOEXEC);

    if (fd < 0)
        return;
    /* The device file exists without a device, and then a read says so. */
    if (read(fd, &byte, 1) != 1) {
        close(fd);
        return;
    }
    worker_add(w, "rng", -1, 0, run_rng, (void *)(intptr_t)fd);
    w->parkable++;
}
