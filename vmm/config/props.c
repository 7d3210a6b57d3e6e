/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/config/props.h"

#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/num.h"
#include "vmm/machine/config.h"

#define WORD_MAX 48

/*
 * How many slips of a finger lie between two words of up to WORD_MAX bytes: a character too many,
 * too few, another one, or two neighbours swapped. Longer words are far from everything.
 */
static size_t distance(const char *a, const char *b)
{
    size_t rows[3][WORD_MAX + 1];
    size_t *row = rows[0], *above = rows[1], *above2 = rows[2];
    size_t la = strlen(a), lb = strlen(b);

    if (la > WORD_MAX || lb > WORD_MAX)
        return SIZE_MAX;
    for (size_t j = 0; j <= lb; j++)
        row[j] = j;
    for (size_t i = 1; i <= la; i++) {
        size_t *oldest = above2;

        above2 = above;
        above = row;
        row = oldest;
        row[0] = i;
        for (size_t j = 1; j <= lb; j++) {
            row[j] = above[j - 1] + (a[i - 1] != b[j - 1]);
            row[j] = num_min(row[j], above[j] + 1);
            row[j] = num_min(row[j], row[j - 1] + 1);
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
                row[j] = num_min(row[j], above2[j - 2] + 1);
        }
    }
    return row[lb];
}

/* More than one in four is another word, not a typing error; of one or two characters any is. */
static size_t slips_max(const char *word)
{
    size_t n = strlen(word);

    return n < 3 ? 0 : (n + 2) / 4;
}

const char *props_closest(const char *word, const char *(*candidate)(const void *arg, size_t i),
                          const void *arg)
{
    const char *best = NULL;
    size_t best_distance = slips_max(word) + 1;
    const char *name;

    for (size_t i = 0; (name = candidate(arg, i)); i++) {
        size_t d = distance(word, name);

        if (d < best_distance) {
            best = name;
            best_distance = d;
        }
    }
    return best;
}

/* What there is; not what there is not. */
static const char *prop_candidate(const void *arg, size_t i)
{
    const struct prop *p = arg;

    for (; p->name; p++)
        if (p->kind != PROP_ABSENT && i-- == 0)
            return p->name;
    return NULL;
}

int props_parse_bool(const char *text, bool *ret)
{
    static const char *const yes[] = {"on", "yes", "true", "y"};
    static const char *const no[] = {"off", "no", "false", "n"};

    for (size_t i = 0; i < sizeof(yes) / sizeof(yes[0]); i++) {
        if (!strcmp(text, yes[i])) {
            *ret = true;
            return 0;
        }
        if (!strcmp(text, no[i])) {
            *ret = false;
            return 0;
        }
    }
    return -EINVAL;
}

int props_parse_size(const char *text, uint64_t unit_bytes, uint64_t *ret)
{
    static const char suffixes[] = "BKMGTPE";
    char *end;
    uint64_t number, thousandths = 0, part, unit = unit_bytes;

    if (*text < '0' || *text > '9')
        return -EINVAL;
    errno = 0;
    number = strtoull(text, &end, 0);
    if (errno)
        return -ERANGE;
    if (*end == '.' && end[1] >= '0' && end[1] <= '9') {
        uint64_t weight = 100;

        for (end++; *end >= '0' && *end <= '9'; end++, weight /= 10)
            thousandths += weight * (uint64_t)(*end - '0');
    }
    if (*end) {
        const char *at = strchr(suffixes, *end >= 'a' ? *end - 'a' + 'A' : *end);

        if (!at || end[1])
            return -EINVAL;
        unit = 1ull << (10 * (at - suffixes));
    }
    part = thousandths * (unit / 1000) + thousandths * (unit % 1000) / 1000;
    if (num_mul(number, unit, ret) < 0 || num_add(*ret, part, ret) < 0)
        return -ERANGE;
    return 0;
}

static int parse_int(const char *text, int64_t *ret)
{
    char *end;

    errno = 0;
    *ret = strtoll(text, &end, 0);
    return errno || end == text || *end ? -EINVAL : 0;
}

/* n bytes of two hexadecimal digits each; *at goes behind them. */
static bool take_bytes(const char **at, uint8_t *ret, size_t n)
{
    for (; n > 0; n--, *at += 2) {
        const char pair[] = {(*at)[0], (*at)[0] ? (*at)[1] : '\0', '\0'};

        if (strspn(pair, "0123456789abcdefABCDEF") != 2)
            return false;
        *ret++ = (uint8_t)strtoul(pair, NULL, 16);
    }
    return true;
}

static bool parse_uuid(uint8_t ret[16], const char *text)
{
    static const uint8_t groups[] = {4, 2, 2, 2, 6};

    for (size_t i = 0; i < sizeof(groups); ret += groups[i++])
        if ((i > 0 && *text++ != '-') || !take_bytes(&text, ret, groups[i]))
            return false;
    return !*text;
}

