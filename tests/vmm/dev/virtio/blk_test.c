/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/be.h"
#include "base/buf.h"
#include "lib/state/state.h"
#include "tests/vmm/dev/virtio/blk_rig.h"

/* One range for DISCARD and WRITE_ZEROES. */
static int run_range(struct fix *f, uint32_t type, uint64_t sector, uint32_t sectors,
                     uint32_t flags, uint32_t bytes)
{
    uint8_t *range = vrig_mem(f->r, DATA_GPA);

    le64_store(range, sector);
    le32_store(range + 8, sectors);
    le32_store(range + 12, flags);
    return run(f, type, 0, bytes, false);
}

static void data_is_written_and_read_back(void **state)
{
    for (int legacy = 0; legacy < 2; legacy++) {
        struct fix *f = started(legacy, F_FLUSH);
        uint8_t expected[65536], got[65536];
        struct ferry_ram_region *ram = ferry_ram_find(f->r->ram, "ram");
        uint64_t dirty[VRIG_RAM_BYTES / 4096 / 64] = {0};
        struct ferry_err err;

        fill(expected, sizeof(expected), 3);
        memcpy(vrig_mem(f->r, DATA_GPA), expected, sizeof(expected));
        assert_int_equal(run(f, OUT, 100, sizeof(expected), false), OK);
        assert_int_equal(run(f, FLUSH, 0, 0, false), OK);
        assert_int_equal(pread(f->fd, got, sizeof(got), 100 * 512), sizeof(got));
        assert_memory_equal(got, expected, sizeof(got));

        memset(vrig_mem(f->r, DATA_GPA), 0, sizeof(expected));
        assert_int_equal(ferry_ram_log_start(f->r->ram, &err), 0);
        assert_int_equal(run(f, IN, 100, sizeof(expected), true), OK);
        assert_memory_equal(vrig_mem(f->r, DATA_GPA), expected, sizeof(expected));
        /* 16 pages of data, the status, the used ring. */
        ferry_ram_harvest_begin(f->r->ram);
        assert_int_equal(ferry_ram_harvest(ram, dirty), 18);
        ferry_ram_log_stop(f->r->ram);
        fix_free(f);
    }
}

static void parts_may_be_cut_anywhere(void **state)
{
    struct fix *f = started(true, F_FLUSH);
    uint8_t *header = vrig_mem(f->r, HEADER_GPA), got[1024];

    fill(vrig_mem(f->r, DATA_GPA), 1024, 9);
    le32_store(header, OUT);
    le64_store(header + 8, 7);
    /* Header 5 + 11 and data in the same part, data 100 + 924, status in two. */
    memcpy(vrig_mem(f->r, DATA_GPA - 11), header + 5, 11);
    vring_desc(f->r, f->q, 0, HEADER_GPA, 5, DESC_NEXT, 1);
    vring_desc(f->r, f->q, 1, DATA_GPA - 11, 111, DESC_NEXT, 2);
    vring_desc(f->r, f->q, 2, DATA_GPA + 100, 924, DESC_NEXT, 3);
    vring_desc(f->r, f->q, 3, STATUS_GPA, 1, DESC_WRITE, 0);
    *vrig_mem(f->r, STATUS_GPA) = NONE;
    vring_offer(f->r, f->q, 0);
    vring_kick(f->r, f->q);
    assert_int_equal(vring_take(f->r, f->q, NULL), 1);
    assert_int_equal(*vrig_mem(f->r, STATUS_GPA), OK);
    assert_int_equal(pread(f->fd, got, sizeof(got), 7 * 512), sizeof(got));
    assert_memory_equal(got, vrig_mem(f->r, DATA_GPA), sizeof(got));

    /* Reading: the status is the last byte of a part with data. */
    le32_store(header, IN);
    memset(vrig_mem(f->r, DATA_GPA), 0, 1025);
    vring_desc(f->r, f->q, 0, HEADER_GPA, 16, DESC_NEXT, 1);
    vring_desc(f->r, f->q, 1, DATA_GPA, 3, DESC_NEXT | DESC_WRITE, 2);
    vring_desc(f->r, f->q, 2, DATA_GPA + 3, 1022, DESC_WRITE, 0);
    *vrig_mem(f->r, DATA_GPA + 1024) = NONE;
    vring_offer(f->r, f->q, 0);
    vring_kick(f->r, f->q);
    assert_int_equal(vring_take(f->r, f->q, NULL), 1025);
    assert_int_equal(*vrig_mem(f->r, DATA_GPA + 1024), OK);
    assert_memory_equal(got, vrig_mem(f->r, DATA_GPA), sizeof(got));
    fix_free(f);
}

