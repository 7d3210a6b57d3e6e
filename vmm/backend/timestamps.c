/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/backend/timestamps.h"

#include <stdio.h>
#include <string.h>

void timestamps_toggle(struct timestamps *t)
{
    /* One that is half written is written to its end. */
    t->on = !t->on;
    t->at_line_start = false;
    t->start_ns = 0;
}

void timestamps_prepare(struct timestamps *t, int64_t now_ns)
{
    uint64_t ms;
    int n;

    if (!t->on || !t->at_line_start)
        return;
    if (!t->start_ns)
        t->start_ns = now_ns;
    ms = now_ns > t->start_ns ? (uint64_t)(now_ns - t->start_ns) / 1000000 : 0;
    n = snprintf(t->text, sizeof(t->text), "[%02u:%02u:%02u.%03u] ", (unsigned)(ms / 3600000),
                 (unsigned)(ms / 60000 % 60), (unsigned)(ms / 1000 % 60), (unsigned)(ms % 1000));
    t->text_bytes = (uint8_t)n;
    t->at_line_start = false;
}

void timestamps_wrote(struct timestamps *t, size_t n)
{
    t->text_bytes = (uint8_t)(t->text_bytes - n);
    memmove(t->text, t->text + n, t->text_bytes);
}

size_t timestamps_run(const uint8_t *data, size_t n)
{
    const uint8_t *end = memchr(data, '\n', n);

    return end ? (size_t)(end - data) + 1 : n;
}

void timestamps_passed(struct timestamps *t, const uint8_t *data, size_t n)
{
    t->at_line_start = t->on && data[n - 1] == '\n';
}
