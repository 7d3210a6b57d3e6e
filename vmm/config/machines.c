/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/config/machines.h"

#include <string.h>

#include "vmm/virt/virt.h"

static const struct machine_type *const types[] = {
    &machine_virt,
};

const struct machine_type *machine_type_at(size_t i)
{
    return i < sizeof(types) / sizeof(types[0]) ? types[i] : NULL;
}

static bool is_called(const struct machine_type *type, const char *name)
{
    for (size_t i = 0; type->aliases && type->aliases[i]; i++)
        if (!strcmp(type->aliases[i], name))
            return true;
    return !strcmp(type->name, name);
}

const struct machine_type *machine_type_find(const char *name)
{
    const struct machine_type *type;

    for (size_t i = 0; (type = machine_type_at(i)); i++)
        if (is_called(type, name))
            return type;
    return NULL;
}

/* A type before this one has an accelerator of that name. */
static bool is_repeated(size_t before, const char *name)
{
    for (size_t i = 0; i < before; i++)
        if (machine_type_accel(types[i], name))
            return true;
    return false;
}

const struct accel *machine_accel_at(size_t i)
{
    const struct machine_type *type;

    for (size_t t = 0; (type = machine_type_at(t)); t++)
        for (const struct accel *const *accel = type->accels; *accel; accel++)
            if (!is_repeated(t, (*accel)->name) && i-- == 0)
                return *accel;
    return NULL;
}
