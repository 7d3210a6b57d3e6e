/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/move/migration_params.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/err.h"

/* In QEMU's order. */
static const struct {
    const char *name;
    bool served;
} capabilities[MIGRATION_CAP_COUNT] = {
    [MIGRATION_CAP_XBZRLE] = {"xbzrle", true},
    [MIGRATION_CAP_RDMA_PIN_ALL] = {"rdma-pin-all", false},
    [MIGRATION_CAP_AUTO_CONVERGE] = {"auto-converge", true},
    [MIGRATION_CAP_ZERO_BLOCKS] = {"zero-blocks", false},
    [MIGRATION_CAP_EVENTS] = {"events", true},
    [MIGRATION_CAP_POSTCOPY_RAM] = {"postcopy-ram", false},
    [MIGRATION_CAP_X_COLO] = {"x-colo", false},
    [MIGRATION_CAP_RELEASE_RAM] = {"release-ram", false},
    /* Always on: success is the target's acknowledgement. */
    [MIGRATION_CAP_RETURN_PATH] = {"return-path", true},
    [MIGRATION_CAP_PAUSE_BEFORE_SWITCHOVER] = {"pause-before-switchover", true},
    [MIGRATION_CAP_MULTIFD] = {"multifd", true},
    [MIGRATION_CAP_DIRTY_BITMAPS] = {"dirty-bitmaps", false},
    [MIGRATION_CAP_POSTCOPY_BLOCKTIME] = {"postcopy-blocktime", false},
    [MIGRATION_CAP_LATE_BLOCK_ACTIVATE] = {"late-block-activate", false},
    [MIGRATION_CAP_X_IGNORE_SHARED] = {"x-ignore-shared", true},
    [MIGRATION_CAP_VALIDATE_UUID] = {"validate-uuid", true},
    [MIGRATION_CAP_BACKGROUND_SNAPSHOT] = {"background-snapshot", false},
    [MIGRATION_CAP_ZERO_COPY_SEND] = {"zero-copy-send", false},
    [MIGRATION_CAP_POSTCOPY_PREEMPT] = {"postcopy-preempt", false},
    [MIGRATION_CAP_SWITCHOVER_ACK] = {"switchover-ack", false},
    [MIGRATION_CAP_DIRTY_LIMIT] = {"dirty-limit", false},
    [MIGRATION_CAP_MAPPED_RAM] = {"mapped-ram", true},
};

struct param_def {
    struct migration_param public;
    uint64_t initial, min, max;
    const char *range_text;     /* QEMU's wording */
    const char *const *choices; /* STR: enumeration; NULL = free text */
    const char *initial_str;
    bool power_of_two;
    bool live;            /* takes effect in a migration under way, or does not concern it */
    const char *sentence; /* of a value out of range; NULL: made of name and range_text */
};

static const char *const compressions[] = {"none", "zlib", "zstd", NULL};

const char *const *migration_compressions(void)
{
    return compressions;
}

/* The first one is served, the others are refused by name. */
static const char *const modes[] = {"normal", "cpr-reboot", "cpr-transfer", "cpr-exec", NULL};
static const char *const zero_pages[] = {"none", "legacy", "multifd", NULL};

#define UINT_OF(bits_, name_, initial_, min_, max_, text_, ...)                               \
    {                                                                                         \
        .public = {name_, MIGRATION_PARAM_UINT, bits_}, .initial = (initial_), .min = (min_), \
        .max = (max_), .range_text = (text_), __VA_ARGS__                                     \
    }
#define UINT(...)  UINT_OF(64, __VA_ARGS__)
#define UINT8(...) UINT_OF(8, __VA_ARGS__)
#define BOOL(name_, ...)                                                  \
    {                                                                     \
        .public = {name_, MIGRATION_PARAM_BOOL, 0}, .max = 1, __VA_ARGS__ \
    }
#define STR(name_, initial_, choices_)                                        \
    {                                                                         \
        .public = {name_, MIGRATION_PARAM_STR, 0}, .initial_str = (initial_), \
        .choices = (choices_)                                                 \
    }
#define LIVE          .live = true
#define PERCENT_1_99  "an integer in the range of 1 to 99"
#define PERCENT_1_100 "an integer in the range of 1 to 100"

