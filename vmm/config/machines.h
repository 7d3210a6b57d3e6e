/* SPDX-License-Identifier: Apache-2.0 */
/* The catalogue: every type of machine that there is. */
#pragma once

#include <stddef.h>

#include "vmm/machine/machine_type.h"

/* The first is what a description without -M is of. NULL past the end. */
const struct machine_type *machine_type_at(size_t i);
/* By name or alias. NULL: there is none such. */
const struct machine_type *machine_type_find(const char *name);
/* The accelerators of all types, each name once. NULL past the end. */
const struct accel *machine_accel_at(size_t i);
