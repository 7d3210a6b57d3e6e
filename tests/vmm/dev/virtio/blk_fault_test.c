/* SPDX-License-Identifier: Apache-2.0 */
/* The disk while its host hangs, fails, or is kept busy by the guest. */
#include "tests/unit.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/be.h"
#include "tests/vmm/backend/disk_fault.h"
#include "tests/vmm/dev/virtio/blk_rig.h"

#define F_RESET VIRTIO_BIT(VIRTIO_F_RING_RESET)

static struct virtio_dev *dev_of(struct fix *f)
{
    return (struct virtio_dev *)f->r->dev;
}

static struct fix *started_with(uint64_t features, uint32_t queues)
{
    struct fix *f = fix_new(false, false, queues);

    disk_fault_reset();
    vrig_start(f->r, F_FLUSH | F_MQ | features, queues, 16);
    f->q = &f->r->rings[0];
    return f;
}

static void end(struct fix *f)
{
    disk_fault_reset();
    fix_free(f);
}

static void kick(struct fix *f, uint16_t at, uint32_t type, uint32_t bytes, bool to_guest)
{
    offer(f, f->q, at, type, 8 * at, bytes, to_guest);
    vring_kick(f->r, f->q);
}

static void restart(struct fix *f)
{
    vrig_start(f->r, F_FLUSH, 1, 16);
    f->q = &f->r->rings[0];
}

/* --- Reset --- */

static void a_reset_lasts_as_long_as_what_is_in_flight(void **state)
{
    for (int legacy = 0; legacy < 2; legacy++) {
        struct fix *f = started(legacy, F_FLUSH);
        uint8_t disk[4096];
        uint64_t offset = legacy ? VIRTIO_MMIO_R_QUEUE_PFN : VIRTIO_MMIO_R_STATUS;

        fill(disk, sizeof(disk), 5);
        assert_int_equal(pwrite(f->fd, disk, sizeof(disk), 0), sizeof(disk));
        memset(vrig_mem(f->r, DATA_GPA), 0, sizeof(disk));
        disk_fault_hang(DISK_READ);
        kick(f, 0, IN, sizeof(disk), true);
        disk_fault_wait_hanging(DISK_READ, 1);
        /* Nobody waits inside: registers are read, the old status as well. */
        assert_int_equal(vrig_try_write(f->r, offset, 0), -EAGAIN);
        assert_int_not_equal(vrig_read(f->r, VIRTIO_MMIO_R_STATUS), 0);
        /* What is asked for meanwhile is not heard. */
        kick(f, 4, IN, 512, true);
        assert_int_equal(vrig_try_write(f->r, offset, 0), -EAGAIN);
        assert_int_equal(dev_of(f)->inflight, 1);
        disk_fault_let_go();
        vrig_write(f->r, offset, 0);
        /* From here on nobody writes to what the request named. */
        assert_int_equal(dev_of(f)->inflight, 0);
        assert_int_equal(vrig_read(f->r, VIRTIO_MMIO_R_STATUS), 0);
        assert_int_equal(status_of(f, 0), NONE);
        assert_int_equal(vring_used(f->r, f->q), 0);
        restart(f);
        assert_int_equal(run(f, IN, 0, 512, true), OK);
        end(f);
    }
}

/* The hart need not come again, as when its guest is reset. */
static void a_reset_happens_by_itself(void **state)
{
    struct fix *f = started_with(0, 1);
    struct timespec nap = {.tv_nsec = 100000};

    disk_fault_hang(DISK_SYNC);
    kick(f, 0, FLUSH, 0, false);
    disk_fault_wait_hanging(DISK_SYNC, 1);
    assert_int_equal(vrig_try_write(f->r, VIRTIO_MMIO_R_STATUS, 0), -EAGAIN);
    disk_fault_let_go();
    while (vrig_read(f->r, VIRTIO_MMIO_R_STATUS) != 0)
        nanosleep(&nap, NULL);
    end(f);
}

