/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/supervisor/supervisor_link.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/fdmsg.h"
#include "base/log.h"
#include "base/mail.h"
#include "base/own.h"
#include "base/socket_option.h"
#include "vmm/machine/loop.h"
#include "vmm/process/environment.h"
#include "vmm/supervisor/errand.h"
#include "vmm/supervisor/service.h"
#include "vmm/supervisor/supervisor_channel.h"

struct supervisor_link {
    int channel;                    /* owned; -1 = the supervisor is gone */
    int inherited[INHERITED_COUNT]; /* owned; -1 = there is none, or it was taken */
    struct loop_watch *watch;
    struct loop_timer *beat; /* NULL: nobody wants to hear it */
    struct supervisor_policy policy;
    bool has_guest;              /* as it was told */
    void (*answered)(void *arg); /* to ERRAND_PAUSES */
    void *answered_arg;
};

static bool tell(const struct supervisor_link *l, const char *text, size_t n)
{
    return l->channel >= 0 && send(l->channel, text, n, MSG_NOSIGNAL | MSG_DONTWAIT) == (ssize_t)n;
}

/* What it says of itself. A supervisor that is stopped hears it later, or not. */
static void say(const struct supervisor_link *l, char what)
{
    (void)tell(l, &what, 1);
}

/* Nobody but the loop calls this: where it hangs, this is not said. */
static void beat(void *arg)
{
    struct supervisor_link *l = arg;

    say(l, ERRAND_BEATS);
    loop_timer_set(l->beat, clock_monotonic_ns() + service_beat_interval_ns());
}

static int beat_begin(struct supervisor_link *l, struct loop *loop, struct ferry_err *err)
{
    int rc;

    if (!service_beat_interval_ns())
        return 0;
    rc = loop_timer_new(&l->beat, loop, beat, l, err);
    if (!rc)
        beat(l);
    return rc;
}

/* It never speaks first: what can be read here is that answer, or its end. SIGTERM comes with that,
 * unless somebody else started this process: an older ferry, which knew no supervisor. */
static void channel_event(void *arg, short revents)
{
    struct supervisor_link *l = arg;
    char answer;
    ssize_t n = recv(l->channel, &answer, 1, MSG_DONTWAIT);

    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n == 1 && l->answered) {
        l->answered(l->answered_arg);
        return;
    }
    loop_watch_free(TAKE_PTR(l->watch));
    own_close_fd(&l->channel);
    log_warn("the supervisor of this VM (its first process) has ended");
}

/* A number in the environment, of a file descriptor that is open; else -1. */
static int inherited(const char *text, char **rest)
{
    long number = strtol(text, rest, 10);

    if (*rest == text || number < 0 || number > INT32_MAX ||
        fcntl((int)number, F_SETFD, FD_CLOEXEC) < 0)
        return -1;
    return (int)number;
}

static bool is_channel(int fd)
{
    return socket_option(fd, SO_TYPE) == SOCK_SEQPACKET;
}

static int read_environment(struct supervisor_link *l, struct ferry_err *err)
{
    const char *text = getenv(ENVIRONMENT_SUPERVISOR);
    char *rest = NULL;
    int channel = text ? inherited(text, &rest) : -1;
    int rc;

    if (!is_channel(channel))
        return err_set(err, EINVAL,
                       ENVIRONMENT_SUPERVISOR "=%.40s: that is no supervisor's channel",
                       text ? text : "");
    l->channel = channel;
    for (size_t i = 0; i < INHERITED_COUNT && *rest == ','; i++)
        l->inherited[i] = inherited(rest + 1, &rest);
    rc = supervisor_policy_parse(&l->policy, rest, err);
    if (rc < 0)
        return rc;
    unsetenv(ENVIRONMENT_SUPERVISOR);
    return 0;
}

int supervisor_link_new(struct supervisor_link **ret, struct loop *loop, struct ferry_err *err)
{
    struct supervisor_link *l = calloc(1, sizeof(*l));
    int rc;

    if (!l)
        return err_set(err, ENOMEM, "out of memory");
    l->channel = -1;
    for (size_t i = 0; i < INHERITED_COUNT; i++)
        l->inherited[i] = -1;
    rc = read_environment(l, err);
    if (!rc)
        rc = loop_watch_new(&l->watch, loop, l->channel, POLLIN, channel_event, l, err);
    if (!rc)
        rc = beat_begin(l, loop, err);
    if (rc < 0) {
        supervisor_link_free(l);
        return rc;
    }
    *ret = l;
    return 0;
}

