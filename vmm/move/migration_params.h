/* SPDX-License-Identifier: Apache-2.0 */
/*
 * QEMU's migration capabilities and parameters: names, defaults, ranges and refusals, as tables.
 * What ferry does not serve yet is listed, so that a query shows the whole set, and refused by
 * name when it is switched on.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <ferry/chan.h>
#include <ferry/err.h>

#include "vmm/machine/migration.h"

#define MIGRATION_STR_BYTES 256

enum migration_capability {
    MIGRATION_CAP_XBZRLE,
    MIGRATION_CAP_RDMA_PIN_ALL,
    MIGRATION_CAP_AUTO_CONVERGE,
    MIGRATION_CAP_ZERO_BLOCKS,
    MIGRATION_CAP_EVENTS,
    MIGRATION_CAP_POSTCOPY_RAM,
    MIGRATION_CAP_X_COLO,
    MIGRATION_CAP_RELEASE_RAM,
    MIGRATION_CAP_RETURN_PATH,
    MIGRATION_CAP_PAUSE_BEFORE_SWITCHOVER,
    MIGRATION_CAP_MULTIFD,
    MIGRATION_CAP_DIRTY_BITMAPS,
    MIGRATION_CAP_POSTCOPY_BLOCKTIME,
    MIGRATION_CAP_LATE_BLOCK_ACTIVATE,
    MIGRATION_CAP_X_IGNORE_SHARED,
    MIGRATION_CAP_VALIDATE_UUID,
    MIGRATION_CAP_BACKGROUND_SNAPSHOT,
    MIGRATION_CAP_ZERO_COPY_SEND,
    MIGRATION_CAP_POSTCOPY_PREEMPT,
    MIGRATION_CAP_SWITCHOVER_ACK,
    MIGRATION_CAP_DIRTY_LIMIT,
    MIGRATION_CAP_MAPPED_RAM,
    MIGRATION_CAP_COUNT,
};

enum migration_param_id {
    MIGRATION_PARAM_ANNOUNCE_INITIAL,
    MIGRATION_PARAM_ANNOUNCE_MAX,
    MIGRATION_PARAM_ANNOUNCE_ROUNDS,
    MIGRATION_PARAM_ANNOUNCE_STEP,
    MIGRATION_PARAM_THROTTLE_TRIGGER_THRESHOLD,
    MIGRATION_PARAM_CPU_THROTTLE_INITIAL,
    MIGRATION_PARAM_CPU_THROTTLE_INCREMENT,
    MIGRATION_PARAM_CPU_THROTTLE_TAILSLOW,
    MIGRATION_PARAM_TLS_CREDS,
    MIGRATION_PARAM_TLS_HOSTNAME,
    MIGRATION_PARAM_TLS_AUTHZ,
    MIGRATION_PARAM_MAX_BANDWIDTH,
    MIGRATION_PARAM_AVAIL_SWITCHOVER_BANDWIDTH,
    MIGRATION_PARAM_DOWNTIME_LIMIT,
    MIGRATION_PARAM_X_CHECKPOINT_DELAY,
    MIGRATION_PARAM_MULTIFD_CHANNELS,
    MIGRATION_PARAM_XBZRLE_CACHE_SIZE,
    MIGRATION_PARAM_MAX_POSTCOPY_BANDWIDTH,
    MIGRATION_PARAM_MAX_CPU_THROTTLE,
    MIGRATION_PARAM_MULTIFD_COMPRESSION,
    MIGRATION_PARAM_MULTIFD_ZLIB_LEVEL,
    MIGRATION_PARAM_MULTIFD_ZSTD_LEVEL,
    MIGRATION_PARAM_MULTIFD_QATZIP_LEVEL,
    MIGRATION_PARAM_X_VCPU_DIRTY_LIMIT_PERIOD,
    MIGRATION_PARAM_VCPU_DIRTY_LIMIT,
    MIGRATION_PARAM_MODE,
    MIGRATION_PARAM_ZERO_PAGE_DETECTION,
    MIGRATION_PARAM_DIRECT_IO,
    MIGRATION_PARAM_LOCAL,
    MIGRATION_PARAM_COUNT,
};

struct migration_params {
    bool capabilities[MIGRATION_CAP_COUNT];
    uint64_t num[MIGRATION_PARAM_COUNT];
    char str[MIGRATION_PARAM_COUNT][MIGRATION_STR_BYTES];
};

void migration_params_init(struct migration_params *p);
/*
 * Check the whole new set, then apply it; nothing changes on a refusal. listening: a target waits
 * for its source; fixed: what it expects of the stream is settled.
 */
int migration_params_set_capabilities(struct migration_params *p, const char *const *names,
                                      const bool *states, size_t count, bool listening, bool fixed,
                                      struct ferry_err *err) FERRY_MUST_CHECK;
/* Does what is set go together with that kind of address? */
int migration_params_check_address(const struct migration_params *p, enum ferry_address_kind kind,
                                   struct ferry_err *err) FERRY_MUST_CHECK;
/* What is set that a stream to any address cannot be, although each alone is fine. */
int migration_params_check_stream(const struct migration_params *p,
                                  struct ferry_err *err) FERRY_MUST_CHECK;
/* What multifd-compression can be; NULL terminated. */
const char *const *migration_compressions(void);
/* fixed: a migration is under way; what has no effect on it any more is refused. */
int migration_params_set_values(struct migration_params *p, const size_t *indexes,
                                const struct migration_value *values, size_t count, bool fixed,
                                struct ferry_err *err) FERRY_MUST_CHECK;
