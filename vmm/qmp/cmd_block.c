/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <string.h>

#include "vmm/backend/block.h"
#include "vmm/machine/device_kind.h"
#include "vmm/machine/vm.h"
#include "vmm/qmp/cmd.h"
#include "vmm/qmp/json_build.h"
#include "vmm/qmp/monitor.h"

static const struct qmp_type image = {
    .name = "ImageInfo",
    .kind = QMP_KIND_OBJECT,
    QMP_MEMBERS({"filename", &qmp_str}, {"format", &qmp_str}, {"virtual-size", &qmp_int})};
static const struct qmp_type cache = {
    .name = "BlockdevCacheInfo",
    .kind = QMP_KIND_OBJECT,
    QMP_MEMBERS({"writeback", &qmp_bool}, {"direct", &qmp_bool}, {"no-flush", &qmp_bool})};
static const struct qmp_type detect_zeroes = {
    .name = "BlockdevDetectZeroesOptions", .kind = QMP_KIND_ENUM, QMP_VALUES("off", "on", "unmap")};
static const struct qmp_type inserted = {
    .name = "BlockDeviceInfo",
    .kind = QMP_KIND_OBJECT,
    QMP_MEMBERS({"file", &qmp_str}, {"node-name", &qmp_str, true}, {"ro", &qmp_bool},
                {"drv", &qmp_str}, {"backing_file_depth", &qmp_int}, {"encrypted", &qmp_bool},
                {"active", &qmp_bool}, {"detect_zeroes", &detect_zeroes}, {"bps", &qmp_int},
                {"bps_rd", &qmp_int}, {"bps_wr", &qmp_int}, {"iops", &qmp_int},
                {"iops_rd", &qmp_int}, {"iops_wr", &qmp_int}, {"image", &image}, {"cache", &cache},
                {"write_threshold", &qmp_int})};
static const struct qmp_type io_status = {
    .name = "BlockDeviceIoStatus", .kind = QMP_KIND_ENUM, QMP_VALUES("ok", "failed", "nospace")};
static const struct qmp_type block_info = {
    .name = "BlockInfo",
    .kind = QMP_KIND_OBJECT,
    QMP_MEMBERS({"device", &qmp_str}, {"qdev", &qmp_str, true}, {"type", &qmp_str},
                {"removable", &qmp_bool}, {"locked", &qmp_bool}, {"io-status", &io_status, true},
                {"inserted", &inserted, true})};
const struct qmp_type qmp_type_block_list = {.kind = QMP_KIND_ARRAY, .element = &block_info};

const struct qmp_type qmp_type_query_nodes_args = {.kind = QMP_KIND_OBJECT,
                                                   QMP_MEMBERS({"flat", &qmp_bool, true})};
const struct qmp_type qmp_type_node_list = {.kind = QMP_KIND_ARRAY, .element = &inserted};

static const struct qmp_type error_operation = {
    .name = "IoOperationType", .kind = QMP_KIND_ENUM, QMP_VALUES("read", "write")};
static const struct qmp_type error_action = {
    .name = "BlockErrorAction", .kind = QMP_KIND_ENUM, QMP_VALUES("ignore", "report", "stop")};
const struct qmp_type qmp_type_io_error_data = {
    .kind = QMP_KIND_OBJECT,
    QMP_MEMBERS({"qom-path", &qmp_str}, {"device", &qmp_str}, {"node-name", &qmp_str, true},
                {"operation", &error_operation}, {"action", &error_action},
                {"nospace", &qmp_bool, true}, {"reason", &qmp_str})};

static struct json_object *image_info(const struct block *b)
{
    struct json_object *info = json_object_new_object();

    json_put_uint(info, "virtual-size", block_size_bytes(b));
    json_put_str(info, "filename", block_path(b));
    json_put_str(info, "format", "raw");
    return info;
}

static struct json_object *cache_info(const struct config_drive *drive)
{
    struct json_object *info = json_object_new_object();

    json_put_bool(info, "no-flush", drive->no_flush);
    json_put_bool(info, "direct", drive->direct);
    json_put_bool(info, "writeback", true);
    return info;
}

