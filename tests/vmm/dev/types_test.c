/* SPDX-License-Identifier: Apache-2.0 */
/* What every device type promises, and the test finisher, which is too small for a file. */
#include "tests/unit.h"

#include <string.h>

#include "tests/vmm/dev/rig.h"
#include "vmm/dev/test_finisher.h"
#include "vmm/dev/types.h"

static void every_type_is_complete_and_unique(void **state)
{
    for (size_t i = 0; i < dev_type_count; i++) {
        const struct dev_type *t = dev_types[i];

        assert_true(t->size_bytes >= sizeof(struct dev));
        /* No registers: then there must be state. */
        assert_true(t->mmio_bytes > 0 || t->table);
        assert_int_equal(t->access_sizes & ~15u, 0);
        assert_int_equal(t->access_sizes == 0, t->mmio_bytes == 0);
        for (size_t j = 0; j < i; j++)
            assert_string_not_equal(t->name, dev_types[j]->name);
    }
}

/* Connected to nothing, every register takes every value and the device survives. */
static void every_register_of_every_type_can_be_touched(void **state)
{
    static const uint64_t values[] = {0, 1, 0x5a5a5a5a5a5a5a5a, UINT64_MAX};

    for (size_t i = 0; i < dev_type_count; i++) {
        struct rig *r = rig_new(dev_types[i], 8);
        uint64_t step =
            dev_types[i]->mmio_bytes > 0x10000 ? dev_types[i]->mmio_bytes >> 14 | 0x404 : 1;

        for (unsigned size = 1; size <= 8; size *= 2) {
            for (uint64_t at = 0; at < dev_types[i]->mmio_bytes; at += step * size) {
                for (size_t v = 0; v < sizeof(values) / sizeof(values[0]); v++) {
                    uint64_t got;
                    int rc = bus_write(&r->bus, at, size, values[v]);

                    assert_int_equal(bus_read(&r->bus, at, size, &got), rc);
                    if (dev_types[i]->access_sizes & size && at % size == 0 &&
                        at + size <= dev_types[i]->mmio_bytes)
                        assert_int_equal(rc, 0);
                }
            }
        }
        if (dev_types[i]->reset)
            dev_types[i]->reset(r->dev);
        rig_free(r);
    }
}

static void the_finisher_powers_off_and_resets(void **state)
{
    struct rig *r = rig_new(&test_finisher_type, 1);

    rig_write(r, 0, 4, 0x5555);
    assert_int_equal(r->power_offs, 1);
    assert_int_equal(r->exit_code, 0);
    rig_write(r, 0, 4, 0x00033333);
    assert_int_equal(r->power_offs, 2);
    assert_int_equal(r->exit_code, 3);
    rig_write(r, 0, 2, 0x7777);
    assert_int_equal(r->resets, 1);
    rig_write(r, 4, 4, 0x5555);
    rig_write(r, 0, 4, 0x1234);
    assert_int_equal(r->power_offs, 2);
    assert_int_equal(r->resets, 1);
    assert_int_equal(rig_read(r, 0, 4), 0);
    rig_free(r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_type_is_complete_and_unique),
        cmocka_unit_test(every_register_of_every_type_can_be_touched),
        cmocka_unit_test(the_finisher_powers_off_and_resets),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
