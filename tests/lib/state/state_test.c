/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "lib/state/state.h"
#include "tests/contract/contract.h"
#include "tests/lib/state/gadget.h"

static const struct contract_case gadget_case = {.table = &gadget_table,
                                                 .obj_bytes = sizeof(struct gadget),
                                                 .make = make_gadget,
                                                 .stir = stir_gadget};

static void everything_keeps_the_contract(void **state)
{
    contract_run(&gadget_case);
}

static void the_bare_device_keeps_the_contract(void **state)
{
    static const struct contract_case bare = {
        .table = &gadget_table, .obj_bytes = sizeof(struct gadget), .make = make_gadget};

    contract_run(&bare);
}

static void wire_order_is_as_documented(void **state)
{
    static const uint8_t want[] = {
        0x12, 0x34, 5,   1,   0,   0,   0x1a, 0xf4, 0xbc, 0x0a, 0,   0, 0, 0,  0, 0, /* ier ..
                                                                                        unused */
        1,    2,    3,   4,   5,   6,   7,    8,    0,    0,    0,   0, 0, 0,  0, 2, 255,
        255,  255,  255, 255, 255, 255, 255,  3,    'a',  'b',  'c', 0, 0, 0,  4, 0, 0,
        0,    70,   0,   0,   0,   71,  0,    0,    0,    72,   0,   0, 0, 73, 0, 8, 1,
        0,    0,    0,   1,   0,   0,   0,    2,    0,    0,    0, /* slot 0, the start of slot 1 */
    };
    static const uint8_t want_end[] = {
        0,   0,   0,   7,   5,   'h', 'e', 'l', 'l', 'o', 5, 12, 'g', 'a', 'd', 'g',
        'e', 't', '/', 'e', 'x', 't', 'r', 'a', 0,   0,   0, 3,  0,   0,   0,   9,
    };
    struct gadget *g = make_gadget(NULL);
    struct buf out = {0};
    struct ferry_err err;

    stir_gadget(g);
    assert_int_equal(state_save(&gadget_table, g, &out, NULL, &err), 0);
    assert_int_equal(out.len_bytes, 64 + 64 * 11 + sizeof(want_end) + 24);
    assert_memory_equal(out.data, want, sizeof(want));
    assert_memory_equal(out.data + 64 + 64 * 11, want_end, sizeof(want_end));
    buf_free(&out);
    free(g);
}

static void commit_keeps_what_the_table_does_not_name(void **state)
{
    struct gadget *from = make_gadget(NULL), *to = make_gadget(NULL);
    struct buf out = {0};
    struct ferry_err err;
    struct rd in;

    stir_gadget(from);
    from->host_fd = 1;
    to->host_fd = 99;
    assert_int_equal(state_save(&gadget_table, from, &out, NULL, &err), 0);
    in = rd_make(out.data, out.len_bytes);
    assert_int_equal(state_load(&gadget_table, to, sizeof(*to), 2, &in, &err), 0);
    assert_int_equal(rd_left(&in), 0);
    assert_int_equal(to->host_fd, 99);
    assert_int_equal(to->slots[5].addr[1], 9);
    assert_int_equal(to->fifo.head, 15);
    assert_int_equal(to->derived, 0x2468);
    assert_int_equal(to->fifo_post_load_order, 1);
    assert_int_equal(to->post_load_order, 2);
    buf_free(&out);
    free(from);
    free(to);
}

static void what_the_stream_leaves_out_is_defaulted_by_pre_load(void **state)
{
    struct gadget *from = make_gadget(NULL), *to = make_gadget(NULL);
    struct buf out = {0};
    struct ferry_err err;
    struct rd in;

    to->extra = 8;
    to->fifo.num = 3;
    assert_int_equal(state_save(&gadget_table, from, &out, NULL, &err), 0);
    in = rd_make(out.data, out.len_bytes);
    assert_int_equal(state_load(&gadget_table, to, sizeof(*to), 2, &in, &err), 0);
    assert_int_equal(to->extra, 5);
    assert_int_equal(to->fifo.num, 3);
    assert_int_equal(to->fifo_post_load_order, 0);
    buf_free(&out);
    free(from);
    free(to);
}

