/* SPDX-License-Identifier: Apache-2.0 */
/* What became of a migration, and the live update with its ledger. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/build.h"
#include "base/err.h"
#include "vmm/machine/migration.h"
#include "vmm/qmp/ask.h"
#include "vmm/qmp/cmd.h"
#include "vmm/qmp/json_build.h"
#include "vmm/qmp/monitor.h"

#define NS_PER_MS 1000000

/* --- Types --- */

const struct qmp_type qmp_type_migration_status = {
    .name = "MigrationStatus",
    .kind = QMP_KIND_ENUM,
    QMP_VALUES("none", "setup", "cancelling", "cancelled", "active", "postcopy-active",
               "postcopy-paused", "postcopy-recover-setup", "postcopy-recover", "completed",
               "failed", "colo", "pre-switchover", "device", "wait-unplug")};
static const struct qmp_type ram = {
    .name = "MigrationStats",
    .kind = QMP_KIND_OBJECT,
    QMP_MEMBERS({"transferred", &qmp_int}, {"remaining", &qmp_int}, {"total", &qmp_int},
                {"duplicate", &qmp_int}, {"normal", &qmp_int}, {"normal-bytes", &qmp_int},
                {"dirty-pages-rate", &qmp_int}, {"mbps", &qmp_number},
                {"dirty-sync-count", &qmp_int}, {"postcopy-requests", &qmp_int},
                {"page-size", &qmp_int}, {"multifd-bytes", &qmp_uint64},
                {"pages-per-second", &qmp_uint64}, {"precopy-bytes", &qmp_uint64},
                {"downtime-bytes", &qmp_uint64}, {"postcopy-bytes", &qmp_uint64},
                {"dirty-sync-missed-zero-copy", &qmp_uint64})};
static const struct qmp_type xbzrle = {
    .name = "XBZRLECacheStats",
    .kind = QMP_KIND_OBJECT,
    QMP_MEMBERS({"cache-size", &qmp_uint64}, {"bytes", &qmp_int}, {"pages", &qmp_int},
                {"cache-miss", &qmp_int}, {"cache-miss-rate", &qmp_number},
                {"encoding-rate", &qmp_number}, {"overflow", &qmp_int})};
static const struct qmp_type socket_list = {.kind = QMP_KIND_ARRAY,
                                            .element = &qmp_type_socket_address};
static const struct qmp_type what = {.name = "FerryMigrationWhat",
                                     .kind = QMP_KIND_ENUM,
                                     QMP_VALUES("update", "migration", "snapshot", "restore")};
const struct qmp_type qmp_type_migration_info = {
    .name = "MigrationInfo",
    .kind = QMP_KIND_OBJECT,
    QMP_MEMBERS({"status", &qmp_type_migration_status, true}, {"ram", &ram, true},
                {"total-time", &qmp_int, true}, {"expected-downtime", &qmp_int, true},
                {"downtime", &qmp_int, true}, {"setup-time", &qmp_int, true},
                {"error-desc", &qmp_str, true}, {"socket-address", &socket_list, true},
                {"xbzrle-cache", &xbzrle, true}, {"cpu-throttle-percentage", &qmp_int, true},
                {"ferry-what", &what, true}, {"ferry-job", &qmp_str, true})};
const struct qmp_type qmp_type_migration_status_data = {
    .kind = QMP_KIND_OBJECT, QMP_MEMBERS({"status", &qmp_type_migration_status})};

static const char *phase_at(size_t index)
{
    enum ferry_phase phase = (enum ferry_phase)(index + FERRY_PHASE_STOP);

    return phase <= FERRY_PHASE_START ? ferry_phase_name(phase) : NULL;
}

static const struct qmp_type phase_name = {
    .name = "FerryPhase", .kind = QMP_KIND_ENUM, .value_at = phase_at};
static const struct qmp_type phase = {
    .name = "FerryLedgerPhase",
    .kind = QMP_KIND_OBJECT,
    QMP_MEMBERS({"phase", &phase_name}, {"start-ns", &qmp_int}, {"duration-ns", &qmp_int})};
static const struct qmp_type part = {.name = "FerryLedgerPart",
                                     .kind = QMP_KIND_OBJECT,
                                     QMP_MEMBERS({"part", &qmp_str}, {"phase", &phase_name},
                                                 {"start-ns", &qmp_int},
                                                 {"duration-ns", &qmp_int})};
