/* SPDX-License-Identifier: Apache-2.0 */
/* QEMU's firmware configuration device, with no items but those that say what it is. */
#pragma once

#include "vmm/dev/dev.h"

extern const struct dev_type fw_cfg_type;
