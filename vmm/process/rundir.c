/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/process/rundir.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/own.h"

static const char fd_name[] = "vm/name";
static const char lock_suffix[] = ".lock";
static const char socket_suffix[] = ".sock";
static const char services_dir[] = "/run/ferry-vms";

struct rundir_claim {
    char path[RUNDIR_PATH_BYTES];
    char name[RUNDIR_PATH_BYTES];
    int fd;
    bool handed_over;
};

/* Whose it is that nobody else can enter; -1: there is no such directory. */
static uid_t owner_of(const char *dir)
{
    struct stat st;

    return lstat(dir, &st) == 0 && S_ISDIR(st.st_mode) && !(st.st_mode & 077) ? st.st_uid
                                                                              : (uid_t)-1;
}

/*
 * Root sees what services run, too, unless it said where to look. That a login set (pam_systemd:
 * /run/user/0) nobody said.
 */
static bool sees_services(void)
{
    const char *base = getenv("XDG_RUNTIME_DIR");
    bool said = base && *base && strncmp(base, "/run/user/", strlen("/run/user/")) != 0;

    return geteuid() == 0 && !said && owner_of(services_dir) != (uid_t)-1;
}

static bool runtime_dir_said(void)
{
    const char *base = getenv("XDG_RUNTIME_DIR");

    return base && *base;
}

/* The directory, which may not be there. */
static int rundir_compose(char ret[RUNDIR_PATH_BYTES], struct ferry_err *err)
{
    const char *base = getenv("XDG_RUNTIME_DIR");
    int n;

    if (base && *base)
        n = snprintf(ret, RUNDIR_PATH_BYTES, "%s/ferry", base);
    else if (geteuid() == 0)
        n = snprintf(ret, RUNDIR_PATH_BYTES, "/run/ferry");
    else if (owner_of(services_dir) == geteuid())
        n = snprintf(ret, RUNDIR_PATH_BYTES, "%s", services_dir);
    else
        n = snprintf(ret, RUNDIR_PATH_BYTES, "/tmp/ferry-%u", (unsigned)geteuid());
    if (n >= RUNDIR_PATH_BYTES)
        return err_set(err, ENAMETOOLONG, "runtime directory %s/ferry: the path is too long", base);
    return 0;
}

