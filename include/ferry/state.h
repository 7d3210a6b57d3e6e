/* SPDX-License-Identifier: Apache-2.0 */
/*
 * State tables: what a part of a VM saves, written down once.
 *
 * A table lists the members of a C struct in wire order: width, bound, since which version. From
 * it come save, load, the JSON description in the stream, the contract tests and the fuzz seeds.
 * The wire format is QEMU's VMState: big endian, no tags, no lengths.
 *
 *     static const struct ferry_field uart_fields[] = {
 *         FERRY_U16(struct uart, divider),
 *         FERRY_U8(struct uart, ier, .max = 0x0f),
 *         FERRY_BYTES(struct uart, fifo),
 *         FERRY_U8(struct uart, fifo_len, .max = 16),
 *         FERRY_U32(struct uart, overruns, .since = 2),     absent in version 1: keeps its value
 *     };
 *     const struct ferry_table uart_table = {
 *         .name = "serial", .version = 3, .minimum_version = 1, FERRY_FIELDS(uart_fields),
 *     };
 *
 * Loading never touches the live object: it works on a scratch copy of it (a plain memory copy, so
 * members that are not in the table can be read there, but nothing they point to may be changed),
 * checks the bounds of the table, then every `check`, and commits by copying just the members that
 * the table names. A refused stream leaves the object as it was.
 *
 * Tables describe the device model, never the implementation: no pointer, host fd or host address
 * is a member. All members live inside the object. Tables are const and may be used by any thread.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <ferry/err.h>

struct ferry_table;
struct ferry_out; /* where a custom field writes */
struct ferry_in;  /* what a custom field reads; bounded */

enum ferry_kind {
    FERRY_KIND_UINT = 1, /* 1, 2, 4 or 8 bytes, big endian on the wire */
    FERRY_KIND_UINT_LE,  /* the same, little endian (inside a few of QEMU's raw buffers) */
    FERRY_KIND_EQUAL,    /* like UINT; a load is refused unless it equals the live value */
    FERRY_KIND_BOOL,     /* one byte; only 0 and 1 load */
    FERRY_KIND_BYTES,    /* count raw bytes */
    FERRY_KIND_UNUSED,   /* count zero bytes, skipped unread on load */
    FERRY_KIND_STRUCT,   /* count elements of another table, without its version */
    FERRY_KIND_CUSTOM,   /* own code, for formats no table can express */
};

/* A format of its own. `member` points at the field inside the object (save) or scratch (load). */
struct ferry_custom {
    void (*save)(const void *obj, const void *member, struct ferry_out *out);
    /* Bound everything; 0 or a negative errno with a sentence. Writes only to member. */
    int (*load)(const void *scratch, void *member, struct ferry_in *in, struct ferry_err *err);
};

struct ferry_field {
    const char *name;      /* member name: names the field in errors */
    const char *wire_name; /* QEMU's name in the JSON description when it differs */
    const char *type_name; /* its type in the JSON description when not implied by kind */
    enum ferry_kind kind;
    uint32_t offset;         /* of the member in the object */
    uint32_t size_bytes;     /* of one element in memory */
    uint32_t count;          /* elements (capacity, if counter_bytes is set) */
    uint32_t counter_offset; /* with counter_bytes: an unsigned member, loaded earlier, that says */
    uint32_t counter_bytes;  /* how many elements are on the wire; more than count is refused */
    uint64_t min;            /* UINT: smallest value that loads */
    uint64_t max;            /* UINT: largest; 0 = whatever the width holds */
    uint32_t since;          /* first table version that has the field */
    bool (*present)(const void *obj, uint32_t version); /* on both sides; NULL = always */
    const struct ferry_table *table;                    /* STRUCT */
    const struct ferry_custom *custom;                  /* CUSTOM */
};

struct ferry_table {
    const char *name; /* QEMU's VMState name; a subsection's is "parent/what" */
    uint32_t version;
    uint32_t minimum_version; /* oldest that loads */
    const struct ferry_field *fields;
    uint32_t field_count;
    const struct ferry_table *const *subsections; /* NULL terminated; NULL = none */
    bool (*needed)(const void *obj); /* subsections and parts: sent iff true; NULL = always */
    void (*pre_save)(void *obj);     /* derive members that exist only for the wire */
    void (*pre_load)(void *scratch); /* defaults for what the stream may leave out */
    /* Sense across fields, after the bounds, before commit. Refuse with a sentence. */
    int (*check)(const void *scratch, struct ferry_err *err);
    /*
     * After commit: recompute what is derived. Cannot fail; may come more than once, and before the
     * part is attached (the target of a handover rehearses).
     */
    void (*post_load)(void *obj);
};

