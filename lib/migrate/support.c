/* SPDX-License-Identifier: Apache-2.0 */
#include "lib/migrate/support.h"

#include <errno.h>
#include <string.h>

#include "base/err.h"
#include "lib/wire/return_path.h"

const char *ferry_migrate_phase_name(enum ferry_migrate_phase phase)
{
    static const char *const names[] = {
        [FERRY_MIGRATE_SETUP] = "setup",
        [FERRY_MIGRATE_ACTIVE] = "active",
        [FERRY_MIGRATE_PRE_SWITCHOVER] = "pre-switchover",
        [FERRY_MIGRATE_DEVICE] = "device",
        [FERRY_MIGRATE_COMPLETED] = "completed",
        [FERRY_MIGRATE_ENDED_FAILED] = "failed",
        [FERRY_MIGRATE_CANCELLED] = "cancelled",
    };
    size_t i = (size_t)phase;

    return i < sizeof(names) / sizeof(names[0]) && names[i] ? names[i] : "none";
}

int support_check(const struct ferry_migrate_capabilities *capabilities,
                  const struct ferry_migrate_parameters *parameters, struct ferry_err *err)
{
    const struct codec_ops *codec;

    if (capabilities->multifd && capabilities->xbzrle)
        return err_set(err, EINVAL, "Multifd is not compatible with xbzrle");
    if (support_codec(parameters, &codec, err) < 0)
        return -err->errnum;
    if (parameters->multifd_level && (parameters->multifd_level < codec->level_min ||
                                      parameters->multifd_level > codec->level_max))
        return err_set(err, EINVAL, "level %d of %s is not between %d and %d",
                       parameters->multifd_level, codec->name, codec->level_min, codec->level_max);
    if (parameters->multifd_channels > WIRE_MULTIFD_CHANNELS_MAX)
        return err_set(err, EINVAL, "%u channels are more than %u", parameters->multifd_channels,
                       WIRE_MULTIFD_CHANNELS_MAX);
    if (capabilities->mapped_ram && capabilities->xbzrle)
        return err_set(err, EINVAL, "Mapped-ram migration is incompatible with xbzrle");
    if (capabilities->mapped_ram && capabilities->ignore_shared)
        return err_set(err, EINVAL,
                       "Mapped-ram migration is incompatible with x-ignore-shared: switch one off");
    if (capabilities->mapped_ram && capabilities->multifd && !codec->plain)
        return err_set(err, EINVAL, "Cannot use compression with mapped-ram");
    if (parameters->direct_io && !(capabilities->mapped_ram && capabilities->multifd))
        return err_set(err, EINVAL,
                       "parameter direct-io needs the capabilities mapped-ram and multifd");
    return 0;
}

int support_codec(const struct ferry_migrate_parameters *parameters, const struct codec_ops **ret,
                  struct ferry_err *err)
{
    const char *name = parameters->multifd_compression ? parameters->multifd_compression : "none";

    *ret = codec_find(name);
    if (!*ret)
        return err_set(err, ENOTSUP, "multifd-compression %s is not served", name);
    return 0;
}

unsigned support_channels(const struct ferry_migrate_parameters *parameters)
{
    return parameters->multifd_channels ? parameters->multifd_channels : 2;
}

unsigned support_mapped_channels(const struct ferry_migrate_capabilities *capabilities,
                                 const struct ferry_migrate_parameters *parameters)
{
    if (!capabilities->mapped_ram)
        return 0;
    return capabilities->multifd ? support_channels(parameters) : 1;
}

int support_config(struct wire_config *config, const struct ferry_migrate_capabilities *c,
                   const uint8_t *uuid, struct ferry_err *err)
{
    if (c->validate_uuid && uuid) {
        config->has_uuid = true;
        memcpy(config->uuid, uuid, sizeof(config->uuid));
    }
    if (c->ignore_shared)
        config->capabilities |= WIRE_CAP_X_IGNORE_SHARED;
    if (c->mapped_ram)
        config->capabilities |= WIRE_CAP_MAPPED_RAM;
    return 0;
}

void support_ledger_put(struct buf *out, const struct ferry_migrate_ledger *ledger)
{
    struct buf data = {0};

    buf_be64(&data, (uint64_t)ledger->target_load_ns);
    buf_be64(&data, (uint64_t)ledger->target_start_ns);
    if (!data.failed)
        return_path_put_ledger(out, data.data, data.len_bytes);
    buf_free(&data);
}

/* A peer's number: whatever it says, it is not negative. */
static int64_t ledger_ns(uint64_t v)
{
    return v > INT64_MAX ? 0 : (int64_t)v;
}

void support_ledger_get(struct ferry_migrate_ledger *ledger, const uint8_t *data, size_t n)
{
    struct rd r = rd_make(data, n);
    uint64_t load = rd_be64(&r), start = rd_be64(&r);

    if (r.failed)
        return;
    ledger->target_load_ns = ledger_ns(load);
    ledger->target_start_ns = ledger_ns(start);
}
