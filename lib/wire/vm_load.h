/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sections of a stream into the parts of a VM, all or none.
 *
 *     vm_load_new()                ahead of the pause: all memory
 *     vm_load_begin()
 *     vm_load_section() ...        to scratch, with every check; no part changes
 *     vm_load_complete()           did every part come?
 *     vm_load_commit()             all parts change; cannot fail
 *
 * vm_load_stream() does everything but the commit for a stream without RAM that is in one piece.
 * Pure; the VM's thread, harts stopped.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <ferry/err.h>
#include <ferry/part.h>
#include <ferry/state.h>

#include "base/buf.h"
#include "lib/state/vm.h"
#include "lib/wire/stream_in.h"

struct vm_load;

/* vm: a loan, with all its parts; none may be added while this exists. */
int vm_load_new(struct vm_load **ret, struct ferry_vm *vm, struct ferry_err *err) FERRY_MUST_CHECK;
void vm_load_free(struct vm_load *l);

/*
 * A section that may come although no part has it: understood, then thrown away. Without this an
 * unknown section is refused. idstr: a loan.
 */
int vm_load_ignore(struct vm_load *l, const char *idstr, uint32_t instance_id,
                   const struct ferry_table *table, size_t obj_bytes,
                   struct ferry_err *err) FERRY_MUST_CHECK;

/* Forget what was loaded, to load another stream. */
void vm_load_begin(struct vm_load *l);

/* Would this section (FULL) be taken? Refused: unknown, or here before. */
int vm_load_accepts(const struct vm_load *l, const struct stream_section *section,
                    struct ferry_err *err) FERRY_MUST_CHECK;

/*
 * One section's data from in; state_scratch_load() says what final means. 0, -ENODATA: more bytes
 * (only if not final), or a refusal.
 */
int vm_load_section(struct vm_load *l, const struct stream_section *section, struct rd *in,
                    bool final, struct ferry_err *err) FERRY_MUST_CHECK;

/*
 * Refused unless every part with a table was loaded, but for those whose table has a `needed`: the
 * sender leaves them out at will, and then they stay as they are. Names those that are missing.
 */
int vm_load_complete(const struct vm_load *l, struct ferry_err *err) FERRY_MUST_CHECK;

/*
 * Copies all parts, then runs their post_load in list order: each sees the others' new state.
 * observe: may be NULL; around each part.
 */
void vm_load_commit(struct vm_load *l, vm_part_fn *observe, void *arg);

/*
 * Load and check a whole stream without RAM: header, configuration, sections, end mark, description
 * and nothing behind it. Ready to commit if 0. observe: around each part; may be NULL.
 */
int vm_load_stream(struct vm_load *l, const void *data, size_t n, vm_part_fn *observe, void *arg,
                   struct ferry_err *err) FERRY_MUST_CHECK;
