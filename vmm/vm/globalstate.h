/* SPDX-License-Identifier: Apache-2.0 */
/* QEMU's section "globalstate": the run state the guest was in before it was stopped to be moved.
 */
#pragma once

#include <ferry/part.h>

#include "vmm/machine/vm.h"

#define GLOBALSTATE_NAME_BYTES 32

struct globalstate {
    uint32_t size; /* of the name with its NUL */
    char runstate[GLOBALSTATE_NAME_BYTES];
    uint8_t has_vm_was_suspended;
    uint8_t vm_was_suspended;
};

/* Before a save. */
void globalstate_set(struct globalstate *g, enum run_state state);
/* What it was in in the source; a source that says nothing of it ran it. Of a state that is none to
 * arrive in, as those of a move, nothing is left but that the guest stood. */
enum run_state globalstate_get(const struct globalstate *g);
struct ferry_part globalstate_part(struct globalstate *g);
