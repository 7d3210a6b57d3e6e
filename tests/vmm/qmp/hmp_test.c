/* SPDX-License-Identifier: Apache-2.0 */
/* human-monitor-command: what QEMU 10 answers to the same lines, byte by byte. */
#include "tests/unit.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/own.h"
#include "tests/vmm/qmp/talk.h"
#include "vmm/qmp/hmp.h"
#include "vmm/qmp/json_in.h"
#include "vmm/qmp/json_out.h"
#include "vmm/qmp/type.h"

static int setup(void **state)
{
    *state = calloc(1, sizeof(struct talk));
    talk_begin(*state);
    return 0;
}

static int teardown(void **state)
{
    talk_end(*state);
    free(*state);
    return 0;
}

/* The text that a line gives. */
static void says(struct talk *t, const char *line, const char *wanted)
{
    struct json_object *args = json_object_new_object(), *request = json_object_new_object();
    OWN(buf_free) struct buf text = {0};
    struct json_object *reply;
    static char said[65536];
    struct ferry_err err;
    int fd = talk_client(t);

    json_object_object_add(args, "command-line", json_object_new_string(line));
    json_object_object_add(request, "execute", json_object_new_string("human-monitor-command"));
    json_object_object_add(request, "arguments", args);
    json_out_value(&text, request);
    buf_u8(&text, 0);
    client_send(fd, (const char *)text.data);
    turn(t->loop);
    client_read(fd, said, sizeof(said));
    assert_int_equal(json_in_text(said, &reply, &err), 0);
    assert_non_null(qmp_get_str(reply, "return"));
    assert_string_equal(qmp_get_str(reply, "return"), wanted);
    json_object_put(reply);
    json_object_put(request);
    close(fd);
    turn(t->loop);
}

static void lines_that_are_none(void **state)
{
    struct talk *t = *state;

    says(t, "", "");
    says(t, "bogus", "unknown command: 'bogus'\r\n");
    says(t, "info bogus", "unknown command: 'info bogus'\r\n");
    says(t, "info status x",
         "status: extraneous characters at the end of line\r\n"
         "Try \"help info status\" for more information\r\n");
    says(t, "migrate", "migrate: string expected\r\nTry \"help migrate\" for more information\r\n");
    says(t, "migrate -d",
         "migrate: string expected\r\nTry \"help migrate\" for more information\r\n");
    says(t, "migrate -x y",
         "migrate: unsupported option -x\r\nTry \"help migrate\" for more information\r\n");
    says(t, "migrate a b c d e f g h i j",
         "migrate: extraneous characters at the end of line\r\n"
         "Try \"help migrate\" for more information\r\n");
    says(t, "migrate_set_parameter downtime-limit",
         "migrate_set_parameter: string expected\r\n"
         "Try \"help migrate_set_parameter\" for more information\r\n");
    says(t, "migrate_set_capability events maybe",
         "Expected 'on' or 'off'\r\nTry \"help migrate_set_capability\" for more information\r\n");
    says(t, "info",
         "info status  -- show the current VM status (running|paused)\r\n"
         "info block  -- show the block devices\r\n"
         "info chardev  -- show the character devices\r\n"
         "info migrate  -- show migration status\r\n"
         "info migrate_capabilities  -- show current migration capabilities\r\n"
         "info migrate_parameters  -- show current migration parameters\r\n"
         "info balloon  -- show balloon information\r\n"
         "info name  -- show the current VM name\r\n"
         "info network  -- show the network state\r\n"
         "info version  -- show the version of ferry\r\n");
}

static void prints(void (*print)(struct buf *out, struct json_object *answer), const char *json,
                   const char *wanted)
{
    OWN(buf_free) struct buf out = {0};
    struct json_object *answer;
    struct ferry_err err;

    assert_int_equal(json_in_text(json, &answer, &err), 0);
    print(&out, answer);
    buf_u8(&out, 0);
    assert_string_equal((const char *)out.data, wanted);
    json_object_put(answer);
}

static void what_there_is(void **state)
{
    prints(hmp_print_block, "[]", "");
    prints(hmp_print_block,
           "[{\"device\": \"d0\", \"qdev\": \"/machine/peripheral/v/virtio-backend\","
           "  \"io-status\": \"nospace\", \"inserted\": {\"file\": \"/a.img\", \"drv\": \"raw\","
           "  \"ro\": true, \"cache\": {\"direct\": true, \"no-flush\": true}}},"
           " {\"device\": \"d1\", \"io-status\": \"ok\", \"inserted\": {\"file\": \"/b\","
           "  \"drv\": \"raw\", \"ro\": false, \"cache\": {\"direct\": false}}}]",
           "d0: /a.img (raw, read-only)\r\n"
           "    Attached to:      /machine/peripheral/v/virtio-backend\r\n"
           "    I/O status:       nospace\r\n"
           "    Cache mode:       writeback, direct, ignore flushes\r\n"
           "d1: /b (raw)\r\n"
           "    Cache mode:       writeback\r\n");
    prints(hmp_print_chardev, "[{\"label\": \"serial0\", \"filename\": \"pty:/dev/pts/1\"}]",
           "serial0: filename=pty:/dev/pts/1\r\n");
    prints(hmp_print_name, "{}", "");
    prints(hmp_print_name, "{\"name\": \"web1\"}", "web1\r\n");
    prints(hmp_print_version, "{\"ferry\": {\"build\": \"0.1.0 (12ab)\"}}",
           "ferry 0.1.0 (12ab)\r\n");
}

