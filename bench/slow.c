/* SPDX-License-Identifier: Apache-2.0 */
/*
 * For bench/answers, by LD_PRELOAD: a host whose disk and name server are slow. SLOW_DISK_MS: each
 * write to a regular file, and each flush of one; SLOW_LOOKUP_MS: each name.
 */
#include <dlfcn.h>
#include <netdb.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#define EXPORT __attribute__((visibility("default")))

static void slow(const char *name)
{
    const char *value = getenv(name);
    long ms = value ? atol(value) : 0;
    struct timespec ts = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};

    nanosleep(&ts, NULL);
}

/* Guest RAM is a memfd, which nobody waits for. */
static void slow_file(int fd)
{
    struct stat st;

    /* libc's fstat() is another system call, which may also look up names: a disk's worker has
     * none. */
    if (syscall(SYS_fstat, fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_nlink > 0)
        slow("SLOW_DISK_MS");
}

EXPORT ssize_t writev(int fd, const struct iovec *iov, int n)
{
    ssize_t (*real)(int, const struct iovec *, int) = dlsym(RTLD_NEXT, "writev");

    slow_file(fd);
    return real(fd, iov, n);
}

EXPORT ssize_t pwrite64(int fd, const void *data, size_t n, off_t at)
{
    ssize_t (*real)(int, const void *, size_t, off_t) = dlsym(RTLD_NEXT, "pwrite64");

    slow_file(fd);
    return real(fd, data, n, at);
}

EXPORT int fdatasync(int fd)
{
    int (*real)(int) = dlsym(RTLD_NEXT, "fdatasync");

    slow_file(fd);
    return real(fd);
}

EXPORT int getaddrinfo(const char *host, const char *port, const struct addrinfo *hints,
                       struct addrinfo **ret)
{
    int (*real)(const char *, const char *, const struct addrinfo *, struct addrinfo **) =
        dlsym(RTLD_NEXT, "getaddrinfo");

    if (host && !(hints && hints->ai_flags & AI_NUMERICHOST))
        slow("SLOW_LOOKUP_MS");
    return real(host, port, hints, ret);
}
