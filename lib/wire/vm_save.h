/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The state of all parts of a VM as sections of a stream. Pure; the VM's thread, harts and parts
 * paused.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <ferry/err.h>
#include <ferry/part.h>

#include "base/buf.h"
#include "lib/state/vm.h"
#include "lib/wire/config.h"

/*
 * Append one FULL section per part that has a table (and needs it), in list order. Section ids
 * count up from first_id. devices: NULL, or where the parts' JSON descriptions go, with commas
 * between them. observe: may be NULL; around each part.
 */
int vm_save_parts(struct ferry_vm *vm, struct buf *out, uint32_t first_id, struct buf *devices,
                  vm_part_fn *observe, void *arg, struct ferry_err *err) FERRY_MUST_CHECK;

/* In the description: a section that is no part, of size_bytes that mean nothing to its reader. */
void vm_describe_opaque(struct buf *devices, const char *idstr, uint32_t version,
                        uint64_t size_bytes);

/* The whole description: `devices` as vm_save_parts() wrote them. */
int vm_save_description(struct buf *json, const struct wire_config *config,
                        const struct buf *devices, struct ferry_err *err) FERRY_MUST_CHECK;

/*
 * Append a whole stream without RAM: header, configuration, parts, end mark, description. describe:
 * with the description (for a peer or a file that a person may look at), else it is empty.
 */
int vm_save_stream(struct ferry_vm *vm, struct buf *out, bool describe, vm_part_fn *observe,
                   void *arg, struct ferry_err *err) FERRY_MUST_CHECK;
