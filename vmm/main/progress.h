/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How far a move is, in one line that fits the terminal: what says most comes first, and what there
 * is no room for is left out. Pure; any thread.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#define PROGRESS_SAMPLES    32 /* three seconds at ten a second */
#define PROGRESS_LINE_BYTES 256

/* What query-migrate says. Numbers of a stranger: any value is fine. */
struct progress_now {
    int64_t at_ns;      /* when it was asked, of any clock that does not go back */
    const char *status; /* QMP's; "active" is not shown */
    double total_bytes, left_bytes, sent_bytes;
    double mean_bps; /* bytes per second since the beginning: until there are two samples */
    long long round;
    double dirty_bps; /* bytes per second that the guest writes */
    long long expected_pause_ms;
};

/* What was before, of this round: zeroed at first. */
struct progress {
    struct {
        int64_t at_ns;
        double left_bytes, sent_bytes;
    } samples[PROGRESS_SAMPLES];
    size_t count;
};

/* Takes note of it and writes a line of at most columns - 1 characters (ASCII), so that no terminal
 * wraps it. */
void progress_line(struct progress *p, const struct progress_now *now, unsigned columns,
                   char ret[PROGRESS_LINE_BYTES]);
