/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/main/commands.h"
#include "vmm/main/supervisor.h"

static int run(const struct command *self, int argc, char *const argv[])
{
    return supervisor_wait();
}

/* What the first process of a VM of an older ferry becomes when this one takes it over. */
const struct command command_wait = {
    .name = "wait",
    .summary = "Wait for the VM that this process handed over.",
    .run = run,
};
