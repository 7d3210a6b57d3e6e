/* SPDX-License-Identifier: Apache-2.0 */
/* Rings, seen through the entropy source: the simplest device that has one. */
#include "tests/unit.h"

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/be.h"
#include "tests/vmm/dev/virtio/vrig.h"
#include "vmm/dev/virtio/device.h"

#define BUFFER_GPA   (VRIG_RAM_GPA + 0x10000)
#define INDIRECT_GPA (VRIG_RAM_GPA + 0x200000)
#define BOTH(fn)                                        \
    {#fn " legacy", fn, setup_legacy, teardown, NULL},  \
    {                                                   \
#fn " modern", fn, setup_modern, teardown, NULL \
    }

#define EVENT_IDX VIRTIO_BIT(VIRTIO_F_EVENT_IDX)
#define INDIRECT  VIRTIO_BIT(VIRTIO_F_INDIRECT_DESC)

static int setup(void **state, bool legacy)
{
    struct vrig *r = vrig_new(legacy);
    struct ferry_err err;

    assert_int_equal(virtio_rng_device.create(&r->dev, &r->params, &err), 0);
    *state = r;
    return 0;
}

static int setup_legacy(void **state)
{
    return setup(state, true);
}

static int setup_modern(void **state)
{
    return setup(state, false);
}

static int teardown(void **state)
{
    vrig_free(*state);
    return 0;
}

static struct vring *start(struct vrig *r, uint64_t features, uint32_t num)
{
    vrig_start(r, features, 1, num);
    return &r->rings[0];
}

static bool all_zero(const uint8_t *p, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (p[i])
            return false;
    }
    return true;
}

static void requests_are_answered_round_the_ring(void **state)
{
    struct vrig *r = *state;
    struct vring *q = start(r, 0, 4);

    /* Past the wrap of the ring, and past that of the 16 bit indices. */
    for (uint32_t i = 0; i < 70000; i++) {
        uint32_t head;

        memset(vrig_mem(r, BUFFER_GPA), 0, 32);
        vring_desc(r, q, i % 4, BUFFER_GPA, 32, DESC_WRITE, 0);
        vring_offer(r, q, i % 4);
        vring_kick(r, q);
        assert_int_equal(vring_used(r, q), (uint16_t)(i + 1));
        assert_int_equal(vring_take(r, q, &head), 32);
        assert_int_equal(head, i % 4);
        assert_false(all_zero(vrig_mem(r, BUFFER_GPA), 32));
    }
    assert_int_equal(r->irqs, 70000);
}

static void a_chain_is_followed(void **state)
{
    struct vrig *r = *state;
    struct vring *q = start(r, 0, 8);

    vring_desc(r, q, 5, BUFFER_GPA, 16, DESC_WRITE | DESC_NEXT, 2);
    vring_desc(r, q, 2, BUFFER_GPA + 0x1000, 16, DESC_WRITE | DESC_NEXT, 7);
    vring_desc(r, q, 7, BUFFER_GPA + 0x2000, 16, DESC_WRITE, 0);
    vring_offer(r, q, 5);
    vring_kick(r, q);
    assert_int_equal(vring_take(r, q, NULL), 48);
    for (unsigned i = 0; i < 3; i++)
        assert_false(all_zero(vrig_mem(r, BUFFER_GPA + i * 0x1000), 16));
    assert_true(all_zero(vrig_mem(r, BUFFER_GPA + 16), 16));
}

static void indirect_desc(struct vrig *r, uint32_t i, uint64_t gpa, uint32_t bytes, uint16_t flags,
                          uint16_t next)
{
    struct vring table = {.desc_gpa = INDIRECT_GPA};

    vring_desc(r, &table, i, gpa, bytes, flags, next);
}

