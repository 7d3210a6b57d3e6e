/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Types of QMP arguments and results. One description serves checking what a client sent,
 * query-qmp-schema, docs/qmp.md, and the test that every answer is what it claims to be.
 *
 * Types are const, refer to each other, and know nothing of commands. Pure.
 */
#pragma once

#include <json-c/json.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <ferry/err.h>

enum qmp_kind {
    QMP_KIND_STR = 1,
    QMP_KIND_BOOL,
    QMP_KIND_INT,    /* signed, 64 bits */
    QMP_KIND_UINT,   /* of `bits` bits */
    QMP_KIND_NUMBER, /* any number */
    QMP_KIND_STR_OR_NULL,
    QMP_KIND_ANY,
    QMP_KIND_ENUM,
    QMP_KIND_ARRAY,
    QMP_KIND_OBJECT,
};

struct qmp_type;

struct qmp_member {
    const char *name;
    const struct qmp_type *type;
    bool optional;
};

/* The members that come with one value of the tag, in the same JSON object. */
struct qmp_variant {
    const char *value;
    const struct qmp_type *type; /* OBJECT */
};

struct qmp_type {
    const char *name; /* QEMU's, for the documentation */
    enum qmp_kind kind;
    unsigned bits;                                           /* UINT: 8, 32 or 64 */
    const char *const *values;                               /* ENUM: NULL terminated, or: */
    const char *(*value_at)(size_t index);                   /* NULL past the end */
    const struct qmp_type *element;                          /* ARRAY */
    const struct qmp_member *members;                        /* OBJECT: until a NULL name, or: */
    bool (*member_at)(size_t index, struct qmp_member *ret); /* false past the end */
    const char *tag;                    /* OBJECT: the ENUM member that selects a variant */
    const struct qmp_variant *variants; /* until a NULL value; a value without one adds nothing */
};

extern const struct qmp_type qmp_str, qmp_bool, qmp_int, qmp_uint8, qmp_uint32, qmp_uint64,
    qmp_number, qmp_str_or_null, qmp_any;
extern const struct qmp_type qmp_empty; /* an object without members */

const char *qmp_enum_value(const struct qmp_type *type, size_t index);
bool qmp_object_member(const struct qmp_type *type, size_t index, struct qmp_member *ret);

/* Is the object of this type, with everything in it? In QEMU's words, naming the path. */
int qmp_check(const struct qmp_type *type, struct json_object *object,
              struct ferry_err *err) FERRY_MUST_CHECK;

/* Members of an object that was checked: NULL, or the alternative, if absent. */
struct json_object *qmp_get(struct json_object *object, const char *name);
const char *qmp_get_str(struct json_object *object, const char *name);
bool qmp_get_bool(struct json_object *object, const char *name, bool otherwise);
uint64_t qmp_get_uint(struct json_object *object, const char *name, uint64_t otherwise);
