/* SPDX-License-Identifier: Apache-2.0 */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mail.h"
#include "base/own.h"
#include "vmm/supervisor/errand.h"
#include "vmm/supervisor/supervisor_internal.h"

/* Its disks are quiet and its guest is gone: what is left takes milliseconds. One that hangs, or is
 * the guest's and stays on purpose, keeps the guest's memory, its disks and the VM's name. */
#define SOURCE_ENDS_NS (INT64_C(30) * 1000000000)

void child_forget(struct child *c)
{
    own_close_fd(&c->channel);
    own_close_fd(&c->mail);
    *c = (struct child){.channel = -1, .mail = -1};
}

void child_kill(const struct child *c)
{
    kill(-c->pid, SIGKILL);
    kill(c->pid, SIGKILL);
}

struct child *child_find(struct supervisor *s, pid_t pid)
{
    for (size_t i = 0; i < SUPERVISOR_CHILDREN; i++)
        if (s->children[i].pid == pid)
            return &s->children[i];
    return NULL;
}

/* What has ended has no words any more. */
static size_t words_of(pid_t pid, char *ret, size_t bytes)
{
    OWN_FD int fd = -1;
    char path[32];
    ssize_t n;

    snprintf(path, sizeof(path), "/proc/%d/cmdline", (int)pid);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    n = fd < 0 ? -1 : read(fd, ret, bytes);
    return n < 0 ? 0 : (size_t)n;
}

/* Is it `ferry receive --supervised ...`? */
static bool is_target(pid_t pid)
{
    static const char words[] = "receive\0--supervised";
    char text[256];
    size_t n = words_of(pid, text, sizeof(text));
    const char *behind = memchr(text, '\0', n);

    return behind && text + n - behind > (ssize_t)sizeof(words) &&
           !memcmp(behind + 1, words, sizeof(words));
}

bool child_is_ferry(const struct child *c)
{
    static const char title[] = "ferry: ";
    char text[sizeof(title) - 1];

    return is_target(c->pid) || (words_of(c->pid, text, sizeof(text)) == sizeof(text) &&
                                 !memcmp(text, title, sizeof(text)));
}

/*
 * An older ferry starts its target itself, which is our child when that has ended, and has
 * inherited the end of the channel that the older one did not know what to do with. What a command
 * of a migration leaves in the background (ssh's ControlPersist) becomes our child, too, but
 * nobody waits for it.
 */
void supervisor_adopt(struct supervisor *s, bool any, int *channel)
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

        if (c && (any || is_target(pid)))
            *c = (struct child){.pid = pid,
                                .is_vmm = true,
                                .has_guest = true,
                                .had_guest = true,
                                .channel = take_fd(channel),
                                .mail = -1};
    }
    fclose(f);
}

bool child_says(struct child *c, char what)
{
    switch (what) {
    case ERRAND_IS_VMM:
        c->is_vmm = true;
        return true;
    case ERRAND_HAS_GUEST:
        c->has_guest = c->had_guest = true;
        c->until_ns = 0;
        return true;
    case ERRAND_REFUSED:
        c->refused = true;
        return true;
    case ERRAND_GAVE_GUEST:
        c->has_guest = false;
        return true;
    case ERRAND_NO_HURRY:
        c->no_hurry = c->mail >= 0;
        return true;
    case ERRAND_BEATS:
        c->beats = c->beat = true;
        return true;
    case ERRAND_TIDIES:
        c->tidies = true;
        return true;
    default:
        return false;
    }
}

void child_said(const struct child *c, char ret[SUPERVISOR_SAYS_BYTES])
{
    if (c->is_vmm)
        *ret++ = ERRAND_IS_VMM;
    if (c->had_guest)
        *ret++ = ERRAND_HAS_GUEST;
    if (c->had_guest && !c->has_guest)
        *ret++ = ERRAND_GAVE_GUEST;
    if (c->refused)
        *ret++ = ERRAND_REFUSED;
    if (c->beats)
        *ret++ = ERRAND_BEATS;
    if (c->tidies)
        *ret++ = ERRAND_TIDIES;
    *ret = '\0';
}

static void set_inheritable(int *fd, bool inheritable)
{
    if (*fd >= 0 && fcntl(*fd, F_SETFD, inheritable ? 0 : FD_CLOEXEC) < 0)
        *fd = -1;
}

