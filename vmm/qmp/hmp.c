/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/qmp/hmp.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "vmm/machine/migration.h"
#include "vmm/qmp/type.h"

size_t hmp_split(char *line, const char **words, size_t max)
{
    size_t count = 0;

    while (count < max) {
        bool quoted;
        char *to;

        while (isspace((unsigned char)*line))
            line++;
        if (!*line)
            break;
        quoted = *line == '"';
        line += quoted ? 1 : 0;
        words[count++] = to = line;
        while (*line && (quoted ? *line != '"' : !isspace((unsigned char)*line))) {
            if (quoted && *line == '\\' && line[1])
                line++;
            *to++ = *line++;
        }
        line += *line ? 1 : 0;
        *to = '\0';
    }
    return count;
}

/* --- info migrate --- */

static uint64_t number(struct json_object *object, const char *name)
{
    return json_object_get_uint64(qmp_get(object, name));
}

static void print_ram(struct buf *out, struct json_object *ram)
{
    static const struct {
        const char *name, *text;
        unsigned shift; /* kbytes */
        const char *unit;
        bool if_not_0;
    } lines[] = {
        {"transferred", "transferred ram", 10, " kbytes"},
        {"mbps", "throughput", 0, " mbps"},
        {"remaining", "remaining ram", 10, " kbytes"},
        {"total", "total ram", 10, " kbytes"},
        {"duplicate", "duplicate", 0, " pages"},
        {"normal", "normal", 0, " pages"},
        {"normal-bytes", "normal bytes", 10, " kbytes"},
        {"dirty-sync-count", "dirty sync count", 0, ""},
        {"page-size", "page size", 10, " kbytes"},
        {"multifd-bytes", "multifd bytes", 10, " kbytes"},
        {"pages-per-second", "pages-per-second", 0, ""},
        {"dirty-pages-rate", "dirty pages rate", 0, " pages", true},
        {"precopy-bytes", "precopy ram", 10, " kbytes", true},
        {"downtime-bytes", "downtime ram", 10, " kbytes", true},
    };

    for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
        struct json_object *value = qmp_get(ram, lines[i].name);

        if (json_object_is_type(value, json_type_double))
            buf_printf(out, "%s: %0.2f%s\r\n", lines[i].text, json_object_get_double(value),
                       lines[i].unit);
        else if (!lines[i].if_not_0 || json_object_get_uint64(value))
            buf_printf(out, "%s: %" PRIu64 "%s\r\n", lines[i].text,
                       json_object_get_uint64(value) >> lines[i].shift, lines[i].unit);
    }
}

static void print_xbzrle(struct buf *out, struct json_object *info)
{
    buf_printf(out, "cache size: %" PRIu64 " bytes\r\n", number(info, "cache-size"));
    buf_printf(out, "xbzrle transferred: %" PRIu64 " kbytes\r\n", number(info, "bytes") >> 10);
    buf_printf(out, "xbzrle pages: %" PRIu64 " pages\r\n", number(info, "pages"));
    buf_printf(out, "xbzrle cache miss: %" PRIu64 " pages\r\n", number(info, "cache-miss"));
    buf_printf(out, "xbzrle cache miss rate: %0.2f\r\n",
               json_object_get_double(qmp_get(info, "cache-miss-rate")));
    buf_printf(out, "xbzrle encoding rate: %0.2f\r\n",
               json_object_get_double(qmp_get(info, "encoding-rate")));
    buf_printf(out, "xbzrle overflow: %" PRIu64 "\r\n", number(info, "overflow"));
}

static void print_addresses(struct buf *out, struct json_object *list)
{
    buf_str(out, "socket address: [\r\n");
    for (size_t i = 0; i < json_object_array_length(list); i++) {
        struct json_object *a = json_object_array_get_idx(list, i);

        if (!strcmp(qmp_get_str(a, "type"), "unix"))
            buf_printf(out, "\tunix:%s\r\n", qmp_get_str(a, "path"));
        else
            buf_printf(out, "\ttcp:%s:%s\r\n", qmp_get_str(a, "host"), qmp_get_str(a, "port"));
    }
    buf_str(out, "]\r\n");
}

