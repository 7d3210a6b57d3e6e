/* SPDX-License-Identifier: Apache-2.0 */
/* Real files; a file system of 8 MiB where the kernel lets a test mount one. */
#include "tests/unit.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "vmm/backend/lost_memory.h"
#include "vmm/backend/memory_file.h"
#include "vmm/machine/config.h"

#define MIB (1u << 20)

struct place {
    char dir[64], path[96], id[4];
    struct config_memory m;
    struct vm_config c;
};

static int set_up(void **state)
{
    struct place *p = calloc(1, sizeof(*p));

    strcpy(p->dir, "/tmp/ferry-memory-XXXXXX");
    assert_non_null(mkdtemp(p->dir));
    snprintf(p->path, sizeof(p->path), "%s/ram", p->dir);
    strcpy(p->id, "r0");
    p->m = (struct config_memory){
        .id = p->id, .path = p->path, .size_bytes = 2 * MIB, .share = true, .prealloc = true};
    *state = p;
    return 0;
}

static int tear_down(void **state)
{
    struct place *p = *state;

    unlink(p->path);
    rmdir(p->dir);
    free(p);
    return 0;
}

static void expect_refusal(struct place *p, int errnum, const char *says)
{
    struct ferry_err err;
    int fd = -1;

    assert_int_equal(memory_file_open(&p->c, &p->m, &fd, &err), -errnum);
    assert_non_null(strstr(err.text, says));
    assert_int_equal(fd, -1);
}

static struct stat opened(struct place *p)
{
    struct ferry_err err;
    struct stat st;
    int fd = -1, rc = memory_file_open(&p->c, &p->m, &fd, &err);

    if (rc < 0)
        fail_msg("%s", err.text);
    assert_int_equal(fstat(fd, &st), 0);
    close(fd);
    return st;
}

static void a_new_file_is_its_owners_and_whole(void **state)
{
    struct place *p = *state;
    mode_t before = umask(0);
    struct stat st = opened(p);

    umask(before);
    assert_int_equal(st.st_mode & 07777, 0600);
    assert_int_equal(st.st_size, 2 * MIB);
    assert_true(st.st_blocks * 512 >= 2 * MIB);
    /* Another VM's memory keeps what is in it. */
    assert_int_equal(opened(p).st_ino, st.st_ino);
}

static void without_prealloc_it_takes_no_room(void **state)
{
    struct place *p = *state;

    p->m.prealloc = false;
    assert_true(opened(p).st_blocks == 0);
}

static void a_directory_gets_a_file_without_a_name(void **state)
{
    struct place *p = *state;
    struct stat st;

    p->m.path = p->dir;
    st = opened(p);
    assert_true(S_ISREG(st.st_mode));
    assert_int_equal(st.st_nlink, 0);
    assert_int_equal(st.st_mode & 07777, 0600);
    assert_int_equal(rmdir(p->dir), 0); /* empty */
    assert_int_equal(mkdir(p->dir, 0700), 0);
}

static void what_is_no_file_of_ours_is_refused(void **state)
{
    struct place *p = *state;
    char target[96];
    int fd;

    snprintf(target, sizeof(target), "%s/precious", p->dir);
    fd = open(target, O_CREAT | O_RDWR, 0600);
    assert_true(fd >= 0);
    close(fd);
    assert_int_equal(symlink(target, p->path), 0);
    expect_refusal(p, ELOOP, "is a symbolic link");
    unlink(target);
    expect_refusal(p, ELOOP, "is a symbolic link"); /* nor made through one */
    assert_int_equal(access(target, F_OK), -1);
    unlink(p->path);

    assert_int_equal(mkfifo(p->path, 0600), 0);
    expect_refusal(p, EINVAL, "neither a regular file nor a directory");
    unlink(p->path);

    for (mode_t others = 020; others; others = others == 020 ? 002 : 0) {
        fd = open(p->path, O_CREAT | O_RDWR, 0600);
        assert_int_equal(fchmod(fd, 0600 | others), 0);
        close(fd);
        expect_refusal(p, EPERM, "'chmod go-w' it");
        unlink(p->path);
    }

    if (geteuid() != 0)
        return; /* only root can give a file away */
    fd = open(p->path, O_CREAT | O_RDWR, 0600);
    assert_int_equal(fchown(fd, 4711, (gid_t)-1), 0);
    close(fd);
    expect_refusal(p, EPERM, "belongs to user 4711");
}

