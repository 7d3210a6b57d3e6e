/* SPDX-License-Identifier: Apache-2.0 */
/* -drive, -blockdev, -netdev, -device. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/own.h"
#include "vmm/main/option_table.h"

static const char *const formats[] = {"raw", NULL};
static const char *const discards[] = {"ignore", "unmap", NULL};
static const char *const aios[] = {"threads", NULL};
static const char *const no_scripts[] = {"no", "", NULL};

static int no_memory(struct ferry_err *err)
{
    return err_set(err, ENOMEM, "out of memory");
}

/* Identifiers name parts and fds, so they are kept short and plain. */
static int check_id(const char *id, struct ferry_err *err)
{
    static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
                                  "-._";

    if (!id)
        return err_set(err, EINVAL, "Parameter 'id' is missing");
    if (!*id || strlen(id) > 40 || strspn(id, allowed) != strlen(id))
        return err_set(err, EINVAL,
                       "'%.60s' is not an identifier: 1 to 40 letters, digits, '-', '.' or '_'",
                       id);
    return 0;
}

/* --- drives --- */

static void free_drive(struct config_drive *d)
{
    free(d->id);
    free(d->path);
}

static int add_drive(struct vm_config *c, const struct config_drive *d, struct ferry_err *err)
{
    int rc = check_id(d->id, err);

    if (rc < 0)
        return rc;
    for (size_t i = 0; i < c->drive_count; i++)
        if (!strcmp(c->drives[i].id, d->id))
            return err_set(err, EEXIST, "Duplicate nodes with node-name='%s'", d->id);
    if (c->drive_count == CONFIG_DRIVES_MAX)
        return err_set(err, E2BIG, "more than %d drives", CONFIG_DRIVES_MAX);
    c->drives[c->drive_count++] = *d;
    return 0;
}

static int add_device(struct vm_config *c, const struct config_device *d, struct ferry_err *err)
{
    if (c->device_count == CONFIG_VIRTIO_SLOTS)
        return err_set(err, ENOSPC, "all %d virtio-mmio slots are taken", CONFIG_VIRTIO_SLOTS);
    c->devices[c->device_count++] = *d;
    return 0;
}

static const struct config_device device_defaults = {
    .slot = -1, .event_idx = true, .indirect_desc = true, .discard = true, .write_zeroes = true};

static const char *const write_errors[] = {"report", "ignore", "enospc", "stop", "auto", NULL};
static const char *const read_errors[] = {"report", "ignore", "stop", "auto", NULL};

/* choice: as PROP_ENUM leaves it; 0 = not given. */
static enum config_on_error on_error(const char *const *choices, int choice)
{
    static const struct {
        const char *name;
        enum config_on_error value;
    } all[] = {{"report", CONFIG_ON_ERROR_REPORT},
               {"ignore", CONFIG_ON_ERROR_IGNORE},
               {"enospc", CONFIG_ON_ERROR_ENOSPC},
               {"stop", CONFIG_ON_ERROR_STOP}};

    for (size_t i = 0; choice > 0 && i < sizeof(all) / sizeof(all[0]); i++)
        if (!strcmp(all[i].name, choices[choice - 1]))
            return all[i].value;
    return CONFIG_ON_ERROR_AUTO;
}

enum drive_interface { DRIVE_IF_NONE = 1, DRIVE_IF_VIRTIO };
enum drive_cache { CACHE_WRITEBACK = 1, CACHE_NONE, CACHE_UNSAFE };

struct drive_options {
    struct config_drive drive;
    enum drive_interface interface;
    enum drive_cache cache;
    int discard;
    int rerror, werror;
};

static const char *const interfaces[] = {"none", "virtio", NULL};
static const char *const caches[] = {"writeback", "none", "unsafe", NULL};