static const struct qmp_type phase_list = {.kind = QMP_KIND_ARRAY, .element = &phase};
static const struct qmp_type part_list = {.kind = QMP_KIND_ARRAY, .element = &part};
const struct qmp_type qmp_type_ledger = {
    .name = "FerryLedger",
    .kind = QMP_KIND_OBJECT,
    QMP_MEMBERS({"pid", &qmp_int}, {"from", &qmp_str}, {"to", &qmp_str}, {"total-ns", &qmp_int},
                {"quiesce-ns", &qmp_int}, {"prepare-ns", &qmp_int}, {"state-bytes", &qmp_uint64},
                {"fds", &qmp_int}, {"source-urgency", &qmp_str}, {"target-urgency", &qmp_str},
                {"phases", &phase_list}, {"parts", &part_list})};
const struct qmp_type qmp_type_update_args = {.kind = QMP_KIND_OBJECT,
                                              QMP_MEMBERS({"binary", &qmp_str, true},
                                                          {"timeout-ms", &qmp_uint64, true},
                                                          {"ferry-job", &qmp_str, true})};

const struct qmp_type qmp_type_migration_pass_data = {.kind = QMP_KIND_OBJECT,
                                                      QMP_MEMBERS({"pass", &qmp_int})};
const struct qmp_type qmp_type_migrate_ledger = {
    .name = "FerryMigrateLedger",
    .kind = QMP_KIND_OBJECT,
    QMP_MEMBERS({"total-ns", &qmp_int}, {"setup-ns", &qmp_int}, {"quiesce-ns", &qmp_int},
                {"stop-ns", &qmp_int}, {"save-ns", &qmp_int}, {"send-ns", &qmp_int},
                {"wait-ns", &qmp_int}, {"commit-ns", &qmp_int}, {"target-load-ns", &qmp_int},
                {"target-start-ns", &qmp_int}, {"state-bytes", &qmp_uint64},
                {"last-ram-bytes", &qmp_uint64}, {"ferry-job", &qmp_str, true})};

/* --- query-migrate --- */

/* In a handover all of RAM is shared with the target, so nothing of it is ever transferred. */
static struct json_object *ram_info(const struct ferry_migrate_info *net, const char *status,
                                    int64_t total_ns)
{
    struct json_object *info = json_object_new_object();
    bool completed = !strcmp(status, "completed");
    uint64_t rate_bps = net->bandwidth_bps;

    if (completed && total_ns > 0)
        rate_bps = (uint64_t)((double)net->transferred_bytes * 1e9 / (double)total_ns);
    json_put_uint(info, "transferred", net->transferred_bytes);
    json_put_uint(info, "remaining", completed ? 0 : net->ram_remaining_bytes);
    json_put_uint(info, "total", net->ram_total_bytes);
    json_put_uint(info, "duplicate", net->zero_pages);
    json_put_uint(info, "normal", net->normal_pages);
    json_put_uint(info, "normal-bytes", net->normal_pages * FERRY_PAGE_BYTES);
    json_put_uint(info, "dirty-pages-rate", completed ? 0 : net->dirty_pages_rate);
    json_put(info, "mbps", json_object_new_double((double)rate_bps * 8 / 1e6));
    json_put_uint(info, "dirty-sync-count", net->rounds);
    json_put_uint(info, "postcopy-requests", 0);
    json_put_uint(info, "page-size", FERRY_PAGE_BYTES);
    json_put_uint(info, "multifd-bytes", net->multifd_bytes);
    json_put_uint(info, "pages-per-second", rate_bps / FERRY_PAGE_BYTES);
    json_put_uint(info, "precopy-bytes", net->precopy_bytes);
    json_put_uint(info, "downtime-bytes", net->downtime_bytes);
    json_put_uint(info, "postcopy-bytes", 0);
    json_put_uint(info, "dirty-sync-missed-zero-copy", 0);
    return info;
}

static struct json_object *xbzrle_info(struct migration *m, const struct ferry_migrate_info *net)
{
    struct json_object *info = json_object_new_object();
    struct migration_value size = {0};
    double tried = (double)(net->xbzrle_pages + net->xbzrle_cache_misses);

