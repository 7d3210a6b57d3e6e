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

/*
 * Whose word counts when a machine comes from elsewhere (vmm/main/foreign.h)? What is not marked is
 * this host's, and a test asks for the mark.
 */
enum prop_whose {
    OF_NOBODY = 0,  /* not marked: as OF_HOST */
    OF_HOST,        /* what came is dropped, this host's default holds */
    OF_GUEST,       /* the machine that the guest sees: taken as it came */
    OF_HOST_FILE,   /* names a file: taken beneath an allowed directory, else this host's */
    OF_HOST_TAP,    /* names a TAP: taken if its name is allowed, else this host's */
    OF_HOST_OBJECT, /* names a socket, an open fd: this host's */
    OF_USE,         /* how to use what is named: goes with a name that was taken */
};

struct prop {
    const char *name;
    enum prop_kind kind;
    size_t offset;
    uint64_t min, max;
    const char *const *choices; /* NULL terminated */
    enum prop_whose whose;
};

/* NULL: the table has none of that name. */
const struct prop *props_find(const struct prop *table, const char *name);
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