void children_set_inheritable(struct supervisor *s, bool inheritable)
{
    set_inheritable(&s->control, inheritable);
    for (size_t i = 0; i < SUPERVISOR_CHILDREN; i++) {
        set_inheritable(&s->children[i].channel, inheritable);
        set_inheritable(&s->children[i].mail, inheritable);
    }
}

static bool guest_has_come(const struct supervisor *s)
{
    for (size_t i = 0; i < SUPERVISOR_CHILDREN; i++)
        if (s->children[i].pid && s->children[i].had_guest)
            return true;
    return false;
}

/* Once: a VMM that the guest owns could say another VM's, and who asks this process for its VM
 * would be led there (by_pid.h). */
static void take_name(struct supervisor *s, const char name[SUPERVISOR_NAME_BYTES])
{
    if (*s->name && guest_has_come(s))
        return;
    memcpy(s->name, name, sizeof(s->name) - 1);
    supervisor_show(s);
}

/*
 * A target's pause is over, and it has the guest: that runs there. Whoever had it before has to
 * end. This counts once, so that a source which stays cannot say it of whoever has the guest now.
 */
static void guest_arrived(struct supervisor *s, struct child *c)
{
    if (c->arrived || !c->has_guest || c->mail < 0)
        return;
    c->arrived = true;
    for (size_t i = 0; i < SUPERVISOR_CHILDREN; i++) {
        struct child *other = &s->children[i];

        if (other != c && other->pid && other->is_vmm && other->had_guest)
            other->until_ns = clock_monotonic_ns() + SOURCE_ENDS_NS;
    }
}

bool child_tells(struct supervisor *s, struct child *c, const struct supervisor_message *m)
{
    switch (m->kind) {
    case SUPERVISOR_SAYS:
        (void)child_says(c, m->says);
        if (m->says == ERRAND_HAS_GUEST)
            supervisor_hold_control(s);
        if (m->says == ERRAND_OVER)
            guest_arrived(s, c);
        return true;
    case SUPERVISOR_NAMES:
        take_name(s, m->words);
        return true;
    default:
        return false;
    }
}

/* With descriptors: somebody asks. */
static bool is_question(int channel)
{
    char none;
    struct iovec iov = {&none, sizeof(none)};
    struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};

    return recvmsg(channel, &msg, MSG_PEEK | MSG_DONTWAIT) >= 0 && msg.msg_flags & MSG_CTRUNC;
}

/* What it told before it ended may not have been read yet. Behind that somebody else may ask, whom
 * it left its end of the channel. */
void child_hear_the_rest(struct supervisor *s, struct child *c)
{
    struct supervisor_message m;
    bool goes_on = true;

    while (goes_on && c->channel >= 0 && !is_question(c->channel)) {
        supervisor_channel_recv(c->channel, &m);
        goes_on = child_tells(s, c, &m);
        supervisor_message_free(&m);
    }
}

void children_signal(const struct supervisor *s, int signum)
{
    for (size_t i = 0; i < SUPERVISOR_CHILDREN; i++)
        if (s->children[i].pid && s->children[i].is_vmm)
            kill(s->children[i].pid, signum);
}

/* One that has had a guest ends so when it has handed that over: it is for who has it now. */
static int signal_to_pass_on(const struct child *c, int status)
{
    int signum = c->had_guest && WIFSIGNALED(status) ? WTERMSIG(status) : 0;

    return signum == SIGTERM || signum == SIGINT || signum == SIGHUP ? signum : 0;
}

void child_ended(struct supervisor *s, struct child *c, int status, bool counts)
{
    OWN_FD int channel = take_fd(&c->channel);
    int passed_on = signal_to_pass_on(c, status);
    bool was_vmm = c->is_vmm;

    s->renewal.due |= was_vmm;
    for (size_t i = 0; was_vmm && i < SUPERVISOR_CHILDREN; i++)
        s->children[i].no_hurry = false;
    if (c->is_asked) {
        s->renewal.answered = true;
        s->renewal.answer = status;
    }
    if (counts && !passed_on && c->is_vmm && (c->has_guest || !s->guest_ended)) {
        s->last = status;
        s->guest_ended = c->has_guest;
    }
    if (c->mail >= 0)
        (void)!mail_send(c->mail, MAIL_ENDED, status, "", NULL, 0);
    child_forget(c);
    if (passed_on)
        children_signal(s, passed_on);
    if (was_vmm)
        supervisor_adopt(s, false, &channel);
}
