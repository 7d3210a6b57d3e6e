/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/process/interrupt.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "base/err.h"

int interrupt_begin(int *ret, struct ferry_err *err)
{
    sigset_t set;

    sigemptyset(&set);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGTERM);
    *ret = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    if (*ret < 0)
        return err_sys(err, errno, "cannot wait for signals");
    sigprocmask(SIG_BLOCK, &set, NULL);
    return 0;
}

bool interrupt_wait(int fd, int timeout_ms)
{
    struct pollfd p = {.fd = fd, .events = POLLIN};
    struct signalfd_siginfo info;

    return poll(&p, 1, timeout_ms) > 0 && read(fd, &info, sizeof(info)) == sizeof(info);
}
