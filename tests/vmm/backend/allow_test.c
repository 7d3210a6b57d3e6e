/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A folder with "in" (allowed) and "out": names, links and renames that lead from the one to the
 * other.
 */
#include "tests/unit.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/own.h"
#include "vmm/backend/allow.h"

#define RACES 2000

struct fix {
    char dir[64];
    struct allow_list *allow;
};

static char *path_of(const struct fix *f, const char *name)
{
    static _Thread_local char path[4][160];
    static _Thread_local unsigned next;
    char *at = path[next++ % 4];

    snprintf(at, sizeof(path[0]), "%s/%s", f->dir, name);
    return at;
}

static void write_file(const struct fix *f, const char *name, const char *text)
{
    FILE *file = fopen(path_of(f, name), "w");

    assert_non_null(file);
    fputs(text, file);
    fclose(file);
}

static int setup(void **state)
{
    struct fix *f = calloc(1, sizeof(*f));
    struct ferry_err err;

    strcpy(f->dir, "/tmp/ferry-allow-XXXXXX");
    assert_non_null(mkdtemp(f->dir));
    assert_int_equal(mkdir(path_of(f, "in"), 0700), 0);
    assert_int_equal(mkdir(path_of(f, "in/deep"), 0700), 0);
    assert_int_equal(mkdir(path_of(f, "in.more"), 0700), 0);
    assert_int_equal(mkdir(path_of(f, "out"), 0700), 0);
    write_file(f, "in/a", "inside");
    write_file(f, "in/deep/a", "inside");
    write_file(f, "in.more/a", "outside");
    write_file(f, "out/a", "outside");
    assert_int_equal(symlink("a", path_of(f, "in/near")), 0);
    assert_int_equal(symlink("../out/a", path_of(f, "in/far")), 0);
    assert_int_equal(symlink(path_of(f, "out/a"), path_of(f, "in/absolute")), 0);
    assert_int_equal(symlink("../out", path_of(f, "in/folder")), 0);
    assert_int_equal(symlink("/proc/self/root/etc/passwd", path_of(f, "in/magic")), 0);
    assert_int_equal(mkfifo(path_of(f, "in/fifo"), 0600), 0);
    assert_int_equal(allow_list_new(&f->allow, &err), 0);
    assert_int_equal(allow_list_add_dir(f->allow, path_of(f, "in"), &err), 0);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fix *f = *state;
    char command[128];

    allow_list_free(f->allow);
    snprintf(command, sizeof(command), "rm -rf %s", f->dir);
    assert_int_equal(system(command), 0);
    free(f);
    return 0;
}

/* 0 and it was the file inside, or -errno; another file fails the test. */
static int try_open(const struct fix *f, const char *path, int flags)
{
    OWN_FD int fd = allow_open(f->allow, path, flags | O_CLOEXEC, 0600);
    char text[16] = "";

    if (fd < 0)
        return fd;
    assert_int_equal(fcntl(fd, F_GETFL) & O_NONBLOCK, flags & O_NONBLOCK);
    assert_true(read(fd, text, sizeof(text) - 1) >= 0);
    assert_string_equal(text, "inside");
    return 0;
}

static void a_name_stays_beneath(void **state)
{
    const struct fix *f = *state;
    static const struct {
        const char *name;
        bool has; /* by its words */
        int result;
    } cases[] = {
        {"in/a", true, 0},
        {"in//./deep/a", true, 0},
        {"in/near", true, 0},
        {"in/none", true, -ENOENT},
        {"in/far", true, -EXDEV},
        {"in/absolute", true, -EXDEV},
        {"in/folder/a", true, -EXDEV},
        {"in/magic", true, -EXDEV},
        {"in/fifo", true, -EINVAL},
        {"in/deep", true, -EINVAL},
        {"in", false, -EXDEV},
        {"in/", false, -EXDEV},
        {"in/deep/../a", false, -EXDEV},
        {"in/../out/a", false, -EXDEV},
        {"in.more/a", false, -EXDEV},
        {"out/a", false, -EXDEV},
        {"", false, -EXDEV},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const char *path = path_of(f, cases[i].name);
        int r = try_open(f, path, O_RDONLY);

        if (allow_list_has_path(f->allow, path) != cases[i].has || r != cases[i].result)
            fail_msg("%s: %d", path, r);
        if (allow_access(f->allow, path, R_OK) == 0 && !cases[i].has)
            fail_msg("%s was looked at", path);
    }
    assert_int_equal(try_open(f, "/etc/passwd", O_RDONLY), -EXDEV);
    assert_int_equal(try_open(f, "", O_RDONLY), -EXDEV);
    assert_string_not_equal(allow_hint(EXDEV), "");
    assert_string_equal(allow_hint(ENOENT), "");
}

