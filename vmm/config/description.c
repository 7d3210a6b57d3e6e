/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/config/description.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/own.h"
#include "vmm/config/absolute.h"
#include "vmm/config/config_device.h"
#include "vmm/config/option_table.h"

static int add_device_text(struct options *o, const struct config_device *d, struct ferry_err *err)
{
    OWN_MEM char *text = config_device_text(d, err);

    return text ? options_add(o, "device", text, err) : -err->errnum;
}

/* The drive's name is said, and its disk is a device of its own. */
static int add_drive(struct options *o, const char *value, const char *id, struct ferry_err *err)
{
    const struct keyval_pair *interface;
    OWN_MEM char *text = NULL;
    struct keyval kv;
    int rc = keyval_parse(&kv, value, NULL, err);

    if (rc)
        return rc;
    if (!keyval_find(&kv, "id"))
        rc = keyval_add(&kv, "id", id, err);
    interface = keyval_find(&kv, "if");
    if (!rc && (!interface || strcmp(interface->value, "none") != 0))
        rc = keyval_add(&kv, "if", "none", err);
    if (!rc && !(text = keyval_text(&kv)))
        rc = err_set(err, ENOMEM, "out of memory");
    keyval_free(&kv);
    return rc ? rc : options_add(o, "drive", text, err);
}

/* A node on top of another one adds no drive. */
static int count_blockdev(size_t *drives, const char *value, struct ferry_err *err)
{
    struct keyval kv;
    int rc = keyval_parse(&kv, value, blockdev_syntax.implied_key, err);

    if (rc)
        return rc;
    *drives += !keyval_find(&kv, "file");
    keyval_free(&kv);
    return 0;
}

/* All but the devices. */
static int settle_others(struct options *to, const struct options *from, const struct vm_config *c,
                         struct ferry_err *err)
{
    size_t drives = 0;
    int rc = 0;

    for (size_t i = 0; i < from->count && !rc; i++) {
        const struct option *option = &from->list[i];

        if (!strcmp(option->name, "device"))
            continue;
        if (!strcmp(option->name, "blockdev"))
            rc = count_blockdev(&drives, option->value, err);
        if (rc)
            break;
        rc = strcmp(option->name, "drive")
                 ? options_add(to, option->name, option->value, err)
                 : add_drive(to, option->value, c->drives[drives++].id, err);
    }
    return rc;
}

int description_settle(struct options *o, struct vm_config *c, struct ferry_err *err)
{
    struct options *settled = calloc(1, sizeof(*settled));
    int rc;

    if (!settled)
        return err_set(err, ENOMEM, "out of memory");
    rc = settle_others(settled, o, c, err);
    for (size_t i = 0; i < c->device_count && !rc; i++)
        rc = add_device_text(settled, c->devices[i], err);
    if (rc) {
        options_free(settled);
    } else {
        options_free(o);
        *o = *settled;
        /* They are said now. */
        for (size_t i = 0; i < c->device_count; i++)
            c->devices[i]->automatic = false;
    }
    free(settled);
    return rc;
}

int description_add_device(struct options *o, struct vm_config *c, const struct keyval *kv,
                           struct config_device **ret, struct ferry_err *err)
{
    struct config_device *d = NULL;
    int rc = description_settle(o, c, err);

    if (!rc)
        rc = config_device_new(&d, kv, err);
    if (rc)
        return rc;
    rc = config_add_device(c, d, err);
    if (rc) {
        config_device_free(d);
        return rc;
    }
    rc = config_check(c, err);
    if (!rc)
        rc = add_device_text(o, d, err);
    if (rc) {
        config_take_device(c, d);
        config_device_free(d);
        return rc;
    }
    *ret = d;
    return 0;
}

/* What no device names leaves nothing open, and nobody's place depends on it. */
static int add_backend(struct options *o, struct vm_config *c, const char *name,
                       option_apply_fn *apply, const char *words, struct ferry_err *err)
{
    struct option option = {.name = (char *)(uintptr_t)name, .value = strdup(words)};
    int rc = option.value ? absolute_option(&option, err) : err_set(err, ENOMEM, "out of memory");

    if (!rc)
        rc = options_add(o, name, option.value, err);
    if (!rc) {
        rc = apply(c, option.value, err);
        if (rc)
            options_remove(o, o->count - 1);
    }
    free(option.value);
    return rc;
}

