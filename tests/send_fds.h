/* SPDX-License-Identifier: Apache-2.0 */
/* A text and file descriptors in one message over a UNIX socket. */
#pragma once

#include "tests/unit.h"

#include <string.h>
#include <sys/socket.h>

#define SEND_FDS_MAX 253

/* Copies of these; at most SEND_FDS_MAX, which is what the kernel takes. */
static inline void send_fds(int socket, const char *text, const int *fds, size_t count)
{
    char control[CMSG_SPACE(SEND_FDS_MAX * sizeof(int))] = {0};
    struct iovec iov = {.iov_base = (char *)(uintptr_t)text, .iov_len = strlen(text)};
    struct msghdr msg = {.msg_iov = &iov,
                         .msg_iovlen = 1,
                         .msg_control = control,
                         .msg_controllen = CMSG_SPACE(count * sizeof(int))};
    struct cmsghdr *c = CMSG_FIRSTHDR(&msg);

    c->cmsg_level = SOL_SOCKET;
    c->cmsg_type = SCM_RIGHTS;
    c->cmsg_len = CMSG_LEN(count * sizeof(int));
    memcpy(CMSG_DATA(c), fds, count * sizeof(int));
    assert_int_equal(sendmsg(socket, &msg, MSG_NOSIGNAL), (ssize_t)strlen(text));
}
