/* SPDX-License-Identifier: Apache-2.0 */
/* An image whose host hangs, fails, or is asked for too much. */
#include "tests/unit.h"

#include <errno.h>
#include <poll.h>
#include <semaphore.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/nospace.h"
#include "lib/state/state.h"
#include "tests/vmm/backend/disk_fault.h"
#include "vmm/backend/bell.h"
#include "vmm/backend/block.h"
#include "vmm/machine/loop.h"

#define DISK_BYTES  (UINT64_C(256) << 20)
#define PIECE_BYTES (UINT64_C(1) << 20) /* the largest that is not looked up from */
#define WORKERS     4u

struct fix {
    struct block *block;
    char path[40];
};

struct waiting {
    struct block_request req; /* first */
    sem_t done;
};

static struct config_drive drive(struct fix *f)
{
    return (struct config_drive){
        .id = (char *)(uintptr_t) "d0", .path = f->path, .discard = true, .locking = true};
}

static int setup(void **state)
{
    struct fix *f = calloc(1, sizeof(*f));
    struct config_drive c;
    struct ferry_err err;
    int fd;

    assert_non_null(f);
    disk_fault_reset();
    strcpy(f->path, "/tmp/ferry-fault-XXXXXX");
    fd = mkstemp(f->path);
    assert_true(fd >= 0 && ftruncate(fd, DISK_BYTES) == 0);
    close(fd);
    c = drive(f);
    assert_int_equal(block_new(&f->block, &c, &err), 0);
    assert_int_equal(block_open(f->block, &err), 0);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fix *f = *state;

    disk_fault_reset();
    block_free(f->block);
    unlink(f->path);
    free(f);
    return 0;
}

static void wake(struct block_request *req)
{
    sem_post(&((struct waiting *)req)->done);
}

static void begin(struct block *b, struct waiting *w, struct block_request req)
{
    w->req = req;
    w->req.done = wake;
    sem_init(&w->done, 0, 0);
    block_submit(b, &w->req);
}

static int finish(struct waiting *w)
{
    sem_wait(&w->done);
    sem_destroy(&w->done);
    return w->req.result;
}

static int run(struct block *b, struct block_request req)
{
    struct waiting w;

    begin(b, &w, req);
    return finish(&w);
}

static const struct block_request flush = {.op = BLOCK_FLUSH};

/* --- A flush that fails --- */

static void a_failed_flush_is_not_forgotten(void **state)
{
    struct fix *f = *state;
    uint8_t data[512] = {1};
    struct iovec iov = {data, sizeof(data)};
    struct block_request write = {
        .op = BLOCK_WRITE, .fua = true, .length_bytes = 512, .iov = &iov, .iov_count = 1};
    struct config_drive c = drive(f);
    struct ferry_err err;

    disk_fault_fail(DISK_SYNC, EIO, 0, 1);
    assert_int_equal(run(f->block, flush), -EIO);
    /* The kernel would say yes now. */
    assert_int_equal(run(f->block, flush), -EIO);
    assert_int_equal(run(f->block, write), -EIO);
    iov = (struct iovec){data, sizeof(data)};
    write.fua = false;
    assert_int_equal(run(f->block, write), 0);
    assert_int_equal(run(f->block, flush), -EIO);
    assert_int_equal(disk_fault_count(DISK_SYNC), 1);
    /* Opened anew, what is there is what counts. */
    block_free(f->block);
    assert_int_equal(block_new(&f->block, &c, &err), 0);
    assert_int_equal(block_open(f->block, &err), 0);
    assert_int_equal(run(f->block, flush), 0);
}