static void requests_that_make_no_sense_are_errors(void **state)
{
    struct fix *f = started(true, F_FLUSH);
    uint64_t end = DISK_BYTES / 512;

    assert_int_equal(run(f, IN, end, 512, true), IOERR);
    assert_int_equal(run(f, IN, end - 1, 1024, true), IOERR);
    assert_int_equal(run(f, OUT, end - 1, 1024, false), IOERR);
    assert_int_equal(run(f, IN, UINT64_MAX, 512, true), IOERR);
    assert_int_equal(run(f, OUT, UINT64_MAX / 512, 512, false), IOERR);
    assert_int_equal(run(f, IN, 0, 511, true), IOERR);
    assert_int_equal(run(f, OUT, 0, 513, false), IOERR);
    assert_int_equal(run(f, IN, end - 1, 512, true), OK);
    assert_int_equal(run(f, SCSI, 0, 512, true), UNSUPP);
    assert_int_equal(run(f, 77, 0, 0, false), UNSUPP);
    assert_int_equal(run(f, UINT32_MAX, 0, 512, false), UNSUPP);
    assert_int_equal(run(f, IN, 0, 0, false), OK); /* nothing */
    fix_free(f);
}

static void a_request_without_header_or_status_breaks_the_device(void **state)
{
    for (int kind = 0; kind < 3; kind++) {
        struct fix *f = started(false, F_FLUSH);

        vring_desc(f->r, f->q, 0, HEADER_GPA, kind == 0 ? 15 : 16, kind == 2 ? 0 : DESC_NEXT, 1);
        vring_desc(f->r, f->q, 1, STATUS_GPA, 1, kind == 1 ? 0 : DESC_WRITE, 0);
        vring_offer(f->r, f->q, 0);
        vring_kick(f->r, f->q);
        assert_true(vrig_broken(f->r));
        vrig_start(f->r, F_FLUSH, 1, 16);
        f->q = &f->r->rings[0];
        assert_int_equal(run(f, IN, 0, 512, true), OK);
        fix_free(f);
    }
}

static void the_serial_number_is_cut_at_20_bytes(void **state)
{
    struct fix *f = started(true, F_FLUSH);

    memset(vrig_mem(f->r, DATA_GPA), 0x55, 32);
    assert_int_equal(run(f, GET_ID, 0, 20, true), OK);
    assert_memory_equal(vrig_mem(f->r, DATA_GPA), "serial-of-the-disk-i", 20);
    memset(vrig_mem(f->r, DATA_GPA), 0x55, 32);
    assert_int_equal(run(f, GET_ID, 0, 8, true), OK);
    assert_memory_equal(vrig_mem(f->r, DATA_GPA), "serial-oUU", 10);
    fix_free(f);
}

static bool zeros_on_disk(struct fix *f, uint64_t sector, size_t bytes)
{
    uint8_t got[65536], zero[65536] = {0};

    assert_int_equal(pread(f->fd, got, bytes, (off_t)sector * 512), bytes);
    return memcmp(got, zero, bytes) == 0;
}

static void ranges_are_discarded_and_zeroed(void **state)
{
    struct fix *f = started(true, F_FLUSH);
    uint64_t end = DISK_BYTES / 512;

    fill(vrig_mem(f->r, DATA_GPA), 65536, 1);
    assert_int_equal(run(f, OUT, 0, 65536, false), OK);
    assert_int_equal(run_range(f, DISCARD, 0, 16, 0, 16), OK);
    assert_true(zeros_on_disk(f, 0, 8192)); /* a hole: discard=unmap */
    assert_int_equal(run_range(f, WRITE_ZEROES, 17, 3, 0, 16), OK);
    assert_false(zeros_on_disk(f, 16, 512));
    assert_true(zeros_on_disk(f, 17, 1536));
    assert_false(zeros_on_disk(f, 20, 512));
    assert_int_equal(run_range(f, WRITE_ZEROES, 32, 8, 1, 16), OK);
    assert_true(zeros_on_disk(f, 32, 4096));
    assert_false(zeros_on_disk(f, 40, 512));

    assert_int_equal(run_range(f, DISCARD, 0, 0, 0, 16), OK);
    assert_int_equal(run_range(f, DISCARD, end - 1, 2, 0, 16), IOERR);
    assert_int_equal(run_range(f, WRITE_ZEROES, UINT64_MAX, 2, 0, 16), IOERR);
    assert_int_equal(run_range(f, WRITE_ZEROES, 0, 0x400000, 0, 16), IOERR);
    assert_int_equal(run_range(f, DISCARD, 0, 1, 1, 16), UNSUPP); /* unmap means nothing here */
    assert_int_equal(run_range(f, WRITE_ZEROES, 0, 1, 2, 16), UNSUPP); /* reserved */
    assert_int_equal(run_range(f, DISCARD, 0, 1, 0, 32), UNSUPP);      /* two ranges */
    assert_int_equal(run_range(f, DISCARD, 0, 1, 0, 15), IOERR);
    fix_free(f);
}

