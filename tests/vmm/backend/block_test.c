/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit.h"

#include <errno.h>
#include <fcntl.h>
#include <semaphore.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "vmm/backend/block.h"
#include "vmm/backend/block_file.h"

#define DISK_BYTES (UINT64_C(4) << 20)

struct fix {
    char dir[32];
    char path[64];
};

static int setup(void **state)
{
    struct fix *f = calloc(1, sizeof(*f));

    assert_non_null(f);
    strcpy(f->dir, "/tmp/ferry-block-XXXXXX");
    assert_non_null(mkdtemp(f->dir));
    snprintf(f->path, sizeof(f->path), "%s/d.img", f->dir);
    assert_int_equal(close(open(f->path, O_RDWR | O_CREAT, 0600)), 0);
    assert_int_equal(truncate(f->path, DISK_BYTES), 0);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fix *f = *state;

    unlink(f->path);
    rmdir(f->dir);
    free(f);
    return 0;
}

static struct config_drive drive(struct fix *f)
{
    return (struct config_drive){
        .id = (char *)(uintptr_t) "d0", .path = f->path, .discard = true, .locking = true};
}

static struct block *open_ok(struct config_drive config)
{
    struct block *b;
    struct ferry_err err = {0};

    assert_int_equal(block_new(&b, &config, &err), 0);
    if (block_open(b, &err) < 0)
        fail_msg("%s", err.text);
    return b;
}

static void open_fails(struct config_drive config, const char *text)
{
    struct block *b;
    struct ferry_err err = {0};

    assert_int_equal(block_new(&b, &config, &err), 0);
    assert_true(block_open(b, &err) < 0);
    if (!strstr(err.text, text) || !strstr(err.text, "drive \"d0\""))
        fail_msg("\"%s\" does not say \"%s\"", err.text, text);
    assert_int_equal(block_size_bytes(b), 0);
    block_free(b);
}

struct waiting {
    struct block_request req; /* first */
    sem_t done;
};

static void wake(struct block_request *req)
{
    sem_post(&((struct waiting *)req)->done);
}

static int run(struct block *b, struct block_request req)
{
    struct waiting w = {.req = req};

    sem_init(&w.done, 0, 0);
    w.req.done = wake;
    block_submit(b, &w.req);
    while (sem_wait(&w.done) < 0)
        ;
    sem_destroy(&w.done);
    return w.req.result;
}

static int transfer(struct block *b, enum block_op op, uint64_t offset, void *data, size_t n)
{
    struct iovec iov = {data, n};

    return run(
        b, (struct block_request){
               .op = op, .offset_bytes = offset, .length_bytes = n, .iov = &iov, .iov_count = 1});
}

static void fill(uint8_t *p, size_t n, unsigned seed)
{
    for (size_t i = 0; i < n; i++)
        p[i] = (uint8_t)(seed + i * 13 + i / 255);
}

static void resize(const struct fix *f, uint64_t bytes)
{
    assert_int_equal(truncate(f->path, (off_t)bytes), 0);
}

/* --- Images that cannot be --- */

static void images_that_cannot_be_are_refused(void **state)
{
    struct fix *f = *state;
    struct config_drive c = drive(f);

    resize(f, 0);
    open_fails(c, "is empty");
    resize(f, 511);
    open_fails(c, "multiple of 512");
    resize(f, 513);
    open_fails(c, "truncate -s %512");
    resize(f, 512);
    block_free(open_ok(c));
    c.path = f->dir;
    c.readonly = true;
    open_fails(c, "neither a file nor a block device");
    c.path = (char *)(uintptr_t) "/dev/null";
    open_fails(c, "neither a file nor a block device");
    c.path = (char *)(uintptr_t) "/nonexistent/d.img";
    open_fails(c, "No such file");
    c = drive(f);
    unlink(f->path);
    assert_int_equal(mkfifo(f->path, 0600), 0);
    open_fails(c, "neither a file nor a block device");
}

static void an_id_must_fit_a_name(void **state)
{
    struct config_drive c = drive(*state);
    struct ferry_err err = {0};
    struct block *b = NULL;
    char id[100];

    memset(id, 'x', sizeof(id) - 1);
    id[sizeof(id) - 1] = 0;
    c.id = id;
    assert_int_equal(block_new(&b, &c, &err), -ENAMETOOLONG);
    assert_null(b);
}