/* The section of a drive, as a handover carries it, read by a drive that has or has not opened. */
static int flush_after_move(struct fix *f, bool opened_there)
{
    struct config_drive c = drive(f);
    struct ferry_part part = block_part(f->block), there_part;
    struct block *there;
    struct ferry_err err = {0};
    struct buf out = {0};
    struct rd in;
    int fd, rc;

    c.locking = false;
    assert_true(part.table->needed(part.obj));
    assert_int_equal(state_save(part.table, part.obj, &out, NULL, &err), 0);
    assert_int_equal(block_new(&there, &c, &err), 0);
    there_part = block_part(there);
    if (opened_there) {
        assert_int_equal(block_open(there, &err), 0);
    } else {
        struct ferry_named_fd image;

        assert_int_equal(part.ops->fd_at(part.obj, 0, &image), 0);
        fd = dup(image.fd);
        assert_int_equal(there_part.ops->adopt(there_part.obj, "d0/image", &fd, &err), 0);
    }
    in = rd_make(out.data, out.len_bytes);
    assert_int_equal(
        state_load(there_part.table, there_part.obj, there_part.obj_bytes, 1, &in, &err), 0);
    buf_free(&out);
    rc = run(there, flush);
    assert_int_equal(block_io_status(there), BLOCK_IO_FAILED);
    block_free(there);
    return rc;
}

static void a_failed_flush_goes_with_the_open_image(void **state)
{
    struct fix *f = *state;
    struct ferry_part part = block_part(f->block);

    assert_false(part.table->needed(part.obj));
    disk_fault_fail(DISK_SYNC, ENOSPC, 0, 1);
    assert_int_equal(run(f->block, flush), -ENOSPC);
    block_set_io_status(f->block, BLOCK_IO_FAILED);
    assert_int_equal(flush_after_move(f, false), -ENOSPC);
    assert_int_equal(flush_after_move(f, true), 0);
}

/* --- Before the image is given away --- */

static void heard(void *arg)
{
    loop_stop(arg);
}

/* Until the bell rings: what block_flush_result() says then. */
static int flushed(struct fix *f, struct loop *loop, struct ferry_err *err)
{
    loop_run(loop);
    return block_flush_result(f->block, err);
}

static void an_image_is_flushed_without_waiting(void **state)
{
    struct fix *f = *state;
    struct ferry_part part = block_part(f->block);
    struct loop *loop;
    struct bell *bell;
    struct ferry_err err;

    assert_int_equal(loop_new(&loop, &err), 0);
    assert_int_equal(bell_new(&bell, loop, heard, loop, &err), 0);
    block_flush_begin(f->block, bell);
    assert_int_equal(flushed(f, loop, &err), 0);
    assert_int_equal(disk_fault_count(DISK_SYNC), 1);

    disk_fault_hang(DISK_SYNC);
    block_flush_begin(f->block, bell);
    disk_fault_wait_hanging(DISK_SYNC, 1);
    assert_int_equal(block_flush_result(f->block, &err), 1);
    /* What was written since: one more, however often it is asked for. */
    block_flush_begin(f->block, bell);
    block_flush_begin(f->block, bell);
    assert_int_equal(block_flush_result(f->block, &err), 1);
    disk_fault_let_go();
    assert_int_equal(flushed(f, loop, &err), 0);
    assert_int_equal(disk_fault_count(DISK_SYNC), 3);

    /* A handover waits for it: its failure would be heard here, where the image is not any more. */
    assert_int_equal(part.ops->quiesce(part.obj), 0);
    disk_fault_hang(DISK_SYNC);
    block_flush_begin(f->block, bell);
    assert_int_equal(part.ops->quiesce(part.obj), 1);
    assert_false(block_drained(f->block));
    disk_fault_let_go();
    assert_int_equal(flushed(f, loop, &err), 0);
    assert_true(block_drained(f->block));
    assert_false(block_drained(f->block));
    part.ops->unquiesce(part.obj);

    disk_fault_fail(DISK_SYNC, EIO, 0, 1);
    block_flush_begin(f->block, bell);
    assert_int_equal(flushed(f, loop, &err), -EIO);
    assert_non_null(strstr(err.text, "drive \"d0\""));
    assert_non_null(strstr(err.text, "Input/output error"));
    block_flush_begin(f->block, bell);
    assert_int_equal(flushed(f, loop, &err), -EIO);

    /* Given away, it is not this side's to write. */
    block_give_lock(f->block, false);
    block_flush_begin(f->block, bell);
    assert_int_equal(block_flush_result(f->block, &err), 0);
    assert_int_equal(disk_fault_count(DISK_SYNC), 5);
    bell_free(bell);
    loop_free(loop);
}

