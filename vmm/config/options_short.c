/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/config/options_short.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/own.h"
#include "vmm/config/keyval.h"
#include "vmm/config/option_table.h"

#define NIC_ID_BYTES 16

static int add_parts(struct options *o, const char *name, const struct keyval *kv,
                     struct ferry_err *err)
{
    OWN_MEM char *text = keyval_text(kv);

    if (!text)
        return err_set(err, ENOMEM, "out of memory");
    return options_add(o, name, text, err);
}

static size_t count_of(const struct options *o, const char *name)
{
    size_t n = 0;

    for (size_t i = 0; i < o->count; i++)
        n += !strcmp(o->list[i].name, name);
    return n;
}

static int check_model(const char *model, struct ferry_err *err)
{
    static const char *const models[] = {"virtio", "virtio-net", "virtio-net-device"};

    for (size_t i = 0; i < sizeof(models) / sizeof(models[0]); i++)
        if (!strcmp(model, models[i]))
            return 0;
    return err_set(err, EINVAL,
                   "network card '%s' is not available; the one there is: "
                   "'virtio-net-device'",
                   model);
}

/* What of it describes the card goes to the card, the rest to its backend. */
static int split_nic(const struct keyval *nic, const char *id, struct keyval *netdev,
                     struct keyval *device, struct ferry_err *err)
{
    int rc = keyval_add(device, "driver", "virtio-net-device", err);

    if (!rc)
        rc = keyval_add(device, "netdev", id, err);
    for (size_t i = 0; i < nic->count && !rc; i++) {
        const struct keyval_pair *pair = &nic->pairs[i];

        if (!strcmp(pair->key, "model"))
            rc = check_model(pair->value, err);
        else if (!strcmp(pair->key, "mac"))
            rc = keyval_add(device, pair->key, pair->value, err);
        else if (strcmp(pair->key, "id") != 0)
            rc = keyval_add(netdev, pair->key, pair->value, err);
    }
    return rc ? rc : keyval_add(netdev, "id", id, err);
}

static int expand_nic(struct options *o, const char *value, struct ferry_err *err)
{
    struct keyval nic, netdev = {0}, device = {0};
    const struct keyval_pair *pair;
    char id[NIC_ID_BYTES];
    int rc = keyval_parse(&nic, value, "type", err);

    if (rc < 0)
        return rc;
    pair = keyval_find(&nic, "type");
    if (pair && !strcmp(pair->value, "none")) {
        keyval_free(&nic);
        return 0;
    }
    snprintf(id, sizeof(id), "nic%zu", count_of(o, "netdev"));
    pair = keyval_find(&nic, "id");
    rc = split_nic(&nic, pair ? pair->value : id, &netdev, &device, err);
    if (!rc)
        rc = add_parts(o, "netdev", &netdev, err);
    if (!rc)
        rc = add_parts(o, "device", &device, err);
    keyval_free(&nic);
    keyval_free(&netdev);
    keyval_free(&device);
    return rc;
}

/* The old way to say it; only its "none" is one word that means one thing. */
static int expand_net(struct options *o, const char *value, struct ferry_err *err)
{
    if (!strcmp(value, "none"))
        return 0;
    return err_set(err, EINVAL, "-net connects through a hub, which is not here; write -nic %s",
                   strncmp(value, "nic", 3) != 0 ? value : "TYPE,... with the type of its backend");
}

static int expand_s(struct options *o, const char *value, struct ferry_err *err)
{
    return options_add(o, "gdb", "tcp::1234", err);
}

static const struct option_short shorts[] = {
    {"s", NULL, "-gdb tcp::1234", expand_s},
    {"nic", "tap|stream,...|none",
     "-netdev and the -device virtio-net-device that uses it, in one; mac= is the card's",
     expand_nic},
    {"net", "none", "accepted: no network card comes by itself", expand_net},
};

const struct option_short *option_short_at(size_t i)
{
    return i < sizeof(shorts) / sizeof(shorts[0]) ? &shorts[i] : NULL;
}

const struct option_short *option_short_find(const char *name)
{
    const struct option_short *s;

    for (size_t i = 0; (s = option_short_at(i)); i++)
        if (!strcmp(s->name, name))
            return s;
    return NULL;
}
