/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/dev/pflash.h"

#include <errno.h>

#include "base/err.h"

#define PFLASH_READY       0x80
#define PFLASH_READ_ARRAY  0x00
#define PFLASH_READ_ARRAY2 0xff

struct pflash {
    struct dev dev;
    uint8_t wcycle, cmd, status;
    uint64_t counter;
};

static void pflash_reset(struct dev *d)
{
    struct pflash *p = (struct pflash *)d;

    p->wcycle = 0;
    p->cmd = PFLASH_READ_ARRAY;
    p->status = PFLASH_READY;
    p->counter = 0;
}

static int pflash_check(const void *scratch, struct ferry_err *err)
{
    const struct pflash *p = scratch;

    if (p->wcycle || (p->cmd != PFLASH_READ_ARRAY && p->cmd != PFLASH_READ_ARRAY2))
        return err_set(err, EBUSY,
                       "the guest is in the middle of flash command 0x%x, which this flash does "
                       "not have: migrate when the guest is done with its flash",
                       p->cmd);
    return 0;
}

static const struct ferry_field pflash_fields[] = {
    FERRY_U8(struct pflash, wcycle),
    FERRY_U8(struct pflash, cmd),
    FERRY_U8(struct pflash, status),
    FERRY_U64(struct pflash, counter),
};

static const struct ferry_table pflash_table = {
    .name = "pflash_cfi01",
    .version = 1,
    .minimum_version = 1,
    FERRY_FIELDS(pflash_fields),
    .check = pflash_check,
};

const struct dev_type pflash_type = {
    .name = "pflash_cfi01",
    .size_bytes = sizeof(struct pflash),
    .reset = pflash_reset,
    .table = &pflash_table,
};
