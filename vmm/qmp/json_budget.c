/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/qmp/json_budget.h"

#include <errno.h>

#include "base/err.h"

static size_t beyond_own(const struct json_budget *b, size_t held_bytes)
{
    return held_bytes > b->own_bytes ? held_bytes - b->own_bytes : 0;
}

bool json_budget_take(struct json_budget *b, size_t bytes)
{
    size_t more;

    if (bytes > b->max_bytes - b->held_bytes)
        return false;
    more = beyond_own(b, b->held_bytes + bytes) - beyond_own(b, b->held_bytes);
    if (more && b->shared && !json_budget_take(b->shared, more))
        return false;
    b->held_bytes += bytes;
    return true;
}

int json_budget_charge(struct json_budget *b, size_t bytes, struct ferry_err *err)
{
    if (json_budget_take(b, bytes))
        return 0;
    return err_set(err, E2BIG,
                   "JSON memory limit exceeded: what one client sends may hold %zu KiB%s",
                   b->max_bytes >> 10,
                   b->max_bytes - b->held_bytes < bytes
                       ? "; send less at once"
                       : ", and all clients hold as much as they may; send it again later");
}

void json_budget_return(struct json_budget *b, size_t bytes)
{
    size_t less = beyond_own(b, b->held_bytes) - beyond_own(b, b->held_bytes - bytes);

    if (less && b->shared)
        json_budget_return(b->shared, less);
    b->held_bytes -= bytes;
}
