/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The user's runtime directory, where VMs are found by name:
 *
 *   NAME.lock   held (open file description lock) by the process that runs the VM; text: its pid
 *   NAME.sock   its QMP control socket
 *
 * $XDG_RUNTIME_DIR/ferry, or /run/ferry for root, or /tmp/ferry-UID; mode 0700.
 */
#pragma once

#include <stddef.h>

#include <ferry/err.h>
#include <ferry/part.h>

#define RUNDIR_PATH_BYTES 108 /* of a UNIX socket address */

/* Path of NAME.SUFFIX in it, which is made if need be and checked to be ours. */
int rundir_file(char ret[RUNDIR_PATH_BYTES], const char *name, const char *suffix,
                struct ferry_err *err) FERRY_MUST_CHECK;
/*
 * The names of all VMs that a process holds: calls fn for each, sorted. What processes left that
 * were killed is removed.
 */
int rundir_list(void (*fn)(void *arg, const char *name), void *arg,
                struct ferry_err *err) FERRY_MUST_CHECK;

/*
 * The end of whoever holds a name: open while it is held (-ENOENT: nobody does), then wait,
 * blocking. For a program that is not a VM.
 */
int rundir_watch_end(const char *name, int *ret_fd, struct ferry_err *err) FERRY_MUST_CHECK;
void rundir_wait_end(int fd);

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
struct ferry_part rundir_claim_part(struct rundir_claim *claim);
/* Write this process's pid into the file, once it runs the VM; not in a pause, it takes its time.
 */
void rundir_claim_sign(struct rundir_claim *claim);
/* Removes the file too, unless the name was handed over (paused and not resumed). */
void rundir_claim_free(struct rundir_claim *claim);
