/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/main/supervisor_link.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/err.h"
#include "base/fdmsg.h"
#include "base/log.h"
#include "base/mail.h"
#include "base/own.h"
#include "vmm/machine/loop.h"
#include "vmm/main/environment.h"
#include "vmm/main/errand.h"

struct supervisor_link {
    int channel; /* owned; -1 = the supervisor is gone */
    struct loop_watch *watch;
    struct supervisor_policy policy;
};

/* It never speaks first: what can be read here is its end. */
static void channel_event(void *arg, short revents)
{
    struct supervisor_link *l = arg;
    char none;

    if (recv(l->channel, &none, 1, MSG_DONTWAIT) < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    loop_watch_free(TAKE_PTR(l->watch));
    own_close_fd(&l->channel);
    log_warn("the supervisor of this VM has ended: the guest runs on, but cannot be updated, "
             "migrated or saved from here any more");
}

static int read_environment(struct supervisor_link *l, struct ferry_err *err)
{
    const char *text = getenv(ENVIRONMENT_SUPERVISOR);
    char *policy;
    long number = text ? strtol(text, &policy, 10) : -1;
    int type = 0, rc;
    socklen_t n = sizeof(type);

    if (!text || number < 0 || number > INT32_MAX ||
        getsockopt((int)number, SOL_SOCKET, SO_TYPE, &type, &n) < 0 || type != SOCK_SEQPACKET)
        return err_set(err, EINVAL,
                       ENVIRONMENT_SUPERVISOR "=%.40s: that is no supervisor's channel",
                       text ? text : "");
    rc = supervisor_policy_parse(&l->policy, policy, err);
    if (rc < 0)
        return rc;
    l->channel = (int)number;
    if (fcntl(l->channel, F_SETFD, FD_CLOEXEC) < 0)
        return err_sys(err, errno, "the supervisor's channel");
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
    rc = read_environment(l, err);
    if (!rc)
        rc = loop_watch_new(&l->watch, loop, l->channel, POLLIN, channel_event, l, err);
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
    if (l->watch)
        loop_watch_free(l->watch);
    own_close_fd(&l->channel);
    free(l);
}

const struct supervisor_policy *supervisor_link_policy(const struct supervisor_link *l)
{
    return &l->policy;
}

void supervisor_link_has_guest(struct supervisor_link *l)
{
    const char has_guest = ERRAND_HAS_GUEST;

    (void)!send(l->channel, &has_guest, 1, MSG_NOSIGNAL | MSG_DONTWAIT);
}

/* The head is in the byte order of the host: both are on it. */
static int send_request(int channel, uint32_t words_bytes, const char *words, const int *fds,
                        size_t fd_count)
{
    struct iovec iov[] = {{&words_bytes, sizeof(words_bytes)},
                          {(char *)(uintptr_t)words, strlen(words)}};
    ssize_t sent = fdmsg_send(channel, iov, 2, fds, fd_count);

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
    if (rc < 0)
        return err_sys(err, -rc, "cannot ask the supervisor");
    *ret_mail = take_fd(&ours);
    return 0;
}
