/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/main/props.h"

#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/num.h"

#define WORD_MAX 48

/* Levenshtein distance of words up to WORD_MAX bytes; longer ones are far from everything. */
static size_t distance(const char *a, const char *b)
{
    size_t row[WORD_MAX + 1];
    size_t la = strlen(a), lb = strlen(b);

    if (la > WORD_MAX || lb > WORD_MAX)
        return SIZE_MAX;
    for (size_t j = 0; j <= lb; j++)
        row[j] = j;
    for (size_t i = 1; i <= la; i++) {
        size_t diagonal = row[0];

        row[0] = i;
        for (size_t j = 1; j <= lb; j++) {
            size_t above = row[j];
            size_t best = diagonal + (a[i - 1] != b[j - 1]);

            best = num_min(best, above + 1);
            best = num_min(best, row[j - 1] + 1);
            row[j] = best;
            diagonal = above;
        }
    }
    return row[lb];
}

const char *props_closest(const char *word, const char *(*candidate)(const void *arg, size_t i),
                          const void *arg)
{
    const char *best = NULL;
    size_t best_distance = strlen(word) / 3 + 2;
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

static const char *prop_candidate(const void *arg, size_t i)
{
    const struct prop *table = arg;

    return table[i].name;
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
    uint64_t number, unit = unit_bytes;

    if (*text < '0' || *text > '9')
        return -EINVAL;
    errno = 0;
    number = strtoull(text, &end, 0);
    if (errno)
        return -ERANGE;
    if (*end) {
        const char *at = strchr(suffixes, *end >= 'a' ? *end - 'a' + 'A' : *end);

        if (!at || end[1])
            return -EINVAL;
        unit = 1ull << (10 * (at - suffixes));
    }
    return num_mul(number, unit, ret) < 0 ? -ERANGE : 0;
}

static int parse_int(const char *text, int64_t *ret)
{
    char *end;

    errno = 0;
    *ret = strtoll(text, &end, 0);
    return errno || end == text || *end ? -EINVAL : 0;
}

static int parse_mac(const char *text, uint8_t mac[6])
{
    unsigned byte[6];
    int used = 0;

    if (sscanf(text, "%2x:%2x:%2x:%2x:%2x:%2x%n", &byte[0], &byte[1], &byte[2], &byte[3], &byte[4],
               &byte[5], &used) != 6 ||
        text[used])
        return -EINVAL;
    for (int i = 0; i < 6; i++)
        mac[i] = (uint8_t)byte[i];
    return 0;
}

static int refuse_choice(const struct prop *p, const char *value, struct ferry_err *err)
{
    char list[256] = "";

    for (size_t i = 0; p->choices[i]; i++) {
        size_t used = strlen(list);

        snprintf(list + used, sizeof(list) - used, "%s'%s'", i ? ", " : "", p->choices[i]);
    }
    return err_set(err, EINVAL, "Parameter '%s' does not accept value '%s' (it accepts %s)",
                   p->name, value, list);
}

static int choice_index(const struct prop *p, const char *value, struct ferry_err *err)
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

    if (pair->kind == KEYVAL_TEXT || p->kind == PROP_IGNORED || p->kind == PROP_FIXED)
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
    case PROP_STRING: {
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
    case PROP_ENUM:
        rc = choice_index(p, value, err);
        if (rc < 0)
            return rc;
        *(int *)(void *)at = rc + 1;
        return 0;
    case PROP_FIXED:
        rc = choice_index(p, value, err);
        return rc < 0 ? rc : 0;
    case PROP_IGNORED:
        return 0;
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

            return closest ? err_set(err, EINVAL, "Invalid parameter '%s'; did you mean '%s'?",
                                     pair->key, closest)
                           : err_set(err, EINVAL, "Invalid parameter '%s'", pair->key);
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
