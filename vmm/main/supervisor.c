/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/main/supervisor.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/err.h"
#include "base/fdmsg.h"
#include "base/log.h"
#include "base/mail.h"
#include "base/own.h"
#include "vmm/main/commands.h"
#include "vmm/main/environment.h"
#include "vmm/main/errand.h"
#include "vmm/sandbox/sandbox.h"

#define SELF "/proc/self/exe"

/* A process that was started here. */
struct child {
    pid_t pid;   /* 0 = this place is free */
    bool is_vmm; /* or will be one */
    bool has_guest;
    bool tidies; /* sees by itself that nobody wants it any more */
    int channel; /* owned: a VMM asks here; -1 = none, or it hung up */
    int mail;    /* owned: who asked for it hears of its end; -1 = nobody */
};

struct supervisor {
    struct supervisor_policy policy;
    struct child children[SUPERVISOR_CHILDREN];
    int signals;
    sigset_t before; /* the mask that children get back */
    int last;        /* wait status of the VMM that ended last, of those that had the guest */
    bool guest_ended;
};

/* --- Policy --- */

void supervisor_policy_from(struct supervisor_policy *ret, const struct vm_config *c)
{
    *ret = (struct supervisor_policy){.sandbox = !c->no_sandbox,
                                      .spawn = c->no_sandbox || c->sandbox_spawn};
    for (size_t i = 0; i < c->monitor_count; i++)
        for (size_t j = 0; j < c->chardev_count; j++)
            if (!strcmp(c->chardevs[j].id, c->monitors[i].chardev) &&
                c->chardevs[j].type == CONFIG_CHARDEV_SOCKET && c->chardevs[j].server)
                ret->monitors[ret->monitor_count++] = c->chardevs[j].path;
}

const char *supervisor_policy_text(const struct supervisor_policy *p)
{
    return !p->sandbox ? ":off" : p->spawn ? ":on,spawn" : ":on";
}

int supervisor_policy_parse(struct supervisor_policy *ret, const char *text, struct ferry_err *err)
{
    static const struct supervisor_policy all[] = {
        {.sandbox = false, .spawn = true}, {.sandbox = true}, {.sandbox = true, .spawn = true}};

    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
        if (!strcmp(text, supervisor_policy_text(&all[i]))) {
            *ret = all[i];
            return 0;
        }
    }
    return err_set(err, EINVAL, "'%.40s' is no policy of a supervisor", text);
}

bool supervisor_is_there(void)
{
    return getenv(ENVIRONMENT_SUPERVISOR) != NULL;
}

/* --- Children --- */

static void child_forget(struct child *c)
{
    own_close_fd(&c->channel);
    own_close_fd(&c->mail);
    *c = (struct child){.channel = -1, .mail = -1};
}

static struct child *child_find(struct supervisor *s, pid_t pid)
{
    for (size_t i = 0; i < SUPERVISOR_CHILDREN; i++)
        if (s->children[i].pid == pid)
            return &s->children[i];
    return NULL;
}

/* Is it `ferry receive --supervised ...`? What has ended has no words any more. */
static bool is_target(pid_t pid)
{
    static const char words[] = "receive\0--supervised";
    char path[32], text[256];
    OWN_FD int fd = -1;
    const char *behind;
    ssize_t n;

    snprintf(path, sizeof(path), "/proc/%d/cmdline", (int)pid);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    n = fd < 0 ? -1 : read(fd, text, sizeof(text));
    behind = n <= 0 ? NULL : memchr(text, '\0', (size_t)n);
    return behind && text + n - behind > (ssize_t)sizeof(words) &&
           !memcmp(behind + 1, words, sizeof(words));
}

static bool is_any(pid_t pid)
{
    return true;
}

/*
 * An older ferry starts its target itself, which is our child when that has ended. What a command
 * of a migration leaves in the background (ssh's ControlPersist) becomes our child, too, but
 * nobody waits for it.
 */
