/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit.h"

#include "tests/vmm/qmp/command_bench.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <ferry/ram.h>

#include "base/buf.h"
#include "base/own.h"
#include "vmm/backend/block.h"
#include "vmm/backend/chardev.h"
#include "vmm/backend/net.h"
#include "vmm/dev/kinds.h"
#include "vmm/dev/virtio/virtio.h"
#include "vmm/qmp/client.h"
#include "vmm/qmp/command.h"
#include "vmm/qmp/json_in.h"
#include "vmm/qmp/json_out.h"
#include "vmm/qmp/monitor.h"

static struct chardev *chardev_at(void *arg, size_t index)
{
    return index == 0 ? ((struct bench *)arg)->chardev : NULL;
}

static struct block *block_at(void *arg, size_t index)
{
    return index == 0 ? ((struct bench *)arg)->block : NULL;
}

static struct net *netdev_at(void *arg, size_t index)
{
    return index == 0 ? ((struct bench *)arg)->net : NULL;
}

/* --- The client --- */

static const struct qmp_command *find(const char *name)
{
    const struct qmp_command *c = qmp_ferry_table.commands;

    while (c->name && strcmp(c->name, name) != 0)
        c++;
    assert_non_null(c->name);
    return c;
}

struct json_object *json(const char *text)
{
    struct json_object *value;
    struct ferry_err err;

    assert_int_equal(json_in_text(text, &value, &err), 0);
    return value;
}

/* Executes; the answer must be of the type that the table says. */
struct json_object *run(struct bench *b, const char *command, const char *args)
{
    struct json_object *ret = NULL, *a = args ? json(args) : NULL;
    const struct qmp_type *type = find(command)->ret;
    struct ferry_err err = {0};
    int rc = qmp_client_execute(b->client, command, a, TIMEOUT_NS, &ret, &err);

    assert_string_equal(err.text, "");
    assert_int_equal(rc, 0);
    rc = qmp_check(type ? type : &qmp_empty, ret, &err);
    assert_string_equal(err.text, "");
    assert_int_equal(rc, 0);
    json_object_put(a);
    return ret;
}

void run_says(struct bench *b, const char *command, const char *args, const char *wanted)
{
    struct json_object *ret = run(b, command, args);
    OWN(buf_free) struct buf text = {0};

    json_out_value(&text, ret);
    buf_u8(&text, 0);
    assert_string_equal(text.data, wanted);
    json_object_put(ret);
}

void run_fails(struct bench *b, const char *command, const char *args, const char *wanted)
{
    struct json_object *ret = NULL, *a = args ? json(args) : NULL;
    struct ferry_err err = {0};

    assert_int_equal(qmp_client_execute(b->client, command, a, TIMEOUT_NS, &ret, &err), -EREMOTEIO);
    assert_string_equal(err.text, wanted);
    json_object_put(a);
}

void event_says(struct bench *b, const char *name, const char *data)
{
    struct json_object *event;
    OWN(buf_free) struct buf text = {0};
    const struct qmp_event *e = qmp_ferry_table.events;
    struct ferry_err err = {0};

    assert_int_equal(qmp_client_event(b->client, TIMEOUT_NS, &event, &err), 0);
    assert_string_equal(qmp_get_str(event, "event"), name);
    while (strcmp(e->name, name) != 0)
        assert_non_null((++e)->name);
    assert_int_equal(qmp_get(event, "data") != NULL, e->data != NULL);
    if (e->data) {
        assert_int_equal(qmp_check(e->data, qmp_get(event, "data"), &err), 0);
        json_out_value(&text, qmp_get(event, "data"));
    }
    buf_u8(&text, 0);
    assert_string_equal(text.data, data);
    json_object_put(event);
}

static void stop_loop(void *arg)
{
    loop_stop(arg);
}

static void *loop_thread(void *arg)
{
    loop_run(arg);
    return NULL;
}

/* --- Around it --- */