/* clang-format off */
static const struct param_def params[MIGRATION_PARAM_COUNT] = {
    [MIGRATION_PARAM_ANNOUNCE_INITIAL] =
        UINT("announce-initial", 50, 0, 100000, "a value between 0 and 100000", LIVE),
    [MIGRATION_PARAM_ANNOUNCE_MAX] =
        UINT("announce-max", 550, 0, 100000, "a value between 0 and 100000", LIVE),
    [MIGRATION_PARAM_ANNOUNCE_ROUNDS] =
        UINT("announce-rounds", 5, 0, 1000, "a value between 0 and 1000", LIVE),
    [MIGRATION_PARAM_ANNOUNCE_STEP] =
        UINT("announce-step", 100, 1, 10000, "a value between 1 and 10000", LIVE),
    [MIGRATION_PARAM_THROTTLE_TRIGGER_THRESHOLD] =
        UINT8("throttle-trigger-threshold", 50, 1, 100, PERCENT_1_100, LIVE),
    [MIGRATION_PARAM_CPU_THROTTLE_INITIAL] =
        UINT8("cpu-throttle-initial", 20, 1, 99, PERCENT_1_99, LIVE),
    [MIGRATION_PARAM_CPU_THROTTLE_INCREMENT] =
        UINT8("cpu-throttle-increment", 10, 1, 99, PERCENT_1_99, LIVE),
    [MIGRATION_PARAM_CPU_THROTTLE_TAILSLOW] = BOOL("cpu-throttle-tailslow"),
    [MIGRATION_PARAM_TLS_CREDS] = STR("tls-creds", "", NULL),
    [MIGRATION_PARAM_TLS_HOSTNAME] = STR("tls-hostname", "", NULL),
    [MIGRATION_PARAM_TLS_AUTHZ] = STR("tls-authz", "", NULL),
    [MIGRATION_PARAM_MAX_BANDWIDTH] =
        UINT("max-bandwidth", 128ull << 20, 0, UINT64_MAX, NULL, LIVE),
    [MIGRATION_PARAM_AVAIL_SWITCHOVER_BANDWIDTH] =
        UINT("avail-switchover-bandwidth", 0, 0, UINT64_MAX, NULL, LIVE),
    [MIGRATION_PARAM_DOWNTIME_LIMIT] =
        UINT("downtime-limit", 300, 0, 2000000,
             "an integer in the range of 0 to (2000 * 1000) ms", LIVE),
    [MIGRATION_PARAM_X_CHECKPOINT_DELAY] =
        UINT_OF(32, "x-checkpoint-delay", 20000, 0, UINT32_MAX, NULL),
    [MIGRATION_PARAM_MULTIFD_CHANNELS] =
        UINT8("multifd-channels", 2, 1, 255, "a value between 1 and 255"),
    [MIGRATION_PARAM_XBZRLE_CACHE_SIZE] =
        UINT("xbzrle-cache-size", 64ull << 20, 4096, 1ull << 62,
             "a power of two no less than the target page size", .power_of_two = true),
    /* Of postcopy, which is not served: none under way can be. */
    [MIGRATION_PARAM_MAX_POSTCOPY_BANDWIDTH] =
        UINT("max-postcopy-bandwidth", 0, 0, UINT64_MAX, NULL, LIVE),
    [MIGRATION_PARAM_MAX_CPU_THROTTLE] =
        UINT8("max-cpu-throttle", 99, 1, 99,
              "an integer in the range of cpu_throttle_initial to 99", LIVE),
    [MIGRATION_PARAM_MULTIFD_COMPRESSION] = STR("multifd-compression", "none", compressions),
    [MIGRATION_PARAM_MULTIFD_ZLIB_LEVEL] =
        UINT8("multifd-zlib-level", 1, 0, 9, "a value between 0 and 9"),
    [MIGRATION_PARAM_MULTIFD_ZSTD_LEVEL] =
        UINT8("multifd-zstd-level", 1, 0, 20, "a value between 0 and 20"),
    [MIGRATION_PARAM_MULTIFD_QATZIP_LEVEL] =
        UINT8("multifd-qatzip-level", 1, 1, 9, "a value between 1 and 9"),
    [MIGRATION_PARAM_X_VCPU_DIRTY_LIMIT_PERIOD] =
        UINT("x-vcpu-dirty-limit-period", 1000, 1, 1000, NULL, .sentence =
             "Parameter 'x-vcpu-dirty-limit-period' expects a value between 1 and 1000"),
    [MIGRATION_PARAM_VCPU_DIRTY_LIMIT] =
        UINT("vcpu-dirty-limit", 1, 1, UINT64_MAX, NULL, .sentence =
             "Parameter 'vcpu_dirty_limit' must be at least 1 MB/s"),
    [MIGRATION_PARAM_MODE] = STR("mode", "normal", modes),
    [MIGRATION_PARAM_ZERO_PAGE_DETECTION] = STR("zero-page-detection", "multifd", zero_pages),
    [MIGRATION_PARAM_DIRECT_IO] = BOOL("direct-io"),
    [MIGRATION_PARAM_LOCAL] = BOOL("local"),
};
/* clang-format on */

