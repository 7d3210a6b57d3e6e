/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/vmm/backend/disk_fault.h"

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <string.h>
#include <sys/types.h>
#include <sys/uio.h>

/* Shared with the threads of the code under test, which have no other way to be told. */
static struct {
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    struct {
        bool hangs;
        unsigned hanging, count;
        int errnum;
        unsigned after, times;
    } calls[DISK_CALLS];
    unsigned short_bytes;
} faults = {.mutex = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};

void disk_fault_let_go(void)
{
    pthread_mutex_lock(&faults.mutex);
    for (int i = 0; i < DISK_CALLS; i++)
        faults.calls[i].hangs = false;
    pthread_cond_broadcast(&faults.changed);
    pthread_mutex_unlock(&faults.mutex);
}

void disk_fault_reset(void)
{
    disk_fault_let_go();
    pthread_mutex_lock(&faults.mutex);
    for (int i = 0; i < DISK_CALLS; i++)
        faults.calls[i].times = faults.calls[i].count = 0;
    faults.short_bytes = 0;
    pthread_mutex_unlock(&faults.mutex);
}

void disk_fault_hang(enum disk_call call)
{
    pthread_mutex_lock(&faults.mutex);
    faults.calls[call].hangs = true;
    pthread_mutex_unlock(&faults.mutex);
}

void disk_fault_wait_hanging(enum disk_call call, unsigned count)
{
    pthread_mutex_lock(&faults.mutex);
    while (faults.calls[call].hanging < count)
        pthread_cond_wait(&faults.changed, &faults.mutex);
    pthread_mutex_unlock(&faults.mutex);
}

void disk_fault_fail(enum disk_call call, int errnum, unsigned after, unsigned times)
{
    pthread_mutex_lock(&faults.mutex);
    faults.calls[call].errnum = errnum;
    faults.calls[call].after = after;
    faults.calls[call].times = times;
    pthread_mutex_unlock(&faults.mutex);
}

void disk_fault_short(unsigned bytes)
{
    pthread_mutex_lock(&faults.mutex);
    faults.short_bytes = bytes;
    pthread_mutex_unlock(&faults.mutex);
}

unsigned disk_fault_count(enum disk_call call)
{
    unsigned count;

    pthread_mutex_lock(&faults.mutex);
    count = faults.calls[call].count;
    pthread_mutex_unlock(&faults.mutex);
    return count;
}

/* Whether the call may be made; else errno is set. */
static bool enter(enum disk_call call)
{
    bool fails = false;

    pthread_mutex_lock(&faults.mutex);
    faults.calls[call].count++;
    if (faults.calls[call].hangs) {
        faults.calls[call].hanging++;
        pthread_cond_broadcast(&faults.changed);
        while (faults.calls[call].hangs)
            pthread_cond_wait(&faults.changed, &faults.mutex);
        faults.calls[call].hanging--;
    }
    if (faults.calls[call].times > 0 && faults.calls[call].after == 0) {
        faults.calls[call].times--;
        fails = true;
        errno = faults.calls[call].errnum;
    } else if (faults.calls[call].times > 0) {
        faults.calls[call].after--;
    }
    pthread_mutex_unlock(&faults.mutex);
    return !fails;
}

/* The linker's names (--wrap). */
ssize_t __real_preadv64(int fd, const struct iovec *iov, int count, off_t offset);
ssize_t __real_pwritev64(int fd, const struct iovec *iov, int count, off_t offset);
int __real_fallocate64(int fd, int mode, off_t offset, off_t length);
int __real_fdatasync(int fd);
ssize_t __wrap_preadv64(int fd, const struct iovec *iov, int count, off_t offset);
ssize_t __wrap_pwritev64(int fd, const struct iovec *iov, int count, off_t offset);
int __wrap_fallocate64(int fd, int mode, off_t offset, off_t length);
int __wrap_fdatasync(int fd);

ssize_t __wrap_preadv64(int fd, const struct iovec *iov, int count, off_t offset)
{
    return enter(DISK_READ) ? __real_preadv64(fd, iov, count, offset) : -1;
}

ssize_t __wrap_pwritev64(int fd, const struct iovec *iov, int count, off_t offset)
{
    struct iovec part = *iov;

    if (!enter(DISK_WRITE))
        return -1;
    if (!faults.short_bytes)
        return __real_pwritev64(fd, iov, count, offset);
    if (part.iov_len > faults.short_bytes)
        part.iov_len = faults.short_bytes;
    return __real_pwritev64(fd, &part, 1, offset);
}

int __wrap_fallocate64(int fd, int mode, off_t offset, off_t length)
{
    return enter(DISK_ALLOCATE) ? __real_fallocate64(fd, mode, offset, length) : -1;
}

int __wrap_fdatasync(int fd)
{
    return enter(DISK_SYNC) ? __real_fdatasync(fd) : -1;
}
