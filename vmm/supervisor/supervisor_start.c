/* SPDX-License-Identifier: Apache-2.0 */
/* How the first process of a VM becomes its supervisor, and starts the VMM. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/log.h"
#include "base/mail.h"
#include "base/own.h"
#include "vmm/process/command.h"
#include "vmm/process/environment.h"
#include "vmm/process/title.h"
#include "vmm/sandbox/sandbox.h"
#include "vmm/supervisor/incoming.h"
#include "vmm/supervisor/startup.h"
#include "vmm/supervisor/supervisor.h"
#include "vmm/supervisor/supervisor_internal.h"
#include "vmm/supervisor/supervisor_link.h"
#include "vmm/supervisor/supervisor_state.h"

#define SELF "/proc/self/exe"

bool supervisor_is_there(void)
{
    return getenv(ENVIRONMENT_SUPERVISOR) != NULL;
}

static void supervisor_init(struct supervisor *s, const struct supervisor_policy *policy)
{
    *s = (struct supervisor){.pid = getpid(),
                             .policy = *policy,
                             .control = -1,
                             .null = -1,
                             .signals = -1,
                             .renewal.binary = -1,
                             .startup = startup_none,
                             .waiting.again_ns = INT64_MAX};
    for (size_t i = 0; i < SUPERVISOR_CHILDREN; i++)
        s->children[i] = (struct child){.channel = -1, .mail = -1};
}

/* before: the mask that was; NULL: it is known. */
static int supervisor_open(struct supervisor *s, sigset_t *before)
{
    static const int caught[] = {SIGTERM, SIGINT, SIGHUP, SIGCHLD, SIGTSTP, SIGCONT};
    sigset_t set;

    sigemptyset(&set);
    for (size_t i = 0; i < sizeof(caught) / sizeof(caught[0]); i++)
        sigaddset(&set, caught[i]);
    sigprocmask(SIG_BLOCK, &set, before);
    signal(SIGPIPE, SIG_IGN);
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    service_begin(&s->service);
    s->signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    return s->signals < 0 ? -errno : 0;
}

void supervisor_show(const struct supervisor *s)
{
    title_set(*s->name ? s->name : NULL, "supervisor");
}

static bool hand_on(int fd)
{
    return fd < 0 || fcntl(fd, F_SETFD, 0) == 0;
}

/* In the child. The numbers are the one thing that it inherits of us; incoming may be -1. */
static void become_vmm(struct supervisor *s, int channel, int incoming)
{
    const int fds[INHERITED_COUNT] = {[INHERITED_INCOMING] = incoming,
                                      [INHERITED_READY] = s->startup.ready,
                                      [INHERITED_LOG] = s->startup.log,
                                      [INHERITED_PIDFILE] = s->startup.pidfile};
    bool handed_on = hand_on(channel);
    struct buf more = {0};
    char **env;

    buf_printf(&more, ENVIRONMENT_SUPERVISOR "=%d", channel);
    for (size_t i = 0; i < INHERITED_COUNT; i++) {
        buf_printf(&more, ",%d", fds[i]);
        handed_on &= hand_on(fds[i]);
    }
    buf_str(&more, supervisor_policy_text(&s->policy));
    buf_u8(&more, '\0');
    env = environment_for_child((char *)more.data);
    supervisor_child_begin(s, true);
    if (env && handed_on && !more.failed)
        execve(SELF, s->words, env);
    fprintf(stderr, "ferry: cannot start the running binary again: %s\n", strerror(errno));
    _exit(1);
}

int supervisor_start_vmm(struct supervisor *s, struct ferry_err *err)
{
    struct child *c = child_find(s, 0);
    OWN_FD int ours = -1;
    OWN_FD int theirs = -1;
    OWN_FD int comes = -1;
    int pair[2];
    pid_t pid;
    int rc = c ? mail_pair(pair, err) : err_set(err, EBUSY, "too many processes");

    if (rc < 0)
        return rc;
    theirs = pair[0];
    ours = pair[1];
    if (s->waiting.incoming)
        rc = incoming_offer(s->waiting.incoming, &comes, err);
    if (rc < 0)
        return rc;
    pid = fork();
    if (pid == 0)
        become_vmm(s, theirs, comes);
    if (pid < 0)
        return err_sys(err, errno, "cannot start a process");
    *c = (struct child){.pid = pid, .is_vmm = true, .channel = take_fd(&ours), .mail = -1};
    s->name[0] = '\0'; /* that of the guest before, which was refused */
    s->waiting.began_ns = clock_monotonic_ns();
    s->waiting.again_ns = INT64_MAX;
    return 0;
}