/* The length of the array is taken here, so a table cannot disagree with its fields. */
#define FERRY_FIELDS(array) .fields = (array), .field_count = sizeof(array) / sizeof((array)[0])

/* Compile-time check that usable inside an initializer: 0, or an error. */
#define FERRY_CHECK_(cond)                                                            \
    (0 * sizeof(struct {                                                              \
         _Static_assert(cond, "state table does not match the C type of the member"); \
         int unused_;                                                                 \
     }))
#define FERRY_MEMBER_(T, m)     (((T *)0)->m)
#define FERRY_SAME_(T, m, type) __builtin_types_compatible_p(__typeof__(FERRY_MEMBER_(T, m)), type)
#define FERRY_ELEM_(T, m, type) \
    __builtin_types_compatible_p(__typeof__(FERRY_MEMBER_(T, m)[0]), type)
#define FERRY_COUNT_(T, m) (sizeof(FERRY_MEMBER_(T, m)) / sizeof(FERRY_MEMBER_(T, m)[0]))
#define FERRY_COUNTER_(T, c) \
    .counter_offset = offsetof(T, c), .counter_bytes = sizeof(FERRY_MEMBER_(T, c))

#define FERRY_SCALAR_(T, m, kind_, type, ...)                             \
    {                                                                     \
        .name = #m, .kind = (kind_),                                      \
        .offset = offsetof(T, m) + FERRY_CHECK_(FERRY_SAME_(T, m, type)), \
        .size_bytes = sizeof(type), .count = 1, __VA_ARGS__               \
    }
#define FERRY_ARRAY_(T, m, kind_, type, ...)                                 \
    {                                                                        \
        .name = #m, .kind = (kind_),                                         \
        .offset = offsetof(T, m) + FERRY_CHECK_(FERRY_ELEM_(T, m, type)),    \
        .size_bytes = sizeof(type), .count = FERRY_COUNT_(T, m), __VA_ARGS__ \
    }