static void what_no_worker_has_begun_does_not_delay_a_reset(void **state)
{
    struct fix *f = started_with(0, 1);

    disk_fault_hang(DISK_READ);
    for (uint16_t at = 0; at < 15; at += 3)
        kick(f, at, IN, 512, true);
    disk_fault_wait_hanging(DISK_READ, 4);
    assert_int_equal(dev_of(f)->inflight, 5);
    assert_int_equal(vrig_try_write(f->r, VIRTIO_MMIO_R_STATUS, 0), -EAGAIN);
    assert_int_equal(dev_of(f)->inflight, 4);
    disk_fault_let_go();
    vrig_write(f->r, VIRTIO_MMIO_R_STATUS, 0);
    assert_int_equal(disk_fault_count(DISK_READ), 4);
    end(f);
}

static void a_queue_is_reset_and_the_others_served(void **state)
{
    struct fix *f = started_with(F_RESET, 2);
    struct vring *other = &f->r->rings[1];
    struct timespec nap = {.tv_nsec = 100000};

    disk_fault_hang(DISK_WRITE);
    kick(f, 0, OUT, 512, false);
    disk_fault_wait_hanging(DISK_WRITE, 1);
    vrig_write(f->r, VIRTIO_MMIO_R_QUEUE_SEL, 0);
    assert_int_equal(vrig_try_write(f->r, VIRTIO_MMIO_R_QUEUE_RESET, 1), 0);
    assert_int_equal(vrig_read(f->r, VIRTIO_MMIO_R_QUEUE_RESET), 1);
    offer(f, other, 8, FLUSH, 0, 0, false);
    vring_kick(f->r, other);
    assert_int_equal(vring_take(f->r, other, NULL), 1);
    assert_int_equal(status_of(f, 8), OK);
    assert_int_equal(vrig_read(f->r, VIRTIO_MMIO_R_QUEUE_RESET), 1);
    disk_fault_let_go();
    while (vrig_read(f->r, VIRTIO_MMIO_R_QUEUE_RESET) != 0)
        nanosleep(&nap, NULL);
    assert_int_equal(status_of(f, 0), NONE);
    assert_int_equal(vrig_read(f->r, VIRTIO_MMIO_R_QUEUE_READY), 0);
    f->q = vrig_queue(f->r, 0, 16);
    assert_int_equal(run(f, IN, 0, 512, true), OK);
    end(f);
}

static void a_machine_is_told_when_it_may_be_reset(void **state)
{
    struct fix *f = started_with(0, 1);

    assert_true(f->r->dev->type->reset_begin(f->r->dev));
    restart(f);
    disk_fault_hang(DISK_SYNC);
    kick(f, 0, FLUSH, 0, false);
    disk_fault_wait_hanging(DISK_SYNC, 1);
    machine_lock(&f->r->lock);
    assert_false(f->r->dev->type->reset_begin(f->r->dev));
    machine_unlock(&f->r->lock);
    vrig_run_for_ms(f->r, 10);
    assert_int_equal(f->r->calm, 0);
    disk_fault_let_go();
    vrig_run_until(f->r, &f->r->calm, 1);
    assert_int_equal(f->r->calm, 1);
    end(f);
}

static void *let_go_later(void *arg)
{
    nanosleep(&(struct timespec){.tv_nsec = 30000000}, NULL);
    disk_fault_let_go();
    return NULL;
}

static void freeing_waits_for_what_is_in_flight(void **state)
{
    struct fix *f = started_with(0, 1);
    pthread_t t;

    disk_fault_hang(DISK_READ);
    kick(f, 0, IN, 4096, true);
    disk_fault_wait_hanging(DISK_READ, 1);
    assert_int_equal(pthread_create(&t, NULL, let_go_later, NULL), 0);
    dev_free(f->r->dev);
    f->r->dev = NULL;
    pthread_join(t, NULL);
    end(f);
}

/* --- Quiesce --- */