static void adopt(struct supervisor *s, bool (*is_vmm)(pid_t pid))
{
    char path[64];
    FILE *f;
    int pid;

    snprintf(path, sizeof(path), "/proc/self/task/%d/children", (int)getpid());
    f = fopen(path, "re");
    if (!f)
        return;
    while (fscanf(f, "%d", &pid) == 1) {
        struct child *c = child_find(s, pid) ? NULL : child_find(s, 0);

        if (c && is_vmm(pid))
            *c = (struct child){
                .pid = pid, .is_vmm = true, .has_guest = true, .channel = -1, .mail = -1};
    }
    fclose(f);
}

/* In the child: signals are as they were before there was a supervisor. */
static void child_begin(struct supervisor *s)
{
    for (int n = 1; n < NSIG; n++)
        signal(n, SIG_DFL);
    sigprocmask(SIG_SETMASK, &s->before, NULL);
}

static void child_says(struct child *c, char what)
{
    c->is_vmm |= what == ERRAND_IS_VMM;
    c->has_guest |= what == ERRAND_HAS_GUEST;
    c->tidies |= what == ERRAND_TIDIES;
}

/* What it said of itself before it ended may not have been read yet. */
static void child_hear_the_rest(struct child *c)
{
    char what;
    ssize_t n;

    while (c->channel >= 0 && (n = recv(c->channel, &what, 1, MSG_DONTWAIT | MSG_TRUNC)) > 0)
        if (n == 1)
            child_says(c, what);
}

static void child_ended(struct supervisor *s, pid_t pid, int status)
{
    struct child *c = child_find(s, pid);
    bool was_vmm;

    /* Left by a command that ended: nothing of the VM's. */
    if (!c)
        return;
    child_hear_the_rest(c);
    was_vmm = c->is_vmm;
    if (c->is_vmm && (c->has_guest || !s->guest_ended)) {
        s->last = status;
        s->guest_ended = c->has_guest;
    }
    if (c->mail >= 0)
        (void)!mail_send(c->mail, MAIL_ENDED, status, "", NULL, 0);
    child_forget(c);
    if (was_vmm)
        adopt(s, is_target);
}

/* --- Errands --- */

static void refuse(int mail, int errnum, const char *sentence)
{
    struct ferry_err err;

    err_set(&err, errnum, "%s", sentence);
    mail_refuse(mail, &err);
}

/* A process of its own does it: whatever that takes, signals and other errands do not wait. */
static void run_errand(struct supervisor *s, struct child *from, struct errand *e)
{
    struct child *c = child_find(s, 0);
    OWN_FD int ours = -1;
    struct ferry_err err;
    int pair[2];
    pid_t pid;

    if (!c) {
        refuse(e->mail, EBUSY, "too many things are under way for this VM already; try again");
        return;
    }
    if (mail_pair(pair, &err) < 0) {
        mail_refuse(e->mail, &err);
        return;
    }
    e->channel = pair[0];
    ours = pair[1];
    e->from = from->pid;
    e->policy = &s->policy;
    pid = fork();
    if (pid == 0) {
        child_begin(s);
        /* Of others and of what they hear: who waits for their end shall not wait for ours. */
        for (size_t i = 0; i < SUPERVISOR_CHILDREN; i++)
            child_forget(&s->children[i]);
        own_close_fd(&ours);
        errand_do(e);
    }
    own_close_fd(&e->channel);
    if (pid < 0) {
        refuse(e->mail, errno, "the supervisor cannot start a process");
        return;
    }
    /* Until it says what it is, it may become a VMM: then it asks here. */
    *c = (struct child){.pid = pid, .channel = take_fd(&ours), .mail = take_fd(&e->mail)};
}

