/* SPDX-License-Identifier: Apache-2.0 */
/* Goldfish RTC: nanoseconds since the epoch, and one alarm. */
#pragma once

#include "vmm/dev/dev.h"

extern const struct dev_type goldfish_rtc_type;

/*
 * Before the guest runs: it stands still while the guest does, so that after a restore it goes on
 * from what it was; else it tells the host's time whatever has become of the guest.
 */
void goldfish_rtc_stand_with_guest(struct dev *d);
