/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit.h"

#include <errno.h>
#include <string.h>

#include "lib/state/vm.h"

struct pump {
    int in_flight;
    bool quiet;
    bool paused;
};

static int pump_quiesce(void *obj)
{
    struct pump *p = obj;

    p->quiet = true;
    return p->in_flight > 0;
}
static void pump_unquiesce(void *obj)
{
    ((struct pump *)obj)->quiet = false;
}
static void pump_pause(void *obj)
{
    ((struct pump *)obj)->paused = true;
}
static void pump_resume(void *obj)
{
    ((struct pump *)obj)->paused = false;
}
static const struct ferry_part_ops pump_ops = {.quiesce = pump_quiesce,
                                               .unquiesce = pump_unquiesce,
                                               .pause = pump_pause,
                                               .resume = pump_resume};
static const struct ferry_part_ops no_ops;

struct plant {
    struct ferry_vm *vm;
    struct pump pumps[3];
    unsigned drained;
    bool harts_run;
};

static int64_t harts_pause(void *opaque)
{
    ((struct plant *)opaque)->harts_run = false;
    return 7;
}
static void harts_resume(void *opaque)
{
    ((struct plant *)opaque)->harts_run = true;
}
static const struct ferry_vm_ops plant_ops = {.pause = harts_pause, .resume = harts_resume};

static void open_plant(struct plant *plant)
{
    struct ferry_vm_params params = {
        .size_bytes = sizeof(params), .machine_name = "plant", .ops = &plant_ops, .opaque = plant};
    struct ferry_err err;

    *plant = (struct plant){.harts_run = true};
    assert_int_equal(ferry_vm_new(&plant->vm, &params, &err), 0);
    for (uint32_t i = 0; i < 3; i++) {
        struct ferry_part part = {
            .idstr = "pump", .instance_id = i, .ops = &pump_ops, .obj = &plant->pumps[i]};
        struct ferry_part dull = {.idstr = "dull", .instance_id = i, .ops = i ? &no_ops : NULL};

        assert_int_equal(ferry_vm_add_part(plant->vm, &part, &err), 0);
        assert_int_equal(ferry_vm_add_part(plant->vm, &dull, &err), 0);
    }
}

static void all_drained(void *arg)
{
    ((struct plant *)arg)->drained++;
}

static void what_drains_is_waited_for(void **state)
{
    struct plant plant;

    open_plant(&plant);
    assert_int_equal(vm_quiesce_begin(plant.vm, all_drained, &plant), 0);
    vm_unquiesce(plant.vm);
    plant.pumps[0].in_flight = plant.pumps[2].in_flight = 1;
    assert_int_equal(vm_quiesce_begin(plant.vm, all_drained, &plant), 1);
    assert_true(plant.pumps[1].quiet);
    assert_int_equal(vm_draining(plant.vm), 2);
    ferry_vm_drained(plant.vm);
    assert_int_equal(plant.drained, 0);
    ferry_vm_drained(plant.vm);
    assert_int_equal(plant.drained, 1);
    assert_int_equal(vm_draining(plant.vm), 0);
    vm_unquiesce(plant.vm);
    assert_false(plant.pumps[1].quiet);
    ferry_vm_free(plant.vm);
}

static void giving_up_while_parts_drain_calls_nobody(void **state)
{
    struct plant plant;

    open_plant(&plant);
    plant.pumps[0].in_flight = 1;
    assert_int_equal(vm_quiesce_begin(plant.vm, all_drained, &plant), 1);
    vm_unquiesce(plant.vm);
    ferry_vm_drained(plant.vm); /* late */
    assert_int_equal(plant.drained, 0);
    assert_int_equal(vm_quiesce_begin(plant.vm, all_drained, &plant), 1);
    ferry_vm_drained(plant.vm);
    assert_int_equal(plant.drained, 1);
    ferry_vm_free(plant.vm);
}

static void note(void *arg, const struct ferry_part *part, bool done)
{
    struct pump *p = part->obj;

    /* Before it has changed, and after it has. */
    if (done)
        assert_true(p->paused == (*(int *)arg < 10));
    else
        assert_true(p->paused != (*(int *)arg < 10));
    (*(int *)arg)++;
}

static void harts_and_parts_pause_and_resume(void **state)
{
    struct plant plant;
    int calls = 0;

    open_plant(&plant);
    assert_int_equal(vm_pause_harts(plant.vm), 7);
    assert_false(plant.harts_run);
    vm_pause_parts(plant.vm, note, &calls);
    assert_int_equal(calls, 6);
    assert_true(plant.pumps[2].paused);
    calls = 10;
    vm_resume_parts(plant.vm, note, &calls);
    assert_int_equal(calls, 16);
    assert_false(plant.pumps[2].paused);
    vm_resume_harts(plant.vm);
    assert_true(plant.harts_run);
    ferry_vm_free(plant.vm);
}

