/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/main/rundir.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/err.h"
#include "base/own.h"

static const char fd_name[] = "vm/name";
static const char lock_suffix[] = ".lock";
static const char socket_suffix[] = ".sock";

struct rundir_claim {
    char path[RUNDIR_PATH_BYTES];
    char name[RUNDIR_PATH_BYTES];
    int fd;
    bool handed_over;
};

/* The directory, made if need be and checked to be ours. */
static int rundir_path(char ret[RUNDIR_PATH_BYTES], struct ferry_err *err)
{
    const char *base = getenv("XDG_RUNTIME_DIR");
    struct stat st;
    int n;

    if (base && *base)
        n = snprintf(ret, RUNDIR_PATH_BYTES, "%s/ferry", base);
    else if (geteuid() == 0)
        n = snprintf(ret, RUNDIR_PATH_BYTES, "/run/ferry");
    else
        n = snprintf(ret, RUNDIR_PATH_BYTES, "/tmp/ferry-%u", (unsigned)geteuid());
    if (n >= RUNDIR_PATH_BYTES)
        return err_set(err, ENAMETOOLONG, "runtime directory %s/ferry: the path is too long", base);
    if (lstat(ret, &st) < 0) {
        if (mkdir(ret, 0700) < 0 && errno != EEXIST)
            return err_sys(err, errno, "cannot make the runtime directory %s", ret);
        if (lstat(ret, &st) < 0)
            return err_sys(err, errno, "runtime directory %s", ret);
    }
    if (!S_ISDIR(st.st_mode) || st.st_uid != geteuid() || (st.st_mode & 077))
        return err_set(err, EPERM,
                       "runtime directory %s: must be a directory of yours that nobody else can "
                       "enter (chmod 700)",
                       ret);
    return 0;
}

int rundir_file(char ret[RUNDIR_PATH_BYTES], const char *name, const char *suffix,
                struct ferry_err *err)
{
    char dir[RUNDIR_PATH_BYTES];
    int rc = rundir_path(dir, err);

    if (rc < 0)
        return rc;
    if (snprintf(ret, RUNDIR_PATH_BYTES, "%s/%s%s", dir, name, suffix) >= RUNDIR_PATH_BYTES)
        return err_set(err, ENAMETOOLONG, "%s/%s%s is longer than a socket address may be", dir,
                       name, suffix);
    return 0;
}

/* 0 and the lock is ours, -EAGAIN and somebody's, or another error. */
static int lock_fd(int fd)
{
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};

    return fcntl(fd, F_OFD_SETLK, &lock) < 0 ? -errno : 0;
}

/* A VM holds the lock from byte 0 on. Who tidies up holds it from byte 1 on, for a moment. */
#define SWEEP_BYTE 1

static bool is_locked(int fd)
{
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};

    return fcntl(fd, F_OFD_GETLK, &lock) == 0 && lock.l_type != F_UNLCK &&
           lock.l_start != SWEEP_BYTE;
}

/* What a process left that was killed. Nobody's name can be taken by somebody else meanwhile. */
static void sweep(const char *name)
{
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = SWEEP_BYTE};
    char path[RUNDIR_PATH_BYTES], socket[RUNDIR_PATH_BYTES];
    struct stat ours, there;
    struct ferry_err err;
    OWN_FD int fd = -1;

    if (rundir_file(path, name, lock_suffix, &err) < 0 ||
        rundir_file(socket, name, socket_suffix, &err) < 0)
        return;
    fd = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0 || fcntl(fd, F_OFD_SETLK, &lock) < 0)
        return;
    /* Another may have done it, and a VM have taken the name again. */
    if (fstat(fd, &ours) < 0 || stat(path, &there) < 0 || ours.st_ino != there.st_ino)
        return;
    unlink(socket);
    unlink(path);
}

static int compare_names(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static bool held(const char *name)
{
    struct ferry_err err;
    char path[RUNDIR_PATH_BYTES];
    OWN_FD int fd = -1;

    if (rundir_file(path, name, lock_suffix, &err) < 0)
        return false;
    fd = open(path, O_RDWR | O_CLOEXEC);
    return fd >= 0 && is_locked(fd);
}

int rundir_list(void (*fn)(void *arg, const char *name), void *arg, struct ferry_err *err)
{
    char dir[RUNDIR_PATH_BYTES];
    char **names = NULL;
    size_t count = 0;
    struct dirent *entry;
    DIR *d;
    int rc = rundir_path(dir, err);

    if (rc < 0)
        return rc;
    d = opendir(dir);
    if (!d)
        return err_sys(err, errno, "runtime directory %s", dir);
    while ((entry = readdir(d))) {
        size_t len = strlen(entry->d_name);
        size_t suffix = sizeof(lock_suffix) - 1;
        char **grown;

        if (len <= suffix || strcmp(entry->d_name + len - suffix, lock_suffix))
            continue;
        entry->d_name[len - suffix] = '\0';
        if (!held(entry->d_name)) {
            sweep(entry->d_name);
            continue;
        }
        grown = reallocarray(names, count + 1, sizeof(*names));
        if (!grown)
            break;
        names = grown;
        names[count] = strdup(entry->d_name);
        if (!names[count])
            break;
        count++;
    }
    closedir(d);
    if (count)
        qsort(names, count, sizeof(*names), compare_names);
    for (size_t i = 0; i < count; i++) {
        fn(arg, names[i]);
        free(names[i]);
    }
    free(names);
    return 0;
}

int rundir_watch_end(const char *name, int *ret_fd, struct ferry_err *err)
{
    char path[RUNDIR_PATH_BYTES];
    OWN_FD int fd = -1;
    int rc = rundir_file(path, name, lock_suffix, err);

    if (rc < 0)
        return rc;
    fd = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0)
        return err_sys(err, errno, "%s", path);
    *ret_fd = take_fd(&fd);
    return 0;
}

