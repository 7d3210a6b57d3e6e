/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(everything_keeps_the_contract),
        cmocka_unit_test(the_bare_device_keeps_the_contract),
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