void hmp_print_migration(struct buf *out, struct json_object *info)
{
    const char *status = qmp_get_str(info, "status"), *why = qmp_get_str(info, "error-desc");

    /* What QEMU can be told to leave out of a stream; here it is always in it. */
    buf_str(out, "globals:\r\nstore-global-state: on\r\nonly-migratable: off\r\n"
                 "send-configuration: on\r\nsend-section-footer: on\r\n"
                 "send-switchover-start: on\r\n");
    if (!status)
        return;
    buf_printf(out, why ? "Migration status: %s (%s)\r\n" : "Migration status: %s\r\n", status,
               why);
    buf_printf(out, "total time: %" PRIu64 " ms\r\n", number(info, "total-time"));
    if (qmp_get(info, "expected-downtime"))
        buf_printf(out, "expected downtime: %" PRIu64 " ms\r\n", number(info, "expected-downtime"));
    if (qmp_get(info, "downtime"))
        buf_printf(out, "downtime: %" PRIu64 " ms\r\n", number(info, "downtime"));
    if (qmp_get(info, "setup-time"))
        buf_printf(out, "setup: %" PRIu64 " ms\r\n", number(info, "setup-time"));
    if (qmp_get(info, "ram"))
        print_ram(out, qmp_get(info, "ram"));
    if (qmp_get(info, "xbzrle-cache"))
        print_xbzrle(out, qmp_get(info, "xbzrle-cache"));
    if (qmp_get(info, "cpu-throttle-percentage"))
        buf_printf(out, "cpu throttle percentage: %" PRIu64 "\r\n",
                   number(info, "cpu-throttle-percentage"));
    if (qmp_get(info, "socket-address"))
        print_addresses(out, qmp_get(info, "socket-address"));
}

/* --- Parameters --- */

/* In QEMU's order, with its units; what it does not print is not here. */
static const struct {
    const char *name, *unit;
} shown[] = {
    {"announce-initial", " ms"},
    {"announce-max", " ms"},
    {"announce-rounds", ""},
    {"announce-step", " ms"},
    {"throttle-trigger-threshold", ""},
    {"cpu-throttle-initial", ""},
    {"cpu-throttle-increment", ""},
    {"cpu-throttle-tailslow", ""},
    {"max-cpu-throttle", ""},
    {"tls-creds", "'"},
    {"tls-hostname", "'"},
    {"max-bandwidth", " bytes/second"},
    {"avail-switchover-bandwidth", " bytes/second"},
    {"downtime-limit", " ms"},
    {"x-checkpoint-delay", " ms"},
    {"multifd-channels", ""},
    {"multifd-compression", ""},
    {"zero-page-detection", ""},
    {"xbzrle-cache-size", " bytes"},
    {"max-postcopy-bandwidth", ""},
    {"tls-authz", "'"},
    {"x-vcpu-dirty-limit-period", " ms"},
    {"vcpu-dirty-limit", " MB/s"},
    {"mode", ""},
    {"direct-io", ""},
};

/* migration_param_count() if there is none. */
static size_t find_parameter(const char *name)
{
    size_t i = 0;

    while (i < migration_param_count() && strcmp(migration_param(i)->name, name))
        i++;
    return i;
}

void hmp_print_parameters(struct buf *out, const struct migration *m)
{
    for (size_t i = 0; i < sizeof(shown) / sizeof(shown[0]); i++) {
        size_t at = find_parameter(shown[i].name);
        struct migration_value value;

        migration_param_get(m, at, &value);
        buf_printf(out, "%s: ", shown[i].name);
        switch (migration_param(at)->type) {
        case MIGRATION_PARAM_UINT:
            buf_printf(out, "%" PRIu64 "%s\r\n", value.num, shown[i].unit);
            break;
        case MIGRATION_PARAM_BOOL:
            buf_printf(out, "%s\r\n", value.num ? "on" : "off");
            break;
        case MIGRATION_PARAM_STR:
            buf_printf(out, "%s%s%s\r\n", shown[i].unit, value.str, shown[i].unit);
            break;
        }
    }
}

