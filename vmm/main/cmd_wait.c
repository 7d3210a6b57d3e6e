/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/main/commands.h"
#include "vmm/main/spawn.h"

static int run(const struct command *self, int argc, char *const argv[])
{
    return spawn_wait();
}

/* What the first process of a VM becomes (spawn.h); not for people. */
const struct command command_wait = {
    .name = "wait",
    .summary = "Wait for the VM that this process handed over.",
    .run = run,
};