/* --- Requests --- */

static void requests_outside_are_refused(void **state)
{
    struct config_drive c = drive(*state);
    struct block *b = open_ok(c);
    uint8_t data[1024];

    assert_int_equal(transfer(b, BLOCK_READ, DISK_BYTES - 512, data, 1024), -EINVAL);
    assert_int_equal(transfer(b, BLOCK_WRITE, DISK_BYTES, data, 512), -EINVAL);
    assert_int_equal(transfer(b, BLOCK_WRITE, UINT64_MAX - 511, data, 512), -EINVAL);
    assert_int_equal(transfer(b, BLOCK_READ, DISK_BYTES - 512, data, 512), 0);
    block_free(b);
    c.readonly = true;
    b = open_ok(c);
    assert_true(block_readonly(b));
    assert_int_equal(transfer(b, BLOCK_WRITE, 0, data, 512), -EROFS);
    assert_int_equal(run(b, (struct block_request){.op = BLOCK_DISCARD, .length_bytes = 512}),
                     -EROFS);
    assert_int_equal(run(b, (struct block_request){.op = BLOCK_FLUSH}), 0);
    block_free(b);
    assert_int_equal(block_new(&b, &c, NULL), 0);
    assert_int_equal(transfer(b, BLOCK_READ, 0, data, 512), -ENOMEDIUM);
    block_free(b);
}

/* Every offset and length of a sector grid, memory at odd addresses, in two parts. */
static void pieces(struct block *b, uint8_t *model)
{
    uint8_t *data = malloc(32768 + 1);
    unsigned seed = 0;

    assert_non_null(data);
    for (uint64_t offset = 0; offset < 16384; offset += 512) {
        for (size_t n = 512; n <= 16384; n += 512 * 5) {
            uint8_t *odd = data + 1;
            struct iovec iov[2] = {{odd, n / 3}, {odd + n / 3, n - n / 3}};
            struct block_request req = {.op = BLOCK_WRITE,
                                        .offset_bytes = offset,
                                        .length_bytes = n,
                                        .iov = iov,
                                        .iov_count = 2};
            struct iovec again[2] = {iov[0], iov[1]};

            fill(odd, n, ++seed);
            memcpy(model + offset, odd, n);
            assert_int_equal(run(b, req), 0);
            memset(odd, 0, n);
            req.op = BLOCK_READ;
            req.iov = again;
            assert_int_equal(run(b, req), 0);
            assert_memory_equal(odd, model + offset, n);
        }
    }
    assert_int_equal(transfer(b, BLOCK_READ, 0, data, 32768), 0);
    assert_memory_equal(data, model, 32768);
    free(data);
}

static void any_piece_can_be_written_and_read(void **state)
{
    struct config_drive c = drive(*state);
    uint8_t *model = calloc(1, 32768);
    struct block *b;
    struct ferry_err err = {0};

    assert_non_null(model);
    b = open_ok(c);
    pieces(b, model);
    block_free(b);

    /* The same around the page cache, where the file system can. */
    c.direct = true;
    assert_int_equal(block_new(&b, &c, &err), 0);
    if (block_open(b, &err) == 0)
        pieces(b, model);
    else
        assert_non_null(strstr(err.text, "without O_DIRECT"));
    block_free(b);
    free(model);
}

static void a_bounced_request_may_be_longer_than_the_bounce_buffer(void **state)
{
    struct config_drive c = drive(*state);
    size_t n = 3u << 20;
    uint8_t *data = malloc(n + 1), *back = malloc(n);
    struct ferry_err err = {0};
    struct block *b;

    assert_true(data && back);
    c.direct = true;
    assert_int_equal(block_new(&b, &c, &err), 0);
    if (block_open(b, &err) == 0) {
        fill(data + 1, n, 5);
        assert_int_equal(transfer(b, BLOCK_WRITE, 512 * 3, data + 1, n), 0);
        assert_int_equal(transfer(b, BLOCK_READ, 512 * 3, back, n), 0);
        assert_memory_equal(back, data + 1, n);
    }
    block_free(b);
    free(data);
    free(back);
}