    for (size_t i = 0; i < migration_param_count(); i++)
        if (!strcmp(migration_param(i)->name, "xbzrle-cache-size"))
            migration_param_get(m, i, &size);
    json_put_uint(info, "cache-size", size.num);
    json_put_uint(info, "bytes", net->xbzrle_bytes);
    json_put_uint(info, "pages", net->xbzrle_pages);
    json_put_uint(info, "cache-miss", net->xbzrle_cache_misses);
    json_put(info, "cache-miss-rate",
             json_object_new_double(tried > 0 ? (double)net->xbzrle_cache_misses / tried : 0));
    json_put(info, "encoding-rate",
             json_object_new_double(net->xbzrle_bytes
                                        ? (double)net->xbzrle_pages * FERRY_PAGE_BYTES /
                                              (double)net->xbzrle_bytes
                                        : 0));
    json_put_uint(info, "overflow", net->xbzrle_overflows);
    return info;
}

/* "tcp:HOST:PORT" or "unix:PATH", as SocketAddress. */
static void put_socket_address(struct json_object *info, const char *listening)
{
    struct json_object *list = json_object_new_array(), *addr = json_object_new_object();
    const char *host = strchr(listening, ':') + 1, *port = strrchr(listening, ':') + 1;

    if (!strncmp(listening, "unix:", 5)) {
        json_put_str(addr, "type", "unix");
        json_put_str(addr, "path", host);
    } else {
        size_t n = port > host ? (size_t)(port - host) - 1 : 0;

        if (n > 1 && *host == '[') {
            host++;
            n -= 2;
        }
        json_put_str(addr, "type", "inet");
        json_put(addr, "host", json_object_new_string_len(host, (int)n));
        json_put_str(addr, "port", port);
    }
    json_append(list, addr);
    json_put(info, "socket-address", list);
}

static bool is_on(struct migration *m, const char *capability)
{
    for (size_t i = 0; i < migration_capability_count(); i++)
        if (!strcmp(migration_capability_name(i), capability))
            return migration_capability(m, i);
    return false;
}

static void put_expected_downtime(struct json_object *info, struct migration *m,
                                  const struct migration_info *now)
{
    struct migration_value limit = {0};

    for (size_t i = 0; i < migration_param_count(); i++)
        if (!strcmp(migration_param(i)->name, "downtime-limit"))
            migration_param_get(m, i, &limit);
    if (now->net.expected_downtime_ns > 0)
        json_put_int(info, "expected-downtime", now->net.expected_downtime_ns / NS_PER_MS);
    else
        json_put_uint(info, "expected-downtime", limit.num);
}

static void put_outgoing(struct json_object *info, struct migration *m,
                         const struct migration_info *now)
{
    bool running = now->status == MIGRATION_ACTIVE || now->status == MIGRATION_DEVICE ||
                   now->status == MIGRATION_PRE_SWITCHOVER || now->status == MIGRATION_CANCELLING;

    if (!running && now->status != MIGRATION_COMPLETED)
        return;
    json_put_int(info, "setup-time", now->setup_ns / NS_PER_MS);
    json_put_int(info, "total-time", now->total_ns / NS_PER_MS);
    if (running)
        put_expected_downtime(info, m, now);
    else
        json_put_int(info, "downtime", now->downtime_ns / NS_PER_MS);
    json_put(info, "ram", ram_info(&now->net, migration_status_name(now->status), now->total_ns));
    if (now->have_net && is_on(m, "xbzrle"))
        json_put(info, "xbzrle-cache", xbzrle_info(m, &now->net));
    if (running && now->net.throttle_percent)
        json_put_uint(info, "cpu-throttle-percentage", now->net.throttle_percent);
}

static void put_status(struct json_object *info, enum migration_status status, const char *error)
{
    json_put_str(info, "status", migration_status_name(status));
    if (error)
        json_put_str(info, "error-desc", error);
}

/* One that has been followed by others: without its numbers. Nothing, if it is not known. */
static void put_old_job(struct json_object *info, const struct migration *m, const char *name)
{
    enum migration_status status;
    const char *error;

    if (!migration_job(m, name, &status, &error))
        return;
    put_status(info, status, error);
    json_put_str(info, "ferry-job", name);
}

