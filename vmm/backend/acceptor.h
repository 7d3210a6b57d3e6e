/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who connects to a listening socket, one at a time from the loop.
 *
 * A process that may open no more files cannot accept, and the connection that waits would wake it
 * for ever: then the acceptor looks again a little later, when a file may have been closed, and
 * has said so once. Main thread; the ops run without the machine lock, and
 * accepted() may free the acceptor.
 */
#pragma once

#include <stdbool.h>

#include <ferry/err.h>

#include "vmm/machine/loop.h"

struct acceptor;

struct acceptor_ops {
    /* *fd is non-blocking and closed if it is not taken. */
    void (*accepted)(void *arg, int *fd);
    /*
     * Asked before: whoever is in a pause, where switching off costs time that the guest has not,
     * says no instead and the acceptor switches itself off. NULL: always.
     */
    bool (*wanted)(void *arg);
};

/* listen_fd is a loan and must stay open. Accepts nobody until it is switched on. */
int acceptor_new(struct acceptor **ret, struct loop *loop, int listen_fd,
                 const struct acceptor_ops *ops, void *arg, struct ferry_err *err) FERRY_MUST_CHECK;
void acceptor_set(struct acceptor *a, bool on);
void acceptor_free(struct acceptor *a);
