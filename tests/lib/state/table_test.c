/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit.h"

#include <errno.h>
#include <string.h>

#include "lib/state/state.h"
#include "tests/lib/state/gadget.h"

struct thing {
    uint32_t a;
    uint8_t b[4];
};

static void unsound(const struct ferry_table *t, const char *text)
{
    struct ferry_err err = {0};

    if (state_table_check(t, sizeof(struct thing), &err) != -EINVAL)
        fail_msg("taken for sound, expected \"%s\"", text);
    assert_string_equal(err.text, text);
}

static void unsound_field(struct ferry_field field, const char *text)
{
    struct ferry_table t = {.name = "thing", .fields = &field, .field_count = 1};

    unsound(&t, text);
}

static void sound_tables_are_sound(void **state)
{
    static const struct ferry_field fields[] = {
        FERRY_U32(struct thing, a, .max = UINT32_MAX),
        FERRY_VBYTES(struct thing, b, a),
    };
    static const struct ferry_table t = {.name = "thing", FERRY_FIELDS(fields)};
    /* To the last byte, and a bound of one value. */
    static const struct ferry_field edge_fields[] = {
        {.name = "b",
         .kind = FERRY_KIND_BYTES,
         .offset = 4,
         .size_bytes = 1,
         .count = 4,
         .counter_offset = 7,
         .counter_bytes = 1},
        FERRY_U32(struct thing, a, .min = 5, .max = 5),
    };
    static const struct ferry_table edge = {.name = "edge", FERRY_FIELDS(edge_fields)};
    struct ferry_err err;

    assert_int_equal(state_table_check(&edge, sizeof(struct thing), &err), 0);
    assert_int_equal(state_table_check(&t, sizeof(struct thing), &err), 0);
    assert_int_equal(state_table_check(&gadget_table, sizeof(struct gadget), &err), 0);
}

static void members_must_be_inside(void **state)
{
    struct ferry_field counted = FERRY_VBYTES(struct thing, b, a);

    unsound_field(
        (struct ferry_field){
            .name = "x", .kind = FERRY_KIND_BYTES, .offset = 5, .size_bytes = 1, .count = 4},
        "thing.x: ends at byte 9 of an object of 8");
    /* The product does not fit in 32 bits. */
    unsound_field(
        (struct ferry_field){
            .name = "x", .kind = FERRY_KIND_UINT, .size_bytes = 8, .count = 0x20000000},
        "thing.x: ends at byte 4294967296 of an object of 8");
    counted.counter_offset = 5;
    unsound_field(counted, "thing.b: its counter is not a member");
    counted.counter_offset = 0;
    counted.counter_bytes = 3;
    unsound_field(counted, "thing.b: its counter is not a member");
}

static void kinds_must_make_sense(void **state)
{
    struct ferry_field a = FERRY_U32(struct thing, a);

    a.size_bytes = 3;
    unsound_field(a, "thing.a: 3 bytes is no integer width");
    a = (struct ferry_field)FERRY_U32(struct thing, a, .min = 3, .max = 2);
    unsound_field(a, "thing.a: no value is in its bounds");
    a = (struct ferry_field)FERRY_U32(struct thing, a, .max = UINT64_C(1) << 32);
    unsound_field(a, "thing.a: no value is in its bounds");
    a.kind = FERRY_KIND_BOOL;
    unsound_field(a, "thing.a: its elements are not bytes");
    a.kind = FERRY_KIND_STRUCT;
    unsound_field(a, "thing.a: a struct without a table");
    a.kind = FERRY_KIND_CUSTOM;
    unsound_field(a, "thing.a: a custom field without its code");
    a.kind = 99;
    unsound_field(a, "thing.a: unknown kind 99");
    a.name = NULL;
    unsound_field(a, "thing: a field without a name");
}

/* Else it would never be saved, nor missed by anybody. */
static void no_field_is_newer_than_its_table(void **state)
{
    struct ferry_field a = FERRY_U32(struct thing, a, .since = 3);
    struct ferry_table t = {.name = "thing", .version = 2, .fields = &a, .field_count = 1};
    struct ferry_err err;

    unsound(&t, "thing.a: is there since version 3 of a table of version 2: raise the table's");
    t.version = 3;
    assert_int_equal(state_table_check(&t, sizeof(struct thing), &err), 0);
}

static void every_field_is_looked_at(void **state)
{
    struct ferry_field fields[] = {FERRY_U32(struct thing, a), FERRY_U32(struct thing, a)};
    struct ferry_table t = {.name = "thing", FERRY_FIELDS(fields)};

    fields[1].size_bytes = 5;
    unsound(&t, "thing.a: 5 bytes is no integer width");
}

static void tables_must_be_named_and_end(void **state)
{
    struct ferry_field self = {
        .name = "self", .kind = FERRY_KIND_STRUCT, .size_bytes = 8, .count = 1};
    struct ferry_table loop = {.name = "loop", .fields = &self, .field_count = 1};
    struct ferry_table t = {.name = "", .version = 1};
    struct ferry_table sub = {.name = "thing"};
    const struct ferry_table *subs[STATE_MAX_SUBSECTIONS + 2] = {&sub};

    unsound(&t, ": a table without a name");
    t = (struct ferry_table){.name = "thing", .version = 1, .minimum_version = 2};
    unsound(&t, "thing: minimum version 2 is above version 1");
    t = (struct ferry_table){.name = "thing", .subsections = subs};
    unsound(&t, "thing: subsection \"thing\" is not named \"thing/...\"");
    sub.name = "thing/";
    unsound(&t, "thing: subsection \"thing/\" is not named \"thing/...\"");
    sub.name = NULL;
    unsound(&t, "thing: subsection \"\" is not named \"thing/...\"");
    sub.name = "thing/ok";
    for (size_t i = 0; i <= STATE_MAX_SUBSECTIONS; i++)
        subs[i] = &sub;
    unsound(&t, "thing: more than 64 subsections");
    self.table = &loop;
    unsound(&loop, "loop.self.self.self.self.self.self.self.self: nested deeper than 8");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sound_tables_are_sound),
        cmocka_unit_test(members_must_be_inside),
        cmocka_unit_test(kinds_must_make_sense),
        cmocka_unit_test(every_field_is_looked_at),
        cmocka_unit_test(tables_must_be_named_and_end),
        cmocka_unit_test(no_field_is_newer_than_its_table),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
