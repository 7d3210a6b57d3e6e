/* SPDX-License-Identifier: Apache-2.0 */
/*
 * "[00:01:02.345] " before each line of a console, counted from the first line that has one: QEMU's
 * Ctrl-a t. Whoever writes asks before each run of bytes what has to go out first. Not thread safe.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TIMESTAMPS_BYTES 32

struct timestamps { /* all zeros: off */
    bool on;
    bool at_line_start;
    int64_t start_ns; /* CLOCK_MONOTONIC; 0: no line has had one */
    char text[TIMESTAMPS_BYTES];
    uint8_t text_bytes; /* not written yet */
};

/* On from the next line, or off. */
void timestamps_toggle(struct timestamps *t);
/* What has to be written before the next byte: text_bytes of text, or nothing. */
void timestamps_prepare(struct timestamps *t, int64_t now_ns);
/* n bytes of it were written. */
void timestamps_wrote(struct timestamps *t, size_t n);
/* How much of the n bytes can be written before it has to be asked again: up to a line's end. */
size_t timestamps_run(const uint8_t *data, size_t n);
/* They were written. n > 0 */
void timestamps_passed(struct timestamps *t, const uint8_t *data, size_t n);
