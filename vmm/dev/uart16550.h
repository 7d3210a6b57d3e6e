/* SPDX-License-Identifier: Apache-2.0 */
/*
 * 16550A UART with 16 byte FIFOs, between the guest and a chardev.
 *
 * Sending takes no time: a byte goes to the chardev when it is written. What the chardev does not
 * take stays here, visible to the guest as a transmitter that is not empty, and in the saved
 * state. What the guest has no room for stays in the chardev.
 */
#pragma once

#include "vmm/dev/dev.h"

struct chardev;

extern const struct dev_type uart16550_type;

/* Main thread, machine lock not held; the chardev outlives the device. */
int uart16550_connect(struct dev *d, struct chardev *chardev,
                      struct ferry_err *err) FERRY_MUST_CHECK;