/* Of two requests, the last one. */
static void a_bell_rings_when_a_drive_is_idle(void **state)
{
    struct fix *f = *state;
    struct waiting first, second;
    struct loop *loop;
    struct bell *bell;
    struct ferry_err err;

    assert_int_equal(loop_new(&loop, &err), 0);
    assert_int_equal(bell_new(&bell, loop, heard, loop, &err), 0);
    assert_true(block_is_idle(f->block, bell));
    disk_fault_hang(DISK_SYNC);
    begin(f->block, &first, flush);
    begin(f->block, &second, flush);
    disk_fault_wait_hanging(DISK_SYNC, 2);
    assert_false(block_is_idle(f->block, bell));
    disk_fault_let_go();
    loop_run(loop);
    assert_true(block_is_idle(f->block, bell));
    assert_int_equal(finish(&first), 0);
    assert_int_equal(finish(&second), 0);
    bell_free(bell);
    loop_free(loop);
}

/* --- Pieces --- */

static void a_write_that_is_cut_short_goes_on(void **state)
{
    struct fix *f = *state;
    uint8_t data[8192], back[8192];
    struct iovec iov = {data, sizeof(data)};
    struct block_request req = {
        .op = BLOCK_WRITE, .length_bytes = sizeof(data), .iov = &iov, .iov_count = 1};

    memset(data, 7, sizeof(data));
    disk_fault_short(1000);
    disk_fault_fail(DISK_WRITE, EINTR, 3, 1);
    assert_int_equal(run(f->block, req), 0);
    assert_int_equal(disk_fault_count(DISK_WRITE), 10);
    iov = (struct iovec){back, sizeof(back)};
    req.op = BLOCK_READ;
    assert_int_equal(run(f->block, req), 0);
    assert_memory_equal(back, data, sizeof(data));
}

static void what_a_write_could_not_store_is_its_result(void **state)
{
    static const int errors[] = {EIO, ENOSPC, EDQUOT, EFBIG};
    struct fix *f = *state;
    uint8_t data[4096] = {0};

    for (size_t i = 0; i < sizeof(errors) / sizeof(errors[0]); i++) {
        struct iovec iov = {data, sizeof(data)};
        struct block_request req = {
            .op = BLOCK_WRITE, .length_bytes = sizeof(data), .iov = &iov, .iov_count = 1};

        disk_fault_short(1000);
        disk_fault_fail(DISK_WRITE, errors[i], 2, 1);
        assert_int_equal(run(f->block, req), -errors[i]);
        assert_int_equal(is_nospace(errors[i]), errors[i] != EIO);
        disk_fault_fail(DISK_ALLOCATE, errors[i], 0, 1);
        assert_int_equal(
            run(f->block, (struct block_request){.op = BLOCK_WRITE_ZEROES, .length_bytes = 4096}),
            -errors[i]);
        disk_fault_fail(DISK_ALLOCATE, errors[i], 0, 1);
        assert_int_equal(
            run(f->block, (struct block_request){.op = BLOCK_DISCARD, .length_bytes = 4096}),
            -errors[i]);
    }
}

/* --- Cancelling --- */

static void what_no_worker_has_begun_comes_back_at_once(void **state)
{
    struct fix *f = *state;
    struct waiting busy[WORKERS], first, second;

    disk_fault_hang(DISK_SYNC);
    for (unsigned i = 0; i < WORKERS; i++)
        begin(f->block, &busy[i], flush);
    disk_fault_wait_hanging(DISK_SYNC, WORKERS);
    begin(f->block, &first, flush);
    begin(f->block, &second, flush);
    assert_true(block_cancel(f->block, &second.req));
    assert_false(block_cancel(f->block, &busy[0].req));
    begin(f->block, &second, flush); /* the end of the queue is where it was */
    disk_fault_let_go();
    for (unsigned i = 0; i < WORKERS; i++)
        assert_int_equal(finish(&busy[i]), 0); /* the host did it all the same */
    assert_int_equal(finish(&first), 0);
    assert_int_equal(finish(&second), 0);
}