/* From a VMM: bounded, and nothing of it is believed. */
static void channel_readable(struct supervisor *s, struct child *c)
{
    static const char not_one[] = "this is no errand for a supervisor";
    char data[SUPERVISOR_HEAD_BYTES + SUPERVISOR_WORDS_BYTES + 1];
    struct errand e = {.mail = -1, .client = -1, .channel = -1};
    int fds[2] = {-1, -1};
    size_t count;
    bool lost;
    ssize_t n = fdmsg_recv(c->channel, data, sizeof(data) - 1, fds, 2, &count, &lost);

    if (n == -EAGAIN)
        return;
    if (n <= 0) {
        own_close_fd(&c->channel);
        return;
    }
    e.mail = fds[0];
    e.client = fds[1];
    if (n == 1 && count == 0) {
        child_says(c, data[0]);
    } else if (!c->is_vmm || e.mail < 0 || lost || n < (ssize_t)SUPERVISOR_HEAD_BYTES) {
        if (e.mail >= 0)
            refuse(e.mail, EINVAL, not_one);
    } else {
        memcpy(&e.words_bytes, data, SUPERVISOR_HEAD_BYTES);
        data[n] = '\0';
        e.words = data + SUPERVISOR_HEAD_BYTES;
        run_errand(s, c, &e);
    }
    own_close_fd(&e.mail);
    own_close_fd(&e.client);
}

/* A word of who asked for a target: it does not have the guest, and shall not stay. What is said
 * to other errands they hear themselves. */
static void mail_readable(const struct child *c)
{
    char word;

    if (c->is_vmm && recv(c->mail, &word, 1, MSG_DONTWAIT) == 1)
        kill(c->pid, SIGKILL);
}

/* Who asked has no more use for it. A target of an update may run the guest by now. */
static void mail_hung_up(struct child *c)
{
    mail_readable(c);
    own_close_fd(&c->mail);
    if (!c->is_vmm && !c->tidies)
        kill(c->pid, SIGKILL);
}

/* --- Signals --- */

/* To every VMM. */
static void forward(const struct supervisor *s, int signum)
{
    for (size_t i = 0; i < SUPERVISOR_CHILDREN; i++)
        if (s->children[i].pid && s->children[i].is_vmm)
            kill(s->children[i].pid, signum);
}

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
            forward(s, SIGSTOP);
        raise(SIGSTOP); /* the shell sees its job stop; it goes on with SIGCONT */
        return;
    default:
        if (!from_terminal)
            forward(s, (int)info->ssi_signo);
    }
}

/* --- The loop --- */

static int supervisor_open(struct supervisor *s)
{
    static const int caught[] = {SIGTERM, SIGINT, SIGHUP, SIGCHLD, SIGTSTP, SIGCONT};
    sigset_t set;

    for (size_t i = 0; i < SUPERVISOR_CHILDREN; i++)
        s->children[i] = (struct child){.channel = -1, .mail = -1};
    sigemptyset(&set);
    for (size_t i = 0; i < sizeof(caught) / sizeof(caught[0]); i++)
        sigaddset(&set, caught[i]);
    sigprocmask(SIG_BLOCK, &set, &s->before);
    signal(SIGPIPE, SIG_IGN);
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    s->signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    return s->signals < 0 ? -errno : 0;
}

/* False: nobody is left of those that were started here. */
static bool reap(struct supervisor *s)
{
    int status;
    pid_t pid;

    while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
        child_ended(s, pid, status);
    for (size_t i = 0; i < SUPERVISOR_CHILDREN; i++)
        if (s->children[i].pid)
            return true;
    return false;
}

