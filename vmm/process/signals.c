/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/process/signals.h"

sigset_t signals_that_end(void)
{
    sigset_t set;

    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGHUP);
    return set;
}

void signals_end_process(bool came)
{
    sigset_t set = signals_that_end();

    sigprocmask(SIG_UNBLOCK, &set, NULL); /* which delivers what nobody has read */
    if (came)
        raise(SIGTERM);
}
