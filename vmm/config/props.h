/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is done with a property table (vmm/machine/prop.h): decoding, type and range errors, "did
 * you mean".
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include <ferry/err.h>

#include "vmm/config/keyval.h"
#include "vmm/machine/prop.h"

/* NULL: the table has none of that name. */
const struct prop *props_find(const struct prop *table, const char *name);
/* A table ends with an entry without a name. */
int props_apply(const struct prop *table, const struct keyval *kv, void *target,
                struct ferry_err *err) FERRY_MUST_CHECK;

#define PROP_TEXT_BYTES 48 /* of what is no string */

/* What p is in a struct, in the words that set it: a loan of the struct or in room. NULL: not
 * given. */
const char *props_text(const struct prop *p, const void *target, char room[PROP_TEXT_BYTES]);
/* The strings of a struct, which the table owns. */
void props_free(const struct prop *table, void *target);

/* The same with the text of an option. implied_key: as in keyval_parse(). */
int props_apply_text(const struct prop *table, const char *text, const char *implied_key,
                     void *target, struct ferry_err *err) FERRY_MUST_CHECK;

/* "'a', 'b'": all candidates, cut to bytes with the NUL. candidate(arg, i) is NULL at the end. */
void props_list(char *list, size_t bytes, const char *(*candidate)(const void *arg, size_t i),
                const void *arg);
/* The candidate of which word may be a mistyped form; NULL: it is another word. */
const char *props_closest(const char *word, const char *(*candidate)(const void *arg, size_t i),
                          const void *arg);

/* The index of value in p's choices, or -EINVAL with a sentence that has them all. */
int props_choice(const struct prop *p, const char *value, struct ferry_err *err) FERRY_MUST_CHECK;
int props_parse_uuid(uint8_t ret[16], const char *value, struct ferry_err *err) FERRY_MUST_CHECK;
int props_parse_bool(const char *text, bool *ret) FERRY_MUST_CHECK;
/* Bytes; a plain number counts in units of unit_bytes. K, M, G and T are powers of 1024. "1.5G" has
 * up to three decimals. */
int props_parse_size(const char *text, uint64_t unit_bytes, uint64_t *ret) FERRY_MUST_CHECK;
