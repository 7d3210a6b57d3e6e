/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A command that needs what this process may not do itself: another one is asked (monitor_env's
 * ask), and the command goes on when that has answered. The words that ask are the client's own,
 * left unread in its connection, where that is possible (session.h). Main thread.
 */
#pragma once

#include <ferry/part.h>

#include "vmm/qmp/command.h"

/* Who was asked has to listen in that time; what it then does takes as long as it takes. */
#define ASK_PATIENCE_NS (INT64_C(10) * 1000000000)

struct ask;

/*
 * The command goes on, as a handler does that returns no value: 0, a negative errno, or
 * QMP_DEFERRED. *mail: where it is told what was opened (base/mail.h); closed if it is not taken.
 * arg is a loan.
 */
typedef int ask_fn(struct qmp_call *call, void *arg, int *mail, struct ferry_err *err);
/*
 * The same for what is opened for this process alone: when it alone has it. Each thing has a name,
 * as who opened it says; closed if it is not taken. As a handler it may return a value.
 */
#define ASK_THINGS_MAX 4
typedef int ask_things_fn(struct qmp_call *call, void *arg, struct ferry_named_fd *things,
                          size_t count, struct json_object **ret, struct ferry_err *err);

struct ask_params {
    const char *command;      /* whose args these are */
    struct json_object *args; /* loan */
    bool until_opened;        /* fn() not before something was, or cannot be */
    ask_things_fn *things;    /* instead of fn() */
    ask_fn *fn;               /* once; not if it was refused, nor if the call is freed before */
    void *arg;
    void (*free_arg)(void *arg);
};

/* Is there anybody to be asked? */
bool ask_is_needed(const struct qmp_call *call);
/* Takes params->arg, also on failure. The call is deferred then: QMP_DEFERRED or a negative errno.
 */
int ask_begin(struct qmp_call *call, const struct ask_params *params,
              struct ferry_err *err) FERRY_MUST_CHECK;
void ask_free(struct ask *a);