/* The optional trailing arguments are designators: .max = 7, .since = 2, .wire_name = "env.pc". */
#define FERRY_U8(T, m, ...)        FERRY_SCALAR_(T, m, FERRY_KIND_UINT, uint8_t, ##__VA_ARGS__)
#define FERRY_U16(T, m, ...)       FERRY_SCALAR_(T, m, FERRY_KIND_UINT, uint16_t, ##__VA_ARGS__)
#define FERRY_U32(T, m, ...)       FERRY_SCALAR_(T, m, FERRY_KIND_UINT, uint32_t, ##__VA_ARGS__)
#define FERRY_U64(T, m, ...)       FERRY_SCALAR_(T, m, FERRY_KIND_UINT, uint64_t, ##__VA_ARGS__)
#define FERRY_U32_LE(T, m, ...)    FERRY_SCALAR_(T, m, FERRY_KIND_UINT_LE, uint32_t, ##__VA_ARGS__)
#define FERRY_U32_EQ(T, m, ...)    FERRY_SCALAR_(T, m, FERRY_KIND_EQUAL, uint32_t, ##__VA_ARGS__)
#define FERRY_U64_EQ(T, m, ...)    FERRY_SCALAR_(T, m, FERRY_KIND_EQUAL, uint64_t, ##__VA_ARGS__)
#define FERRY_BOOL(T, m, ...)      FERRY_SCALAR_(T, m, FERRY_KIND_BOOL, bool, ##__VA_ARGS__)
#define FERRY_U8_ARRAY(T, m, ...)  FERRY_ARRAY_(T, m, FERRY_KIND_UINT, uint8_t, ##__VA_ARGS__)
#define FERRY_U16_ARRAY(T, m, ...) FERRY_ARRAY_(T, m, FERRY_KIND_UINT, uint16_t, ##__VA_ARGS__)
#define FERRY_U32_ARRAY(T, m, ...) FERRY_ARRAY_(T, m, FERRY_KIND_UINT, uint32_t, ##__VA_ARGS__)
#define FERRY_U64_ARRAY(T, m, ...) FERRY_ARRAY_(T, m, FERRY_KIND_UINT, uint64_t, ##__VA_ARGS__)
/* Arrays of which only the first obj->c elements are on the wire. */
#define FERRY_U32_VARRAY(T, m, c, ...) \
    FERRY_ARRAY_(T, m, FERRY_KIND_UINT, uint32_t, FERRY_COUNTER_(T, c), ##__VA_ARGS__)
#define FERRY_U64_VARRAY(T, m, c, ...) \
    FERRY_ARRAY_(T, m, FERRY_KIND_UINT, uint64_t, FERRY_COUNTER_(T, c), ##__VA_ARGS__)
/* An array of bytes: uint8_t[] or char[]. */
#define FERRY_BYTES(T, m, ...)                                                        \
    {                                                                                 \
        .name = #m, .kind = FERRY_KIND_BYTES,                                         \
        .offset = offsetof(T, m) + FERRY_CHECK_(sizeof(FERRY_MEMBER_(T, m)[0]) == 1), \
        .size_bytes = 1, .count = sizeof(FERRY_MEMBER_(T, m)), ##__VA_ARGS__          \
    }
#define FERRY_VBYTES(T, m, c, ...) FERRY_BYTES(T, m, FERRY_COUNTER_(T, c), ##__VA_ARGS__)
#define FERRY_UNUSED(n, ...)                                                                      \
    {                                                                                             \
        .name = "unused", .kind = FERRY_KIND_UNUSED, .size_bytes = 1, .count = (n), ##__VA_ARGS__ \
    }
#define FERRY_STRUCT_(T, m, n, elem_bytes, table_, ...)                            \
    {                                                                              \
        .name = #m, .kind = FERRY_KIND_STRUCT, .offset = offsetof(T, m),           \
        .size_bytes = (elem_bytes), .count = (n), .table = (table_), ##__VA_ARGS__ \
    }
#define FERRY_STRUCT(T, m, table_, ...) \
    FERRY_STRUCT_(T, m, 1, sizeof(FERRY_MEMBER_(T, m)), table_, ##__VA_ARGS__)
#define FERRY_STRUCT_ARRAY(T, m, table_, ...) \
    FERRY_STRUCT_(T, m, FERRY_COUNT_(T, m), sizeof(FERRY_MEMBER_(T, m)[0]), table_, ##__VA_ARGS__)
#define FERRY_STRUCT_VARRAY(T, m, c, table_, ...)                                   \
    FERRY_STRUCT_(T, m, FERRY_COUNT_(T, m), sizeof(FERRY_MEMBER_(T, m)[0]), table_, \
                  FERRY_COUNTER_(T, c), ##__VA_ARGS__)
/* The same object seen through another table: shared leading fields, or QEMU's nested structs. */
#define FERRY_SELF(T, name_, table_, ...)                                                \
    {                                                                                    \
        .name = (name_), .kind = FERRY_KIND_STRUCT, .size_bytes = sizeof(T), .count = 1, \
        .table = (table_), ##__VA_ARGS__                                                 \
    }
#define FERRY_CUSTOM(T, m, custom_, ...)                                                          \
    {                                                                                             \
        .name = #m, .kind = FERRY_KIND_CUSTOM, .offset = offsetof(T, m),                          \
        .size_bytes = sizeof(FERRY_MEMBER_(T, m)), .count = 1, .custom = (custom_), ##__VA_ARGS__ \
    }

/* For custom fields. Writing is sticky: a failure shows when the section ends. */
FERRY_API void ferry_out_put(struct ferry_out *out, const void *data, size_t n);
FERRY_API void ferry_out_u8(struct ferry_out *out, uint8_t v);
FERRY_API void ferry_out_be16(struct ferry_out *out, uint16_t v);
FERRY_API void ferry_out_be32(struct ferry_out *out, uint32_t v);
FERRY_API void ferry_out_be64(struct ferry_out *out, uint64_t v);
/* n bytes, or NULL when the stream is shorter; then load must return -EINVAL. */
FERRY_API const uint8_t *ferry_in_take(struct ferry_in *in, size_t n);