void migration_params_init(struct migration_params *p)
{
    *p = (struct migration_params){0};
    for (size_t i = 0; i < MIGRATION_PARAM_COUNT; i++) {
        p->num[i] = params[i].initial;
        if (params[i].initial_str)
            snprintf(p->str[i], sizeof(p->str[i]), "%s", params[i].initial_str);
    }
}

size_t migration_capability_count(void)
{
    return MIGRATION_CAP_COUNT;
}

const char *migration_capability_name(size_t index)
{
    return capabilities[index].name;
}

size_t migration_param_count(void)
{
    return MIGRATION_PARAM_COUNT;
}

const struct migration_param *migration_param(size_t index)
{
    return &params[index].public;
}

static int check_conflicts(const bool wanted[MIGRATION_CAP_COUNT], struct ferry_err *err)
{
    if (wanted[MIGRATION_CAP_MULTIFD] && wanted[MIGRATION_CAP_XBZRLE])
        return err_set(err, EINVAL, "Multifd is not compatible with xbzrle");
    if (wanted[MIGRATION_CAP_MAPPED_RAM] && wanted[MIGRATION_CAP_XBZRLE])
        return err_set(err, EINVAL, "Mapped-ram migration is incompatible with xbzrle");
    if (wanted[MIGRATION_CAP_MAPPED_RAM] && wanted[MIGRATION_CAP_X_IGNORE_SHARED])
        return err_set(err, EINVAL,
                       "Mapped-ram migration is incompatible with x-ignore-shared: switch one off");
    return 0;
}

int migration_params_check_address(const struct migration_params *p, enum ferry_address_kind kind,
                                   struct ferry_err *err)
{
    bool mapped = p->capabilities[MIGRATION_CAP_MAPPED_RAM];
    bool multifd = p->capabilities[MIGRATION_CAP_MULTIFD];

    if (mapped && kind != FERRY_ADDRESS_FILE)
        return err_set(err, EINVAL, "Migration requires seekable transport (e.g. file)");
    if (multifd && kind != FERRY_ADDRESS_TCP && kind != FERRY_ADDRESS_UNIX && !mapped)
        return err_set(err, EINVAL, "Migration requires multi-channel URIs (e.g. tcp)");
    return 0;
}

int migration_params_check_stream(const struct migration_params *p, struct ferry_err *err)
{
    if (p->capabilities[MIGRATION_CAP_MAPPED_RAM] && p->capabilities[MIGRATION_CAP_MULTIFD] &&
        strcmp(p->str[MIGRATION_PARAM_MULTIFD_COMPRESSION], "none"))
        return err_set(err, EINVAL, "Cannot use compression with mapped-ram");
    return 0;
}

int migration_params_set_capabilities(struct migration_params *p, const char *const *names,
                                      const bool *states, size_t count, bool listening, bool fixed,
                                      struct ferry_err *err)
{
    int rc;
    bool wanted[MIGRATION_CAP_COUNT];

