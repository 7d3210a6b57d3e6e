/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit.h"

#include "base/buf.h"
#include "lib/state/state.h"
#include "tests/vmm/dev/rig.h"
#include "vmm/dev/plic.h"

#define HARTS          2u
#define CONTEXTS       (2 * HARTS)
#define PENDING(w)     (0x1000u + 4 * (w))
#define ENABLE(ctx, w) (0x2000u + 0x80 * (ctx) + 4 * (w))
#define THRESHOLD(ctx) (0x200000u + 0x1000 * (ctx))
#define CLAIM(ctx)     (0x200004u + 0x1000 * (ctx))
/* Context ctx drives line 1 + ctx. */
#define OUT(ctx)       (r->level[1 + (ctx)])

static struct rig *connect(struct rig *r)
{
    for (uint32_t context = 0; context < CONTEXTS; context++)
        plic_connect(r->dev, context, rig_line(r, 1 + context));
    return r;
}

static int setup(void **state)
{
    *state = connect(rig_new(&plic_type, HARTS));
    return 0;
}

static int teardown(void **state)
{
    rig_free(*state);
    return 0;
}

static void drive(struct rig *r, uint32_t source, bool level)
{
    struct irq_line line = plic_input(r->dev, source);

    irq_set(&line, level);
}

static void enable(struct rig *r, uint32_t context, uint32_t source, uint32_t priority)
{
    uint64_t offset = ENABLE(context, source / 32);

    rig_write(r, 4 * source, 4, priority);
    rig_write(r, offset, 4, rig_read(r, offset, 4) | UINT64_C(1) << (source % 32));
}

static void a_source_interrupts_the_contexts_that_enable_it(void **state)
{
    struct rig *r = *state;

    enable(r, 1, 10, 1);
    enable(r, 3, 40, 1);
    drive(r, 10, true);
    assert_false(OUT(0));
    assert_true(OUT(1));
    assert_false(OUT(3));
    assert_int_equal(rig_read(r, PENDING(0), 4), 1u << 10);
    drive(r, 40, true);
    assert_true(OUT(3));
    assert_int_equal(rig_read(r, PENDING(1), 4), 1u << 8);
    /* Falling does not take it back. */
    drive(r, 10, false);
    assert_true(OUT(1));
}

static void claim_and_complete(void **state)
{
    struct rig *r = *state;

    enable(r, 1, 10, 1);
    assert_int_equal(rig_read(r, CLAIM(1), 4), 0);
    drive(r, 10, true);
    assert_int_equal(rig_read(r, CLAIM(1), 4), 10);
    assert_false(OUT(1));
    assert_int_equal(rig_read(r, PENDING(0), 4), 0);
    assert_int_equal(rig_read(r, CLAIM(1), 4), 0);
    drive(r, 10, false);
    rig_write(r, CLAIM(1), 4, 10);
    assert_false(OUT(1));
    drive(r, 10, true);
    assert_true(OUT(1));
}

static void a_source_raised_while_claimed_comes_after_completion(void **state)
{
    struct rig *r = *state;

    enable(r, 1, 10, 1);
    drive(r, 10, true);
    assert_int_equal(rig_read(r, CLAIM(1), 4), 10);
    drive(r, 10, false);
    drive(r, 10, true);
    assert_false(OUT(1));
    drive(r, 10, false);
    rig_write(r, CLAIM(1), 4, 10);
    assert_true(OUT(1));
    assert_int_equal(rig_read(r, CLAIM(1), 4), 10);
}

static void a_source_still_high_at_completion_comes_again(void **state)
{
    struct rig *r = *state;

    enable(r, 1, 10, 1);
    drive(r, 10, true);
    assert_int_equal(rig_read(r, CLAIM(1), 4), 10);
    rig_write(r, CLAIM(1), 4, 10);
    assert_true(OUT(1));
}

static void priority_then_number_decide(void **state)
{
    struct rig *r = *state;
    const uint32_t order[] = {70, 5, 40, 9};
    const uint32_t priority[] = {7, 3, 3, 1};

    for (int i = 0; i < 4; i++) {
        enable(r, 1, order[i], priority[i]);
        drive(r, order[i], true);
    }
    for (int i = 0; i < 4; i++)
        assert_int_equal(rig_read(r, CLAIM(1), 4), order[i]);
    assert_int_equal(rig_read(r, CLAIM(1), 4), 0);
}

static void only_priorities_above_the_threshold_pass(void **state)
{
    struct rig *r = *state;

    enable(r, 0, 10, 3);
    rig_write(r, THRESHOLD(0), 4, 3);
    drive(r, 10, true);
    assert_false(OUT(0));
    assert_int_equal(rig_read(r, CLAIM(0), 4), 0);
    rig_write(r, THRESHOLD(0), 4, 2);
    assert_true(OUT(0));
    rig_write(r, 4 * 10, 4, 0); /* priority 0 never interrupts */
    rig_write(r, THRESHOLD(0), 4, 0);
    assert_false(OUT(0));
}