static int by_number(const void *a, const void *b)
{
    return *(const int *)a - *(const int *)b;
}

/* The terminal is the VMM's alone; errors are said by all. */
void supervisor_let_go(const struct supervisor *s)
{
    int keep[3 + 2 * SUPERVISOR_CHILDREN] = {s->signals, s->control, s->renewal.binary};
    int from = STDERR_FILENO + 1;
    size_t n = 3;

    if (s->null >= 0) {
        dup2(s->null, STDIN_FILENO);
        dup2(s->null, STDOUT_FILENO);
    }
    for (size_t i = 0; i < SUPERVISOR_CHILDREN; i++) {
        keep[n++] = s->children[i].channel;
        keep[n++] = s->children[i].mail;
    }
    qsort(keep, n, sizeof(*keep), by_number);
    for (size_t i = 0; i < n; i++) {
        if (keep[i] > from)
            close_range((unsigned)from, (unsigned)keep[i] - 1, 0);
        if (keep[i] >= from)
            from = keep[i] + 1;
    }
    close_range((unsigned)from, ~0U, 0);
}

/* Once in the life of a VM, here; each VMM goes without. */
static void say_what_is_missing(void)
{
    char text[256];

    sandbox_missing(text, sizeof(text));
    if (*text)
        log_warn("the sandbox is weaker here: this kernel lacks %s", text);
}

int supervisor_run(const struct command *self, int argc, char *const argv[],
                   const struct supervisor_policy *policy, struct incoming *incoming, bool again,
                   struct startup *startup)
{
    struct supervisor s;
    char program[TITLE_BYTES];
    OWN_MEM char **words = calloc((size_t)argc + 3, sizeof(*words));
    struct ferry_err err;

    supervisor_init(&s, policy);
    if (startup)
        s.startup = *startup;
    if (!words || supervisor_open(&s, &s.before) < 0)
        return command_fail(self, "cannot make a supervisor: %s", strerror(errno));
    title_text(program, NULL, "VMM");
    words[0] = program;
    words[1] = (char *)(uintptr_t)self->name; /* execve(2) only reads it */
    memcpy(words + 2, argv, (size_t)argc * sizeof(*words));
    s.words = words;
    if (policy->sandbox)
        say_what_is_missing();
    /* Later, with a VMM that hears strangers, nothing is opened that somebody else might mean. */
    s.null = open("/dev/null", O_RDWR | O_CLOEXEC);
    waiting_begin(&s, incoming, again);
    if (supervisor_start_vmm(&s, &err) < 0)
        return command_fail(self, "cannot start the VMM: %s", err.text);
    startup_forget(&s.startup);
    if (incoming->fd < 0) {
        s.waiting.incoming = NULL;
        supervisor_let_go(&s);
    }
    supervisor_show(&s);
    return supervisor_loop(&s);
}

int supervisor_wait(void)
{
    const struct supervisor_policy policy = {.sandbox = true};
    struct supervisor s;
    int no_channel = -1;

    supervisor_init(&s, &policy);
    if (supervisor_open(&s, &s.before) < 0)
        return 1;
    supervisor_adopt(&s, true, &no_channel);
    return supervisor_loop(&s);
}

int supervisor_resume(const struct command *self, int state, bool only_asked)
{
    const struct supervisor_policy none = {0};
    struct supervisor s;
    struct ferry_err err;

    supervisor_init(&s, &none);
    if (supervisor_load(&s, state, &err) < 0)
        return command_fail(self, "%s", err.text);
    close(state);
    if (only_asked)
        return 0;
    children_set_inheritable(&s, false);
    if (supervisor_open(&s, NULL) < 0)
        return command_fail(self, "cannot receive signals: %s", strerror(errno));
    supervisor_show(&s);
    return supervisor_loop(&s);
}
