/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A message-signalled interrupt: a store of 32 bits that a device makes instead of pulling a line.
 * The guest says where and what (a vector of MSI-X has both). Under the machine lock.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct msi_message {
    uint64_t address;
    uint32_t data;
};

/* Where a device's messages go: to an interrupt controller, which knows them by their address. */
struct msi_sink {
    /* An address that is not the controller's is the guest's mistake: drop it. */
    void (*send)(void *controller, struct msi_message message);
    void *controller; /* a loan */
};

/* false: the machine has no controller for messages, and a device is left with its line. */
static inline bool msi_has_controller(const struct msi_sink *sink)
{
    return sink->send != NULL;
}

static inline void msi_send(const struct msi_sink *sink, struct msi_message message)
{
    if (sink->send)
        sink->send(sink->controller, message);
}