static void registers_hold_what_they_can(void **state)
{
    struct rig *r = *state;

    rig_write(r, 4 * 95, 4, 15);
    assert_int_equal(rig_read(r, 4 * 95, 4), 7);
    rig_write(r, 0, 4, 5); /* source 0 does not exist */
    assert_int_equal(rig_read(r, 0, 4), 0);
    rig_write(r, THRESHOLD(3), 4, 0xffffffff);
    assert_int_equal(rig_read(r, THRESHOLD(3), 4), 7);
    rig_write(r, ENABLE(2, 2), 4, 0xffffffff);
    assert_int_equal(rig_read(r, ENABLE(2, 2), 4), 0xffffffff);
    rig_write(r, PENDING(0), 4, 0xffffffff);
    assert_int_equal(rig_read(r, PENDING(0), 4), 0);
    rig_write(r, ENABLE(2, 3), 4, 1);
    assert_int_equal(rig_read(r, ENABLE(2, 3), 4), 0);
    rig_write(r, THRESHOLD(CONTEXTS), 4, 1);
    assert_int_equal(rig_read(r, THRESHOLD(CONTEXTS), 4), 0);
    assert_int_equal(rig_read(r, CLAIM(CONTEXTS), 4), 0);
    rig_write(r, CLAIM(0), 4, 96); /* completions of nothing */
    rig_write(r, CLAIM(0), 4, 0xffffffff);
    assert_int_equal(rig_read(r, 0x5ffffc, 4), 0);
}

static void reset_forgets_everything(void **state)
{
    struct rig *r = *state;

    enable(r, 1, 10, 1);
    drive(r, 10, true);
    drive(r, 10, false);
    r->dev->type->reset(r->dev);
    assert_false(OUT(1));
    enable(r, 1, 10, 1);
    assert_false(OUT(1));
}

static void stir(void *obj)
{
    struct rig *r = rig_of(obj);

    for (uint32_t source = 1; source < PLIC_SOURCES; source++)
        enable(r, source % CONTEXTS, source, 1 + source % 7);
    rig_write(r, THRESHOLD(2), 4, 5);
    drive(r, 33, true);
    rig_read(r, CLAIM(1), 4);
    drive(r, 94, true);
}

static struct rig_contract rig_contract = {.type = &plic_type, .hart_count = HARTS};

static struct contract_case contract_case(void)
{
    return (struct contract_case){
        .table = plic_type.table,
        .obj_bytes = plic_type.size_bytes,
        .make = rig_make_dev,
        .stir = stir,
        .destroy = rig_destroy_dev,
        .arg = &rig_contract,
    };
}

static void saved_state_keeps_the_contract(void **state)
{
    struct contract_case c = contract_case();

    contract_run(&c);
}

/* What was pending, claimed and enabled goes on where it was. */
static void a_claim_survives_a_move(void **state)
{
    struct rig *from = connect(rig_new(&plic_type, HARTS));
    struct rig *r = connect(rig_new(&plic_type, HARTS));
    struct buf bytes = {0};
    struct ferry_err err;
    struct rd in;

    enable(from, 1, 10, 1);
    enable(from, 1, 11, 1);
    drive(from, 10, true);
    drive(from, 11, true);
    assert_int_equal(rig_read(from, CLAIM(1), 4), 10);
    assert_int_equal(state_save(plic_type.table, from->dev, &bytes, NULL, &err), 0);
    in = rd_make(bytes.data, bytes.len_bytes);
    assert_int_equal(state_load(plic_type.table, r->dev, plic_type.size_bytes, 1, &in, &err), 0);
    assert_true(OUT(1));
    assert_int_equal(rig_read(r, CLAIM(1), 4), 11);
    assert_false(OUT(1));
    /* The device of source 10 drives its line again; it is claimed, so nothing comes of it yet. */
    drive(r, 10, true);
    assert_false(OUT(1));
    rig_write(r, CLAIM(1), 4, 10);
    assert_true(OUT(1));
    buf_free(&bytes);
    rig_free(from);
    rig_free(r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_source_interrupts_the_contexts_that_enable_it, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(claim_and_complete, setup, teardown),
        cmocka_unit_test_setup_teardown(a_source_raised_while_claimed_comes_after_completion, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_source_still_high_at_completion_comes_again, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(priority_then_number_decide, setup, teardown),
        cmocka_unit_test_setup_teardown(only_priorities_above_the_threshold_pass, setup, teardown),
        cmocka_unit_test_setup_teardown(registers_hold_what_they_can, setup, teardown),
        cmocka_unit_test_setup_teardown(reset_forgets_everything, setup, teardown),
        cmocka_unit_test(saved_state_keeps_the_contract),
        cmocka_unit_test(a_claim_survives_a_move),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
