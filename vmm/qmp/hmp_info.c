/* SPDX-License-Identifier: Apache-2.0 */
/* What of a VM people see: answers of QMP as text, in QEMU's words. */
#include <string.h>

#include "base/buf.h"
#include "vmm/qmp/hmp.h"
#include "vmm/qmp/type.h"

static void print_drive(struct buf *out, struct json_object *drive)
{
    struct json_object *inserted = qmp_get(drive, "inserted");
    struct json_object *cache = qmp_get(inserted, "cache");
    const char *qdev = qmp_get_str(drive, "qdev"), *status = qmp_get_str(drive, "io-status");

    buf_printf(out, "%s: %s (%s%s)\r\n", qmp_get_str(drive, "device"),
               qmp_get_str(inserted, "file"), qmp_get_str(inserted, "drv"),
               json_object_get_boolean(qmp_get(inserted, "ro")) ? ", read-only" : "");
    if (qdev)
        buf_printf(out, "    Attached to:      %s\r\n", qdev);
    if (status && strcmp(status, "ok") != 0)
        buf_printf(out, "    I/O status:       %s\r\n", status);
    buf_printf(out, "    Cache mode:       writeback%s%s\r\n",
               json_object_get_boolean(qmp_get(cache, "direct")) ? ", direct" : "",
               json_object_get_boolean(qmp_get(cache, "no-flush")) ? ", ignore flushes" : "");
}

void hmp_print_block(struct buf *out, struct json_object *list)
{
    for (size_t i = 0; i < json_object_array_length(list); i++)
        print_drive(out, json_object_array_get_idx(list, i));
}

void hmp_print_chardev(struct buf *out, struct json_object *list)
{
    for (size_t i = 0; i < json_object_array_length(list); i++) {
        struct json_object *chardev = json_object_array_get_idx(list, i);

        buf_printf(out, "%s: filename=%s\r\n", qmp_get_str(chardev, "label"),
                   qmp_get_str(chardev, "filename"));
    }
}

void hmp_print_name(struct buf *out, struct json_object *info)
{
    const char *name = qmp_get_str(info, "name");

    if (name)
        buf_printf(out, "%s\r\n", name);
}

void hmp_print_version(struct buf *out, struct json_object *info)
{
    buf_printf(out, "ferry %s\r\n", qmp_get_str(qmp_get(info, "ferry"), "build"));
}
