/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/held.h"
#include "base/own.h"

struct fixture {
    char path[32];
    int fd; /* for reading: the one that is asked with */
};

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    int made;

    strcpy(f->path, "/tmp/ferry-held-XXXXXX");
    made = mkstemp(f->path);
    assert_true(made >= 0);
    assert_int_equal(ftruncate(made, 4096), 0);
    close(made);
    f->fd = open(f->path, O_RDONLY | O_CLOEXEC);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    close(f->fd);
    unlink(f->path);
    free(f);
    return 0;
}

static void nobody_has_it(void **state)
{
    struct fixture *f = *state;
    OWN_FD int reads = open(f->path, O_RDONLY | O_CLOEXEC);

    assert_true(reads >= 0);
    assert_false(held_by_lock(f->fd));
    assert_false(held_by_writer(f->fd));
    /* It is as it was: whoever wants it now gets it. */
    assert_int_equal(flock(reads, LOCK_EX | LOCK_NB), 0);
}

static void every_kind_of_lock_counts(void **state)
{
    struct fixture *f = *state;
    struct flock shared = {.l_type = F_RDLCK, .l_whence = SEEK_SET, .l_start = 100, .l_len = 1};

    for (unsigned kind = 0; kind < 2; kind++) {
        OWN_FD int other = open(f->path, O_RDONLY | O_CLOEXEC);

        assert_int_equal(kind ? flock(other, LOCK_SH) : fcntl(other, F_OFD_SETLK, &shared), 0);
        assert_true(held_by_lock(f->fd));
        own_close_fd(&other);
        assert_false(held_by_lock(f->fd));
    }
}

static void a_writer_counts_also_when_it_only_maps(void **state)
{
    struct fixture *f = *state;
    OWN_FD int other = open(f->path, O_RDWR | O_CLOEXEC);
    void *map = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, other, 0);

    assert_true(map != MAP_FAILED);
    assert_true(held_by_writer(f->fd));
    own_close_fd(&other);
    assert_true(held_by_writer(f->fd));
    munmap(map, 4096);
    assert_false(held_by_writer(f->fd));
}

#define HELD_TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        HELD_TEST(nobody_has_it),
        HELD_TEST(every_kind_of_lock_counts),
        HELD_TEST(a_writer_counts_also_when_it_only_maps),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
