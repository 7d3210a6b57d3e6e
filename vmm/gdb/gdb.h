/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A server of GDB's remote serial protocol (GDB manual, appendix E) on a chardev: harts are threads
 * 1 to N, all stop and go together as the VM does.
 *
 * Whoever connects stops the guest; when it goes, its breakpoints go and the guest runs on if it
 * ran before. A live update takes the connection along, with what was said on it. Main thread.
 *
 * The client is not believed: a packet has a limit, one reply is kept, no more is read until it is
 * out. It may read and change all of the guest, and nothing of the host.
 */
#pragma once

#include <stddef.h>

#include <ferry/err.h>
#include <ferry/part.h>

struct chardev;
struct gdb;
struct loop;
struct vcpu;
struct vm;

struct gdb_params {
    struct vm *vm; /* loans for its life */
    struct loop *loop;
    struct chardev *chardev;
    struct vcpu *const *vcpus; /* of one accelerator */
    size_t hart_count;
};

/* -ENOTSUP: their accelerator lets no debugger look at them. */
int gdb_new(struct gdb **ret, const struct gdb_params *params,
            struct ferry_err *err) FERRY_MUST_CHECK;
/* Before its chardev and the harts. NULL is fine. */
void gdb_free(struct gdb *g);
/* For a handover. Before its chardev's in the list of parts, which tells of a client. */
struct ferry_part gdb_part(struct gdb *g);
