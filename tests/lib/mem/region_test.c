/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <ferry/ram.h>

#include "base/own.h"

#define MIB (UINT64_C(1) << 20)

static struct ferry_ram *ram_new(void)
{
    struct ferry_ram *ram = NULL;
    struct ferry_err err;

    assert_int_equal(ferry_ram_new(&ram, &err), 0);
    return ram;
}

static void region_is_zero_writable_and_found(void **state)
{
    struct ferry_ram *ram = ram_new();
    struct ferry_ram_region *a, *b;
    struct ferry_err err;

    assert_int_equal(ferry_ram_add(ram, "a", 4 * MIB, &a, &err), 0);
    assert_int_equal(ferry_ram_add(ram, "b", FERRY_PAGE_BYTES, &b, &err), 0);
    assert_int_equal(ferry_ram_host(a)[4 * MIB - 1], 0);
    ferry_ram_host(a)[4 * MIB - 1] = 7;
    assert_int_equal((uintptr_t)ferry_ram_host(a) % (2 * MIB), 0);
    assert_ptr_equal(ferry_ram_find(ram, "b"), b);
    assert_null(ferry_ram_find(ram, "c"));
    assert_ptr_equal(ferry_ram_at(ram, 0), a);
    assert_ptr_equal(ferry_ram_at(ram, 1), b);
    assert_null(ferry_ram_at(ram, 2));
    assert_int_equal(ferry_ram_size_bytes(b), FERRY_PAGE_BYTES);
    assert_int_not_equal(fcntl(ferry_ram_fd(a), F_GETFD) & FD_CLOEXEC, 0);
    /* Sealed: nobody can make it a SIGBUS. */
    assert_int_equal(ftruncate(ferry_ram_fd(a), 4096), -1);
    ferry_ram_free(ram);
}

static void bad_names_and_sizes_are_refused(void **state)
{
    struct ferry_ram *ram = ram_new();
    struct ferry_ram_region *a;
    struct ferry_err err;
    char name[257];

    memset(name, 'x', 256);
    name[256] = 0;
    assert_int_equal(ferry_ram_add(ram, "", 4096, &a, &err), -EINVAL);
    assert_int_equal(ferry_ram_add(ram, name, 4096, &a, &err), -EINVAL);
    assert_int_equal(ferry_ram_add(ram, "a", 0, &a, &err), -EINVAL);
    assert_int_equal(ferry_ram_add(ram, "a", 4097, &a, &err), -EINVAL);
    assert_int_equal(ferry_ram_add(ram, "a", UINT64_C(1) << 63, &a, &err), -EFBIG);
    assert_true(ferry_ram_add(ram, "a", UINT64_C(1) << 62, &a, &err) < 0);
    assert_int_equal(ferry_ram_add(ram, "a", 4096, &a, &err), 0);
    assert_int_equal(ferry_ram_add(ram, "a", 4096, &a, &err), -EEXIST);
    assert_null(ferry_ram_at(ram, 1));
    ferry_ram_free(ram);
}

static void access_beyond_a_region_is_a_crash(void **state)
{
    struct ferry_ram *ram = ram_new();
    struct ferry_ram_region *a;
    struct ferry_err err;

    assert_int_equal(ferry_ram_add(ram, "a", MIB, &a, &err), 0);
    for (int side = 0; side < 2; side++) {
        int status;
        pid_t pid = fork();

        if (pid == 0) {
            volatile uint8_t *p = ferry_ram_host(a);

            signal(SIGSEGV, SIG_DFL);
            signal(SIGBUS, SIG_DFL);
            *(side ? p + MIB : p - 1) = 1;
            _exit(0);
        }
        waitpid(pid, &status, 0);
        assert_true(WIFSIGNALED(status));
    }
    ferry_ram_free(ram);
}

