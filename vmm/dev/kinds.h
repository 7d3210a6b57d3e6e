/* SPDX-License-Identifier: Apache-2.0 */
/* The catalogue: every kind of device that a description can have. */
#pragma once

#include <stddef.h>

#include "vmm/machine/device_kind.h"

/* NULL past the end. */
const struct device_kind *device_kind_at(size_t i);
/* NULL: there is none of that name. */
const struct device_kind *device_kind_find(const char *name);
