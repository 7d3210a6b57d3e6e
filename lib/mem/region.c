/* SPDX-License-Identifier: Apache-2.0 */
/* Regions of guest RAM: made, adopted, mapped, found, freed. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <ferry/ram.h>

#include "base/err.h"
#include "base/num.h"
#include "base/own.h"
#include "lib/mem/ram.h"

/*
 * The mapping starts on a huge page and has a page that nobody may touch on each side, so that the
 * kernel can use huge pages where the administrator lets it, and a stray access just outside of
 * guest RAM is a crash and not a corruption.
 */
#define RAM_ALIGN_BYTES (2u << 20)

/* Neither side can pull the memory from under the other (SIGBUS), nor undo that. */
#define RAM_SEALS (F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL)

static void region_free(struct ferry_ram_region *region)
{
    if (!region)
        return;
    if (region->reserved)
        munmap(region->reserved, region->reserved_bytes);
    own_close_fd(&region->fd);
    free(region->live);
    free(region->taken);
    free(region);
}

static void own_region(struct ferry_ram_region **region)
{
    region_free(*region);
}

int ferry_ram_new(struct ferry_ram **ret, struct ferry_err *err)
{
    struct ferry_ram *ram = calloc(1, sizeof(*ram));

    if (!ram)
        return err_set(err, ENOMEM, "no memory for the list of RAM regions");
    *ret = ram;
    return 0;
}

void ferry_ram_free(struct ferry_ram *ram)
{
    if (!ram)
        return;
    for (size_t i = 0; i < ram->region_count; i++)
        region_free(ram->regions[i]);
    free(ram->regions);
    free(ram->flush_sources);
    free(ram);
}

/* A region with name and size, without memory. */
static int region_new(struct ferry_ram *ram, const char *name, uint64_t size_bytes,
                      struct ferry_ram_region **ret, struct ferry_err *err)
{
    OWN(own_region) struct ferry_ram_region *region = NULL;
    size_t name_bytes = strlen(name);

    if (!name_bytes || name_bytes > RAM_NAME_MAX_BYTES)
        return err_set(err, EINVAL, "a RAM region's name has 1 to %d bytes, not %zu",
                       RAM_NAME_MAX_BYTES, name_bytes);
    if (!size_bytes || size_bytes % FERRY_PAGE_BYTES)
        return err_set(err, EINVAL,
                       "RAM \"%s\": size %" PRIu64 " is not a positive multiple of the page size "
                       "%u",
                       name, size_bytes, FERRY_PAGE_BYTES);
    if (size_bytes > INT64_MAX - 4 * (uint64_t)RAM_ALIGN_BYTES)
        return err_set(err, EFBIG, "RAM \"%s\": %" PRIu64 " bytes is more than a host can map",
                       name, size_bytes);
    if (ferry_ram_find(ram, name))
        return err_set(err, EEXIST, "RAM \"%s\" exists already", name);
    if (ram->logging)
        return err_set(err, EBUSY, "RAM \"%s\" cannot be added while the dirty log is on", name);

    region = calloc(1, sizeof(*region));
    if (!region)
        return err_set(err, ENOMEM, "no memory for RAM \"%s\"", name);
    memcpy(region->name, name, name_bytes);
    region->size_bytes = size_bytes;
    region->fd = -1;
    *ret = TAKE_PTR(region);
    return 0;
}

