/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit.h"

#include "tests/vmm/qmp/talk.h"

#include <stdio.h>
#include <unistd.h>

#include "vmm/qmp/command.h"

void talk_begin(struct talk *t)
{
    struct chardev_params params = {.config = &t->config};
    struct monitor_env env = {.vm = &t->vm, .migration = &t->migration};
    struct ferry_part part;
    struct ferry_err err;

    t->vm.state = RUN_STATE_RUNNING;
    migration_params_init(&t->migration.params);
    assert_int_equal(loop_new(&t->loop, &err), 0);
    assert_int_equal(fd_table_new(&t->fds, &err), 0);
    env.fds = t->fds;
    assert_int_equal(monitor_new(&t->monitor, t->loop, &qmp_ferry_table, &env, &err), 0);
    snprintf(t->path, sizeof(t->path), "/tmp/ferry-talk-%d", getpid());
    t->config = (struct config_chardev){.id = (char *)(uintptr_t) "compat_monitor0",
                                        .type = CONFIG_CHARDEV_SOCKET,
                                        .path = t->path,
                                        .server = true};
    params.loop = t->loop;
    assert_int_equal(chardev_new(&t->chardev, &params, &err), 0);
    assert_int_equal(monitor_attach(t->monitor, t->chardev, false, &err), 0);
    assert_int_equal(chardev_open(t->chardev, &err), 0);
    part = chardev_part(t->chardev);
    part.ops->resume(part.obj);
    turn(t->loop);
}

void talk_end(struct talk *t)
{
    monitor_free(t->monitor);
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
