/* SPDX-License-Identifier: Apache-2.0 */
/* For tests: a listener as a target steps it, until it listens. */
#pragma once

#include <poll.h>

#include "lib/chan/listener.h"

static inline int wait_until_it_listens(struct ferry_listener *l, struct ferry_err *err)
{
    int r = 0;

    while (r == 0 && !ferry_listener_is_ready(l)) {
        struct pollfd p = {.fd = listener_fd(l), .events = POLLIN};
        struct ferry_chan *none = NULL;

        assert_int_equal(poll(&p, 1, -1), 1);
        r = listener_accept(l, &none, err);
    }
    return r;
}
