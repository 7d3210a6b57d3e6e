/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/supervisor/supervisor.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/mail.h"
#include "base/own.h"
#include "base/priority.h"
#include "vmm/process/signals.h"
#include "vmm/supervisor/errand.h"
#include "vmm/supervisor/service.h"
#include "vmm/supervisor/supervisor_channel.h"
#include "vmm/supervisor/supervisor_internal.h"
#include "vmm/supervisor/supervisor_renew.h"

/* A target whose source has ended needs some milliseconds to have the guest, or to end. */
#define TARGET_ALONE_NS (INT64_C(10) * 1000000000)

/* --- Errands --- */

void supervisor_child_begin(const struct supervisor *s, bool is_vmm)
{
    sigset_t ending = signals_that_end(), blocked = s->before;

    if (is_vmm)
        sigorset(&blocked, &s->before, &ending);
    for (int n = 1; n < NSIG; n++)
        signal(n, SIG_DFL);
    sigprocmask(SIG_SETMASK, &blocked, NULL);
    if (s->lease != LEASE_NONE)
        priority_normal(s->lease_nice);
    /* What is done on the word of whoever owns this process does not outlive it: killed in any way,
     * it takes its VM along, in order. That is kept through execve(2). */
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    if (getppid() != s->pid)
        _exit(1);
}

static void refuse(int mail, int errnum, const char *sentence)
{
    struct ferry_err err;

    err_set(&err, errnum, "%s", sentence);
    mail_refuse(mail, &err);
}

/* A process of its own does it: whatever that takes, signals and other errands do not wait. */
static void run_errand(struct supervisor *s, const struct child *from, struct supervisor_message *m)
{
    struct child *c = child_find(s, 0);
    struct errand e = {.mail = m->mail,
                       .client = m->client,
                       .words_bytes = m->words_bytes,
                       .words = m->words,
                       .keeps = m->keeps,
                       .from = from->pid,
                       .vm = *s->name ? s->name : NULL,
                       .policy = &s->policy};
    OWN_FD int ours = -1;
    OWN_FD int theirs = -1;
    struct ferry_err err;
    int pair[2];
    pid_t pid;

    if (!c) {
        refuse(m->mail, EBUSY, "too many things are under way for this VM already; try again");
        return;
    }
    if (mail_pair(pair, &err) < 0) {
        mail_refuse(m->mail, &err);
        return;
    }
    theirs = pair[0];
    ours = pair[1];
    pid = fork();
    if (pid == 0) {
        supervisor_child_begin(s, false);
        /* Of others and of what they hear: who waits for their end shall not wait for ours. */
        for (size_t i = 0; i < SUPERVISOR_CHILDREN; i++)
            child_forget(&s->children[i]);
        own_close_fd(&ours);
        e.channel = theirs;
        errand_do(&e);
    }
    if (pid < 0) {
        refuse(m->mail, errno, "the supervisor cannot start a process");
        return;
    }
    /* Until it says what it is, it may become a VMM: then it asks here. */
    *c = (struct child){.pid = pid, .channel = take_fd(&ours), .mail = take_fd(&m->mail)};
}

static void refuse_nonsense(const struct supervisor_message *m)
{
    if (m->mail >= 0)
        refuse(m->mail, EINVAL, "this is no errand for a supervisor");
}

/* It may have been asked long ago, if this process was stopped. */
static bool is_wanted(int mail)
{
    struct pollfd p = {.fd = mail};

    return poll(&p, 1, 0) == 0;
}

/* From a VMM: bounded, and nothing of it is believed. */
static void channel_readable(struct supervisor *s, struct child *c)
{
    struct supervisor_message m;

    supervisor_channel_recv(c->channel, &m);
    switch (m.kind) {
    case SUPERVISOR_SILENCE:
        break;
    case SUPERVISOR_HUNG_UP:
        own_close_fd(&c->channel);
        break;
    case SUPERVISOR_SAYS:
    case SUPERVISOR_NAMES:
        if (m.kind == SUPERVISOR_SAYS)
            lease_hear(s, c, m.says);
        (void)child_tells(s, c, &m);
        break;
    case SUPERVISOR_ASKS:
        if (!c->is_vmm)
            refuse_nonsense(&m);
        else if (is_wanted(m.mail))
            run_errand(s, c, &m);
        break;
    case SUPERVISOR_NONSENSE:
        refuse_nonsense(&m);
        break;
    }
    supervisor_message_free(&m);
}

/* A word of who asked for a target: it does not have the guest, and shall not stay. What is said
 * to other errands they hear themselves. */
static void mail_readable(struct supervisor *s, struct child *c)
{
    char word;

    if (!c->is_vmm || recv(c->mail, &word, 1, MSG_DONTWAIT) != 1)
        return;
    /* Unless it has: a source that the guest owned once must not end it. */
    child_hear_the_rest(s, c);
    if (!c->has_guest)
        child_kill(c);
}

/* Who asked has no more use for it, or has ended. A target of an update may run the guest by now,
 * or have all of it and see that nobody else does. One that hangs does neither. */
static void mail_hung_up(struct supervisor *s, struct child *c)
{
    mail_readable(s, c);
    own_close_fd(&c->mail);
    c->no_hurry = false;
    if (c->is_vmm && !c->has_guest)
        c->until_ns = clock_monotonic_ns() + TARGET_ALONE_NS;
    else if (!c->is_vmm && !c->tidies)
        child_kill(c);
}

/* --- Signals --- */