static void quiesce_waits_for_what_is_in_flight_and_takes_nothing_new(void **state)
{
    struct fix *f = started_with(0, 1);

    assert_int_equal(ops(f)->quiesce(f->r->dev), 0);
    ops(f)->unquiesce(f->r->dev);

    disk_fault_hang(DISK_READ);
    kick(f, 0, IN, 512, true);
    disk_fault_wait_hanging(DISK_READ, 1);
    assert_int_equal(ops(f)->quiesce(f->r->dev), 1);
    /* The guest runs and asks for more: that stays in the ring. */
    kick(f, 4, IN, 512, true);
    vrig_run_for_ms(f->r, 20);
    assert_int_equal(f->r->drained, 0);
    disk_fault_let_go();
    vrig_run_until(f->r, &f->r->drained, 1);
    vrig_run_for_ms(f->r, 20);
    assert_int_equal(f->r->drained, 1);
    assert_int_equal(vring_used(f->r, f->q), 1);
    assert_int_equal(f->r->irqs, 1); /* the guest was told */
    assert_int_equal(dev_of(f)->queues[0].last_avail, 1);

    /* Resumed here after all. */
    ops(f)->resume(f->r->dev);
    assert_int_equal(vring_used(f->r, f->q), 1);
    ops(f)->unquiesce(f->r->dev);
    assert_int_equal(vring_take(f->r, f->q, NULL), 513);
    assert_int_equal(vring_take(f->r, f->q, NULL), 513);
    assert_int_equal(status_of(f, 4), OK);
    end(f);
}

static void what_no_worker_has_begun_goes_back_to_the_ring(void **state)
{
    struct fix *f = started_with(0, 1);

    disk_fault_hang(DISK_READ);
    for (uint16_t at = 0; at < 15; at += 3)
        kick(f, at, IN, 512, true);
    disk_fault_wait_hanging(DISK_READ, 4);
    assert_int_equal(dev_of(f)->queues[0].last_avail, 5);
    assert_int_equal(ops(f)->quiesce(f->r->dev), 1);
    assert_int_equal(dev_of(f)->queues[0].last_avail, 4);
    assert_int_equal(dev_of(f)->inflight, 4);
    disk_fault_let_go();
    vrig_run_until(f->r, &f->r->drained, 1);
    assert_int_equal(((struct virtio_blk *)f->r->dev)->resubmit.count, 0);
    ops(f)->unquiesce(f->r->dev);
    for (unsigned i = 0; i < 5; i++)
        assert_int_equal(vring_take(f->r, f->q, NULL), 513);
    for (uint16_t at = 0; at < 15; at += 3)
        assert_int_equal(status_of(f, at), OK);
    end(f);
}

/* A long read, which cannot be popped again because of the flush behind it. */
static void what_takes_long_is_begun_anew_after_the_pause(void **state)
{
    struct fix *f = started_with(0, 1);
    struct virtio_blk *blk = (struct virtio_blk *)f->r->dev;
    enum { LONG = 8 << 20 };
    uint8_t *disk = malloc(LONG);

    assert_non_null(disk);
    fill(disk, LONG, 9);
    assert_int_equal(pwrite(f->fd, disk, LONG, 0), LONG);
    disk_fault_hang(DISK_READ);
    offer(f, f->q, 0, IN, 0, LONG, true);
    vring_kick(f->r, f->q);
    disk_fault_wait_hanging(DISK_READ, 1);
    disk_fault_hang(DISK_SYNC);
    kick(f, 4, FLUSH, 0, false);
    disk_fault_wait_hanging(DISK_SYNC, 1);
    assert_int_equal(ops(f)->quiesce(f->r->dev), 1);
    disk_fault_let_go();
    vrig_run_until(f->r, &f->r->drained, 1);
    assert_int_equal(f->r->drained, 1);
    assert_int_equal(blk->resubmit.count, 1);
    assert_int_equal(dev_of(f)->queues[0].in_use, 1);
    assert_int_equal(disk_fault_count(DISK_READ), 1);
    ops(f)->unquiesce(f->r->dev);
    assert_true(vring_take(f->r, f->q, NULL) > 0);
    assert_true(vring_take(f->r, f->q, NULL) > 0);
    assert_int_equal(status_of(f, 0), OK);
    assert_memory_equal(vrig_mem(f->r, DATA_GPA), disk, LONG);
    assert_int_equal(dev_of(f)->queues[0].in_use, 0);
    free(disk);
    end(f);
}

