/* SPDX-License-Identifier: Apache-2.0 */
/* A VM's moves, as the VM knows them. */
#include "vmm/vm/mover.h"

#include "vmm/move/migration.h"
#include "vmm/move/migration_settings.h"

const struct vm_mover migration_mover = {
    .create = migration_new,
    .free = migration_free,
    .let_go = migration_let_go,
    .is_update = migration_is_update,
    .may_change = migration_may_change,
    .cancel = migration_cancel,
    .turn_away = migration_turn_away,
    .vm_ends = migration_vm_ends,
    .drained = migration_drained,
    .flushed = migration_flushed,
    .settings = &migration_settings_kind,
    .save_settings = migration_settings_save,
    .load_settings = migration_settings_load,
};
