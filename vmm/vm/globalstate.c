/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/vm/globalstate.h"

#include <errno.h>
#include <string.h>

#include "base/err.h"

void globalstate_set(struct globalstate *g, enum run_state state)
{
    const char *name = run_state_name(state);

    *g = (struct globalstate){.size = (uint32_t)strlen(name) + 1, .has_vm_was_suspended = 1};
    memcpy(g->runstate, name, g->size);
}

enum run_state globalstate_get(const struct globalstate *g)
{
    static const enum run_state arrive[] = {
        RUN_STATE_RUNNING,  RUN_STATE_PRELAUNCH,      RUN_STATE_PAUSED,
        RUN_STATE_SHUTDOWN, RUN_STATE_INTERNAL_ERROR, RUN_STATE_IO_ERROR,
    };

    if (!g->runstate[0])
        return RUN_STATE_RUNNING;
    for (size_t i = 0; i < sizeof(arrive) / sizeof(arrive[0]); i++)
        if (!strcmp(g->runstate, run_state_name(arrive[i])))
            return arrive[i];
    return RUN_STATE_PAUSED;
}

static int globalstate_check(const void *scratch, struct ferry_err *err)
{
    const struct globalstate *g = scratch;

    if (!memchr(g->runstate, '\0', sizeof(g->runstate)))
        return err_set(err, EINVAL, "runstate: the name has no end");
    for (enum run_state s = RUN_STATE_PRELAUNCH; s <= RUN_STATE_LAST; s++)
        if (!strcmp(run_state_name(s), g->runstate))
            return 0;
    return err_set(err, EINVAL, "runstate: '%.31s' is not a run state this version knows",
                   g->runstate);
}

static const struct ferry_field globalstate_fields[] = {
    FERRY_U32(struct globalstate, size, .max = GLOBALSTATE_NAME_BYTES),
    FERRY_BYTES(struct globalstate, runstate),
    FERRY_U8(struct globalstate, has_vm_was_suspended, .max = 1),
    FERRY_U8(struct globalstate, vm_was_suspended, .max = 1),
    FERRY_UNUSED(66),
};

static const struct ferry_table globalstate_table = {
    .name = "globalstate",
    .version = 1,
    .minimum_version = 1,
    .check = globalstate_check,
    FERRY_FIELDS(globalstate_fields),
};

struct ferry_part globalstate_part(struct globalstate *g)
{
    return (struct ferry_part){
        .idstr = "globalstate", .table = &globalstate_table, .obj = g, .obj_bytes = sizeof(*g)};
}