static void a_drain_that_was_called_off_is_not_reported(void **state)
{
    struct fix *f = started_with(0, 1);

    disk_fault_hang(DISK_READ);
    kick(f, 0, IN, 512, true);
    disk_fault_wait_hanging(DISK_READ, 1);
    assert_int_equal(ops(f)->quiesce(f->r->dev), 1);
    ops(f)->unquiesce(f->r->dev);
    disk_fault_let_go();
    assert_int_equal(vring_take(f->r, f->q, NULL), 513);
    vrig_run_for_ms(f->r, 20);
    assert_int_equal(f->r->drained, 0);
    end(f);
}

/* --- Cost --- */

/* The same mebibyte, again and again. */
static int read_parts(struct fix *f, uint32_t parts)
{
    uint64_t table_gpa = VRIG_RAM_GPA + 0x10000;

    le32_store(vrig_mem(f->r, HEADER_GPA), IN);
    le64_store(vrig_mem(f->r, HEADER_GPA + 8), 0);
    *vrig_mem(f->r, STATUS_GPA) = NONE;
    vring_at(f->r, table_gpa, 0, HEADER_GPA, 16, DESC_NEXT, 1);
    for (uint32_t i = 1; i <= parts; i++)
        vring_at(f->r, table_gpa, i, DATA_GPA, 1 << 20, DESC_NEXT | DESC_WRITE, (uint16_t)(i + 1));
    vring_at(f->r, table_gpa, parts + 1, STATUS_GPA, 1, DESC_WRITE, 0);
    vring_desc(f->r, f->q, 0, table_gpa, 16 * (parts + 2), DESC_INDIRECT, 0);
    vring_offer(f->r, f->q, 0);
    vring_kick(f->r, f->q);
    assert_true(vring_take(f->r, f->q, NULL) >= 0);
    return status_of(f, 0);
}

static void a_request_for_more_than_all_memory_is_refused(void **state)
{
    struct fix *f = fix_new_of(false, false, 1, 2 * VRIG_RAM_BYTES);
    uint32_t parts = VRIG_RAM_BYTES >> 20;

    disk_fault_reset();
    vrig_start(f->r, F_FLUSH | VIRTIO_BIT(VIRTIO_F_INDIRECT_DESC), 1, 16);
    f->q = &f->r->rings[0];
    assert_int_equal(read_parts(f, parts + 1), IOERR);
    assert_int_equal(disk_fault_count(DISK_READ), 0);
    assert_int_equal(read_parts(f, parts), OK);
    end(f);
}

static void only_so_many_are_in_flight(void **state)
{
    enum { NUM = 256, QUEUES = 4, LIMIT = 256 };
    struct fix *f = started_with(0, QUEUES);

    vrig_start(f->r, F_FLUSH | F_MQ, QUEUES, NUM);
    disk_fault_hang(DISK_SYNC);
    for (unsigned i = 0; i < QUEUES; i++) {
        f->q = &f->r->rings[i];
        for (unsigned k = 0; k < NUM; k++)
            offer(f, f->q, 0, FLUSH, 0, 0, false);
        vring_kick(f->r, f->q);
    }
    vrig_run_for_ms(f->r, 20);
    assert_int_equal(dev_of(f)->inflight, LIMIT);
    disk_fault_let_go();
    for (unsigned i = 0; i < QUEUES; i++) {
        for (unsigned ms = 0; ms < 5000 && vring_used(f->r, &f->r->rings[i]) < NUM; ms++)
            vrig_run_for_ms(f->r, 1);
        assert_int_equal(vring_used(f->r, &f->r->rings[i]), NUM);
    }
    end(f);
}