static void an_indirect_table_may_be_longer_than_the_ring(void **state)
{
    struct vrig *r = *state;
    struct vring *q = start(r, INDIRECT, 2);

    for (uint32_t i = 0; i < 64; i++)
        indirect_desc(r, i, BUFFER_GPA + 64 * i, 8, DESC_WRITE | (i < 63 ? DESC_NEXT : 0),
                      (uint16_t)(i + 1));
    vring_desc(r, q, 1, INDIRECT_GPA, 64 * 16, DESC_INDIRECT, 0);
    vring_offer(r, q, 1);
    vring_kick(r, q);
    assert_int_equal(vring_take(r, q, NULL), 64 * 8);
}

/* --- Interrupt suppression --- */

static void one_request(struct vrig *r, struct vring *q)
{
    vring_desc(r, q, 0, BUFFER_GPA, 8, DESC_WRITE, 0);
    vring_offer(r, q, 0);
    vring_kick(r, q);
    assert_int_equal(vring_take(r, q, NULL), 8);
}

static void a_driver_can_say_that_it_wants_no_interrupt(void **state)
{
    struct vrig *r = *state;
    struct vring *q = start(r, 0, 4);

    le16_store(vrig_mem(r, q->avail_gpa), 1);
    one_request(r, q);
    assert_int_equal(r->irqs, 0);
    le16_store(vrig_mem(r, q->avail_gpa), 0);
    one_request(r, q);
    assert_int_equal(r->irqs, 1);
}

static void the_event_index_decides(void **state)
{
    struct vrig *r = *state;
    struct vring *q = start(r, EVENT_IDX, 4);
    uint8_t *used_event = vrig_mem(r, q->avail_gpa + 4 + 2 * 4);
    uint8_t *avail_event = vrig_mem(r, q->used_gpa + 4 + 8 * 4);

    le16_store(used_event, 0);
    one_request(r, q); /* entry 0 */
    assert_int_equal(r->irqs, 1);
    one_request(r, q); /* entry 1, asked for entry 0 */
    assert_int_equal(r->irqs, 1);
    le16_store(used_event, 3);
    one_request(r, q);
    assert_int_equal(r->irqs, 1);
    one_request(r, q);
    assert_int_equal(r->irqs, 2);
    /* And the device says when it wants to be kicked. */
    assert_int_equal(le16_load(avail_event), 4);
}

static void an_empty_legacy_ring_interrupts(void **state)
{
    struct vrig *r = *state;
    struct vring *q = start(r, VIRTIO_BIT(VIRTIO_F_NOTIFY_ON_EMPTY), 4);

    le16_store(vrig_mem(r, q->avail_gpa), 1);
    one_request(r, q);
    assert_int_equal(r->irqs, r->legacy ? 1 : 0); /* modern: not negotiable */
}

/* --- What a driver must not do. Each breaks the device until its reset, and nothing else. --- */

static void expect_broken(struct vrig *r, struct vring *q)
{
    uint16_t used = vring_used(r, q);
    bool modern = !r->legacy;

    vring_kick(r, q);
    assert_true(vrig_broken(r));
    assert_int_equal(vring_used(r, q), used);
    assert_int_equal((vrig_read(r, 0x70) & VIRTIO_STATUS_NEEDS_RESET) != 0, modern);
    if (modern)
        assert_int_equal(vrig_read(r, 0x60) & VIRTIO_ISR_CONFIG, VIRTIO_ISR_CONFIG);
    /* Deaf... */
    vring_desc(r, q, 0, BUFFER_GPA, 8, DESC_WRITE, 0);
    vring_kick(r, q);
    assert_int_equal(vring_used(r, q), used);
    /* ...until it is reset. */
    q = start(r, INDIRECT, 4);
    assert_false(vrig_broken(r));
    one_request(r, q);
}

struct bad_chain {
    const char *name;
    uint64_t gpa;
    uint32_t bytes;
    uint16_t flags;
    uint16_t next;
};

