/* SPDX-License-Identifier: Apache-2.0 */
/*
 * calc-dirty-rate: how many pages the guest writes to in a while. The dirty log knows every page,
 * so the modes that QEMU estimates by sampling give the exact number, too; sample-pages is only
 * checked and shown.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <ferry/ram.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/own.h"
#include "vmm/machine/loop.h"
#include "vmm/qmp/cmd.h"
#include "vmm/qmp/json_build.h"
#include "vmm/qmp/monitor.h"

#define NS_PER_MS          1000000
#define CALC_TIME_MIN_MS   50
#define CALC_TIME_MAX_MS   60000
#define SAMPLE_PAGES_MIN   128
#define SAMPLE_PAGES_MAX   16384
#define SAMPLE_PAGES_OTHER 512 /* if not given */
#define BYTES_PER_MIB      (1 << 20)

static const struct qmp_type time_unit = {
    .name = "TimeUnit", .kind = QMP_KIND_ENUM, QMP_VALUES("second", "millisecond")};
static const struct qmp_type mode = {.name = "DirtyRateMeasureMode",
                                     .kind = QMP_KIND_ENUM,
                                     QMP_VALUES("page-sampling", "dirty-ring", "dirty-bitmap")};
static const struct qmp_type rate_status = {.name = "DirtyRateStatus",
                                            .kind = QMP_KIND_ENUM,
                                            QMP_VALUES("unstarted", "measuring", "measured")};
const struct qmp_type qmp_type_calc_dirty_rate_args = {
    .kind = QMP_KIND_OBJECT,
    QMP_MEMBERS({"calc-time", &qmp_int}, {"calc-time-unit", &time_unit, true},
                {"sample-pages", &qmp_int, true}, {"mode", &mode, true})};
const struct qmp_type qmp_type_query_dirty_rate_args = {
    .kind = QMP_KIND_OBJECT, QMP_MEMBERS({"calc-time-unit", &time_unit, true})};
const struct qmp_type qmp_type_dirty_rate = {
    .name = "DirtyRateInfo",
    .kind = QMP_KIND_OBJECT,
    QMP_MEMBERS({"dirty-rate", &qmp_int, true}, {"status", &rate_status}, {"start-time", &qmp_int},
                {"calc-time", &qmp_int}, {"calc-time-unit", &time_unit},
                {"sample-pages", &qmp_uint64}, {"mode", &mode})};

struct dirty_rate {
    struct monitor *monitor;
    struct loop_timer *timer;
    enum { UNSTARTED, MEASURING, MEASURED } status;
    const char *mode; /* static storage: of the type */
    int64_t sample_pages;
    int64_t calc_time_ms;
    int64_t start_ns;
    int64_t rate_mib; /* per second; if MEASURED */
};

/* The pages written since the last harvest; -ENOMEM. */
static int64_t harvest_pages(struct ferry_ram *ram)
{
    struct ferry_ram_region *region;
    uint64_t pages = 0;

    ferry_ram_harvest_begin(ram);
    for (size_t i = 0; (region = ferry_ram_at(ram, i)); i++) {
        uint64_t words = (ferry_ram_size_bytes(region) / FERRY_PAGE_BYTES + 63) / 64;
        OWN_MEM uint64_t *bitmap = calloc(words, sizeof(*bitmap));

        if (!bitmap)
            return -ENOMEM;
        pages += ferry_ram_harvest(region, bitmap);
    }
    return (int64_t)pages;
}

static void measured(void *arg)
{
    struct dirty_rate *d = arg;
    struct ferry_ram *ram = monitor_env(d->monitor)->ram;
    int64_t elapsed_ms = (clock_monotonic_ns() - d->start_ns) / NS_PER_MS;
    int64_t pages = harvest_pages(ram);

    ferry_ram_log_stop(ram);
    d->status = pages < 0 ? UNSTARTED : MEASURED;
    if (pages < 0 || elapsed_ms <= 0)
        return;
    d->rate_mib = pages * FERRY_PAGE_BYTES * 1000 / elapsed_ms / BYTES_PER_MIB;
}

