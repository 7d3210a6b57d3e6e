/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Every command, through the client library and a real socket: the monitor runs on a thread of
 * its own. Every answer is checked against the type that the table claims.
 */
#include "tests/unit.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <ferry/ram.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/own.h"
#include "tests/vmm/qmp/fake_vm.h"
#include "vmm/backend/block.h"
#include "vmm/backend/chardev.h"
#include "vmm/qmp/client.h"
#include "vmm/qmp/command.h"
#include "vmm/qmp/json_in.h"
#include "vmm/qmp/json_out.h"
#include "vmm/qmp/monitor.h"

#define TIMEOUT_NS 5000000000

struct bench {
    struct loop *loop;
    struct monitor *monitor;
    struct chardev *chardev;
    struct block *block;
    struct ferry_ram *ram;
    struct config_chardev config;
    char path[96], image[96];
    struct vm vm;
    struct migration migration;
    pthread_t thread; /* runs the loop */
    struct qmp_client *client;
};

static struct chardev *chardev_at(void *arg, size_t index)
{
    return index == 0 ? ((struct bench *)arg)->chardev : NULL;
}

static struct block *block_at(void *arg, size_t index)
{
    return index == 0 ? ((struct bench *)arg)->block : NULL;
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

static struct json_object *json(const char *text)
{
    struct json_object *value;
    struct ferry_err err;

