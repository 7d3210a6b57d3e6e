/* SPDX-License-Identifier: Apache-2.0 */
#include "lib/wire/globalstate.h"

#include <errno.h>
#include <string.h>

#include "base/err.h"
#include "lib/state/text.h"

static const char *const run_states[] = {
    "debug",    "finish-migrate", "guest-panicked", "inmigrate",  "internal-error", "io-error",
    "paused",   "postmigrate",    "prelaunch",      "restore-vm", "running",        "save-vm",
    "shutdown", "suspended",      "watchdog",       "colo",
};

static int globalstate_check(const void *scratch, struct ferry_err *err)
{
    const struct globalstate *g = scratch;
    const char *end = memchr(g->name, 0, sizeof(g->name));
    size_t n = end ? (size_t)(end - g->name) : sizeof(g->name);
    char text[TEXT_NAME_BYTES];

    if (!end)
        return err_set(err, EINVAL, "the run state \"%s\" has no end", text_name(text, g->name, n));
    if (g->name_bytes != n + 1)
        return err_set(err, EINVAL, "the run state \"%s\" has %zu bytes, not %u",
                       text_name(text, g->name, n), n + 1, g->name_bytes);
    for (size_t i = 0; i < sizeof(run_states) / sizeof(run_states[0]); i++) {
        if (strcmp(g->name, run_states[i]) == 0)
            return 0;
    }
    return err_set(err, EINVAL, "the run state \"%s\" is unknown", text_name(text, g->name, n));
}

static const struct ferry_field globalstate_fields[] = {
    FERRY_U32(struct globalstate, name_bytes, .min = 1, .max = GLOBALSTATE_NAME_BYTES,
              .wire_name = "size"),
    FERRY_BYTES(struct globalstate, name, .wire_name = "runstate"),
    FERRY_U8(struct globalstate, has_was_suspended, .max = 1, .wire_name = "has_vm_was_suspended"),
    FERRY_U8(struct globalstate, was_suspended, .max = 1, .wire_name = "vm_was_suspended"),
    FERRY_UNUSED(66, .type_name = "buffer"),
};
const struct ferry_table globalstate_table = {
    .name = "globalstate",
    .version = 1,
    .minimum_version = 1,
    FERRY_FIELDS(globalstate_fields),
    .check = globalstate_check,
};

struct globalstate globalstate_make(const char *name)
{
    struct globalstate g = {.has_was_suspended = 1};

    strncpy(g.name, name, sizeof(g.name) - 1);
    g.name_bytes = (uint32_t)strlen(g.name) + 1;
    return g;
}

bool globalstate_runs(const struct globalstate *g)
{
    return strcmp(g->name, "running") == 0 || strcmp(g->name, "suspended") == 0;
}
