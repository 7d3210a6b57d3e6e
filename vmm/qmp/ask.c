/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/qmp/ask.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/mail.h"
#include "base/own.h"
#include "vmm/machine/loop.h"
#include "vmm/qmp/json_build.h"
#include "vmm/qmp/json_out.h"
#include "vmm/qmp/monitor.h"
#include "vmm/qmp/session.h"

struct ask {
    struct qmp_call *call;
    int mail;                                     /* owned */
    struct ferry_named_fd opened[ASK_THINGS_MAX]; /* owned; for things() */
    size_t opened_count;
    struct loop_watch *watch;
    struct loop_timer *patience;
    bool heard;        /* who was asked has the words */
    bool words_unread; /* they are in the client's connection until then */
    bool until_opened;
    ask_things_fn *things;
    ask_fn *fn;
    void *arg;
    void (*free_arg)(void *arg);
};

bool ask_is_needed(const struct qmp_call *call)
{
    return monitor_env(call->monitor)->ask != NULL;
}

void ask_free(struct ask *a)
{
    if (!a)
        return;
    if (a->watch)
        loop_watch_free(a->watch);
    if (a->patience)
        loop_timer_free(a->patience);
    own_close_fd(&a->mail);
    for (size_t i = 0; i < a->opened_count; i++)
        own_close_fd(&a->opened[i].fd);
    if (a->free_arg)
        a->free_arg(a->arg);
    free(a);
}

/* why: it was refused. */
static void finish(struct ask *a, const struct ferry_err *why)
{
    struct qmp_call *call = a->call;
    OWN_FD int mail = take_fd(&a->mail);
    struct json_object *ret = NULL;
    struct ferry_err err = {0};
    int rc;

    call->ask = NULL;
    loop_watch_free(TAKE_PTR(a->watch)); /* whoever takes the mail watches it */
    if (why) {
        err = *why;
        rc = -why->errnum;
    } else if (a->things) {
        rc = a->things(call, a->arg, a->opened, a->opened_count, &ret, &err);
    } else {
        rc = a->fn(call, a->arg, &mail, &err);
    }
    ask_free(a);
    own_close_fd(&mail); /* nothing of it is left when the client hears */
    if (rc != QMP_DEFERRED)
        qmp_call_finish(call, rc, ret, &err);
}

static void words_done(struct ask *a, enum session_words what)
{
    a->heard = true;
    loop_timer_set(a->patience, INT64_MAX);
    if (a->words_unread && a->call->session)
        session_words_done(a->call->session, what);
}

/* The client's words are used up, or still there. */
static int hear_of_words(struct ask *a, struct ferry_err *err)
{
    struct mail m;
    int rc = mail_recv(a->mail, &m, err);

    if (rc == -EAGAIN)
        return rc;
    if (!rc) {
        rc = m.kind == MAIL_HEARD ? 0 : err_set(err, EPROTO, "the supervisor did not listen");
        mail_free(&m);
    }
    words_done(a, rc == 0        ? SESSION_WORDS_READ
                  : rc == -EPIPE ? SESSION_WORDS_LOST
                                 : SESSION_WORDS_UNREAD);
    return rc;
}

/* Hanging up is what keeps it from being done when the supervisor goes on. */
static void patience_is_over(void *arg)
{
    struct ask *a = arg;
    struct ferry_err err;

    err_set(&err, ETIMEDOUT,
            "the supervisor of this VM (its first process) has not listened for %d s, and nothing "
            "was done: if it is stopped, 'kill -CONT' lets it go on",
            (int)(ASK_PATIENCE_NS / 1000000000));
    own_close_fd(&a->mail);
    words_done(a, SESSION_WORDS_UNREAD);
    finish(a, &err);
}

/* What is one too many is closed. */
static void keep_thing(struct ask *a, struct mail *m)
{
    struct ferry_named_fd *thing = &a->opened[a->opened_count];

    if (m->kind != MAIL_OPENED || m->fds[0] < 0 || a->opened_count == ASK_THINGS_MAX)
        return;
    thing->fd = take_fd(&m->fds[0]);
    snprintf(thing->name, sizeof(thing->name), "%.*s", (int)sizeof(thing->name) - 1, m->text);
    a->opened_count++;
}

/*
 * Not before who opened it has ended: as long as two have it, it is not gone when the VM gives it
 * up, and cannot be had again.
 */
static void hear_of_things(struct ask *a)
{
    struct ferry_err err;
    struct mail m;
    int rc = mail_recv(a->mail, &m, &err);
    bool ended = rc == -EPIPE;

    if (rc == -EAGAIN)
        return;
    if (!rc) {
        ended = m.kind == MAIL_ENDED;
        if (ended)
            err_set(&err, EPROTO, "the supervisor has opened nothing");
        else
            keep_thing(a, &m);
        mail_free(&m);
    }
    if (ended || rc < 0)
        finish(a, ended && a->opened_count ? NULL : &err);
}

static void mail_came(void *arg, short revents)
{
    struct ask *a = arg;
    struct ferry_err err;
    int rc;

    if (!a->heard) {
        rc = hear_of_words(a, &err);
        if (rc == -EAGAIN)
            return;
        if (rc < 0) {
            finish(a, &err);
            return;
        }
        if (a->until_opened || a->things)
            return;
    }
    if (a->things)
        hear_of_things(a);
    else
        finish(a, NULL);
}

static char *make_words(const struct ask_params *params)
{
    struct json_object *message = json_object_new_object();
    char *ret;

    json_put_str(message, "execute", params->command);
    json_put(message, "arguments", json_object_get(params->args));
    ret = json_out_text(message);
    json_object_put(message);
    return ret;
}

int ask_begin(struct qmp_call *call, const struct ask_params *params, struct ferry_err *err)
{
    const struct monitor_env *env = monitor_env(call->monitor);
    OWN_MEM char *words = make_words(params);
    struct ask *a = calloc(1, sizeof(*a));
    int client = -1, rc;
    size_t words_bytes = 0;

    if (!a || !words) {
        params->free_arg(params->arg);
        free(a);
        return err_set(err, ENOMEM, "out of memory");
    }
    *a = (struct ask){
        .call = call,
        .mail = -1,
        .until_opened = params->until_opened,
        .things = params->things,
        .fn = params->fn,
        .arg = params->arg,
        .free_arg = params->free_arg,
    };
    if (call->session)
        a->words_unread = session_words(call->session, &client, &words_bytes);
    rc = env->ask(env->ask_arg, words, client, words_bytes, &a->mail, err);
    if (!rc && a->words_unread)
        session_words_asked(call->session);
    if (!rc) {
        rc = loop_watch_new(&a->watch, monitor_loop(call->monitor), a->mail, POLLIN, mail_came, a,
                            err);
        if (!rc)
            rc =
                loop_timer_new(&a->patience, monitor_loop(call->monitor), patience_is_over, a, err);
        /* Who was asked may read them at any time; nobody would hear of it. */
        if (rc < 0 && a->words_unread)
            session_words_done(call->session, SESSION_WORDS_LOST);
    }
    if (rc < 0) {
        ask_free(a);
        return rc;
    }
    loop_timer_set(a->patience, clock_monotonic_ns() + ASK_PATIENCE_NS);
    call->ask = a;
    return QMP_DEFERRED;
}
