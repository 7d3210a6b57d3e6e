/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A hole in the VMM, on purpose and for a test only: what a guest could do that has taken it over,
 * or a peer before there is a guest.
 * Nothing of it is in a program that was not configured with -Dhole=true.
 */
#pragma once

struct vm;

/* The guest's word for it: a power-off with this exit code. */
#define HOLE_EXIT_CODE 0x666

/* On a hart: tries what it may not, there and then on the main thread, says how each attempt ended,
 * one line each on stderr, and ends the VM. */
void hole_open(struct vm *vm);

/* A peer's description has come, and its words have the main thread before they are looked at. */
void hole_described(void);