static struct json_object *inserted_info(const struct block *b, const struct config_drive *drive,
                                         bool active)
{
    static const char *const unlimited[] = {"bps",     "bps_rd",  "bps_wr", "iops",
                                            "iops_rd", "iops_wr", NULL};
    struct json_object *info = json_object_new_object();

    json_put(info, "image", image_info(b));
    json_put(info, "cache", cache_info(drive));
    json_put_str(info, "file", block_path(b));
    json_put_str(info, "node-name", block_id(b));
    json_put_bool(info, "ro", block_readonly(b));
    json_put_str(info, "drv", "raw");
    json_put_bool(info, "encrypted", false);
    json_put_bool(info, "active", active);
    json_put_str(info, "detect_zeroes", "off");
    json_put_int(info, "backing_file_depth", 0);
    json_put_int(info, "write_threshold", 0);
    for (size_t i = 0; unlimited[i]; i++)
        json_put_int(info, unlimited[i], 0);
    return info;
}

const struct config_disk *qmp_find_disk(const struct vm_config *config, const char *drive)
{
    for (size_t i = 0; i < config->device_count; i++) {
        const struct config_disk *d = config_disk_of(config->devices[i]);

        if (d && !strcmp(d->virtio.device.backend, drive))
            return d;
    }
    return NULL;
}

struct json_object *qmp_disk_path(const struct config_disk *disk)
{
    char path[128] = "";

    if (disk && disk->virtio.device.id)
        snprintf(path, sizeof(path), "/machine/peripheral/%s/virtio-backend",
                 disk->virtio.device.id);
    return json_object_new_string(path);
}

bool qmp_disk_has_status(const struct config_disk *disk)
{
    return disk->on_read_error == CONFIG_ON_ERROR_STOP ||
           disk->on_write_error == CONFIG_ON_ERROR_STOP ||
           disk->on_write_error == CONFIG_ON_ERROR_ENOSPC;
}

static struct json_object *drive_info(const struct block *b, const struct vm_config *config,
                                      const struct config_drive *drive, bool active)
{
    static const char *const statuses[] = {
        [BLOCK_IO_OK] = "ok", [BLOCK_IO_FAILED] = "failed", [BLOCK_IO_NOSPACE] = "nospace"};
    const struct config_disk *disk = qmp_find_disk(config, drive->id);
    struct json_object *info = json_object_new_object();

    json_put_str(info, "device", drive->id);
    if (disk && disk->virtio.device.id)
        json_put(info, "qdev", qmp_disk_path(disk));
    if (disk && qmp_disk_has_status(disk))
        json_put_str(info, "io-status", statuses[block_io_status(b)]);
    json_put_str(info, "type", "unknown");
    json_put_bool(info, "removable", false);
    json_put_bool(info, "locked", false);
    json_put(info, "inserted", inserted_info(b, drive, active));
    return info;
}

static bool drives_are_active(const struct monitor_env *env)
{
    enum run_state state = vm_run_state(env->vm);

    return state != RUN_STATE_INMIGRATE && state != RUN_STATE_POSTMIGRATE;
}

/* NULL: there are no more. */
static struct block *drive_at(const struct monitor_env *env, size_t i)
{
    return env->block_at && i < vm_config(env->vm)->drive_count ? env->block_at(env->arg, i) : NULL;
}

QMP_HANDLER(qmp_run_query_block)
{
    const struct monitor_env *env = monitor_env(call->monitor);
    const struct vm_config *config = vm_config(env->vm);
    struct block *b;

    *ret = json_object_new_array();
    for (size_t i = 0; (b = drive_at(env, i)); i++)
        json_append(*ret, drive_info(b, config, &config->drives[i], drives_are_active(env)));
    return 0;
}

QMP_HANDLER(qmp_run_query_nodes)
{
    const struct monitor_env *env = monitor_env(call->monitor);
    const struct vm_config *config = vm_config(env->vm);
    struct block *b;

    *ret = json_object_new_array();
    for (size_t i = 0; (b = drive_at(env, i)); i++)
        json_append(*ret, inserted_info(b, &config->drives[i], drives_are_active(env)));
    return 0;
}
