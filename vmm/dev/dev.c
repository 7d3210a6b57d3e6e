/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/dev/dev.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"

int dev_new(struct dev **ret, const struct dev_type *type, const struct dev_env *env,
            struct irq_line irq, const char *idstr, uint32_t instance_id, struct ferry_err *err)
{
    struct dev *d;
    int rc;

    if (strlen(idstr) >= sizeof(d->idstr))
        return err_set(err, ENAMETOOLONG, "device name \"%.80s\" is longer than %zu bytes", idstr,
                       sizeof(d->idstr) - 1);
    d = calloc(1, type->size_bytes);
    if (!d)
        return err_set(err, ENOMEM, "no memory for device \"%s\"", idstr);
    d->type = type;
    d->env = env;
    d->irq = irq;
    d->instance_id = instance_id;
    strcpy(d->idstr, idstr);
    d->region = (struct bus_region){.name = d->idstr,
                                    .size_bytes = type->mmio_bytes,
                                    .access_sizes = type->access_sizes,
                                    .ops = &type->mmio,
                                    .dev = d};
    rc = type->create ? type->create(d, err) : 0;
    if (rc) {
        dev_free(d);
        return err_prefix(err, "device \"%s\"", idstr);
    }
    if (type->reset)
        type->reset(d);
    *ret = d;
    return 0;
}

void dev_free(struct dev *d)
{
    if (!d)
        return;
    if (d->type->destroy)
        d->type->destroy(d);
    free(d);
}

struct ferry_part dev_part(struct dev *d)
{
    return (struct ferry_part){
        .idstr = d->idstr,
        .instance_id = d->instance_id,
        .table = d->type->table,
        .ops = d->type->part_ops,
        .obj = d,
        .obj_bytes = d->type->size_bytes,
    };
}
