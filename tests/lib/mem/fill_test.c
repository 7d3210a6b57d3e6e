/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit.h"

#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include <ferry/ram.h>

#define PAGES 64u

struct fixture {
    struct ferry_ram *ram;
    struct ferry_ram_region *region;
    uint8_t *host;
    uint8_t from[PAGES][FERRY_PAGE_BYTES];
};

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    struct ferry_err err;

    assert_int_equal(ferry_ram_new(&f->ram, &err), 0);
    assert_int_equal(ferry_ram_add(f->ram, "a", PAGES * FERRY_PAGE_BYTES, &f->region, &err), 0);
    f->host = ferry_ram_host(f->region);
    for (size_t i = 0; i < PAGES; i++)
        memset(f->from[i], (int)i + 1, FERRY_PAGE_BYTES);
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

static size_t allocated_pages(const struct fixture *f)
{
    struct stat st;

    assert_int_equal(fstat(ferry_ram_fd(f->region), &st), 0);
    return (size_t)st.st_blocks * 512 / FERRY_PAGE_BYTES;
}

static long minor_faults(void)
{
    struct rusage u;

    getrusage(RUSAGE_SELF, &u);
    return u.ru_minflt;
}

static void the_pages_and_no_others(void **state)
{
    struct fixture *f = *state;
    struct iovec iov[3] = {{f->from[10], FERRY_PAGE_BYTES},
                           {f->from[20], 2 * FERRY_PAGE_BYTES},
                           {f->from[3], FERRY_PAGE_BYTES}};
    struct ferry_err err;

    assert_int_equal(ferry_ram_fill(f->region, 5, iov, 3, &err), 0);
    assert_int_equal(allocated_pages(f), 4);
    assert_memory_equal(f->host + 5 * FERRY_PAGE_BYTES, f->from[10], FERRY_PAGE_BYTES);
    assert_memory_equal(f->host + 6 * FERRY_PAGE_BYTES, f->from[20], 2 * FERRY_PAGE_BYTES);
    assert_memory_equal(f->host + 8 * FERRY_PAGE_BYTES, f->from[3], FERRY_PAGE_BYTES);
    assert_int_equal(f->host[5 * FERRY_PAGE_BYTES - 1], 0);
    assert_int_equal(f->host[9 * FERRY_PAGE_BYTES], 0);
}

/* A sanitizer's shadow memory would take faults of its own. */
__attribute__((no_sanitize("address"), no_sanitize("thread"))) static void
store_everywhere(uint8_t *host)
{
    for (size_t i = 0; i < PAGES; i++)
        *(volatile uint8_t *)(host + i * FERRY_PAGE_BYTES) = 2;
}

static void the_first_store_takes_no_fault(void **state)
{
    struct fixture *f = *state;
    struct iovec iov = {f->from, sizeof(f->from)};
    struct ferry_err err;
    long before;

    assert_int_equal(ferry_ram_fill(f->region, 0, &iov, 1, &err), 0);
    before = minor_faults();
    store_everywhere(f->host);
    assert_in_range(minor_faults() - before, 0, PAGES / 8);
}

static void no_memory_is_an_error(void **state)
{
    struct fixture *f = *state;
    struct iovec iov = {f->from, FERRY_PAGE_BYTES};
    struct ferry_err err;

    /* What the kernel refuses here for its size it refuses elsewhere for want of memory. */
    assert_true(ferry_ram_fill(f->region, PAGES, &iov, 1, &err) < 0);
    assert_non_null(strstr(err.text, "RAM \"a\""));
    assert_int_equal(allocated_pages(f), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(the_pages_and_no_others, setup, teardown),
        cmocka_unit_test_setup_teardown(the_first_store_takes_no_fault, setup, teardown),
        cmocka_unit_test_setup_teardown(no_memory_is_an_error, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
