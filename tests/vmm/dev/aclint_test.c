/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit.h"

#include <errno.h>
#include <string.h>

#include "base/be.h"
#include "base/buf.h"
#include "lib/state/state.h"
#include "tests/vmm/dev/rig.h"
#include "vmm/dev/aclint.h"

#define MS           INT64_C(1000000)
#define TICKS_PER_MS 10000u
#define MTIME        0x7ff8u
#define HARTS        3u

static int setup_mswi(void **state)
{
    struct rig *r = rig_new(&mswi_type, HARTS);

    for (uint32_t hart = 0; hart < HARTS; hart++)
        mswi_connect(r->dev, hart, (struct mswi_output){rig_line(r, 1 + hart), rig_get_level});
    *state = r;
    return 0;
}

static int setup_mtimer(void **state)
{
    struct rig *r = rig_new(&mtimer_type, HARTS);

    for (uint32_t hart = 0; hart < HARTS; hart++)
        mtimer_connect(r->dev, hart, rig_line(r, 1 + hart));
    *state = r;
    return 0;
}

static int teardown(void **state)
{
    rig_free(*state);
    return 0;
}

static void msip_is_bit_0_of_a_register_per_hart(void **state)
{
    struct rig *r = *state;

    rig_write(r, 4, 4, 0xffffffff);
    assert_false(r->level[1]);
    assert_true(r->level[2]);
    assert_int_equal(rig_read(r, 4, 4), 1);
    assert_int_equal(rig_read(r, 0, 4), 0);
    rig_write(r, 4, 4, 0xfffffffe);
    assert_false(r->level[2]);
    r->level[3] = true; /* the hart's own bit is what is read */
    assert_int_equal(rig_read(r, 8, 4), 1);
}

static void harts_that_do_not_exist_have_no_msip(void **state)
{
    struct rig *r = *state;

    rig_write(r, 4 * HARTS, 4, 1);
    rig_write(r, 0x3ffc, 4, 1);
    assert_int_equal(rig_read(r, 4 * HARTS, 4), 0);
    for (int i = 0; i < RIG_LINES; i++)
        assert_false(r->level[i]);
}

static void reset_lowers_every_msip(void **state)
{
    struct rig *r = *state;

    for (uint32_t hart = 0; hart < HARTS; hart++)
        rig_write(r, 4 * hart, 4, 1);
    r->dev->type->reset(r->dev);
    for (uint32_t hart = 0; hart < HARTS; hart++)
        assert_false(r->level[1 + hart]);
}

static void mtime_counts_tenths_of_a_microsecond(void **state)
{
    struct rig *r = *state;

    assert_int_equal(rig_read(r, MTIME, 8), 0);
    guest_clock_set(r->clock, INT64_C(0x1122334455) * 100 + 99);
    assert_int_equal(rig_read(r, MTIME, 8), 0x1122334455);
    assert_int_equal(rig_read(r, MTIME, 4), 0x22334455);
    assert_int_equal(rig_read(r, MTIME + 4, 4), 0x11);
}

static void writing_mtime_sets_the_guest_clock(void **state)
{
    struct rig *r = *state;

    rig_write(r, MTIME, 8, 1000);
    assert_int_equal(guest_clock_ns(r->clock), 100000);
    rig_write(r, MTIME + 4, 4, 1);
    assert_int_equal(rig_read(r, MTIME, 8), 0x1000003e8);
    rig_write(r, MTIME, 4, 7);
    assert_int_equal(rig_read(r, MTIME, 8), 0x100000007);
    rig_write(r, MTIME, 8, UINT64_MAX);
    assert_in_range(guest_clock_ns(r->clock), 1, INT64_MAX / 2);
}

/* Reset before it first runs where it arrived: what it missed was another boot's. */
static void a_reset_leaves_the_clock_nothing_to_catch_up_with(void **state)
{
    struct rig *r = *state;
    struct ferry_part part = guest_clock_part(r->clock);
    uint8_t bytes[24] = {0};
    struct rd in = rd_make(bytes, sizeof(bytes));
    struct ferry_err err;

    be64_store(bytes + 8, 1);
    assert_int_equal(state_load(part.table, part.obj, part.obj_bytes, 2, &in, &err), 0);
    assert_true(guest_clock_knows_since(r->clock));
    r->dev->type->reset(r->dev);
    assert_false(guest_clock_knows_since(r->clock));
}

static void mtip_is_the_comparison(void **state)
{
    struct rig *r = *state;

    r->dev->type->reset(r->dev);
    assert_true(r->level[1]); /* 0 <= 0 at power on */
    guest_clock_set(r->clock, 500 * 100);
    rig_write(r, 8, 8, 501);
    assert_false(r->level[2]);
    rig_write(r, 8, 8, 500);
    assert_true(r->level[2]);
    rig_write(r, 8 + 4, 4, 1); /* each half counts at once */
    assert_false(r->level[2]);
    assert_int_equal(rig_read(r, 8, 8), 0x1000001f4);
    assert_int_equal(rig_read(r, 12, 4), 1);
    rig_write(r, MTIME, 8, 0x1000001f4);
    assert_true(r->level[2]);
}

static void mtip_rises_when_its_time_comes(void **state)
{
    struct rig *r = *state;

    rig_write(r, 0, 8, 3 * TICKS_PER_MS);
    rig_write(r, 8, 8, UINT64_MAX);
    rig_write(r, 16, 8, UINT64_MAX / 100); /* later than the clock can count */
    guest_clock_start(r->clock);
    assert_false(r->level[1]);
    rig_run_for(r, 10 * MS);
    assert_true(r->level[1]);
    assert_false(r->level[2]);
    assert_false(r->level[3]);
}

