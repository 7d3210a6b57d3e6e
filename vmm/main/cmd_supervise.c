/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "vmm/main/commands.h"
#include "vmm/supervisor/supervisor.h"

static int run(const struct command *self, int argc, char *const argv[])
{
    bool only_asked = argc == 2 && !strcmp(argv[1], "--check");
    char *end = NULL;
    long state = argc > 0 ? strtol(argv[0], &end, 10) : -1;

    if (!end || *end || state < 0 || state > INT_MAX || argc > 1 + only_asked)
        return command_misused(self, "this is what a VM's supervisor says to a new program");
    return supervisor_resume(self, (int)state, only_asked);
}

/* What a supervisor executes in its place; also how it asks first (supervisor_renew.h). The words
 * never change. */
const struct command command_supervise = {
    .name = "supervise",
    .summary = "Go on as the supervisor of a VM.",
    .run = run,
};
