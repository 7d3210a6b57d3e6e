/* SPDX-License-Identifier: Apache-2.0 */
#include "lib/live/machine.h"

#include <errno.h>

#include "base/err.h"

const char *live_event_name(enum live_event event)
{
    static const char *const names[] = {
        [LIVE_EVENT_HELLO] = "HELLO",
        [LIVE_EVENT_READY] = "READY",
        [LIVE_EVENT_REFUSE] = "REFUSE",
        [LIVE_EVENT_FDS] = "FDS",
        [LIVE_EVENT_STATE] = "STATE",
        [LIVE_EVENT_LOADED] = "LOADED",
        [LIVE_EVENT_COMMIT] = "COMMIT",
        [LIVE_EVENT_RUNNING] = "RUNNING",
        [LIVE_EVENT_ABORT] = "ABORT",
        [LIVE_EVENT_SOON] = "SOON",
        [LIVE_EVENT_BEGIN] = "begin",
        [LIVE_EVENT_SENT] = "all sent",
        [LIVE_EVENT_DRAINED] = "drained",
        [LIVE_EVENT_BUILT] = "built",
        [LIVE_EVENT_FAULTED_IN] = "RAM entered",
        [LIVE_EVENT_GONE] = "peer gone",
        [LIVE_EVENT_DUE] = "deadline",
        [LIVE_EVENT_CANCEL] = "cancel",
        [LIVE_EVENT_FAULT] = "fault",
        [LIVE_EVENT_OWN_UNMOVED] = "lock free, guest did not run",
        [LIVE_EVENT_OWN_MOVED] = "lock free, guest ran",
        [LIVE_EVENT_OWN_THEIRS] = "lock theirs",
    };
    size_t i = (size_t)event;

    return i < sizeof(names) / sizeof(names[0]) && names[i] ? names[i] : "nothing";
}

static const struct live_rule *machine_rule(const struct live_table *table, int state,
                                            enum live_event event)
{
    for (size_t i = 0; i < table->rule_count; i++)
        if (table->rules[i].state == state && table->rules[i].event == event)
            return &table->rules[i];
    return NULL;
}

void machine_fire(const struct live_table *table, void *self, int *state, enum live_event event,
                  struct ferry_err *err)
{
    while (event != LIVE_EVENT_NONE) {
        const struct live_rule *rule = machine_rule(table, *state, event);
        int r;

        if (!rule) {
            if (event == LIVE_EVENT_FAULT)
                return;
            err_set(err, EPROTO, "%s came to the %s while %s", live_event_name(event), table->name,
                    table->state_names[*state]);
            event = LIVE_EVENT_FAULT;
            continue;
        }
        r = rule->handler ? rule->handler(self) : 0;
        /* What answers a fault has nowhere to fail to. */
        if (r < 0 && event != LIVE_EVENT_FAULT) {
            event = LIVE_EVENT_FAULT;
            continue;
        }
        *state = rule->next;
        event = r > 0 ? (enum live_event)r : LIVE_EVENT_NONE;
    }
}