void supervisor_link_free(struct supervisor_link *l)
{
    if (!l)
        return;
    if (l->beat)
        loop_timer_free(l->beat);
    if (l->watch)
        loop_watch_free(l->watch);
    own_close_fd(&l->channel);
    for (size_t i = 0; i < INHERITED_COUNT; i++)
        own_close_fd(&l->inherited[i]);
    free(l);
}

const struct supervisor_policy *supervisor_link_policy(const struct supervisor_link *l)
{
    return &l->policy;
}

void supervisor_link_has_guest(struct supervisor_link *l, bool has)
{
    if (l->has_guest != has)
        say(l, has ? ERRAND_HAS_GUEST : ERRAND_GAVE_GUEST);
    l->has_guest = has;
}

void supervisor_link_refused(struct supervisor_link *l)
{
    say(l, ERRAND_REFUSED);
}

int supervisor_link_take(struct supervisor_link *l, enum inherited which)
{
    return take_fd(&l->inherited[which]);
}

void supervisor_link_no_hurry(struct supervisor_link *l)
{
    say(l, ERRAND_NO_HURRY);
}

void supervisor_link_name(struct supervisor_link *l, const char *name)
{
    char text[1 + SUPERVISOR_NAME_BYTES];
    int n = snprintf(text, sizeof(text), "%c%s", SUPERVISOR_NAME, name);

    if (n > 1 && (size_t)n < sizeof(text))
        (void)tell(l, text, (size_t)n);
}

bool supervisor_link_pauses(struct supervisor_link *l, void (*answered)(void *arg), void *arg)
{
    const char pauses = ERRAND_PAUSES;

    l->answered = answered;
    l->answered_arg = arg;
    return tell(l, &pauses, 1);
}

void supervisor_link_pause_over(struct supervisor_link *l)
{
    say(l, ERRAND_OVER);
}

/* The head is in the byte order of the host: both are on it. */
static int send_request(int channel, uint32_t words_bytes, const char *words, const int *fds,
                        size_t fd_count)
{
    char knows[] = {'\0', SUPERVISOR_KEEPS};
    struct iovec iov[] = {{&words_bytes, sizeof(words_bytes)},
                          {(char *)(uintptr_t)words, strlen(words)},
                          {knows, sizeof(knows)}};
    ssize_t sent = fdmsg_send(channel, iov, 3, fds, fd_count);

    return sent < 0 ? (int)sent : 0;
}

int supervisor_link_ask(struct supervisor_link *l, const char *words, int client,
                        size_t words_bytes, int *ret_mail, struct ferry_err *err)
{
    OWN_FD int ours = -1;
    OWN_FD int theirs = -1;
    int pair[2];
    int rc;

    if (l->channel < 0)
        return err_set(err, EPIPE,
                       "the supervisor of this VM (its first process) is gone, which would have to "
                       "do this; the guest can only run on and end here");
    if (client < 0 && strlen(words) > SUPERVISOR_WORDS_BYTES)
        return err_set(err, EMSGSIZE, "the command has %zu bytes, a supervisor takes %u",
                       strlen(words), SUPERVISOR_WORDS_BYTES);
    rc = mail_pair(pair, err);
    if (rc < 0)
        return rc;
    ours = pair[0];
    theirs = pair[1];
    rc = send_request(l->channel, client < 0 ? 0 : (uint32_t)words_bytes, client < 0 ? words : "",
                      (int[]){theirs, client}, client < 0 ? 1 : 2);
    if (rc == -EAGAIN)
        return err_set(err, EAGAIN,
                       "the supervisor of this VM (its first process) has not read what it was "
                       "asked before: if it is stopped, 'kill -CONT' lets it go on");
    if (rc < 0)
        return err_sys(err, -rc, "cannot ask the supervisor");
    *ret_mail = take_fd(&ours);
    return 0;
}
