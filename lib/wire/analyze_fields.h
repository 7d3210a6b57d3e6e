/* SPDX-License-Identifier: Apache-2.0 */
/* The description at the end of a stream, and the fields of sections as it says. Pure. */
#pragma once

#include <json-c/json.h>
#include <stddef.h>
#include <stdint.h>

#include <ferry/err.h>

#include "base/buf.h"
#include "lib/wire/stream_in.h"

/*
 * How much may be created for all that is shown. A file describes itself: a few bytes can say that
 * there are millions of elements without a byte each. So the file pays for it, with its length.
 */
struct analyze_budget {
    size_t max_bytes, left_bytes;
    struct ferry_err *err; /* loan; of what failed */
};

/* Of json-c's values: at least what they take. */
#define ANALYZE_OBJECT_BYTES 800u
#define ANALYZE_ARRAY_BYTES  400u
#define ANALYZE_VALUE_BYTES  224u /* with its place in an object or array, but for any text */

/* For a file of n bytes. */
struct analyze_budget analyze_budget(size_t n, struct ferry_err *err);
/* -E2BIG: there is no more. */
int analyze_take(struct analyze_budget *a, size_t bytes) FERRY_MUST_CHECK;

/* A length in one byte, then as many. -EINVAL: they are not there. */
int analyze_get_name(struct rd *r, char ret[WIRE_TEXT8_MAX_BYTES + 1]);
/* *ret: the devices that are described, by number and name; the caller's. NULL: there are none. */
int analyze_description(struct analyze_budget *a, const uint8_t *data, size_t n,
                        struct json_object **ret) FERRY_MUST_CHECK;
/* A loan of devices'; NULL: the section is not described. */
struct json_object *analyze_device(struct json_object *devices, const struct stream_section *s);
/* The fields at r, which moves on, into ret, as far as they can be read. */
int analyze_fields(struct analyze_budget *a, struct rd *r, struct json_object *described,
                   struct json_object *ret) FERRY_MUST_CHECK;
/* A number if it can be one, else hex digits. */
struct json_object *analyze_value(const uint8_t *data, size_t n);
