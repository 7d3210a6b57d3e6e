/* SPDX-License-Identifier: Apache-2.0 */
/*
 * disturb IMAGE [HARTS [SEED]]: run a flat binary as bare.c does, but at random instants either
 *   - stop, save every hart, reset it, load what was saved, go on; or
 *   - harvest the dirty log, while it runs, and copy what is dirty to a second memory.
 * The guest must not notice; and whenever it stands still, both memories must be equal: no store
 * was missed. What it prints is for the caller to compare.
 */
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/buf.h"
#include "base/clock.h"
#include "lib/state/state.h"
#include "tests/vmm/accel/riscv64/machine.h"

#define PAGES      (MACHINE_RAM_BYTES / FERRY_PAGE_BYTES)
#define STOPS_MAX  4096
#define TIMEOUT_NS INT64_C(120000000000)

struct disturb {
    struct machine m;
    uint8_t *shadow;
    uint64_t dirty[(PAGES + 63) / 64];
    bool ever[PAGES]; /* was dirty once */
    unsigned restates, harvests;
    int64_t stop_ns[STOPS_MAX]; /* how long the harts took to stop */
    uint64_t dirty_pages;
};

static void restate_hart(struct hart *h)
{
    struct state_scratch *scratch;
    struct buf bufs[2] = {{0}, {0}};
    struct ferry_part parts[2];
    struct ferry_err err = {0};

    hart_parts(h, parts);
    for (unsigned i = 0; i < 2; i++)
        machine_check(state_save(parts[i].table, parts[i].obj, &bufs[i], NULL, &err), &err);
    hart_reset(h);
    hart_set_irq(h, HART_IRQ_MSI, false);
    for (unsigned i = 0; i < 2; i++) {
        struct rd in = rd_make(bufs[i].data, bufs[i].len_bytes);

        machine_check(
            state_scratch_new(&scratch, parts[i].table, parts[i].obj, parts[i].obj_bytes, &err),
            &err);
        machine_check(state_scratch_load(scratch, parts[i].table->version, &in, true, &err), &err);
        state_scratch_commit(scratch);
        state_scratch_free(scratch);
        buf_free(&bufs[i]);
    }
}

static void harvest(struct disturb *d)
{
    memset(d->dirty, 0, sizeof(d->dirty));
    ferry_ram_harvest_begin(d->m.ram);
    d->dirty_pages += ferry_ram_harvest(d->m.region, d->dirty);
    for (uint64_t page = 0; page < PAGES; page++)
        if (d->dirty[page / 64] >> (page % 64) & 1) {
            memcpy(d->shadow + page * FERRY_PAGE_BYTES, d->m.host + page * FERRY_PAGE_BYTES,
                   FERRY_PAGE_BYTES);
            d->ever[page] = true;
        }
    d->harvests++;
}

/* The harts are stopped. all: look at pages too that were never dirty. */
static void compare(struct disturb *d, bool all)
{
    harvest(d);
    for (uint64_t page = 0; page < PAGES; page++)
        if ((all || d->ever[page]) &&
            memcmp(d->shadow + page * FERRY_PAGE_BYTES, d->m.host + page * FERRY_PAGE_BYTES,
                   FERRY_PAGE_BYTES) != 0) {
            fprintf(stderr, "the dirty log missed a store to page 0x%llx\n",
                    (unsigned long long)(MACHINE_RAM_BASE + page * FERRY_PAGE_BYTES));
            exit(1);
        }
}

static void restate(struct disturb *d)
{
    int64_t asked_ns = clock_monotonic_ns();

    machine_stop(&d->m);
    if (d->restates < STOPS_MAX)
        d->stop_ns[d->restates] = clock_monotonic_ns() - asked_ns;
    compare(d, false);
    for (uint32_t i = 0; i < d->m.hart_count; i++)
        restate_hart(d->m.harts[i]);
    machine_start(&d->m);
    d->restates++;
}

static int by_value(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

    return (x > y) - (x < y);
}

/* For people: on a busy host these are the host's. */
static void print_stops(struct disturb *d)
{
    unsigned n = d->restates < STOPS_MAX ? d->restates : STOPS_MAX;

    qsort(d->stop_ns, n, sizeof(d->stop_ns[0]), by_value);
    if (n)
        fprintf(stderr, "harts stopped in: p50 %.0f us, p99 %.0f us, most %.0f us\n",
                (double)d->stop_ns[n / 2] / 1e3, (double)d->stop_ns[n * 99 / 100] / 1e3,
                (double)d->stop_ns[n - 1] / 1e3);
}

int main(int argc, char **argv)
{
    uint32_t harts = argc > 2 ? (uint32_t)atoi(argv[2]) : 1;
    int64_t deadline_ns = clock_monotonic_ns() + TIMEOUT_NS;
    struct disturb *d = calloc(1, sizeof(*d));
    struct ferry_err err = {0};
    uint32_t finished = 0;
    FILE *image;

    if (!d || argc < 2 || harts < 1 || harts > MACHINE_HARTS_MAX ||
        !(image = fopen(argv[1], "rb"))) {
        fprintf(stderr, "usage: disturb IMAGE [HARTS [SEED]]\n");
        free(d);
        return 2;
    }
    srandom(argc > 3 ? (unsigned)atoi(argv[3]) : 1);
    machine_init(&d->m, harts);
    if (fread(d->m.host, 1, MACHINE_RAM_BYTES, image) == 0)
        fprintf(stderr, "%s is empty\n", argv[1]);
    fclose(image);
    d->shadow = malloc(MACHINE_RAM_BYTES);
    if (!d->shadow)
        return 2;
    memcpy(d->shadow, d->m.host, MACHINE_RAM_BYTES);
    machine_check(ferry_ram_log_start(d->m.ram, &err), &err);
    machine_start(&d->m);
    while (!finished && clock_monotonic_ns() < deadline_ns) {
        finished = machine_wait(&d->m, random() % 4000000);
        if (random() % 3 == 0)
            restate(d);
        else
            harvest(d);
    }
    machine_stop(&d->m);
    compare(d, true);
    print_stops(d);
    fprintf(stderr, "%u times saved and loaded, %u harvests of %llu pages\n", d->restates,
            d->harvests, (unsigned long long)d->dirty_pages);
    machine_free(&d->m);
    free(d->shadow);
    free(d);
    if (finished == 0)
        fprintf(stderr, "not finished in time\n");
    return finished == 0x5555 ? 0 : 1;
}
