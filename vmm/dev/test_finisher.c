/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/dev/test_finisher.h"

/* A write to offset 0: what to do in the low half, an exit code in the high half. */
enum {
    FINISHER_FAIL = 0x3333,
    FINISHER_PASS = 0x5555,
    FINISHER_RESET = 0x7777,
};

static int finisher_read(void *dev, uint64_t offset, unsigned size_bytes, uint64_t *ret)
{
    *ret = 0;
    return 0;
}

static int finisher_write(void *dev, uint64_t offset, unsigned size_bytes, uint64_t value)
{
    const struct dev_env *env = ((struct dev *)dev)->env;
    int exit_code = (int)(value >> 16 & 0xffff);

    if (offset != 0)
        return 0;
    switch (value & 0xffff) {
    case FINISHER_FAIL:
    case FINISHER_PASS:
        env->power_off(env->machine, exit_code);
        break;
    case FINISHER_RESET:
        env->reset(env->machine);
        break;
    }
    return 0;
}

const struct dev_type test_finisher_type = {
    .name = "riscv.sifive.test",
    .size_bytes = sizeof(struct dev),
    .mmio_bytes = 0x1000,
    .access_sizes = 2 | 4,
    .mmio = {.read = finisher_read, .write = finisher_write},
};