static void blocks_that_are_written_in_part_keep_the_rest(void **state)
{
    struct fix *f = *state;
    struct config_drive c = drive(f);
    struct ferry_err err = {0};
    struct block_file file;
    struct iovec all;
    struct block_request read_all = {
        .op = BLOCK_READ, .length_bytes = 32768, .iov = &all, .iov_count = 1};
    uint8_t model[32768] = {0}, data[32768];
    unsigned seed = 0;

    c.direct = true;
    assert_int_equal(block_file_init(&file, &c, &err), 0);
    if (block_file_open(&file, f->path, true, true, &err) < 0)
        skip();
    file.align_bytes = 4096; /* a host with 4 KiB sectors, this one may have 512 */
    for (uint64_t offset = 0; offset < 9000; offset += 512) {
        for (size_t n = 512; n <= 9216; n += 512) {
            struct iovec iov = {data, n};
            struct block_request req = {.op = BLOCK_WRITE,
                                        .offset_bytes = offset,
                                        .length_bytes = n,
                                        .iov = &iov,
                                        .iov_count = 1};

            fill(data, n, ++seed);
            memcpy(model + offset, data, n);
            assert_int_equal(block_file_do(&file, &req), 0);
        }
    }
    all = (struct iovec){data, sizeof(data)};
    assert_int_equal(block_file_do(&file, &read_all), 0);
    assert_memory_equal(data, model, sizeof(model));
    block_file_close(&file);
}

static void direct_needs_a_size_that_fits(void **state)
{
    struct fix *f = *state;
    struct config_drive c = drive(f);
    struct ferry_err err = {0};
    struct block *b;

    c.direct = true;
    resize(f, 512 * 7);
    assert_int_equal(block_new(&b, &c, &err), 0);
    /* Fine where the host works with 512 bytes; else refused with what to do. */
    if (block_open(b, &err) < 0)
        assert_true(strstr(err.text, "rounds it up") || strstr(err.text, "without O_DIRECT"));
    block_free(b);
}

static void ranges_read_zero_after_write_zeroes(void **state)
{
    static const uint8_t zero[8192];
    struct config_drive c = drive(*state);

    for (int direct = 0; direct < 2; direct++) {
        struct ferry_err err = {0};
        struct block *b;

        c.direct = direct;
        assert_int_equal(block_new(&b, &c, &err), 0);
        for (int unmap = 0; block_open(b, &err) == 0 && unmap < 2; unmap++) {
            uint8_t data[16384], back[16384];
            struct block_request req = {.op = BLOCK_WRITE_ZEROES,
                                        .unmap = unmap,
                                        .offset_bytes = 512 * 3,
                                        .length_bytes = 8192};

            fill(data, sizeof(data), 1);
            assert_int_equal(transfer(b, BLOCK_WRITE, 0, data, sizeof(data)), 0);
            assert_int_equal(run(b, req), 0);
            memcpy(data + 512 * 3, zero, 8192);
            assert_int_equal(transfer(b, BLOCK_READ, 0, back, sizeof(back)), 0);
            assert_memory_equal(back, data, sizeof(data));
            block_free(b);
            assert_int_equal(block_new(&b, &c, &err), 0);
        }
        block_free(b);
    }
}

static void a_file_that_became_shorter_reads_zeros(void **state)
{
    struct fix *f = *state;
    struct block *b = open_ok(drive(f));
    uint8_t data[4096];

    memset(data, 1, sizeof(data));
    resize(f, 2048);
    assert_int_equal(transfer(b, BLOCK_READ, 1024, data, sizeof(data)), 0);
    for (size_t i = 0; i < sizeof(data); i++)
        assert_int_equal(data[i], 0);
    block_free(b);
}

/* --- The lock --- */

static void a_second_writer_is_refused(void **state)
{
    struct config_drive c = drive(*state), r = drive(*state), unlocked = drive(*state);
    struct block *b = open_ok(c), *b2;

    r.readonly = true;
    unlocked.locking = false;
    open_fails(c, "another drive of this VM");
    open_fails(r, "is in use by");
    block_free(open_ok(unlocked));
    block_free(b);
    b = open_ok(r);
    open_fails(c, "is in use by");
    b2 = open_ok(r); /* readers share */
    block_free(b2);
    block_free(b);
    block_free(open_ok(c));
}

