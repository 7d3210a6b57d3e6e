/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a supervisor knows, as a file for the program that goes on in its place
 * (supervisor_renew.c): a sealed memfd with one JSON object.
 *
 *     policy, only-loopback, monitors, sockets    supervisor_policy.h
 *     peers        an object, netdevs' IDs and paths; there is none without any
 *     pidfile      its path; there is none without one
 *     name         the VM's, "" if it is not known
 *     control      the number of a file descriptor, of the VM's control socket; -1 = none
 *     mask         the signals that children have blocked, by their numbers
 *     status       wait status of the VMM that ended last; guest-ended: it had the guest
 *     children     each with pid, says (a string of errand.h's bytes), channel and mail (numbers of
 *                  file descriptors, -1 = none)
 *
 * Both sides may be of any two versions: what the reader does not know it refuses, with a sentence,
 * before the writer is gone. So a member is added when it says something, and only then.
 */
#pragma once

#include <ferry/err.h>

struct supervisor;

/* *ret: owned, close-on-exec. */
int supervisor_save(const struct supervisor *s, int *ret, struct ferry_err *err) FERRY_MUST_CHECK;
/*
 * *s is a supervisor without children. Strings are the process's for its life. File descriptors
 * are numbers only, which nobody has looked at yet. fd: a loan.
 */
int supervisor_load(struct supervisor *s, int fd, struct ferry_err *err) FERRY_MUST_CHECK;
