/* SPDX-License-Identifier: Apache-2.0 */
/* Every command but those of a migration, and what the client library does for its user. */
#include "tests/unit.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/build.h"
#include "base/own.h"
#include "tests/vmm/qmp/command_bench.h"
#include "vmm/backend/block.h"
#include "vmm/backend/net.h"
#include "vmm/qmp/client.h"
#include "vmm/qmp/command.h"
#include "vmm/qmp/json_out.h"

static void queries(void **state)
{
    struct bench *b = *state;
    char wanted[256], build[BUILD_TEXT_BYTES];

    snprintf(wanted, sizeof(wanted),
             "{\"qemu\": {\"micro\": 2, \"minor\": 0, \"major\": 10}, \"package\": \"ferry "
             "0.1.0\", \"ferry\": {\"build\": \"%s\", \"pid\": %d}}",
             build_text(build), (int)getpid());
    assert_string_equal(qmp_get_str(qmp_get(qmp_client_greeting(b->client), "version"), "package"),
                        "ferry 0.1.0");
    run_says(b, "query-version", NULL, wanted);
    run_says(b, "query-status", NULL, "{\"status\": \"running\", \"running\": true}");
    run_says(b, "query-name", NULL, "{\"name\": \"web1\"}");
    run_says(b, "query-vm-generation-id", NULL,
             "{\"guid\": \"00112233-4455-6677-8899-aabbccddeeff\"}");
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

    b->disk.on_write_error = CONFIG_ON_ERROR_ENOSPC;
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

static void network(void **state)
{
    struct bench *b = *state;
    struct net_status s;

    run_says(
        b, "ferry-netdevs", NULL,
        "[{\"id\": \"n0\", \"type\": \"stream\", \"where\": \"/run/passt\", \"server\": false, "
        "\"connected\": false, \"reconnect-ms\": 250, \"link-up\": false, "
        "\"link-set-off\": false}]");
    run_says(b, "set_link", "{\"name\":\"nic0\",\"up\":false}", "{}");
    net_status(b->net, &s);
    assert_true(s.link_off);
    run_says(b, "set_link", "{\"name\":\"n0\",\"up\":true}", "{}");
    net_status(b->net, &s);
    assert_false(s.link_off);
    run_fails(b, "set_link", "{\"name\":\"vda\",\"up\":false}", "Device 'vda' not found");
    run_says(b, "human-monitor-command", "{\"command-line\":\"info network\"}",
             "\"nic0: index=0,type=nic,model=virtio-net-device,macaddr=52:54:00:12:34:56\\r\\n"
             " \\\\ n0: index=0,type=stream,\\r\\n\"");
    run_says(
        b, "human-monitor-command", "{\"command-line\":\"set_link n0 maybe\"}",
        "\"Expected 'on' or 'off'\\r\\nTry \\\"help set_link\\\" for more information\\r\\n\"");
}

/* The second change comes within a second of the first: it is told later, and once. */
static void balloon(void **state)
{
    struct bench *b = *state;

    run_fails(b, "query-balloon", NULL, "No balloon device has been activated");
    run_fails(b, "balloon", "{\"value\": 1048576}", "No balloon device has been activated");
    b->vm.balloon_bytes = 512 << 20;
    run_fails(b, "balloon", "{\"value\": 0}", "Parameter 'target' expects a size");
    run_says(b, "balloon", "{\"value\": 268435456}", "{}");
    event_says(b, "BALLOON_CHANGE", "{\"actual\": 268435456}");
    run_says(b, "query-balloon", NULL, "{\"actual\": 268435456}");
    run_says(b, "human-monitor-command", "{\"command-line\": \"balloon 128\"}", "\"\"");
    run_says(b, "human-monitor-command", "{\"command-line\": \"balloon 64M\"}", "\"\"");
    run_says(b, "human-monitor-command", "{\"command-line\": \"info balloon\"}",
             "\"balloon: actual=64\\r\\n\"");
    event_says(b, "BALLOON_CHANGE", "{\"actual\": 67108864}");
    run_says(b, "human-monitor-command", "{\"command-line\": \"balloon much\"}",
             "\"balloon: a size was expected\\r\\nTry \\\"help balloon\\\" for more "
             "information\\r\\n\"");
}

/* Of the real catalogue: every kind has an answer, and what a manager asks for is in it. */
static void kinds_of_devices(void **state)
{
    struct bench *b = *state;
    struct json_object *kinds = run(b, "qom-list-types", "{\"implements\":\"device\"}");
    size_t count = json_object_array_length(kinds);

    for (size_t i = 0; i < count; i++) {
        struct json_object *kind = json_object_array_get_idx(kinds, i);
        char args[128];

        snprintf(args, sizeof(args), "{\"typename\":\"%s\"}", qmp_get_str(kind, "name"));
        json_object_put(run(b, "device-list-properties", args));
    }
    json_object_put(kinds);
    assert_true(count >= 5);
    run_says(b, "qom-list-types", "{\"implements\":\"vmgenid\"}",
             "[{\"name\": \"vmgenid\", \"parent\": \"device\"}]");
    run_says(b, "qom-list-types", "{\"implements\":\"nosuch\"}", "[]");
    run_says(b, "device-list-properties", "{\"typename\":\"virtio-blk-device\"}",
             "[{\"name\": \"event_idx\", \"type\": \"bool\", \"default-value\": true}, "
             "{\"name\": \"indirect_desc\", \"type\": \"bool\", \"default-value\": true}, "
             "{\"name\": \"drive\", \"type\": \"str\"}, "
             "{\"name\": \"num-queues\", \"type\": \"uint32\", \"default-value\": 1}, "
             "{\"name\": \"discard\", \"type\": \"bool\", \"default-value\": true}, "
             "{\"name\": \"write-zeroes\", \"type\": \"bool\", \"default-value\": true}, "
             "{\"name\": \"serial\", \"type\": \"str\"}, "
             "{\"name\": \"rerror\", \"type\": \"str\", \"default-value\": \"auto\"}, "
             "{\"name\": \"werror\", \"type\": \"str\", \"default-value\": \"auto\"}]");
    run_fails(b, "device-list-properties", "{\"typename\":\"nosuch\"}",
              "Device 'nosuch' not found");
}

static void post_events(void *arg)
{
    static const struct vm_netdev peers[] = {{.id = "n0", .path = "/run/passt", .connected = true},
                                             {.id = "n0", .connected = true},
                                             {.id = "n0"}};
    static const struct vm_io_error errors[] = {
        {.drive = "d0", .write = true, .stops = true, .nospace = true, .errnum = ENOSPC},
        {.drive = "d0", .errnum = EIO}};
    struct bench *b = arg;

    b->disk.on_write_error = CONFIG_ON_ERROR_STOP;
    for (size_t i = 0; i < sizeof(errors) / sizeof(errors[0]); i++) {
        b->vm.io_error = &errors[i];
        fake_vm_tell(&b->vm, VM_EVENT_IO_ERROR, 0);
    }
    for (size_t i = 0; i < sizeof(peers) / sizeof(peers[0]); i++) {
        b->vm.netdev = &peers[i];
        fake_vm_tell(&b->vm, VM_EVENT_NETDEV, 0);
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
    event_says(b, "NETDEV_STREAM_CONNECTED",
               "{\"netdev-id\": \"n0\", \"addr\": {\"path\": \"/run/passt\", \"type\": \"unix\"}}");
    event_says(b, "NETDEV_STREAM_CONNECTED",
               "{\"netdev-id\": \"n0\", \"addr\": {\"path\": \"\", \"type\": \"unix\"}}");
    event_says(b, "NETDEV_STREAM_DISCONNECTED", "{\"netdev-id\": \"n0\"}");
    event_says(b, "RESET", "{\"guest\": true, \"reason\": \"guest-reset\"}");
    event_says(b, "SHUTDOWN", "{\"guest\": false, \"reason\": \"host-qmp-quit\"}");
    event_says(b, "MIGRATION", "{\"status\": \"active\"}");
    assert_int_equal(qmp_client_event(b->client, 20000000, &event, &err), -ETIMEDOUT);
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
#define T(f) cmocka_unit_test_setup_teardown(f, bench_setup, bench_teardown)
    const struct CMUnitTest tests[] = {
        T(queries),
        T(drives),
        T(life),
        T(network),
        T(balloon),
        T(kinds_of_devices),
        T(events),
        T(the_schema_is_complete),
        T(a_person_writes_whole_requests),
        T(a_client_says_what_is_wrong),
        T(a_client_does_not_queue_for_ever),
    };

    signal(SIGPIPE, SIG_IGN);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