#define D(member) .offset = offsetof(struct drive_options, member)
static const struct prop drive_props[] = {
    {.name = "file", .kind = PROP_STRING, D(drive.path), .whose = OF_HOST_FILE},
    {.name = "id", .kind = PROP_STRING, D(drive.id), .whose = OF_GUEST},
    {.name = "if", .kind = PROP_ENUM, .choices = interfaces, D(interface), .whose = OF_GUEST},
    {.name = "format", .kind = PROP_FIXED, .choices = formats, .whose = OF_HOST},
    {.name = "media",
     .kind = PROP_FIXED,
     .choices = (const char *const[]){"disk", NULL},
     .whose = OF_HOST},
    {.name = "aio", .kind = PROP_FIXED, .choices = aios, .whose = OF_HOST},
    {.name = "cache", .kind = PROP_ENUM, .choices = caches, D(cache), .whose = OF_USE},
    {.name = "cache.direct", .kind = PROP_BOOL, D(drive.direct), .whose = OF_USE},
    {.name = "cache.no-flush", .kind = PROP_BOOL, D(drive.no_flush), .whose = OF_USE},
    {.name = "readonly", .kind = PROP_BOOL, D(drive.readonly), .whose = OF_GUEST},
    {.name = "read-only", .kind = PROP_BOOL, D(drive.readonly), .whose = OF_GUEST},
    {.name = "discard", .kind = PROP_ENUM, .choices = discards, D(discard), .whose = OF_USE},
    {.name = "locking", .kind = PROP_BOOL, D(drive.locking), .whose = OF_HOST},
    {.name = "rerror", .kind = PROP_ENUM, .choices = read_errors, D(rerror), .whose = OF_GUEST},
    {.name = "werror", .kind = PROP_ENUM, .choices = write_errors, D(werror), .whose = OF_GUEST},
    {0},
};
#undef D

const struct option_syntax drive_syntax = {NULL, NULL, {{NULL, drive_props}}};

static int finish_drive(struct vm_config *c, struct drive_options *o, struct ferry_err *err)
{
    struct config_device device = device_defaults;
    char id[32];
    int rc;

    if (!o->drive.path)
        return err_set(err, EINVAL, "Parameter 'file' is missing");
    if (o->cache == CACHE_NONE)
        o->drive.direct = true;
    if (o->cache == CACHE_UNSAFE)
        o->drive.no_flush = true;
    o->drive.discard = o->discard == 2;
    o->drive.on_read_error = on_error(read_errors, o->rerror);
    o->drive.on_write_error = on_error(write_errors, o->werror);
    if (!o->drive.id) {
        snprintf(id, sizeof(id), "drive%zu", c->drive_count);
        o->drive.id = strdup(id);
        if (!o->drive.id)
            return no_memory(err);
    }
    rc = add_drive(c, &o->drive, err);
    if (rc < 0)
        return rc;
    /* The config owns the strings now. */
    o->drive = (struct config_drive){0};
    if (o->interface == DRIVE_IF_NONE)
        return 0;
    device.type = CONFIG_DEVICE_BLK;
    device.backend = strdup(c->drives[c->drive_count - 1].id);
    if (!device.backend)
        return no_memory(err);
    rc = add_device(c, &device, err);
    if (rc < 0)
        free(device.backend);
    return rc;
}

int option_drive(struct vm_config *c, const char *value, struct ferry_err *err)
{
    struct drive_options o = {.drive.locking = true, .interface = DRIVE_IF_VIRTIO, .discard = 1};
    int rc = props_apply_text(drive_props, value, NULL, &o, err);

    if (!rc)
        rc = finish_drive(c, &o, err);
    free_drive(&o.drive);
    return rc;
}

struct blockdev_options {
    struct config_drive drive;
    int driver;      /* 1 raw, 2 file */
    int file_driver; /* the same, of the nested node */
    char *nested_path;
    char *file; /* raw: name of a file node given earlier */
    int discard;
};

static const char *const drivers[] = {"raw", "file", NULL};

#define B(member) .offset = offsetof(struct blockdev_options, member)
static const struct prop blockdev_props[] = {
    {.name = "driver", .kind = PROP_ENUM, .choices = drivers, B(driver), .whose = OF_GUEST},
    {.name = "node-name", .kind = PROP_STRING, B(drive.id), .whose = OF_GUEST},
    {.name = "filename", .kind = PROP_STRING, B(drive.path), .whose = OF_HOST_FILE},
    {.name = "file", .kind = PROP_STRING, B(file), .whose = OF_GUEST},
    {.name = "file.driver",
     .kind = PROP_ENUM,
     .choices = drivers,
     B(file_driver),
     .whose = OF_GUEST},
    {.name = "file.filename", .kind = PROP_STRING, B(nested_path), .whose = OF_HOST_FILE},
    {.name = "file.aio", .kind = PROP_FIXED, .choices = aios, .whose = OF_HOST},
    {.name = "aio", .kind = PROP_FIXED, .choices = aios, .whose = OF_HOST},
    {.name = "cache.direct", .kind = PROP_BOOL, B(drive.direct), .whose = OF_USE},
    {.name = "cache.no-flush", .kind = PROP_BOOL, B(drive.no_flush), .whose = OF_USE},
    {.name = "file.cache.direct", .kind = PROP_BOOL, B(drive.direct), .whose = OF_USE},
    {.name = "read-only", .kind = PROP_BOOL, B(drive.readonly), .whose = OF_GUEST},
    {.name = "auto-read-only", .kind = PROP_IGNORED, .whose = OF_HOST},
    {.name = "discard", .kind = PROP_ENUM, .choices = discards, B(discard), .whose = OF_USE},
    {.name = "locking", .kind = PROP_BOOL, B(drive.locking), .whose = OF_HOST},
    {.name = "file.locking", .kind = PROP_BOOL, B(drive.locking), .whose = OF_HOST},
    {0},
};
#undef B