static int memfd_of(uint64_t bytes, int seals, int mode)
{
    int fd = memfd_create("t", MFD_CLOEXEC | MFD_ALLOW_SEALING), other;
    char path[64];

    assert_int_equal(ftruncate(fd, (off_t)bytes), 0);
    assert_int_equal(fcntl(fd, F_ADD_SEALS, seals), 0);
    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    other = open(path, mode | O_CLOEXEC);
    close(fd);
    return other;
}

static void adopted_region_is_the_same_memory(void **state)
{
    struct ferry_ram *from = ram_new(), *to = ram_new();
    struct ferry_ram_region *a, *b;
    struct ferry_err err;
    int fd;

    assert_int_equal(ferry_ram_add(from, "a", 4 * MIB, &a, &err), 0);
    fd = fcntl(ferry_ram_fd(a), F_DUPFD_CLOEXEC, 0);
    assert_int_equal(ferry_ram_adopt(to, "a", 4 * MIB, &fd, &b, &err), 0);
    assert_int_equal(fd, -1);
    ferry_ram_host(a)[5] = 42;
    assert_int_equal(ferry_ram_host(b)[5], 42);
    ferry_ram_free(from);
    assert_int_equal(ferry_ram_host(b)[5], 42);
    ferry_ram_free(to);
}

static void adopt_verifies(void **state)
{
    const int seals = F_SEAL_SHRINK | F_SEAL_GROW;
    struct ferry_ram *ram = ram_new();
    struct ferry_ram_region *a;
    struct ferry_err err;
    int pipes[2], twice;
    int good = memfd_of(MIB, seals, O_RDWR);
    struct {
        int fd;
        const char *sentence;
    } bad[] = {
        {memfd_of(MIB, 0, O_RDWR), "not sealed"},
        {memfd_of(MIB, F_SEAL_SHRINK, O_RDWR), "not sealed"},
        {memfd_of(MIB, seals, O_RDONLY), "not open for writing"},
        {memfd_of(2 * MIB, seals, O_RDWR), "has 2097152 bytes, expected 1048576"},
        {open("/etc/passwd", O_RDONLY | O_CLOEXEC), "not a memfd"},
        {-1, "cannot look at fd"},
        {-1, "not a memfd"},
    };

    assert_int_equal(pipe2(pipes, O_CLOEXEC), 0);
    bad[6].fd = pipes[0];
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        int fd = bad[i].fd;

        assert_true(ferry_ram_adopt(ram, "a", MIB, &fd, &a, &err) < 0);
        assert_non_null(strstr(err.text, bad[i].sentence));
        assert_int_equal(fd, bad[i].fd);
        own_close_fd(&fd);
    }
    assert_null(ferry_ram_at(ram, 0));

    twice = fcntl(good, F_DUPFD_CLOEXEC, 0);
    assert_int_equal(ferry_ram_adopt(ram, "a", MIB, &good, &a, &err), 0);
    assert_int_equal(ferry_ram_adopt(ram, "b", MIB, &twice, &a, &err), -EINVAL);
    assert_non_null(strstr(err.text, "already RAM \"a\""));
    close(twice);
    close(pipes[1]);
    ferry_ram_free(ram);
}

