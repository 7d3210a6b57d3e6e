/* SPDX-License-Identifier: Apache-2.0 */
/* The program's side of vmm/machine/migration.h: its life, and starting from an fd. Main thread. */
#pragma once

#include "vmm/machine/migration.h"
#include "vmm/main/fault.h"

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
/* A file may be mapped-ram or not, whatever the capability says. */
void migration_set_any_file(struct migration *m, bool any_file);
/* After each ferry_vm_drained(): a handover that waits for it looks again. */
void migration_drained(struct migration *m);
/* The same of vm_flush_result(). */
void migration_flushed(struct migration *m);