const struct option_syntax blockdev_syntax = {"driver", NULL, {{NULL, blockdev_props}}};

static struct config_drive *find_drive(struct vm_config *c, const char *id)
{
    for (size_t i = 0; i < c->drive_count; i++)
        if (!strcmp(c->drives[i].id, id))
            return &c->drives[i];
    return NULL;
}

/* A raw node on top of a file node given earlier adds nothing but a name: it becomes the drive. */
static int stack_raw_on_file(struct vm_config *c, struct blockdev_options *o, struct ferry_err *err)
{
    struct config_drive *below = find_drive(c, o->file);
    int rc;

    if (!below)
        return err_set(err, ENOENT, "Cannot find device='' nor node-name='%s'", o->file);
    rc = check_id(o->drive.id, err);
    if (rc < 0)
        return rc;
    if (find_drive(c, o->drive.id))
        return err_set(err, EEXIST, "Duplicate nodes with node-name='%s'", o->drive.id);
    free(below->id);
    below->id = TAKE_PTR(o->drive.id);
    below->readonly |= o->drive.readonly;
    below->discard |= o->discard == 2;
    return 0;
}

static int finish_blockdev(struct vm_config *c, struct blockdev_options *o, struct ferry_err *err)
{
    int rc;

    if (!o->driver)
        return err_set(err, EINVAL, "Parameter 'driver' is missing");
    if (!o->drive.id)
        return err_set(err, EINVAL, "Parameter 'node-name' is missing");
    if (o->driver == 1 && o->file)
        return stack_raw_on_file(c, o, err);
    if (o->driver == 1) {
        free(o->drive.path);
        o->drive.path = TAKE_PTR(o->nested_path);
    }
    if (!o->drive.path)
        return err_set(err, EINVAL, "Parameter '%s' is missing",
                       o->driver == 1 ? "file" : "filename");
    o->drive.discard = o->discard == 2;
    rc = add_drive(c, &o->drive, err);
    if (!rc)
        o->drive = (struct config_drive){0};
    return rc;
}

int option_blockdev(struct vm_config *c, const char *value, struct ferry_err *err)
{
    struct blockdev_options o = {.drive.locking = true, .discard = 1};
    int rc = props_apply_text(blockdev_props, value, "driver", &o, err);

    if (!rc)
        rc = finish_blockdev(c, &o, err);
    free_drive(&o.drive);
    free(o.nested_path);
    free(o.file);
    return rc;
}

/* --- network backends --- */

static const char *const unix_only[] = {"unix", NULL};
static const char *const no_vhost[] = {"off", "no", "false", NULL};

#define N(member) .offset = offsetof(struct config_netdev, member)
static const struct prop tap_props[] = {
    {.name = "type", .kind = PROP_IGNORED, .whose = OF_USE},
    {.name = "id", .kind = PROP_STRING, N(id), .whose = OF_GUEST},
    {.name = "ifname", .kind = PROP_STRING, N(ifname), .whose = OF_HOST_TAP},
    {.name = "fd", .kind = PROP_INT, N(fd), .min = 0, .max = 1 << 20, .whose = OF_HOST_OBJECT},
    {.name = "script", .kind = PROP_FIXED, .choices = no_scripts, .whose = OF_USE},
    {.name = "downscript", .kind = PROP_FIXED, .choices = no_scripts, .whose = OF_USE},
    {.name = "vhost", .kind = PROP_FIXED, .choices = no_vhost, .whose = OF_HOST},
    {0},
};
static const struct prop stream_props[] = {
    {.name = "type", .kind = PROP_IGNORED, .whose = OF_USE},
    {.name = "id", .kind = PROP_STRING, N(id), .whose = OF_GUEST},
    {.name = "addr.type", .kind = PROP_FIXED, .choices = unix_only, .whose = OF_HOST},
    {.name = "addr.path", .kind = PROP_STRING, N(path), .whose = OF_HOST_OBJECT},
    {.name = "server", .kind = PROP_BOOL, N(server), .whose = OF_HOST},
    {0},
};
#undef N

