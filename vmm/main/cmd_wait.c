/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <sys/wait.h>

#include "vmm/main/commands.h"
#include "vmm/supervisor/supervisor.h"

static int run(const struct command *self, int argc, char *const argv[])
{
    if (argc)
        return command_unexpected(self, argv[0]);
    /* Typed by somebody. */
    if (waitid(P_ALL, 0, NULL, WEXITED | WNOHANG | WNOWAIT) < 0 && errno == ECHILD)
        return command_fail(self, "this process has handed no VM over; a VM's end is the end of "
                                  "the process that was started for it");
    return supervisor_wait();
}

/* What the first process of a VM of an older ferry becomes when this one takes it over. */
const struct command command_wait = {
    .name = "wait",
    .summary = "Wait for the VM that this process handed over.",
    .run = run,
};
