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

#include "vmm/config/options.h"
#include "vmm/machine/clock.h"
#include "vmm/machine/vm.h"
#include "vmm/sandbox/sandbox.h"

struct bequest;
struct fd_table;
struct migration;
struct monitors;
struct reach;
struct supervisor_link;
struct urgency;
struct vm_mover;

/* mover: who moves it (mover.h); a loan, for its life. */
int vm_new(struct vm **ret, const struct vm_mover *mover, struct ferry_err *err) FERRY_MUST_CHECK;
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
/* Nothing can go wrong with its start any more: who waits for it is told (startup.h). */
void vm_is_up(struct vm *vm);
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
struct urgency *vm_urgency(struct vm *vm);
const struct vm_mover *vm_mover(const struct vm *vm);
struct migration *vm_migration(struct vm *vm);
struct monitors *vm_monitors(struct vm *vm);
struct fd_table *vm_fds(struct vm *vm);
const struct bequest *vm_bequest(const struct vm *vm);
struct ferry_vm *vm_parts(struct vm *vm);
struct ferry_owner *vm_owner(struct vm *vm);
/* Takes *owner. */
void vm_set_owner(struct vm *vm, struct ferry_owner *owner);
const struct options *vm_options(const struct vm *vm);
/* Only who was started with it has its name; the lock goes along with an update. */
bool vm_holds_pidfile(const struct vm *vm);

/*
 * Change the run state and tell the observers: STOP when it leaves running, RESUME when it becomes
 * running. Does not touch the harts.
 */
void vm_set_run_state(struct vm *vm, enum run_state state);
/*
 * A handover is about to stop the harts, if they run: notes the run state for the stream and enters
 * finish-migrate. The observers hear of the stop with the next vm_set_run_state(), not in the
 * pause; or, of an update, of neither it nor its end. reader: of what is saved in the pause.
 */
void vm_handover_begin(struct vm *vm, bool update, enum guest_clock_reader reader);
/* The guest's network cards say where they are now. */
void vm_announce(struct vm *vm);
/* Percent of the time in which the harts shall not run. */
void vm_set_throttle(struct vm *vm, unsigned percent);
/* The guest's clock runs, as if it had not stopped at that instant (guest_clock_go_on). */
void vm_clock_go_on(struct vm *vm, int64_t stopped_ns);
/*
 * It has come as a stream and has not run: its clock shall catch up when it first does, with the
 * time from its pause there on, or stand still. Where that was not said it stands, with a warning.
 */
void vm_set_clock_policy(struct vm *vm, bool catch_up);
/* The guest comes from what may be read once more: it gets another generation ID. */
int vm_change_generation(struct vm *vm, struct ferry_err *err) FERRY_MUST_CHECK;
/* A handover to this process is done. */
void vm_arrived(struct vm *vm, bool running);
/* And told: clients of its monitors that came with it are served, and hear of it. */
void vm_updated(struct vm *vm);
/* A part that answered 1 to quiesce, of this VM (void), has nothing in flight any more. */
void vm_drained(void *vm);
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
/* A request that arrived while nobody could carry it out. */
void vm_retry_requests(struct vm *vm);
/*
 * The guest runs in the process that takes this one's place. Signals to end the VM that came here
 * too late to go with it, or still come, end this process as signals do, by which its supervisor
 * knows to send them on.
 */
void vm_pass_on_signals(struct vm *vm);
