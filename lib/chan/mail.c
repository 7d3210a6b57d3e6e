/* SPDX-License-Identifier: Apache-2.0 */
#include "lib/chan/mail.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>

#include "base/err.h"
#include "base/mail.h"
#include "base/own.h"

int chan_mail_ask(struct ferry_address *a, struct ferry_err *err)
{
    char once_more = 1;

    if (!a->mail_used) {
        a->mail_used = true;
        return 0;
    }
    if (send(a->mail, &once_more, 1, MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
        return err_sys(err, errno, "%s: cannot ask for another connection", a->text);
    return 0;
}

int chan_mail_take_fd(const struct ferry_address *a, int *ret_fd, char **ret_text,
                      struct ferry_err *err)
{
    struct mail m;
    int r = mail_recv(a->mail, &m, err);

    if (r < 0)
        return r;
    *ret_text = strdup(*m.text ? m.text : a->text);
    if (m.fds[0] < 0)
        r = err_set(err, EPROTO, "%s: nothing open came for it", a->text);
    else if (!*ret_text)
        r = err_set(err, ENOMEM, "no memory for an address");
    else
        *ret_fd = take_fd(&m.fds[0]);
    mail_free(&m);
    return r;
}

/* Of which more will be heard (chan_finish). */
static bool has_an_end(const struct ferry_address *a, const struct mail *m)
{
    return a->type->kind == FERRY_ADDRESS_EXEC ||
           (a->type->kind == FERRY_ADDRESS_FILE && m->value == CHAN_MAIL_DRAFT);
}

int chan_mail_take(const struct ferry_address *a, struct ferry_chan **ret, struct ferry_err *err)
{
    struct mail m;
    int r = mail_recv(a->mail, &m, err);

    if (r < 0)
        return r;
    r = m.fds[0] < 0 ? err_set(err, EPROTO, "%s: nothing open came for it", a->text)
                     : chan_new(ret, &m.fds[0], *m.text ? m.text : a->text, err);
    if (!r) {
        (*ret)->traits.many = a->type->many;
        (*ret)->direct_fd = take_fd(&m.fds[1]);
        if (has_an_end(a, &m))
            (*ret)->mail = fcntl(a->mail, F_DUPFD_CLOEXEC, 3);
        if (has_an_end(a, &m) && (*ret)->mail < 0) {
            ferry_chan_free(*ret);
            r = err_sys(err, errno, "%s: cannot watch it to its end", a->text);
        }
    }
    mail_free(&m);
    return r;
}