/* A file of that length in memory, with a name that can be opened again. */
static int file_of(char path[static 64], off_t bytes)
{
    int fd;

    strcpy(path, "/tmp/ferry-region-XXXXXX");
    fd = mkostemp(path, O_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(ftruncate(fd, bytes), 0);
    return fd;
}

static void a_file_is_memory_of_two(void **state)
{
    struct ferry_ram *one = ram_new(), *other = ram_new(), *third = ram_new();
    struct ferry_ram_region *a, *b, *c, *memfd;
    struct ferry_err err;
    struct stat st;
    char path[64];
    int fd = file_of(path, 0), again = open(path, O_RDWR | O_CLOEXEC);
    int once_more = open(path, O_RDWR | O_CLOEXEC);

    assert_int_equal(ferry_ram_add_file(one, "a", MIB, &fd, &a, &err), 0);
    assert_int_equal(fd, -1);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_size, MIB);
    assert_true(ferry_ram_is_file(a));
    assert_true(ferry_ram_is_ours(a));
    assert_int_equal(ferry_ram_add_file(other, "b", MIB, &again, &b, &err), 0);
    assert_false(ferry_ram_is_ours(b));
    ferry_ram_host(a)[5] = 42;
    assert_int_equal(ferry_ram_host(b)[5], 42);
    assert_int_equal(ferry_ram_add(one, "c", MIB, &memfd, &err), 0);
    assert_false(ferry_ram_is_file(memfd));
    assert_true(ferry_ram_is_ours(memfd));
    ferry_ram_set_gpa(a, 0x1000);
    assert_int_equal(ferry_ram_gpa(a), 0x1000);
    /* The first one goes: the second still has it. */
    ferry_ram_free(one);
    assert_int_equal(ferry_ram_add_file(third, "a", MIB, &once_more, &c, &err), 0);
    assert_false(ferry_ram_is_ours(c));
    ferry_ram_free(other);
    ferry_ram_free(third);
    unlink(path);
}

static void a_file_is_verified(void **state)
{
    struct ferry_ram *ram = ram_new();
    struct ferry_ram_region *a;
    struct ferry_err err;
    char path[64];
    int fd = file_of(path, 4096), pipes[2], read_only = open(path, O_RDONLY | O_CLOEXEC);

    assert_int_equal(pipe2(pipes, O_CLOEXEC), 0);
    assert_int_equal(ferry_ram_add_file(ram, "a", MIB, &fd, &a, &err), -EINVAL);
    assert_non_null(strstr(err.text, "the file has 4096 bytes, expected 1048576, or an empty one"));
    assert_int_equal(ferry_ram_add_file(ram, "a", 4096, &read_only, &a, &err), -EINVAL);
    assert_non_null(strstr(err.text, "open for reading and writing"));
    assert_int_equal(ferry_ram_add_file(ram, "a", 4096, &pipes[0], &a, &err), -EINVAL);
    assert_null(ferry_ram_at(ram, 0));
    close(pipes[0]);
    close(pipes[1]);
    close(read_only);
    close(fd);
    unlink(path);
    ferry_ram_free(ram);
}

static void a_file_may_come_later(void **state)
{
    struct ferry_ram *ram = ram_new();
    struct ferry_ram_region *a;
    struct ferry_err err;
    char path[64], short_path[64];
    int fd = file_of(path, 0), too_short = file_of(short_path, 4096);
    struct stat st;
    uint8_t *host;

    assert_int_equal(ferry_ram_expect_file(ram, "a", MIB, &a, &err), 0);
    host = ferry_ram_host(a);
    assert_non_null(host);
    assert_true(ferry_ram_is_file(a));
    assert_false(ferry_ram_is_ours(a));
    assert_int_equal(ferry_ram_fd(a), -1);
    assert_int_equal(ferry_ram_give_file(ram, a, &too_short, &err), -EINVAL);
    assert_int_equal(ferry_ram_give_file(ram, a, &fd, &err), 0);
    assert_int_equal(fd, -1);
    assert_ptr_equal(ferry_ram_host(a), host);
    assert_true(ferry_ram_is_ours(a));
    host[MIB - 1] = 42;
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_size, MIB);
    close(too_short);
    ferry_ram_free(ram);
    unlink(path);
    unlink(short_path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(region_is_zero_writable_and_found),
        cmocka_unit_test(bad_names_and_sizes_are_refused),
        cmocka_unit_test(access_beyond_a_region_is_a_crash),
        cmocka_unit_test(adopted_region_is_the_same_memory),
        cmocka_unit_test(a_file_is_memory_of_two),
        cmocka_unit_test(a_file_is_verified),
        cmocka_unit_test(a_file_may_come_later),
        cmocka_unit_test(adopt_verifies),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
