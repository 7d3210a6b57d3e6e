/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/own.h"
#include "lib/chan/draft.h"

struct fixture {
    char folder[32];
    char path[64];
};

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));

    strcpy(f->folder, "/tmp/ferry-draft-XXXXXX");
    assert_non_null(mkdtemp(f->folder));
    snprintf(f->path, sizeof(f->path), "%s/file", f->folder);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    char command[64];

    snprintf(command, sizeof(command), "rm -r %s", f->folder);
    assert_int_equal(system(command), 0);
    free(f);
    return 0;
}

static void put(const char *path, const char *text, mode_t mode)
{
    OWN_FD int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
    assert_int_equal(fchmod(fd, mode), 0);
}

static void check(const char *path, const char *text)
{
    char is[64] = "";
    OWN_FD int fd = open(path, O_RDONLY | O_CLOEXEC);

    assert_true(read(fd, is, sizeof(is) - 1) >= 0);
    assert_string_equal(is, text);
}

static unsigned files_in(const char *path)
{
    DIR *folder = opendir(path);
    unsigned n = 0;

    while (readdir(folder))
        n++;
    closedir(folder);
    return n - 2; /* "." and ".." */
}

static struct draft *begin(const char *path)
{
    struct draft *d = NULL;
    struct ferry_err err;
    int fd = -1;

    if (draft_begin(&d, path, &fd, &err) < 0)
        fail_msg("%s", err.text);
    assert_int_equal(write(fd, "new", 3), 3);
    close(fd);
    return d;
}

/* The old one stays until then, and only its owner can read what has taken its place. */
static void it_takes_its_name_when_it_is_kept(void **state)
{
    struct fixture *f = *state;
    struct ferry_err err;
    struct stat st;
    struct draft *d;

    put(f->path, "old", 0666);
    d = begin(f->path);
    check(f->path, "old");
    assert_int_equal(draft_keep(d, &err), 0);
    draft_free(d);
    check(f->path, "new");
    assert_int_equal(stat(f->path, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0600);
    assert_int_equal(files_in(f->folder), 1);
}

static void what_is_not_kept_leaves_nothing(void **state)
{
    struct fixture *f = *state;

    draft_free(begin(f->path));
    assert_int_equal(files_in(f->folder), 0);
    put(f->path, "old", 0600);
    draft_free(begin(f->path));
    check(f->path, "old");
    assert_int_equal(files_in(f->folder), 1);
}

static void a_link_stays_one(void **state)
{
    struct fixture *f = *state;
    struct ferry_err err;
    char link[64];
    struct stat st;
    struct draft *d;
    int fd;

    snprintf(link, sizeof(link), "%s/link", f->folder);
    assert_int_equal(symlink("file", link), 0);
    assert_int_equal(draft_begin(&d, link, &fd, &err), -ENOENT);
    assert_non_null(strstr(err.text, "a link to what is not there"));
    put(f->path, "old", 0600);
    d = begin(link);
    assert_int_equal(draft_keep(d, &err), 0);
    draft_free(d);
    check(f->path, "new");
    assert_int_equal(lstat(link, &st), 0);
    assert_true(S_ISLNK(st.st_mode));
}

static void refused(const char *path, int errnum, const char *says)
{
    struct draft *d = NULL;
    struct ferry_err err;
    int fd = -1;

    assert_int_equal(draft_begin(&d, path, &fd, &err), -errnum);
    if (!strstr(err.text, says))
        fail_msg("%s", err.text);
}

static void nothing_but_a_file_is_written_over(void **state)
{
    struct fixture *f = *state;
    struct sockaddr_un name = {.sun_family = AF_UNIX};
    OWN_FD int s = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    char folder[72];

    refused(f->folder, EINVAL, "is a folder, which is not written over");
    snprintf(folder, sizeof(folder), "%s/", f->path);
    refused(folder, EISDIR, "is the name of a folder");
    refused("/dev/null", EINVAL, "is a device");
    assert_int_equal(mkfifo(f->path, 0600), 0);
    refused(f->path, EINVAL, "is a pipe");
    unlink(f->path);
    strcpy(name.sun_path, f->path);
    assert_int_equal(bind(s, (struct sockaddr *)&name, sizeof(name)), 0);
    refused(f->path, EINVAL, "is a socket");
}

static void what_somebody_has_is_not_written_over(void **state)
{
    struct fixture *f = *state;
    OWN_FD int other = -1;
    struct ferry_err err;
    struct draft *d;

    put(f->path, "old", 0600);
    other = open(f->path, O_RDWR | O_CLOEXEC);
    refused(f->path, EBUSY, "somebody has it open to write");
    own_close_fd(&other);
    other = open(f->path, O_RDONLY | O_CLOEXEC);
    assert_int_equal(flock(other, LOCK_SH), 0);
    refused(f->path, EBUSY, "somebody has locked it");
    assert_int_equal(flock(other, LOCK_UN), 0);
    /* It was nobody's at the beginning, and is somebody's at the end. */
    d = begin(f->path);
    assert_int_equal(flock(other, LOCK_SH), 0);
    assert_int_equal(draft_keep(d, &err), -EBUSY);
    draft_free(d);
    check(f->path, "old");
    assert_int_equal(files_in(f->folder), 1);
}

#define DRAFT_TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        DRAFT_TEST(it_takes_its_name_when_it_is_kept),
        DRAFT_TEST(what_is_not_kept_leaves_nothing),
        DRAFT_TEST(a_link_stays_one),
        DRAFT_TEST(nothing_but_a_file_is_written_over),
        DRAFT_TEST(what_somebody_has_is_not_written_over),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