static void an_older_version_lacks_its_newer_fields(void **state)
{
    struct gadget *from = make_gadget(NULL), *to = make_gadget(NULL);
    struct buf out = {0}, old = {0};
    size_t fresh_at = 16 + 1 + 4 + 64 * 11;
    struct ferry_err err;
    struct rd in;

    to->fresh = 123;
    assert_int_equal(state_save(&gadget_table, from, &out, NULL, &err), 0);
    buf_put(&old, out.data, fresh_at);
    buf_put(&old, out.data + fresh_at + 4, out.len_bytes - fresh_at - 4);
    in = rd_make(old.data, old.len_bytes);
    assert_int_equal(state_load(&gadget_table, to, sizeof(*to), 1, &in, &err), 0);
    assert_int_equal(rd_left(&in), 0);
    assert_int_equal(to->fresh, 123);
    buf_free(&out);
    buf_free(&old);
    free(from);
    free(to);
}

static void spoil_ier(void *obj)
{
    ((struct gadget *)obj)->ier = 3;
}
static void spoil_head(void *obj)
{
    ((struct gadget *)obj)->fifo.num = 0;
}
static void spoil_list(void *obj)
{
    ((struct gadget *)obj)->list[3] = 78;
}
static void spoil_slot(void *obj)
{
    ((struct gadget *)obj)->slots[5].num = 1025;
}
static void spoil_fifo(void *obj)
{
    ((struct gadget *)obj)->fifo.num = 17;
}
static void spoil_regs(void *obj)
{
    ((struct gadget *)obj)->regs[1] = 1;
}
static void spoil_model(void *obj)
{
    ((struct gadget *)obj)->model = 7;
}

static void refusals_name_field_value_and_limit(void **state)
{
    contract_refuses(&gadget_case, spoil_ier, "gadget: enable 3 makes no sense");
    contract_refuses(&gadget_case, spoil_head, "Fifo8: an empty FIFO has no head, but 15");
    contract_refuses(&gadget_case, spoil_list, "gadget.list[3]: 78 is more than 77");
    contract_refuses(&gadget_case, spoil_slot, "gadget.slots[5].num: 1025 is more than 1024");
    contract_refuses(&gadget_case, spoil_fifo, "gadget/extra.fifo.num: 17 is more than 16");
    contract_refuses(&gadget_case, spoil_regs, "gadget.regs[1]: 1 is less than 2");
    contract_refuses(&gadget_case, spoil_model, "gadget.model: the stream has 7, here it is 6900");
}

/* The bare gadget's bytes plus `more`, loaded; the error text. */
static int load_with(const void *more, size_t n, bool final, struct ferry_err *err, size_t *used)
{
    struct gadget *g = make_gadget(NULL);
    struct state_scratch *s = NULL;
    struct buf out = {0};
    struct rd in;
    int r;

    assert_int_equal(state_save(&gadget_table, g, &out, NULL, err), 0);
    buf_put(&out, more, n);
    in = rd_make(out.data, out.len_bytes);
    assert_int_equal(state_scratch_new(&s, &gadget_table, g, sizeof(*g), err), 0);
    r = state_scratch_load(s, 2, &in, final, err);
    *used = in.pos_bytes - (out.len_bytes - n);
    state_scratch_free(s);
    buf_free(&out);
    free(g);
    return r;
}

