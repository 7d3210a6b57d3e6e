/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/move/fault.h"

#include <errno.h>
#include <signal.h>
#include <string.h>

#include "base/err.h"

int fault_parse(struct fault *f, const char *text, struct ferry_err *err)
{
    const char *equals = strchr(text, '=');
    size_t len = equals ? (size_t)(equals - text) : 0;
    struct fault parsed = {0};

    for (int p = FERRY_LIVE_HELLO_SENT; p <= FERRY_LIVE_STARTED; p++) {
        const char *name = ferry_live_point_name((enum ferry_live_point)p);

        if (len && strlen(name) == len && !memcmp(name, text, len))
            parsed.point = (enum ferry_live_point)p;
    }
    if (!parsed.point)
        return err_set(err, EINVAL, "--fault %s: POINT=ACTION was expected; no such point", text);
    if (!strcmp(equals + 1, "kill"))
        parsed.action = FAULT_KILL;
    else if (!strcmp(equals + 1, "stop"))
        parsed.action = FAULT_STOP;
    else
        return err_set(err, EINVAL, "--fault %s: the action is 'kill' or 'stop'", text);
    *f = parsed;
    return 0;
}

void fault_at(const struct fault *f, enum ferry_live_point point)
{
    if (f->action && f->point == point)
        raise(f->action == FAULT_KILL ? SIGKILL : SIGSTOP);
}
