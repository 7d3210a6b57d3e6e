/* SPDX-License-Identifier: Apache-2.0 */
/* Every device type of this folder, for those who look at all of them: the contract tests. */
#pragma once

#include <stddef.h>

#include "vmm/dev/dev.h"

extern const struct dev_type *const dev_types[];
extern const size_t dev_type_count;
