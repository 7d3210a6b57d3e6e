/* SPDX-License-Identifier: Apache-2.0 */
/* -drive, -blockdev, -netdev, -device. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/own.h"
#include "vmm/config/config_device.h"
#include "vmm/config/option_table.h"
#include "vmm/config/options_absent.h"
#include "vmm/dev/kinds.h"

static const char *const formats[] = {"raw", NULL};
static const char *const discards[] = {"ignore", "unmap", NULL};
static const char *const aios[] = {"threads", NULL};
static const char *const no_scripts[] = {"no", "", NULL};

static int no_memory(struct ferry_err *err)
{
    return err_set(err, ENOMEM, "out of memory");
}

int option_check_id(const char *id, struct ferry_err *err)
{
    static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
                                  "-._";

    if (!id)
        return err_set(err, EINVAL, "Parameter 'id' is missing");
    if (!*id || strlen(id) > CONFIG_ID_BYTES_MAX || strspn(id, allowed) != strlen(id))
        return err_set(err, EINVAL,
                       "'%.60s' is not an identifier: 1 to 40 letters, digits, '-', '.' or '_'",
                       id);
    return 0;
}

/* --- drives --- */

static const struct config_drive drive_defaults = {
    .locking = true, .on_read_error = CONFIG_ON_ERROR_AUTO, .on_write_error = CONFIG_ON_ERROR_AUTO};

static void free_drive(struct config_drive *d)
{
    free(d->id);
    free(d->path);
}