static void nothing_is_made_or_cut_outside(void **state)
{
    const struct fix *f = *state;
    struct stat st;

    assert_int_equal(try_open(f, path_of(f, "out/new"), O_RDWR | O_CREAT), -EXDEV);
    assert_int_equal(try_open(f, path_of(f, "in/folder/new"), O_RDWR | O_CREAT), -EXDEV);
    assert_int_equal(try_open(f, path_of(f, "in/far"), O_RDWR | O_TRUNC), -EXDEV);
    assert_int_equal(stat(path_of(f, "out/new"), &st), -1);
    assert_int_equal(stat(path_of(f, "out/a"), &st), 0);
    assert_int_equal(st.st_size, strlen("outside"));
    {
        OWN_FD int fd = allow_open(f->allow, path_of(f, "in/new"), O_RDWR | O_CREAT, 0600);

        assert_true(fd >= 0);
    }
    assert_int_equal(stat(path_of(f, "in/new"), &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
}

static void this_hosts_own_names_are_any(void **state)
{
    struct fix *f = *state;
    OWN_FD int fd = -1;
    struct ferry_err err;

    assert_int_equal(allow_list_add_name(f->allow, path_of(f, "out/a"), &err), 0);
    fd = allow_open(f->allow, path_of(f, "out/a"), O_RDONLY | O_CLOEXEC, 0);
    assert_true(fd >= 0);
    assert_int_equal(allow_access(f->allow, path_of(f, "out/a"), R_OK), 0);
    assert_false(allow_list_has_path(f->allow, path_of(f, "out/a")));
    assert_int_equal(allow_access(NULL, "/etc/passwd", R_OK), 0);
}

static void a_directory_may_be_relative(void **state)
{
    struct fix *f = *state;
    struct allow_list *allow;
    struct ferry_err err;
    char before[256];

    assert_non_null(getcwd(before, sizeof(before)));
    assert_int_equal(chdir(f->dir), 0);
    assert_int_equal(allow_list_new(&allow, &err), 0);
    assert_int_equal(allow_list_add_dir(allow, "./in/", &err), 0);
    assert_int_equal(allow_list_add_dir(allow, "none", &err), -ENOENT);
    assert_int_equal(chdir(before), 0);
    assert_true(allow_list_has_path(allow, "in/a"));
    assert_true(allow_list_has_path(allow, path_of(f, "in/a")));
    assert_false(allow_list_has_path(allow, "out/a"));
    assert_int_equal(allow_access(allow, "in/a", R_OK), 0);
    allow_list_free(allow);
}

static void taps_by_the_beginning_of_their_names(void **state)
{
    struct fix *f = *state;
    struct ferry_err err;

    assert_false(allow_list_has_tap(f->allow, "tap0"));
    assert_int_equal(allow_list_add_tap(f->allow, "", &err), -EINVAL);
    assert_int_equal(allow_list_add_tap(f->allow, "tap", &err), 0);
    assert_true(allow_list_has_tap(f->allow, "tap0"));
    assert_false(allow_list_has_tap(f->allow, "eth0"));
    assert_false(allow_list_has_tap(f->allow, "tap%d"));
    assert_false(allow_list_has_tap(f->allow, "tap0/../x"));
    assert_false(allow_list_has_tap(f->allow, "tap0123456789abc"));
    assert_false(allow_list_has_tap(f->allow, ""));
}

/* --- Somebody renames in between --- */

struct race {
    const struct fix *f;
    atomic_bool stop;
};

/* in/swap is by turns a folder of in and a link to out. */
static void *swap(void *arg)
{
    struct race *race = arg;

    while (!atomic_load(&race->stop)) {
        rename(path_of(race->f, "in/swap"), path_of(race->f, "in/folder2"));
        rename(path_of(race->f, "in/link"), path_of(race->f, "in/swap"));
        rename(path_of(race->f, "in/swap"), path_of(race->f, "in/link"));
        rename(path_of(race->f, "in/folder2"), path_of(race->f, "in/swap"));
    }
    return NULL;
}

static void a_rename_in_between_does_not_help(void **state)
{
    struct fix *f = *state;
    struct race race = {.f = f};
    char path[160];
    pthread_t thread;
    unsigned inside = 0, refused = 0;

    assert_int_equal(mkdir(path_of(f, "in/swap"), 0700), 0);
    write_file(f, "in/swap/a", "inside");
    assert_int_equal(symlink("../out", path_of(f, "in/link")), 0);
    snprintf(path, sizeof(path), "%s/in/swap/a", f->dir);
    assert_int_equal(pthread_create(&thread, NULL, swap, &race), 0);
    /* What try_open() reads is what counts; both outcomes have to be met. */
    for (unsigned i = 0; i < 100 * RACES && (i < RACES || !inside || !refused); i++) {
        int r = try_open(f, path, O_RDONLY);

        inside += r == 0;
        refused += r == -EXDEV;
    }
    atomic_store(&race.stop, true);
    pthread_join(thread, NULL);
    assert_true(inside > 0);
    assert_true(refused > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_name_stays_beneath, setup, teardown),
        cmocka_unit_test_setup_teardown(nothing_is_made_or_cut_outside, setup, teardown),
        cmocka_unit_test_setup_teardown(this_hosts_own_names_are_any, setup, teardown),
        cmocka_unit_test_setup_teardown(a_directory_may_be_relative, setup, teardown),
        cmocka_unit_test_setup_teardown(taps_by_the_beginning_of_their_names, setup, teardown),
        cmocka_unit_test_setup_teardown(a_rename_in_between_does_not_help, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