const struct option_syntax netdev_syntax = {
    "type", "type", {{"tap", tap_props}, {"stream", stream_props}}};

static void free_netdev(struct config_netdev *n)
{
    free(n->id);
    free(n->ifname);
    free(n->path);
}

static int finish_netdev(struct vm_config *c, struct config_netdev *n, const struct keyval *kv,
                         struct ferry_err *err)
{
    int rc = check_id(n->id, err);

    if (rc < 0)
        return rc;
    if (n->type == CONFIG_NETDEV_TAP && n->fd >= 0 && n->ifname)
        return err_set(err, EINVAL, "ifname= is invalid with fd=");
    if (n->type == CONFIG_NETDEV_TAP && n->fd < 0 && !n->ifname)
        return err_set(err, EINVAL,
                       "Parameter 'ifname' is missing: name the TAP interface, or pass an open one "
                       "with fd=");
    if (n->type == CONFIG_NETDEV_TAP && n->fd < 0 && !keyval_find(kv, "script"))
        return err_set(err, EINVAL, "ferry runs no network scripts: add script=no");
    if (n->type == CONFIG_NETDEV_STREAM && !n->path)
        return err_set(err, EINVAL, "Parameter 'addr.path' is missing");
    for (size_t i = 0; i < c->netdev_count; i++)
        if (!strcmp(c->netdevs[i].id, n->id))
            return err_set(err, EEXIST, "Duplicate ID '%s'", n->id);
    if (c->netdev_count == CONFIG_NETDEVS_MAX)
        return err_set(err, E2BIG, "more than %d netdevs", CONFIG_NETDEVS_MAX);
    c->netdevs[c->netdev_count++] = *n;
    *n = (struct config_netdev){0};
    return 0;
}

int option_netdev(struct vm_config *c, const char *value, struct ferry_err *err)
{
    struct config_netdev n = {.fd = -1};
    const struct keyval_pair *type;
    const struct prop *props;
    struct keyval kv;
    int rc = keyval_parse(&kv, value, netdev_syntax.implied_key, err);

    if (rc < 0)
        return rc;
    type = keyval_find(&kv, netdev_syntax.type_key);
    props = option_props(&netdev_syntax, &kv);
    if (!type) {
        rc = err_set(err, EINVAL, "Parameter 'type' is missing");
    } else if (!props) {
        rc = err_set(err, EINVAL,
                     "network backend '%s' is not available; there are: 'tap', 'stream' (for "
                     "user-mode networking run passt and use stream)",
                     type->value);
    } else {
        n.type = props == tap_props ? CONFIG_NETDEV_TAP : CONFIG_NETDEV_STREAM;
        rc = props_apply(props, &kv, &n, err);
    }
    if (!rc)
        rc = finish_netdev(c, &n, &kv, err);
    free_netdev(&n);
    keyval_free(&kv);
    return rc;
}

/* --- devices --- */

struct device_options {
    struct config_device device;
    char *bus;
    char *drive, *netdev;
    int rerror, werror;
};

#define V(member) .offset = offsetof(struct device_options, device.member)
#define O(member) .offset = offsetof(struct device_options, member)
#define DEVICE_PROPS                                                                    \
    {.name = "driver", .kind = PROP_IGNORED, .whose = OF_GUEST},                        \
        {.name = "id", .kind = PROP_STRING, V(id), .whose = OF_GUEST},                  \
        {.name = "bus", .kind = PROP_STRING, O(bus), .whose = OF_GUEST},                \
        {.name = "addr",                                                                \
         .kind = PROP_INT,                                                              \
         .max = CONFIG_VIRTIO_SLOTS - 1,                                                \
         V(slot),                                                                       \
         .whose = OF_GUEST},                                                            \
        {.name = "event_idx", .kind = PROP_BOOL, V(event_idx), .whose = OF_GUEST},      \
    {                                                                                   \
        .name = "indirect_desc", .kind = PROP_BOOL, V(indirect_desc), .whose = OF_GUEST \
    }

