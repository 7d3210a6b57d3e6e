/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/live/owner.h"

static struct ferry_owner *second(const struct ferry_owner *first)
{
    struct ferry_owner *owner = NULL;
    struct ferry_err err;
    int fd = fcntl(owner_memfd(first), F_DUPFD_CLOEXEC, 0);

    assert_int_equal(owner_adopt(&owner, &fd, &err), 0);
    assert_int_equal(fd, -1);
    return owner;
}

static void one_holds_it(void **state)
{
    struct ferry_owner *a, *b;
    struct ferry_err err;

    assert_int_equal(ferry_owner_new(&a, &err), 0);
    b = second(a);
    assert_true(owner_held(a));
    assert_false(owner_held(b));
    assert_int_equal(owner_try(b), -EAGAIN);
    owner_release(a);
    assert_int_equal(owner_try(b), 0);
    assert_int_equal(owner_try(b), 0);
    assert_int_equal(owner_try(a), -EAGAIN);
    /* What goes is given up. */
    ferry_owner_free(b);
    assert_int_equal(owner_try(a), 0);
    ferry_owner_free(a);
    ferry_owner_free(NULL);
}

static void starts_are_counted_for_both(void **state)
{
    struct ferry_owner *a, *b;
    struct ferry_err err;

    assert_int_equal(ferry_owner_new(&a, &err), 0);
    b = second(a);
    assert_int_equal(owner_starts(a), 0);
    owner_count_start(a);
    owner_count_start(a);
    assert_int_equal(owner_starts(b), 2);
    ferry_owner_free(a);
    assert_int_equal(owner_starts(b), 2);
    ferry_owner_free(b);
}

static void death_gives_it_up(void **state)
{
    struct ferry_owner *a, *b;
    struct ferry_err err;
    int ready[2], status;
    pid_t pid;
    char c;

    assert_int_equal(pipe(ready), 0);
    assert_int_equal(ferry_owner_new(&a, &err), 0);
    owner_release(a);
    pid = fork();
    if (pid == 0) {
        b = second(a);
        c = (char)owner_try(b);
        if (write(ready[1], &c, 1) == 1)
            pause();
        _exit(1);
    }
    assert_int_equal(read(ready[0], &c, 1), 1);
    assert_int_equal(c, 0);
    assert_int_equal(owner_try(a), -EAGAIN);
    kill(pid, SIGKILL);
    waitpid(pid, &status, 0);
    assert_int_equal(owner_try(a), 0);
    ferry_owner_free(a);
    close(ready[0]);
    close(ready[1]);
}

static void only_a_lock_is_adopted(void **state)
{
    const int sizes[] = {4095, 8192, 4096};
    struct ferry_owner *owner;
    struct ferry_err err;
    int fd;

    for (int i = 0; i < 3; i++) {
        fd = memfd_create("t", MFD_CLOEXEC | MFD_ALLOW_SEALING);
        assert_int_equal(ftruncate(fd, sizes[i]), 0);
        if (i < 2)
            assert_int_equal(fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW), 0);
        assert_int_equal(owner_adopt(&owner, &fd, &err), -EINVAL);
        assert_non_null(strstr(err.text, "is not a sealed memfd of 4096 bytes"));
        assert_true(fd >= 0);
        close(fd);
    }
    fd = open("/dev/null", O_RDWR | O_CLOEXEC);
    assert_int_equal(owner_adopt(&owner, &fd, &err), -EINVAL);
    close(fd);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_holds_it),
        cmocka_unit_test(starts_are_counted_for_both),
        cmocka_unit_test(death_gives_it_up),
        cmocka_unit_test(only_a_lock_is_adopted),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
