/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit.h"

#include <errno.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/err.h"
#include "lib/migrate/crew.h"

#define RUNS 500u

struct work {
    atomic_uint done[RUNS];
    uint64_t fails_at; /* RUNS: never */
    int woken;         /* eventfd */
};

static int work(void *self, const struct crew_run *run, struct ferry_err *err)
{
    struct work *w = self;

    if (run->page == w->fails_at)
        return err_set(err, ENOSPC, "the disk is full");
    atomic_fetch_add(&w->done[run->page], (unsigned)run->pages);
    return 0;
}

static void wake(void *arg)
{
    uint64_t one = 1;

    (void)!write(*(int *)arg, &one, sizeof(one));
}

static struct crew *begin(struct work *w, unsigned threads, uint64_t fails_at)
{
    const struct crew_params params = {
        .threads = threads, .name = "crew-test", .work = work, .self = w};
    struct crew *c = NULL;
    struct ferry_err err;

    memset(w, 0, sizeof(*w));
    w->fails_at = fails_at;
    w->woken = eventfd(0, EFD_CLOEXEC); /* read waits */
    assert_int_equal(crew_new(&c, &params, &err), 0);
    crew_wake(c, wake, &w->woken);
    return c;
}

static void wait(struct work *w)
{
    uint64_t count;

    assert_int_equal(read(w->woken, &count, sizeof(count)), sizeof(count));
}

/* All runs, as a dealer does it; what it ends with. */
static int deal(struct crew *c, struct work *w, unsigned threads, struct ferry_err *err)
{
    int r = 0;

    for (uint64_t page = 0; page < RUNS && r >= 0; page++) {
        while (!crew_room(c) && (r = crew_idle(c, err)) == 0)
            threads ? wait(w) : crew_step(c);
        if (r >= 0)
            crew_put(c, &(struct crew_run){.page = page, .pages = 3});
    }
    while (r >= 0 && (r = crew_idle(c, err)) == 0)
        threads ? wait(w) : crew_step(c);
    return r;
}

static void every_run_is_worked_off_once(void **state)
{
    static const unsigned threads[] = {0, 1, 2, 7};

    for (size_t i = 0; i < sizeof(threads) / sizeof(threads[0]); i++) {
        struct ferry_err err = {0};
        struct work w;
        struct crew *c = begin(&w, threads[i], RUNS);

        assert_int_equal(crew_idle(c, &err), 1);
        assert_int_equal(deal(c, &w, threads[i], &err), 1);
        for (size_t k = 0; k < RUNS; k++)
            assert_int_equal(atomic_load(&w.done[k]), 3);
        crew_wake(c, NULL, NULL);
        crew_free(c);
        close(w.woken);
    }
}

static void a_failure_ends_it(void **state)
{
    static const unsigned threads[] = {0, 3};

    for (size_t i = 0; i < sizeof(threads) / sizeof(threads[0]); i++) {
        struct ferry_err err = {0};
        struct work w;
        struct crew *c = begin(&w, threads[i], 40);

        assert_int_equal(deal(c, &w, threads[i], &err), -ENOSPC);
        assert_string_equal(err.text, "the disk is full");
        assert_int_equal(crew_idle(c, &err), -ENOSPC);
        crew_free(c);
        assert_int_equal(atomic_load(&w.done[RUNS - 1]), 0);
        close(w.woken);
    }
}

/* Whoever gives up does not wait for what was not begun. */
static void freed_in_the_middle(void **state)
{
    struct work w;
    struct crew *c = begin(&w, 2, RUNS);

    for (uint64_t page = 0; crew_room(c) && page < RUNS; page++)
        crew_put(c, &(struct crew_run){.page = page, .pages = 1});
    crew_free(c);
    crew_free(NULL);
    close(w.woken);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_run_is_worked_off_once),
        cmocka_unit_test(a_failure_ends_it),
        cmocka_unit_test(freed_in_the_middle),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
