/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Property tables: which keys an option takes and which member of a struct each one sets.
 *
 * From one table come decoding, type and range errors, "did you mean" and the help text.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include <ferry/err.h>

#include "vmm/main/keyval.h"

enum prop_kind {
    PROP_STRING = 1, /* char *, owned by the struct; replaces */
    PROP_BOOL,       /* bool: on/off, yes/no, true/false, y/n */
    PROP_U32,        /* uint32_t within min..max */
    PROP_INT,        /* int within min..max */
    PROP_SIZE,       /* uint64_t: bytes with K, M, G, T */
    PROP_MAC,        /* uint8_t[6] */
    PROP_ENUM,       /* int: index in choices, + 1 */
    PROP_FIXED,      /* nothing is stored: only the values in choices are accepted */
    PROP_IGNORED,    /* accepted: has no function here */
};

struct prop {
    const char *name;
    enum prop_kind kind;
    size_t offset;
    uint64_t min, max;
    const char *const *choices; /* NULL terminated */
    const char *help;
};

/* A table ends with an entry without a name. */
int props_apply(const struct prop *table, const struct keyval *kv, void *target,
                struct ferry_err *err) FERRY_MUST_CHECK;

/* The same with the text of an option. implied_key: as in keyval_parse(). */
int props_apply_text(const struct prop *table, const char *text, const char *implied_key,
                     void *target, struct ferry_err *err) FERRY_MUST_CHECK;

/* The candidate closest to word, or NULL if none is close. candidate(arg, i) is NULL at the end. */
const char *props_closest(const char *word, const char *(*candidate)(const void *arg, size_t i),
                          const void *arg);

int props_parse_bool(const char *text, bool *ret) FERRY_MUST_CHECK;
/* Bytes; a plain number counts in units of unit_bytes. K, M, G and T are powers of 1024. */
int props_parse_size(const char *text, uint64_t unit_bytes, uint64_t *ret) FERRY_MUST_CHECK;