/* Its place in this process, where no memory is yet. */
static int region_reserve(struct ferry_ram_region *region, struct ferry_err *err)
{
    size_t reserve = region->size_bytes + 2 * (size_t)RAM_ALIGN_BYTES;
    void *reserved;

    reserved = mmap(NULL, reserve, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (reserved == MAP_FAILED)
        return err_sys(err, errno, "RAM \"%s\": no room to map %" PRIu64 " MiB", region->name,
                       region->size_bytes >> 20);
    region->reserved = reserved;
    region->reserved_bytes = reserve;
    region->host = (void *)num_align_up((uintptr_t)reserved + FERRY_PAGE_BYTES, RAM_ALIGN_BYTES);
    return 0;
}

static int region_map(struct ferry_ram_region *region, int fd, struct ferry_err *err)
{
    if (mmap(region->host, region->size_bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd,
             0) == MAP_FAILED)
        return err_sys(err, errno, "RAM \"%s\": cannot map %" PRIu64 " MiB", region->name,
                       region->size_bytes >> 20);
    /* Both are wishes. Huge pages make the target's pre-fault two orders of magnitude shorter; a
     * core dump of the VMM shall not be the guest's memory. */
    madvise(region->host, region->size_bytes, MADV_HUGEPAGE);
    madvise(region->host, region->size_bytes, MADV_DONTDUMP);
    return 0;
}

/* Takes *region on success. */
static int ram_append(struct ferry_ram *ram, struct ferry_ram_region **region,
                      struct ferry_err *err)
{
    struct ferry_ram_region **regions =
        reallocarray(ram->regions, ram->region_count + 1, sizeof(struct ferry_ram_region *));

    if (!regions)
        return err_set(err, ENOMEM, "no memory for RAM \"%s\"", (*region)->name);
    ram->regions = regions;
    regions[ram->region_count++] = TAKE_PTR(*region);
    return 0;
}

int ferry_ram_add(struct ferry_ram *ram, const char *name, uint64_t size_bytes,
                  struct ferry_ram_region **ret, struct ferry_err *err)
{
    OWN(own_region) struct ferry_ram_region *region = NULL;
    struct ferry_ram_region *added;
    struct stat st;
    int r;

    r = region_new(ram, name, size_bytes, &region, err);
    if (r < 0)
        return r;
    /* The kernel cuts a memfd's name off at 249 bytes with EINVAL; it is for /proc only. */
    region->fd = memfd_create("ferry-ram", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (region->fd < 0)
        return err_sys(err, errno, "RAM \"%s\": cannot make a memfd", name);
    if (ftruncate(region->fd, (off_t)size_bytes) < 0 ||
        fcntl(region->fd, F_ADD_SEALS, RAM_SEALS) < 0 || fstat(region->fd, &st) < 0)
        return err_sys(err, errno, "RAM \"%s\": cannot size and seal a memfd of %" PRIu64 " MiB",
                       name, size_bytes >> 20);
    region->dev = st.st_dev;
    region->ino = st.st_ino;
    r = region_reserve(region, err);
    if (r == 0)
        r = region_map(region, region->fd, err);
    if (r < 0)
        return r;
    added = region;
    r = ram_append(ram, &region, err);
    if (r < 0)
        return r;
    *ret = added;
    return 0;
}

/* The same memory twice would be two regions in one. */
static int region_know(const struct ferry_ram *ram, struct ferry_ram_region *region,
                       const struct stat *st, struct ferry_err *err)
{
    for (size_t i = 0; i < ram->region_count; i++)
        if (ram->regions[i] != region && ram->regions[i]->dev == st->st_dev &&
            ram->regions[i]->ino == st->st_ino)
            return err_set(err, EINVAL, "RAM \"%s\": the file of this region is already RAM \"%s\"",
                           region->name, ram->regions[i]->name);
    region->dev = st->st_dev;
    region->ino = st->st_ino;
    return 0;
}

/* The fd is somebody else's word: believe nothing that can be looked up. */
static int region_verify(const struct ferry_ram *ram, struct ferry_ram_region *region, int fd,
                         struct ferry_err *err)
{
    struct stat st;
    int seals, flags;

    if (fstat(fd, &st) < 0)
        return err_sys(err, errno, "RAM \"%s\": cannot look at fd %d", region->name, fd);
    seals = S_ISREG(st.st_mode) ? fcntl(fd, F_GET_SEALS) : -1;
    if (seals < 0)
        return err_set(err, EINVAL, "RAM \"%s\": fd %d is not a memfd", region->name, fd);
    if (st.st_size < 0 || (uint64_t)st.st_size != region->size_bytes)
        return err_set(err, EINVAL,
                       "RAM \"%s\": the memfd that arrived has %" PRId64
                       " bytes, expected %" PRIu64,
                       region->name, (int64_t)st.st_size, region->size_bytes);
    if (~seals & (F_SEAL_SHRINK | F_SEAL_GROW))
        return err_set(err, EINVAL,
                       "RAM \"%s\": the memfd that arrived is not sealed against resizing "
                       "(seals %#x)",
                       region->name, (unsigned)seals);
    flags = fcntl(fd, F_GETFL);
    if (flags < 0 || (flags & O_ACCMODE) != O_RDWR)
        return err_set(err, EINVAL, "RAM \"%s\": the memfd that arrived is not open for writing",
                       region->name);
    return region_know(ram, region, &st, err);
}

static int region_verify_file(const struct ferry_ram *ram, struct ferry_ram_region *region, int fd,
                              struct ferry_err *err)
{
    int flags = fcntl(fd, F_GETFL);
    struct stat st;

    if (flags < 0 || fstat(fd, &st) < 0)
        return err_sys(err, errno, "RAM \"%s\": cannot look at fd %d", region->name, fd);
    if (!S_ISREG(st.st_mode) || (flags & O_ACCMODE) != O_RDWR)
        return err_set(err, EINVAL,
                       "RAM \"%s\": a regular file, open for reading and writing, was expected",
                       region->name);
    if (st.st_size != 0 && (uint64_t)st.st_size < region->size_bytes)
        return err_set(err, EINVAL,
                       "RAM \"%s\": the file has %" PRId64 " bytes, expected %" PRIu64
                       ", or an empty one",
                       region->name, (int64_t)st.st_size, region->size_bytes);
    if (st.st_size == 0 && ftruncate(fd, (off_t)region->size_bytes) < 0)
        return err_sys(err, errno, "RAM \"%s\": cannot make the file %" PRIu64 " MiB long",
                       region->name, region->size_bytes >> 20);
    return region_know(ram, region, &st, err);
}

/*
 * Whoever has the file mapped has a lock for readers on it, which goes with the open file, so that
 * a handover keeps it. Who could have one for writers was alone. Some file systems have no locks.
 */
static bool region_lock(int fd)
{
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    bool alone = fcntl(fd, F_OFD_SETLK, &lock) == 0 || (errno != EAGAIN && errno != EACCES);

    lock.l_type = F_RDLCK;
    (void)!fcntl(fd, F_OFD_SETLK, &lock);
    return alone;
}

int ferry_ram_adopt(struct ferry_ram *ram, const char *name, uint64_t size_bytes, int *fd,
                    struct ferry_ram_region **ret, struct ferry_err *err)
{
    OWN(own_region) struct ferry_ram_region *region = NULL;
    struct ferry_ram_region *added;
    int r;

    r = region_new(ram, name, size_bytes, &region, err);
    if (r == 0)
        r = region_verify(ram, region, *fd, err);
    if (r == 0)
        r = region_reserve(region, err);
    if (r == 0)
        r = region_map(region, *fd, err);
    if (r < 0)
        return r;
    added = region;
    r = ram_append(ram, &region, err);
    if (r < 0)
        return r;
    added->fd = take_fd(fd);
    *ret = added;
    return 0;
}

int ferry_ram_expect_file(struct ferry_ram *ram, const char *name, uint64_t size_bytes,
                          struct ferry_ram_region **ret, struct ferry_err *err)
{
    OWN(own_region) struct ferry_ram_region *region = NULL;
    struct ferry_ram_region *added;
    int r;

    r = region_new(ram, name, size_bytes, &region, err);
    if (r == 0)
        r = region_reserve(region, err);
    if (r < 0)
        return r;
    region->file = true;
    added = region;
    r = ram_append(ram, &region, err);
    if (r == 0)
        *ret = added;
    return r;
}

int ferry_ram_give_file(struct ferry_ram *ram, struct ferry_ram_region *region, int *fd,
                        struct ferry_err *err)
{
    int r = region_verify_file(ram, region, *fd, err);

    if (r == 0)
        r = region_map(region, *fd, err);
    if (r < 0)
        return r;
    region->ours = region_lock(*fd);
    region->fd = take_fd(fd);
    return 0;
}

/* Nobody has seen the region yet: it goes as if it had not been. */
static void ram_forget_last(struct ferry_ram *ram)
{
    region_free(ram->regions[--ram->region_count]);
}

int ferry_ram_add_file(struct ferry_ram *ram, const char *name, uint64_t size_bytes, int *fd,
                       struct ferry_ram_region **ret, struct ferry_err *err)
{
    struct ferry_ram_region *added;
    int r = ferry_ram_expect_file(ram, name, size_bytes, &added, err);

    if (r < 0)
        return r;
    r = ferry_ram_give_file(ram, added, fd, err);
    if (r < 0)
        ram_forget_last(ram);
    else
        *ret = added;
    return r;
}

bool ferry_ram_is_file(const struct ferry_ram_region *region)
{
    return region->file;
}

bool ferry_ram_is_ours(const struct ferry_ram_region *region)
{
    return !region->file || region->ours;
}

void ferry_ram_set_gpa(struct ferry_ram_region *region, uint64_t gpa)
{
    region->gpa = gpa;
}

uint64_t ferry_ram_gpa(const struct ferry_ram_region *region)
{
    return region->gpa;
}

struct ferry_ram_region *ferry_ram_find(const struct ferry_ram *ram, const char *name)
{
    for (size_t i = 0; i < ram->region_count; i++)
        if (!strcmp(ram->regions[i]->name, name))
            return ram->regions[i];
    return NULL;
}

struct ferry_ram_region *ferry_ram_at(const struct ferry_ram *ram, size_t index)
{
    return index < ram->region_count ? ram->regions[index] : NULL;
}

const char *ferry_ram_name(const struct ferry_ram_region *region)
{
    return region->name;
}

uint64_t ferry_ram_size_bytes(const struct ferry_ram_region *region)
{
    return region->size_bytes;
}

uint8_t *ferry_ram_host(const struct ferry_ram_region *region)
{
    return region->host;
}

int ferry_ram_fd(const struct ferry_ram_region *region)
{
    return region->fd;
}
