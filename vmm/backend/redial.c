/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/backend/redial.h"

#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/mail.h"
#include "base/own.h"

struct redial {
    struct redial_params params;
    enum { IDLE, WAITING, ASKING } state;
    bool told; /* that it is refused, since the last connection */
    struct loop_timer *timer;
    int mail; /* owned; -1: nobody is asked */
    struct loop_watch *watch;
};

static void hang_up(struct redial *r)
{
    loop_watch_free(TAKE_PTR(r->watch));
    own_close_fd(&r->mail);
}

static void wait_again(struct redial *r)
{
    r->state = WAITING;
    loop_timer_set(r->timer, clock_monotonic_ns() + (int64_t)r->params.wait_ms * 1000000);
}

static void refused(struct redial *r, const struct ferry_err *err)
{
    hang_up(r);
    if (!r->told && r->params.refused)
        r->params.refused(r->params.arg, err);
    r->told = true;
    wait_again(r);
}

static void answered(void *arg, short revents)
{
    struct redial *r = arg;
    struct mail m;
    struct ferry_err err;
    int rc = mail_recv(r->mail, &m, &err);

    if (rc == -EAGAIN)
        return;
    if (!rc && m.kind == MAIL_HEARD) {
        mail_free(&m);
        return;
    }
    if (!rc && (m.kind != MAIL_OPENED || m.fds[0] < 0)) {
        mail_free(&m);
        rc = err_set(&err, EPROTO, "an answer without a connection came");
    }
    if (!rc) {
        hang_up(r);
        r->state = IDLE;
        rc = r->params.connected(r->params.arg, &m.fds[0], &err);
        mail_free(&m);
    }
    if (rc < 0)
        refused(r, &err);
    else
        r->told = false;
}

static void ask(void *arg)
{
    struct redial *r = arg;
    struct ferry_err err;
    int rc;

    if (r->state != WAITING)
        return;
    r->state = ASKING;
    rc = r->params.ask(r->params.arg, &r->mail, &err);
    if (!rc)
        rc = loop_watch_new(&r->watch, r->params.loop, r->mail, POLLIN, answered, r, &err);
    if (rc < 0)
        refused(r, &err);
}

int redial_new(struct redial **ret, const struct redial_params *params, struct ferry_err *err)
{
    struct redial *r = calloc(1, sizeof(*r));
    int rc;

    if (!r)
        return err_set(err, ENOMEM, "out of memory");
    r->params = *params;
    r->mail = -1;
    rc = loop_timer_new(&r->timer, params->loop, ask, r, err);
    if (rc < 0)
        free(r);
    else
        *ret = r;
    return rc;
}

void redial_start(struct redial *r)
{
    if (r->state == IDLE)
        wait_again(r);
}

void redial_stop(struct redial *r)
{
    hang_up(r);
    loop_timer_set(r->timer, INT64_MAX);
    r->state = IDLE;
}

void redial_free(struct redial *r)
{
    if (!r)
        return;
    hang_up(r);
    loop_timer_free(r->timer);
    free(r);
}
