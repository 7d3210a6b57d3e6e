/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/machine/machine_type.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "base/err.h"

#define MIB (1ull << 20)

const struct accel *machine_type_accel(const struct machine_type *type, const char *name)
{
    for (size_t i = 0; type->accels[i]; i++)
        if (!name || !strcmp(type->accels[i]->name, name))
            return type->accels[i];
    return NULL;
}

int machine_type_check_ram(const struct machine_type *type, uint64_t ram_bytes,
                           struct ferry_err *err)
{
    if (ram_bytes < type->ram_bytes_min || ram_bytes > type->ram_bytes_max)
        return err_set(err, ERANGE, "RAM size must be from %llu MiB to %llu MiB",
                       type->ram_bytes_min / MIB, type->ram_bytes_max / MIB);
    return 0;
}

int machine_type_check_harts(const struct machine_type *type, uint64_t harts, struct ferry_err *err)
{
    if (harts == 0 || harts > type->harts_max)
        return err_set(err, ERANGE, "%" PRIu64 " harts: there can be 1 to %u", harts,
                       (unsigned)type->harts_max);
    return 0;
}