static void only_its_own_subsections_are_taken(void **state)
{
    static const struct {
        const char *bytes;
        size_t n;
        bool final;
        int want;
        const char *text;
    } cases[] = {
        {"\x7e", 1, true, 0, NULL},
        {"", 0, true, 0, NULL},
        {"", 0, false, -ENODATA, "subsection"},
        {"\x05", 1, true, 0, NULL},
        {"\x05", 1, false, -ENODATA, "subsection"},
        {"\x05\x06gadget", 8, false, 0, NULL},              /* l == strlen(N): not ours */
        {"\x05\x0bother/thing", 13, false, 0, NULL},        /* another's */
        {"\x05\xffgodg", 6, false, 0, NULL},                /* too short to say, and cannot match */
        {"\x05\xffgadg", 6, false, -ENODATA, "subsection"}, /* could match */
        {"\x05\xffgadg", 6, true, 0, NULL},
        {"\x05\x08gadget/x\0\0\0\1", 14, true, -EINVAL, "unknown subsection \"gadget/x\""},
        {"\x05\x07gadget/\0\0\0\1", 13, true, -EINVAL, "unknown subsection \"gadget/\""},
        {"\x05\x0cgadget/extra", 14, true, -ENODATA, "gadget/extra: the stream ends"},
        {"\x05\x08gadgetry\0\0\0\1", 14, true, -EINVAL, "unknown subsection \"gadgetry\""},
        {"\x05\x08gadget\x01\xff\0\0\0\1", 14, true, -EINVAL, "\"gadget??\""},
        {"\x05\x0cgadget/extra\0\0\0\4", 18, true, -EINVAL,
         "gadget/extra: version 4 is newer than 3"},
        {"\x05\x0cgadget/extra\0\0\0\1", 18, true, -EINVAL,
         "gadget/extra: version 1 is older than 2"},
        {"\x05\x0cgadget/extra\0\0", 16, true, -ENODATA, "gadget/extra: the stream ends"},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct ferry_err err = {0};
        size_t used = 0;
        int r = load_with(cases[i].bytes, cases[i].n, cases[i].final, &err, &used);

        if (r != cases[i].want || (cases[i].text && !strstr(err.text, cases[i].text)))
            fail_msg("case %zu: %d, %s", i, r, err.text);
        if (r == 0)
            assert_int_equal(used, 0);
    }
}

static void a_subsection_loads_once(void **state)
{
    struct buf more = {0};
    struct ferry_err err = {0};
    size_t used;

    for (int i = 0; i < 2; i++) {
        buf_put(&more, "\x05\x0cgadget/extra\0\0\0\2\0\0\0\1", 22);
        buf_zeros(&more, 24);
        assert_int_equal(load_with(more.data, more.len_bytes, true, &err, &used), i ? -EINVAL : 0);
        assert_int_equal(used, 46); /* the second one is not taken */
    }
    assert_string_equal(err.text, "gadget/extra: this subsection came before");
    buf_free(&more);
}

static void a_counter_beyond_its_array_is_not_saved(void **state)
{
    struct gadget *g = make_gadget(NULL);
    struct buf out = {0};
    struct ferry_err err;

    g->list_len = 6;
    assert_int_equal(state_save(&gadget_table, g, &out, NULL, &err), -EINVAL);
    assert_string_equal(err.text, "gadget.list: 6 elements are more than the 5 there is room for");
    buf_free(&out);
    free(g);
}

static void a_section_can_be_loaded_and_thrown_away(void **state)
{
    struct gadget *g = make_gadget(NULL);
    struct state_scratch *s = NULL;
    struct buf out = {0};
    struct ferry_err err;
    struct rd in;

    g->model = 0; /* what zeroed scratch has */
    assert_int_equal(state_save(&gadget_table, g, &out, NULL, &err), 0);
    in = rd_make(out.data, out.len_bytes);
    assert_int_equal(state_scratch_new(&s, &gadget_table, NULL, sizeof(*g), &err), 0);
    assert_int_equal(state_scratch_load(s, 2, &in, true, &err), 0);
    state_scratch_commit(s);
    state_scratch_free(s);
    buf_free(&out);
    free(g);
}

/* --- Arrays of structs that look plain, and are not --- */

struct door {
    uint8_t kind;   /* 1 to 9 */
    uint8_t length; /* of text */
    char text[4];
    uint16_t locks[2];
    bool open;
};
static const struct ferry_field door_fields[] = {
    FERRY_U8(struct door, kind, .min = 1, .max = 9),
    FERRY_U16_ARRAY(struct door, locks),
};
static const struct ferry_table door_table = {.name = "door", FERRY_FIELDS(door_fields)};

static const struct ferry_field counted_fields[] = {
    FERRY_U8(struct door, length),
    FERRY_VBYTES(struct door, text, length),
};
static const struct ferry_table counted_table = {.name = "counted", FERRY_FIELDS(counted_fields)};