static void signal_came(struct supervisor *s, const struct signalfd_siginfo *info)
{
    /* What a terminal sends it sends to the whole group. */
    bool from_terminal = info->ssi_code == SI_KERNEL;

    switch (info->ssi_signo) {
    case SIGCHLD:
        return;
    case SIGTSTP:
        /* A group without a shell of its session cannot be stopped by SIGTSTP. */
        if (!from_terminal)
            children_signal(s, SIGSTOP);
        raise(SIGSTOP); /* the shell sees its job stop; it goes on with SIGCONT */
        return;
    default:
        if (info->ssi_signo != SIGCONT)
            waiting_end(s);
        if (!from_terminal)
            children_signal(s, (int)info->ssi_signo);
    }
}

/* --- The loop --- */

/* False: nobody is left of those that were started here, and nobody will follow. */
static bool reap(struct supervisor *s)
{
    bool follows;
    int status;
    pid_t pid;

    while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
        struct child *c = child_find(s, pid);

        /* Left by a command that ended: nothing of the VM's. */
        if (!c)
            continue;
        child_hear_the_rest(s, c);
        child_ended(s, c, status, !waiting_goes_on_after(s, c, status));
        lease_look(s);
    }
    follows = waiting_go_on(s);
    for (size_t i = 0; i < SUPERVISOR_CHILDREN; i++)
        if (s->children[i].pid)
            return true;
    return follows;
}

/* Returns when the next one is due. */
static int64_t kill_the_late(struct supervisor *s)
{
    int64_t now = clock_monotonic_ns(), first = INT64_MAX;

    for (size_t i = 0; i < SUPERVISOR_CHILDREN; i++) {
        struct child *c = &s->children[i];

        if (!c->pid || !c->until_ns)
            continue;
        if (c->until_ns <= now) {
            child_kill(c);
            c->until_ns = 0;
        } else if (c->until_ns < first) {
            first = c->until_ns;
        }
    }
    return first;
}

/* For poll(2), until what is due first. */
static int timeout_ms(struct supervisor *s)
{
    const int64_t due_ns[] = {kill_the_late(s), lease_due_ns(s), waiting_due_ns(s)};
    int64_t first_ns = INT64_MAX, left_ns;

    for (size_t i = 0; i < sizeof(due_ns) / sizeof(due_ns[0]); i++)
        if (due_ns[i] < first_ns)
            first_ns = due_ns[i];
    if (first_ns == INT64_MAX)
        return -1;
    left_ns = first_ns - clock_monotonic_ns();
    return left_ns > 0 ? (int)(left_ns / 1000000) + 1 : 0;
}

static void serve(struct supervisor *s)
{
    struct pollfd p[2 + 2 * SUPERVISOR_CHILDREN] = {{.fd = s->signals, .events = POLLIN},
                                                    {.fd = waiting_offered(s)}};
    struct child *whose[2 + 2 * SUPERVISOR_CHILDREN] = {NULL};
    struct signalfd_siginfo info;
    nfds_t n = 2;

    /* Those that are open only: poll(2) refuses more entries than RLIMIT_NOFILE. */
    for (size_t i = 0; i < SUPERVISOR_CHILDREN; i++) {
        struct child *c = &s->children[i];

        if (c->channel >= 0 && !c->no_hurry) {
            whose[n] = c;
            p[n++] = (struct pollfd){.fd = c->channel, .events = POLLIN};
        }
        if (c->mail >= 0) {
            whose[n] = c;
            p[n++] = (struct pollfd){.fd = c->mail, .events = c->is_vmm ? POLLIN : 0};
        }
    }
    if (poll(p, n, timeout_ms(s)) < 0)
        return;
    lease_look_at_clock(s);
    while (read(s->signals, &info, sizeof(info)) == sizeof(info))
        signal_came(s, &info);
    if (p[1].revents)
        waiting_end(s);
    for (nfds_t i = 2; i < n; i++) {
        struct child *c = whose[i];

        if (p[i].revents && c->channel == p[i].fd)
            channel_readable(s, c);
        if (p[i].revents & POLLIN && c->mail == p[i].fd)
            mail_readable(s, c);
        if (p[i].revents & (POLLHUP | POLLERR) && c->mail == p[i].fd)
            mail_hung_up(s, c);
    }
}

/* As the VMM ended: a signal's death is passed on as one, to whoever waits for us. */
static int end_as(int status)
{
    sigset_t none;

    if (WIFEXITED(status))
        return WEXITSTATUS(status);
    sigemptyset(&none);
    signal(WTERMSIG(status), SIG_DFL);
    sigprocmask(SIG_SETMASK, &none, NULL);
    raise(WTERMSIG(status));
    return 128 + WTERMSIG(status);
}

static void tell_service(struct supervisor *s)
{
    struct service_facts now = {.beats = true};

    for (size_t i = 0; i < SUPERVISOR_CHILDREN; i++) {
        struct child *c = &s->children[i];

        if (c->pid && c->is_vmm && c->has_guest) {
            now.guest = true;
            now.beats &= c->beats;
            now.beat |= c->beat;
        } else if (c->pid && c->is_vmm && c->mail >= 0) { /* a target */
            now.updating = true;
        }
        c->beat = false;
    }
    service_tell(&s->service, &now);
}

int supervisor_loop(struct supervisor *s)
{
    while (reap(s)) {
        if (s->renewal.answered)
            supervisor_renew_end(s);
        if (s->renewal.due)
            supervisor_renew_begin(s);
        tell_service(s);
        serve(s);
    }
    supervisor_tidy_up(s);
    return end_as(s->last);
}
