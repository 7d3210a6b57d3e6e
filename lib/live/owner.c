/* SPDX-License-Identifier: Apache-2.0 */
#include "lib/live/owner.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/err.h"
#include "base/own.h"

#define OWNER_BYTES 4096
#define OWNER_SEALS (F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL)

struct owner_page {
    _Atomic uint64_t starts;
};

struct ferry_owner {
    int memfd;               /* owned; shared with the other side */
    int lock_fd;             /* owned; an open of its own, so that the lock is this process's */
    struct owner_page *page; /* mapped, OWNER_BYTES */
    bool held;
};

void ferry_owner_free(struct ferry_owner *owner)
{
    if (!owner)
        return;
    if (owner->page)
        munmap(owner->page, OWNER_BYTES);
    own_close_fd(&owner->lock_fd);
    own_close_fd(&owner->memfd);
    free(owner);
}

static void own_owner(struct ferry_owner **owner)
{
    ferry_owner_free(*owner);
}

/* Opens and maps what is needed around memfd, without taking it. */
static int owner_open(struct ferry_owner **ret, int memfd, struct ferry_err *err)
{
    OWN(own_owner) struct ferry_owner *owner = calloc(1, sizeof(*owner));
    char path[32];
    void *page;

    if (!owner)
        return err_set(err, ENOMEM, "no memory for the ownership lock");
    owner->memfd = owner->lock_fd = -1;
    snprintf(path, sizeof(path), "/proc/self/fd/%d", memfd);
    owner->lock_fd = open(path, O_RDWR | O_CLOEXEC);
    if (owner->lock_fd < 0)
        return err_sys(err, errno, "cannot open the ownership lock through %s (is /proc mounted?)",
                       path);
    page = mmap(NULL, OWNER_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, memfd, 0);
    if (page == MAP_FAILED)
        return err_sys(err, errno, "cannot map the ownership lock");
    owner->page = page;
    *ret = TAKE_PTR(owner);
    return 0;
}

int ferry_owner_new(struct ferry_owner **ret, struct ferry_err *err)
{
    OWN_FD int memfd = memfd_create("ferry-owner", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    OWN(own_owner) struct ferry_owner *owner = NULL;
    int r;

    if (memfd < 0 || ftruncate(memfd, OWNER_BYTES) < 0 ||
        fcntl(memfd, F_ADD_SEALS, OWNER_SEALS) < 0)
        return err_sys(err, errno, "cannot make the ownership lock");
    r = owner_open(&owner, memfd, err);
    if (r < 0)
        return r;
    r = owner_try(owner);
    if (r < 0)
        return err_sys(err, -r, "cannot take the new ownership lock");
    owner->memfd = take_fd(&memfd);
    *ret = TAKE_PTR(owner);
    return 0;
}

int owner_adopt(struct ferry_owner **ret, int *fd, struct ferry_err *err)
{
    OWN(own_owner) struct ferry_owner *owner = NULL;
    struct stat st;
    int r, seals;

    if (fstat(*fd, &st) < 0)
        return err_sys(err, errno, "cannot look at the ownership lock");
    seals = S_ISREG(st.st_mode) ? fcntl(*fd, F_GET_SEALS) : -1;
    if (seals < 0 || (seals & (F_SEAL_SHRINK | F_SEAL_GROW)) != (F_SEAL_SHRINK | F_SEAL_GROW) ||
        st.st_size != OWNER_BYTES)
        return err_set(err, EINVAL,
                       "what arrived as ownership lock is not a sealed memfd of %d bytes "
                       "(size %" PRId64 ", seals %#x)",
                       OWNER_BYTES, (int64_t)st.st_size, seals < 0 ? 0u : (unsigned)seals);
    r = owner_open(&owner, *fd, err);
    if (r < 0)
        return r;
    owner->memfd = take_fd(fd);
    *ret = TAKE_PTR(owner);
    return 0;
}

int owner_try(struct ferry_owner *owner)
{
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};

    if (owner->held)
        return 0;
    if (fcntl(owner->lock_fd, F_OFD_SETLK, &lock) < 0)
        return errno == EACCES ? -EAGAIN : -errno;
    owner->held = true;
    return 0;
}

void owner_release(struct ferry_owner *owner)
{
    struct flock lock = {.l_type = F_UNLCK, .l_whence = SEEK_SET};

    fcntl(owner->lock_fd, F_OFD_SETLK, &lock);
    owner->held = false;
}

bool owner_held(const struct ferry_owner *owner)
{
    return owner->held;
}

uint64_t owner_starts(const struct ferry_owner *owner)
{
    return atomic_load(&owner->page->starts);
}

void owner_count_start(struct ferry_owner *owner)
{
    atomic_fetch_add(&owner->page->starts, 1);
}

int owner_memfd(const struct ferry_owner *owner)
{
    return owner->memfd;
}
