/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bare IMAGE [HARTS [SECONDS]]: run a flat binary at the start of RAM in M-mode until it writes to
 * the test finisher. Exit code: 0 for 0x5555, the upper half of what was written else, 2 = nothing
 * was written in time.
 */
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "tests/vmm/accel/riscv64/machine.h"

int main(int argc, char **argv)
{
    uint32_t harts = argc > 2 ? (uint32_t)atoi(argv[2]) : 1;
    int64_t timeout_ns = (argc > 3 ? atoi(argv[3]) : 60) * INT64_C(1000000000), start_ns;
    struct machine m;
    uint32_t finished;
    FILE *image;

    if (argc < 2 || harts < 1 || harts > MACHINE_HARTS_MAX || !(image = fopen(argv[1], "rb"))) {
        fprintf(stderr, "usage: bare IMAGE [HARTS [SECONDS]]\n");
        return 2;
    }
    machine_init(&m, harts);
    if (fread(m.host, 1, MACHINE_RAM_BYTES, image) == 0)
        fprintf(stderr, "%s is empty\n", argv[1]);
    fclose(image);
    start_ns = clock_monotonic_ns();
    machine_start(&m);
    finished = machine_wait(&m, timeout_ns);
    machine_stop(&m);
    fprintf(stderr, "%.3f s\n", (double)(clock_monotonic_ns() - start_ns) / 1e9);
    machine_free(&m);
    if (finished == 0) {
        fprintf(stderr, "not finished in time\n");
        return 2;
    }
    return finished == 0x5555 ? 0 : (int)(finished >> 16 ? finished >> 16 : 1);
}
