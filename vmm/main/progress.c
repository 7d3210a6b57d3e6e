/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/main/progress.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#define BAR_CELLS_MIN 8
#define BAR_CELLS_MAX 30
#define ETA_S_MAX     359999 /* 99:59:59 */

static double clamp(double value, double max)
{
    return value > 0 ? value < max ? value : max : 0;
}

/* A round that begins has more left than the one before: how fast that went says nothing. */
static void note(struct progress *p, const struct progress_now *now)
{
    if (p->count && now->left_bytes > p->samples[p->count - 1].left_bytes)
        p->count = 0;
    if (p->count == PROGRESS_SAMPLES) {
        memmove(p->samples, p->samples + 1, sizeof(p->samples) - sizeof(p->samples[0]));
        p->count--;
    }
    p->samples[p->count].at_ns = now->at_ns;
    p->samples[p->count].left_bytes = now->left_bytes;
    p->samples[p->count].sent_bytes = now->sent_bytes;
    p->count++;
}

static double seconds(const struct progress *p)
{
    return p->count < 2 ? 0 : (double)(p->samples[p->count - 1].at_ns - p->samples[0].at_ns) / 1e9;
}

/* Of the last seconds, as a person sees the line change. */
static double sent_bps(const struct progress *p, const struct progress_now *now)
{
    double s = seconds(p);

    return s > 0 ? (p->samples[p->count - 1].sent_bytes - p->samples[0].sent_bytes) / s
                 : now->mean_bps;
}

/* What is left goes faster than what is sent where pages are zero. */
static double done_bps(const struct progress *p, const struct progress_now *now)
{
    double s = seconds(p);

    return s > 0 ? (p->samples[0].left_bytes - p->samples[p->count - 1].left_bytes) / s
                 : now->mean_bps;
}

static void put_eta(char *ret, size_t n, const struct progress *p, const struct progress_now *now)
{
    double bps = done_bps(p, now);
    int s = bps > 0 ? (int)clamp(now->left_bytes / bps + 0.5, ETA_S_MAX) : 0;

    if (strcmp(now->status, "active") != 0)
        snprintf(ret, n, "%.16s", now->status);
    else if (bps <= 0)
        snprintf(ret, n, "ETA -:--");
    else if (s >= 3600)
        snprintf(ret, n, "ETA %d:%02d:%02d", s / 3600, s / 60 % 60, s % 60);
    else
        snprintf(ret, n, "ETA %d:%02d", s / 60, s % 60);
}

static void put_rate(char *ret, size_t n, double bps)
{
    if (bps >= 1e9)
        snprintf(ret, n, "%.2f GB/s", clamp(bps, 9999e9) / 1e9);
    else
        snprintf(ret, n, "%.1f MB/s", clamp(bps, 1e9) / 1e6);
}

/* With two spaces before it, if there is room. */
static bool add(char *line, size_t room, const char *text)
{
    size_t len = strlen(line), more = strlen(text);

    if (len + 2 + more > room)
        return false;
    memcpy(line + len, "  ", 2);
    memcpy(line + len + 2, text, more + 1);
    return true;
}

/* What is before it stays where it is, however wide the numbers behind it become. */
static void put_bar(char ret[BAR_CELLS_MAX + 3], double part, size_t cells)
{
    size_t full = (size_t)(part * (double)cells);

    ret[0] = '[';
    memset(ret + 1, '.', cells);
    memset(ret + 1, '#', full);
    ret[cells + 1] = ']';
    ret[cells + 2] = '\0';
}

void progress_line(struct progress *p, const struct progress_now *now, unsigned columns,
                   char ret[PROGRESS_LINE_BYTES])
{
    size_t room = columns > PROGRESS_LINE_BYTES ? PROGRESS_LINE_BYTES - 1
                  : columns                     ? columns - 1
                                                : 0;
    double part =
        now->total_bytes > 0 ? clamp(1 - clamp(now->left_bytes, 1e30) / now->total_bytes, 1) : 0;
    char line[PROGRESS_LINE_BYTES], rate[24], eta[24], bar[BAR_CELLS_MAX + 3], more[64];
    size_t cells;

    if (now->total_bytes > 0) /* else it is set up, and nothing moves yet */
        note(p, now);
    put_rate(rate, sizeof(rate), sent_bps(p, now));
    put_eta(eta, sizeof(eta), p, now);
    snprintf(line, sizeof(line), "%3d %%  %s  %s", (int)(part * 100), rate, eta);
    line[room < strlen(line) ? room : strlen(line)] = '\0';
    cells = room / 4 < BAR_CELLS_MAX ? room / 4 : BAR_CELLS_MAX;
    if (cells >= BAR_CELLS_MIN) {
        put_bar(bar, part, cells);
        add(line, room, bar);
    }
    snprintf(more, sizeof(more), "round %d", (int)clamp((double)now->round, 99999));
    if (add(line, room, more)) {
        put_rate(rate, sizeof(rate), now->dirty_bps);
        snprintf(more, sizeof(more), "written %s", rate);
        if (add(line, room, more)) {
            snprintf(more, sizeof(more), "pause ~%d ms",
                     (int)clamp((double)now->expected_pause_ms, 9999999));
            add(line, room, more);
        }
    }
    memcpy(ret, line, sizeof(line));
}
