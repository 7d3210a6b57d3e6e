/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What an operator or manager has said to a VM and given to it goes to the process that takes this
 * one's place in an update: migration capabilities and parameters, and file descriptors (getfd,
 * add-fd). Nothing of it is the guest's, and a handover to a VM of its own operator, which `local`
 * makes, leaves it where it is.
 *
 * Main thread.
 */
#pragma once

#include <ferry/part.h>

#include "vmm/machine/extras.h"

struct vm;

enum bequest_kind { BEQUEST_SETTINGS, BEQUEST_FDS, BEQUEST_KINDS };

struct bequest {
    struct bequest_item {
        struct vm *vm; /* loan */
        enum bequest_kind kind;
        struct extras extras;
    } items[BEQUEST_KINDS];
};

void bequest_init(struct bequest *b, struct vm *vm);
void bequest_free(struct bequest *b);
/* Each kind is a part of the VM. */
struct ferry_part bequest_part(struct bequest *b, enum bequest_kind kind);
/* The VM runs here, as it was told before. */
void bequest_arrived(struct bequest *b);
/* The VM runs where nobody took it over: says in the log what there was. */
void bequest_say_lost(const struct bequest *b, const char *runner);
