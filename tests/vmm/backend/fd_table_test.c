/* SPDX-License-Identifier: Apache-2.0 */
/* What clients gave goes to another table as it is; what was tampered with does no harm there. */
#include "tests/unit.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/own.h"
#include "tests/vmm/machine/carry.h"
#include "vmm/backend/fd_table_state.h"

struct two {
    struct fd_table *here, *there;
    struct extras from, to;
    int files[2]; /* that are given */
    int lowest;   /* file descriptor that is free at the start */
};

static int lowest_free_fd(void)
{
    int fd = dup(0);

    close(fd);
    return fd;
}

static int setup(void **state)
{
    static struct two t;
    struct ferry_err err;

    t.lowest = lowest_free_fd();
    t.files[0] = memfd_create("one", MFD_CLOEXEC);
    t.files[1] = memfd_create("other", MFD_CLOEXEC);
    assert_int_equal(fd_table_new(&t.here, &err), 0);
    assert_int_equal(fd_table_new(&t.there, &err), 0);
    extras_init(&t.from, &fd_table_state_kind);
    extras_init(&t.to, &fd_table_state_kind);
    *state = &t;
    return 0;
}

static int teardown(void **state)
{
    struct two *t = *state;

    extras_free(&t->from);
    extras_free(&t->to);
    fd_table_free(t->here);
    fd_table_free(t->there);
    close(t->files[0]);
    close(t->files[1]);
    assert_int_equal(lowest_free_fd(), t->lowest);
    return 0;
}

static void give_name(struct two *t, const char *name, int file)
{
    int fd = dup(t->files[file]);
    struct ferry_err err;

    assert_int_equal(fd_table_name(t->here, name, &fd, &err), 0);
}

static int add(struct two *t, struct fd_table *table, int64_t set, const char *opaque, int file)
{
    int fd = dup(t->files[file]), number;
    struct ferry_err err;

    assert_int_equal(fd_table_add(table, &set, opaque, &fd, &number, &err), 0);
    return number;
}

/* The pause of the source, up to where the target has what it is given. */
static void save(struct two *t)
{
    extras_prepare(&t->from);
    extras_begin(&t->from);
    fd_table_save(t->here, &t->from);
    assert_true(extras_end(&t->from));
}

static void load(struct two *t)
{
    assert_true(carry_extras(&t->from, &t->to));
    fd_table_load(t->there, &t->to);
    extras_forget(&t->from);
}

static bool is_file(struct two *t, int fd, int file)
{
    struct stat a, b;

    return fstat(fd, &a) == 0 && fstat(t->files[file], &b) == 0 && a.st_ino == b.st_ino;
}

static bool has_name(struct two *t, const char *name, int file)
{
    struct ferry_fd_names names = fd_table_names(t->there);
    struct ferry_err err;
    OWN_FD int fd = names.take(names.opaque, name, &err);

    return fd >= 0 && is_file(t, fd, file);
}

static void assert_same_members(const struct fd_table *a, const struct fd_table *b)
{
    struct fd_table_member m, n;
    size_t i = 0;

    for (; fd_table_member_at(a, i, &m) == 0; i++) {
        assert_int_equal(fd_table_member_at(b, i, &n), 0);
        assert_int_equal(m.set, n.set);
        assert_int_equal(m.number, n.number);
        assert_int_equal(m.opaque != NULL, n.opaque != NULL);
        assert_string_equal(m.opaque ? m.opaque : "", n.opaque ? n.opaque : "");
    }
    assert_int_equal(fd_table_member_at(b, i, &n), -ENOENT);
}

static void fill(struct two *t)
{
    add(t, t->here, 7, NULL, 0);
    give_name(t, "first", 1);
    add(t, t->here, INT64_MAX, "", 1);
    add(t, t->here, 7, "\xc3\xa4", 1);
    give_name(t, "", 0);
    add(t, t->here, 0, "o", 0);
}

