/* SPDX-License-Identifier: Apache-2.0 */
#include "lib/live/ledger.h"

#include <string.h>

#include "base/clock.h"

const char *ferry_phase_name(enum ferry_phase phase)
{
    static const char *const names[] = {
        [FERRY_PHASE_STOP] = "stop harts", [FERRY_PHASE_DETACH] = "detach",
        [FERRY_PHASE_SAVE] = "save",       [FERRY_PHASE_SEND] = "send",
        [FERRY_PHASE_LOAD] = "load",       [FERRY_PHASE_ADOPT] = "adopt",
        [FERRY_PHASE_COMMIT] = "commit",   [FERRY_PHASE_START] = "start",
    };
    size_t i = (size_t)phase;

    return i < sizeof(names) / sizeof(names[0]) && names[i] ? names[i] : "unknown";
}

const char *ferry_urgency_name(enum ferry_urgency urgency)
{
    static const char *const names[] = {
        [FERRY_URGENCY_NONE] = "none",
        [FERRY_URGENCY_SLICE] = "slice",
        [FERRY_URGENCY_NICE] = "nice",
        [FERRY_URGENCY_REALTIME] = "real-time",
    };
    size_t i = (size_t)urgency;

    return i < sizeof(names) / sizeof(names[0]) ? names[i] : "unknown";
}

const char *ferry_live_point_name(enum ferry_live_point point)
{
    static const char *const names[] = {
        [FERRY_LIVE_HELLO_SENT] = "hello-sent",
        [FERRY_LIVE_READY_RECEIVED] = "ready-received",
        [FERRY_LIVE_QUIESCED] = "quiesced",
        [FERRY_LIVE_HARTS_STOPPED] = "harts-stopped",
        [FERRY_LIVE_PARTS_PAUSED] = "parts-paused",
        [FERRY_LIVE_SAVED] = "saved",
        [FERRY_LIVE_STATE_SENT] = "state-sent",
        [FERRY_LIVE_LOADED_RECEIVED] = "loaded-received",
        [FERRY_LIVE_LOCK_RELEASED] = "lock-released",
        [FERRY_LIVE_COMMIT_SENT] = "commit-sent",
        [FERRY_LIVE_RUNNING_RECEIVED] = "running-received",
        [FERRY_LIVE_HELLO_RECEIVED] = "hello-received",
        [FERRY_LIVE_BUILT] = "built",
        [FERRY_LIVE_READY_SENT] = "ready-sent",
        [FERRY_LIVE_STATE_RECEIVED] = "state-received",
        [FERRY_LIVE_STATE_LOADED] = "state-loaded",
        [FERRY_LIVE_ADOPTED] = "adopted",
        [FERRY_LIVE_LOADED_SENT] = "loaded-sent",
        [FERRY_LIVE_COMMIT_RECEIVED] = "commit-received",
        [FERRY_LIVE_LOCK_TAKEN] = "lock-taken",
        [FERRY_LIVE_STARTED] = "started",
    };
    size_t i = (size_t)point;

    return i < sizeof(names) / sizeof(names[0]) && names[i] ? names[i] : "unknown";
}

void marks_take(struct live_marks *m, enum live_mark mark)
{
    m->at_ns[mark] = clock_monotonic_ns();
}

/* Within the pause: no printf. */
static void marks_name(struct ferry_ledger_entry *e, const struct ferry_part *part)
{
    size_t n = strnlen(part->idstr, sizeof(e->part) - 12);
    uint32_t v = part->instance_id, digits = 1;

    memcpy(e->part, part->idstr, n);
    if (v) {
        for (uint32_t left = v / 10; left; left /= 10)
            digits++;
        e->part[n] = ' ';
        for (uint32_t i = digits; i > 0; i--, v /= 10)
            e->part[n + i] = (char)('0' + v % 10);
        n += 1 + digits;
    }
    e->part[n] = 0;
}

static struct ferry_ledger_entry *marks_entry(struct live_marks *m, const struct ferry_part *part)
{
    struct ferry_ledger_entry *e;

    for (size_t i = m->count; i > 0 && m->entries[i - 1].phase == m->phase; i--)
        if (m->parts[i - 1] == part)
            return &m->entries[i - 1];
    if (m->count == LIVE_ENTRIES_MAX)
        return NULL;
    e = &m->entries[m->count];
    m->parts[m->count++] = part;
    e->phase = m->phase;
    e->start_ns = m->part_start_ns;
    e->duration_ns = 0;
    marks_name(e, part);
    return e;
}

void marks_part(void *arg, const struct ferry_part *part, bool done)
{
    struct live_marks *m = arg;
    int64_t now_ns = clock_monotonic_ns();
    struct ferry_ledger_entry *e;

    if (!done) {
        m->part_start_ns = now_ns;
        return;
    }
    e = marks_entry(m, part);
    if (e)
        e->duration_ns += now_ns - m->part_start_ns;
}

static void ledger_add(struct ferry_ledger *ledger, const struct ferry_ledger_entry *entry)
{
    if (ledger->count < FERRY_LEDGER_ENTRIES)
        ledger->entries[ledger->count++] = *entry;
}

void ledger_merge(struct ferry_ledger *ledger, const struct live_marks *source,
                  const struct live_marks *target)
{
    int64_t from_ns = source->at_ns[LIVE_MARK_BEGUN];

    ledger->count = 0;
    ledger->total_ns = 0;
    ledger->source_urgency = source->urgency;
    ledger->target_urgency = target->urgency;
    for (int mark = LIVE_MARK_STOPPED; mark < LIVE_MARKS; mark++) {
        const struct live_marks *side = mark < LIVE_MARK_RECEIVED ? source : target;
        struct ferry_ledger_entry phase = {.phase = (enum ferry_phase)mark, .start_ns = from_ns};

        if (side->at_ns[mark] > from_ns)
            phase.duration_ns = side->at_ns[mark] - from_ns;
        from_ns += phase.duration_ns;
        ledger->total_ns += phase.duration_ns;
        ledger_add(ledger, &phase);
        for (size_t i = 0; i < side->count; i++)
            if (side->entries[i].phase == phase.phase)
                ledger_add(ledger, &side->entries[i]);
    }
}
