/* SPDX-License-Identifier: Apache-2.0 */
/*
 * LD_PRELOAD: a host whose disk images hang or fail while the test says so, by files in the folder
 * $DISK_SHIM. "hang-sync": calls wait until it is gone, "hung-sync" says that one does. "fail-sync"
 * holds an errno; "once-sync" is the same for the one call that removes it. As sync: read, write,
 * allocate. Only files named *.img.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

static bool is_image(int fd)
{
    char link[64], path[4096];
    ssize_t n;

    snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
    n = readlink(link, path, sizeof(path) - 1);
    return n >= 4 && memcmp(path + n - 4, ".img", 4) == 0;
}

static void path_of(char path[4096], const char *what, const char *call)
{
    snprintf(path, 4096, "%s/%s-%s", getenv("DISK_SHIM"), what, call);
}

static bool exists(const char *what, const char *call)
{
    char path[4096];

    path_of(path, what, call);
    return access(path, F_OK) == 0;
}

/* 0: no such file. */
static int number_in(const char *what, const char *call)
{
    char path[4096], text[16] = "";
    int fd;

    path_of(path, what, call);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return 0;
    (void)!read(fd, text, sizeof(text) - 1);
    close(fd);
    return atoi(text);
}

static bool may(int fd, const char *call)
{
    int errnum;

    if (!is_image(fd))
        return true;
    while (exists("hang", call)) {
        char path[4096];

        path_of(path, "hung", call);
        close(open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
        nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    }
    errnum = number_in("fail", call);
    if (!errnum && (errnum = number_in("once", call))) {
        char path[4096];

        path_of(path, "once", call);
        if (unlink(path) < 0)
            errnum = 0; /* another thread's */
    }
    errno = errnum;
    return !errnum;
}

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

int fdatasync(int fd)
{
    return may(fd, "sync") ? REAL(fdatasync)(fd) : -1;
}

ssize_t preadv64(int fd, const struct iovec *iov, int count, off64_t offset)
{
    return may(fd, "read") ? REAL(preadv64)(fd, iov, count, offset) : -1;
}

ssize_t pwritev64(int fd, const struct iovec *iov, int count, off64_t offset)
{
    return may(fd, "write") ? REAL(pwritev64)(fd, iov, count, offset) : -1;
}

int fallocate64(int fd, int mode, off64_t offset, off64_t length)
{
    return may(fd, "allocate") ? REAL(fallocate64)(fd, mode, offset, length) : -1;
}
