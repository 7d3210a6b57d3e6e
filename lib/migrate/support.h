/* SPDX-License-Identifier: Apache-2.0 */
/* What is served, and how a ledger travels. Pure. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include <ferry/migrate.h>

#include "base/buf.h"
#include "lib/codec/codec.h"
#include "lib/wire/config.h"

/* -ENOTSUP, naming what is not served. */
int support_check(const struct ferry_migrate_capabilities *capabilities,
                  const struct ferry_migrate_parameters *parameters,
                  struct ferry_err *err) FERRY_MUST_CHECK;
/* How the pages of channels are packed, and how many channels there are. */
int support_codec(const struct ferry_migrate_parameters *parameters, const struct codec_ops **ret,
                  struct ferry_err *err) FERRY_MUST_CHECK;
unsigned support_channels(const struct ferry_migrate_parameters *parameters);
/* How many write or read the pages of a mapped-ram file; 0: it is none. */
unsigned support_mapped_channels(const struct ferry_migrate_capabilities *capabilities,
                                 const struct ferry_migrate_parameters *parameters);
/* What of it a stream's configuration says. uuid: may be NULL. */
int support_config(struct wire_config *config, const struct ferry_migrate_capabilities *c,
                   const uint8_t *uuid, struct ferry_err *err) FERRY_MUST_CHECK;

/* The target's half of a ledger: i64 load ns, i64 start ns. What a newer one adds is skipped. */
void support_ledger_put(struct buf *out, const struct ferry_migrate_ledger *ledger);
void support_ledger_get(struct ferry_migrate_ledger *ledger, const uint8_t *data, size_t n);