/* For a guest that moves and may come back: nobody else gets in between. */
static void a_claimed_image_is_for_the_moving_guest(void **state)
{
    struct config_drive c = drive(*state), r = drive(*state);
    struct block *b = open_ok(c), *there;
    struct ferry_err err;

    r.readonly = true;
    block_give_lock(b, true);
    open_fails(c, "belongs to a guest that is being moved");
    open_fails(r, "belongs to a guest that is being moved");
    assert_int_equal(block_new(&there, &c, &err), 0);
    assert_int_equal(block_open_unlocked(there, &err), 0);
    assert_int_equal(block_take_lock(there, &err), 0);
    assert_int_equal(block_take_lock(b, &err), -EBUSY);
    block_give_lock(there, false);
    open_fails(c, "belongs to a guest that is being moved");
    assert_int_equal(block_take_lock(b, &err), 0);
    open_fails(c, "Failed to get \"write\" lock");
    block_give_lock(b, false);
    block_free(there);
    there = open_ok(c);
    block_free(b);
    block_free(there);
}

/* Another process has it; returns its pid. */
static pid_t other_process(struct fix *f, struct config_drive c, int *hold)
{
    int ready[2], go[2];
    char byte;
    pid_t pid;

    assert_true(pipe(ready) == 0 && pipe(go) == 0);
    pid = fork();
    if (pid == 0) {
        struct block *b = open_ok(c);

        close(go[1]);
        if (write(ready[1], "x", 1) != 1 || read(go[0], &byte, 1) < 0)
            _exit(1);
        block_free(b);
        _exit(0);
    }
    close(go[0]);
    close(ready[1]);
    assert_int_equal(read(ready[0], &byte, 1), 1);
    close(ready[0]);
    *hold = go[1];
    return pid;
}

static void the_refusal_names_the_holder(void **state)
{
    struct fix *f = *state;
    struct config_drive c = drive(f);
    char text[40];
    int hold, status;
    pid_t pid = other_process(f, c, &hold);

    snprintf(text, sizeof(text), "block_test, pid %d;", (int)pid);
    open_fails(c, text);
    close(hold);
    waitpid(pid, &status, 0);
    assert_int_equal(status, 0);
    block_free(open_ok(c));
}

/* --- QEMU's lock is the same --- */

static pid_t start_qemu(struct fix *f, int *err_fd)
{
    char option[128];
    int fds[2];
    pid_t pid;

    snprintf(option, sizeof(option), "file=%s,format=raw,if=none,id=d0", f->path);
    assert_int_equal(pipe(fds), 0);
    pid = fork();
    if (pid == 0) {
        dup2(fds[1], 2);
        close(fds[0]);
        execlp("qemu-system-riscv64", "qemu-system-riscv64", "-name", "web1,debug-threads=on", "-M",
               "virt", "-m", "32", "-S", "-nodefaults", "-display", "none", "-drive", option,
               "-device", "virtio-blk-device,drive=d0", NULL);
        _exit(127);
    }
    close(fds[1]);
    *err_fd = fds[0];
    return pid;
}

static bool have_qemu(void)
{
    return system("command -v qemu-system-riscv64 >/dev/null 2>&1") == 0;
}

/* Until somebody holds the lock of those who write, without getting in the way. */
static void wait_for_writer(const struct fix *f)
{
    int fd = open(f->path, O_RDWR);
    struct flock l = {.l_type = F_UNLCK};

    assert_true(fd >= 0);
    for (int i = 0; i < 1000 && l.l_type == F_UNLCK; i++) {
        struct timespec nap = {.tv_nsec = 20000000};

        l = (struct flock){.l_type = F_WRLCK, .l_start = 201, .l_len = 1};
        assert_int_equal(fcntl(fd, F_OFD_GETLK, &l), 0);
        nanosleep(&nap, NULL);
    }
    assert_int_not_equal(l.l_type, F_UNLCK);
    close(fd);
}

