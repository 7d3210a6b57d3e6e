/* SPDX-License-Identifier: Apache-2.0 */
/* Goldfish RTC: nanoseconds since the epoch, and one alarm. */
#pragma once

#include "vmm/dev/dev.h"

extern const struct dev_type goldfish_rtc_type;