static void a_vm_without_harts_pauses_too(void **state)
{
    struct ferry_vm_params params = {.size_bytes = sizeof(params), .machine_name = "plant"};
    static const struct ferry_vm_ops nothing;
    struct ferry_err err;

    for (int i = 0; i < 2; i++) {
        struct ferry_vm *vm = NULL;

        params.ops = i ? &nothing : NULL;
        assert_int_equal(ferry_vm_new(&vm, &params, &err), 0);
        vm_pause_harts(vm);
        vm_resume_harts(vm);
        ferry_vm_free(vm);
    }
    params.size_bytes--;
    assert_int_equal(ferry_vm_new(&(struct ferry_vm *){NULL}, &params, &err), -EINVAL);
    params = (struct ferry_vm_params){.size_bytes = sizeof(params), .machine_name = ""};
    assert_int_equal(ferry_vm_new(&(struct ferry_vm *){NULL}, &params, &err), -EINVAL);
}

static void parts_are_named_once_and_sound(void **state)
{
    static const struct ferry_field outside[] = {
        {.name = "x", .kind = FERRY_KIND_UINT, .offset = 2, .size_bytes = 4, .count = 1}};
    static const struct ferry_table table = {.name = "t", FERRY_FIELDS(outside)};
    char long_name[257];
    struct ferry_part part = {.idstr = "pump", .instance_id = 2};
    struct ferry_err err;
    struct plant plant;
    uint32_t obj = 0;

    memset(long_name, 'a', 256);
    long_name[256] = 0;
    open_plant(&plant);
    assert_int_equal(ferry_vm_add_part(plant.vm, &part, &err), -EEXIST);
    part.idstr = "";
    assert_int_equal(ferry_vm_add_part(plant.vm, &part, &err), -EINVAL);
    part.idstr = long_name;
    assert_int_equal(ferry_vm_add_part(plant.vm, &part, &err), -EINVAL);
    part.idstr = long_name + 1;
    assert_int_equal(ferry_vm_add_part(plant.vm, &part, &err), 0);
    part = (struct ferry_part){.idstr = "t", .table = &table, .obj = &obj, .obj_bytes = 4};
    assert_int_equal(ferry_vm_add_part(plant.vm, &part, &err), -EINVAL);
    assert_string_equal(err.text, "t.x: ends at byte 6 of an object of 4");
    assert_int_equal(ferry_vm_part_count(plant.vm), 7);
    assert_null(ferry_vm_part(plant.vm, 7));
    ferry_vm_free(plant.vm);
}

/* What follows stays in its order, and the next move neither asks nor pauses who has gone. */
static void parts_come_and_go_while_the_guest_runs(void **state)
{
    struct ferry_part part = {.idstr = "pump", .instance_id = 1, .ops = &pump_ops};
    struct ferry_err err;
    struct plant plant;

    open_plant(&plant);
    part.obj = &plant.pumps[1];
    assert_int_equal(ferry_vm_remove_part(plant.vm, "pump", 1, &err), 0);
    assert_int_equal(ferry_vm_remove_part(plant.vm, "pump", 1, &err), -ENOENT);
    assert_string_equal(err.text, "there is no part \"pump\" instance 1");
    assert_int_equal(ferry_vm_part_count(plant.vm), 5);
    assert_string_equal(ferry_vm_part(plant.vm, 2)->idstr, "dull");
    assert_int_equal(ferry_vm_part(plant.vm, 3)->instance_id, 2);
    plant.pumps[1].in_flight = 1;
    assert_int_equal(vm_quiesce_begin(plant.vm, all_drained, &plant), 0);
    assert_int_equal(ferry_vm_add_part(plant.vm, &part, &err), -EBUSY);
    assert_int_equal(ferry_vm_remove_part(plant.vm, "pump", 0, &err), -EBUSY);
    vm_unquiesce(plant.vm);
    assert_int_equal(ferry_vm_add_part(plant.vm, &part, &err), 0);
    assert_int_equal(vm_quiesce_begin(plant.vm, all_drained, &plant), 1);
    assert_true(plant.pumps[1].quiet);
    ferry_vm_free(plant.vm);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_drains_is_waited_for),
        cmocka_unit_test(giving_up_while_parts_drain_calls_nobody),
        cmocka_unit_test(harts_and_parts_pause_and_resume),
        cmocka_unit_test(a_vm_without_harts_pauses_too),
        cmocka_unit_test(parts_are_named_once_and_sound),
        cmocka_unit_test(parts_come_and_go_while_the_guest_runs),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
