/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "lib/migrate/guest.h"

#define PAGES 130u /* two words and a bit */

struct fixture {
    struct ferry_ram *ram;
    struct ferry_ram_region *region, *other;
    struct guest_ram guest;
};

static int setup(void **state)
{
    static struct fixture f;
    struct ferry_err err;

    f = (struct fixture){0};
    assert_int_equal(ferry_ram_new(&f.ram, &err), 0);
    assert_int_equal(ferry_ram_add(f.ram, "a", PAGES * WIRE_PAGE_BYTES, &f.region, &err), 0);
    assert_int_equal(ferry_ram_add(f.ram, "b", WIRE_PAGE_BYTES, &f.other, &err), 0);
    assert_int_equal(guest_ram_init(&f.guest, f.ram, false, &err), 0);
    *state = &f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    guest_ram_free(&f->guest);
    ferry_ram_free(f->ram);
    return 0;
}

static void bits(void **state)
{
    uint64_t map[3] = {0};

    assert_int_equal(guest_bit_next(map, 0, PAGES), PAGES);
    guest_bit_set(map, 0);
    guest_bit_set(map, 63);
    guest_bit_set_shared(map, 64);
    guest_bit_set(map, PAGES - 1);
    guest_bit_set(map, PAGES); /* behind the last page: nobody's */
    assert_int_equal(guest_bit_next(map, 0, PAGES), 0);
    assert_int_equal(guest_bit_next(map, 1, PAGES), 63);
    assert_int_equal(guest_bit_next(map, 64, PAGES), 64);
    assert_int_equal(guest_bit_next(map, 65, PAGES), PAGES - 1);
    assert_int_equal(guest_bit_next(map, PAGES, PAGES), PAGES);
    assert_true(guest_bit(map, 63) && guest_bit_shared(map, 64));
    guest_bit_clear(map, 63);
    assert_false(guest_bit(map, 63));
    assert_true(guest_bit(map, 64));
    assert_int_equal(guest_bit_next(map, 0, 0), 0);
}

static void blocks_are_the_regions(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(f->guest.blocks.count, 2);
    assert_string_equal(f->guest.blocks.at[0].name, "a");
    assert_int_equal(f->guest.blocks.at[0].used_bytes, PAGES * WIRE_PAGE_BYTES);
    assert_int_equal(guest_ram_pages(&f->guest, 0), PAGES);
    assert_int_equal(guest_ram_pages(&f->guest, 1), 1);
}

static void a_page_is_inside_or_nowhere(void **state)
{
    struct fixture *f = *state;
    const struct guest_ram *g = &f->guest;

    assert_ptr_equal(guest_ram_page(g, 0, 0), ferry_ram_host(f->region));
    assert_ptr_equal(guest_ram_page(g, 0, (PAGES - 1) * WIRE_PAGE_BYTES),
                     ferry_ram_host(f->region) + (PAGES - 1) * WIRE_PAGE_BYTES);
    assert_null(guest_ram_page(g, 0, PAGES * WIRE_PAGE_BYTES));
    assert_null(guest_ram_page(g, 0, 1));
    assert_null(guest_ram_page(g, 0, UINT64_MAX - WIRE_PAGE_BYTES + 1));
    assert_null(guest_ram_page(g, 1, WIRE_PAGE_BYTES));
    assert_null(guest_ram_page(g, 2, 0));
    assert_null(guest_ram_page(g, SIZE_MAX, 0));
}

static void all_is_pending(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(guest_ram_all(&f->guest), PAGES + 1);
    for (uint64_t page = 0; page < PAGES; page++)
        assert_int_equal(guest_bit_next(f->guest.pending[0], page, PAGES), page);
    assert_true(guest_bit(f->guest.pending[1], 0));
}

/* Reading does not touch a page, writing does. */
static void what_was_touched_is_backed(void **state)
{
    struct fixture *f = *state;

    ferry_ram_host(f->region)[0] = 1;
    ferry_ram_host(f->region)[70 * WIRE_PAGE_BYTES] = 1;
    ferry_ram_host(f->region)[PAGES * WIRE_PAGE_BYTES - 1] = 0;
    guest_ram_find_backed(&f->guest);
    assert_true(guest_bit(f->guest.backed[0], 0));
    assert_true(guest_bit(f->guest.backed[0], 70));
    assert_true(guest_bit(f->guest.backed[0], PAGES - 1));
    assert_false(guest_bit(f->guest.backed[0], 1));
    assert_false(guest_bit(f->guest.backed[0], 100));
    assert_false(guest_bit(f->guest.backed[1], 0));
}

static void a_harvest_adds(void **state)
{
    struct fixture *f = *state;
    struct ferry_err err;

    assert_int_equal(ferry_ram_log_start(f->ram, &err), 0);
    guest_ram_find_backed(&f->guest);
    ferry_ram_mark_dirty(f->region, 5);
    ferry_ram_mark_dirty(f->region, PAGES - 1);
    ferry_ram_mark_dirty(f->other, 0);
    guest_bit_set(f->guest.pending[0], 5); /* not sent yet: is not new */
    assert_int_equal(guest_ram_harvest(&f->guest), 2);
    assert_int_equal(guest_bit_next(f->guest.pending[0], 0, PAGES), 5);
    assert_int_equal(guest_bit_next(f->guest.pending[0], 6, PAGES), PAGES - 1);
    assert_true(guest_bit(f->guest.pending[1], 0));
    /* Written since it was looked at: may be something else than zeros. */
    assert_true(guest_bit(f->guest.backed[0], PAGES - 1));
    assert_true(guest_bit(f->guest.backed[1], 0));
    assert_false(guest_bit(f->guest.backed[0], 6));
    assert_int_equal(guest_ram_harvest(&f->guest), 0);
    assert_true(guest_bit(f->guest.pending[0], 5));
    ferry_ram_log_stop(f->ram);
}

static void too_many_regions_are_refused(void **state)
{
    struct fixture *f = *state;
    struct ferry_ram_region *region;
    struct guest_ram g = {0};
    struct ferry_err err = {0};
    char name[16];

    for (unsigned i = 2; i <= WIRE_RAM_BLOCKS_MAX; i++) {
        snprintf(name, sizeof(name), "r%u", i);
        assert_int_equal(ferry_ram_add(f->ram, name, WIRE_PAGE_BYTES, &region, &err), 0);
    }
    assert_int_equal(guest_ram_init(&g, f->ram, false, &err), -E2BIG);
    assert_non_null(strstr(err.text, "regions of RAM"));
    guest_ram_free(&g);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bits),
        cmocka_unit_test_setup_teardown(blocks_are_the_regions, setup, teardown),
        cmocka_unit_test_setup_teardown(a_page_is_inside_or_nowhere, setup, teardown),
        cmocka_unit_test_setup_teardown(all_is_pending, setup, teardown),
        cmocka_unit_test_setup_teardown(what_was_touched_is_backed, setup, teardown),
        cmocka_unit_test_setup_teardown(a_harvest_adds, setup, teardown),
        cmocka_unit_test_setup_teardown(too_many_regions_are_refused, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
