/* SPDX-License-Identifier: Apache-2.0 */
/* An interrupt line: what a device has in its hand to pull. Under the machine lock. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

struct irq_line {
    void (*set)(void *controller, unsigned source, bool level);
    void *controller;
    unsigned source;
};

static inline void irq_set(const struct irq_line *line, bool level)
{
    if (line->set)
        line->set(line->controller, line->source, level);
}