/* What a number's suffix stands for; 0: it is none. */
static uint64_t suffix_factor(const char *suffix, uint64_t otherwise)
{
    static const char letters[] = "KMGTPE";
    const char *at;

    if (!*suffix)
        return otherwise;
    if (suffix[1])
        return 0;
    if (*suffix == 'B' || *suffix == 'b')
        return 1;
    at = strchr(letters, toupper((unsigned char)*suffix));
    return at ? UINT64_C(1) << 10 * (unsigned)(at - letters + 1) : 0;
}

int hmp_parse_size(const char *text, uint64_t otherwise, uint64_t *ret)
{
    uint64_t whole, factor;
    double fraction = 0;
    char *end;

    if (!isdigit((unsigned char)*text))
        return -EINVAL;
    errno = 0;
    whole = strtoull(text, &end, !strncmp(text, "0x", 2) || !strncmp(text, "0X", 2) ? 16 : 10);
    if (errno)
        return -ERANGE;
    if (*end == '.' && isdigit((unsigned char)end[1])) {
        double place = 0.1;

        for (end++; isdigit((unsigned char)*end); end++, place /= 10)
            fraction += (*end - '0') * place;
    }
    factor = suffix_factor(end, otherwise);
    /* Half a byte is none. */
    if (!factor || (fraction > 0 && factor == 1))
        return -EINVAL;
    if (whole >= UINT64_MAX / factor)
        return -ERANGE;
    *ret = whole * factor + (uint64_t)(fraction * (double)factor);
    return 0;
}

static int parse_uint(const struct migration_param *p, const char *text, uint64_t *ret,
                      struct ferry_err *err)
{
    bool is_rate = strstr(p->name, "bandwidth") != NULL;
    bool is_max_rate = is_rate && strncmp(p->name, "max-postcopy", 12);
    int rc = hmp_parse_size(text, is_max_rate ? 1u << 20 : 1, ret);

    if (rc < 0 && is_max_rate)
        return err_set(err, EINVAL, "Invalid size %.100s", text);
    if (rc == -ERANGE || (rc < 0 && *text == '-'))
        return err_set(err, ERANGE, "Value '%.100s' is out of range for parameter '%s'", text,
                       p->name);
    if (rc < 0)
        return err_set(err, EINVAL, "Parameter '%s' expects uint64", p->name);
    if (p->bits < 64 && *ret >> p->bits)
        return err_set(err, ERANGE, "Parameter '%s' expects uint%u_t", p->name, p->bits);
    return 0;
}

static int parse_bool(const struct migration_param *p, const char *text, uint64_t *ret,
                      struct ferry_err *err)
{
    static const char *const words[][2] = {
        {"on", "off"}, {"yes", "no"}, {"true", "false"}, {"y", "n"}};

    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
        for (unsigned off = 0; off < 2; off++)
            if (!strcmp(text, words[i][off])) {
                *ret = !off;
                return 0;
            }
    return err_set(err, EINVAL, "Parameter '%s' expects 'on' or 'off'", p->name);
}

int hmp_parameter(struct migration *m, const char *name, const char *text, struct ferry_err *err)
{
    struct migration_value value = {.str = text};
    size_t at = find_parameter(name);
    const struct migration_param *p;
    int rc = 0;

    if (!strcmp(name, "block-bitmap-mapping"))
        return err_set(err, EINVAL,
                       "The block-bitmap-mapping parameter can only be set through QMP");
    if (at == migration_param_count())
        return err_set(err, EINVAL, "invalid parameter value: %.100s", name);
    p = migration_param(at);
    if (p->type == MIGRATION_PARAM_UINT)
        rc = parse_uint(p, text, &value.num, err);
    else if (p->type == MIGRATION_PARAM_BOOL)
        rc = parse_bool(p, text, &value.num, err);
    return rc < 0 ? rc : migration_params_set(m, &at, &value, 1, err);
}
