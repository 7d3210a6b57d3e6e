/* SPDX-License-Identifier: Apache-2.0 */
/* The balloon, seen as its driver sees it; what is given up reads as zeroes. */
#include "tests/unit.h"

#include <string.h>

#include "base/be.h"
#include "tests/vmm/dev/virtio/vrig.h"
#include "vmm/dev/virtio/device.h"
#include "vmm/dev/virtio/mmio.h"
#include "vmm/machine/guestmem.h"

#define NUMBERS_GPA (VRIG_RAM_GPA + 0x10000)
#define PAGES_GPA   (VRIG_RAM_GPA + 0x100000)
#define PAGE_BYTES  4096u
#define PAGES       64u
#define QUEUE_NUM   16u
#define POISON      VIRTIO_BIT(4)
#define REPORTING   VIRTIO_BIT(5)

enum { INFLATE, DEFLATE, STATS, REPORT };
enum { WANTED, ACTUAL = 4, POISON_VAL = 12 };

static int changes;

static void changed(void *arg)
{
    (void)arg;
    changes++;
}

static int setup(void **state)
{
    struct vrig *r = vrig_new(false);
    struct ferry_err err;

    changes = 0;
    r->config.balloon.page_poison = r->config.balloon.free_page_reporting = true;
    r->params.on_balloon_change = changed;
    assert_int_equal(virtio_balloon_device.create(&r->dev, &r->params, &err), 0);
    memset(vrig_mem(r, PAGES_GPA), 0xee, PAGES * PAGE_BYTES);
    *state = r;
    return 0;
}

static int teardown(void **state)
{
    vrig_free(*state);
    return 0;
}

/* "1": it is there, "0": it was given up. */
static void pages_are(struct vrig *r, const char *expected)
{
    for (uint32_t i = 0; expected[i]; i++) {
        const uint8_t *page = vrig_mem(r, PAGES_GPA + i * PAGE_BYTES);

        for (uint32_t b = 0; b < PAGE_BYTES; b += PAGE_BYTES - 1)
            assert_int_equal(page[b], expected[i] == '1' ? 0xee : 0);
    }
}

static void write_number(struct vrig *r, uint32_t at, uint64_t gpa)
{
    le32_store(vrig_mem(r, NUMBERS_GPA + 4 * at), (uint32_t)(gpa / PAGE_BYTES));
}

/* A hart's part, and then the main thread's. */
static void kick(struct vrig *r, struct vring *q)
{
    vring_offer(r, q, 0);
    vring_kick(r, q);
    vrig_run_for_ms(r, 1);
}

static void send(struct vrig *r, uint32_t queue, uint32_t bytes)
{
    struct vring *q = &r->rings[queue];

    vring_desc(r, q, 0, NUMBERS_GPA, bytes, 0, 0);
    kick(r, q);
}

static void pages_of_a_request_are_given_up(void **state)
{
    struct vrig *r = *state;

    vrig_start(r, 0, 3, QUEUE_NUM);
    write_number(r, 0, PAGES_GPA + 1 * PAGE_BYTES);
    write_number(r, 1, PAGES_GPA + 2 * PAGE_BYTES); /* a run */
    write_number(r, 2, PAGES_GPA + 5 * PAGE_BYTES);
    write_number(r, 3, PAGES_GPA + 4 * PAGE_BYTES); /* backwards */
    send(r, INFLATE, 16);
    assert_int_equal(vring_used(r, &r->rings[INFLATE]), 1);
    pages_are(r, "10010011");
    write_number(r, 0, PAGES_GPA);
    send(r, DEFLATE, 4);
    assert_int_equal(vring_used(r, &r->rings[DEFLATE]), 1);
    pages_are(r, "1001");
}