static void the_life_of_a_vm(void **state)
{
    struct talk *t = *state;

    says(t, "system_wakeup", "Error: wake-up from suspend is not supported by this guest\r\n");
    says(t, "system_reset", "");
    assert_int_equal(t->vm.reset, SHUTDOWN_CAUSE_HOST_QMP_SYSTEM_RESET);
    says(t, "quit", "");
    assert_int_equal(t->vm.shutdown, SHUTDOWN_CAUSE_HOST_QMP_QUIT);
    says(t, "system_reset now",
         "system_reset: extraneous characters at the end of line\r\n"
         "Try \"help system_reset\" for more information\r\n");
}

static void a_migration(void **state)
{
    struct talk *t = *state;

    says(t, "  info   status  ", "VM status: running\r\n");
    t->vm.state = RUN_STATE_POSTMIGRATE;
    says(t, "info status", "VM status: paused (postmigrate)\r\n");
    says(t, "migrate -d tcp:h:1", "");
    assert_string_equal(t->migration.uri, "tcp:h:1");
    says(t, "migrate \"exec:cat > /dev/\\\"null\"",
         "terminal does not allow synchronous migration, continuing detached\r\n");
    assert_string_equal(t->migration.uri, "exec:cat > /dev/\"null");
    says(t, "migrate -r tcp:h:1", "Error: Cannot resume if there is no paused migration\r\n");
    err_set(&t->migration.refuse, EBUSY, "There's a migration process in progress");
    says(t, "migrate -d tcp:h:2", "Error: There's a migration process in progress\r\n");
    says(t, "migrate_cancel", "");
    assert_true(t->migration.cancelled);
}

static void parameters(void **state)
{
    static const struct {
        const char *value, *says;
    } rows[] = {
        {"downtime-limit 50", ""},
        {"max-bandwidth 1.5M", ""},
        {"avail-switchover-bandwidth 3", ""},
        {"xbzrle-cache-size 64k", ""},
        {"announce-step 0x10", ""},
        {"cpu-throttle-tailslow on", ""},
        {"multifd-compression zstd", ""},
        {"max-postcopy-bandwidth 3M", ""},
        {"direct-io maybe", "Error: Parameter 'direct-io' expects 'on' or 'off'\r\n"},
        {"max-bandwidth x", "Error: Invalid size x\r\n"},
        {"max-bandwidth -1", "Error: Invalid size -1\r\n"},
        {"max-bandwidth 17592186044416", "Error: Invalid size 17592186044416\r\n"},
        {"downtime-limit -1",
         "Error: Value '-1' is out of range for parameter 'downtime-limit'\r\n"},
        {"downtime-limit 99999999999999999999",
         "Error: Value '99999999999999999999' is out of range for parameter 'downtime-limit'\r\n"},
        {"multifd-channels x", "Error: Parameter 'multifd-channels' expects uint64\r\n"},
        {"multifd-zlib-level 300", "Error: Parameter 'multifd-zlib-level' expects uint8_t\r\n"},
        {"multifd-zlib-level 99",
         "Error: Parameter 'multifd_zlib_level' expects a value between 0 and 9\r\n"},
        {"xbzrle-cache-size 1K", "Error: Parameter 'xbzrle_cache_size' expects a power of two no "
                                 "less than the target page size\r\n"},
        {"mode bad", "Error: Parameter 'mode' does not accept value 'bad'\r\n"},
        {"block-bitmap-mapping x",
         "Error: The block-bitmap-mapping parameter can only be set through QMP\r\n"},
        {"foo 1", "Error: invalid parameter value: foo\r\n"},
    };
    struct talk *t = *state;

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        char line[128];

        snprintf(line, sizeof(line), "migrate_set_parameter %s", rows[i].value);
        says(t, line, rows[i].says);
    }
    says(t, "info migrate_parameters",
         "announce-initial: 50 ms\r\nannounce-max: 550 ms\r\nannounce-rounds: 5\r\n"
         "announce-step: 16 ms\r\nthrottle-trigger-threshold: 50\r\ncpu-throttle-initial: 20\r\n"
         "cpu-throttle-increment: 10\r\ncpu-throttle-tailslow: on\r\nmax-cpu-throttle: 99\r\n"
         "tls-creds: ''\r\ntls-hostname: ''\r\nmax-bandwidth: 1572864 bytes/second\r\n"
         "avail-switchover-bandwidth: 3145728 bytes/second\r\ndowntime-limit: 50 ms\r\n"
         "x-checkpoint-delay: 20000 ms\r\nmultifd-channels: 2\r\nmultifd-compression: zstd\r\n"
         "zero-page-detection: multifd\r\nxbzrle-cache-size: 65536 bytes\r\n"
         "max-postcopy-bandwidth: 3145728\r\ntls-authz: ''\r\n"
         "x-vcpu-dirty-limit-period: 1000 ms\r\nvcpu-dirty-limit: 1 MB/s\r\nmode: normal\r\n"
         "direct-io: off\r\n");
}

