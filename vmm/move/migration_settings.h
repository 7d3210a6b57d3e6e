/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Migration capabilities and parameters as entries that go to the process that takes this one's
 * place (vmm/machine/extras.h): those that are not what they are at the start. All numbers are big
 * endian:
 *
 *     u8 1: a capability, 2: a parameter   u8 length, its name
 *     u64 its number; of what is on or off 0 or 1   u8 length, its text
 *
 * By name, so that another version of ferry finds what it knows. Main thread.
 */
#pragma once

#include "vmm/machine/extras.h"

struct migration;

extern const struct extras_kind migration_settings_kind;

void migration_settings_save(const struct migration *m, struct extras *e);
/* Sets what came, as a client would; what cannot be set is left out with a warning in the log. */
void migration_settings_load(struct migration *m, struct extras *e);
