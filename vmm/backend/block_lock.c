/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/backend/block_lock.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/err.h"
#include "base/own.h"
#include "base/same_file.h"

#define USED_BASE        100
#define UNSHARED_BASE    200
#define QEMU_BYTES       (UNSHARED_BASE + 64 - USED_BASE)
#define CLAIM_BYTE       300
#define PERMISSION_READ  0
#define PERMISSION_WRITE 1

static int lock_set(int fd, short type, off_t byte)
{
    struct flock l = {.l_type = type, .l_whence = SEEK_SET, .l_start = byte, .l_len = 1};

    return fcntl(fd, F_OFD_SETLK, &l) < 0 ? -errno : 0;
}

/* 1: another description holds it. */
static int lock_held_by_other(int fd, off_t byte)
{
    struct flock l = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = byte, .l_len = 1};

    if (fcntl(fd, F_OFD_GETLK, &l) < 0)
        return -errno;
    return l.l_type != F_UNLCK;
}

/* --- Who is it? The kernel does not say for such locks: look who has the file open. --- */

static void closedirp(DIR **d)
{
    if (*d)
        closedir(*d);
}

static bool process_has_open(const char *pid, const struct stat *image)
{
    char path[64 + 256];
    OWN(closedirp) DIR *fds = NULL;
    const struct dirent *e;
    struct stat st;

    snprintf(path, sizeof(path), "/proc/%.20s/fd", pid);
    fds = opendir(path);
    while (fds && (e = readdir(fds))) {
        if (fstatat(dirfd(fds), e->d_name, &st, 0) == 0 && same_file(&st, image))
            return true;
    }
    return false;
}

/* A file of /proc, cut at size - 1 bytes; returns its length. */
static size_t read_proc(const char *pid, const char *file, char *text, size_t size)
{
    char path[64];
    OWN_FD int fd = -1;
    ssize_t n;

    snprintf(path, sizeof(path), "/proc/%.20s/%s", pid, file);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    n = fd < 0 ? 0 : read(fd, text, size - 1);
    text[n > 0 ? n : 0] = 0;
    return n > 0 ? (size_t)n : 0;
}

/* The value of -name on a VMM's command line; "" if there is none. */
static void vm_name(const char *pid, char *name, size_t size)
{
    char args[4096];
    size_t n = read_proc(pid, "cmdline", args, sizeof(args));

    name[0] = 0;
    for (size_t at = 0; at < n; at += strlen(args + at) + 1) {
        const char *value = args + at + strlen(args + at) + 1;

        if (strcmp(args + at, "-name") && strcmp(args + at, "--name"))
            continue;
        if (value >= args + n)
            return;
        if (strncmp(value, "guest=", 6) == 0)
            value += 6;
        snprintf(name, size, "%.*s", (int)strcspn(value, ","), value);
        return;
    }
}

static void describe_process(const char *pid, char *text, size_t size)
{
    char comm[32], name[128];

    read_proc(pid, "comm", comm, sizeof(comm));
    comm[strcspn(comm, "\n")] = 0;
    vm_name(pid, name, sizeof(name));
    if (name[0])
        snprintf(text, size, "%s, pid %.20s, VM \"%s\"", comm, pid, name);
    else
        snprintf(text, size, "%s, pid %.20s", comm, pid);
}

static void describe_holder(int fd, char *text, size_t size)
{
    char self[24];
    OWN(closedirp) DIR *proc = opendir("/proc");
    const struct dirent *e;
    struct stat image;

    /* In the sandbox /proc is closed. */
    snprintf(text, size, "a process that cannot be seen from here ('fuser -v' on it shows who)");
    snprintf(self, sizeof(self), "%d", (int)getpid());
    if (fstat(fd, &image) < 0)
        return;
    while (proc && (e = readdir(proc))) {
        if (isdigit((unsigned char)e->d_name[0]) && strcmp(e->d_name, self) &&
            process_has_open(e->d_name, &image)) {
            describe_process(e->d_name, text, size);
            return;
        }
    }
    /* Nobody else: this process has it open a second time. */
    if (proc)
        snprintf(text, size,
                 "another drive of this VM, or a process that cannot be seen from here (as root, "
                 "'fuser -v' on it shows who)");
}

/* --- The rule --- */

static int lock_conflict(int fd, bool readonly)
{
    int r = lock_held_by_other(fd, UNSHARED_BASE + PERMISSION_READ);

    if (r == 0 && !readonly)
        r = lock_held_by_other(fd, UNSHARED_BASE + PERMISSION_WRITE);
    if (r == 0)
        r = lock_held_by_other(fd, USED_BASE + PERMISSION_WRITE);
    return r;
}

static int lock_take(int fd, bool readonly)
{
    int r = lock_set(fd, F_RDLCK, USED_BASE + PERMISSION_READ);

    if (r == 0 && !readonly)
        r = lock_set(fd, F_RDLCK, USED_BASE + PERMISSION_WRITE);
    if (r == 0)
        r = lock_set(fd, F_RDLCK, UNSHARED_BASE + PERMISSION_WRITE);
    return r;
}

static void lock_drop(int fd)
{
    (void)lock_set(fd, F_UNLCK, USED_BASE + PERMISSION_READ);
    (void)lock_set(fd, F_UNLCK, USED_BASE + PERMISSION_WRITE);
    (void)lock_set(fd, F_UNLCK, UNSHARED_BASE + PERMISSION_WRITE);
}

int block_lock(int fd, const char *path, bool readonly, struct ferry_err *err)
{
    char holder[256];
    int r;

    /* Taken before looking: of two that start at the same time at least one sees the other. */
    r = lock_take(fd, readonly);
    if (r < 0 && r != -EAGAIN && r != -EACCES)
        return err_sys(err, -r, "locking image \"%s\" (locking=off goes without)", path);
    if (r == 0)
        r = lock_conflict(fd, readonly);
    if (r == 0)
        return 0;
    lock_drop(fd);
    if (r < 0 && r != -EAGAIN && r != -EACCES)
        return err_sys(err, -r, "looking at the locks of image \"%s\"", path);
    describe_holder(fd, holder, sizeof(holder));
    /* The first words are QEMU's, which tools look for. */
    return err_set(err, EBUSY,
                   "Failed to get %s lock: image \"%s\" is in use by %s; end that first, or open "
                   "it read-only on both sides",
                   readonly ? "shared \"write\"" : "\"write\"", path, holder);
}

void block_unlock(int fd)
{
    struct flock l = {
        .l_type = F_UNLCK, .l_whence = SEEK_SET, .l_start = USED_BASE, .l_len = QEMU_BYTES};

    fcntl(fd, F_OFD_SETLK, &l);
}

int block_lock_unclaimed(int fd, const char *path, struct ferry_err *err)
{
    char holder[256];

    if (lock_held_by_other(fd, CLAIM_BYTE) <= 0)
        return 0;
    describe_holder(fd, holder, sizeof(holder));
    return err_set(err, EBUSY,
                   "image \"%s\" belongs to a guest that is being moved: it is open in %s", path,
                   holder);
}

void block_claim(int fd, bool claim)
{
    (void)lock_set(fd, claim ? F_RDLCK : F_UNLCK, CLAIM_BYTE);
}
