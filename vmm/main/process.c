/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/main/process.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "base/err.h"
#include "base/own.h"
#include "vmm/machine/loop.h"
#include "vmm/machine/vm.h"
#include "vmm/move/migration.h"
#include "vmm/process/signals.h"
#include "vmm/process/title.h"
#include "vmm/vm/vm_internal.h"

struct process_signals {
    int fd;
    struct loop_watch *watch;
    struct vm *vm;
};

static int process_prepare(struct process_signals **ret, struct ferry_err *err)
{
    struct process_signals *s = calloc(1, sizeof(*s));
    sigset_t set;

    if (!s)
        return err_set(err, ENOMEM, "out of memory");
    set = signals_that_end();
    sigprocmask(SIG_BLOCK, &set, NULL);
    signal(SIGPIPE, SIG_IGN);
    signal(SIGXFSZ, SIG_IGN); /* `ulimit -f`, which also counts guest RAM */
    /* It was started through an fd, or through /proc, whose name would be shown. */
    title_set(NULL, "VMM");
    s->fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    if (s->fd < 0) {
        free(s);
        return err_sys(err, errno, "cannot receive signals");
    }
    *ret = s;
    return 0;
}

static void signal_arrived(void *arg, short revents)
{
    struct process_signals *s = arg;
    struct signalfd_siginfo info;

    while (read(s->fd, &info, sizeof(info)) == sizeof(info))
        vm_request_shutdown(s->vm, SHUTDOWN_CAUSE_HOST_SIGNAL, 0);
}

int process_begin(struct process_signals **ret, struct vm **ret_vm, struct ferry_err *err)
{
    struct process_signals *s;
    int rc = process_prepare(ret, err);

    if (!rc)
        rc = vm_new(ret_vm, &migration_mover, err);
    if (rc < 0)
        return rc;
    s = *ret;
    s->vm = *ret_vm;
    return loop_watch_new(&s->watch, vm_loop(s->vm), s->fd, POLLIN, signal_arrived, s, err);
}

void process_signals_free(struct process_signals *s)
{
    if (!s)
        return;
    if (s->watch)
        loop_watch_free(s->watch);
    own_close_fd(&s->fd);
    free(s);
}