static void a_bad_descriptor_breaks_the_device(void **state)
{
    static const struct bad_chain bad[] = {
        {"not memory", 0x40000000, 8, DESC_WRITE, 0},
        {"address zero", 0, 8, DESC_WRITE, 0},
        {"read only memory", VRIG_ROM_GPA, 8, DESC_WRITE, 0},
        {"past the end", VRIG_RAM_GPA + VRIG_RAM_BYTES - 8, 9, DESC_WRITE, 0},
        {"wraps", UINT64_MAX - 3, 8, DESC_WRITE, 0},
        {"everything", VRIG_RAM_GPA, UINT32_MAX, DESC_WRITE, 0},
        {"nothing", BUFFER_GPA, 0, DESC_WRITE, 0},
        {"circle of one", BUFFER_GPA, 8, DESC_WRITE | DESC_NEXT, 0},
        {"next outside", BUFFER_GPA, 8, DESC_WRITE | DESC_NEXT, 4},
        {"next far outside", BUFFER_GPA, 8, DESC_WRITE | DESC_NEXT, UINT16_MAX},
        {"indirect nowhere", 0x40000000, 16, DESC_INDIRECT, 0},
        {"indirect empty", INDIRECT_GPA, 0, DESC_INDIRECT, 0},
        {"indirect odd", INDIRECT_GPA, 17, DESC_INDIRECT, 0},
        {"indirect short", INDIRECT_GPA, 15, DESC_INDIRECT, 0},
        {"indirect too long", INDIRECT_GPA, 1025 * 16, DESC_INDIRECT, 0},
        {"indirect and next", INDIRECT_GPA, 16, DESC_INDIRECT | DESC_NEXT, 1},
    };
    struct vrig *r = *state;

    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct vring *q = start(r, INDIRECT, 4);

        print_message("%s\n", bad[i].name);
        indirect_desc(r, 0, BUFFER_GPA, 8, DESC_WRITE, 0);
        vring_desc(r, q, 0, bad[i].gpa, bad[i].bytes, bad[i].flags, bad[i].next);
        vring_desc(r, q, 1, BUFFER_GPA, 8, DESC_WRITE, 0);
        vring_offer(r, q, 0);
        expect_broken(r, q);
    }
}

static void a_circle_breaks_the_device(void **state)
{
    struct vrig *r = *state;
    struct vring *q = start(r, 0, 4);

    for (uint32_t i = 0; i < 4; i++)
        vring_desc(r, q, i, BUFFER_GPA, 8, DESC_WRITE | DESC_NEXT, (uint16_t)((i + 1) % 4));
    vring_offer(r, q, 0);
    expect_broken(r, q);
}

static void bad_indirect_tables_break_the_device(void **state)
{
    struct vrig *r = *state;

    for (unsigned kind = 0; kind < 5; kind++) {
        struct vring *q = start(r, INDIRECT, 4);

        indirect_desc(r, 0, BUFFER_GPA, 8, DESC_WRITE | DESC_NEXT, 1);
        indirect_desc(r, 1, BUFFER_GPA, 8, DESC_WRITE, 0);
        switch (kind) {
        case 0: /* a circle */
            indirect_desc(r, 1, BUFFER_GPA, 8, DESC_WRITE | DESC_NEXT, 0);
            break;
        case 1: /* out of the table */
            indirect_desc(r, 0, BUFFER_GPA, 8, DESC_WRITE | DESC_NEXT, 2);
            break;
        case 2: /* a table in a table */
            indirect_desc(r, 0, INDIRECT_GPA, 32, DESC_INDIRECT, 0);
            break;
        case 3: /* readable behind writable */
            indirect_desc(r, 1, BUFFER_GPA, 8, 0, 0);
            break;
        default: /* memory that is none */
            indirect_desc(r, 1, 0x40000000, 8, DESC_WRITE, 0);
            break;
        }
        vring_desc(r, q, 0, INDIRECT_GPA, 32, DESC_INDIRECT, 0);
        vring_offer(r, q, 0);
        expect_broken(r, q);
    }
}

