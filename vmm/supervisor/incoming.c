/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/supervisor/incoming.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <ferry/chan.h>

#include "base/err.h"
#include "base/mail.h"
#include "base/own.h"
#include "vmm/process/environment.h"

extern char **environ;

int incoming_explain(int rc, const char *uri, struct ferry_err *err)
{
    if (rc != -EREMOTE)
        return rc;
    return err_set(err, EPERM,
                   "other hosts can reach %s, and a stream is neither encrypted yet nor does it "
                   "prove who sends it: listen on tcp:127.0.0.1:PORT and let ssh or the like "
                   "bring the stream there, or say --insecure on a network that you trust",
                   uri);
}

static void serve(const struct ferry_address *a, int mail)
{
    (void)setsid(); /* what a terminal sends is for who waits there, who then hangs up here */
    environ = environment_for_child(NULL);
    if (environ)
        ferry_address_serve(a, false, mail);
    _exit(!environ);
}

static int wait_for_answer(const struct incoming *i, const char *uri, struct ferry_err *err)
{
    struct pollfd p = {.fd = i->mail, .events = POLLIN};

    while (poll(&p, 1, -1) < 0)
        if (errno != EINTR)
            return err_sys(err, errno, "cannot wait for %s", uri);
    return 0;
}

/* Of a listener: its socket, or why there is none. What a command sends is for the VMM. */
static int hear(struct incoming *i, const char *uri, struct ferry_err *err)
{
    struct mail m;
    int rc = mail_recv(i->mail, &m, err);

    if (rc < 0)
        return incoming_explain(rc, uri, err);
    i->fd = take_fd(&m.fds[0]);
    snprintf(i->text, sizeof(i->text), "%s", m.text);
    mail_free(&m);
    return i->fd < 0 ? err_set(err, EPROTO, "%s: nothing open came for it", uri) : 0;
}

int incoming_open(struct incoming *ret, const char *uri, bool only_loopback, struct ferry_err *err)
{
    OWN(ferry_address_freep) struct ferry_address *a = NULL;
    struct incoming i = {.mail = -1, .mail_to_vmm = -1, .offered = -1, .fd = -1};
    bool command;
    int pair[2], rc;

    *ret = i;
    if (!strcmp(uri, "defer"))
        return 0;
    rc = ferry_address_parse(&a, uri, NULL, O_RDONLY, err);
    if (rc < 0)
        return rc;
    command = ferry_address_kind(a) == FERRY_ADDRESS_EXEC;
    if (!command && ferry_address_kind(a) != FERRY_ADDRESS_TCP &&
        ferry_address_kind(a) != FERRY_ADDRESS_UNIX)
        return 0;
    if (only_loopback)
        ferry_address_only_loopback(a);
    rc = mail_pair(pair, err);
    if (rc < 0)
        return rc;
    i.mail = pair[0];
    i.mail_to_vmm = pair[1];
    i.child = fork();
    if (i.child == 0) {
        own_close_fd(&i.mail);
        serve(a, i.mail_to_vmm);
    }
    rc = i.child < 0 ? err_sys(err, errno, "cannot start a process") : 0;
    if (!command)
        own_close_fd(&i.mail_to_vmm);
    if (!rc)
        rc = wait_for_answer(&i, uri, err);
    if (!rc && !command)
        rc = hear(&i, uri, err);
    if (rc < 0) {
        incoming_close(&i);
        return rc;
    }
    *ret = i;
    return 0;
}

int incoming_offer(struct incoming *i, int *ret_mail, struct ferry_err *err)
{
    int pair[2], rc;

    if (i->fd < 0) {
        *ret_mail = take_fd(&i->mail);
        return 0;
    }
    rc = mail_pair(pair, err);
    if (rc < 0)
        return rc;
    rc = mail_send(pair[1], MAIL_OPENED, 0, i->text, &i->fd, 1);
    own_close_fd(&i->offered);
    i->offered = pair[1];
    if (rc < 0) {
        close(pair[0]);
        return err_sys(err, -rc, "cannot pass %s on", i->text);
    }
    *ret_mail = pair[0];
    return 0;
}

void incoming_close(struct incoming *i)
{
    own_close_fd(&i->fd);
    own_close_fd(&i->mail);
    own_close_fd(&i->mail_to_vmm);
    own_close_fd(&i->offered);
}
