/* SPDX-License-Identifier: Apache-2.0 */
/*
 * For test_hang.py, by LD_PRELOAD: backends that hang on command.
 *
 * A call of a kind hangs for as long as somebody else holds the lock (flock, exclusive) of the file
 * $FERRY_HANG/KIND, and first writes the kind's name and a newline to the FIFO $FERRY_HANG/reached.
 * So a hang begins and ends when the test says so, and ends with the test in any case.
 *
 *   read, write, flush   of *.img, a disk's image
 *   log                  write(2) to *.log, a console's file
 *   lookup               of a name that is no number
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/uio.h>
#include <unistd.h>

#define EXPORT           __attribute__((visibility("default")))
#define REAL(name, type) ((type)dlsym(RTLD_NEXT, name))

static void say_reached(const char *folder, const char *kind)
{
    char path[512], line[32];
    int fd, n = snprintf(line, sizeof(line), "%s\n", kind);

    snprintf(path, sizeof(path), "%s/reached", folder);
    fd = open(path, O_WRONLY | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0)
        return;
    REAL("write", ssize_t(*)(int, const void *, size_t))(fd, line, (size_t)n);
    close(fd);
}

static void hang(const char *kind)
{
    const char *folder = getenv("FERRY_HANG");
    char path[512];
    int fd;

    if (!folder)
        return;
    snprintf(path, sizeof(path), "%s/%s", folder, kind);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return;
    if (flock(fd, LOCK_SH | LOCK_NB) < 0 && errno == EWOULDBLOCK) {
        say_reached(folder, kind);
        while (flock(fd, LOCK_SH) < 0 && errno == EINTR)
            continue;
    }
    close(fd);
}

static bool is_named(int fd, const char *suffix)
{
    char link[64], path[512];
    size_t end = strlen(suffix);
    ssize_t n;

    snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
    n = readlink(link, path, sizeof(path));
    return n >= (ssize_t)end && n < (ssize_t)sizeof(path) &&
           memcmp(path + n - end, suffix, end) == 0;
}

EXPORT ssize_t preadv64(int fd, const struct iovec *iov, int n, off64_t at)
{
    if (is_named(fd, ".img"))
        hang("read");
    return REAL("preadv64", ssize_t(*)(int, const struct iovec *, int, off64_t))(fd, iov, n, at);
}

EXPORT ssize_t pwritev64(int fd, const struct iovec *iov, int n, off64_t at)
{
    if (is_named(fd, ".img"))
        hang("write");
    return REAL("pwritev64", ssize_t(*)(int, const struct iovec *, int, off64_t))(fd, iov, n, at);
}

EXPORT int fdatasync(int fd)
{
    if (is_named(fd, ".img"))
        hang("flush");
    return REAL("fdatasync", int (*)(int))(fd);
}

EXPORT ssize_t write(int fd, const void *data, size_t n)
{
    if (is_named(fd, ".log"))
        hang("log");
    return REAL("write", ssize_t(*)(int, const void *, size_t))(fd, data, n);
}

EXPORT int getaddrinfo(const char *host, const char *port, const struct addrinfo *hints,
                       struct addrinfo **ret)
{
    if (host && !(hints && hints->ai_flags & AI_NUMERICHOST))
        hang("lookup");
    return REAL("getaddrinfo", int (*)(const char *, const char *, const struct addrinfo *,
                                       struct addrinfo **))(host, port, hints, ret);
}
