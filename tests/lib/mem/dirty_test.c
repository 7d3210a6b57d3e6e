/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

#include <ferry/ram.h>

#define PAGES 130u
#define WORDS 3u

struct fixture {
    struct ferry_ram *ram;
    struct ferry_ram_region *region;
    int flushes;
    uint64_t marked_in_flush; /* page to mark during the next flush, 0 = none */
};

static void count_flush(void *opaque)
{
    struct fixture *f = opaque;

    f->flushes++;
    if (f->marked_in_flush)
        ferry_ram_mark_dirty(f->region, f->marked_in_flush);
    f->marked_in_flush = 0;
}

static void setup(struct fixture *f)
{
    struct ferry_err err;

    *f = (struct fixture){0};
    assert_int_equal(ferry_ram_new(&f->ram, &err), 0);
    assert_int_equal(
        ferry_ram_add(f->ram, "a", PAGES * (uint64_t)FERRY_PAGE_BYTES, &f->region, &err), 0);
    assert_int_equal(ferry_ram_add_flush_source(f->ram, count_flush, f, &err), 0);
}

static void marks_come_once(void **state)
{
    struct fixture f;
    struct ferry_err err;
    uint64_t map[WORDS] = {0};

    setup(&f);
    ferry_ram_mark_dirty(f.region, 1); /* log off: nothing */
    assert_int_equal(ferry_ram_log_start(f.ram, &err), 0);
    assert_int_equal(f.flushes, 1);
    assert_int_equal(ferry_ram_log_start(f.ram, &err), -EALREADY);
    ferry_ram_mark_dirty(f.region, 0);
    ferry_ram_mark_dirty(f.region, 64);
    ferry_ram_mark_dirty(f.region, 129);
    ferry_ram_mark_dirty(f.region, 129);
    map[0] = 1; /* set already: not new, stays */
    ferry_ram_harvest_begin(f.ram);
    assert_int_equal(f.flushes, 2);
    assert_int_equal(ferry_ram_harvest(f.region, map), 2);
    assert_true(map[0] == 1 && map[1] == 1 && map[2] == 2);
    memset(map, 0, sizeof(map));
    ferry_ram_harvest_begin(f.ram);
    assert_int_equal(ferry_ram_harvest(f.region, map), 0);
    ferry_ram_log_stop(f.ram);
    ferry_ram_mark_dirty(f.region, 3);
    assert_int_equal(ferry_ram_log_start(f.ram, &err), 0);
    ferry_ram_harvest_begin(f.ram);
    assert_int_equal(ferry_ram_harvest(f.region, map), 0);
    ferry_ram_free(f.ram);
}

/* A mark that comes while the writers are flushed belongs to the next harvest, not to none. */
static void mark_after_the_exchange_is_in_the_next_harvest(void **state)
{
    struct fixture f;
    struct ferry_err err;
    uint64_t map[WORDS] = {0};

    setup(&f);
    assert_int_equal(ferry_ram_log_start(f.ram, &err), 0);
    f.marked_in_flush = 77;
    ferry_ram_harvest_begin(f.ram);
    assert_int_equal(ferry_ram_harvest(f.region, map), 0);
    ferry_ram_harvest_begin(f.ram);
    assert_int_equal(ferry_ram_harvest(f.region, map), 1);
    assert_true(map[1] == UINT64_C(1) << 13);
    ferry_ram_free(f.ram);
}

static void what_nobody_fetched_comes_again(void **state)
{
    struct fixture f;
    struct ferry_err err;
    uint64_t map[WORDS] = {0};

    setup(&f);
    assert_int_equal(ferry_ram_log_start(f.ram, &err), 0);
    ferry_ram_mark_dirty(f.region, 4);
    ferry_ram_harvest_begin(f.ram);
    ferry_ram_harvest_begin(f.ram);
    assert_int_equal(ferry_ram_harvest(f.region, map), 1);
    ferry_ram_free(f.ram);
}

static void no_region_joins_a_running_log(void **state)
{
    struct fixture f;
    struct ferry_err err;
    struct ferry_ram_region *b;

    setup(&f);
    assert_int_equal(ferry_ram_log_start(f.ram, &err), 0);
    assert_int_equal(ferry_ram_add(f.ram, "b", FERRY_PAGE_BYTES, &b, &err), -EBUSY);
    ferry_ram_free(f.ram);
}

struct writer {
    struct ferry_ram_region *region;
    atomic_bool stop;
    atomic_uint_least64_t stores;
};

static void *write_pages(void *arg)
{
    struct writer *w = arg;
    uint8_t *host = ferry_ram_host(w->region);

    while (!atomic_load(&w->stop)) {
        uint64_t page = atomic_load(&w->stores) % PAGES;

        /* A device: stores, then marks. */
        __atomic_fetch_add((uint32_t *)(host + page * FERRY_PAGE_BYTES), 1, __ATOMIC_RELAXED);
        ferry_ram_mark_dirty(w->region, page);
        atomic_fetch_add(&w->stores, 1);
    }
    return NULL;
}

/* A copy kept up by harvests is equal to the memory once the writer has stopped. */
static void no_store_is_lost_under_a_racing_writer(void **state)
{
    struct fixture f;
    struct ferry_err err;
    struct writer w;
    pthread_t thread;
    uint32_t copy[PAGES] = {0};
    bool last = false;

    setup(&f);
    assert_int_equal(ferry_ram_log_start(f.ram, &err), 0);
    w = (struct writer){.region = f.region};
    assert_int_equal(pthread_create(&thread, NULL, write_pages, &w), 0);
    /* On a busy host the writer may come late. */
    for (unsigned round = 0; !last; round++) {
        uint64_t map[WORDS] = {0};

        last = round >= 20000 && atomic_load(&w.stores) > 20 * PAGES;
        if (last) {
            atomic_store(&w.stop, true);
            pthread_join(thread, NULL);
        }
        ferry_ram_harvest_begin(f.ram);
        ferry_ram_harvest(f.region, map);
        for (unsigned p = 0; p < PAGES; p++)
            if (map[p / 64] >> (p % 64) & 1)
                copy[p] =
                    __atomic_load_n((uint32_t *)(ferry_ram_host(f.region) + p * FERRY_PAGE_BYTES),
                                    __ATOMIC_RELAXED);
    }
    for (unsigned p = 0; p < PAGES; p++)
        assert_int_equal(copy[p], *(uint32_t *)(ferry_ram_host(f.region) + p * FERRY_PAGE_BYTES));
    ferry_ram_free(f.ram);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(marks_come_once),
        cmocka_unit_test(mark_after_the_exchange_is_in_the_next_harvest),
        cmocka_unit_test(what_nobody_fetched_comes_again),
        cmocka_unit_test(no_region_joins_a_running_log),
        cmocka_unit_test(no_store_is_lost_under_a_racing_writer),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
