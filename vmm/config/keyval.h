/* SPDX-License-Identifier: Apache-2.0 */
/*
 * QEMU's option grammar: "a=b,c=d" with ",," for a literal comma, a bare first word for the implied
 * key, a bare later word for "word=on" ("noword": "word=off"); or the same as a JSON object,
 * strictly typed. Either way the result is a flat list of key and value; nested JSON members get
 * dotted keys.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include <ferry/err.h>

#define KEYVAL_PAIRS_MAX 64

enum keyval_kind {
    KEYVAL_TEXT = 1,    /* from key=value: any type may be read from it */
    KEYVAL_JSON_STRING, /* from JSON: only the property's own type fits */
    KEYVAL_JSON_NUMBER,
    KEYVAL_JSON_BOOL,
};

struct keyval_pair {
    char *key;
    char *value;
    enum keyval_kind kind;
};

struct keyval {
    struct keyval_pair pairs[KEYVAL_PAIRS_MAX];
    size_t count;
};

/* implied_key: the key of a first word without '='; NULL = the grammar has none. */
int keyval_parse(struct keyval *kv, const char *text, const char *implied_key,
                 struct ferry_err *err) FERRY_MUST_CHECK;
void keyval_free(struct keyval *kv);
/* Adds one; copies both strings. */
int keyval_add(struct keyval *kv, const char *key, const char *value,
               struct ferry_err *err) FERRY_MUST_CHECK;
/* "a=b,c=d", which parses to the same as text; to be freed. NULL when out of memory. */
char *keyval_text(const struct keyval *kv);
/* The last pair of that key (later wins), or NULL. */
const struct keyval_pair *keyval_find(const struct keyval *kv, const char *key);