static void a_file_that_is_too_short_stays_as_it_is(void **state)
{
    struct place *p = *state;
    int fd = open(p->path, O_CREAT | O_RDWR, 0600);

    assert_int_equal(ftruncate(fd, MIB), 0);
    close(fd);
    assert_int_equal(opened(p).st_size, MIB);
}

/* By whatever name, and before it takes room in it. */
static void a_disk_of_the_same_vm_stays_as_it_is(void **state)
{
    struct place *p = *state;
    char image[96];
    struct stat st;
    int fd = open(p->path, O_CREAT | O_RDWR, 0600);

    assert_int_equal(ftruncate(fd, 4 * MIB), 0);
    snprintf(image, sizeof(image), "%s/image", p->dir);
    assert_int_equal(link(p->path, image), 0);
    p->c.drive_count = 2;
    p->c.drives[0] = (struct config_drive){.id = p->id, .path = p->dir};
    p->c.drives[1] = (struct config_drive){.id = p->id, .path = image};
    expect_refusal(p, EBUSY, "is the image of drive \"r0\"");
    assert_int_equal(fstat(fd, &st), 0);
    assert_int_equal(st.st_blocks, 0);
    close(fd);
    /* One that nobody has made yet is not made now. */
    assert_int_equal(unlink(image), 0);
    assert_int_equal(unlink(p->path), 0);
    p->c.drives[1].path = p->path;
    expect_refusal(p, EBUSY, "is the image of drive");
    assert_int_equal(access(p->path, F_OK), -1);
    p->c.drives[1].path = image;
    (void)opened(p);
}

/* In a child, which has the mount for itself. 0: as it should be; 77: the kernel does not let us.
 */
static int in_a_small_file_system(struct place *p)
{
    struct ferry_err err;
    int fd = -1;

    if (unshare(CLONE_NEWNS) < 0 && unshare(CLONE_NEWUSER | CLONE_NEWNS) < 0)
        return 77;
    if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
        mount("small", p->dir, "tmpfs", 0, "size=8m") < 0)
        return 77;
    p->m.size_bytes = 16 * MIB;
    if (memory_file_open(&p->c, &p->m, &fd, &err) != -ENOSPC ||
        !strstr(err.text, "has no room for 16 MiB"))
        return 1;
    if (access(p->path, F_OK) == 0)
        return 2; /* left behind */
    p->m.size_bytes = 4 * MIB;
    if (memory_file_open(&p->c, &p->m, &fd, &err) < 0)
        return 3;
    close(fd);
    p->m.size_bytes = 16 * MIB;
    p->m.path = p->dir;
    return memory_file_open(&p->c, &p->m, &fd, &err) == -ENOSPC ? 0 : 4;
}

static int end_of(pid_t pid)
{
    int status;

    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static void what_does_not_fit_is_refused_at_the_start(void **state)
{
    pid_t pid = fork();
    int status;

    if (pid == 0)
        _exit(in_a_small_file_system(*state));
    status = end_of(pid);
    if (status == 77)
        skip();
    assert_int_equal(status, 0);
}

static void memory_that_is_lost_has_a_name(void **state)
{
    struct place *p = *state;
    char said[1024] = {0};
    int ends[2];
    pid_t pid;

    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    pid = fork();
    if (pid == 0) {
        int fd = open(p->path, O_CREAT | O_RDWR, 0600);
        volatile char *at;

        dup2(ends[1], STDERR_FILENO);
        if (ftruncate(fd, MIB) < 0)
            _exit(2);
        at = mmap(NULL, MIB, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        lost_memory_watch();
        if (at == MAP_FAILED || ftruncate(fd, 0) < 0)
            _exit(2);
        at[5000] = 1;
        _exit(3);
    }
    close(ends[1]);
    assert_int_equal(end_of(pid), 1);
    for (size_t n = 0; n < sizeof(said) - 1;) {
        ssize_t r = read(ends[0], said + n, sizeof(said) - 1 - n);

        if (r <= 0)
            break;
        n += (size_t)r;
    }
    close(ends[0]);
    assert_non_null(strstr(said, "memory of a file is gone"));
    assert_non_null(strstr(said, p->path));
}

int main(void)
{
#define T(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        T(a_new_file_is_its_owners_and_whole),      T(without_prealloc_it_takes_no_room),
        T(a_directory_gets_a_file_without_a_name),  T(what_is_no_file_of_ours_is_refused),
        T(a_file_that_is_too_short_stays_as_it_is), T(what_does_not_fit_is_refused_at_the_start),
        T(memory_that_is_lost_has_a_name),          T(a_disk_of_the_same_vm_stays_as_it_is),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