int dirty_rate_new(struct dirty_rate **ret, struct monitor *m, struct ferry_err *err)
{
    OWN_MEM struct dirty_rate *d = calloc(1, sizeof(*d));
    int rc;

    if (!d)
        return err_set(err, ENOMEM, "out of memory");
    d->monitor = m;
    d->mode = mode.values[0];
    rc = loop_timer_new(&d->timer, monitor_loop(m), measured, d, err);
    if (rc < 0)
        return rc;
    *ret = TAKE_PTR(d);
    return 0;
}

void dirty_rate_free(struct dirty_rate *d)
{
    if (!d)
        return;
    if (d->status == MEASURING)
        ferry_ram_log_stop(monitor_env(d->monitor)->ram);
    loop_timer_free(d->timer);
    free(d);
}

static bool is_ms(struct json_object *args)
{
    const char *unit = qmp_get_str(args, "calc-time-unit");

    return unit && !strcmp(unit, "millisecond");
}

static int64_t get_int(struct json_object *args, const char *name, int64_t otherwise)
{
    struct json_object *value = qmp_get(args, name);

    return value ? json_object_get_int64(value) : otherwise;
}

/* One of the mode's names in static storage. */
static const char *get_mode(struct json_object *args)
{
    const char *name = qmp_get_str(args, "mode");

    for (size_t i = 0; name && mode.values[i]; i++)
        if (!strcmp(mode.values[i], name))
            return mode.values[i];
    return mode.values[0];
}

QMP_HANDLER(qmp_run_calc_dirty_rate)
{
    struct dirty_rate *d = qmp_state_dirty_rate(call->monitor);
    struct ferry_ram *ram = monitor_env(call->monitor)->ram;
    int64_t time = get_int(args, "calc-time", 0);
    int64_t pages = get_int(args, "sample-pages", SAMPLE_PAGES_OTHER);
    const char *wanted = get_mode(args);
    int rc;

    if (d->status == MEASURING)
        return err_set(err, EBUSY, "the dirty rate is already being measured.");
    if (time > CALC_TIME_MAX_MS) /* in either unit; no overflow below */
        time = 0;
    time *= is_ms(args) ? 1 : 1000;
    if (time < CALC_TIME_MIN_MS || time > CALC_TIME_MAX_MS)
        return err_set(err, ERANGE, "Calculation time is out of range [%dms, %dms].",
                       CALC_TIME_MIN_MS, CALC_TIME_MAX_MS);
    if (!strcmp(wanted, "dirty-ring"))
        return err_set(err, ENOTSUP, "mode dirty-ring is not enabled, use other method instead.");
    if (pages < SAMPLE_PAGES_MIN || pages > SAMPLE_PAGES_MAX)
        return err_set(err, ERANGE, "sample-pages is out of range[%d, %d].", SAMPLE_PAGES_MIN,
                       SAMPLE_PAGES_MAX);
    if (!ram)
        return err_set(err, EAGAIN, "there is no machine yet");
    rc = ferry_ram_log_start(ram, err);
    if (rc < 0)
        return rc;
    d->status = MEASURING;
    d->mode = wanted;
    d->sample_pages = pages;
    d->calc_time_ms = time;
    d->start_ns = clock_monotonic_ns();
    loop_timer_set(d->timer, d->start_ns + time * NS_PER_MS);
    return 0;
}

QMP_HANDLER(qmp_run_query_dirty_rate)
{
    const struct dirty_rate *d = qmp_state_dirty_rate(call->monitor);
    bool ms = is_ms(args);

    *ret = json_object_new_object();
    json_put_str(*ret, "status", rate_status.values[d->status]);
    json_put_int(*ret, "sample-pages", d->sample_pages);
    json_put_str(*ret, "mode", d->mode);
    json_put_int(*ret, "start-time", d->start_ns / NS_PER_MS / 1000);
    json_put_int(*ret, "calc-time", ms ? d->calc_time_ms : d->calc_time_ms / 1000);
    json_put_str(*ret, "calc-time-unit", time_unit.values[ms ? 1 : 0]);
    if (d->status == MEASURED)
        json_put_int(*ret, "dirty-rate", d->rate_mib);
    return 0;
}