static void capabilities(void **state)
{
    struct talk *t = *state;

    says(t, "migrate_set_capability events on", "");
    says(t, "migrate_set_capability foo on", "Error: invalid parameter value: foo\r\n");
    says(t, "migrate_set_capability x-colo on",
         "Error: Capability 'x-colo' is not served by this version of ferry\r\n");
    says(t, "info migrate_capabilities",
         "xbzrle: off\r\nrdma-pin-all: off\r\nauto-converge: off\r\nzero-blocks: off\r\n"
         "events: on\r\npostcopy-ram: off\r\nx-colo: off\r\nrelease-ram: off\r\n"
         "return-path: off\r\npause-before-switchover: off\r\nmultifd: off\r\n"
         "dirty-bitmaps: off\r\npostcopy-blocktime: off\r\nlate-block-activate: off\r\n"
         "x-ignore-shared: off\r\nvalidate-uuid: off\r\nbackground-snapshot: off\r\n"
         "zero-copy-send: off\r\npostcopy-preempt: off\r\nswitchover-ack: off\r\n"
         "dirty-limit: off\r\nmapped-ram: off\r\n");
}

#define GLOBALS                                                                          \
    "globals:\r\nstore-global-state: on\r\nonly-migratable: off\r\nsend-configuration: " \
    "on\r\nsend-section-footer: on\r\nsend-switchover-start: on\r\n"

static void status(void **state)
{
    struct talk *t = *state;
    struct migration_info *info = &t->migration.info;

    says(t, "info migrate", GLOBALS);
    *info = (struct migration_info){
        .status = MIGRATION_SETUP, .incoming = true, .listening = "tcp:127.0.0.1:4444"};
    says(t, "info migrate",
         GLOBALS "Migration status: setup\r\ntotal time: 0 ms\r\n"
                 "socket address: [\r\n\ttcp:127.0.0.1:4444\r\n]\r\n");
    *info = (struct migration_info){.status = MIGRATION_FAILED, .error_desc = "no"};
    says(t, "info migrate", GLOBALS "Migration status: failed (no)\r\ntotal time: 0 ms\r\n");
    *info = (struct migration_info){
        .status = MIGRATION_ACTIVE,
        .total_ns = 524000000,
        .setup_ns = 2000000,
        .have_net = true,
        .net = {.transferred_bytes = 274432,
                .bandwidth_bps = 315000,
                .ram_remaining_bytes = 87456ull << 10,
                .ram_total_bytes = 131268ull << 10,
                .zero_pages = 10910,
                .normal_pages = 43,
                .dirty_pages_rate = 12,
                .rounds = 1,
                .precopy_bytes = 274432,
                .throttle_percent = 20},
    };
    says(t, "info migrate",
         GLOBALS "Migration status: active\r\ntotal time: 524 ms\r\nexpected downtime: 300 ms\r\n"
                 "setup: 2 ms\r\ntransferred ram: 268 kbytes\r\nthroughput: 2.52 mbps\r\n"
                 "remaining ram: 87456 kbytes\r\ntotal ram: 131268 kbytes\r\n"
                 "duplicate: 10910 pages\r\nnormal: 43 pages\r\nnormal bytes: 172 kbytes\r\n"
                 "dirty sync count: 1\r\npage size: 4 kbytes\r\nmultifd bytes: 0 kbytes\r\n"
                 "pages-per-second: 76\r\ndirty pages rate: 12 pages\r\n"
                 "precopy ram: 268 kbytes\r\ncpu throttle percentage: 20\r\n");
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(lines_that_are_none), T(what_there_is), T(the_life_of_a_vm), T(a_migration),
        T(parameters),          T(capabilities),  T(status),
    };

    signal(SIGPIPE, SIG_IGN);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