static void a_table_behind_a_part_breaks_the_device(void **state)
{
    struct vrig *r = *state;
    struct vring *q = start(r, INDIRECT, 4);

    indirect_desc(r, 0, BUFFER_GPA, 8, DESC_WRITE, 0);
    vring_desc(r, q, 0, BUFFER_GPA, 8, DESC_WRITE | DESC_NEXT, 1);
    vring_desc(r, q, 1, INDIRECT_GPA, 16, DESC_INDIRECT, 0);
    vring_offer(r, q, 0);
    expect_broken(r, q);
}

static void a_readable_part_behind_a_writable_one_breaks_the_device(void **state)
{
    struct vrig *r = *state;
    struct vring *q = start(r, 0, 4);

    vring_desc(r, q, 0, BUFFER_GPA, 8, DESC_WRITE | DESC_NEXT, 1);
    vring_desc(r, q, 1, BUFFER_GPA, 8, 0, 0);
    vring_offer(r, q, 0);
    expect_broken(r, q);
}

static void an_avail_index_too_far_ahead_breaks_the_device(void **state)
{
    struct vrig *r = *state;
    struct vring *q = start(r, 0, 4);

    vring_desc(r, q, 0, BUFFER_GPA, 8, DESC_WRITE, 0);
    le16_store(vrig_mem(r, q->avail_gpa + 2), 5);
    expect_broken(r, q);
}

static void a_head_outside_breaks_the_device(void **state)
{
    struct vrig *r = *state;
    struct vring *q = start(r, 0, 4);

    vring_offer(r, q, 4);
    expect_broken(r, q);
}

static void rings_that_are_not_in_memory_break_the_device(void **state)
{
    struct vrig *r = *state;

    vrig_negotiate(r, 0);
    vrig_write(r, 0x30, 0);
    vrig_write(r, 0x38, 8);
    if (r->legacy) {
        vrig_write(r, 0x40, (uint32_t)((VRIG_RAM_GPA + VRIG_RAM_BYTES) >> 12));
        assert_true(vrig_broken(r));
    }
    /* Used ring in ROM; misaligned; not at all. */
    for (unsigned kind = 0; !r->legacy && kind < 4; kind++) {
        uint32_t desc = (uint32_t)BUFFER_GPA, used = (uint32_t)BUFFER_GPA + 0x1000;

        vrig_negotiate(r, 0);
        vrig_write(r, 0x30, 0);
        vrig_write(r, 0x38, 8);
        vrig_write(r, 0x80, kind == 1 ? desc + 8 : desc);
        vrig_write(r, 0x90, (uint32_t)BUFFER_GPA + 0x800);
        vrig_write(r, 0xa0, kind == 0 ? (uint32_t)VRIG_ROM_GPA : kind == 2 ? used + 2 : used);
        vrig_write(r, 0xa4, kind == 3 ? 1 : 0);
        vrig_write(r, 0x44, 1);
        assert_true(vrig_broken(r));
    }
    vring_kick(r, &(struct vring){.index = 0});
    one_request(r, start(r, 0, 4));
}

static void a_paused_device_touches_nothing(void **state)
{
    struct vrig *r = *state;
    struct vring *q = start(r, 0, 64);
    const struct ferry_part_ops *ops = r->dev->type->part_ops;

    /* More than one turn, so that the main thread has to go on. */
    for (uint16_t i = 0; i < 64; i++) {
        vring_desc(r, q, i, BUFFER_GPA, 8, DESC_WRITE, 0);
        vring_offer(r, q, i);
    }
    vring_kick(r, q);
    q->seen = vring_used(r, q);
    assert_in_range(q->seen, 1, 63);
    ops->pause(r->dev);
    vrig_run_for_ms(r, 5);
    assert_int_equal(vring_used(r, q), q->seen);
    ops->resume(r->dev);
    vrig_run_for_ms(r, 5);
    assert_int_equal(vring_used(r, q), 64);
}

