/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "vmm/machine/guestmem.h"

#define RAM   UINT64_C(0x80000000)
#define ROM   UINT64_C(0x1000)
#define PAGES 16u

struct fixture {
    struct ferry_ram *ram;
    struct guestmem mem;
    struct ferry_ram_region *low, *high, *rom;
};

/* Two adjacent regions of RAM and a ROM. */
static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    struct ferry_err err;
    const uint64_t bytes = PAGES * FERRY_PAGE_BYTES;

    assert_int_equal(ferry_ram_new(&f->ram, &err), 0);
    assert_int_equal(ferry_ram_add(f->ram, "low", bytes, &f->low, &err), 0);
    assert_int_equal(ferry_ram_add(f->ram, "high", bytes, &f->high, &err), 0);
    assert_int_equal(ferry_ram_add(f->ram, "rom", FERRY_PAGE_BYTES, &f->rom, &err), 0);
    assert_int_equal(guestmem_add(&f->mem, RAM, f->low, false, &err), 0);
    assert_int_equal(guestmem_add(&f->mem, RAM + bytes, f->high, false, &err), 0);
    assert_int_equal(guestmem_add(&f->mem, ROM, f->rom, true, &err), 0);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    ferry_ram_free(f->ram);
    free(f);
    return 0;
}

static void a_copy_crosses_adjacent_slots(void **state)
{
    struct fixture *f = *state;
    const uint64_t border = RAM + PAGES * FERRY_PAGE_BYTES;
    char back[6] = "";

    assert_int_equal(guestmem_write(&f->mem, border - 3, "abcdef", 6), 0);
    assert_memory_equal(ferry_ram_host(f->low) + PAGES * FERRY_PAGE_BYTES - 3, "abc", 3);
    assert_memory_equal(ferry_ram_host(f->high), "def", 3);
    assert_int_equal(guestmem_read(&f->mem, border - 3, back, 6), 0);
    assert_memory_equal(back, "abcdef", 6);
    /* In place only what is in one piece. */
    assert_null(guestmem_ptr(&f->mem, border - 3, 6, false));
    assert_ptr_equal(guestmem_ptr(&f->mem, border, 6, true), ferry_ram_host(f->high));
}

static void a_range_that_is_not_all_ram_moves_nothing(void **state)
{
    struct fixture *f = *state;
    const uint64_t end = RAM + 2 * PAGES * FERRY_PAGE_BYTES;
    char back[4] = "....";

    assert_int_equal(guestmem_write(&f->mem, end - 2, "xxxx", 4), -EFAULT);
    assert_memory_equal(ferry_ram_host(f->high) + PAGES * FERRY_PAGE_BYTES - 2, "\0\0", 2);
    assert_int_equal(guestmem_read(&f->mem, end - 2, back, 4), -EFAULT);
    assert_memory_equal(back, "....", 4);
    assert_int_equal(guestmem_read(&f->mem, UINT64_MAX - 1, back, 4), -EFAULT);
    assert_int_equal(guestmem_read(&f->mem, RAM, back, SIZE_MAX), -EFAULT);
    assert_null(guestmem_ptr(&f->mem, end - 2, 4, false));
    assert_null(guestmem_ptr(&f->mem, RAM, 0, false));
}

static void rom_is_read_only(void **state)
{
    struct fixture *f = *state;
    char c;

    assert_int_equal(guestmem_read(&f->mem, ROM, &c, 1), 0);
    assert_int_equal(guestmem_write(&f->mem, ROM, "x", 1), -EFAULT);
    assert_null(guestmem_ptr(&f->mem, ROM, 1, true));
    assert_non_null(guestmem_ptr(&f->mem, ROM, 1, false));
}

static void writes_are_logged_page_by_page(void **state)
{
    struct fixture *f = *state;
    struct ferry_err err;
    uint64_t low = 0, high = 0;
    const uint64_t border = RAM + PAGES * FERRY_PAGE_BYTES;

    assert_int_equal(ferry_ram_log_start(f->ram, &err), 0);
    assert_int_equal(guestmem_write(&f->mem, border - 1, "ab", 2), 0);
    assert_int_equal(guestmem_write(&f->mem, RAM + 3 * FERRY_PAGE_BYTES, "a", 1), 0);
    guestmem_mark_dirty(&f->mem, RAM + 5 * FERRY_PAGE_BYTES - 1, FERRY_PAGE_BYTES + 2);
    ferry_ram_harvest_begin(f->ram);
    ferry_ram_harvest(f->low, &low);
    ferry_ram_harvest(f->high, &high);
    assert_int_equal(low, 1u << (PAGES - 1) | 1u << 3 | 1u << 4 | 1u << 5 | 1u << 6);
    assert_int_equal(high, 1);
}

static void overlapping_memory_is_refused(void **state)
{
    struct fixture *f = *state;
    struct ferry_err err;

    assert_int_equal(guestmem_add(&f->mem, RAM + PAGES * FERRY_PAGE_BYTES - 1, f->rom, false, &err),
                     -EEXIST);
    assert_non_null(strstr(err.text, "\"rom\""));
    assert_non_null(strstr(err.text, "\"low\""));
    assert_int_equal(guestmem_add(&f->mem, UINT64_MAX - 10, f->rom, false, &err), -ERANGE);
    assert_int_equal(f->mem.slot_count, 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_copy_crosses_adjacent_slots, setup, teardown),
        cmocka_unit_test_setup_teardown(a_range_that_is_not_all_ram_moves_nothing, setup, teardown),
        cmocka_unit_test_setup_teardown(rom_is_read_only, setup, teardown),
        cmocka_unit_test_setup_teardown(writes_are_logged_page_by_page, setup, teardown),
        cmocka_unit_test_setup_teardown(overlapping_memory_is_refused, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
