/* SPDX-License-Identifier: Apache-2.0 */
/* Block nodes that come and go: a raw image in a file, whichever way QMP says that. Its arguments
 * are -blockdev's words, in JSON. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/own.h"
#include "vmm/backend/fd_table.h"
#include "vmm/machine/vm.h"
#include "vmm/qmp/ask.h"
#include "vmm/qmp/cmd.h"
#include "vmm/qmp/json_build.h"
#include "vmm/qmp/json_out.h"
#include "vmm/qmp/monitor.h"

/* --- Types --- */

static const struct qmp_type cache = {
    .name = "BlockdevCacheOptions",
    .kind = QMP_KIND_OBJECT,
    QMP_MEMBERS({"direct", &qmp_bool, true}, {"no-flush", &qmp_bool, true})};
static const struct qmp_type on_off_auto = {
    .name = "OnOffAuto", .kind = QMP_KIND_ENUM, QMP_VALUES("auto", "on", "off")};
static const struct qmp_type aio = {
    .name = "BlockdevAioOptions", .kind = QMP_KIND_ENUM, QMP_VALUES("threads")};
static const struct qmp_type discard = {
    .name = "BlockdevDiscardOptions", .kind = QMP_KIND_ENUM, QMP_VALUES("ignore", "unmap")};

#define FILE_MEMBERS                             \
    {"filename", &qmp_str}, {"aio", &aio, true}, \
    {                                            \
        "locking", &on_off_auto, true            \
    }

static const struct qmp_type file_driver = {
    .name = "BlockdevFileDriver", .kind = QMP_KIND_ENUM, QMP_VALUES("file")};
static const struct qmp_type nested = {
    .name = "BlockdevRef",
    .kind = QMP_KIND_OBJECT,
    QMP_MEMBERS({"driver", &file_driver}, {"cache", &cache, true}, FILE_MEMBERS)};
static const struct qmp_type file = {
    .name = "BlockdevOptionsFile", .kind = QMP_KIND_OBJECT, QMP_MEMBERS(FILE_MEMBERS)};
static const struct qmp_type raw = {
    .name = "BlockdevOptionsRaw", .kind = QMP_KIND_OBJECT, QMP_MEMBERS({"file", &nested})};
static const struct qmp_type driver = {
    .name = "BlockdevDriver", .kind = QMP_KIND_ENUM, QMP_VALUES("file", "raw")};
const struct qmp_type qmp_type_blockdev_add_args = {
    .name = "BlockdevOptions",
    .kind = QMP_KIND_OBJECT,
    QMP_MEMBERS({"driver", &driver}, {"node-name", &qmp_str}, {"discard", &discard, true},
                {"cache", &cache, true}, {"read-only", &qmp_bool, true},
                {"auto-read-only", &qmp_bool, true}),
    .tag = "driver",
    .variants = (const struct qmp_variant[]){{"file", &file}, {"raw", &raw}, {0}}};
const struct qmp_type qmp_type_blockdev_del_args = {.kind = QMP_KIND_OBJECT,
                                                    QMP_MEMBERS({"node-name", &qmp_str})};

/* --- Words --- */

/* The option has a boolean for it; QEMU locks where it can, which is where this does. */
static void put_plain_locking(struct json_object *node)
{
    const char *locking = qmp_get_str(node, "locking");

    if (!locking)
        return;
    if (!strcmp(locking, "off"))
        json_put_bool(node, "locking", false);
    else
        json_object_object_del(node, "locking");
}

static char *words_of(struct json_object *args, struct ferry_err *err)
{
    OWN(json_freep) struct json_object *words = NULL;
    char *text = NULL;

    if (json_object_deep_copy(args, &words, NULL) == 0) {
        put_plain_locking(words);
        if (qmp_get(words, "file"))
            put_plain_locking(qmp_get(words, "file"));
        text = json_out_text(words);
    }
    if (!text)
        err_set(err, ENOMEM, "out of memory");
    return text;
}

/* --- Commands --- */

static bool is_direct(struct json_object *node)
{
    return qmp_get_bool(qmp_get(node, "cache"), "direct", false);
}

const char *qmp_blockdev_image(struct json_object *args, int *ret_flags)
{
    struct json_object *below = qmp_get(args, "file");

    *ret_flags = qmp_get_bool(args, "read-only", false) ? O_RDONLY : O_RDWR;
    if (is_direct(args) || (below && is_direct(below)))
        *ret_flags |= O_DIRECT;
    return qmp_get_str(below ? below : args, "filename");
}

/* true: an image that came through add-fd is open already; *ret_fd is the caller's, or -errno. */
static bool is_in_set(struct qmp_call *call, struct json_object *args, int *ret_fd,
                      struct ferry_err *err)
{
    struct ferry_fd_names names = fd_table_names(monitor_env(call->monitor)->fds);
    int flags, used = 0;
    const char *path = qmp_blockdev_image(args, &flags);
    uint64_t set;

    if (sscanf(path, "/dev/fdset/%" SCNu64 "%n", &set, &used) != 1 || path[used])
        return false;
    *ret_fd = names.open_set(names.opaque, set, flags, err);
    return true;
}

static int opened(struct qmp_call *call, void *words, struct ferry_named_fd *things, size_t count,
                  struct json_object **ret, struct ferry_err *err)
{
    return vm_add_blockdev(monitor_env(call->monitor)->vm, words, &things[0].fd, err);
}

QMP_HANDLER(qmp_run_blockdev_add)
{
    struct vm *vm = monitor_env(call->monitor)->vm;
    OWN_MEM char *words = words_of(args, err);
    struct ask_params params = {
        .command = "blockdev-add", .args = args, .things = opened, .free_arg = free};
    OWN_FD int fd = -1;
    int rc;

    if (!words)
        return -ENOMEM;
    if (is_in_set(call, args, &fd, err))
        return fd < 0 ? fd : vm_add_blockdev(vm, words, &fd, err);
    if (!ask_is_needed(call))
        return vm_add_blockdev(vm, words, &fd, err);
    rc = vm_check_blockdev(vm, words, err);
    if (rc)
        return rc;
    params.arg = TAKE_PTR(words);
    return ask_begin(call, &params, err);
}

QMP_HANDLER(qmp_run_blockdev_del)
{
    return vm_remove_blockdev(monitor_env(call->monitor)->vm, qmp_get_str(args, "node-name"), err);
}