static void a_read_only_disk_is_not_written(void **state)
{
    struct fix *f = fix_new(true, true, 1);

    assert_int_equal(vrig_read(f->r, VIRTIO_MMIO_R_HOST_FEATURES) & F_RO, F_RO);
    vrig_start(f->r, F_FLUSH | F_RO, 1, 16);
    f->q = &f->r->rings[0];
    assert_int_equal(run(f, OUT, 0, 512, false), IOERR);
    assert_int_equal(run_range(f, DISCARD, 0, 1, 0, 16), IOERR);
    assert_int_equal(run_range(f, WRITE_ZEROES, 0, 1, 0, 16), IOERR);
    assert_int_equal(run(f, IN, 0, 512, true), OK);
    assert_int_equal(run(f, FLUSH, 0, 0, false), OK);
    fix_free(f);
}

static void the_write_cache_can_be_switched(void **state)
{
    struct fix *f = started(false, F_FLUSH | F_CONFIG_WCE);
    const struct virtio_blk *blk = (const struct virtio_blk *)f->r->dev;

    assert_int_equal(vrig_read_size(f->r, 0x100 + 32, 1), 1);
    vrig_write_size(f->r, 0x100 + 32, 1, 0);
    assert_int_equal(vrig_read_size(f->r, 0x100 + 32, 1), 0);
    assert_false(blk->writeback);
    assert_int_equal(run(f, OUT, 0, 512, false), OK);
    /* Nothing else can be written. */
    vrig_write_size(f->r, 0x100, 4, 1);
    assert_int_equal(vrig_read_size(f->r, 0x100, 4), DISK_BYTES / 512);
    vrig_write(f->r, VIRTIO_MMIO_R_STATUS, 0);
    assert_int_equal(vrig_read_size(f->r, 0x100 + 32, 1), 1);
    /* Without the feature the switch is not there. */
    vrig_start(f->r, F_FLUSH, 1, 16);
    vrig_write_size(f->r, 0x100 + 32, 1, 0);
    assert_int_equal(vrig_read_size(f->r, 0x100 + 32, 1), 1);
    fix_free(f);
}

static void several_queues_work_at_once(void **state)
{
    struct fix *f = fix_new(true, false, 4);

    assert_int_equal(vrig_read(f->r, VIRTIO_MMIO_R_HOST_FEATURES) & F_MQ, F_MQ);
    assert_int_equal(vrig_read_size(f->r, 0x100 + 34, 2), 4);
    vrig_start(f->r, F_FLUSH | F_MQ, 4, 16);
    for (uint16_t i = 0; i < 4; i++) {
        offer(f, &f->r->rings[i], (uint16_t)(4 * i), IN, i, 512, true);
        vring_kick(f->r, &f->r->rings[i]);
    }
    for (unsigned i = 0; i < 4; i++) {
        assert_int_equal(vring_take(f->r, &f->r->rings[i], NULL), 513);
        assert_int_equal(*vrig_mem(f->r, STATUS_GPA + 4 * i), OK);
    }
    fix_free(f);
}

static void more_than_a_ring_full_goes_through(void **state)
{
    struct fix *f = started(true, F_FLUSH);

    for (unsigned round = 0; round < 2000; round++) {
        for (uint16_t i = 0; i < 5; i++)
            offer(f, f->q, (uint16_t)(3 * i), round % 2 ? IN : OUT, i * 8, 4096, round % 2);
        vring_kick(f->r, f->q);
        for (unsigned i = 0; i < 5; i++)
            assert_true(vring_take(f->r, f->q, NULL) > 0);
        for (unsigned i = 0; i < 5; i++)
            assert_int_equal(*vrig_mem(f->r, STATUS_GPA + 3 * i), OK);
    }
    fix_free(f);
}

/* --- Across a handover: a second device takes over memory, image and state --- */

static void move(struct fix *from, struct fix *to, void (*tamper)(struct virtio_dev *v))
{
    const struct ferry_table *table = from->r->dev->type->table;
    size_t obj_bytes = from->r->dev->type->size_bytes;
    struct ferry_err err = {0};
    struct buf out = {0};
    struct rd in;

    memcpy(vrig_mem(to->r, VRIG_RAM_GPA), vrig_mem(from->r, VRIG_RAM_GPA), VRIG_RAM_BYTES);
    memcpy(to->r->rings, from->r->rings, sizeof(to->r->rings));
    to->q = &to->r->rings[0];
    if (tamper)
        tamper((struct virtio_dev *)from->r->dev);
    assert_int_equal(state_save(table, from->r->dev, &out, NULL, &err), 0);
    in = rd_make(out.data, out.len_bytes);
    if (state_load(table, to->r->dev, obj_bytes, table->version, &in, &err) < 0)
        fail_msg("%s", err.text);
    buf_free(&out);
}