static void given_up_pages_are_dirty(void **state)
{
    struct vrig *r = *state;
    struct ferry_ram_region *ram = guestmem_find(&r->mem, VRIG_RAM_GPA)->region;
    uint64_t dirty[VRIG_RAM_BYTES / PAGE_BYTES / 64] = {0};
    uint64_t page = (PAGES_GPA - VRIG_RAM_GPA) / PAGE_BYTES;
    struct ferry_err err;

    vrig_start(r, 0, 3, QUEUE_NUM);
    assert_int_equal(ferry_ram_log_start(r->ram, &err), 0);
    write_number(r, 0, PAGES_GPA);
    send(r, INFLATE, 4);
    ferry_ram_harvest_begin(r->ram);
    assert_true(ferry_ram_harvest(ram, dirty) > 0);
    assert_true(dirty[page / 64] >> page % 64 & 1);
    ferry_ram_log_stop(r->ram);
}

/* Where there is no RAM, half a number, a request longer than any: nothing but that it is used. */
static void nonsense_gives_nothing_up(void **state)
{
    struct vrig *r = *state;

    vrig_start(r, 0, 3, QUEUE_NUM);
    write_number(r, 0, VRIG_ROM_GPA & ~(uint64_t)(PAGE_BYTES - 1));
    write_number(r, 1, UINT64_C(0xffffffff) * PAGE_BYTES);
    write_number(r, 2, VRIG_RAM_GPA + VRIG_RAM_BYTES);
    write_number(r, 3, PAGES_GPA);
    send(r, INFLATE, 15);
    pages_are(r, "11");
    assert_int_equal(vring_used(r, &r->rings[INFLATE]), 1);
    /* Behind what one request may ask for. */
    for (uint32_t i = 0; i < 256; i++)
        write_number(r, i, VRIG_RAM_GPA + VRIG_RAM_BYTES);
    write_number(r, 256, PAGES_GPA);
    send(r, INFLATE, 4 * 257);
    assert_int_equal(vring_used(r, &r->rings[INFLATE]), 2);
    pages_are(r, "11");
    assert_false(vrig_broken(r));
}

static void report(struct vrig *r, uint64_t gpa, uint32_t bytes)
{
    struct vring *q = &r->rings[REPORT];

    vring_desc(r, q, 0, gpa, bytes, DESC_WRITE, 0);
    kick(r, q);
}

static void whole_pages_that_are_reported_are_given_up(void **state)
{
    struct vrig *r = *state;

    vrig_start(r, REPORTING | POISON, 4, QUEUE_NUM);
    report(r, PAGES_GPA + PAGE_BYTES, 2 * PAGE_BYTES);
    pages_are(r, "1001");
    report(r, PAGES_GPA + 4 * PAGE_BYTES + 8, 2 * PAGE_BYTES);
    pages_are(r, "10011011");
    report(r, PAGES_GPA + 8, PAGE_BYTES - 16); /* none whole */
    pages_are(r, "10011011");
    assert_int_equal(vring_used(r, &r->rings[REPORT]), 3);
}

/* A guest that fills free pages with a pattern wants to find it again. */
static void poisoned_pages_are_kept(void **state)
{
    struct vrig *r = *state;

    vrig_start(r, REPORTING | POISON, 4, QUEUE_NUM);
    vrig_write(r, VIRTIO_MMIO_R_CONFIG + POISON_VAL, 0xaaaaaaaa);
    report(r, PAGES_GPA, 2 * PAGE_BYTES);
    pages_are(r, "11");
    assert_int_equal(vring_used(r, &r->rings[REPORT]), 1);
    vrig_start(r, REPORTING | POISON, 4, QUEUE_NUM);
    report(r, PAGES_GPA, PAGE_BYTES);
    pages_are(r, "01");
}

static void operator_and_driver_say_how_much(void **state)
{
    struct vrig *r = *state;
    uint64_t bytes;

    vrig_start(r, 0, 3, QUEUE_NUM);
    machine_lock(&r->lock);
    assert_true(virtio_balloon_set(r->dev, 5 * PAGE_BYTES + 1));
    machine_unlock(&r->lock);
    assert_int_equal(r->irq_level, 1);
    assert_int_equal(vrig_read(r, VIRTIO_MMIO_R_CONFIG + WANTED), 5);
    vrig_write(r, VIRTIO_MMIO_R_CONFIG + WANTED, 9); /* is not the driver's */
    assert_int_equal(vrig_read(r, VIRTIO_MMIO_R_CONFIG + WANTED), 5);
    vrig_write(r, VIRTIO_MMIO_R_CONFIG + ACTUAL, 3);
    assert_int_equal(vrig_read(r, VIRTIO_MMIO_R_CONFIG + ACTUAL), 3);
    vrig_run_until(r, &changes, 1);
    assert_int_equal(changes, 1);
    vrig_write(r, VIRTIO_MMIO_R_CONFIG + ACTUAL, 3); /* no change */
    vrig_run_for_ms(r, 1);
    assert_int_equal(changes, 1);
    assert_true(virtio_balloon_get(r->dev, &bytes));
    assert_int_equal(bytes, 3 * PAGE_BYTES);
    virtio_dev_reset(r->dev);
    assert_true(virtio_balloon_get(r->dev, &bytes));
    assert_int_equal(bytes, 3 * PAGE_BYTES);
}