    assert_int_equal(json_in_text(text, &value, &err), 0);
    return value;
}

/* Executes; the answer must be of the type that the table says. */
static struct json_object *run(struct bench *b, const char *command, const char *args)
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

static void run_says(struct bench *b, const char *command, const char *args, const char *wanted)
{
    struct json_object *ret = run(b, command, args);
    OWN(buf_free) struct buf text = {0};

    json_out_value(&text, ret);
    buf_u8(&text, 0);
    assert_string_equal(text.data, wanted);
    json_object_put(ret);
}

static void run_fails(struct bench *b, const char *command, const char *args, const char *wanted)
{
    struct json_object *ret = NULL, *a = args ? json(args) : NULL;
    struct ferry_err err = {0};

    assert_int_equal(qmp_client_execute(b->client, command, a, TIMEOUT_NS, &ret, &err), -EREMOTEIO);
    assert_string_equal(err.text, wanted);
    json_object_put(a);
}

static void event_says(struct bench *b, const char *name, const char *data)
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

static int setup(void **state)
{
    struct bench *b = calloc(1, sizeof(*b));
    struct chardev_params params = {.config = &b->config};
    struct ferry_ram_region *region;
    struct monitor_env env = {.vm = &b->vm,
                              .migration = &b->migration,
                              .chardev_at = chardev_at,
                              .block_at = block_at,
                              .arg = b,
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
    b->vm.config =
        (struct vm_config){.name = (char *)(uintptr_t) "web1",
                           .uuid = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16},
                           .ram_bytes = 128 << 20,
                           .harts = 2,
                           .drive_count = 1,
                           .device_count = 1};
    b->vm.config.drives[0] = (struct config_drive){
        .id = (char *)(uintptr_t) "d0", .path = b->image, .direct = true, .locking = true};
    b->vm.config.devices[0] = (struct config_device){.type = CONFIG_DEVICE_BLK,
                                                     .id = (char *)(uintptr_t) "vda",
                                                     .backend = (char *)(uintptr_t) "d0"};
    migration_params_init(&b->migration.params);
    assert_int_equal(loop_new(&b->loop, &err), 0);
    params.loop = b->loop;
    assert_int_equal(ferry_ram_new(&b->ram, &err), 0);
    assert_int_equal(ferry_ram_add(b->ram, "ram0", 16 << 20, &region, &err), 0);
    env.ram = b->ram;
    assert_int_equal(block_new(&b->block, &b->vm.config.drives[0], &err), 0);
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

static int teardown(void **state)
{
    struct bench *b = *state;

    assert_int_equal(loop_post(b->loop, stop_loop, b->loop), 0);
    pthread_join(b->thread, NULL);
    qmp_client_free(b->client);
    monitor_free(b->monitor);
    chardev_free(b->chardev);
    block_free(b->block);
    ferry_ram_free(b->ram);
    assert_int_equal(loop_post(b->loop, stop_loop, b->loop), 0);
    loop_run(b->loop);
    loop_free(b->loop);
    free(b);
    return 0;
}

/* --- Tests --- */

static void queries(void **state)
{
    struct bench *b = *state;
    char wanted[256];

    assert_string_equal(qmp_get_str(qmp_get(qmp_client_greeting(b->client), "version"), "package"),
                        "ferry 0.1.0");
    run_says(b, "query-version", NULL,
             "{\"qemu\": {\"micro\": 2, \"minor\": 0, \"major\": 10}, \"package\": \"ferry "
             "0.1.0\"}");
    run_says(b, "query-status", NULL, "{\"status\": \"running\", \"running\": true}");
    run_says(b, "query-name", NULL, "{\"name\": \"web1\"}");
    run_says(b, "query-uuid", NULL, "{\"UUID\": \"01020304-0506-0708-090a-0b0c0d0e0f10\"}");
    run_says(b, "query-target", NULL, "{\"arch\": \"riscv64\"}");
    run_says(b, "query-kvm", NULL, "{\"enabled\": false, \"present\": false}");
    run_says(b, "query-cpus-fast", NULL,
             "[{\"thread-id\": 1000, \"props\": {\"core-id\": 0}, \"qom-path\": "
             "\"/machine/soc0/harts[0]\", \"cpu-index\": 0, \"target\": \"riscv64\"}, "
             "{\"thread-id\": 1001, \"props\": {\"core-id\": 1}, \"qom-path\": "
             "\"/machine/soc0/harts[1]\", \"cpu-index\": 1, \"target\": \"riscv64\"}]");
    run_says(b, "query-memory-size-summary", NULL,
             "{\"base-memory\": 134217728, \"plugged-memory\": 0}");
    snprintf(wanted, sizeof(wanted),
             "[{\"frontend-open\": true, \"filename\": \"unix:%s,server=on\", "
             "\"label\": \"compat_monitor0\"}]",
             b->path);
    run_says(b, "query-chardev", NULL, wanted);
    run_fails(b, "query-status", "{\"x\":1}", "Parameter 'x' is unexpected");
}

static void drives(void **state)
{
    struct bench *b = *state;
    struct json_object *list = run(b, "query-block", NULL);
    struct json_object *disk = json_object_array_get_idx(list, 0), *inserted;

    assert_int_equal(json_object_array_length(list), 1);
    assert_string_equal(qmp_get_str(disk, "device"), "d0");
    assert_string_equal(qmp_get_str(disk, "qdev"), "/machine/peripheral/vda/virtio-backend");
    inserted = qmp_get(disk, "inserted");
    assert_string_equal(qmp_get_str(inserted, "file"), b->image);
    assert_true(qmp_get_bool(qmp_get(inserted, "cache"), "direct", false));
    assert_true(qmp_get_bool(inserted, "active", false));
    /* No error stops this guest. */
    assert_null(qmp_get_str(disk, "io-status"));
    json_object_put(list);

    b->vm.config.devices[0].on_write_error = CONFIG_ON_ERROR_ENOSPC;
    block_set_io_status(b->block, BLOCK_IO_NOSPACE);
    list = run(b, "query-block", NULL);
    assert_string_equal(qmp_get_str(json_object_array_get_idx(list, 0), "io-status"), "nospace");
    json_object_put(list);
}

static void life(void **state)
{
    struct bench *b = *state;
    run_says(b, "stop", NULL, "{}");
    event_says(b, "STOP", "");
    run_says(b, "query-status", NULL, "{\"status\": \"paused\", \"running\": false}");
    /* Its disk has still something to do: the answer comes later, once. */
    b->vm.busy = b->loop;
    run_says(b, "stop", NULL, "{}");
    run_says(b, "human-monitor-command", "{\"command-line\": \"stop\"}", "\"\"");
    run_says(b, "cont", NULL, "{}");
    event_says(b, "RESUME", "");
    run_says(b, "system_powerdown", NULL, "{}");
    event_says(b, "POWERDOWN", "");
    run_says(b, "system_reset", NULL, "{}");
    assert_int_equal(b->vm.reset, SHUTDOWN_CAUSE_HOST_QMP_SYSTEM_RESET);
    run_fails(b, "system_wakeup", NULL, "wake-up from suspend is not supported by this guest");
    b->vm.state = RUN_STATE_SHUTDOWN;
    run_fails(b, "cont", NULL, "Resetting the Virtual Machine is required");
    run_says(b, "quit", NULL, "{}");
    assert_int_equal(b->vm.shutdown, SHUTDOWN_CAUSE_HOST_QMP_QUIT);
}

static void post_events(void *arg)
{
    static const struct vm_io_error errors[] = {
        {.drive = "d0", .write = true, .stops = true, .nospace = true, .errnum = ENOSPC},
        {.drive = "d0", .errnum = EIO}};
    struct bench *b = arg;

    b->vm.config.devices[0].on_write_error = CONFIG_ON_ERROR_STOP;
    for (size_t i = 0; i < sizeof(errors) / sizeof(errors[0]); i++) {
        b->vm.io_error = &errors[i];
        fake_vm_tell(&b->vm, VM_EVENT_IO_ERROR, 0);
    }

    fake_vm_tell(&b->vm, VM_EVENT_RESET, SHUTDOWN_CAUSE_GUEST_RESET);
    fake_vm_tell(&b->vm, VM_EVENT_SHUTDOWN, SHUTDOWN_CAUSE_HOST_QMP_QUIT);
    b->migration.observer(b->migration.observer_arg, MIGRATION_SETUP);
    b->migration.params.capabilities[MIGRATION_CAP_EVENTS] = true;
    b->migration.observer(b->migration.observer_arg, MIGRATION_ACTIVE);
}

static void events(void **state)
{
    struct bench *b = *state;
    struct json_object *event;
    struct ferry_err err;

    assert_int_equal(loop_post(b->loop, post_events, b), 0);
    event_says(b, "BLOCK_IO_ERROR",
               "{\"qom-path\": \"/machine/peripheral/vda/virtio-backend\", \"device\": \"d0\", "
               "\"node-name\": \"d0\", \"operation\": \"write\", \"action\": \"stop\", "
               "\"nospace\": true, \"reason\": \"No space left on device\"}");
    event_says(b, "BLOCK_IO_ERROR",
               "{\"qom-path\": \"/machine/peripheral/vda/virtio-backend\", \"device\": \"d0\", "
               "\"node-name\": \"d0\", \"operation\": \"read\", \"action\": \"report\", "
               "\"nospace\": false, \"reason\": \"Input/output error\"}");
    event_says(b, "RESET", "{\"guest\": true, \"reason\": \"guest-reset\"}");
    event_says(b, "SHUTDOWN", "{\"guest\": false, \"reason\": \"host-qmp-quit\"}");
    event_says(b, "MIGRATION", "{\"status\": \"active\"}");
    assert_int_equal(qmp_client_event(b->client, 20000000, &event, &err), -ETIMEDOUT);
}

static void migrate(void **state)
{
    struct bench *b = *state;
    struct migration *m = &b->migration;

#define UNIX_AT(path) "\"addr\":{\"transport\":\"socket\",\"type\":\"unix\",\"path\":\"" path "\"}"
#define MAIN(path)    "{\"channel-type\":\"main\"," UNIX_AT(path) "}"
#define INET(rest)                                                                           \
    "{\"channels\":[{\"channel-type\":\"main\",\"addr\":{\"transport\":\"socket\",\"type\":" \
    "\"inet\",\"host\":\"h\"," rest "}}]}"
#define CPR(path) "{\"channel-type\":\"cpr\"," UNIX_AT(path) "}"
    run_fails(b, "migrate", NULL, "need either 'uri' or 'channels' argument");
    run_fails(b, "migrate", "{\"channels\":[]}", "need either 'uri' or 'channels' argument");
    run_fails(b, "migrate", "{\"uri\":\"unix:x\",\"channels\":[" MAIN("x") "]}",
              "need either 'uri' or 'channels' argument");
    run_fails(b, "migrate", "{\"channels\":[" MAIN("x") "," MAIN("y") "]}",
              "Channel list has more than one main entry");
    run_fails(b, "migrate", "{\"channels\":[" CPR("x") "]}", "Channel list has no main entry");
    run_fails(b, "migrate", "{\"channels\":[{\"channel-type\":\"main\"}]}",
              "Parameter 'channels[0].addr' is missing");
    run_fails(b, "migrate",
              "{\"channels\":[{\"channel-type\":\"main\",\"addr\":{\"transport\":\"socket\","
              "\"type\":\"unix\"}}]}",
              "Parameter 'channels[0].addr.path' is missing");
    run_fails(b, "migrate",
              "{\"channels\":[{\"channel-type\":\"foo\",\"addr\":{\"transport\":\"socket\"}}]}",
              "Parameter 'channel-type' does not accept value 'foo'");
    run_fails(b, "migrate", "{\"uri\":\"unix:x\",\"resume\":true}",
              "Cannot resume if there is no paused migration");
    run_fails(b, "migrate", "{\"uri\":\"foo:bar\"}",
              "unknown migration protocol: foo:bar (known are tcp:, unix:, fd:, exec: and file:)");
    run_fails(b, "migrate", "{\"uri\":\"rdma:h:1\"}",
              "RDMA is not served by this version of ferry");
    run_fails(b, "migrate", "{\"uri\":\"tcp:h:70000\"}", "port 70000 is not between 0 and 65535");
    run_fails(b, "migrate", INET("\"port\":\"70000\""), "port 70000 is not between 0 and 65535");
    run_fails(b, "migrate", INET("\"port\":\"1\",\"to\":9"),
              "'to' of an inet address is not served by ferry");
    run_fails(b, "migrate", INET("\"port\":\"1\",\"mptcp\":true"),
              "'mptcp' of an inet address is not served by ferry");
    run_fails(b, "migrate",
              "{\"channels\":[{\"channel-type\":\"main\",\"addr\":{\"transport\":\"socket\","
              "\"type\":\"vsock\",\"cid\":\"2\",\"port\":\"9\"}}]}",
              "vsock is not served by this version of ferry");
    err_set(&m->refuse, EBUSY, "There's a migration process in progress");
    run_fails(b, "migrate", "{\"uri\":\"unix:x\"}", "There's a migration process in progress");
    m->refuse.errnum = 0;
    assert_string_equal(m->uri, "");

    run_says(b, "migrate", "{\"uri\":\"unix:x\",\"channels\":[],\"detach\":true}", "{}");
    assert_string_equal(m->uri, "unix:x");
    run_says(b, "migrate", "{\"channels\":[" CPR("c") "," MAIN("/run/y") "]}", "{}");
    assert_string_equal(m->uri, "unix:/run/y");
    run_says(b, "migrate",
             "{\"channels\":[{\"channel-type\":\"main\",\"addr\":{\"transport\":\"socket\","
             "\"type\":\"inet\",\"host\":\"h\",\"port\":\"44\",\"ipv4\":true}}]}",
             "{}");
    assert_string_equal(m->uri, "tcp:h:44");
    run_says(b, "migrate",
             "{\"channels\":[{\"channel-type\":\"main\",\"addr\":{\"transport\":\"file\","
             "\"filename\":\"f\",\"offset\":4096}}]}",
             "{}");
    assert_string_equal(m->uri, "file:f,offset=4096");
    run_says(b, "migrate",
             "{\"channels\":[{\"channel-type\":\"main\",\"addr\":{\"transport\":\"exec\","
             "\"args\":[\"cat\",\"x\"]}}]}",
             "{}");
    assert_string_equal(m->uri, "exec:cat");
    run_says(b, "migrate",
             "{\"channels\":[{\"channel-type\":\"main\",\"addr\":{\"transport\":\"socket\","
             "\"type\":\"fd\",\"str\":\"mig\"}}]}",
             "{}");
    assert_string_equal(m->uri, "fd:mig");
    assert_false(m->incoming);

    run_fails(b, "migrate-incoming", "{\"channels\":[" CPR("c") "," MAIN("m") "]}",
              "Channel list must have only one entry, for type 'main'");
    run_fails(b, "migrate-incoming", "{\"channels\":[" CPR("c") "]}",
              "Channel list must have only one entry, for type 'main'");
    run_says(b, "migrate-incoming", "{\"channels\":[" MAIN("in") "]}", "{}");
    assert_string_equal(m->uri, "unix:in");
    assert_true(m->incoming);
    assert_true(m->exit_on_error);
    run_says(b, "migrate-incoming", "{\"uri\":\"unix:in\",\"exit-on-error\":false}", "{}");
    assert_false(m->exit_on_error);
    run_says(b, "migrate_cancel", NULL, "{}");
    assert_true(m->cancelled);
}

static void settings(void **state)
{
    struct bench *b = *state;
    struct json_object *ret = run(b, "query-migrate-capabilities", NULL);

    assert_int_equal(json_object_array_length(ret), 22);
    json_object_put(ret);
    run_fails(b, "migrate-set-capabilities",
              "{\"capabilities\":[{\"capability\":\"bogus\",\"state\":true}]}",
              "Parameter 'capability' does not accept value 'bogus'");
    run_fails(b, "migrate-set-capabilities",
              "{\"capabilities\":[{\"capability\":\"events\",\"state\":1}]}",
              "Invalid parameter type for 'capabilities[0].state', expected: boolean");
    assert_false(b->migration.params.capabilities[MIGRATION_CAP_EVENTS]);
    run_says(b, "migrate-set-capabilities",
             "{\"capabilities\":[{\"capability\":\"events\",\"state\":true}]}", "{}");
    assert_true(b->migration.params.capabilities[MIGRATION_CAP_EVENTS]);

    run_says(b, "migrate-set-parameters",
             "{\"downtime-limit\":5,\"local\":true,\"tls-creds\":null,\"mode\":\"normal\"}", "{}");
    ret = run(b, "query-migrate-parameters", NULL);
    assert_int_equal(qmp_get_uint(ret, "downtime-limit", 0), 5);
    assert_true(qmp_get_bool(ret, "local", false));
    assert_string_equal(qmp_get_str(ret, "tls-creds"), "");
    json_object_put(ret);
    run_fails(b, "migrate-set-parameters", "{\"max-bandwidth\":-1,\"downtime-limit\":6}",
              "Parameter 'max-bandwidth' expects uint64");
    run_fails(b, "migrate-set-parameters", "{\"downtime-limit\":2000001}",
              "Parameter 'downtime_limit' expects an integer in the range of 0 to (2000 * 1000) "
              "ms");
    run_fails(b, "migrate-set-parameters", "{\"bogus\":1}", "Parameter 'bogus' is unexpected");
    assert_int_equal(b->migration.params.num[MIGRATION_PARAM_DOWNTIME_LIMIT], 5);
}

/* QEMU's words, or why it is not served: nothing is set by a refusal. */
static void refusals_of_parameters(void **state)
{
    static const struct {
        const char *args, *says;
    } rows[] = {
        {"{\"multifd-channels\":256}", "Parameter 'multifd-channels' expects uint8_t"},
        {"{\"multifd-channels\":0}",
         "Parameter 'multifd_channels' expects a value between 1 and 255"},
        {"{\"multifd-qatzip-level\":10}",
         "Parameter 'multifd_qatzip_level' expects a value between 1 and 9"},
        {"{\"x-checkpoint-delay\":4294967296}", "Parameter 'x-checkpoint-delay' expects uint32_t"},
        {"{\"x-vcpu-dirty-limit-period\":0}",
         "Parameter 'x-vcpu-dirty-limit-period' expects a value between 1 and 1000"},
        {"{\"max-cpu-throttle\":5}",
         "Parameter 'max_cpu_throttle' expects an integer in the range of cpu_throttle_initial to "
         "99"},
        {"{\"xbzrle-cache-size\":5000}",
         "Parameter 'xbzrle_cache_size' expects a power of two no less than the target page size"},
        {"{\"mode\":\"x\"}", "Parameter 'mode' does not accept value 'x'"},
        {"{\"mode\":\"cpr-transfer\"}",
         "Migration mode 'cpr-transfer' is not served by this version of ferry"},
        {"{\"multifd-compression\":\"qpl\"}",
         "Parameter 'multifd-compression' does not accept value 'qpl'"},
        {"{\"tls-creds\":\"t\"}", "TLS is not served by this version of ferry"},
        {"{\"block-bitmap-mapping\":[]}",
         "Parameter 'block-bitmap-mapping': dirty bitmaps are not served by this version of ferry"},
    };
    struct bench *b = *state;
    struct migration_params before = b->migration.params;

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        run_fails(b, "migrate-set-parameters", rows[i].args, rows[i].says);
    /* With a migration under way, only what can still have an effect on it. */
    b->migration.info.status = MIGRATION_ACTIVE;
    run_fails(b, "migrate-set-parameters", "{\"max-bandwidth\":7,\"multifd-channels\":9}",
              "Parameter 'multifd-channels' cannot be changed while a migration is in progress: it "
              "would have no effect");
    assert_memory_equal(&before, &b->migration.params, sizeof(before));
    run_says(b, "migrate-set-parameters", "{\"max-bandwidth\":7,\"multifd-channels\":2}", "{}");
    assert_int_equal(b->migration.params.num[MIGRATION_PARAM_MAX_BANDWIDTH], 7);
}

/* Every one that is not served says so by its name. */
static void refusals_of_capabilities(void **state)
{
    static const char *const names[] = {
        "rdma-pin-all",        "zero-blocks",    "postcopy-ram",        "x-colo",
        "release-ram",         "dirty-bitmaps",  "late-block-activate", "postcopy-blocktime",
        "background-snapshot", "zero-copy-send", "postcopy-preempt",    "switchover-ack",
        "dirty-limit"};
    static const char *const pairs[][3] = {
        {"xbzrle", "multifd", "Multifd is not compatible with xbzrle"},
        {"xbzrle", "mapped-ram", "Mapped-ram migration is incompatible with xbzrle"},
    };
    struct bench *b = *state;
    char args[256], says[128];

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        snprintf(args, sizeof(args),
                 "{\"capabilities\":[{\"capability\":\"events\",\"state\":true},"
                 "{\"capability\":\"%s\",\"state\":true}]}",
                 names[i]);
        snprintf(says, sizeof(says), "Capability '%s' is not served by this version of ferry",
                 names[i]);
        run_fails(b, "migrate-set-capabilities", args, says);
    }
    for (size_t i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++) {
        snprintf(args, sizeof(args),
                 "{\"capabilities\":[{\"capability\":\"%s\",\"state\":true},"
                 "{\"capability\":\"%s\",\"state\":true}]}",
                 pairs[i][0], pairs[i][1]);
        run_fails(b, "migrate-set-capabilities", args, pairs[i][2]);
    }
    assert_false(b->migration.params.capabilities[MIGRATION_CAP_EVENTS]);
    run_fails(b, "migrate-start-postcopy", NULL,
              "Enable postcopy with migrate_set_capability before the start of migration");
    run_fails(b, "migrate-pause", NULL,
              "migrate-pause is currently only supported during postcopy-active or "
              "postcopy-recover state");
    run_fails(b, "migrate-recover", "{\"uri\":\"tcp:h:1\"}",
              "Migrate recover can only be run when postcopy is paused.");
}

static void migration_status(void **state)
{
    struct bench *b = *state;
    struct migration_info *info = &b->migration.info;
    struct json_object *ret;

    run_says(b, "query-migrate", NULL, "{}");
    run_says(b, "query-migrationthreads", NULL, "[]");
    *info = (struct migration_info){
        .status = MIGRATION_SETUP, .incoming = true, .listening = "unix:/run/in"};
    run_says(b, "query-migrate", NULL,
             "{\"status\": \"setup\", \"socket-address\": [{\"type\": \"unix\", \"path\": "
             "\"/run/in\"}]}");
    *info = (struct migration_info){.status = MIGRATION_FAILED, .error_desc = "no"};
    run_says(b, "query-migrate", NULL, "{\"status\": \"failed\", \"error-desc\": \"no\"}");
    *info = (struct migration_info){
        .status = MIGRATION_ACTIVE, .setup_ns = 3000000, .total_ns = 7000000};
    run_says(b, "query-migrationthreads", NULL,
             "[{\"thread-id\": 17, \"name\": \"mig/src/main\"}, {\"thread-id\": 18, \"name\": "
             "\"mig/src/send_0\"}]");
    ret = run(b, "query-migrate", NULL);
    assert_int_equal(qmp_get_uint(ret, "setup-time", 0), 3);
    assert_int_equal(qmp_get_uint(ret, "expected-downtime", 0), 300);
    assert_int_equal(qmp_get_uint(qmp_get(ret, "ram"), "page-size", 0), 4096);
    json_object_put(ret);
    *info = (struct migration_info){
        .status = MIGRATION_COMPLETED, .total_ns = 7000000, .downtime_ns = 2000000};
    ret = run(b, "query-migrate", NULL);
    assert_int_equal(qmp_get_uint(ret, "downtime", 0), 2);
    assert_null(qmp_get(ret, "expected-downtime"));
    json_object_put(ret);
}

static void finish_update(void *arg)
{
    struct bench *b = arg;
    struct ferry_err err;

    if (b->migration.info.ledger)
        b->migration.done(b->migration.done_arg, 0, NULL);
    else
        b->migration.done(b->migration.done_arg, err_set(&err, EIO, "the target ended"), &err);
}

static const struct ferry_ledger sample = {
    .total_ns = 300,
    .quiesce_ns = 20,
    .prepare_ns = 1000,
    .state_bytes = 4096,
    .fd_count = 3,
    .count = 4,
    .entries = {{FERRY_PHASE_STOP, "", 5000, 100},
                {FERRY_PHASE_SAVE, "cpu0", 5100, 30},
                {FERRY_PHASE_SAVE, "uart", 5130, 70},
                {FERRY_PHASE_SAVE, "", 5100, 200}},
};

static void update(void **state)
{
    struct bench *b = *state;
    struct json_object *ret = NULL;
    struct ferry_err err = {0};

    run_fails(b, "ferry-ledger", NULL, "this process has not taken part in a live update yet");
    run_fails(b, "ferry-update", "{\"timeout-ms\":4294967296}",
              "Parameter 'timeout-ms' expects uint32_t");
    err_set(&b->migration.refuse, EBUSY, "There's a migration process in progress");
    run_fails(b, "ferry-update", NULL, "There's a migration process in progress");
    b->migration.refuse.errnum = 0;
    assert_int_equal(qmp_client_execute(b->client, "ferry-update", NULL, 20000000, &ret, &err),
                     -ETIMEDOUT);
    /* The client's own words, whole, in its connection when they were asked for. */
    assert_int_equal(b->migration.words[strspn(b->migration.words, "\r\n ")], '{');
    assert_non_null(strstr(b->migration.words, "\"ferry-update\""));
    assert_int_equal(b->migration.words[strlen(b->migration.words) - 1], '}');
    assert_int_equal(loop_post(b->loop, finish_update, b), 0);
    /* The answer that came too late is not taken for this one's. */
    run_says(b, "query-name", NULL, "{\"name\": \"web1\"}");

    b->migration.info.ledger = &sample;
    b->migration.info.runner_pid = 77;
    run_says(
        b, "ferry-ledger", NULL,
        "{\"pid\": 77, \"total-ns\": 300, \"quiesce-ns\": 20, \"prepare-ns\": 1000, "
        "\"state-bytes\": 4096, "
        "\"fds\": 3, \"phases\": [{\"phase\": \"stop harts\", \"start-ns\": 0, \"duration-ns\": "
        "100}, {\"phase\": \"save\", \"start-ns\": 100, \"duration-ns\": 200}], \"parts\": "
        "[{\"part\": \"uart\", \"phase\": \"save\", \"start-ns\": 130, \"duration-ns\": 70}, "
        "{\"part\": \"cpu0\", \"phase\": \"save\", \"start-ns\": 100, \"duration-ns\": 30}]}");
}

static void update_answers_with_the_ledger(void **state)
{
    struct bench *b = *state;
    struct json_object *ret;

    b->migration.info.ledger = &sample;
    b->migration.on_update = finish_update;
    b->migration.on_update_arg = b;
    b->migration.loop = b->loop;
    ret = run(b, "ferry-update", "{\"binary\":\"/usr/bin/ferry\",\"timeout-ms\":2500}");
    assert_non_null(strstr(b->migration.words, "/usr/bin/ferry"));
    assert_true(b->migration.prepare_timeout_ns == 2500000000);
    assert_int_equal(qmp_get_uint(ret, "total-ns", 0), 300);
    json_object_put(ret);
}

static void dirty_rate(void **state)
{
    struct bench *b = *state;
    struct json_object *ret;

    run_says(b, "query-dirty-rate", NULL,
             "{\"status\": \"unstarted\", \"sample-pages\": 0, \"mode\": \"page-sampling\", "
             "\"start-time\": 0, \"calc-time\": 0, \"calc-time-unit\": \"second\"}");
    run_fails(b, "calc-dirty-rate", "{\"calc-time\":0}",
              "Calculation time is out of range [50ms, 60000ms].");
    run_fails(b, "calc-dirty-rate", "{\"calc-time\":9223372036854775807}",
              "Calculation time is out of range [50ms, 60000ms].");
    run_fails(b, "calc-dirty-rate", "{\"calc-time\":1,\"mode\":\"dirty-ring\"}",
              "mode dirty-ring is not enabled, use other method instead.");
    run_fails(b, "calc-dirty-rate", "{\"calc-time\":1,\"sample-pages\":5}",
              "sample-pages is out of range[128, 16384].");
    run_says(b, "calc-dirty-rate",
             "{\"calc-time\":60,\"calc-time-unit\":\"millisecond\",\"mode\":\"dirty-bitmap\"}",
             "{}");
    run_fails(b, "calc-dirty-rate", "{\"calc-time\":1}",
              "the dirty rate is already being measured.");
    for (uint64_t page = 0; page < 4096; page++)
        ferry_ram_mark_dirty(ferry_ram_at(b->ram, 0), page);
    for (;;) {
        ret = run(b, "query-dirty-rate", "{\"calc-time-unit\":\"millisecond\"}");
        if (!strcmp(qmp_get_str(ret, "status"), "measured"))
            break;
        assert_null(qmp_get(ret, "dirty-rate"));
        json_object_put(ret);
        usleep(5000);
    }
    assert_string_equal(qmp_get_str(ret, "mode"), "dirty-bitmap");
    assert_int_equal(qmp_get_uint(ret, "calc-time", 0), 60);
    /* 16 MiB in 60 ms or a little more. */
    assert_in_range(qmp_get_uint(ret, "dirty-rate", 0), 60, 266);
    json_object_put(ret);
    run_says(b, "calc-dirty-rate", "{\"calc-time\":1}", "{}"); /* left running */
}

static void the_schema_is_complete(void **state)
{
    struct bench *b = *state;
    struct json_object *schema = run(b, "query-qmp-schema", NULL);
    struct json_object *commands = run(b, "query-commands", NULL);
    size_t n = json_object_array_length(schema), found = 0;

    /* Every command is there, and every type that an entry refers to. */
    for (size_t i = 0; i < n; i++) {
        static const char *const refs[] = {"arg-type", "ret-type", "element-type"};
        struct json_object *e = json_object_array_get_idx(schema, i);

        found += !strcmp(qmp_get_str(e, "meta-type"), "command") ? 1 : 0;
        for (size_t r = 0; r < 3; r++) {
            const char *ref = qmp_get_str(e, refs[r]);
            bool known = !ref;

            for (size_t k = 0; k < n && !known; k++)
                known = !strcmp(qmp_get_str(json_object_array_get_idx(schema, k), "name"), ref);
            assert_true(known);
        }
    }
    assert_int_equal(found, json_object_array_length(commands));
    json_object_put(schema);
    json_object_put(commands);
}

static void a_person_writes_whole_requests(void **state)
{
    struct bench *b = *state;
    struct json_object *request = json("{\"execute\":\"nope\",\"id\":[1]}"), *reply;
    OWN(buf_free) struct buf text = {0};
    struct ferry_err err;

    assert_int_equal(qmp_client_request(b->client, request, TIMEOUT_NS, &reply, &err), 0);
    json_out_value(&text, reply);
    buf_u8(&text, 0);
    assert_string_equal(text.data, "{\"id\": [1], \"error\": {\"class\": \"CommandNotFound\", "
                                   "\"desc\": \"The command nope has not been found\"}}");
    json_object_put(request);
    json_object_put(reply);
}

static void a_client_says_what_is_wrong(void **state)
{
    struct sockaddr_un addr = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct qmp_client *c;
    struct ferry_err err;

    assert_int_equal(qmp_client_new(&c, "/nowhere/sock", TIMEOUT_NS, &err), -ENOENT);
    assert_string_equal(err.text,
                        "Failed to connect to '/nowhere/sock': No such file or directory");
    /* Somebody listens and never says a word. */
    snprintf(addr.sun_path, sizeof(addr.sun_path), "/tmp/ferry-mute-%d", getpid());
    assert_int_equal(bind(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
    assert_int_equal(listen(fd, 1), 0);
    assert_int_equal(qmp_client_new(&c, addr.sun_path, 20000000, &err), -ETIMEDOUT);
    assert_string_equal(err.text, "the monitor does not answer");
    unlink(addr.sun_path);
    close(fd);
}

/* One that does not even accept: others who wanted something have filled its queue. */
static void a_client_does_not_queue_for_ever(void **state)
{
    struct sockaddr_un addr = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), others[8];
    struct qmp_client *c;
    struct ferry_err err;
    size_t count = 0;
    bool room = true;

    snprintf(addr.sun_path, sizeof(addr.sun_path), "/tmp/ferry-full-%d", getpid());
    assert_int_equal(bind(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
    assert_int_equal(listen(fd, 1), 0);
    while (room) {
        assert_true(count < 8);
        others[count] = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        room = connect(others[count++], (struct sockaddr *)&addr, sizeof(addr)) == 0;
    }
    assert_int_equal(errno, EAGAIN);
    assert_int_equal(qmp_client_new(&c, addr.sun_path, 20000000, &err), -ETIMEDOUT);
    assert_string_equal(err.text, "the monitor does not answer");
    while (count)
        close(others[--count]);
    unlink(addr.sun_path);
    close(fd);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(queries),
        T(drives),
        T(life),
        T(events),
        T(migrate),
        T(settings),
        T(refusals_of_parameters),
        T(refusals_of_capabilities),
        T(migration_status),
        T(update),
        T(update_answers_with_the_ledger),
        T(dirty_rate),
        T(the_schema_is_complete),
        T(a_person_writes_whole_requests),
        T(a_client_says_what_is_wrong),
        T(a_client_does_not_queue_for_ever),
    };

    signal(SIGPIPE, SIG_IGN);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
