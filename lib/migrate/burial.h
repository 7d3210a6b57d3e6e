/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The end of what sends: its threads may be in the middle of a write to a slow disk, or compress,
 * and the VM's thread must not wait for them. So a thread of its own waits, and frees.
 */
#pragma once

#include <stdbool.h>

#include "lib/migrate/multifd_out.h"
#include "lib/migrate/sender.h"

struct burial;

/*
 * Takes all of them; each may be NULL. notify: an eventfd, a loan until it is over, which is
 * written to then. NULL: it is over already, as there was no thread to be had for it.
 */
struct burial *burial_begin(struct sender *sender, struct multifd_out *multifd,
                            struct ferry_chan *chan, int notify);
/* NULL is over. */
bool burial_over(const struct burial *b);
/* Waits. NULL is fine. */
void burial_free(struct burial *b);