static const struct prop blk_props[] = {
    DEVICE_PROPS,
    {.name = "drive", .kind = PROP_STRING, O(drive), .whose = OF_GUEST},
    {.name = "serial", .kind = PROP_STRING, V(serial), .whose = OF_GUEST},
    {.name = "num-queues", .kind = PROP_U32, V(num_queues), .min = 1, .max = 8, .whose = OF_GUEST},
    {.name = "discard", .kind = PROP_BOOL, V(discard), .whose = OF_GUEST},
    {.name = "write-zeroes", .kind = PROP_BOOL, V(write_zeroes), .whose = OF_GUEST},
    {.name = "rerror", .kind = PROP_ENUM, .choices = read_errors, O(rerror), .whose = OF_GUEST},
    {.name = "werror", .kind = PROP_ENUM, .choices = write_errors, O(werror), .whose = OF_GUEST},
    {0},
};
static const struct prop net_props[] = {
    DEVICE_PROPS,
    {.name = "netdev", .kind = PROP_STRING, O(netdev), .whose = OF_GUEST},
    {.name = "mac", .kind = PROP_MAC, V(mac), .whose = OF_GUEST},
    {0},
};
static const struct prop rng_props[] = {DEVICE_PROPS, {0}};
#undef V
#undef O

const struct option_syntax device_syntax = {"driver",
                                            "driver",
                                            {{"virtio-blk-device", blk_props},
                                             {"virtio-net-device", net_props},
                                             {"virtio-rng-device", rng_props}}};

static const char *device_candidate(const void *arg, size_t i)
{
    return device_syntax.variants[i].type;
}

static int parse_bus(struct device_options *o, struct ferry_err *err)
{
    static const char prefix[] = "virtio-mmio-bus.";
    const char *number = o->bus + sizeof(prefix) - 1;

    if (strncmp(o->bus, prefix, sizeof(prefix) - 1) || number[0] < '0' ||
        number[0] >= '0' + CONFIG_VIRTIO_SLOTS || number[1])
        return err_set(err, ENODEV, "Bus '%s' not found; there are virtio-mmio-bus.0 to .%d",
                       o->bus, CONFIG_VIRTIO_SLOTS - 1);
    o->device.slot = number[0] - '0';
    return 0;
}

static int finish_device(struct vm_config *c, struct device_options *o, struct ferry_err *err)
{
    char **backend = o->device.type == CONFIG_DEVICE_BLK ? &o->drive : &o->netdev;
    int rc = 0;

    if (o->device.type != CONFIG_DEVICE_RNG && !*backend)
        return err_set(err, EINVAL, "Parameter '%s' is missing",
                       o->device.type == CONFIG_DEVICE_BLK ? "drive" : "netdev");
    if (o->device.serial && strlen(o->device.serial) > 20)
        return err_set(err, EINVAL, "serial '%s' is longer than 20 characters", o->device.serial);
    if (o->device.mac[0] & 1)
        return err_set(err, EINVAL, "mac is a multicast address: the first byte must be even");
    if (o->device.id)
        rc = check_id(o->device.id, err);
    if (!rc && o->bus)
        rc = parse_bus(o, err);
    for (size_t i = 0; !rc && o->device.id && i < c->device_count; i++)
        if (c->devices[i].id && !strcmp(c->devices[i].id, o->device.id))
            rc = err_set(err, EEXIST, "Duplicate device ID '%s'", o->device.id);
    if (rc < 0)
        return rc;
    o->device.on_read_error = on_error(read_errors, o->rerror);
    o->device.on_write_error = on_error(write_errors, o->werror);
    o->device.backend = TAKE_PTR(*backend);
    rc = add_device(c, &o->device, err);
    if (!rc)
        o->device = (struct config_device){0};
    return rc;
}

static void free_device(struct config_device *d)
{
    free(d->id);
    free(d->backend);
    free(d->serial);
}

int option_device(struct vm_config *c, const char *value, struct ferry_err *err)
{
    struct device_options o = {.device = device_defaults};
    const struct keyval_pair *driver;
    const struct prop *props;
    struct keyval kv;
    int rc = keyval_parse(&kv, value, device_syntax.implied_key, err);

    if (rc < 0)
        return rc;
    driver = keyval_find(&kv, device_syntax.type_key);
    props = option_props(&device_syntax, &kv);
    if (!driver) {
        rc = err_set(err, EINVAL, "Parameter 'driver' is missing");
    } else if (!props) {
        const char *closest = props_closest(driver->value, device_candidate, NULL);

        rc =
            err_set(err, EINVAL, "'%s' is not a valid device model name%s%s%s", driver->value,
                    closest ? "; did you mean '" : "", closest ? closest : "", closest ? "'?" : "");
    } else {
        o.device.type = props == blk_props   ? CONFIG_DEVICE_BLK
                        : props == net_props ? CONFIG_DEVICE_NET
                                             : CONFIG_DEVICE_RNG;
        rc = props_apply(props, &kv, &o, err);
    }
    if (!rc)
        rc = finish_device(c, &o, err);
    free_device(&o.device);
    free(o.bus);
    free(o.drive);
    free(o.netdev);
    keyval_free(&kv);
    return rc;
}
