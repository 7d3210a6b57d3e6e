/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Before the pause of an update the VMM has its supervisor put the threads that carry it before
 * everything else on the host: the VMM itself may not, and a wish that is granted late would be of
 * no use. The wish is in flight like a disk's request, with the guest running, hence a part that is
 * quiesced. A supervisor that cannot grant it says so; one that is older or slow is not waited for.
 * Main thread.
 */
#pragma once

#include <ferry/live.h>
#include <ferry/part.h>

struct loop;
struct supervisor_link;
struct urgency;

/* drained(arg): nothing is in flight any more, as ferry_vm_drained() wants to hear it. */
int urgency_new(struct urgency **ret, struct loop *loop, struct supervisor_link *supervisor,
                void (*drained)(void *arg), void *arg, struct ferry_err *err) FERRY_MUST_CHECK;
void urgency_free(struct urgency *u);
struct ferry_part urgency_part(struct urgency *u);
/* The guest goes to a process of the same supervisor: it will be asked. */
void urgency_expect(struct urgency *u, bool update);

/* As a ferry_live_urgent_fn, of the calling thread. */
enum ferry_urgency urgency_take(struct urgency *u, bool begin);