/* One page of memory, as many times as it takes. */
static struct iovec *large_request(struct block_request *req, enum block_op op, uint8_t *memory)
{
    size_t parts = 1024;
    struct iovec *iov = calloc(parts, sizeof(*iov));

    assert_non_null(iov);
    for (size_t i = 0; i < parts; i++)
        iov[i] = (struct iovec){memory, 65536};
    *req = (struct block_request){
        .op = op, .length_bytes = parts * 65536, .iov = iov, .iov_count = parts};
    return iov;
}

static void a_long_request_ends_after_its_piece(void **state)
{
    static const struct {
        enum block_op op;
        enum disk_call call;
    } kinds[] = {{BLOCK_READ, DISK_READ},
                 {BLOCK_WRITE, DISK_WRITE},
                 {BLOCK_DISCARD, DISK_ALLOCATE},
                 {BLOCK_WRITE_ZEROES, DISK_ALLOCATE}};
    struct fix *f = *state;
    uint8_t *memory = calloc(1, 65536);

    assert_non_null(memory);
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        struct block_request req;
        struct iovec *iov = large_request(&req, kinds[i].op, memory);
        struct waiting w;

        if (kinds[i].call == DISK_ALLOCATE)
            req.length_bytes = DISK_BYTES;
        disk_fault_reset();
        disk_fault_hang(kinds[i].call);
        begin(f->block, &w, req);
        disk_fault_wait_hanging(kinds[i].call, 1);
        assert_false(block_cancel(f->block, &w.req));
        disk_fault_let_go();
        assert_int_equal(finish(&w), -ECANCELED);
        assert_int_equal(disk_fault_count(kinds[i].call), 1);
        free(iov);
    }
    free(memory);
}

static void no_call_moves_more_than_a_piece(void **state)
{
    struct fix *f = *state;
    uint8_t *memory =
        mmap(NULL, 64 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    struct iovec iov[3] = {{memory, 1}, {memory + 1, (64 << 20) - 512}, {memory, 511}};
    struct block_request req = {
        .op = BLOCK_READ, .length_bytes = 64 << 20, .iov = iov, .iov_count = 3};

    assert_int_equal(run(f->block, req), 0);
    assert_true(disk_fault_count(DISK_READ) >= (64 << 20) / PIECE_BYTES);
    munmap(memory, 64 << 20);
}

static void stopping_waits_for_nothing_that_hangs(void **state)
{
    struct fix *f = *state;
    struct waiting hangs, long_one;
    struct block_request req;
    uint8_t *memory = calloc(1, 65536);
    struct iovec *iov = large_request(&req, BLOCK_READ, memory);

    disk_fault_hang(DISK_SYNC);
    begin(f->block, &hangs, flush);
    disk_fault_wait_hanging(DISK_SYNC, 1);
    begin(f->block, &long_one, req);
    assert_false(block_stop(f->block, clock_monotonic_ns() + 10000000));
    (void)finish(&long_one);
    disk_fault_let_go();
    assert_int_equal(finish(&hangs), 0);
    assert_true(block_stop(f->block, INT64_MAX));
    assert_int_equal(run(f->block, flush), -ECANCELED);
    free(iov);
    free(memory);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(a_failed_flush_is_not_forgotten),
        TEST(a_failed_flush_goes_with_the_open_image),
        TEST(an_image_is_flushed_without_waiting),
        TEST(a_bell_rings_when_a_drive_is_idle),
        TEST(a_write_that_is_cut_short_goes_on),
        TEST(what_a_write_could_not_store_is_its_result),
        TEST(what_no_worker_has_begun_comes_back_at_once),
        TEST(a_long_request_ends_after_its_piece),
        TEST(no_call_moves_more_than_a_piece),
        TEST(stopping_waits_for_nothing_that_hangs),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
