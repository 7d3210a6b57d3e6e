/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The user's runtime directory, where VMs are found by name:
 *
 *   NAME.lock   held (open file description lock) by the process that runs the VM; text: its pid
 *   NAME.sock   its QMP control socket
 *
 * $XDG_RUNTIME_DIR/ferry, or /run/ferry for root, or /run/ferry-vms for whom that was made for (the
 * user of the services, ferry@.service), or /tmp/ferry-UID; mode 0700. Root finds VMs of services,
 * too; what it runs itself is never there, where another user could replace it.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include <ferry/err.h>
#include <ferry/part.h>

#define RUNDIR_PATH_BYTES 108 /* of a UNIX socket address */

/* Path of NAME.SUFFIX in it, which is made if need be and checked to be ours. */
int rundir_file(char ret[RUNDIR_PATH_BYTES], const char *name, const char *suffix,
                struct ferry_err *err) FERRY_MUST_CHECK;
/* Of a socket's own name: was it made there? Nothing is looked at, as the directory may be gone. */
bool rundir_has_control_socket(const char *path);
/* The same of a VM that runs, wherever this user finds it; of none: as above. */
int rundir_find(char ret[RUNDIR_PATH_BYTES], const char *name, const char *suffix,
                struct ferry_err *err) FERRY_MUST_CHECK;
/*
 * The names of all VMs that a process holds: calls fn for each, sorted. What processes left that
 * were killed is removed.
 */
int rundir_list(void (*fn)(void *arg, const char *name), void *arg,
                struct ferry_err *err) FERRY_MUST_CHECK;

/* Could it be a VM's? Of text that somebody else said. */
bool rundir_is_name(const char *name);
/* Removes what the VM of that name left, unless a process holds it. */
void rundir_sweep(const char *name);

/* The process that holds a name, as it says. -ENOENT: nobody holds it. */
int rundir_holder(const char *name, pid_t *ret, struct ferry_err *err) FERRY_MUST_CHECK;
/*
 * The end of whoever holds a name: open while it is held (-ENOENT: nobody does), then wait,
 * blocking. For a program that is not a VM.
 */
int rundir_watch_end(const char *name, int *ret_fd, struct ferry_err *err) FERRY_MUST_CHECK;
void rundir_wait_end(int fd);
/* The same for timeout_ns at most: false, it is still held. Uses SIGALRM. */
bool rundir_wait_end_for(int fd, int64_t timeout_ns);

/* Make the directory if need be, so that nothing is made when a peer has come. */
int rundir_prepare(struct ferry_err *err) FERRY_MUST_CHECK;

/*
 * The claim on a name. A part of the VM: its lock fd, "vm/name", goes to a handover target. It
 * holds nothing until it is taken, or its part adopts the lock.
 */
struct rundir_claim;
int rundir_claim_new(struct rundir_claim **ret, const char *name,
                     struct ferry_err *err) FERRY_MUST_CHECK;
/* -EEXIST if another process runs a VM of that name; the sentence says which. */
int rundir_claim_take(struct rundir_claim *claim, struct ferry_err *err) FERRY_MUST_CHECK;
/* Would it be refused? Nothing is made or taken, and of a name that is free nothing opened. */
int rundir_claim_look(const struct rundir_claim *claim, struct ferry_err *err) FERRY_MUST_CHECK;
struct ferry_part rundir_claim_part(struct rundir_claim *claim);
/* Write this process's pid into the file, once it runs the VM; not in a pause, it takes its time.
 */
void rundir_claim_sign(struct rundir_claim *claim);
/* Removes the file too, unless the name was handed over (paused and not resumed). */
void rundir_claim_free(struct rundir_claim *claim);