    memcpy(wanted, p->capabilities, sizeof(wanted));
    for (size_t i = 0; i < count; i++) {
        size_t at = 0;

        while (at < MIGRATION_CAP_COUNT && strcmp(capabilities[at].name, names[i]))
            at++;
        if (at == MIGRATION_CAP_COUNT)
            return err_set(err, EINVAL, "Parameter 'capability' does not accept value '%s'",
                           names[i]);
        if (states[i] && !capabilities[at].served)
            return err_set(err, ENOTSUP, "Capability '%s' is not served by this version of ferry",
                           names[i]);
        if (listening && at == MIGRATION_CAP_MULTIFD && states[i] != wanted[at])
            return err_set(err, EBUSY, "Multifd must be set before incoming starts");
        if (fixed && at == MIGRATION_CAP_MAPPED_RAM && states[i] != wanted[at])
            return err_set(err, EBUSY, "Capability '%s' must be set before incoming starts",
                           names[i]);
        wanted[at] = states[i];
    }
    rc = check_conflicts(wanted, err);
    if (rc < 0)
        return rc;
    memcpy(p->capabilities, wanted, sizeof(wanted));
    return 0;
}

/* QEMU's range messages name the parameter with underscores. */
static int refuse_range(const struct param_def *def, struct ferry_err *err)
{
    char name[64];

    if (def->sentence)
        return err_set(err, EINVAL, "%s", def->sentence);
    snprintf(name, sizeof(name), "%s", def->public.name);
    for (char *c = name; *c; c++)
        if (*c == '-')
            *c = '_';
    return err_set(err, EINVAL, "Parameter '%s' expects %s", name, def->range_text);
}

static int check_value(const struct param_def *def, const struct migration_value *v,
                       struct ferry_err *err)
{
    if (def->public.type != MIGRATION_PARAM_STR) {
        if (v->num < def->min || v->num > def->max ||
            (def->power_of_two && (v->num & (v->num - 1))))
            return refuse_range(def, err);
        return 0;
    }
    if (strlen(v->str) >= MIGRATION_STR_BYTES)
        return err_set(err, E2BIG, "Parameter '%s' is longer than %d bytes", def->public.name,
                       MIGRATION_STR_BYTES - 1);
    for (size_t i = 0; def->choices; i++) {
        if (!def->choices[i])
            return err_set(err, EINVAL, "Parameter '%s' does not accept value '%s'",
                           def->public.name, v->str);
        if (!strcmp(def->choices[i], v->str))
            break;
    }
    if (def->choices == modes && strcmp(v->str, modes[0]))
        return err_set(err, ENOTSUP, "Migration mode '%s' is not served by this version of ferry",
                       v->str);
    if (!strcmp(def->public.name, "tls-creds") && *v->str)
        return err_set(err, ENOTSUP, "TLS is not served by this version of ferry");
    return 0;
}

static bool is_value_of(const struct migration_params *p, size_t index,
                        const struct migration_value *v)
{
    return params[index].public.type == MIGRATION_PARAM_STR ? !strcmp(p->str[index], v->str)
                                                            : p->num[index] == v->num;
}

int migration_params_set_values(struct migration_params *p, const size_t *indexes,
                                const struct migration_value *values, size_t count, bool fixed,
                                struct ferry_err *err)
{
    uint64_t num[MIGRATION_PARAM_COUNT];

    memcpy(num, p->num, sizeof(num));
    for (size_t i = 0; i < count; i++) {
        int rc = check_value(&params[indexes[i]], &values[i], err);

        if (rc < 0)
            return rc;
        if (fixed && !params[indexes[i]].live && !is_value_of(p, indexes[i], &values[i]))
            return err_set(err, EBUSY,
                           "Parameter '%s' cannot be changed while a migration is in progress: it "
                           "would have no effect",
                           params[indexes[i]].public.name);
        num[indexes[i]] = values[i].num;
    }
    if (num[MIGRATION_PARAM_MAX_CPU_THROTTLE] < num[MIGRATION_PARAM_CPU_THROTTLE_INITIAL])
        return refuse_range(&params[MIGRATION_PARAM_MAX_CPU_THROTTLE], err);
    memcpy(p->num, num, sizeof(num));
    for (size_t i = 0; i < count; i++)
        if (params[indexes[i]].public.type == MIGRATION_PARAM_STR)
            snprintf(p->str[indexes[i]], MIGRATION_STR_BYTES, "%s", values[i].str);
    return 0;
}
