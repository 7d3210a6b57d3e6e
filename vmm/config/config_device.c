/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/config/config_device.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/own.h"
#include "vmm/config/options.h"
#include "vmm/config/options_absent.h"
#include "vmm/config/props.h"
#include "vmm/dev/kinds.h"

static const char *kind_candidate(const void *arg, size_t i)
{
    const struct device_kind *kind = device_kind_at(i);

    return kind ? kind->name : NULL;
}

static int refuse_model(const char *model, struct ferry_err *err)
{
    const char *absent = device_absent(model);
    const char *closest = props_closest(model, kind_candidate, NULL);
    char list[160];

    if (absent)
        return err_set(err, ENOTSUP, "device '%.40s' is not available: %s", model, absent);
    if (closest)
        return err_set(err, EINVAL, "'%.40s' is not a valid device model name; did you mean '%s'?",
                       model, closest);
    props_list(list, sizeof(list), kind_candidate, NULL);
    return err_set(err, EINVAL, "'%.40s' is not a valid device model name; there are: %s", model,
                   list);
}

static int find_kind(const struct device_kind **ret, const struct keyval *kv, struct ferry_err *err)
{
    const struct keyval_pair *driver = keyval_find(kv, "driver");

    if (!driver)
        return err_set(err, EINVAL, "Parameter 'driver' is missing");
    *ret = device_kind_find(driver->value);
    return *ret ? 0 : refuse_model(driver->value, err);
}

static int place_on_mmio(struct config_device *d, struct ferry_err *err)
{
    static const char prefix[] = "virtio-mmio-bus.";
    const char *number = d->bus + sizeof(prefix) - 1;

    if (strncmp(d->bus, prefix, sizeof(prefix) - 1) || number[0] < '0' ||
        number[0] >= '0' + CONFIG_VIRTIO_SLOTS || number[1])
        return err_set(err, ENODEV, "Bus '%s' not found; there are virtio-mmio-bus.0 to .%d",
                       d->bus, CONFIG_VIRTIO_SLOTS - 1);
    d->slot = number[0] - '0';
    return 0;
}

static int check(struct config_device *d, struct ferry_err *err)
{
    const struct device_kind *kind = d->kind;
    int rc = 0;

    if (kind->backend && !d->backend)
        return err_set(err, EINVAL, "Parameter '%s' is missing",
                       kind->backend == DEVICE_USES_DRIVE ? "drive" : "netdev");
    if (kind->check)
        rc = kind->check(d, err);
    if (!rc && d->id)
        rc = option_check_id(d->id, err);
    if (!rc && d->bus && kind->bus == DEVICE_BUS_VIRTIO_MMIO)
        rc = place_on_mmio(d, err);
    return rc;
}

int config_device_new(struct config_device **ret, const struct keyval *kv, struct ferry_err *err)
{
    const struct device_kind *kind = NULL;
    struct config_device *d;
    int rc = find_kind(&kind, kv, err);

    if (rc)
        return rc;
    d = malloc(kind->config_bytes);
    if (!d)
        return err_set(err, ENOMEM, "out of memory");
    memcpy(d, kind->defaults, kind->config_bytes);
    d->kind = kind;
    rc = props_apply(kind->props, kv, d, err);
    if (!rc)
        rc = check(d, err);
    if (rc) {
        config_device_free(d);
        return rc;
    }
    *ret = d;
    return 0;
}

void config_device_free(struct config_device *d)
{
    if (!d)
        return;
    props_free(d->kind->props, d);
    free(d);
}

const struct config_device *config_find_kind(const struct vm_config *c, const char *kind)
{
    for (size_t i = 0; i < c->device_count; i++)
        if (!strcmp(c->devices[i]->kind->name, kind))
            return c->devices[i];
    return NULL;
}

/* As -device takes it, in the order of the table. */
static int add_words(struct keyval *kv, const struct config_device *d, struct ferry_err *err)
{
    char room[PROP_TEXT_BYTES], default_room[PROP_TEXT_BYTES];
    int rc = keyval_add(kv, "driver", d->kind->name, err);

    for (const struct prop *p = d->kind->props; p->name && !rc; p++) {
        const char *value = props_text(p, d, room);
        const char *otherwise = props_text(p, d->kind->defaults, default_room);

        if (p->is_alias || !value || (otherwise && !strcmp(value, otherwise)))
            continue;
        rc = keyval_add(kv, p->name, value, err);
    }
    return rc;
}

char *config_device_text(const struct config_device *d, struct ferry_err *err)
{
    struct keyval kv = {0};
    char *text = NULL;

    if (add_words(&kv, d, err) == 0) {
        text = keyval_text(&kv);
        if (!text)
            err_set(err, ENOMEM, "out of memory");
    }
    keyval_free(&kv);
    return text;
}

struct config_device *config_find_device(const struct vm_config *c, const char *id)
{
    for (size_t i = 0; i < c->device_count; i++)
        if (c->devices[i]->id && !strcmp(c->devices[i]->id, id))
            return c->devices[i];
    return NULL;
}

int config_add_device(struct vm_config *c, struct config_device *d, struct ferry_err *err)
{
    struct config_device **devices;

    if (d->id && config_find_device(c, d->id))
        return err_set(err, EEXIST, "Duplicate device ID '%s'", d->id);
    for (size_t i = 0; d->kind->only_one && i < c->device_count; i++)
        if (c->devices[i]->kind == d->kind)
            return err_set(err, EEXIST, "%s", d->kind->only_one);
    devices = reallocarray(c->devices, c->device_count + 1, sizeof(*devices));
    if (!devices)
        return err_set(err, ENOMEM, "out of memory");
    c->devices = devices;
    c->devices[c->device_count++] = d;
    return 0;
}

void config_take_device(struct vm_config *c, const struct config_device *d)
{
    size_t i = 0;

    while (i < c->device_count && c->devices[i] != d)
        i++;
    if (i == c->device_count)
        return;
    c->device_count--;
    memmove(&c->devices[i], &c->devices[i + 1], (c->device_count - i) * sizeof(c->devices[0]));
}