void rundir_wait_end(int fd)
{
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};

    /* The kernel gives it to us when the last process that holds it is gone. */
    while (fcntl(fd, F_OFD_SETLKW, &lock) < 0 && errno == EINTR)
        continue;
}

int rundir_prepare(struct ferry_err *err)
{
    char dir[RUNDIR_PATH_BYTES];

    return rundir_path(dir, err);
}

int rundir_claim_new(struct rundir_claim **ret, const char *name, struct ferry_err *err)
{
    OWN_MEM struct rundir_claim *claim = calloc(1, sizeof(*claim));
    int rc;

    if (!claim)
        return err_set(err, ENOMEM, "out of memory");
    claim->fd = -1;
    snprintf(claim->name, sizeof(claim->name), "%s", name);
    rc = rundir_file(claim->path, name, lock_suffix, err);
    if (rc < 0)
        return rc;
    *ret = TAKE_PTR(claim);
    return 0;
}

/* Best effort: the text is for people. */
static void write_pid(int fd)
{
    char text[16];
    int n = snprintf(text, sizeof(text), "%d\n", (int)getpid());

    if (ftruncate(fd, 0) < 0 || pwrite(fd, text, (size_t)n, 0) < 0)
        return;
}

static int refuse_taken(const struct rundir_claim *claim, int fd, struct ferry_err *err)
{
    char pid[16] = "";
    ssize_t n = pread(fd, pid, sizeof(pid) - 1, 0);

    if (n > 0)
        pid[strcspn(pid, "\n")] = '\0';
    return err_set(err, EEXIST,
                   "a VM named '%s' is running already (process %s); choose another -name, or end "
                   "it with 'ferry quit %s'",
                   claim->name, *pid ? pid : "unknown", claim->name);
}

static void ignore_name(void *arg, const char *name)
{
}

int rundir_claim_take(struct rundir_claim *claim, struct ferry_err *err)
{
    for (;;) {
        OWN_FD int fd = open(claim->path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
        struct stat ours, there;
        int rc;

        if (fd < 0)
            return err_sys(err, errno, "cannot claim the name: %s", claim->path);
        rc = lock_fd(fd);
        if ((rc == -EAGAIN || rc == -EACCES) && !is_locked(fd))
            continue;
        if (rc == -EAGAIN || rc == -EACCES)
            return refuse_taken(claim, fd, err);
        if (rc < 0)
            return err_sys(err, -rc, "cannot lock %s", claim->path);
        /* Its last holder may have removed the file between our open and our lock. */
        if (fstat(fd, &ours) < 0 || stat(claim->path, &there) < 0 || ours.st_ino != there.st_ino)
            continue;
        write_pid(fd);
        claim->fd = take_fd(&fd);
        (void)!rundir_list(ignore_name, NULL, err);
        return 0;
    }
}

static void claim_pause(void *obj)
{
    struct rundir_claim *claim = obj;

    claim->handed_over = true;
}

static void claim_resume(void *obj)
{
    struct rundir_claim *claim = obj;

    claim->handed_over = false;
}

void rundir_claim_sign(struct rundir_claim *claim)
{
    write_pid(claim->fd);
}

static int claim_fd_at(void *obj, size_t index, struct ferry_named_fd *ret)
{
    struct rundir_claim *claim = obj;

    if (index)
        return -ENOENT;
    *ret = (struct ferry_named_fd){.fd = claim->fd};
    memcpy(ret->name, fd_name, sizeof(fd_name));
    return 0;
}

static int claim_adopt(void *obj, const char *name, int *fd, struct ferry_err *err)
{
    struct rundir_claim *claim = obj;
    struct stat st;

    if (fstat(*fd, &st) < 0 || !S_ISREG(st.st_mode))
        return err_set(err, EINVAL, "%s: a lock file was expected", name);
    if (lock_fd(*fd) < 0)
        return err_set(err, EINVAL, "%s: does not carry the lock on the name '%s'", name,
                       claim->name);
    claim->fd = take_fd(fd);
    return 0;
}

static const struct ferry_part_ops claim_ops = {
    .pause = claim_pause,
    .resume = claim_resume,
    .fd_at = claim_fd_at,
    .adopt = claim_adopt,
};

struct ferry_part rundir_claim_part(struct rundir_claim *claim)
{
    return (struct ferry_part){.idstr = "vm/name", .ops = &claim_ops, .obj = claim};
}

void rundir_claim_free(struct rundir_claim *claim)
{
    if (!claim)
        return;
    if (claim->fd >= 0 && !claim->handed_over)
        unlink(claim->path);
    own_close_fd(&claim->fd);
    free(claim);
}
