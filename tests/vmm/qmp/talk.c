/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit.h"

#include "tests/vmm/qmp/talk.h"

#include <stdio.h>
#include <unistd.h>

#include "vmm/qmp/command.h"

static bool is_replaced(void *arg)
{
    return true;
}

static void new_monitor(struct talk *t)
{
    struct chardev_params params = {.config = &t->config, .loop = t->loop};
    const struct monitor_env env = {
        .vm = &t->vm,
        .migration = &t->migration,
        .fds = t->fds,
        .ask = t->ask,
        .ask_arg = &t->migration,
        .is_replaced = is_replaced,
    };
    struct mux_params mux_params = {.loop = t->loop, .places = 2};
    struct chardev *line;
    struct ferry_err err;

    t->vm.config.machine = &fake_machine;
    assert_int_equal(monitor_new(&t->monitor, t->loop, &qmp_ferry_table, &env, &err), 0);
    assert_int_equal(chardev_new(&t->chardev, &params, &err), 0);
    line = t->chardev;
    if (t->shared) {
        mux_params.line = t->chardev;
        assert_int_equal(mux_new(&t->mux, &mux_params, &err), 0);
        line = mux_place(t->mux, 0);
    }
    assert_int_equal(t->human ? monitor_attach_human(t->monitor, line, &err)
                              : monitor_attach(t->monitor, line, false, &err),
                     0);
}

static void resume_chardev(struct talk *t)
{
    struct ferry_part part = chardev_part(t->chardev);

    part.ops->resume(part.obj);
    if (!t->mux)
        return;
    part = mux_part(t->mux);
    part.ops->resume(part.obj);
}

void talk_begin(struct talk *t)
{
    struct ferry_err err;

    t->vm.state = RUN_STATE_RUNNING;
    migration_params_init(&t->migration.params);
    assert_int_equal(loop_new(&t->loop, &err), 0);
    assert_int_equal(fd_table_new(&t->fds, &err), 0);
    snprintf(t->path, sizeof(t->path), "/tmp/ferry-talk-%d", getpid());
    t->config = (struct config_chardev){.id = (char *)(uintptr_t) "compat_monitor0",
                                        .type = CONFIG_CHARDEV_SOCKET,
                                        .path = t->path,
                                        .server = true};
    new_monitor(t);
    assert_int_equal(chardev_open(t->chardev, &err), 0);
    resume_chardev(t);
    turn(t->loop);
}

/* As SCM_RIGHTS makes them. */
static void give(const struct ferry_part *to, const struct ferry_named_fd *named)
{
    struct ferry_err err;
    int fd = dup(named->fd);

    assert_true(fd >= 0);
    assert_int_equal(to->ops->adopt(to->obj, named->name, &fd, &err), 0);
}

static void replace_mux(struct mux *old, struct mux *new)
{
    struct ferry_part from = mux_part(old), to = mux_part(new);
    struct ferry_named_fd named;

    assert_int_equal(from.ops->quiesce(from.obj), 0);
    from.ops->pause(from.obj);
    assert_int_equal(from.ops->extra_fd_at(from.obj, 0, &named), 0);
    give(&to, &named);
}

void talk_replace(struct talk *t, void (*tamper)(void *arg, int record_fd), void *arg)
{
    struct monitor *old_monitor = t->monitor;
    struct chardev *old_chardev = t->chardev;
    struct mux *old_mux = t->mux;
    struct ferry_part from = monitor_part(old_monitor), line = chardev_part(old_chardev), to;
    struct ferry_named_fd named;

    new_monitor(t);
    assert_int_equal(from.ops->quiesce(from.obj), 0);
    line.ops->pause(line.obj);
    if (old_mux)
        replace_mux(old_mux, t->mux);
    from.ops->pause(from.obj);
    to = chardev_part(t->chardev);
    for (size_t i = 0; line.ops->fd_at(line.obj, i, &named) == 0; i++)
        if (named.fd >= 0)
            give(&to, &named);
    to = monitor_part(t->monitor);
    for (size_t i = 0; from.ops->extra_fd_at(from.obj, i, &named) == 0; i++) {
        if (i == 0 && tamper)
            tamper(arg, named.fd);
        give(&to, &named);
    }
    monitor_free(old_monitor);
    mux_free(old_mux);
    chardev_free(old_chardev);
    resume_chardev(t);
    monitor_arrived(t->monitor);
    monitor_answer_arrived(t->monitor);
}

void talk_end(struct talk *t)
{
    monitor_free(t->monitor);
    mux_free(t->mux);
    chardev_free(t->chardev);
    fd_table_free(t->fds);
    turn(t->loop);
    loop_free(t->loop);
}

int talk_client(struct talk *t)
{
    int fd = client_new(t->path);

    ASSERT_SAYS(t, fd, GREETING);
    client_send(fd, "{\"execute\":\"qmp_capabilities\"}");
    ASSERT_SAYS(t, fd, OK);
    return fd;
}
