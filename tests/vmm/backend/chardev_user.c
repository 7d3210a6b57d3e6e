/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit.h"

#include "tests/vmm/backend/chardev_user.h"

#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/clock.h"

static void user_check(struct user *u)
{
    if (u->watched && *u->watched >= u->wanted)
        loop_stop(u->loop);
}

static size_t user_can_receive(void *arg)
{
    return ((struct user *)arg)->room;
}

static void user_receive(void *arg, const uint8_t *data, size_t n)
{
    struct user *u = arg;

    assert_true(n <= u->room);
    assert_true(u->got_bytes + n < sizeof(u->got));
    memcpy(u->got + u->got_bytes, data, n);
    u->got_bytes += n;
    u->room -= n;
}

static void user_writable(void *arg)
{
    struct user *u = arg;

    u->writables++;
    user_check(u);
}

static void user_event(void *arg, enum chardev_event event)
{
    struct user *u = arg;

    if (event == CHARDEV_OPENED)
        u->opened++;
    else
        u->closed++;
    user_check(u);
}

static void user_accept(void *arg, struct chardev *client)
{
    struct user *u = arg;

    u->client = client;
    u->accepted++;
    user_check(u);
}

static void user_quit(void *arg)
{
    ((struct user *)arg)->quits++;
}

static void user_client_came(void *arg)
{
    struct user *u = arg;

    u->came++;
    user_check(u);
}

static void user_drained(void *arg)
{
    struct user *u = arg;

    u->drained++;
    user_check(u);
}

const struct chardev_frontend user_frontend = {
    .can_receive = user_can_receive,
    .receive = user_receive,
    .writable = user_writable,
    .event = user_event,
};

const struct chardev_frontend user_frontend_many = {.accept = user_accept};

static void stop_loop(void *arg)
{
    loop_stop(((struct user *)arg)->loop);
}

/* Let the loop do what is due now and a little later. */
void user_turn(struct user *u, int64_t ns)
{
    struct loop_timer *t;
    struct ferry_err err;

    assert_int_equal(loop_timer_new(&t, u->loop, stop_loop, u, &err), 0);
    loop_timer_set(t, clock_monotonic_ns() + ns);
    loop_run(u->loop);
    loop_timer_free(t);
}

void user_until(struct user *u, const int *counter, int wanted)
{
    u->watched = counter;
    u->wanted = wanted;
    if (*counter < wanted)
        user_turn(u, 5000000000);
    u->watched = NULL;
    assert_true(*counter >= wanted);
}

void user_new(struct user *u, const struct config_chardev *config, bool escape)
{
    struct chardev_params params = {.config = &u->config,
                                    .loop = u->loop,
                                    .escape = escape,
                                    .quit = user_quit,
                                    .client_came = user_client_came,
                                    .drained = user_drained,
                                    .arg = u};
    struct ferry_err err;

    u->config = *config;
    if (config->path) {
        snprintf(u->path, sizeof(u->path), "%s", config->path);
        u->config.path = u->path;
    }
    assert_int_equal(chardev_new(&u->chardev, &params, &err), 0);
}

void user_open(struct user *u)
{
    struct ferry_err err = {0};
    int rc = chardev_open(u->chardev, &err);

    assert_string_equal(err.text, "");
    assert_int_equal(rc, 0);
}

void user_resume(struct user *u)
{
    struct ferry_part part = chardev_part(u->chardev);

    part.ops->resume(part.obj);
}

void user_start(struct user *u, const struct chardev_frontend *frontend)
{
    struct ferry_err err;

    assert_int_equal(chardev_set_frontend(u->chardev, frontend, u, &err), 0);
    user_resume(u);
    user_turn(u, SHORT_NS);
}

/* What a handover does: pause the old one, give copies of its fds to the new one by name. */
void hand_over(struct user *from, struct user *to)
{
    struct ferry_part old = chardev_part(from->chardev), new = chardev_part(to->chardev);
    struct ferry_named_fd named;
    struct ferry_err err = {0};

    from->drained = 0;
    if (old.ops->quiesce(old.obj))
        user_until(from, &from->drained, 1);
    old.ops->pause(old.obj);
    for (size_t i = 0; old.ops->fd_at(old.obj, i, &named) == 0; i++) {
        int copy;

        if (named.fd < 0)
            continue;
        copy = fcntl(named.fd, F_DUPFD_CLOEXEC, 3);
        assert_int_equal(new.ops->adopt(new.obj, named.name, &copy, &err), 0);
        assert_int_equal(copy, -1);
    }
}

int loop_setup(void **state)
{
    struct user *u = calloc(2, sizeof(*u));
    struct ferry_err err;

    assert_int_equal(loop_new(&u->loop, &err), 0);
    u[1].loop = u->loop;
    u[0].room = u[1].room = sizeof(u->got) - 1;
    *state = u;
    return 0;
}

int loop_teardown(void **state)
{
    struct user *u = *state;

    for (int i = 0; i < 2; i++)
        chardev_free(u[i].chardev);
    user_turn(u, SHORT_NS); /* what was posted goes with its chardev */
    loop_free(u->loop);
    free(u);
    return 0;
}

void temp_path(char *ret, size_t n, const char *name)
{
    snprintf(ret, n, "/tmp/ferry-chardev-%d-%s", getpid(), name);
    unlink(ret);
}

int connect_to(const char *path)
{
    struct sockaddr_un addr = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    snprintf(addr.sun_path, sizeof(addr.sun_path), "%s", path);
    assert_int_equal(connect(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
    return fd;
}

void assert_reads(int fd, const char *text)
{
    char got[256] = {0};
    size_t n = 0;

    while (n < strlen(text)) {
        struct pollfd p = {.fd = fd, .events = POLLIN};
        ssize_t r;

        assert_int_equal(poll(&p, 1, 2000), 1);
        r = read(fd, got + n, sizeof(got) - 1 - n);
        assert_true(r > 0);
        n += (size_t)r;
    }
    assert_string_equal(got, text);
}

struct config_chardev socket_config(char *path)
{
    return (struct config_chardev){.id = (char *)(uintptr_t) "con",
                                   .type = CONFIG_CHARDEV_SOCKET,
                                   .path = path,
                                   .server = true};
}