/* Made if need be and checked to be ours. */
static int rundir_path(char ret[RUNDIR_PATH_BYTES], struct ferry_err *err)
{
    struct stat st;
    int rc = rundir_compose(ret, err);

    if (rc < 0)
        return rc;
    if (lstat(ret, &st) < 0) {
        if (mkdir(ret, 0700) < 0 && errno != EEXIST)
            return err_sys(
                err, errno, "cannot make the runtime directory %s%s", ret,
                runtime_dir_said()
                    ? " (XDG_RUNTIME_DIR says where: set it to a folder of yours, or unset it)"
                    : "");
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

static int join(char ret[RUNDIR_PATH_BYTES], const char *dir, const char *name, const char *suffix,
                struct ferry_err *err)
{
    if (snprintf(ret, RUNDIR_PATH_BYTES, "%s/%s%s", dir, name, suffix) < RUNDIR_PATH_BYTES)
        return 0;
    return err_set(err, ENAMETOOLONG, "%s/%s%s is longer than a socket address may be", dir, name,
                   suffix);
}

int rundir_file(char ret[RUNDIR_PATH_BYTES], const char *name, const char *suffix,
                struct ferry_err *err)
{
    char dir[RUNDIR_PATH_BYTES];
    int rc = rundir_path(dir, err);

    return rc < 0 ? rc : join(ret, dir, name, suffix, err);
}

bool rundir_has_control_socket(const char *path)
{
    char dir[RUNDIR_PATH_BYTES];
    const char *name = strrchr(path, '/');
    struct ferry_err err;
    size_t n;

    if (!name || rundir_compose(dir, &err) < 0)
        return false;
    n = strlen(dir);
    return n == (size_t)(name - path) && !memcmp(path, dir, n);
}

int rundir_find(char ret[RUNDIR_PATH_BYTES], const char *name, const char *suffix,
                struct ferry_err *err)
{
    char of_service[RUNDIR_PATH_BYTES];
    int rc = rundir_file(ret, name, suffix, err);

    if (rc < 0 || access(ret, F_OK) == 0 || !sees_services())
        return rc;
    if (snprintf(of_service, sizeof(of_service), "%s/%s%s", services_dir, name, suffix) <
            RUNDIR_PATH_BYTES &&
        access(of_service, F_OK) == 0)
        memcpy(ret, of_service, sizeof(of_service));
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

static bool held(const char *dir, const char *name)
{
    char path[RUNDIR_PATH_BYTES];
    OWN_FD int fd = -1;

    if (snprintf(path, sizeof(path), "%s/%s%s", dir, name, lock_suffix) >= RUNDIR_PATH_BYTES)
        return false;
    fd = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
    return fd >= 0 && is_locked(fd);
}

bool rundir_is_name(const char *name)
{
    return *name && !strchr(name, '/');
}

void rundir_sweep(const char *name)
{
    char dir[RUNDIR_PATH_BYTES];
    struct ferry_err err;

    if (rundir_path(dir, &err) == 0 && !held(dir, name))
        sweep(name);
}

struct names {
    char **list;
    size_t count;
};

/* Out of memory: as many as there is room for. */
static void names_add(struct names *n, const char *name)
{
    char **grown = reallocarray(n->list, n->count + 1, sizeof(*grown));

    if (!grown)
        return;
    n->list = grown;
    n->list[n->count] = strdup(name);
    n->count += n->list[n->count] != NULL;
}

/* ours: what is left there of VMs that were killed is removed. */
static int names_in(struct names *n, const char *dir, bool ours, struct ferry_err *err)
{
    const size_t suffix = sizeof(lock_suffix) - 1;
    struct dirent *entry;
    DIR *d = opendir(dir);

    if (!d)
        return err_sys(err, errno, "runtime directory %s", dir);
    while ((entry = readdir(d))) {
        size_t len = strlen(entry->d_name);

        if (len <= suffix || strcmp(entry->d_name + len - suffix, lock_suffix))
            continue;
        entry->d_name[len - suffix] = '\0';
        if (held(dir, entry->d_name))
            names_add(n, entry->d_name);
        else if (ours)
            sweep(entry->d_name);
    }
    closedir(d);
    return 0;
}

int rundir_list(void (*fn)(void *arg, const char *name), void *arg, struct ferry_err *err)
{
    char dir[RUNDIR_PATH_BYTES];
    struct names names = {0};
    int rc = rundir_path(dir, err);

    if (!rc)
        rc = names_in(&names, dir, true, err);
    if (rc < 0)
        return rc;
    if (sees_services())
        (void)names_in(&names, services_dir, false, err);
    if (names.count)
        qsort(names.list, names.count, sizeof(*names.list), compare_names);
    for (size_t i = 0; i < names.count; i++) {
        fn(arg, names.list[i]);
        free(names.list[i]);
    }
    free(names.list);
    return 0;
}

int rundir_holder(const char *name, pid_t *ret, struct ferry_err *err)
{
    char text[16] = "";
    OWN_FD int fd = -1;
    int rc = rundir_watch_end(name, &fd, err);

    if (rc < 0)
        return rc;
    if (!is_locked(fd))
        return err_set(err, ENOENT, "no VM named '%s' is running", name);
    (void)!pread(fd, text, sizeof(text) - 1, 0);
    *ret = (pid_t)strtol(text, NULL, 10);
    return *ret > 0 ? 0 : err_set(err, ESRCH, "VM '%s' does not say which process it is", name);
}

int rundir_watch_end(const char *name, int *ret_fd, struct ferry_err *err)
{
    char path[RUNDIR_PATH_BYTES];
    OWN_FD int fd = -1;
    int rc = rundir_find(path, name, lock_suffix, err);

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

static void interrupt(int signum)
{
    (void)signum;
}

bool rundir_wait_end_for(int fd, int64_t timeout_ns)
{
    const struct sigaction interrupts = {.sa_handler = interrupt}; /* without SA_RESTART */
    /* Again and again: one that comes just before the call would interrupt nothing. */
    const struct itimerval often = {{.tv_usec = 100000}, {.tv_usec = 100000}};
    const struct itimerval never = {0};
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    int64_t deadline_ns = clock_monotonic_ns() + timeout_ns;
    int rc;

    sigaction(SIGALRM, &interrupts, NULL);
    setitimer(ITIMER_REAL, &often, NULL);
    do
        rc = fcntl(fd, F_OFD_SETLKW, &lock);
    while (rc < 0 && errno == EINTR && clock_monotonic_ns() < deadline_ns);
    setitimer(ITIMER_REAL, &never, NULL);
    return rc == 0;
}

int rundir_prepare(struct ferry_err *err)
{
    char dir[RUNDIR_PATH_BYTES];

    return rundir_path(dir, err);
}

int rundir_claim_new(struct rundir_claim **ret, const char *name, struct ferry_err *err)
{
    OWN_MEM struct rundir_claim *claim = calloc(1, sizeof(*claim));
    char dir[RUNDIR_PATH_BYTES];
    int rc;

    if (!claim)
        return err_set(err, ENOMEM, "out of memory");
    claim->fd = -1;
    snprintf(claim->name, sizeof(claim->name), "%s", name);
    /* Whoever adopts the lock needs no directory: it may have been removed. */
    rc = rundir_compose(dir, err);
    if (!rc)
        rc = join(claim->path, dir, name, lock_suffix, err);
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
                   "a VM named '%s' is running already on this host (process %s), perhaps the one "
                   "that comes here; give this one another name (ferry run -name, ferry receive "
                   "--name)",
                   claim->name, *pid ? pid : "unknown");
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

int rundir_claim_look(const struct rundir_claim *claim, struct ferry_err *err)
{
    OWN_FD int fd = -1;
    struct stat st;

    /* A name that nobody has, which may be any stranger's word, opens nothing. */
    if (lstat(claim->path, &st) < 0 || !S_ISREG(st.st_mode))
        return 0;
    fd = open(claim->path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    return fd >= 0 && is_locked(fd) ? refuse_taken(claim, fd, err) : 0;
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