int props_parse_uuid(uint8_t ret[16], const char *value, struct ferry_err *err)
{
    uint8_t bytes[16];

    if (!parse_uuid(bytes, value))
        return err_set(err, EINVAL,
                       "'%s' is not a UUID such as 550e8400-e29b-41d4-a716-446655440000", value);
    memcpy(ret, bytes, sizeof(bytes));
    return 0;
}

static int parse_guid(const char *text, struct config_guid *ret, struct ferry_err *err)
{
    int rc = 0;

    *ret = (struct config_guid){.given = strcmp(text, "auto") != 0};
    if (ret->given)
        rc = props_parse_uuid(ret->bytes, text, err);
    return rc;
}

static int parse_mac(const char *text, uint8_t mac[6])
{
    uint8_t bytes[6];

    for (size_t i = 0; i < sizeof(bytes); i++)
        if ((i > 0 && *text++ != ':') || !take_bytes(&text, &bytes[i], 1))
            return -EINVAL;
    if (*text)
        return -EINVAL;
    memcpy(mac, bytes, sizeof(bytes));
    return 0;
}

void props_list(char *list, size_t bytes, const char *(*candidate)(const void *arg, size_t i),
                const void *arg)
{
    const char *name;

    *list = '\0';
    for (size_t i = 0; (name = candidate(arg, i)); i++) {
        size_t used = strlen(list);

        snprintf(list + used, bytes - used, "%s'%s'", i ? ", " : "", name);
    }
}

static const char *choice_candidate(const void *arg, size_t i)
{
    const struct prop *p = arg;

    return p->choices[i];
}

static int refuse_choice(const struct prop *p, const char *value, struct ferry_err *err)
{
    char list[256];

    props_list(list, sizeof(list), choice_candidate, p);
    return err_set(err, EINVAL, "Parameter '%s' does not accept value '%s' (it accepts %s)",
                   p->name, value, list);
}

int props_choice(const struct prop *p, const char *value, struct ferry_err *err)
{
    for (int i = 0; p->choices[i]; i++)
        if (!strcmp(p->choices[i], value))
            return i;
    return refuse_choice(p, value, err);
}

/* JSON is strictly typed: a number may not come as a string. */
static int check_json_type(const struct prop *p, const struct keyval_pair *pair,
                           struct ferry_err *err)
{
    const char *expected;
    enum keyval_kind fits;

    if (pair->kind == KEYVAL_TEXT || p->kind == PROP_IGNORED || p->kind == PROP_FIXED ||
        p->kind == PROP_ABSENT)
        return 0;
    switch (p->kind) {
    case PROP_BOOL:
        expected = "boolean";
        fits = KEYVAL_JSON_BOOL;
        break;
    case PROP_U32:
    case PROP_INT:
    case PROP_SIZE:
        expected = "integer";
        fits = KEYVAL_JSON_NUMBER;
        break;
    default:
        expected = "string";
        fits = KEYVAL_JSON_STRING;
        break;
    }
    if (pair->kind == fits)
        return 0;
    return err_set(err, EINVAL, "Invalid parameter type for '%s', expected: %s", p->name, expected);
}

static int apply_one(const struct prop *p, const struct keyval_pair *pair, void *target,
                     struct ferry_err *err)
{
    char *at = (char *)target + p->offset;
    const char *value = pair->value;
    int64_t number;
    int rc = check_json_type(p, pair, err);

    if (rc < 0)
        return rc;
    switch (p->kind) {
    case PROP_STRING:
    case PROP_PATH: {
        char *copy = strdup(value);

        if (!copy)
            return err_set(err, ENOMEM, "out of memory");
        free(*(char **)(void *)at);
        *(char **)(void *)at = copy;
        return 0;
    }
    case PROP_BOOL:
        if (props_parse_bool(value, (bool *)at) < 0)
            return err_set(err, EINVAL, "Parameter '%s' expects 'on' or 'off', not '%s'", p->name,
                           value);
        return 0;
    case PROP_U32:
    case PROP_INT:
        if (parse_int(value, &number) < 0 || number < (int64_t)p->min || number > (int64_t)p->max)
            return err_set(err, ERANGE,
                           "Parameter '%s' expects a number from %" PRIu64 " to %" PRIu64
                           ", not '%s'",
                           p->name, p->min, p->max, value);
        if (p->kind == PROP_U32)
            *(uint32_t *)(void *)at = (uint32_t)number;
        else
            *(int *)(void *)at = (int)number;
        return 0;
    case PROP_SIZE:
        if (props_parse_size(value, p->min ? p->min : 1, (uint64_t *)(void *)at) < 0)
            return err_set(err, EINVAL,
                           "Parameter '%s' expects a size such as 64K, 512M or 2G, not '%s'",
                           p->name, value);
        return 0;
    case PROP_MAC:
        if (parse_mac(value, (uint8_t *)at) < 0)
            return err_set(err, EINVAL,
                           "Parameter '%s' expects a MAC address such as 52:54:00:12:34:56, "
                           "not '%s'",
                           p->name, value);
        return 0;
    case PROP_GUID:
        return parse_guid(value, (struct config_guid *)(void *)at, err);
    case PROP_ENUM:
        rc = props_choice(p, value, err);
        if (rc < 0)
            return rc;
        *(int *)(void *)at = rc + 1;
        return 0;
    case PROP_FIXED:
        rc = props_choice(p, value, err);
        return rc < 0 ? rc : 0;
    case PROP_IGNORED:
        return 0;
    case PROP_ABSENT:
        return err_set(err, ENOTSUP, "Parameter '%s' is not available: %s", p->name, p->instead);
    }
    return err_set(err, EINVAL, "Parameter '%s' has no type", p->name);
}