int description_add_netdev(struct options *o, struct vm_config *c, const char *words,
                           struct ferry_err *err)
{
    return add_backend(o, c, "netdev", option_netdev, words, err);
}

int description_add_chardev(struct options *o, struct vm_config *c, const char *words,
                            struct ferry_err *err)
{
    return add_backend(o, c, "chardev", option_chardev, words, err);
}

/* Drives that say no name have one by their number. */
int description_add_drive(struct options *o, struct vm_config *c, const char *words,
                          struct ferry_err *err)
{
    int rc = description_settle(o, c, err);

    return rc ? rc : add_backend(o, c, "blockdev", option_blockdev, words, err);
}

/* What brings a drive has a name; a node on top of it gives it another one. */
static bool is_of_drive(const struct option *option, size_t *nth, char **name)
{
    bool drive = !strcmp(option->name, "drive"), node = !strcmp(option->name, "blockdev");
    const struct keyval_pair *on, *called;
    struct ferry_err ignored;
    struct keyval kv;
    bool is = false;

    if ((!drive && !node) ||
        keyval_parse(&kv, option->value, node ? blockdev_syntax.implied_key : NULL, &ignored) < 0)
        return false;
    on = node ? keyval_find(&kv, "file") : NULL;
    called = keyval_find(&kv, drive ? "id" : "node-name");
    if (on)
        is = *name && !strcmp(on->value, *name);
    else
        is = (*nth)-- == 0;
    if (is && called) {
        free(*name);
        *name = strdup(called->value);
    }
    keyval_free(&kv);
    return is;
}

int description_remove_drive(struct options *o, struct vm_config *c, size_t index,
                             struct ferry_err *err)
{
    int rc = description_settle(o, c, err);
    OWN_MEM char *name = NULL;
    size_t nth = index;

    if (rc)
        return rc;
    for (size_t i = 0; i < o->count;) {
        if (is_of_drive(&o->list[i], &nth, &name))
            options_remove(o, i);
        else
            i++;
    }
    config_remove_drive(c, index);
    return 0;
}

static bool has_id(const struct option *option, const struct option_syntax *syntax, const char *id)
{
    const struct keyval_pair *pair;
    struct ferry_err ignored;
    struct keyval kv;
    bool has;

    if (keyval_parse(&kv, option->value, syntax->implied_key, &ignored) < 0)
        return false;
    pair = keyval_find(&kv, "id");
    has = pair && !strcmp(pair->value, id);
    keyval_free(&kv);
    return has;
}

int description_remove_chardev(struct options *o, struct vm_config *c, const char *id,
                               struct ferry_err *err)
{
    size_t at = 0, index = 0;

    while (at < o->count &&
           (strcmp(o->list[at].name, "chardev") != 0 || !has_id(&o->list[at], &chardev_syntax, id)))
        at++;
    while (index < c->chardev_count && strcmp(c->chardevs[index].id, id) != 0)
        index++;
    if (at == o->count || index == c->chardev_count)
        return err_set(err, ENOENT, "no -chardev has id=%s: another option brought it", id);
    options_remove(o, at);
    config_remove_chardev(c, index);
    return 0;
}

/* The nth option of that name. */
static void remove_nth(struct options *o, const char *name, size_t nth)
{
    for (size_t i = 0; i < o->count; i++) {
        if (strcmp(o->list[i].name, name) != 0 || nth-- > 0)
            continue;
        options_remove(o, i);
        return;
    }
}

void description_remove_netdev(struct options *o, struct vm_config *c, size_t index)
{
    remove_nth(o, "netdev", index);
    config_remove_netdev(c, index);
}

int description_remove_device(struct options *o, struct vm_config *c, struct config_device *d,
                              struct ferry_err *err)
{
    size_t index = 0;
    int rc = description_settle(o, c, err);

    if (rc)
        return rc;
    while (index < c->device_count && c->devices[index] != d)
        index++;
    if (index == c->device_count)
        return err_set(err, ENOENT, "the device is none of this machine's");
    /* They are the last of the options, in the same order. */
    options_remove(o, o->count - c->device_count + index);
    config_take_device(c, d);
    config_device_free(d);
    return 0;
}
