/* SPDX-License-Identifier: Apache-2.0 */
#include "base/machine.h"

#include <errno.h>

#include "base/err.h"

static const struct machine_rule *machine_find(const struct machine_table *table, int state,
                                               int event)
{
    for (size_t i = 0; i < table->rule_count; i++)
        if (table->rules[i].state == state && table->rules[i].event == event)
            return &table->rules[i];
    return NULL;
}

void machine_run(const struct machine_table *table, void *self, int *state, int event,
                 struct ferry_err *err)
{
    while (event != 0) {
        const struct machine_rule *rule = machine_find(table, *state, event);
        int r;

        if (!rule) {
            if (event == table->fault)
                return;
            err_set(err, EPROTO, "%s came to the %s while %s", table->event_names[event],
                    table->name, table->state_names[*state]);
            event = table->fault;
            continue;
        }
        r = rule->handler ? rule->handler(self) : 0;
        /* What answers a fault has nowhere to fail to. */
        if (r < 0 && event != table->fault) {
            event = table->fault;
            continue;
        }
        *state = rule->next;
        event = r > 0 ? r : 0;
    }
}
