/* SPDX-License-Identifier: Apache-2.0 */
/* The program's side of vmm/machine/migration.h: its life, and starting from an fd. Main thread. */
#pragma once

#include "vmm/machine/migration.h"
#include "vmm/move/fault.h"
#include "vmm/vm/mover.h"

/* For vm_new(): the VM makes, asks and frees its migration through it. */
extern const struct vm_mover migration_mover;

int migration_new(struct migration **ret, struct vm *vm, struct ferry_err *err) FERRY_MUST_CHECK;
void migration_free(struct migration *m);
void migration_set_fault(struct migration *m, const struct fault *fault);

/* migration_incoming() of what stands on a command line. */
int migration_incoming_uri(struct migration *m, const char *uri,
                           struct ferry_err *err) FERRY_MUST_CHECK;
/*
 * Receive a VM over a connected UNIX socket; takes *fd on success. With exit_on_error a failure
 * ends the process with status 1.
 */
int migration_incoming_fd(struct migration *m, int *fd, struct ferry_err *err) FERRY_MUST_CHECK;
struct this_host;
/* What a machine that will be described gets of this host; a loan. */
void migration_set_this_host(struct migration *m, const struct this_host *this_host);
/* A machine that will be described may come from another host. */
void migration_set_insecure(struct migration *m, bool insecure);
void migration_set_exit_on_error(struct migration *m, bool exit_on_error);
/* When what comes is refused, another process shall wait for the next. */
void migration_set_again(struct migration *m, bool again);
/* A file may be mapped-ram or not, whatever the capability says. */
void migration_set_any_file(struct migration *m, bool any_file);
/* The clock of a guest that comes as a stream shall catch up when it first runs here. */
void migration_set_catch_up(struct migration *m, bool catch_up);
/* The guest may run in another process, of this VM or of whoever `migrate` with `local` named. */
bool migration_let_go(const struct migration *m);
/*
 * The VM shall end while it waits for its guest. true: not yet, as a source is told first that the
 * guest will not run here; then it ends, with status 0. Said again, it ends at once.
 */
bool migration_turn_away(struct migration *m);
/* Whoever waits for migration_update() or migration_check() hears that the VM has ended. */
void migration_vm_ends(struct migration *m);
/* What the VM is made of may change now: the refusal while a move runs. */
int migration_may_change(const struct migration *m, struct ferry_err *err) FERRY_MUST_CHECK;
/* After each ferry_vm_drained(): a handover that waits for it looks again. */
void migration_drained(struct migration *m);
/* The same of vm_flush_result(). */
void migration_flushed(struct migration *m);
