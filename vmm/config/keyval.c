/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/config/keyval.h"

#include <errno.h>
#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/own.h"
#include "vmm/qmp/json_in.h"

#define KEYVAL_JSON_DEPTH_MAX 8
#define KEYVAL_KEY_BYTES      128

/* Takes *value. */
static int add_pair(struct keyval *kv, const char *key, char **value, enum keyval_kind kind,
                    struct ferry_err *err)
{
    char *owned_key;

    if (kv->count == KEYVAL_PAIRS_MAX)
        return err_set(err, E2BIG, "more than %d properties in one option", KEYVAL_PAIRS_MAX);
    owned_key = strdup(key);
    if (!owned_key)
        return err_set(err, ENOMEM, "out of memory");
    kv->pairs[kv->count++] =
        (struct keyval_pair){.key = owned_key, .value = TAKE_PTR(*value), .kind = kind};
    return 0;
}

/* Up to the next single comma, with ",," made ","; *text moves behind it. */
static char *take_word(const char **text)
{
    const char *in = *text;
    char *word = malloc(strlen(in) + 1);
    char *out = word;

    if (!word)
        return NULL;
    while (*in) {
        if (*in == ',') {
            in++;
            if (*in != ',')
                break;
        }
        *out++ = *in++;
    }
    *out = '\0';
    *text = in;
    return word;
}

static int parse_words(struct keyval *kv, const char *text, const char *implied_key,
                       struct ferry_err *err)
{
    bool first = true;

    while (*text) {
        OWN_MEM char *word = take_word(&text);
        OWN_MEM char *value = NULL;
        const char *key = word;
        char *equals;
        int rc;

        if (!word)
            return err_set(err, ENOMEM, "out of memory");
        equals = strchr(word, '=');
        if (equals) {
            *equals = '\0';
            value = strdup(equals + 1);
        } else if (first && implied_key) {
            key = implied_key;
            value = strdup(word);
        } else {
            bool no = !strncmp(word, "no", 2);

            key = no ? word + 2 : word;
            value = strdup(no ? "off" : "on");
        }
        if (!value)
            return err_set(err, ENOMEM, "out of memory");
        if (!*key)
            return err_set(err, EINVAL, "a property name is missing before '%s'", value);
        rc = add_pair(kv, key, &value, KEYVAL_TEXT, err);
        if (rc < 0)
            return rc;
        first = false;
    }
    return 0;
}

static int flatten_json(struct keyval *kv, const char *prefix, struct json_object *object,
                        int depth, struct ferry_err *err)
{
    json_object_object_foreach(object, name, member)
    {
        char key[KEYVAL_KEY_BYTES];
        enum keyval_kind kind;
        OWN_MEM char *value = NULL;
        int rc;

        if (snprintf(key, sizeof(key), "%s%s%s", prefix, *prefix ? "." : "", name) >=
            (int)sizeof(key))
            return err_set(err, E2BIG, "property name '%.40s...' is too long", name);
        switch (json_object_get_type(member)) {
        case json_type_object:
            if (depth == KEYVAL_JSON_DEPTH_MAX)
                return err_set(err, E2BIG, "property '%s' is nested too deeply", key);
            rc = flatten_json(kv, key, member, depth + 1, err);
            if (rc < 0)
                return rc;
            continue;
        case json_type_string:
            kind = KEYVAL_JSON_STRING;
            break;
        case json_type_int:
            kind = KEYVAL_JSON_NUMBER;
            break;
        case json_type_boolean:
            kind = KEYVAL_JSON_BOOL;
            break;
        default:
            return err_set(err, EINVAL,
                           "property '%s' must be a string, an integer, a boolean or an object",
                           key);
        }
        value = strdup(kind == KEYVAL_JSON_BOOL ? (json_object_get_boolean(member) ? "on" : "off")
                                                : json_object_get_string(member));
        if (!value)
            return err_set(err, ENOMEM, "out of memory");
        rc = add_pair(kv, key, &value, kind, err);
        if (rc < 0)
            return rc;
    }
    return 0;
}

static int parse_json(struct keyval *kv, const char *text, struct ferry_err *err)
{
    struct json_object *object = NULL;
    int rc = json_in_text(text, &object, err);

    if (rc < 0)
        return err_prefix(err, "not valid JSON");
    rc = json_object_is_type(object, json_type_object)
             ? flatten_json(kv, "", object, 0, err)
             : err_set(err, EINVAL, "a JSON object was expected");
    json_object_put(object);
    return rc;
}

int keyval_parse(struct keyval *kv, const char *text, const char *implied_key,
                 struct ferry_err *err)
{
    int rc;

    *kv = (struct keyval){0};
    rc = *text == '{' ? parse_json(kv, text, err) : parse_words(kv, text, implied_key, err);
    if (rc < 0)
        keyval_free(kv);
    return rc;
}

void keyval_free(struct keyval *kv)
{
    for (size_t i = 0; i < kv->count; i++) {
        free(kv->pairs[i].key);
        free(kv->pairs[i].value);
    }
    kv->count = 0;
}

const struct keyval_pair *keyval_find(const struct keyval *kv, const char *key)
{
    for (size_t i = kv->count; i-- > 0;)
        if (!strcmp(kv->pairs[i].key, key))
            return &kv->pairs[i];
    return NULL;
}

int keyval_add(struct keyval *kv, const char *key, const char *value, struct ferry_err *err)
{
    OWN_MEM char *copy = strdup(value);

    if (!copy)
        return err_set(err, ENOMEM, "out of memory");
    return add_pair(kv, key, &copy, KEYVAL_TEXT, err);
}

char *keyval_text(const struct keyval *kv)
{
    size_t bytes = 1;
    char *text, *at;

    for (size_t i = 0; i < kv->count; i++)
        bytes += strlen(kv->pairs[i].key) + 2 * strlen(kv->pairs[i].value) + 2;
    text = at = malloc(bytes);
    if (!text)
        return NULL;
    for (size_t i = 0; i < kv->count; i++) {
        if (i)
            *at++ = ',';
        at = stpcpy(stpcpy(at, kv->pairs[i].key), "=");
        for (const char *c = kv->pairs[i].value; *c; c++) {
            *at++ = *c;
            if (*c == ',')
                *at++ = ',';
        }
    }
    *at = '\0';
    return text;
}
