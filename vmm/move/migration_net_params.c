/* SPDX-License-Identifier: Apache-2.0 */
/* What QMP calls capabilities and parameters, as the library wants them. */
#include <string.h>

#include "vmm/move/migration_internal.h"
#include "vmm/vm/vm_internal.h"

#define NS_PER_MS INT64_C(1000000)

struct ferry_migrate_capabilities migration_net_capabilities(const struct migration_params *p)
{
    return (struct ferry_migrate_capabilities){
        .xbzrle = p->capabilities[MIGRATION_CAP_XBZRLE],
        .auto_converge = p->capabilities[MIGRATION_CAP_AUTO_CONVERGE],
        .multifd = p->capabilities[MIGRATION_CAP_MULTIFD],
        .mapped_ram = p->capabilities[MIGRATION_CAP_MAPPED_RAM],
        .ignore_shared = p->capabilities[MIGRATION_CAP_X_IGNORE_SHARED],
        .validate_uuid = p->capabilities[MIGRATION_CAP_VALIDATE_UUID],
        .pause_before_switchover = p->capabilities[MIGRATION_CAP_PAUSE_BEFORE_SWITCHOVER],
    };
}

static enum ferry_migrate_zero_pages zero_pages_of(const char *name)
{
    if (!strcmp(name, "legacy"))
        return FERRY_MIGRATE_ZERO_LEGACY;
    return strcmp(name, "none") ? FERRY_MIGRATE_ZERO_MULTIFD : FERRY_MIGRATE_ZERO_NONE;
}

struct ferry_migrate_parameters migration_net_parameters(const struct migration_params *p)
{
    const char *method = p->str[MIGRATION_PARAM_MULTIFD_COMPRESSION];
    int64_t limit_ms = (int64_t)p->num[MIGRATION_PARAM_DOWNTIME_LIMIT];
    uint64_t level = 0;

    if (!strcmp(method, "zlib"))
        level = p->num[MIGRATION_PARAM_MULTIFD_ZLIB_LEVEL];
    else if (!strcmp(method, "zstd"))
        level = p->num[MIGRATION_PARAM_MULTIFD_ZSTD_LEVEL];
    return (struct ferry_migrate_parameters){
        .max_bandwidth_bps = p->num[MIGRATION_PARAM_MAX_BANDWIDTH],
        .avail_switchover_bandwidth_bps = p->num[MIGRATION_PARAM_AVAIL_SWITCHOVER_BANDWIDTH],
        .downtime_limit_ns = limit_ms ? limit_ms * NS_PER_MS : 1, /* 0 is the default there */
        .zero_pages = zero_pages_of(p->str[MIGRATION_PARAM_ZERO_PAGE_DETECTION]),
        .multifd_channels = (unsigned)p->num[MIGRATION_PARAM_MULTIFD_CHANNELS],
        .multifd_compression = method,
        .multifd_level = (int)level,
        .xbzrle_cache_bytes = p->num[MIGRATION_PARAM_XBZRLE_CACHE_SIZE],
        /* As in QEMU it says nothing to anything else: it stays set from one to the next. */
        .direct_io = p->num[MIGRATION_PARAM_DIRECT_IO] &&
                     p->capabilities[MIGRATION_CAP_MAPPED_RAM] &&
                     p->capabilities[MIGRATION_CAP_MULTIFD],
        .throttle_trigger_percent = (unsigned)p->num[MIGRATION_PARAM_THROTTLE_TRIGGER_THRESHOLD],
        .throttle_initial_percent = (unsigned)p->num[MIGRATION_PARAM_CPU_THROTTLE_INITIAL],
        .throttle_increment_percent = (unsigned)p->num[MIGRATION_PARAM_CPU_THROTTLE_INCREMENT],
        .throttle_max_percent = (unsigned)p->num[MIGRATION_PARAM_MAX_CPU_THROTTLE],
        .throttle_tailslow = p->num[MIGRATION_PARAM_CPU_THROTTLE_TAILSLOW],
    };
}

const uint8_t *migration_net_uuid(const struct migration *m)
{
    const struct vm_config *config = vm_config(m->vm);

    return config->uuid_given ? config->uuid : NULL;
}
