/* SPDX-License-Identifier: Apache-2.0 */
/*
 * struct ferry_vm from the inside: what lib/live and lib/migrate do with the list of parts that
 * <ferry/part.h> declares. The list owns copies of the part descriptions, never the objects.
 *
 * Knows no stream, no fd and no clock; one thread, the VM's. The order of calls around a handover:
 *
 *     vm_quiesce_begin .. all drained, vm_pause_harts, vm_pause_parts, (save, hand over)
 *     back:  vm_resume_parts, vm_unquiesce, vm_resume_harts
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include <ferry/err.h>
#include <ferry/part.h>

/*
 * Ask every part to take no new request. Returns 0 if nothing is in flight, or 1: then
 * all_drained(arg) is called once, from the part that reports the last one by ferry_vm_drained()
 * (on the VM's thread, from inside that part: note it and return to the loop, do not pause there).
 * Not to be called again before vm_unquiesce.
 */
int vm_quiesce_begin(struct ferry_vm *vm, void (*all_drained)(void *arg), void *arg);
/* Take requests again; also while parts still drain: no all_drained after it. */
void vm_unquiesce(struct ferry_vm *vm);
/* How many parts still owe a ferry_vm_drained(); 0 if not quiescing. */
size_t vm_draining(const struct ferry_vm *vm);

/* The harts and the guest's clock. Returns when the clock stopped, CLOCK_MONOTONIC. */
int64_t vm_pause_harts(struct ferry_vm *vm);
void vm_resume_harts(struct ferry_vm *vm);

/* Called before (done = false) and after each part that has something to do. */
typedef void vm_part_fn(void *arg, const struct ferry_part *part, bool done);

/* In list order. observe may be NULL; it is where a caller with a clock measures. */
void vm_pause_parts(struct ferry_vm *vm, vm_part_fn *observe, void *arg);
void vm_resume_parts(struct ferry_vm *vm, vm_part_fn *observe, void *arg);

const char *vm_machine_name(const struct ferry_vm *vm);
/* NULL if there is none such. */
const struct ferry_part *vm_find_part(const struct ferry_vm *vm, const char *idstr,
                                      uint32_t instance_id);
