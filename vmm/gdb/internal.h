/* SPDX-License-Identifier: Apache-2.0 */
/* The server from the inside, for the files of this folder. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "vmm/gdb/gdb.h"
#include "vmm/gdb/packet.h"
#include "vmm/machine/accel.h"
#include "vmm/machine/config.h"
#include "vmm/machine/vm.h"

struct bell;

/* What a handover takes along (handover.c); a change of it is another version. */
struct gdb_state {
    uint32_t version;
    bool attached;       /* a client is there */
    bool let_go;         /* it has detached, and its connection is still there */
    bool waiting;        /* for a stop: the reply to what let the guest run */
    bool no_ack;         /* packets are not acknowledged any more */
    bool resume;         /* the guest ran before it came */
    uint32_t hart;       /* that g, m and the like are about */
    uint32_t step, held; /* by hart, until the next stop: bits */
    uint32_t count;      /* breakpoints */
    uint64_t breakpoints[VCPU_BREAKPOINTS_MAX];

    struct packet in;
    char reply[PACKET_BYTES + 1]; /* before it is framed */
    size_t reply_bytes;
    char out[2 * PACKET_BYTES + 64]; /* acknowledgements and frames, as they are sent */
    size_t out_bytes, out_done;
};

struct gdb {
    struct vm *vm;
    struct chardev *chardev;
    struct vcpu *vcpus[CONFIG_HARTS_MAX];
    size_t hart_count;
    const struct vcpu_debug *debug; /* of all of them */
    struct bell *stopped;           /* a hart stopped by itself */
    struct buf features;            /* the target description */
    struct gdb_state s;
    int memory_fd; /* where s is in a handover; owned */
    bool arrived;  /* and has not been read yet */
};

/* --- gdb.c --- */

void gdb_reply(struct gdb *g, const char *text);
void gdb_reply_bytes(struct gdb *g, const char *data, size_t n);

/* --- handover.c --- */

int gdb_new_memory(struct gdb *g, struct ferry_err *err) FERRY_MUST_CHECK;

/* --- commands.c --- */

/* One packet; replies unless the guest is to run. */
void gdb_command(struct gdb *g, const char *text, size_t n);

/* --- control.c --- */

/* The guest stands still, and what it is can be seen and changed. */
bool gdb_is_stopped(const struct gdb *g);
void gdb_attach(struct gdb *g);
/* Its client has gone, or lets go. */
void gdb_detach(struct gdb *g);
void gdb_interrupt(struct gdb *g);
/* step, held: bits of harts. */
void gdb_run(struct gdb *g, uint32_t step, uint32_t held);
void gdb_reply_stop(struct gdb *g);
/* false: one more than there can be. */
bool gdb_add_breakpoint(struct gdb *g, uint64_t va);
void gdb_remove_breakpoint(struct gdb *g, uint64_t va);
/* What the state says, to the harts; while they stand still. */
void gdb_apply(struct gdb *g);
/* A bell of the harts; an observer of the VM. */
void gdb_hart_stopped(void *gdb);
void gdb_observe(void *gdb, enum vm_event event, enum shutdown_cause cause);
