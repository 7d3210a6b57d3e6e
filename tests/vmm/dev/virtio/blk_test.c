/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit.h"

#include <errno.h>
#include <fcntl.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/be.h"
#include "base/buf.h"
#include "lib/state/state.h"
#include "tests/vmm/dev/virtio/vrig.h"
#include "vmm/dev/virtio/blk.h"
#include "vmm/dev/virtio/mmio.h"

#define DISK_BYTES  (UINT64_C(16) << 20)
#define HEADER_GPA  (VRIG_RAM_GPA + 0x1000)
#define DATA_GPA    (VRIG_RAM_GPA + 0x100000)
#define STATUS_GPA  (VRIG_RAM_GPA + 0x2000)
#define WORKERS_MAX 16

enum { IN = 0, OUT = 1, SCSI = 2, FLUSH = 4, GET_ID = 8, DISCARD = 11, WRITE_ZEROES = 13 };
enum { OK = 0, IOERR = 1, UNSUPP = 2, NONE = 0xff };

#define F_RO         VIRTIO_BIT(5)
#define F_FLUSH      VIRTIO_BIT(9)
#define F_CONFIG_WCE VIRTIO_BIT(11)
#define F_MQ         VIRTIO_BIT(12)

struct fix {
    struct vrig *r;
    struct block *block;
    char path[40];
    int fd; /* of the image */
    struct vring *q;
    /* Requests that keep every worker of the disk busy until let go. */
    sem_t gate;
    struct block_request blockers[WORKERS_MAX];
};

static struct fix *fix_new(bool legacy, bool readonly, uint32_t num_queues)
{
    struct fix *f = calloc(1, sizeof(*f));
    struct config_drive config = {
        .id = (char *)(uintptr_t) "d0", .readonly = readonly, .discard = true, .locking = true};
    struct ferry_err err = {0};

    assert_non_null(f);
    strcpy(f->path, "/tmp/ferry-blk-XXXXXX");
    f->fd = mkstemp(f->path);
    assert_true(f->fd >= 0 && ftruncate(f->fd, DISK_BYTES) == 0);
    sem_init(&f->gate, 0, 0);
    f->r = vrig_new(legacy);
    f->r->config.num_queues = num_queues;
    f->r->config.serial = (char *)(uintptr_t) "serial-of-the-disk-is-long";
    config.path = f->path;
    assert_int_equal(block_new(&f->block, &config, &err), 0);
    assert_int_equal(block_open(f->block, &err), 0);
    assert_int_equal(virtio_blk_new(&f->r->dev, &f->r->params, f->block, &err), 0);
    return f;
}

static void fix_free(struct fix *f)
{
    dev_free(f->r->dev); /* waits for what is in flight */
    f->r->dev = NULL;
    block_free(f->block);
    vrig_free(f->r);
    close(f->fd);
    unlink(f->path);
    sem_destroy(&f->gate);
    free(f);
}

static struct fix *started(bool legacy, uint64_t features)
{
    struct fix *f = fix_new(legacy, false, 1);

    vrig_start(f->r, features, 1, 16);
    f->q = &f->r->rings[0];
    return f;
}

static uint64_t data_of(uint16_t at)
{
    return DATA_GPA + at * 0x10000u;
}

/* Offer a request with `bytes` of data at data_of(at), in descriptors at, at + 1, at + 2. */
static void offer(struct fix *f, struct vring *q, uint16_t at, uint32_t type, uint64_t sector,
                  uint32_t bytes, bool to_guest)
{
    uint64_t header_gpa = HEADER_GPA + at * 16u, status_gpa = STATUS_GPA + at;
    uint8_t *header = vrig_mem(f->r, header_gpa);
    uint16_t status = at + 2u;

    le32_store(header, type);
    le32_store(header + 4, 0);
    le64_store(header + 8, sector);
    *vrig_mem(f->r, status_gpa) = NONE;
    vring_desc(f->r, q, at, header_gpa, 16, DESC_NEXT, bytes ? at + 1 : status);
    if (bytes)
        vring_desc(f->r, q, at + 1, data_of(at), bytes, DESC_NEXT | (to_guest ? DESC_WRITE : 0),
                   status);
    vring_desc(f->r, q, status, status_gpa, 1, DESC_WRITE, 0);
    vring_offer(f->r, q, at);
}

static int run(struct fix *f, uint32_t type, uint64_t sector, uint32_t bytes, bool to_guest)
{
    offer(f, f->q, 0, type, sector, bytes, to_guest);
    vring_kick(f->r, f->q);
    assert_int_equal(vring_take(f->r, f->q, NULL), (to_guest ? bytes : 0) + 1);
    return *vrig_mem(f->r, STATUS_GPA);
}

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

