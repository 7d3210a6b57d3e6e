/* SPDX-License-Identifier: Apache-2.0 */
/*
 * struct vm from the program's side: its life, and what a handover needs of it.
 *
 *   vm_new            a loop and an empty machine, run state inmigrate; the monitor can answer
 *   vm_build          the machine that options describe; nothing of the host opened
 *   vm_open           fresh start: backends opened, boot images loaded       | or: parts adopted
 *   vm_launch         harts run                                              | by the handover
 *   vm_run            the loop, until the VM ends
 *
 * Main thread.
 */
#pragma once

#include <stdbool.h>

#include <ferry/err.h>
#include <ferry/live.h>
#include <ferry/part.h>

#include "vmm/machine/vm.h"
#include "vmm/main/options.h"
#include "vmm/sandbox/sandbox.h"

struct fd_table;
struct migration;
struct monitors;
struct reach;
struct supervisor_link;

int vm_new(struct vm **ret, struct ferry_err *err) FERRY_MUST_CHECK;
void vm_free(struct vm *vm);

/* Of a machine that somebody described: where its RAM comes from, or what it may have. */
struct vm_arrived {
    int (*take_region)(void *arg, struct ferry_ram *ram, const char *name, uint64_t size_bytes,
                       bool file, struct ferry_ram_region **ret, struct ferry_err *err);
    void *arg;                      /* for take_region, which may be NULL: then it is new */
    const struct allow_list *allow; /* loan for the life of the VM; NULL: whatever it names */
};
/* Moves *o into the VM (left empty) on success. arrived: NULL for a fresh start. */
int vm_build(struct vm *vm, struct options *o, const struct vm_arrived *arrived,
             struct ferry_err *err) FERRY_MUST_CHECK;
int vm_open(struct vm *vm, struct ferry_err *err) FERRY_MUST_CHECK;
/* Instead of open and launch: the guest comes as a stream. Monitors answer already. */
int vm_open_incoming(struct vm *vm, struct ferry_err *err) FERRY_MUST_CHECK;
/* Are the files there that it would open? Opens nothing. */
int vm_look(struct vm *vm, struct ferry_err *err) FERRY_MUST_CHECK;
/*
 * The locks of disk images: to have them before the harts run, to give them up for another. claim:
 * to the guest's other half, and it may come back.
 */
int vm_activate(struct vm *vm, struct ferry_err *err) FERRY_MUST_CHECK;
void vm_deactivate(struct vm *vm, bool claim);
/* Disk images go to stable storage; the migration hears when. 1: not yet; 0, -errno. */
void vm_flush_begin(struct vm *vm);
int vm_flush_result(struct vm *vm, struct ferry_err *err) FERRY_MUST_CHECK;
/* Also takes the ownership lock. Harts run unless the options say -S. */
int vm_launch(struct vm *vm, struct ferry_err *err) FERRY_MUST_CHECK;
/* It will, as soon as each chardev with wait=on has one: until then it is in prelaunch. */
bool vm_starts_with_client(const struct vm *vm);
/* Until vm_exit(); returns the exit status. */
int vm_run(struct vm *vm);
void vm_exit(struct vm *vm, int status);

/*
 * Give up what the main thread does not need from here on: as the builder's, or as that of a VM
 * whose machine is open (vmm/sandbox). reach: what can still be had by name; NULL: nothing.
 * Nothing with -sandbox off, nor a second time.
 */
int vm_confine(struct vm *vm, enum sandbox_role role, const struct reach *reach,
               struct ferry_err *err) FERRY_MUST_CHECK;
/* What this process may not do itself, its supervisor is asked for. A loan; NULL: there is none. */
struct supervisor_link *vm_supervisor(struct vm *vm);
struct migration *vm_migration(struct vm *vm);
struct monitors *vm_monitors(struct vm *vm);
struct fd_table *vm_fds(struct vm *vm);
struct ferry_vm *vm_parts(struct vm *vm);
struct ferry_owner *vm_owner(struct vm *vm);
/* Takes *owner. */
void vm_set_owner(struct vm *vm, struct ferry_owner *owner);
const struct options *vm_options(const struct vm *vm);

/*
 * Change the run state and tell the observers: STOP when it leaves running, RESUME when it becomes
 * running. Does not touch the harts.
 */
void vm_set_run_state(struct vm *vm, enum run_state state);
/*
 * A handover is about to stop the harts, if they run: notes the run state for the stream and enters
 * finish-migrate. The observers hear of the stop with the next vm_set_run_state(), not in the
 * pause.
 */
void vm_handover_begin(struct vm *vm);
/* The guest's network cards say where they are now. */
void vm_announce(struct vm *vm);
/* Percent of the time in which the harts shall not run. */
void vm_set_throttle(struct vm *vm, unsigned percent);
/* The target's clock goes on as if it had not stopped. */
void vm_clock_advance(struct vm *vm, int64_t ns);
/* A handover to this process is done. */
void vm_arrived(struct vm *vm, bool running);
/*
 * A guest that came as a stream: shall it run? Not if it did not there, or -S was given here, or
 * the operator said `stop` meanwhile; `cont` outweighs -S.
 */
bool vm_shall_run(const struct vm *vm);
/* The guest has gone as a stream. fenced: it may run elsewhere, so cont is refused here. */
void vm_left(struct vm *vm, bool fenced);
/* A copy of the guest has gone as a stream: this one goes on. */
void vm_stayed(struct vm *vm, enum run_state before);
/* Monitors answer although the VM is paused for a migration. */
void vm_resume_monitors(struct vm *vm);
/* A request of the guest that arrived while nobody could carry it out. */
void vm_retry_requests(struct vm *vm);