QMP_HANDLER(qmp_run_query_migrate)
{
    struct migration *m = monitor_env(call->monitor)->migration;
    const char *wanted = qmp_get_str(args, "ferry-job"), *name = migration_job_name(m);
    struct migration_info now;

    *ret = json_object_new_object();
    if (wanted && (!name || strcmp(name, wanted) != 0)) {
        put_old_job(*ret, m, wanted);
        return 0;
    }
    migration_info(m, &now);
    if (now.status == MIGRATION_NONE)
        return 0;
    put_status(*ret, now.status, now.error_desc);
    if (now.what)
        json_put_str(*ret, "ferry-what", now.what);
    if (name)
        json_put_str(*ret, "ferry-job", name);
    if (!now.incoming)
        put_outgoing(*ret, m, &now);
    else if (now.listening)
        put_socket_address(*ret, now.listening);
    return 0;
}

static const struct qmp_type thread = {.name = "MigrationThreadInfo",
                                       .kind = QMP_KIND_OBJECT,
                                       QMP_MEMBERS({"name", &qmp_str}, {"thread-id", &qmp_int})};
const struct qmp_type qmp_type_migration_threads = {.kind = QMP_KIND_ARRAY, .element = &thread};

QMP_HANDLER(qmp_run_migration_threads)
{
    struct ferry_migrate_thread now;

    *ret = json_object_new_array();
    for (size_t i = 0; migration_thread(monitor_env(call->monitor)->migration, i, &now); i++) {
        struct json_object *info = json_object_new_object();

        json_put_int(info, "thread-id", now.id);
        json_put_str(info, "name", now.name);
        json_append(*ret, info);
    }
    return 0;
}

/* --- The ledger of a stream --- */

static struct json_object *net_ledger_info(const struct ferry_migrate_ledger *l)
{
    const struct {
        const char *name;
        int64_t ns;
    } times[] = {
        {"total-ns", l->total_ns},
        {"setup-ns", l->setup_ns},
        {"quiesce-ns", l->quiesce_ns},
        {"stop-ns", l->stop_ns},
        {"save-ns", l->save_ns},
        {"send-ns", l->send_ns},
        {"wait-ns", l->wait_ns},
        {"commit-ns", l->commit_ns},
        {"target-load-ns", l->target_load_ns},
        {"target-start-ns", l->target_start_ns},
    };
    struct json_object *info = json_object_new_object();

    for (size_t i = 0; i < sizeof(times) / sizeof(times[0]); i++)
        json_put_int(info, times[i].name, times[i].ns);
    json_put_uint(info, "state-bytes", l->state_bytes);
    json_put_uint(info, "last-ram-bytes", l->last_ram_bytes);
    return info;
}

QMP_HANDLER(qmp_run_migrate_ledger)
{
    struct migration *m = monitor_env(call->monitor)->migration;
    struct migration_info now;

    migration_info(m, &now);
    if (!now.net_ledger)
        return err_set(err, ENOENT, "this process has not taken part in a migration yet");
    *ret = net_ledger_info(now.net_ledger);
    if (migration_job_name(m))
        json_put_str(*ret, "ferry-job", migration_job_name(m));
    return 0;
}

/* --- The ledger --- */

static int by_duration(const void *a, const void *b)
{
    const struct ferry_ledger_entry *const *x = a, *const *y = b;

    return ((*x)->duration_ns < (*y)->duration_ns) - ((*x)->duration_ns > (*y)->duration_ns);
}

static struct json_object *entry_info(const struct ferry_ledger_entry *e, int64_t origin_ns)
{
    struct json_object *info = json_object_new_object();

    if (e->part[0])
        json_put_str(info, "part", e->part);
    json_put_str(info, "phase", ferry_phase_name(e->phase));
    json_put_int(info, "start-ns", e->start_ns - origin_ns);
    json_put_int(info, "duration-ns", e->duration_ns);
    return info;
}

/* When the pause began. */
static int64_t ledger_origin_ns(const struct ferry_ledger *ledger)
{
    int64_t origin_ns = INT64_MAX;

    for (uint32_t i = 0; i < ledger->count; i++)
        if (ledger->entries[i].start_ns < origin_ns)
            origin_ns = ledger->entries[i].start_ns;
    return ledger->count ? origin_ns : 0;
}

