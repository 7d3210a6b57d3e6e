/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/dev/kinds.h"

#include <string.h>

#include "vmm/dev/virtio/virtio.h"
#include "vmm/dev/vmgenid.h"

#define VIRTIO_KIND(name) &name.kind,
static const struct device_kind *const kinds[] = {
#include "vmm/dev/virtio/kinds.def"
    &vmgenid_kind,
};
#undef VIRTIO_KIND

const struct device_kind *device_kind_at(size_t i)
{
    return i < sizeof(kinds) / sizeof(kinds[0]) ? kinds[i] : NULL;
}

const struct device_kind *device_kind_find(const char *name)
{
    const struct device_kind *kind;

    for (size_t i = 0; (kind = device_kind_at(i)); i++)
        if (!strcmp(kind->name, name))
            return kind;
    return NULL;
}