static void qemu_and_ferry_exclude_each_other(void **state)
{
    struct fix *f = *state;
    struct config_drive c = drive(f);
    struct ferry_err err = {0};
    struct block *b;
    char text[512] = "";
    size_t used = 0;
    int fd, status;
    ssize_t n;
    pid_t pid;

    if (!have_qemu())
        skip();
    b = open_ok(c);
    pid = start_qemu(f, &fd);
    while ((n = read(fd, text + used, sizeof(text) - 1 - used)) > 0)
        used += (size_t)n;
    close(fd);
    waitpid(pid, &status, 0);
    assert_int_not_equal(status, 0);
    assert_non_null(strstr(text, "lock"));
    block_free(b);

    pid = start_qemu(f, &fd);
    wait_for_writer(f);
    assert_int_equal(block_new(&b, &c, &err), 0);
    assert_true(block_open(b, &err) < 0);
    block_free(b);
    snprintf(text, sizeof(text), "pid %d, VM \"web1\"", (int)pid);
    kill(pid, SIGKILL);
    waitpid(pid, &status, 0);
    close(fd);
    if (!strstr(err.text, text))
        fail_msg("\"%s\" does not say \"%s\"", err.text, text);
}

/* --- As a part --- */

static void the_image_moves_with_its_lock(void **state)
{
    struct fix *f = *state;
    struct config_drive c = drive(f);
    struct block *from = open_ok(c), *to;
    struct ferry_part part = block_part(from), target;
    struct ferry_named_fd named;
    struct ferry_err err = {0};
    uint8_t data[512];
    int fd;

    assert_string_equal(part.idstr, "drive/d0");
    assert_false(part.table->needed(part.obj)); /* nothing has failed */
    assert_int_equal(part.ops->fd_at(part.obj, 0, &named), 0);
    assert_int_equal(part.ops->fd_at(part.obj, 1, &named), -ENOENT);
    assert_string_equal(named.name, "d0/image");
    assert_true(named.fd >= 0);

    assert_int_equal(block_new(&to, &c, &err), 0);
    target = block_part(to);
    assert_int_equal(target.ops->fd_at(target.obj, 0, &named), 0);
    assert_int_equal(named.fd, -1);
    part.ops->fd_at(part.obj, 0, &named);
    fd = fcntl(named.fd, F_DUPFD_CLOEXEC, 0);
    assert_int_equal(target.ops->adopt(target.obj, "d1/image", &fd, &err), -EINVAL);
    assert_true(fd >= 0);
    assert_int_equal(target.ops->adopt(target.obj, "d0/image", &fd, &err), 0);
    assert_int_equal(fd, -1);
    assert_int_equal(block_size_bytes(to), DISK_BYTES);
    block_free(from);
    open_fails(c, "is in use by");
    assert_int_equal(transfer(to, BLOCK_WRITE, 0, data, sizeof(data)), 0);
    block_free(to);
    block_free(open_ok(c));
}

static void an_image_that_arrives_otherwise_is_refused(void **state)
{
    struct fix *f = *state;
    struct config_drive c = drive(f);
    struct ferry_part part;
    struct ferry_err err = {0};
    struct block *b;
    int fd;

    assert_int_equal(block_new(&b, &c, &err), 0);
    part = block_part(b);
    fd = open(f->path, O_RDONLY);
    assert_int_equal(part.ops->adopt(part.obj, "d0/image", &fd, &err), -EINVAL);
    assert_non_null(strstr(err.text, "right to write"));
    close(fd);
    fd = open("/dev/null", O_RDWR);
    assert_int_equal(part.ops->adopt(part.obj, "d0/image", &fd, &err), -EINVAL);
    close(fd);
    fd = open(f->path, O_RDWR | O_DIRECT);
    if (fd >= 0) {
        assert_int_equal(part.ops->adopt(part.obj, "d0/image", &fd, &err), -EINVAL);
        assert_non_null(strstr(err.text, "cache.direct is off"));
        close(fd);
    }
    block_free(b);
}

int main(void)
{
#define T(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(images_that_cannot_be_are_refused),
        T(an_id_must_fit_a_name),
        T(requests_outside_are_refused),
        T(any_piece_can_be_written_and_read),
        T(a_bounced_request_may_be_longer_than_the_bounce_buffer),
        T(blocks_that_are_written_in_part_keep_the_rest),
        T(direct_needs_a_size_that_fits),
        T(ranges_read_zero_after_write_zeroes),
        T(a_file_that_became_shorter_reads_zeros),
        T(a_second_writer_is_refused),
        T(a_claimed_image_is_for_the_moving_guest),
        T(the_refusal_names_the_holder),
        T(qemu_and_ferry_exclude_each_other),
        T(the_image_moves_with_its_lock),
        T(an_image_that_arrives_otherwise_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