/* Phases in the order they happened, parts by what they cost. */
static struct json_object *ledger_info(const struct migration_info *now)
{
    const struct ferry_ledger *ledger = now->ledger;
    struct json_object *info = json_object_new_object();
    struct json_object *phases = json_object_new_array(), *parts = json_object_new_array();
    const struct ferry_ledger_entry *sorted[FERRY_LEDGER_ENTRIES];
    int64_t origin_ns = ledger_origin_ns(ledger);
    char own[BUILD_TEXT_BYTES];
    size_t count = 0;

    for (uint32_t i = 0; i < ledger->count && i < FERRY_LEDGER_ENTRIES; i++) {
        const struct ferry_ledger_entry *e = &ledger->entries[i];

        if (e->part[0])
            sorted[count++] = e;
        else
            json_append(phases, entry_info(e, origin_ns));
    }
    qsort(sorted, count, sizeof(sorted[0]), by_duration);
    for (size_t i = 0; i < count; i++)
        json_append(parts, entry_info(sorted[i], origin_ns));
    json_put_int(info, "pid", now->runner_pid);
    json_put_str(info, "from", now->incoming ? now->peer_build : build_text(own));
    json_put_str(info, "to", now->incoming ? build_text(own) : now->peer_build);
    json_put_int(info, "total-ns", ledger->total_ns);
    json_put_int(info, "quiesce-ns", ledger->quiesce_ns);
    json_put_int(info, "prepare-ns", ledger->prepare_ns);
    json_put_uint(info, "state-bytes", ledger->state_bytes);
    json_put_int(info, "fds", ledger->fd_count);
    json_put_str(info, "source-urgency", ferry_urgency_name(ledger->source_urgency));
    json_put_str(info, "target-urgency", ferry_urgency_name(ledger->target_urgency));
    json_put(info, "phases", phases);
    json_put(info, "parts", parts);
    return info;
}

static int last_ledger(struct migration *m, struct json_object **ret, struct ferry_err *err)
{
    struct migration_info now;

    migration_info(m, &now);
    if (!now.ledger)
        return err_set(err, ENOENT, "this process has not taken part in a live update yet");
    *ret = ledger_info(&now);
    return 0;
}

QMP_HANDLER(qmp_run_ledger)
{
    return last_ledger(monitor_env(call->monitor)->migration, ret, err);
}

int qmp_report_update(struct qmp_call *call, struct json_object **ret, struct ferry_err *err)
{
    return last_ledger(monitor_env(call->monitor)->migration, ret, err);
}

const struct qmp_type qmp_type_updated_data = {
    .kind = QMP_KIND_OBJECT,
    QMP_MEMBERS({"from", &qmp_str}, {"to", &qmp_str}, {"pause-ns", &qmp_int}, {"pid", &qmp_int})};

static void update_done(void *arg, int result, const struct ferry_err *err)
{
    struct qmp_call *call = arg;
    struct json_object *ret = NULL;
    struct ferry_err why = {0};

    if (result < 0) {
        qmp_call_finish(call, result, NULL, err);
        return;
    }
    result = last_ledger(monitor_env(call->monitor)->migration, &ret, &why);
    qmp_call_finish(call, result, ret, &why);
}

static int update_goes(struct qmp_call *call, void *args, int *mail, struct ferry_err *err)
{
    struct migration *m = monitor_env(call->monitor)->migration;
    const char *name = qmp_get_str(args, "ferry-job");
    int rc = migration_update(m, mail, (int64_t)qmp_get_uint(args, "timeout-ms", 0) * NS_PER_MS,
                              update_done, call, err);

    if (!rc && name)
        migration_name_job(m, name);
    call->updated = QMP_UPDATED_REPORTS;
    return rc < 0 ? rc : QMP_DEFERRED;
}

static void args_free(void *arg)
{
    json_object_put(arg);
}

QMP_HANDLER(qmp_run_update)
{
    const struct ask_params params = {
        .command = "ferry-update",
        .args = args,
        .until_opened = true,
        .fn = update_goes,
        .arg = args,
        .free_arg = args_free,
    };
    int rc = migration_may_start(monitor_env(call->monitor)->migration, err);

    if (rc < 0)
        return rc;
    if (qmp_get_uint(args, "timeout-ms", 0) > UINT32_MAX)
        return err_set(err, ERANGE, "Parameter 'timeout-ms' expects uint32_t");
    if (!ask_is_needed(call))
        return err_set(err, ENOTSUP, "nobody is there to start another process");
    json_object_get(args);
    return ask_begin(call, &params, err);
}