static void a_reset_restarts_mtime_and_keeps_mtimecmp(void **state)
{
    struct rig *r = *state;

    guest_clock_set(r->clock, 1000000);
    rig_write(r, 0, 8, 77);
    assert_true(r->level[1]);
    r->dev->type->reset(r->dev);
    assert_int_equal(rig_read(r, MTIME, 8), 0);
    assert_int_equal(rig_read(r, 0, 8), 77);
    assert_false(r->level[1]);
}

static void stir(void *obj)
{
    struct rig *r = rig_of(obj);

    for (uint32_t hart = 0; hart < HARTS; hart++)
        rig_write(r, 8 * hart, 8, 0x0102030405060708 + hart);
}

static void saved_state_keeps_the_contract(void **state)
{
    struct rig_contract rig = {.type = &mtimer_type, .hart_count = HARTS};
    struct contract_case c = {
        .table = mtimer_type.table,
        .obj_bytes = mtimer_type.size_bytes,
        .make = rig_make_dev,
        .stir = stir,
        .destroy = rig_destroy_dev,
        .arg = &rig,
    };

    contract_run(&c);
}

/* --- The later format of the state ----------------------------------------------------------- */

static void the_later_format_keeps_the_contract(void **state)
{
    struct rig_contract rig = {.type = &mtimer3_type, .hart_count = HARTS};
    struct contract_case c = {
        .table = mtimer3_type.table,
        .obj_bytes = mtimer3_type.size_bytes,
        .make = rig_make_dev,
        .stir = stir,
        .destroy = rig_destroy_dev,
        .arg = &rig,
    };

    contract_run(&c);
}

static int load3(struct rig *r, int64_t time_delta, struct ferry_err *err)
{
    uint8_t bytes[8 + 2 * HARTS * 8] = {0};
    struct rd in = rd_make(bytes, sizeof(bytes));

    be64_store(bytes, (uint64_t)time_delta);
    return state_load(mtimer3_type.table, r->dev, mtimer3_type.size_bytes, 3, &in, err);
}

static void mtime_may_differ_from_the_senders_clock(void **state)
{
    struct rig *r = *state;
    struct ferry_err err;

    guest_clock_set(r->clock, MS);
    assert_int_equal(load3(r, 5000, &err), 0);
    assert_int_equal(rig_read(r, MTIME, 8), TICKS_PER_MS + 5000);
    assert_int_equal(load3(r, 0, &err), 0); /* it is not added again */
    assert_int_equal(rig_read(r, MTIME, 8), TICKS_PER_MS + 5000);
    assert_int_equal(load3(r, -15000 - 1, &err), 0);
    assert_int_equal(rig_read(r, MTIME, 8), 0);
    assert_int_equal(load3(r, INT64_MAX, &err), -EINVAL);
    assert_int_equal(load3(r, INT64_MIN, &err), -EINVAL);
    assert_non_null(strstr(err.text, "ticks from the clock"));
}

static void timers_that_run_are_told(void **state)
{
    struct rig *r = *state;
    struct ferry_err err;
    struct buf out = {0};

    guest_clock_set(r->clock, MS);
    rig_write(r, 0, 8, TICKS_PER_MS + 7);
    rig_write(r, 8, 8, TICKS_PER_MS);
    rig_write(r, 16, 8, UINT64_MAX);
    assert_int_equal(state_save(mtimer3_type.table, r->dev, &out, NULL, &err), 0);
    assert_int_equal(out.len_bytes, 8 + 2 * HARTS * 8);
    assert_int_equal(be64_load(out.data), 0);
    assert_int_equal(be64_load(out.data + 32), MS + 700);
    assert_true(be64_load(out.data + 40) == UINT64_MAX); /* fired */
    assert_true(be64_load(out.data + 48) == UINT64_MAX); /* never will */
    buf_free(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(msip_is_bit_0_of_a_register_per_hart, setup_mswi, teardown),
        cmocka_unit_test_setup_teardown(harts_that_do_not_exist_have_no_msip, setup_mswi, teardown),
        cmocka_unit_test_setup_teardown(reset_lowers_every_msip, setup_mswi, teardown),
        cmocka_unit_test_setup_teardown(mtime_counts_tenths_of_a_microsecond, setup_mtimer,
                                        teardown),
        cmocka_unit_test_setup_teardown(writing_mtime_sets_the_guest_clock, setup_mtimer, teardown),
        cmocka_unit_test_setup_teardown(mtip_is_the_comparison, setup_mtimer, teardown),
        cmocka_unit_test_setup_teardown(mtip_rises_when_its_time_comes, setup_mtimer, teardown),
        cmocka_unit_test_setup_teardown(a_reset_restarts_mtime_and_keeps_mtimecmp, setup_mtimer,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_reset_leaves_the_clock_nothing_to_catch_up_with,
                                        setup_mtimer, teardown),
        cmocka_unit_test(saved_state_keeps_the_contract),
        cmocka_unit_test(the_later_format_keeps_the_contract),
        cmocka_unit_test_setup_teardown(mtime_may_differ_from_the_senders_clock, setup_mtimer,
                                        teardown),
        cmocka_unit_test_setup_teardown(timers_that_run_are_told, setup_mtimer, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