static bool door_open(const void *obj, uint32_t version)
{
    return ((const struct door *)obj)->open;
}
static const struct ferry_field optional_fields[] = {
    FERRY_BOOL(struct door, open),
    FERRY_U8(struct door, kind, .present = door_open),
};
static const struct ferry_table optional_table = {.name = "optional",
                                                  FERRY_FIELDS(optional_fields)};

static int checked_check(const void *scratch, struct ferry_err *err)
{
    const struct door *d = scratch;

    return d->kind == 7 ? err_set(err, EINVAL, "kind 7 is unlucky") : 0;
}
static const struct ferry_field checked_fields[] = {
    FERRY_U8(struct door, kind),
};
static const struct ferry_table checked_table = {
    .name = "checked", FERRY_FIELDS(checked_fields), .check = checked_check};

static bool extended_needed(const void *obj)
{
    return ((const struct door *)obj)->length != 0;
}
static const struct ferry_field more_fields[] = {
    FERRY_U8(struct door, length),
};
static const struct ferry_table more_table = {
    .name = "extended/more", FERRY_FIELDS(more_fields), .needed = extended_needed};
static const struct ferry_table *const extended_subsections[] = {&more_table, NULL};
static const struct ferry_table extended_table = {
    .name = "extended", FERRY_FIELDS(checked_fields), .subsections = extended_subsections};

static const struct ferry_field framed_fields[] = {
    FERRY_SELF(struct door, "inner", &door_table),
    FERRY_U8(struct door, length),
};
static const struct ferry_table framed_table = {.name = "framed", FERRY_FIELDS(framed_fields)};

static const struct ferry_field wrapped_fields[] = {
    FERRY_SELF(struct door, "inner", &optional_table),
};
static const struct ferry_table wrapped_table = {.name = "wrapped", FERRY_FIELDS(wrapped_fields)};

#define DOORS 40 /* more than a run, and not a multiple of it */
struct cabinet {
    struct door plain[DOORS], counted[DOORS], optional[DOORS], checked[DOORS], extended[DOORS],
        framed[DOORS], wrapped[DOORS];
    uint16_t le16[2];
    uint64_t le64[2];
    uint8_t le8[2];
    uint8_t framed_count;
};
#define LE_ARRAY(m, size)                                                              \
    {                                                                                  \
        .name = #m, .kind = FERRY_KIND_UINT_LE, .offset = offsetof(struct cabinet, m), \
        .size_bytes = (size), .count = 2                                               \
    }
static const struct ferry_field cabinet_fields[] = {
    FERRY_STRUCT_ARRAY(struct cabinet, plain, &door_table),
    FERRY_STRUCT_ARRAY(struct cabinet, counted, &counted_table),
    FERRY_STRUCT_ARRAY(struct cabinet, optional, &optional_table),
    FERRY_STRUCT_ARRAY(struct cabinet, checked, &checked_table),
    FERRY_STRUCT_ARRAY(struct cabinet, extended, &extended_table),
    FERRY_U8(struct cabinet, framed_count),
    FERRY_STRUCT_VARRAY(struct cabinet, framed, framed_count, &framed_table),
    FERRY_STRUCT_ARRAY(struct cabinet, wrapped, &wrapped_table),
    LE_ARRAY(le8, 1),
    LE_ARRAY(le16, 2),
    LE_ARRAY(le64, 8),
};
static const struct ferry_table cabinet_table = {.name = "cabinet", FERRY_FIELDS(cabinet_fields)};

static void *make_cabinet(void *arg)
{
    struct cabinet *c = calloc(1, sizeof(*c));

    for (size_t i = 0; i < DOORS; i++)
        c->plain[i].kind = c->framed[i].kind = 1;
    return c;
}
static void stir_cabinet(void *obj)
{
    static const struct door door = {9, 3, "abc", {0x102, 0x304}, true};
    struct cabinet *c = obj;

    for (size_t i = 0; i < DOORS; i += 39) {
        c->plain[i] = c->counted[i] = c->optional[i] = c->checked[i] = c->extended[i] = door;
        c->framed[i] = c->wrapped[i] = door;
    }
    c->plain[7] = door;
    c->framed_count = 37;
    c->le8[1] = 5;
    c->le16[0] = 0x1234;
    c->le64[1] = 0x0102030405060708;
}
static const struct contract_case cabinet_case = {.table = &cabinet_table,
                                                  .obj_bytes = sizeof(struct cabinet),
                                                  .make = make_cabinet,
                                                  .stir = stir_cabinet};

