/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit.h"

#include "tests/vmm/qmp/turns.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/clock.h"

static void stop_loop(void *arg)
{
    loop_stop(arg);
}

void turn_ns(struct loop *loop, int64_t ns)
{
    struct loop_timer *t;
    struct ferry_err err;

    assert_int_equal(loop_timer_new(&t, loop, stop_loop, loop, &err), 0);
    loop_timer_set(t, clock_monotonic_ns() + ns);
    loop_run(loop);
    loop_timer_free(t);
}

void turn(struct loop *loop)
{
    turn_ns(loop, 10000000);
}

int client_new(const char *path)
{
    struct sockaddr_un addr = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    snprintf(addr.sun_path, sizeof(addr.sun_path), "%s", path);
    assert_int_equal(connect(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
    fcntl(fd, F_SETFL, O_NONBLOCK);
    return fd;
}

void client_send(int fd, const char *text)
{
    assert_int_equal(send(fd, text, strlen(text), MSG_NOSIGNAL), strlen(text));
}

const char *client_read(int fd, char *ret, size_t bytes)
{
    size_t n = 0;
    ssize_t r;

    while ((r = read(fd, ret + n, bytes - 1 - n)) > 0)
        n += (size_t)r;
    if (r == 0 || (r < 0 && errno != EAGAIN))
        n += (size_t)snprintf(ret + n, bytes - n, "EOF");
    ret[n] = '\0';
    return ret;
}