const struct prop *props_find(const struct prop *table, const char *name)
{
    while (table->name && strcmp(table->name, name))
        table++;
    return table->name ? table : NULL;
}

int props_apply(const struct prop *table, const struct keyval *kv, void *target,
                struct ferry_err *err)
{
    for (size_t i = 0; i < kv->count; i++) {
        const struct keyval_pair *pair = &kv->pairs[i];
        const struct prop *p = props_find(table, pair->key);
        int rc;

        if (!p) {
            const char *closest = props_closest(pair->key, prop_candidate, table);
            char list[320];

            if (closest)
                return err_set(err, EINVAL, "Invalid parameter '%.60s'; did you mean '%s'?",
                               pair->key, closest);
            props_list(list, sizeof(list), prop_candidate, table);
            return err_set(err, EINVAL, "Invalid parameter '%.60s'; there are: %s", pair->key,
                           list);
        }
        rc = apply_one(p, pair, target, err);
        if (rc < 0)
            return rc;
    }
    return 0;
}

int props_apply_text(const struct prop *table, const char *text, const char *implied_key,
                     void *target, struct ferry_err *err)
{
    struct keyval kv;
    int rc = keyval_parse(&kv, text, implied_key, err);

    if (rc < 0)
        return rc;
    rc = props_apply(table, &kv, target, err);
    keyval_free(&kv);
    return rc;
}

void props_free(const struct prop *table, void *target)
{
    for (const struct prop *p = table; p->name; p++) {
        char **at = (char **)(void *)((char *)target + p->offset);

        if (p->kind != PROP_STRING && p->kind != PROP_PATH)
            continue;
        free(*at);
        *at = NULL;
    }
}

static const char *print_mac(char room[PROP_TEXT_BYTES], const uint8_t b[6])
{
    static const uint8_t none[6];

    if (!memcmp(b, none, sizeof(none)))
        return NULL;
    snprintf(room, PROP_TEXT_BYTES, "%02x:%02x:%02x:%02x:%02x:%02x", b[0], b[1], b[2], b[3], b[4],
             b[5]);
    return room;
}

static const char *print_guid(char room[PROP_TEXT_BYTES], const struct config_guid *guid)
{
    const uint8_t *b = guid->bytes;

    if (!guid->given)
        return "auto";
    snprintf(room, PROP_TEXT_BYTES,
             "%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x", b[0], b[1],
             b[2], b[3], b[4], b[5], b[6], b[7], b[8], b[9], b[10], b[11], b[12], b[13], b[14],
             b[15]);
    return room;
}

const char *props_text(const struct prop *p, const void *target, char room[PROP_TEXT_BYTES])
{
    const void *at = (const char *)target + p->offset;
    int choice;

    switch (p->kind) {
    case PROP_STRING:
    case PROP_PATH:
        return *(const char *const *)at;
    case PROP_BOOL:
        return *(const bool *)at ? "on" : "off";
    case PROP_U32:
        snprintf(room, PROP_TEXT_BYTES, "%" PRIu32, *(const uint32_t *)at);
        return room;
    case PROP_INT:
        snprintf(room, PROP_TEXT_BYTES, "%d", *(const int *)at);
        return room;
    case PROP_SIZE:
        /* Where a plain number counts in larger units. */
        snprintf(room, PROP_TEXT_BYTES, "%" PRIu64 "B", *(const uint64_t *)at);
        return room;
    case PROP_MAC:
        return print_mac(room, at);
    case PROP_GUID:
        return print_guid(room, at);
    case PROP_ENUM:
        choice = *(const int *)at;
        return choice ? p->choices[choice - 1] : NULL;
    case PROP_FIXED:
    case PROP_IGNORED:
    case PROP_ABSENT:
        return NULL;
    }
    return NULL;
}