static void kicks_of_queues_that_do_not_exist_are_ignored(void **state)
{
    struct vrig *r = *state;
    struct vring *q = start(r, 0, 4);

    vrig_write(r, 0x50, 1);
    vrig_write(r, 0x50, 63);
    vrig_write(r, 0x50, 64);
    vrig_write(r, 0x50, UINT32_MAX);
    one_request(r, q);
}

static void what_is_written_is_marked_dirty(void **state)
{
    struct vrig *r = *state;
    struct vring *q = start(r, 0, 4);
    struct ferry_ram_region *region = ferry_ram_find(r->ram, "ram");
    uint64_t bits[VRIG_RAM_BYTES / 4096 / 64] = {0};
    uint64_t page = (BUFFER_GPA - VRIG_RAM_GPA) / 4096, used = (q->used_gpa - VRIG_RAM_GPA) / 4096;
    struct ferry_err err;

    assert_int_equal(ferry_ram_log_start(r->ram, &err), 0);
    vring_desc(r, q, 0, BUFFER_GPA + 4090, 8, DESC_WRITE, 0);
    vring_offer(r, q, 0);
    vring_kick(r, q);
    ferry_ram_harvest_begin(r->ram);
    assert_int_equal(ferry_ram_harvest(region, bits), 3);
    assert_true(bits[page / 64] & UINT64_C(1) << page % 64);
    page++;
    assert_true(bits[page / 64] & UINT64_C(1) << page % 64);
    assert_true(bits[used / 64] & UINT64_C(1) << used % 64);
    ferry_ram_log_stop(r->ram);
}

/* It is filled with the machine lock held. */
static void a_request_gets_a_page_of_entropy_at_most(void **state)
{
    struct vrig *r = *state;
    struct vring *q = start(r, 0, 4);
    uint32_t head;

    vring_desc(r, q, 0, BUFFER_GPA, 3 << 20, DESC_WRITE, 0);
    vring_offer(r, q, 0);
    vring_kick(r, q);
    assert_int_equal(vring_take(r, q, &head), 4096);
    assert_true(all_zero(vrig_mem(r, BUFFER_GPA + 4096), 4096));
}

static void a_guest_that_breaks_it_again_is_named_once(void **state)
{
    struct vrig *r = *state;
    int fds[2], old = dup(STDERR_FILENO), lines = 0;
    char text[65536];
    ssize_t n;

    assert_int_equal(pipe2(fds, O_NONBLOCK), 0);
    dup2(fds[1], STDERR_FILENO);
    for (int i = 0; i < 10; i++) {
        struct vring *q = start(r, 0, 4);

        vring_offer(r, q, 4);
        vring_kick(r, q);
    }
    dup2(old, STDERR_FILENO);
    n = read(fds[0], text, sizeof(text));
    for (ssize_t i = 0; i < n; i++)
        lines += text[i] == '\n';
    assert_int_equal(lines, 1);
    close(old);
    close(fds[0]);
    close(fds[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        BOTH(requests_are_answered_round_the_ring),
        BOTH(a_chain_is_followed),
        BOTH(an_indirect_table_may_be_longer_than_the_ring),
        BOTH(a_driver_can_say_that_it_wants_no_interrupt),
        BOTH(the_event_index_decides),
        BOTH(an_empty_legacy_ring_interrupts),
        BOTH(a_bad_descriptor_breaks_the_device),
        BOTH(a_circle_breaks_the_device),
        BOTH(bad_indirect_tables_break_the_device),
        BOTH(a_table_behind_a_part_breaks_the_device),
        BOTH(a_readable_part_behind_a_writable_one_breaks_the_device),
        BOTH(an_avail_index_too_far_ahead_breaks_the_device),
        BOTH(a_head_outside_breaks_the_device),
        BOTH(rings_that_are_not_in_memory_break_the_device),
        BOTH(a_paused_device_touches_nothing),
        BOTH(kicks_of_queues_that_do_not_exist_are_ignored),
        BOTH(what_is_written_is_marked_dirty),
        BOTH(a_request_gets_a_page_of_entropy_at_most),
        BOTH(a_guest_that_breaks_it_again_is_named_once),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