static void spoil_plain(void *obj)
{
    ((struct cabinet *)obj)->plain[33].kind = 0;
}
static void spoil_checked(void *obj)
{
    ((struct cabinet *)obj)->checked[33].kind = 7;
}
static void spoil_framed(void *obj)
{
    ((struct cabinet *)obj)->framed[36].kind = 10;
}

static void *make_zeros(void *arg)
{
    return calloc(1, sizeof(struct cabinet));
}
static void spoil_nothing(void *obj)
{
}

static void arrays_of_structs_keep_the_contract(void **state)
{
    static const struct contract_case empty = {
        .table = &cabinet_table, .obj_bytes = sizeof(struct cabinet), .make = make_cabinet};

    static const struct contract_case zeros = {
        .table = &cabinet_table, .obj_bytes = sizeof(struct cabinet), .make = make_zeros};

    contract_run(&cabinet_case);
    contract_run(&empty);
    contract_refuses(&zeros, spoil_nothing, "cabinet.plain[0].kind: 0 is less than 1");
    contract_refuses(&cabinet_case, spoil_plain, "cabinet.plain[33].kind: 0 is less than 1");
    contract_refuses(&cabinet_case, spoil_checked, "checked: kind 7 is unlucky");
    contract_refuses(&cabinet_case, spoil_framed, "cabinet.framed[36].inner.kind: 10 is more than");
}

static void elements_that_can_differ_are_described_one_by_one(void **state)
{
    struct cabinet *c = make_cabinet(NULL);
    struct ferry_err err;
    struct buf json = {0};

    assert_int_equal(state_describe(&cabinet_table, c, &json, &err), 0);
    buf_u8(&json, 0);
    assert_non_null(strstr((char *)json.data,
                           "{\"name\": \"plain\", \"array_len\": 40, \"type\": \"struct\", "));
    assert_null(strstr((char *)json.data, "{\"name\": \"plain\", \"index\""));
    assert_non_null(strstr((char *)json.data, "{\"name\": \"optional\", \"index\": 39, "));
    assert_non_null(strstr((char *)json.data, "{\"name\": \"extended\", \"index\": 39, "));
    assert_null(strstr((char *)json.data, "{\"name\": \"framed\", ")); /* none of them */
    buf_free(&json);
    free(c);
}

static void what_is_empty_is_described_only_if_it_is_a_buffer(void **state)
{
    struct gadget *g = make_gadget(NULL);
    struct ferry_err err;
    struct buf json = {0};

    assert_int_equal(state_describe(&gadget_table, g, &json, &err), 0);
    buf_u8(&json, 0);
    assert_null(strstr((char *)json.data, "{\"name\": \"list\""));
    assert_non_null(
        strstr((char *)json.data, "{\"name\": \"text\", \"type\": \"buffer\", \"size\": 0}"));
    buf_free(&json);
    free(g);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(everything_keeps_the_contract),
        cmocka_unit_test(the_bare_device_keeps_the_contract),
        cmocka_unit_test(arrays_of_structs_keep_the_contract),
        cmocka_unit_test(elements_that_can_differ_are_described_one_by_one),
        cmocka_unit_test(what_is_empty_is_described_only_if_it_is_a_buffer),
        cmocka_unit_test(wire_order_is_as_documented),
        cmocka_unit_test(commit_keeps_what_the_table_does_not_name),
        cmocka_unit_test(what_the_stream_leaves_out_is_defaulted_by_pre_load),
        cmocka_unit_test(an_older_version_lacks_its_newer_fields),
        cmocka_unit_test(refusals_name_field_value_and_limit),
        cmocka_unit_test(only_its_own_subsections_are_taken),
        cmocka_unit_test(a_subsection_loads_once),
        cmocka_unit_test(a_counter_beyond_its_array_is_not_saved),
        cmocka_unit_test(a_section_can_be_loaded_and_thrown_away),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
