/* SPDX-License-Identifier: Apache-2.0 */
/* The description at the end of a stream, and the fields of sections as it says. Pure. */
#pragma once

#include <json-c/json.h>
#include <stddef.h>
#include <stdint.h>

#include <ferry/err.h>

#include "base/buf.h"
#include "lib/wire/stream_in.h"

/* One for all sections. */
struct analyze_fields {
    uint32_t count;
    struct ferry_err *err; /* loan; of what failed */
};

/* A length in one byte, then as many. -EINVAL: they are not there. */
int analyze_get_name(struct rd *r, char ret[WIRE_TEXT8_MAX_BYTES + 1]);
/* The caller's; NULL: there is none. */
struct json_object *analyze_description(const uint8_t *data, size_t n);
/* A loan of the description's; NULL: the section is not described. */
struct json_object *analyze_device(struct json_object *description, const struct stream_section *s);
/* The fields at r, which moves on, into ret, as far as they can be read. */
int analyze_fields(struct analyze_fields *a, struct rd *r, struct json_object *described,
                   struct json_object *ret) FERRY_MUST_CHECK;
/* A number if it can be one, else hex digits. */
struct json_object *analyze_value(const uint8_t *data, size_t n);
