/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a VM asks of its moves, and tells them. They stand above it (vmm/move), since a move is done
 * with a VM and not by it; so they are handed over when it is made. Main thread.
 */
#pragma once

#include <stdbool.h>

#include <ferry/err.h>

struct extras;
struct extras_kind;
struct migration;
struct vm;

struct vm_mover {
    /* One for this VM, which owns it. */
    int (*create)(struct migration **ret, struct vm *vm, struct ferry_err *err);
    void (*free)(struct migration *m); /* may be NULL */

    /* The guest may run in another process. */
    bool (*let_go)(const struct migration *m);
    /* The one under way, or just over, puts another process in the place of this one. */
    bool (*is_update)(const struct migration *m);
    /* What the VM is made of may change now: the refusal while it moves. */
    int (*may_change)(const struct migration *m, struct ferry_err *err);
    /* The operator wants the guest here. -EBUSY: nothing leads back any more. */
    int (*cancel)(struct migration *m, struct ferry_err *err);
    /*
     * The VM shall end while it waits for its guest. true: not yet, as a source is told first; then
     * it ends by itself.
     */
    bool (*turn_away)(struct migration *m);
    /* The VM ends: who waits for a move hears it. */
    void (*vm_ends)(struct migration *m);
    /* A part that answered 1 to quiesce has nothing in flight. */
    void (*drained)(struct migration *m);
    /* vm_flush_result() has an answer. */
    void (*flushed)(struct migration *m);

    /* What has been set for moves goes along in an update (bequest.h). */
    const struct extras_kind *settings;
    void (*save_settings)(const struct migration *m, struct extras *e);
    void (*load_settings)(struct migration *m, struct extras *e);
};
