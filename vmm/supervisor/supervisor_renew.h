/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A supervisor follows its VMs: when one of another binary has taken the guest over, it executes
 * that binary in its own place. It stays the process that somebody waits for, with the same
 * children and the same channels; signals that come meanwhile are blocked and wait.
 *
 * An exec that succeeded cannot be taken back, so the binary is asked first, in a process of its
 * own, whether it understands what this supervisor knows. One that does not (of a ferry from before
 * there was such a thing), or that cannot be executed, changes nothing but for a sentence.
 */
#pragma once

struct supervisor;

/* VMMs have ended: is the one that has the guest another program than this? */
void supervisor_renew_begin(struct supervisor *s);
/* The process that was asked has ended. Returns if this stays the program that runs. */
void supervisor_renew_end(struct supervisor *s);