static void a_kick_before_the_move_is_served_after_it(void **state)
{
    for (int legacy = 0; legacy < 2; legacy++) {
        uint64_t features = F_FLUSH | VIRTIO_BIT(VIRTIO_F_EVENT_IDX);
        struct fix *from = started(legacy, features), *to = fix_new(legacy, false, 1);

        assert_int_equal(run(from, IN, 0, 512, true), OK);
        vrig_write(from->r, VIRTIO_MMIO_R_ISR_ACK, 1);
        assert_int_equal(ops(from)->quiesce(from->r->dev), 0);
        offer(from, from->q, 4, IN, 0, 512, true);
        vring_kick(from->r, from->q);
        /* Asks to be told of a later one only: that counts from the second completion on. */
        le16_store(vrig_mem(from->r, from->q->avail_gpa + 4 + 2 * 16), 5);
        move(from, to, NULL);
        assert_int_equal(to->r->irqs, 0);
        ops(to)->resume(to->r->dev);
        assert_int_equal(vring_take(to->r, to->q, NULL), 513);
        assert_int_equal(*vrig_mem(to->r, STATUS_GPA + 4), OK);
        assert_int_equal(to->r->irqs, 1);
        assert_int_equal(run(to, OUT, 0, 512, false), OK);
        assert_int_equal(to->r->irqs, 1);
        fix_free(from);
        fix_free(to);
    }
}

/* As if the sender had taken two requests and could not finish them. */
static void park_two(struct virtio_dev *v)
{
    struct virtio_blk *blk = (struct virtio_blk *)v;

    v->queues[0].last_avail = 2;
    blk->resubmit.count = 2;
    blk->resubmit.entries[0] = (struct blk_resubmit_entry){.queue = 0, .head = 4};
    blk->resubmit.entries[1] = (struct blk_resubmit_entry){.queue = 0, .head = 0};
}

static void requests_the_sender_could_not_finish_are_done_here(void **state)
{
    for (uint32_t queues = 1; queues < 3; queues++) {
        struct fix *from = fix_new(true, false, queues), *between = fix_new(true, false, queues);
        struct fix *to = fix_new(true, false, queues);
        uint8_t disk[4096];

        vrig_start(from->r, F_FLUSH, queues, 16);
        from->q = &from->r->rings[0];
        fill(disk, sizeof(disk), 77);
        assert_int_equal(pwrite(to->fd, disk, sizeof(disk), 0), sizeof(disk));
        assert_int_equal(ops(from)->quiesce(from->r->dev), 0);
        offer(from, from->q, 0, FLUSH, 0, 0, false);
        offer(from, from->q, 4, IN, 0, 4096, true);
        move(from, between, park_two);
        /* It was never resumed: the list goes on. */
        move(between, to, NULL);
        ops(to)->resume(to->r->dev);
        /* Not before the guest runs. */
        assert_int_equal(((struct virtio_dev *)to->r->dev)->inflight, 0);
        assert_int_equal(vring_used(to->r, to->q), 0);
        retry(to);
        assert_true(vring_take(to->r, to->q, NULL) > 0);
        assert_true(vring_take(to->r, to->q, NULL) > 0);
        assert_int_equal(*vrig_mem(to->r, STATUS_GPA), OK);
        assert_int_equal(*vrig_mem(to->r, STATUS_GPA + 4), OK);
        assert_memory_equal(vrig_mem(to->r, data_of(4)), disk, sizeof(disk));
        assert_int_equal(((struct virtio_dev *)to->r->dev)->queues[0].in_use, 0);
        fix_free(from);
        fix_free(between);
        fix_free(to);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(data_is_written_and_read_back),
        cmocka_unit_test(parts_may_be_cut_anywhere),
        cmocka_unit_test(requests_that_make_no_sense_are_errors),
        cmocka_unit_test(a_request_without_header_or_status_breaks_the_device),
        cmocka_unit_test(the_serial_number_is_cut_at_20_bytes),
        cmocka_unit_test(ranges_are_discarded_and_zeroed),
        cmocka_unit_test(a_read_only_disk_is_not_written),
        cmocka_unit_test(the_write_cache_can_be_switched),
        cmocka_unit_test(several_queues_work_at_once),
        cmocka_unit_test(more_than_a_ring_full_goes_through),
        cmocka_unit_test(a_kick_before_the_move_is_served_after_it),
        cmocka_unit_test(requests_the_sender_could_not_finish_are_done_here),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