/* The registers reach further than any config space does. */
static void nothing_behind_the_config_space_is_written(void **state)
{
    struct vrig *r = *state;
    const struct virtio_dev *v = (const struct virtio_dev *)r->dev;
    struct virtio_dev *before = test_malloc(sizeof(*before));
    uint32_t end = (uint32_t)(r->dev->region.size_bytes - VIRTIO_MMIO_R_CONFIG);

    vrig_start(r, 0, 3, QUEUE_NUM);
    memcpy(before, v, sizeof(*before));
    for (uint32_t at = v->config_bytes; at < end; at += 4) {
        vrig_write(r, VIRTIO_MMIO_R_CONFIG + at, 0x41414141);
        assert_memory_equal(v, before, sizeof(*before));
        assert_int_equal(vrig_read(r, VIRTIO_MMIO_R_CONFIG + at), UINT32_MAX);
    }
    test_free(before);
}

/* What takes milliseconds is not begun by a hart, which may have to stop, nor where a pause ends.
 */
static void pages_are_given_up_from_the_main_loop(void **state)
{
    struct vrig *r = *state;
    struct vring *q = &r->rings[INFLATE];
    struct ferry_part part = dev_part(r->dev);

    vrig_start(r, 0, 3, QUEUE_NUM);
    write_number(r, 0, PAGES_GPA);
    vring_desc(r, q, 0, NUMBERS_GPA, 4, 0, 0);
    vring_offer(r, q, 0);
    vring_kick(r, q);
    assert_int_equal(part.ops->quiesce(part.obj), 0);
    part.ops->pause(part.obj);
    vrig_run_for_ms(r, 1); /* not heard */
    part.ops->resume(part.obj);
    part.ops->unquiesce(part.obj);
    assert_int_equal(vring_used(r, q), 0);
    pages_are(r, "11");
    vrig_run_for_ms(r, 1);
    assert_int_equal(vring_used(r, q), 1);
    pages_are(r, "01");
}

/* A device without poison has no room for it, as QEMU's. */
static void what_is_offered_is_what_was_asked_for(void **state)
{
    struct vrig *r = vrig_new(false);
    struct ferry_err err;
    struct virtio_dev *v;

    (void)state;
    r->config.balloon.deflate_on_oom = true;
    assert_int_equal(virtio_balloon_device.create(&r->dev, &r->params, &err), 0);
    v = (struct virtio_dev *)r->dev;
    assert_int_equal(v->host_features & 0x3f, VIRTIO_BIT(1) | VIRTIO_BIT(2));
    assert_int_equal(v->config_bytes, 8);
    assert_int_equal(v->queue_count, 3);
    vrig_free(r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(pages_of_a_request_are_given_up, setup, teardown),
        cmocka_unit_test_setup_teardown(given_up_pages_are_dirty, setup, teardown),
        cmocka_unit_test_setup_teardown(nonsense_gives_nothing_up, setup, teardown),
        cmocka_unit_test_setup_teardown(whole_pages_that_are_reported_are_given_up, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(poisoned_pages_are_kept, setup, teardown),
        cmocka_unit_test_setup_teardown(operator_and_driver_say_how_much, setup, teardown),
        cmocka_unit_test_setup_teardown(nothing_behind_the_config_space_is_written, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(pages_are_given_up_from_the_main_loop, setup, teardown),
        cmocka_unit_test(what_is_offered_is_what_was_asked_for),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
