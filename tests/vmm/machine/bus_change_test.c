/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Harts load and store while devices are plugged, moved and freed by the main thread and by a hart
 * that says so to a register. Under ThreadSanitizer: scripts/check tsan.
 */
#include "tests/unit.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/thread.h"
#include "vmm/machine/bus.h"

#define HARTS          3
#define PLACES         32
#define PLACE_BYTES    16u
#define DEVICES        16
#define FIRST_ADDRESS  UINT64_C(0x40000000)
#define FIXED_ADDRESS  (FIRST_ADDRESS + PLACES / 2 * PLACE_BYTES) /* between those that move */
#define SELECT_ADDRESS UINT64_C(0x1000)
#define ENOUGH         20000 /* accesses of each hart, of each outcome */
#define ALIVE          0x616c697665u

struct card {
    uint64_t alive;
    struct bus_region region;
};

struct machine {
    struct machine_lock lock;
    struct bus bus;
    struct bus_region select;
    struct card fixed;
    struct card *cards[DEVICES]; /* NULL: pulled */
    uint64_t random;
    uint64_t plugged, moved, pulled;
    _Atomic uint64_t wrong;
    atomic_uint enough;
    atomic_bool over;
};

struct hart {
    struct machine *m;
    unsigned number;
};

static uint64_t next(uint64_t *random)
{
    *random = *random * UINT64_C(6364136223846793005) + 1442695040888963407;
    return *random >> 33;
}

static uint64_t some_place(uint64_t *random)
{
    return FIRST_ADDRESS + next(random) % PLACES * PLACE_BYTES;
}

/* --- The device: a register reads as the address it has, which is also what is stored there --- */

static int card_read(void *dev, uint64_t offset, unsigned size_bytes, uint64_t *ret)
{
    const struct card *c = dev;

    *ret = c->alive == ALIVE ? c->region.base + offset : 0;
    return 0;
}

static int card_write(void *dev, uint64_t offset, unsigned size_bytes, uint64_t value)
{
    const struct card *c = dev;

    return c->alive == ALIVE && c->region.base + offset == value ? 0 : -EIO;
}

static const struct bus_ops card_ops = {card_read, card_write};

/* --- Changes, with the machine lock held --- */

static int add_card(struct machine *m, struct card *c, uint64_t address)
{
    struct ferry_err err;

    c->alive = ALIVE;
    c->region = (struct bus_region){"card", address, PLACE_BYTES, 8, &card_ops, c};
    return bus_add(&m->bus, &c->region, &err);
}

static void plug(struct machine *m, struct card **ret)
{
    struct card *c = calloc(1, sizeof(*c));

    if (!c)
        abort();
    if (add_card(m, c, some_place(&m->random))) {
        free(c);
        return;
    }
    *ret = c;
    m->plugged++;
}

static void pull(struct machine *m, struct card **card)
{
    bus_remove(&m->bus, &(*card)->region);
    memset(*card, 0, sizeof(**card));
    free(*card);
    *card = NULL;
    m->pulled++;
}

static void change(struct machine *m)
{
    struct card **card = &m->cards[next(&m->random) % DEVICES];
    struct ferry_err err;

    if (!*card)
        plug(m, card);
    else if (next(&m->random) % 4 == 0)
        pull(m, card);
    else if (bus_move(&m->bus, &(*card)->region, some_place(&m->random), &err) == 0)
        m->moved++;
}

static int select_write(void *dev, uint64_t offset, unsigned size_bytes, uint64_t value)
{
    change(dev);
    return 0;
}

static const struct bus_ops select_ops = {.write = select_write};

/* --- Harts --- */

static void *changing_hart(void *arg)
{
    struct machine *m = arg;

    while (!atomic_load(&m->over))
        atomic_fetch_add(&m->wrong, bus_write(&m->bus, SELECT_ADDRESS, 4, 0) != 0);
    return NULL;
}

static void *hart(void *arg)
{
    struct hart *h = arg;
    uint64_t random = h->number + 1, hits = 0, misses = 0;

    while (!atomic_load(&h->m->over)) {
        uint64_t address = some_place(&random) + 8 * (next(&random) % 2), value = address;
        int rc = next(&random) % 2 ? bus_read(&h->m->bus, address, 8, &value)
                                   : bus_write(&h->m->bus, address, 8, value);

        hits += rc == 0;
        misses += rc == -EFAULT;
        if ((rc != 0 && rc != -EFAULT) || value != address ||
            (rc != 0 && address - FIXED_ADDRESS < PLACE_BYTES))
            atomic_fetch_add(&h->m->wrong, 1);
        if ((hits == ENOUGH && rc == 0 && misses >= ENOUGH) ||
            (misses == ENOUGH && rc != 0 && hits >= ENOUGH))
            atomic_fetch_add(&h->m->enough, 1);
    }
    return NULL;
}

static void an_access_meets_the_device_that_is_there(void **state)
{
    struct machine *m = calloc(1, sizeof(*m));
    struct hart harts[HARTS];
    pthread_t threads[HARTS + 1];
    struct ferry_err err;

    assert_non_null(m);
    machine_lock_init(&m->lock);
    bus_init(&m->bus, "memory", UINT64_MAX, &m->lock, NULL);
    m->select = (struct bus_region){"select", SELECT_ADDRESS, 4, 4, &select_ops, m};
    assert_int_equal(bus_add(&m->bus, &m->select, &err), 0);
    assert_int_equal(add_card(m, &m->fixed, FIXED_ADDRESS), 0);
    for (unsigned i = 0; i < HARTS; i++) {
        harts[i] = (struct hart){m, i};
        assert_int_equal(thread_start(&threads[i], "hart", hart, &harts[i]), 0);
    }
    assert_int_equal(thread_start(&threads[HARTS], "hart", changing_hart, m), 0);
    while (atomic_load(&m->enough) < HARTS) {
        machine_lock(&m->lock);
        change(m);
        machine_unlock(&m->lock);
    }
    atomic_store(&m->over, true);
    for (unsigned i = 0; i <= HARTS; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(atomic_load(&m->wrong), 0);
    assert_true(m->plugged > 0 && m->moved > 0 && m->pulled > 0);
    for (unsigned i = 0; i < DEVICES; i++)
        free(m->cards[i]);
    machine_lock_destroy(&m->lock);
    free(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_access_meets_the_device_that_is_there),
    };

    return cmocka_run_group_tests_name("vmm/machine/bus_change", tests, NULL, NULL);
}
