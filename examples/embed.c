/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The smallest VMM on libferry: two machines with a page of RAM and a counter, and a guest that
 * moves from the one to the other with both.
 *
 *     cc -o embed embed.c $(pkg-config --cflags --libs libferry)
 *
 * Here both ends are in one process, over a pair of channels. On two hosts the source has an
 * address (ferry_address_parse) and the target a listener; the loop below is the same on each side.
 */
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <ferry/ferry.h>

#define RAM_BYTES (1u << 20)

/* A device: what the guest sees of it is saved, and only that. */
struct counter {
    uint32_t value;
    unsigned long reads; /* ours, not the guest's: not in the table */
};
static const struct ferry_field counter_fields[] = {
    FERRY_U32(struct counter, value, .max = 1000000),
};
static const struct ferry_table counter_table = {
    .name = "example-counter",
    .version = 1,
    .minimum_version = 1,
    FERRY_FIELDS(counter_fields),
};

struct machine {
    struct ferry_ram *ram;
    struct ferry_ram_region *region;
    struct ferry_vm *vm;
    struct counter counter;
    int running;
};

static void die(const struct ferry_err *err)
{
    fprintf(stderr, "embed: %s\n", err->text);
    exit(1);
}

/* A real VMM stops its vCPUs and its guest's clock here, says when that was, and starts them. */
static int64_t harts_pause(void *opaque)
{
    struct timespec now;

    ((struct machine *)opaque)->running = 0;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * INT64_C(1000000000) + now.tv_nsec;
}

static void harts_resume(void *opaque)
{
    ((struct machine *)opaque)->running = 1;
}

static void machine_make(struct machine *m)
{
    static const struct ferry_vm_ops ops = {.pause = harts_pause, .resume = harts_resume};
    struct ferry_vm_params params = {
        .size_bytes = sizeof(params), .machine_name = "example", .ops = &ops, .opaque = m};
    const struct ferry_part counter = {.idstr = "counter",
                                       .table = &counter_table,
                                       .obj = &m->counter,
                                       .obj_bytes = sizeof(m->counter)};
    struct ferry_err err;

    if (ferry_ram_new(&m->ram, &err) < 0 ||
        ferry_ram_add(m->ram, "ram", RAM_BYTES, &m->region, &err) < 0)
        die(&err);
    params.ram = m->ram;
    if (ferry_vm_new(&m->vm, &params, &err) < 0 || ferry_vm_add_part(m->vm, &counter, &err) < 0)
        die(&err);
}

static void machine_free(struct machine *m)
{
    ferry_vm_free(m->vm);
    ferry_ram_free(m->ram);
}

/* Until both are done. A step never blocks; a VMM with a loop watches the fds and deadlines there.
 */
static void move(struct ferry_move *source, struct ferry_move *target)
{
    enum ferry_move_status left = FERRY_MOVE_BUSY, came = FERRY_MOVE_BUSY;
    struct ferry_err err;

    while (left == FERRY_MOVE_BUSY || came == FERRY_MOVE_BUSY) {
        struct pollfd fds[] = {{.fd = ferry_move_fd(source), .events = POLLIN},
                               {.fd = ferry_move_fd(target), .events = POLLIN}};

        poll(fds, 2, 10);
        if (left == FERRY_MOVE_BUSY)
            left = ferry_move_step(source, &err);
        if (left != FERRY_MOVE_BUSY && left != FERRY_MOVE_DONE)
            die(&err);
        if (came == FERRY_MOVE_BUSY)
            came = ferry_move_step(target, &err);
        if (came != FERRY_MOVE_BUSY && came != FERRY_MOVE_DONE)
            die(&err);
    }
}

int main(void)
{
    static const char text[] = "written by the guest";
    struct machine here = {.counter.value = 41, .running = 1}, there = {0};
    struct ferry_migrate_source_params leaves = {.size_bytes = sizeof(leaves),
                                                 .description = "example, 1 MiB",
                                                 .version = FERRY_VERSION,
                                                 .running = 1};
    struct ferry_migrate_target_params comes = {.size_bytes = sizeof(comes),
                                                .version = FERRY_VERSION};
    struct ferry_move *source;
    struct ferry_move *target;
    struct ferry_chan *ends[2];
    struct ferry_err err;

    machine_make(&here);
    machine_make(&there);
    memcpy(ferry_ram_host(here.region), text, sizeof(text));
    here.counter.value++;

    leaves.vm = here.vm;
    comes.vm = there.vm;
    if (ferry_chan_pair(ends, &err) < 0 ||
        ferry_migrate_target_new(&target, &comes, NULL, &ends[1], &err) < 0 ||
        ferry_migrate_source_new(&source, &leaves, NULL, &ends[0], &err) < 0)
        die(&err);
    move(source, target);
    printf("counter %u, RAM \"%s\", runs here: %d, there: %d\n", there.counter.value,
           (const char *)ferry_ram_host(there.region), here.running, there.running);

    ferry_move_free(source);
    ferry_move_free(target);
    machine_free(&here);
    machine_free(&there);
    return 0;
}