static void names_and_sets_are_the_same(void **state)
{
    struct two *t = *state;
    struct ferry_fd_names names;
    struct ferry_err err;
    int fd;

    fill(t);
    save(t);
    load(t);
    assert_same_members(t->here, t->there);
    assert_true(has_name(t, "first", 1) && has_name(t, "", 0));
    names = fd_table_names(t->there);
    fd = names.open_set(names.opaque, INT64_MAX, O_RDWR, &err);
    assert_true(fd >= 0 && is_file(t, fd, 1));
    close(fd);
}

static void nothing_is_nothing(void **state)
{
    struct two *t = *state;
    struct ferry_named_fd ignored;

    save(t);
    assert_int_equal(extras_at(&t->from, 0, &ignored), -ENOENT);
    load(t);
    assert_same_members(t->here, t->there);
}

static void a_full_table_goes(void **state)
{
    char text[FD_TABLE_TEXT_MAX_BYTES + 1];
    struct two *t = *state;

    memset(text, 'x', sizeof(text));
    text[FD_TABLE_TEXT_MAX_BYTES] = '\0';
    for (size_t i = 0; i < FD_TABLE_MAX; i++)
        add(t, t->here, FD_TABLE_ANY_SET, text, 0);
    save(t);
    load(t);
    assert_same_members(t->here, t->there);
}

/* A member is known by one number for as long as it is there, whatever files are open here. */
static void no_number_is_given_twice(void **state)
{
    struct two *t = *state;
    int64_t moved = add(t, t->here, 1, NULL, 0), more;
    struct ferry_err err;

    save(t);
    load(t);
    /* The file descriptor of that number is gone, and the next that is opened has it. */
    assert_int_equal(fd_table_remove(t->here, 1, NULL, &err), 0);
    more = add(t, t->there, 1, NULL, 1);
    assert_int_not_equal(more, moved);
    assert_int_equal(fd_table_remove(t->there, 1, &moved, &err), 0);
    assert_int_equal(fd_table_remove(t->there, 1, &moved, &err), -ENOENT);
    assert_int_equal(fd_table_remove(t->there, 1, &more, &err), 0);
}

/* What a handover had no room for is missed, and the rest is there. */
static void those_that_did_not_come_cost_no_other(void **state)
{
    struct two *t = *state;
    struct fd_table_member m;

    fill(t);
    save(t);
    t->from.fd_count -= 3; /* both names, and the set of the highest number */
    load(t);
    assert_false(has_name(t, "first", 1) || has_name(t, "", 0));
    assert_int_equal(fd_table_member_at(t->there, 2, &m), 0);
    assert_int_equal(m.set, 7);
    assert_int_equal(fd_table_member_at(t->there, 3, &m), -ENOENT);
}

/* Whatever of it is taken could have been said by a client, and can be said again. */
static void a_record_that_is_wrong_does_no_harm(void **state)
{
    struct two *t = *state;
    struct fd_table_member m;
    struct ferry_err err;

    fill(t);
    save(t);
    for (int cut = 0; cut < 2; cut++) {
        size_t bits = 8 * carry_record_bytes(&t->from);

        for (size_t bit = 0; bit < bits; bit += cut ? 8 : 1) {
            assert_true(carry_spoil(&t->from, cut, bit));
            load(t);
            assert_int_equal(fd_table_member_at(t->there, FD_TABLE_MAX, &m), -ENOENT);
            for (size_t i = 0; fd_table_member_at(t->there, i, &m) == 0; i++)
                assert_true(m.set >= 0 && m.number >= 0);
            fd_table_free(t->there);
            assert_int_equal(fd_table_new(&t->there, &err), 0);
            save(t);
        }
    }
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(names_and_sets_are_the_same),
        T(nothing_is_nothing),
        T(a_full_table_goes),
        T(no_number_is_given_twice),
        T(those_that_did_not_come_cost_no_other),
        T(a_record_that_is_wrong_does_no_harm),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
