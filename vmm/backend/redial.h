/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Connects to a lost peer again: waits, asks for a connection, and does so until there is one.
 *
 *   idle --start--> waiting --time--> asking --answer--> idle
 *                      ^                  |
 *                      +---- refused -----+      stop: idle, from everywhere
 *
 * This process may not connect (docs/sandbox.md): somebody else is asked, and answers by mail
 * (base/mail.h). There is one question at a time and one wait between two, so that a peer that ends
 * every connection at once costs no more than one that is not there. Main thread. Nothing
 * blocks.
 */
#pragma once

#include <stdint.h>

#include <ferry/err.h>

#include "vmm/machine/loop.h"

struct redial;

struct redial_params {
    struct loop *loop; /* a loan */
    uint32_t wait_ms;
    /* Ask for a connection. *ret_mail: where the answer comes, owned by the redial then. */
    int (*ask)(void *arg, int *ret_mail, struct ferry_err *err);
    /* Takes *fd if it is what it should be; else it counts as refused. */
    int (*connected)(void *arg, int *fd, struct ferry_err *err);
    /* The first time in a row that nothing came of it. May be NULL. */
    void (*refused)(void *arg, const struct ferry_err *err);
    void *arg;
};

int redial_new(struct redial **ret, const struct redial_params *params,
               struct ferry_err *err) FERRY_MUST_CHECK;
/* In wait_ms. Nothing if it is at it already. */
void redial_start(struct redial *r);
/* Whatever was asked for is not wanted any more. */
void redial_stop(struct redial *r);
void redial_free(struct redial *r);
