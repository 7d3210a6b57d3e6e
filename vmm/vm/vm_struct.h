/* SPDX-License-Identifier: Apache-2.0 */
/*
 * struct vm from the inside, for the files that are it: its run state (vm_state.c), what guest and
 * operator ask of it (vm_requests.c), what a move does to it (vm_move.c), its life (vm.c). Others
 * include vm_internal.h. Main thread.
 */
#pragma once

#include "vmm/board/board.h"
#include "vmm/supervisor/startup.h"
#include "vmm/vm/bequest.h"
#include "vmm/vm/globalstate.h"
#include "vmm/vm/mover.h"
#include "vmm/vm/requests.h"
#include "vmm/vm/vm_internal.h"

struct bell;
struct gdb;
struct rundir_claim;
struct settle;
struct supervisor_link;
struct urgency;

#define VM_OBSERVERS_MAX 4

struct vm {
    struct loop *loop;
    struct options options;
    struct vm_config config;
    struct board *board;
    struct settle *settle;
    struct ferry_vm *parts;
    struct ferry_owner *owner;
    struct rundir_claim *claim;
    const struct vm_mover *mover;
    struct migration *migration;
    struct monitors *monitors;
    struct gdb *gdb; /* NULL: not served */
    struct fd_table *fds;
    struct bequest bequest;
    struct supervisor_link *supervisor;
    struct urgency *urgency;
    struct startup startup;
    enum sandbox_role confined; /* 0 = not yet */
    struct requests requests;
    struct bell *requested; /* a guest can ask a million times: one is heard in a turn */
    struct globalstate globalstate;

    enum run_state state;
    /* A handover stopped the harts; whoever ends it decides what the observers hear. */
    bool stop_untold;
    bool untold;   /* the pause of an update: they hear nothing of it at all */
    bool fenced;   /* in postmigrate: the guest may run elsewhere */
    bool left;     /* as a stream: everything of it is still here, paused */
    bool inactive; /* the locks of disk images are not held */
    /* Of the operator, before the guest has come: cont, stop; else the options say. */
    enum { ARRIVAL_AS_GIVEN, ARRIVAL_RUN, ARRIVAL_STAY } on_arrival;
    struct {
        vm_observer_fn *fn;
        void *arg;
    } observers[VM_OBSERVERS_MAX];
    size_t observer_count;
    bool starts_with_client;            /* launched, and a chardev with wait=on has none yet */
    const struct vm_io_error *io_error; /* while observers are told of it */
    const struct vm_netdev *netdev;     /* the same */
    int exit_status;
};

/* --- vm_state.c --- */

void vm_tell(struct vm *vm, enum vm_event event, enum shutdown_cause cause);
/* And say that it runs. */
void vm_start_harts(struct vm *vm);

/* --- vm_requests.c --- */

/* A loop_fn: carry out what is asked for, if that can be done now. */
void vm_serve_requests(void *vm);
/* What the board calls, of this VM. */
void vm_listen_to_board(struct vm *vm, struct board_params *params);

/* Its part that waited has not any more: the move looks again. */
void vm_drained(void *vm);

/* --- vm_move.c --- */

/* To another process: it runs there, or may, and what is left here is about to end. */
bool vm_is_handed_over(const struct vm *vm);

extern const struct ferry_vm_ops vm_move_ops;
