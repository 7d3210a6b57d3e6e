/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include <ferry/ram.h>

#define MIB (UINT64_C(1) << 20)

static long minor_faults(void)
{
    struct rusage u;

    getrusage(RUSAGE_SELF, &u);
    return u.ru_minflt;
}

static uint64_t allocated_bytes(const struct ferry_ram_region *region)
{
    struct stat st;

    assert_int_equal(fstat(ferry_ram_fd(region), &st), 0);
    return (uint64_t)st.st_blocks * 512;
}

/* from's pages i with i % every == 0 exist; to is the same memory, not touched yet. */
static void two_views(uint64_t size_bytes, uint64_t every, struct ferry_ram **from,
                      struct ferry_ram **to)
{
    struct ferry_ram_region *a, *b;
    struct ferry_err err;
    int fd;

    assert_int_equal(ferry_ram_new(from, &err), 0);
    assert_int_equal(ferry_ram_new(to, &err), 0);
    assert_int_equal(ferry_ram_add(*from, "a", size_bytes, &a, &err), 0);
    for (uint64_t p = 0; p < size_bytes / FERRY_PAGE_BYTES; p += every)
        ferry_ram_host(a)[p * FERRY_PAGE_BYTES] = 1;
    fd = fcntl(ferry_ram_fd(a), F_DUPFD_CLOEXEC, 0);
    assert_int_equal(ferry_ram_adopt(*to, "a", size_bytes, &fd, &b, &err), 0);
}

/* A sanitizer's shadow memory would take faults of its own. */
__attribute__((no_sanitize("address"), no_sanitize("thread"))) static void
store_everywhere(uint8_t *host, uint64_t size_bytes)
{
    for (uint64_t i = 0; i < size_bytes; i += FERRY_PAGE_BYTES)
        *(volatile uint8_t *)(host + i) = 2;
}

static void first_store_takes_no_fault(void **state)
{
    const uint64_t size = 32 * MIB;
    struct ferry_ram *from, *to;
    struct ferry_err err;
    uint8_t *host;
    long before;
    int calls = 1, r;

    two_views(size, 1, &from, &to);
    while ((r = ferry_ram_prefault(to, MIB, &err)) == 1)
        calls++;
    assert_int_equal(r, 0);
    assert_true(calls >= 32);
    host = ferry_ram_host(ferry_ram_at(to, 0));
    before = minor_faults();
    store_everywhere(host, size);
    assert_true(minor_faults() - before < 64);
    assert_int_equal(ferry_ram_prefault(to, MIB, &err), 0);
    ferry_ram_free(from);
    ferry_ram_free(to);
}

static void holes_stay_holes(void **state)
{
    struct ferry_ram *from, *to;
    struct ferry_err err;
    uint64_t before;
    int calls = 1, r;

    /* Every second page: as many extents as can be. */
    two_views(16 * MIB, 2, &from, &to);
    before = allocated_bytes(ferry_ram_at(to, 0));
    while ((r = ferry_ram_prefault(to, 1 << 30, &err)) == 1)
        calls++;
    assert_int_equal(r, 0);
    /* 2048 extents, bounded per call. */
    assert_true(calls >= 8 && calls < 16);
    assert_int_equal(allocated_bytes(ferry_ram_at(to, 0)), before);
    ferry_ram_free(from);
    ferry_ram_free(to);

    /* A huge, almost empty guest. */
    two_views(UINT64_C(64) << 30, UINT64_C(1) << 22, &from, &to);
    before = allocated_bytes(ferry_ram_at(to, 0));
    for (calls = 1; (r = ferry_ram_prefault(to, MIB, &err)) == 1;)
        calls++;
    assert_int_equal(r, 0);
    assert_true(calls <= 5); /* 4 pages: what lies between is not looked at */
    assert_int_equal(allocated_bytes(ferry_ram_at(to, 0)), before);
    ferry_ram_free(from);
    ferry_ram_free(to);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(first_store_takes_no_fault),
        cmocka_unit_test(holes_stay_holes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