int bench_setup(void **state)
{
    struct bench *b = calloc(1, sizeof(*b));
    struct chardev_params params = {.config = &b->config};
    struct ferry_ram_region *region;
    struct monitor_env env = {.vm = &b->vm,
                              .migration = &b->migration,
                              .chardev_at = chardev_at,
                              .block_at = block_at,
                              .netdev_at = netdev_at,
                              .arg = b,
                              .kind_at = device_kind_at,
                              .ask = fake_ask,
                              .ask_arg = &b->migration};
    struct ferry_part part;
    struct ferry_err err = {0};

    snprintf(b->path, sizeof(b->path), "/tmp/ferry-command-%d", getpid());
    snprintf(b->image, sizeof(b->image), "/tmp/ferry-command-%d.img", getpid());
    b->config = (struct config_chardev){.id = (char *)(uintptr_t) "compat_monitor0",
                                        .type = CONFIG_CHARDEV_SOCKET,
                                        .path = b->path,
                                        .server = true};
    b->vm.state = RUN_STATE_RUNNING;
    b->vm.generation = true;
    b->vm.config =
        (struct vm_config){.machine = &fake_machine,
                           .name = (char *)(uintptr_t) "web1",
                           .uuid = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16},
                           .ram_bytes = 128 << 20,
                           .harts = 2,
                           .drive_count = 1,
                           .devices = b->devices,
                           .device_count = 2,
                           .netdev_count = 1};
    b->vm.config.drives[0] = (struct config_drive){
        .id = (char *)(uintptr_t) "d0", .path = b->image, .direct = true, .locking = true};
    b->disk.virtio.device = (struct config_device){.kind = &virtio_blk_device.kind,
                                                   .id = (char *)(uintptr_t) "vda",
                                                   .backend = (char *)(uintptr_t) "d0"};
    b->devices[0] = &b->disk.virtio.device;
    b->vm.config.netdevs[0] = (struct config_netdev){.id = (char *)(uintptr_t) "n0",
                                                     .type = CONFIG_NETDEV_STREAM,
                                                     .path = (char *)(uintptr_t) "/run/passt",
                                                     .fd = -1,
                                                     .reconnect_ms = 250};
    b->card = (struct config_card){.virtio.device = {.kind = &virtio_net_device.kind,
                                                     .id = (char *)(uintptr_t) "nic0",
                                                     .backend = (char *)(uintptr_t) "n0"},
                                   .mac = {0x52, 0x54, 0, 0x12, 0x34, 0x56}};
    b->devices[1] = &b->card.virtio.device;
    machine_lock_init(&b->lock);
    migration_params_init(&b->migration.params);
    assert_int_equal(loop_new(&b->loop, &err), 0);
    params.loop = b->loop;
    assert_int_equal(ferry_ram_new(&b->ram, &err), 0);
    assert_int_equal(ferry_ram_add(b->ram, "ram0", 16 << 20, &region, &err), 0);
    env.ram = b->ram;
    assert_int_equal(block_new(&b->block, &b->vm.config.drives[0], &err), 0);
    assert_int_equal(net_new(&b->net, &b->vm.config.netdevs[0], b->loop, &b->lock, &err), 0);
    assert_int_equal(monitor_new(&b->monitor, b->loop, &qmp_ferry_table, &env, &err), 0);
    assert_int_equal(chardev_new(&b->chardev, &params, &err), 0);
    assert_int_equal(monitor_attach(b->monitor, b->chardev, false, &err), 0);
    assert_int_equal(chardev_open(b->chardev, &err), 0);
    part = chardev_part(b->chardev);
    part.ops->resume(part.obj);
    assert_int_equal(pthread_create(&b->thread, NULL, loop_thread, b->loop), 0);
    assert_int_equal(qmp_client_new(&b->client, b->path, TIMEOUT_NS, &err), 0);
    *state = b;
    return 0;
}

int bench_teardown(void **state)
{
    struct bench *b = *state;

    assert_int_equal(loop_post(b->loop, stop_loop, b->loop), 0);
    pthread_join(b->thread, NULL);
    qmp_client_free(b->client);
    monitor_free(b->monitor);
    chardev_free(b->chardev);
    block_free(b->block);
    net_free(b->net);
    ferry_ram_free(b->ram);
    assert_int_equal(loop_post(b->loop, stop_loop, b->loop), 0);
    loop_run(b->loop);
    loop_free(b->loop);
    free(b);
    return 0;
}
