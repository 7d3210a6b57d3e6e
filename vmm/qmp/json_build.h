/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Building json-c objects. Without memory an object lacks the member, and nothing is leaked: the
 * monitor's messages are small and a process without memory for them ends soon.
 */
#pragma once

#include <json-c/json.h>
#include <stdbool.h>
#include <stdint.h>

/* For OWN(). */
static inline void json_freep(struct json_object **o)
{
    json_object_put(*o);
}

/* Takes value, which may be NULL (null). */
static inline void json_put(struct json_object *object, const char *name, struct json_object *value)
{
    if (!object || json_object_object_add(object, name, value) < 0)
        json_object_put(value);
}

static inline void json_put_str(struct json_object *object, const char *name, const char *text)
{
    json_put(object, name, json_object_new_string(text));
}

static inline void json_put_int(struct json_object *object, const char *name, int64_t value)
{
    json_put(object, name, json_object_new_int64(value));
}

static inline void json_put_uint(struct json_object *object, const char *name, uint64_t value)
{
    json_put(object, name, json_object_new_uint64(value));
}

static inline void json_put_bool(struct json_object *object, const char *name, bool value)
{
    json_put(object, name, json_object_new_boolean(value));
}

/* Takes value. */
static inline void json_append(struct json_object *array, struct json_object *value)
{
    if (!array || json_object_array_add(array, value) < 0)
        json_object_put(value);
}