static void serve(struct supervisor *s)
{
    struct pollfd p[1 + 2 * SUPERVISOR_CHILDREN] = {{.fd = s->signals, .events = POLLIN}};
    struct child *whose[1 + 2 * SUPERVISOR_CHILDREN] = {NULL};
    struct signalfd_siginfo info;
    nfds_t n = 1;

    /* Those that are open only: poll(2) refuses more entries than RLIMIT_NOFILE. */
    for (size_t i = 0; i < SUPERVISOR_CHILDREN; i++) {
        struct child *c = &s->children[i];

        if (c->channel >= 0) {
            whose[n] = c;
            p[n++] = (struct pollfd){.fd = c->channel, .events = POLLIN};
        }
        if (c->mail >= 0) {
            whose[n] = c;
            p[n++] = (struct pollfd){.fd = c->mail, .events = c->is_vmm ? POLLIN : 0};
        }
    }
    if (poll(p, n, -1) < 0)
        return;
    while (read(s->signals, &info, sizeof(info)) == sizeof(info))
        signal_came(s, &info);
    for (nfds_t i = 1; i < n; i++) {
        struct child *c = whose[i];

        if (p[i].revents && c->channel == p[i].fd)
            channel_readable(s, c);
        if (p[i].revents & POLLIN && c->mail == p[i].fd)
            mail_readable(c);
        if (p[i].revents & (POLLHUP | POLLERR) && c->mail == p[i].fd)
            mail_hung_up(c);
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

static int supervisor_loop(struct supervisor *s)
{
    while (reap(s))
        serve(s);
    return end_as(s->last);
}

/* --- Starting --- */

/* In the child. The channel's number is the one thing that it inherits of us. */
static void become_vmm(struct supervisor *s, int channel, char *const argv[])
{
    char more[64];
    char **env;

    snprintf(more, sizeof(more), ENVIRONMENT_SUPERVISOR "=%d%s", channel,
             supervisor_policy_text(&s->policy));
    env = environment_for_child(more);
    child_begin(s);
    if (env && fcntl(channel, F_SETFD, 0) == 0)
        execve(SELF, argv, env);
    fprintf(stderr, "ferry: cannot start the running binary again: %s\n", strerror(errno));
    _exit(1);
}

/* Of what was inherited the VMM has its own; the terminal is its alone, errors are said by all. */
static void let_go_of_everything(const struct supervisor *s, int channel)
{
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    int keep[2] = {s->signals < channel ? s->signals : channel,
                   s->signals < channel ? channel : s->signals};

    if (null >= 0) {
        dup2(null, STDIN_FILENO);
        dup2(null, STDOUT_FILENO);
        close(null);
    }
    if (keep[0] > STDERR_FILENO + 1)
        close_range(STDERR_FILENO + 1, (unsigned)keep[0] - 1, 0);
    if (keep[1] > keep[0] + 1)
        close_range((unsigned)keep[0] + 1, (unsigned)keep[1] - 1, 0);
    close_range((unsigned)keep[1] + 1, ~0U, 0);
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
                   const struct supervisor_policy *policy)
{
    struct supervisor s = {.policy = *policy};
    char program[] = "ferry";
    char **words = calloc((size_t)argc + 3, sizeof(*words));
    struct ferry_err err;
    int pair[2];
    pid_t pid;

    if (!words || supervisor_open(&s) < 0 || mail_pair(pair, &err) < 0)
        return command_fail(self, "cannot make a supervisor: %s", strerror(errno));
    words[0] = program;
    words[1] = (char *)(uintptr_t)self->name; /* execve(2) only reads it */
    memcpy(words + 2, argv, (size_t)argc * sizeof(*words));
    if (policy->sandbox)
        say_what_is_missing();
    pid = fork();
    if (pid == 0)
        become_vmm(&s, pair[0], words);
    if (pid < 0)
        return command_fail(self, "cannot start the VMM: %s", strerror(errno));
    free(words);
    close(pair[0]);
    let_go_of_everything(&s, pair[1]);
    s.children[0] = (struct child){.pid = pid, .is_vmm = true, .channel = pair[1], .mail = -1};
    return supervisor_loop(&s);
}

int supervisor_wait(void)
{
    struct supervisor s = {.policy = {.sandbox = true}};

    if (supervisor_open(&s) < 0)
        return 1;
    adopt(&s, is_any);
    return supervisor_loop(&s);
}