/* --- Failures --- */

static struct fix *started_for(enum config_on_error on_read, enum config_on_error on_write)
{
    struct fix *f = started_with(0, 1);
    struct virtio_blk *blk = (struct virtio_blk *)f->r->dev;

    blk->on_read_error = on_read;
    blk->on_write_error = on_write;
    return f;
}

static void expect_error(struct fix *f, bool write, enum virtio_blk_action action, int errnum)
{
    vrig_run_until(f->r, &f->errors, 1);
    assert_int_equal(f->errors, 1);
    assert_ptr_equal(f->error.block, f->block);
    assert_int_equal(f->error.write, write);
    assert_int_equal(f->error.action, action);
    assert_int_equal(f->error.errnum, errnum);
}

static void an_error_is_answered_as_the_operator_wants(void **state)
{
    static const struct {
        enum config_on_error on_error;
        int errnum;
        enum virtio_blk_action action;
    } cases[] = {
        {CONFIG_ON_ERROR_REPORT, ENOSPC, VIRTIO_BLK_REPORT},
        {CONFIG_ON_ERROR_IGNORE, EIO, VIRTIO_BLK_IGNORE},
        {CONFIG_ON_ERROR_ENOSPC, EIO, VIRTIO_BLK_REPORT},
        {CONFIG_ON_ERROR_ENOSPC, ENOSPC, VIRTIO_BLK_STOP},
        {CONFIG_ON_ERROR_ENOSPC, EDQUOT, VIRTIO_BLK_STOP},
        {CONFIG_ON_ERROR_ENOSPC, EFBIG, VIRTIO_BLK_STOP},
        {CONFIG_ON_ERROR_STOP, EIO, VIRTIO_BLK_STOP},
    };
    static const struct {
        uint32_t type;
        enum disk_call call;
    } kinds[] = {{IN, DISK_READ}, {OUT, DISK_WRITE}, {DISCARD, DISK_ALLOCATE}};

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        for (size_t k = 0; k < sizeof(kinds) / sizeof(kinds[0]); k++) {
            bool write = kinds[k].type != IN;
            struct fix *f = started_for(write ? CONFIG_ON_ERROR_REPORT : cases[i].on_error,
                                        write ? cases[i].on_error : CONFIG_ON_ERROR_REPORT);
            bool stops = cases[i].action == VIRTIO_BLK_STOP;

            memset(vrig_mem(f->r, DATA_GPA), 0, 16);
            *vrig_mem(f->r, DATA_GPA + 8) = 8; /* sectors of the range */
            disk_fault_fail(kinds[k].call, cases[i].errnum, 0, 1);
            offer(f, f->q, 0, kinds[k].type, 0, kinds[k].type == DISCARD ? 16 : 512, !write);
            vring_kick(f->r, f->q);
            expect_error(f, write, cases[i].action, cases[i].errnum);
            assert_int_equal(vring_used(f->r, f->q), !stops);
            assert_int_equal(status_of(f, 0), stops                                  ? NONE
                                              : cases[i].action == VIRTIO_BLK_REPORT ? IOERR
                                                                                     : OK);
            retry(f);
            assert_true(vring_take(f->r, f->q, NULL) > 0);
            assert_int_equal(f->errors, 1);
            if (stops)
                assert_int_equal(status_of(f, 0), OK);
            end(f);
        }
}