static int add_drive(struct vm_config *c, const struct config_drive *d, struct ferry_err *err)
{
    int rc = option_check_id(d->id, err);

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

enum drive_interface { DRIVE_IF_NONE = 1, DRIVE_IF_VIRTIO };
enum drive_cache { CACHE_WRITEBACK = 1, CACHE_NONE, CACHE_UNSAFE };

struct drive_options {
    struct config_drive drive;
    enum drive_interface interface;
    enum drive_cache cache;
    int discard;
};

static const char *const interfaces[] = {"none", "virtio", NULL};
static const char *const caches[] = {"writeback", "none", "unsafe", NULL};

#define D(member) .offset = offsetof(struct drive_options, member)
static const struct prop drive_props[] = {
    {.name = "file", .kind = PROP_PATH, D(drive.path), .whose = OF_HOST_FILE},
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
    {.name = "rerror",
     .kind = PROP_ENUM,
     .choices = config_read_errors,
     D(drive.on_read_error),
     .whose = OF_GUEST},
    {.name = "werror",
     .kind = PROP_ENUM,
     .choices = config_write_errors,
     D(drive.on_write_error),
     .whose = OF_GUEST},
    {.name = "index", .kind = PROP_IGNORED, .whose = OF_HOST},
    {.name = "snapshot",
     .kind = PROP_ABSENT,
     .instead = "images are written to; run from a copy (cp --reflink=auto), or say readonly=on",
     .whose = OF_HOST},
    {0},
};
#undef D

const struct option_syntax drive_syntax = {NULL, NULL, {{NULL, drive_props}}};

/* The disk that a drive brings unless it says if=none. */
static int add_disk_of(struct vm_config *c, const char *drive, bool automatic,
                       struct ferry_err *err)
{
    struct config_device *d = NULL;
    struct keyval kv = {0};
    int rc = keyval_add(&kv, "driver", "virtio-blk-device", err);

    if (!rc)
        rc = keyval_add(&kv, "drive", drive, err);
    if (!rc)
        rc = config_device_new(&d, &kv, err);
    keyval_free(&kv);
    if (rc)
        return rc;
    d->automatic = automatic;
    rc = config_add_device(c, d, err);
    if (rc)
        config_device_free(d);
    return rc;
}

static int finish_drive(struct vm_config *c, struct drive_options *o, struct ferry_err *err)
{
    char id[32];
    int rc;

    if (!o->drive.path)
        return err_set(err, EINVAL, "Parameter 'file' is missing");
    if (o->cache == CACHE_NONE)
        o->drive.direct = true;
    if (o->cache == CACHE_UNSAFE)
        o->drive.no_flush = true;
    o->drive.discard = o->discard == 2;
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
    return add_disk_of(c, c->drives[c->drive_count - 1].id, !o->interface, err);
}

/* Of what QEMU has, the two that people paste. */
static int check_drive_words(const struct keyval *kv, struct ferry_err *err)
{
    const struct keyval_pair *interface = keyval_find(kv, "if"),
                             *format = keyval_find(kv, "format");
    const struct keyval_pair *file = keyval_find(kv, "file");

    if (interface && !strcmp(interface->value, "pflash"))
        return err_set(err, ENOTSUP, "if=pflash: %s", option_absent("pflash"));
    if (format && strcmp(format->value, "raw") != 0 && file)
        return err_set(err, ENOTSUP,
                       "format '%.20s' is not available; there is 'raw': qemu-img convert -O raw "
                       "%.60s disk.raw",
                       format->value, file->value);
    return 0;
}

int option_drive(struct vm_config *c, const char *value, struct ferry_err *err)
{
    struct drive_options o = {.drive = drive_defaults, .discard = 1};
    struct keyval kv;
    int rc = keyval_parse(&kv, value, NULL, err);

    if (rc < 0)
        return rc;
    o.drive.guessed = !keyval_find(&kv, "format");
    rc = check_drive_words(&kv, err);
    if (!rc)
        rc = props_apply(drive_props, &kv, &o, err);
    if (!rc)
        rc = finish_drive(c, &o, err);
    free_drive(&o.drive);
    keyval_free(&kv);
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
    {.name = "filename", .kind = PROP_PATH, B(drive.path), .whose = OF_HOST_FILE},
    {.name = "file", .kind = PROP_STRING, B(file), .whose = OF_GUEST},
    {.name = "file.driver",
     .kind = PROP_ENUM,
     .choices = drivers,
     B(file_driver),
     .whose = OF_GUEST},
    {.name = "file.filename", .kind = PROP_PATH, B(nested_path), .whose = OF_HOST_FILE},
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
    rc = option_check_id(o->drive.id, err);
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
    struct blockdev_options o = {.drive = drive_defaults, .discard = 1};
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

#define RECONNECT_S_MAX 86400

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
    {.name = "addr.path", .kind = PROP_PATH, N(path), .whose = OF_HOST_OBJECT},
    {.name = "server", .kind = PROP_BOOL, N(server), .whose = OF_HOST},
    {.name = "reconnect-ms",
     .kind = PROP_U32,
     .max = RECONNECT_S_MAX * 1000,
     N(reconnect_ms),
     .whose = OF_HOST},
    /* In seconds until finish_stream(). */
    {.name = "reconnect",
     .kind = PROP_U32,
     .max = RECONNECT_S_MAX,
     N(reconnect_ms),
     .whose = OF_HOST},
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

static int finish_stream(struct config_netdev *n, const struct keyval *kv, struct ferry_err *err)
{
    bool seconds = keyval_find(kv, "reconnect") != NULL;

    if (!n->path)
        return err_set(err, EINVAL, "Parameter 'addr.path' is missing");
    if (seconds && keyval_find(kv, "reconnect-ms"))
        return err_set(err, EINVAL, "'reconnect' and 'reconnect-ms' are mutually exclusive");
    if (n->server && (seconds || keyval_find(kv, "reconnect-ms")))
        return err_set(err, EINVAL,
                       "'reconnect' and 'reconnect-ms' are for who connects: with server=on the "
                       "other side comes again by itself");
    if (seconds)
        n->reconnect_ms *= 1000;
    return 0;
}

static int finish_netdev(struct vm_config *c, struct config_netdev *n, const struct keyval *kv,
                         struct ferry_err *err)
{
    int rc = option_check_id(n->id, err);

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
    if (n->type == CONFIG_NETDEV_STREAM)
        rc = finish_stream(n, kv, err);
    if (rc < 0)
        return rc;
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

static struct option_variant kind_variant(size_t i)
{
    const struct device_kind *kind = device_kind_at(i);

    return kind ? (struct option_variant){kind->name, kind->props} : (struct option_variant){0};
}

const struct option_syntax device_syntax = {"driver", "driver", .variant_at = kind_variant};

int option_device(struct vm_config *c, const char *value, struct ferry_err *err)
{
    struct config_device *d = NULL;
    struct keyval kv;
    int rc = keyval_parse(&kv, value, device_syntax.implied_key, err);

    if (rc)
        return rc;
    rc = config_device_new(&d, &kv, err);
    keyval_free(&kv);
    if (rc)
        return rc;
    rc = config_add_device(c, d, err);
    if (rc)
        config_device_free(d);
    return rc;
}