static void fill(uint8_t *p, size_t n, unsigned seed)
{
    for (size_t i = 0; i < n; i++)
        p[i] = (uint8_t)(seed + i * 7 + i / 251);
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

/* --- While the host is slow --- */

static void wait_at_gate(struct block_request *req)
{
    /* `iov` is not used by a flush: it leads to the gate. */
    sem_wait((sem_t *)(void *)req->iov);
}

static void block_workers(struct fix *f)
{
    for (unsigned i = 0; i < WORKERS_MAX; i++) {
        f->blockers[i] = (struct block_request){
            .op = BLOCK_FLUSH, .iov = (struct iovec *)(void *)&f->gate, .done = wait_at_gate};
        block_submit(f->block, &f->blockers[i]);
    }
}

static void release_workers(struct fix *f)
{
    for (unsigned i = 0; i < WORKERS_MAX; i++)
        sem_post(&f->gate);
}

static const struct ferry_part_ops *ops(struct fix *f)
{
    return f->r->dev->type->part_ops;
}

static void quiesce_waits_for_what_is_in_flight_and_takes_nothing_new(void **state)
{
    struct fix *f = started(true, F_FLUSH);

    assert_int_equal(ops(f)->quiesce(f->r->dev), 0);
    ops(f)->unquiesce(f->r->dev);

    block_workers(f);
    offer(f, f->q, 0, IN, 0, 512, true);
    vring_kick(f->r, f->q);
    assert_int_equal(ops(f)->quiesce(f->r->dev), 1);
    /* The guest runs and asks for more: that stays in the ring. */
    offer(f, f->q, 4, IN, 0, 512, true);
    vring_kick(f->r, f->q);
    vrig_run_for_ms(f->r, 20);
    assert_int_equal(f->r->drained, 0);
    release_workers(f);
    vrig_run_until(f->r, &f->r->drained, 1);
    assert_int_equal(f->r->drained, 1);
    vrig_run_for_ms(f->r, 20);
    assert_int_equal(f->r->drained, 1);
    assert_int_equal(vring_used(f->r, f->q), 1);
    assert_int_equal(f->r->irqs, 1); /* the guest was told */
    assert_int_equal(((struct virtio_dev *)f->r->dev)->queues[0].last_avail, 1);

    /* Resumed here after all. */
    ops(f)->resume(f->r->dev);
    assert_int_equal(vring_used(f->r, f->q), 1);
    ops(f)->unquiesce(f->r->dev);
    assert_int_equal(vring_take(f->r, f->q, NULL), 513);
    assert_int_equal(vring_take(f->r, f->q, NULL), 513);
    assert_int_equal(*vrig_mem(f->r, STATUS_GPA + 4), OK);
    fix_free(f);
}

static void a_drain_that_was_called_off_is_not_reported(void **state)
{
    struct fix *f = started(true, F_FLUSH);

    block_workers(f);
    offer(f, f->q, 0, IN, 0, 512, true);
    vring_kick(f->r, f->q);
    assert_int_equal(ops(f)->quiesce(f->r->dev), 1);
    ops(f)->unquiesce(f->r->dev);
    release_workers(f);
    assert_int_equal(vring_take(f->r, f->q, NULL), 513);
    vrig_run_for_ms(f->r, 20);
    assert_int_equal(f->r->drained, 0);
    fix_free(f);
}

static void *release_later(void *arg)
{
    struct timespec nap = {.tv_nsec = 30000000};

    nanosleep(&nap, NULL);
    release_workers(arg);
    return NULL;
}

static void a_reset_waits_for_what_is_in_flight(void **state)
{
    struct fix *f = started(true, F_FLUSH);
    pthread_t t;

    fill(vrig_mem(f->r, DATA_GPA), 4096, 5);
    block_workers(f);
    offer(f, f->q, 0, IN, 0, 4096, true);
    vring_kick(f->r, f->q);
    assert_int_equal(pthread_create(&t, NULL, release_later, f), 0);
    vrig_write(f->r, VIRTIO_MMIO_R_STATUS, 0);
    /* From here on nobody writes to what the request named. */
    assert_int_equal(((struct virtio_dev *)f->r->dev)->inflight, 0);
    assert_int_equal(*vrig_mem(f->r, DATA_GPA), 0);
    pthread_join(t, NULL);
    vrig_start(f->r, F_FLUSH, 1, 16);
    f->q = &f->r->rings[0];
    assert_int_equal(run(f, IN, 0, 512, true), OK);
    fix_free(f);
}

static void freeing_waits_for_what_is_in_flight(void **state)
{
    struct fix *f = started(true, F_FLUSH);
    pthread_t t;

    block_workers(f);
    offer(f, f->q, 0, IN, 0, 4096, true);
    vring_kick(f->r, f->q);
    assert_int_equal(pthread_create(&t, NULL, release_later, f), 0);
    dev_free(f->r->dev);
    f->r->dev = NULL;
    pthread_join(t, NULL);
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
        cmocka_unit_test(quiesce_waits_for_what_is_in_flight_and_takes_nothing_new),
        cmocka_unit_test(a_drain_that_was_called_off_is_not_reported),
        cmocka_unit_test(a_reset_waits_for_what_is_in_flight),
        cmocka_unit_test(freeing_waits_for_what_is_in_flight),
        cmocka_unit_test(a_kick_before_the_move_is_served_after_it),
        cmocka_unit_test(requests_the_sender_could_not_finish_are_done_here),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
