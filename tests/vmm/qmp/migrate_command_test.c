/* SPDX-License-Identifier: Apache-2.0 */
/* The commands of a migration and of an update: arguments, refusals, and what is shown. */
#include "tests/unit.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <ferry/ram.h>

#include "base/build.h"
#include "base/err.h"
#include "tests/vmm/qmp/command_bench.h"
#include "vmm/qmp/client.h"
#include "vmm/qmp/command.h"

static void migrate(void **state)
{
    static const struct {
        const char *transport, *uri;
    } addresses[] = {
        {"\"socket\",\"type\":\"inet\",\"host\":\"h\",\"port\":\"44\",\"ipv4\":true", "tcp:h:44"},
        {"\"file\",\"filename\":\"f\",\"offset\":4096", "file:f,offset=4096"},
        {"\"exec\",\"args\":[\"cat\",\"x\"]", "exec:cat"},
        {"\"socket\",\"type\":\"fd\",\"str\":\"mig\"", "fd:mig"},
    };
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
    for (size_t i = 0; i < sizeof(addresses) / sizeof(addresses[0]); i++) {
        char arguments[256];

        snprintf(arguments, sizeof(arguments),
                 "{\"channels\":[{\"channel-type\":\"main\",\"addr\":{\"transport\":%s}}]}",
                 addresses[i].transport);
        run_says(b, "migrate", arguments, "{}");
        assert_string_equal(m->uri, addresses[i].uri);
    }
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
    run_fails(b, "migrate_cancel", "{\"ferry-job\": \"mine\"}",
              "that one is over, or has not begun");
    run_says(b, "query-migrate", "{\"ferry-job\": \"old\"}",
             "{\"status\": \"failed\", \"error-desc\": \"it was old\", \"ferry-job\": \"old\"}");
    run_says(b, "query-migrate", "{\"ferry-job\": \"mine\"}", "{}");
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
    char wanted[1024], build[BUILD_TEXT_BYTES];
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
    b->migration.info.peer_build = "0.2.0 (new)";
    snprintf(wanted, sizeof(wanted),
             "{\"pid\": 77, \"from\": \"%s\", \"to\": \"0.2.0 (new)\", \"total-ns\": 300, "
             "\"quiesce-ns\": 20, \"prepare-ns\": 1000, "
             "\"state-bytes\": 4096, "
             "\"fds\": 3, \"source-urgency\": \"none\", \"target-urgency\": \"none\", \"phases\": "
             "[{\"phase\": \"stop harts\", \"start-ns\": 0, \"duration-ns\": "
             "100}, {\"phase\": \"save\", \"start-ns\": 100, \"duration-ns\": 200}], \"parts\": "
             "[{\"part\": \"uart\", \"phase\": \"save\", \"start-ns\": 130, \"duration-ns\": 70}, "
             "{\"part\": \"cpu0\", \"phase\": \"save\", \"start-ns\": 100, \"duration-ns\": 30}]}",
             build_text(build));
    run_says(b, "ferry-ledger", NULL, wanted);
}

static void update_answers_with_the_ledger(void **state)
{
    struct bench *b = *state;
    struct json_object *ret;

    b->migration.info.ledger = &sample;
    b->migration.info.peer_build = "0.2.0 (new)";
    b->migration.on_update = finish_update;
    b->migration.on_update_arg = b;
    b->migration.loop = b->loop;
    ret = run(b, "ferry-update", "{\"binary\":\"/usr/bin/ferry\",\"timeout-ms\":2500}");
    assert_non_null(strstr(b->migration.words, "/usr/bin/ferry"));
    assert_true(b->migration.prepare_timeout_ns == 2500000000);
    assert_int_equal(qmp_get_uint(ret, "total-ns", 0), 300);
    json_object_put(ret);
}

/* Who was asked may have read the client's words or not: what follows them has no beginning. */
static void who_cannot_be_heard_is_not_waited_for(void **state)
{
    struct bench *b = *state;
    struct json_object *ret = NULL;
    struct ferry_err err = {0};

    b->migration.unwatchable = true;
    assert_int_equal(qmp_client_execute(b->client, "ferry-update", NULL, TIMEOUT_NS, &ret, &err),
                     -ECONNRESET);
    qmp_client_free(b->client);
    assert_int_equal(qmp_client_new(&b->client, b->path, TIMEOUT_NS, &err), 0);
    run_says(b, "query-name", NULL, "{\"name\": \"web1\"}");
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

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, bench_setup, bench_teardown)
    const struct CMUnitTest tests[] = {
        T(migrate),
        T(settings),
        T(refusals_of_parameters),
        T(refusals_of_capabilities),
        T(migration_status),
        T(update),
        T(update_answers_with_the_ledger),
        T(who_cannot_be_heard_is_not_waited_for),
        T(dirty_rate),
    };

    signal(SIGPIPE, SIG_IGN);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
