/* SPDX-License-Identifier: Apache-2.0 */
/* What is asked of a type of machine, and of the list of them. */
#include "tests/unit.h"

#include <errno.h>
#include <string.h>

#include "vmm/board/type.h"
#include "vmm/config/machines.h"
#include "vmm/config/props.h"

#define MIB (UINT64_C(1) << 20)

static void each_type_is_whole(void **state)
{
    const struct machine_type *type;
    size_t count = 0;

    for (; (type = machine_type_at(count)); count++) {
        assert_ptr_equal(machine_type_find(type->name), type);
        assert_non_null(type->what);
        assert_non_null(type->cpu->features);
        assert_non_null(type->cpus_path);
        assert_true(type->ram_bytes_min > 0 && type->ram_bytes_min <= type->ram_bytes_max);
        assert_in_range(type->harts_max, 1, CONFIG_HARTS_MAX);
        assert_non_null(props_find(type->props, "type"));
        assert_non_null(type->check_words);
        assert_non_null(type->check);
        assert_non_null(type->board->add_memory);
        assert_non_null(type->board->add_vcpus);
        assert_non_null(type->board->add_devices);
        assert_non_null(type->board->boot.check_kernel);
        assert_non_null(type->board->boot.place);
        assert_non_null(type->board->boot.target);
        assert_non_null(type->accels[0]);
        for (size_t i = 0; type->accels[i]; i++)
            assert_ptr_equal(machine_type_accel(type, type->accels[i]->name), type->accels[i]);
    }
    assert_true(count > 0);
    assert_null(machine_type_at(count + 1));
}

static void what_nobody_has_is_not_found(void **state)
{
    assert_null(machine_type_find("virtt"));
    assert_null(machine_type_find(""));
    assert_null(machine_type_accel(machine_type_at(0), "hax"));
}

static void an_accelerator_that_is_not_named_is_the_first(void **state)
{
    static const struct accel one = {.name = "one"}, two = {.name = "two"};
    static const struct accel *const accels[] = {&one, &two, NULL};
    const struct machine_type type = {.accels = accels};

    assert_ptr_equal(machine_type_accel(&type, NULL), &one);
    assert_ptr_equal(machine_type_accel(&type, "two"), &two);
}

/* Each name once, and each that a type has. */
static void accelerators_of_all_types_are_listed_once(void **state)
{
    const struct machine_type *type;
    const struct accel *accel;
    size_t count = 0;

    for (; (accel = machine_accel_at(count)); count++)
        for (size_t i = 0; i < count; i++)
            assert_string_not_equal(machine_accel_at(i)->name, accel->name);
    for (size_t t = 0; (type = machine_type_at(t)); t++)
        for (size_t a = 0; type->accels[a]; a++) {
            size_t i = 0;

            while (machine_accel_at(i) && strcmp(machine_accel_at(i)->name, type->accels[a]->name))
                i++;
            assert_true(i < count);
        }
}

static void a_type_has_limits_of_its_own(void **state)
{
    const struct machine_type type = {
        .ram_bytes_min = 32 * MIB, .ram_bytes_max = 64 * MIB, .harts_max = 2};
    struct ferry_err err = {0};

    assert_int_equal(machine_type_check_ram(&type, 32 * MIB, &err), 0);
    assert_int_equal(machine_type_check_ram(&type, 64 * MIB, &err), 0);
    assert_int_equal(machine_type_check_ram(&type, 32 * MIB - 1, &err), -ERANGE);
    assert_string_equal(err.text, "RAM size must be from 32 MiB to 64 MiB");
    assert_int_equal(machine_type_check_ram(&type, 64 * MIB + 1, &err), -ERANGE);
    assert_int_equal(machine_type_check_harts(&type, 1, &err), 0);
    assert_int_equal(machine_type_check_harts(&type, 2, &err), 0);
    assert_int_equal(machine_type_check_harts(&type, 0, &err), -ERANGE);
    assert_int_equal(machine_type_check_harts(&type, 3, &err), -ERANGE);
    assert_string_equal(err.text, "3 harts: there can be 1 to 2");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_type_is_whole),
        cmocka_unit_test(what_nobody_has_is_not_found),
        cmocka_unit_test(an_accelerator_that_is_not_named_is_the_first),
        cmocka_unit_test(accelerators_of_all_types_are_listed_once),
        cmocka_unit_test(a_type_has_limits_of_its_own),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