/* Each time the guest goes on; and the other queue entries wait for nothing. */
static void a_request_is_tried_until_it_succeeds(void **state)
{
    struct fix *f = started_for(CONFIG_ON_ERROR_REPORT, CONFIG_ON_ERROR_STOP);
    uint8_t got[512];

    fill(vrig_mem(f->r, data_of(0)), 512, 4);
    disk_fault_fail(DISK_WRITE, EIO, 0, 3);
    kick(f, 0, OUT, 512, false);
    for (int i = 1; i <= 3; i++) {
        vrig_run_until(f->r, &f->errors, i);
        assert_int_equal(f->errors, i);
        assert_int_equal(vring_used(f->r, f->q), 0);
        /* A migration that comes to nothing does not try it. */
        assert_int_equal(ops(f)->quiesce(f->r->dev), 0);
        ops(f)->unquiesce(f->r->dev);
        assert_int_equal(dev_of(f)->inflight, 0);
        retry(f);
    }
    assert_int_equal(vring_take(f->r, f->q, NULL), 1);
    assert_int_equal(status_of(f, 0), OK);
    assert_int_equal(pread(f->fd, got, sizeof(got), 0), sizeof(got));
    assert_memory_equal(got, vrig_mem(f->r, data_of(0)), sizeof(got));
    end(f);
}

static void a_reset_forgets_what_failed(void **state)
{
    struct fix *f = started_for(CONFIG_ON_ERROR_REPORT, CONFIG_ON_ERROR_STOP);

    disk_fault_fail(DISK_WRITE, EIO, 0, 1);
    kick(f, 0, OUT, 512, false);
    vrig_run_until(f->r, &f->errors, 1);
    restart(f);
    retry(f);
    assert_int_equal(dev_of(f)->inflight, 0);
    assert_int_equal(run(f, OUT, 0, 512, false), OK);
    end(f);
}

/* A driver that does not flush has its writes flushed: what fails is the write. */
static void a_failed_flush_fails_what_needs_it(void **state)
{
    struct fix *f = started_for(CONFIG_ON_ERROR_REPORT, CONFIG_ON_ERROR_REPORT);

    disk_fault_fail(DISK_SYNC, EIO, 0, 1);
    assert_int_equal(run(f, FLUSH, 0, 0, false), IOERR);
    assert_int_equal(run(f, FLUSH, 0, 0, false), IOERR);
    assert_int_equal(run(f, OUT, 0, 512, false), OK);
    vrig_start(f->r, 0, 1, 16);
    f->q = &f->r->rings[0];
    assert_int_equal(run(f, OUT, 0, 512, false), IOERR);
    end(f);
}

static void errors_do_not_flood_the_operator(void **state)
{
    struct fix *f = started_for(CONFIG_ON_ERROR_REPORT, CONFIG_ON_ERROR_REPORT);

    disk_fault_fail(DISK_READ, EIO, 0, 100);
    for (unsigned i = 0; i < 100; i++) {
        assert_int_equal(run(f, IN, 0, 512, true), IOERR);
        vrig_run_for_ms(f->r, 1);
    }
    /* Of a test that took some 100 ms; the first is always told. */
    assert_in_range(f->errors, 1, 5);
    end(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_reset_lasts_as_long_as_what_is_in_flight),
        cmocka_unit_test(a_reset_happens_by_itself),
        cmocka_unit_test(what_no_worker_has_begun_does_not_delay_a_reset),
        cmocka_unit_test(a_queue_is_reset_and_the_others_served),
        cmocka_unit_test(a_machine_is_told_when_it_may_be_reset),
        cmocka_unit_test(freeing_waits_for_what_is_in_flight),
        cmocka_unit_test(quiesce_waits_for_what_is_in_flight_and_takes_nothing_new),
        cmocka_unit_test(what_no_worker_has_begun_goes_back_to_the_ring),
        cmocka_unit_test(what_takes_long_is_begun_anew_after_the_pause),
        cmocka_unit_test(a_drain_that_was_called_off_is_not_reported),
        cmocka_unit_test(a_request_for_more_than_all_memory_is_refused),
        cmocka_unit_test(only_so_many_are_in_flight),
        cmocka_unit_test(an_error_is_answered_as_the_operator_wants),
        cmocka_unit_test(a_request_is_tried_until_it_succeeds),
        cmocka_unit_test(a_reset_forgets_what_failed),
        cmocka_unit_test(a_failed_flush_fails_what_needs_it),
        cmocka_unit_test(errors_do_not_flood_the_operator),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
