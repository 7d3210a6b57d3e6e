/* SPDX-License-Identifier: Apache-2.0 */
/*
 * LD_PRELOAD, for faults.py: a host whose calls hang, fail or do less than they were asked for, as
 * the test says while they run.
 *
 * It says so in a file, $FERRY_FAULTS, that is mapped before main(). Later nothing can be opened,
 * and the threads that this is about may hardly call anything: they look at this memory, at fstat()
 * and at the clock. Which file a descriptor is, is therefore asked by inode and not by name.
 *
 * The layout is faults.py's too.
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#define EXPORT     __attribute__((visibility("default")))
#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

struct file {
    uint64_t device;
    uint64_t inode;
};

enum kind { READ, WRITE, SYNC, ALLOCATE, LOG, LOOKUP, KINDS };

struct fault {
    atomic_uint hang;     /* while it is not 0 */
    atomic_uint hung;     /* how many calls have hung so far */
    atomic_uint failures; /* how many calls are to fail from now on */
    atomic_uint errnum;   /* with what */
    atomic_uint at_most;  /* bytes in one call; 0: as many as were asked for */
};

static struct faults {
    struct file disk; /* whose calls are READ, WRITE, SYNC, ALLOCATE */
    struct file log;  /* LOG: write(2) to it */
    struct fault of[KINDS];
} * faults;

__attribute__((constructor)) static void map_faults(void)
{
    const char *path = getenv("FERRY_FAULTS");
    int fd = path ? open(path, O_RDWR | O_CLOEXEC) : -1;
    void *at;

    if (fd < 0)
        return;
    at = mmap(NULL, sizeof(*faults), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (at != MAP_FAILED)
        faults = at;
    close(fd);
}

/* libc's fstat() is another system call, which may also look up names. */
static bool is_file(int fd, const struct file *file)
{
    struct stat found;

    return syscall(SYS_fstat, fd, &found) == 0 && found.st_dev == file->device &&
           found.st_ino == file->inode;
}

static bool is_disk(int fd)
{
    int before = errno;
    bool ret = faults && is_file(fd, &faults->disk);

    errno = before;
    return ret;
}

/* One of those that are to fail is used up. */
static bool takes_failure(struct fault *f)
{
    unsigned left = atomic_load(&f->failures);

    while (left)
        if (atomic_compare_exchange_weak(&f->failures, &left, left - 1))
            return true;
    return false;
}

static bool may(enum kind kind)
{
    struct fault *f = &faults->of[kind];

    if (atomic_load(&f->hang))
        atomic_fetch_add(&f->hung, 1);
    while (atomic_load(&f->hang))
        nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    if (!takes_failure(f))
        return true;
    errno = (int)atomic_load(&f->errnum);
    return false;
}

/* *short_ is for the caller to point to, if the call shall do less. */
static void shorten(enum kind kind, const struct iovec **iov, int *count, struct iovec *short_)
{
    size_t most = atomic_load(&faults->of[kind].at_most);

    if (!most || !*count)
        return;
    *short_ = (*iov)[0];
    if (short_->iov_len > most)
        short_->iov_len = most;
    *iov = short_;
    *count = 1;
}

EXPORT ssize_t preadv64(int fd, const struct iovec *iov, int count, off64_t offset)
{
    struct iovec part;

    if (is_disk(fd)) {
        if (!may(READ))
            return -1;
        shorten(READ, &iov, &count, &part);
    }
    return REAL(preadv64)(fd, iov, count, offset);
}

EXPORT ssize_t pwritev64(int fd, const struct iovec *iov, int count, off64_t offset)
{
    struct iovec part;

    if (is_disk(fd)) {
        if (!may(WRITE))
            return -1;
        shorten(WRITE, &iov, &count, &part);
    }
    return REAL(pwritev64)(fd, iov, count, offset);
}

EXPORT int fdatasync(int fd)
{
    return is_disk(fd) && !may(SYNC) ? -1 : REAL(fdatasync)(fd);
}

EXPORT int fallocate64(int fd, int mode, off64_t offset, off64_t length)
{
    return is_disk(fd) && !may(ALLOCATE) ? -1 : REAL(fallocate64)(fd, mode, offset, length);
}

EXPORT ssize_t write(int fd, const void *data, size_t n)
{
    int before = errno;

    if (faults && is_file(fd, &faults->log) && !may(LOG))
        return -1;
    errno = before;
    return REAL(write)(fd, data, n);
}

EXPORT int getaddrinfo(const char *host, const char *port, const struct addrinfo *hints,
                       struct addrinfo **ret)
{
    if (faults && host && !(hints && hints->ai_flags & AI_NUMERICHOST) && !may(LOOKUP))
        return EAI_SYSTEM;
    return REAL(getaddrinfo)(host, port, hints, ret);
}
