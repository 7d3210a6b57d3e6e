/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/board/image.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "base/be.h"
#include "base/err.h"
#include "base/num.h"
#include "base/own.h"
#include "vmm/backend/allow.h"
#include "vmm/board/gunzip.h"
#include "vmm/board/type.h"

#define IMAGE_SEAL_TRIES   20
#define IMAGE_SEALS        (F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE)
#define IMAGE_CHUNK_BYTES  (1u << 20)
#define IMAGE_SEGMENTS_MAX 64u

static int image_write_all(int fd, const uint8_t *data, size_t n)
{
    while (n > 0) {
        ssize_t written = write(fd, data, n);

        if (written < 0)
            return -errno;
        data += written;
        n -= (size_t)written;
    }
    return 0;
}

/*
 * While anybody holds a page for a moment, the kernel itself too when it moves or reclaims memory,
 * a file cannot be sealed against writing: EBUSY, after a wait of 150 ms.
 */
static int image_seal(int fd)
{
    int r = -1;

    for (unsigned i = 0; i < IMAGE_SEAL_TRIES; i++) {
        r = fcntl(fd, F_ADD_SEALS, IMAGE_SEALS | F_SEAL_SEAL);
        if (r == 0 || errno != EBUSY)
            break;
    }
    return r;
}

/* A FIFO or a device would be waited for, by the main thread. */
static int image_open(const struct image *i, const char *path, int *ret, struct ferry_err *err)
{
    OWN_FD int fd = allow_open(i->allow, path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY, 0);
    struct stat st;

    if (fd < 0)
        return err_sys(err, -fd, "opening %s \"%s\"%s", i->what, path, allow_hint(-fd));
    if (fstat(fd, &st) < 0)
        return err_sys(err, errno, "opening %s \"%s\"", i->what, path);
    if (!S_ISREG(st.st_mode))
        return err_set(err, EINVAL,
                       "%s \"%s\" is %s, a regular file was expected; copy what it gives into one",
                       i->what, path,
                       S_ISDIR(st.st_mode)    ? "a directory"
                       : S_ISFIFO(st.st_mode) ? "a FIFO"
                                              : "a device");
    *ret = take_fd(&fd);
    return 0;
}

/* An image while it is read. */
struct image_copy {
    const char *what, *path;
    int fd; /* the memfd; a loan */
    uint64_t size_bytes, limit_bytes;
    uint8_t head[BOOT_HEAD_BYTES];
};

static int image_keep(void *arg, const uint8_t *data, size_t n, struct ferry_err *err)
{
    struct image_copy *c = arg;
    int rc;

    if (n > c->limit_bytes - c->size_bytes)
        return err_set(err, EFBIG,
                       "%s \"%s\" is larger than the guest's memory of %" PRIu64 " MiB; -m gives "
                       "it more",
                       c->what, c->path, c->limit_bytes >> 20);
    rc = image_write_all(c->fd, data, n);
    if (rc)
        return err_sys(err, -rc, "keeping %s \"%s\" in memory", c->what, c->path);
    if (c->size_bytes < sizeof(c->head))
        memcpy(c->head + c->size_bytes, data, num_min(n, sizeof(c->head) - c->size_bytes));
    c->size_bytes += n;
    return 0;
}

/* unpack: it is a gzip file if it begins as one. */
static int image_copy_file(struct image_copy *c, int file, bool unpack, struct ferry_err *err)
{
    OWN_MEM uint8_t *chunk = malloc(IMAGE_CHUNK_BYTES);
    OWN(gunzip_freep) struct gunzip *gunzip = NULL;
    bool first = true;
    ssize_t n;
    int rc = 0;

    if (!chunk)
        return err_set(err, ENOMEM, "no memory to read %s \"%s\"", c->what, c->path);
    while (!rc && (n = read(file, chunk, IMAGE_CHUNK_BYTES)) != 0) {
        if (n < 0)
            return err_sys(err, errno, "reading %s \"%s\"", c->what, c->path);
        if (first && unpack && gunzip_is_for(chunk, (size_t)n))
            rc = gunzip_new(&gunzip, image_keep, c, err);
        first = false;
        if (!rc && gunzip)
            rc = gunzip_feed(gunzip, chunk, (size_t)n, err);
        else if (!rc)
            rc = image_keep(c, chunk, (size_t)n, err);
    }
    if (!rc && gunzip)
        rc = gunzip_end(gunzip, err);
    return rc < 0 && gunzip ? err_prefix(err, "unpacking %s \"%s\"", c->what, c->path) : rc;
}

int image_read(struct image *i, const char *path, uint64_t limit_bytes, struct ferry_err *err)
{
    struct image_copy copy = {.what = i->what, .path = path, .limit_bytes = limit_bytes};
    OWN_FD int file = -1;
    OWN_FD int fd = -1;
    int rc = image_open(i, path, &file, err);

    if (rc < 0)
        return rc;
    fd = memfd_create(i->what, MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (fd < 0)
        return err_sys(err, errno, "keeping %s \"%s\" in memory", i->what, path);
    copy.fd = fd;
    rc = image_copy_file(&copy, file, i->kernel, err);
    if (rc < 0)
        return rc;
    if (copy.size_bytes == 0)
        return err_set(err, EINVAL, "%s \"%s\" is empty", i->what, path);
    if (i->kernel) {
        rc = i->type->check_kernel(copy.head, num_min(copy.size_bytes, sizeof(copy.head)), err);
        if (rc < 0)
            return err_prefix(err, "%s \"%s\"", i->what, path);
    }
    if (image_seal(fd) < 0)
        return err_sys(err, errno, "sealing %s \"%s\"", i->what, path);
    image_close(i);
    i->fd = take_fd(&fd);
    i->size_bytes = copy.size_bytes;
    return 0;
}

int image_adopt(struct image *i, int *fd, uint64_t limit_bytes, struct ferry_err *err)
{
    int seals = fcntl(*fd, F_GET_SEALS);
    struct stat st;

    if (seals < 0 || (seals & IMAGE_SEALS) != IMAGE_SEALS)
        return err_set(err, EINVAL, "%s: the file descriptor is not a sealed memfd", i->what);
    if (fstat(*fd, &st) < 0)
        return err_sys(err, errno, "%s: fstat", i->what);
    if (st.st_size <= 0 || (uint64_t)st.st_size > limit_bytes)
        return err_set(err, EINVAL, "%s has %jd bytes, it can have 1 to %" PRIu64, i->what,
                       (intmax_t)st.st_size, limit_bytes);
    image_close(i);
    i->fd = take_fd(fd);
    i->size_bytes = (uint64_t)st.st_size;
    return 0;
}

void image_close(struct image *i)
{
    own_close_fd(&i->fd);
    i->size_bytes = 0;
}

static int image_put(const struct image *i, const struct guestmem *mem, uint64_t gpa,
                     const uint8_t *data, uint64_t n, struct ferry_err *err)
{
    if (guestmem_write(mem, gpa, data, n))
        return err_set(err, ERANGE,
                       "%s: %" PRIu64 " bytes at 0x%" PRIx64 " do not fit in the guest's memory; "
                       "-m gives it more",
                       i->what, n, gpa);
    return 0;
}

static int image_clear(const struct image *i, const struct guestmem *mem, uint64_t gpa, uint64_t n,
                       struct ferry_err *err)
{
    static const uint8_t zeros[4096];

    while (n > 0) {
        uint64_t run = num_min(n, sizeof(zeros));
        int rc = image_put(i, mem, gpa, zeros, run, err);

        if (rc)
            return rc;
        gpa += run;
        n -= run;
    }
    return 0;
}

/* One program header: PT_LOAD to its physical address, its tail cleared. */
static int image_place_segment(const struct image *i, const struct guestmem *mem,
                               const uint8_t *data, const uint8_t *ph, struct image_placed *ret,
                               struct ferry_err *err)
{
    uint64_t offset = le64_load(ph + offsetof(Elf64_Phdr, p_offset));
    uint64_t gpa = le64_load(ph + offsetof(Elf64_Phdr, p_paddr));
    uint64_t file_bytes = le64_load(ph + offsetof(Elf64_Phdr, p_filesz));
    uint64_t mem_bytes = le64_load(ph + offsetof(Elf64_Phdr, p_memsz));
    uint64_t end_gpa;
    int rc;

    if (le32_load(ph + offsetof(Elf64_Phdr, p_type)) != PT_LOAD || mem_bytes == 0)
        return 0;
    if (offset > i->size_bytes || file_bytes > i->size_bytes - offset || file_bytes > mem_bytes ||
        num_add(gpa, mem_bytes, &end_gpa))
        return err_set(err, ENOEXEC, "%s: an ELF segment reaches outside the file", i->what);
    rc = image_put(i, mem, gpa, data + offset, file_bytes, err);
    if (!rc)
        rc = image_clear(i, mem, gpa + file_bytes, mem_bytes - file_bytes, err);
    if (rc)
        return rc;
    if (gpa < ret->start_gpa)
        ret->start_gpa = gpa;
    if (end_gpa > ret->end_gpa)
        ret->end_gpa = end_gpa;
    return 0;
}

static int image_place_elf(const struct image *i, const struct guestmem *mem, const uint8_t *data,
                           struct image_placed *ret, struct ferry_err *err)
{
    struct image_placed placed = {.start_gpa = UINT64_MAX};
    uint64_t phoff;
    uint16_t phnum;

    if (i->size_bytes < sizeof(Elf64_Ehdr) || data[EI_CLASS] != ELFCLASS64 ||
        data[EI_DATA] != ELFDATA2LSB ||
        le16_load(data + offsetof(Elf64_Ehdr, e_machine)) != i->type->elf_machine)
        return err_set(err, ENOEXEC, "%s is an ELF file, but not for %s", i->what, i->type->target);
    phoff = le64_load(data + offsetof(Elf64_Ehdr, e_phoff));
    phnum = le16_load(data + offsetof(Elf64_Ehdr, e_phnum));
    if (le16_load(data + offsetof(Elf64_Ehdr, e_phentsize)) != sizeof(Elf64_Phdr) ||
        phnum > IMAGE_SEGMENTS_MAX || phoff > i->size_bytes ||
        phnum * sizeof(Elf64_Phdr) > i->size_bytes - phoff)
        return err_set(err, ENOEXEC, "%s: its ELF program headers are not sound", i->what);
    for (uint16_t n = 0; n < phnum; n++) {
        int rc =
            image_place_segment(i, mem, data, data + phoff + n * sizeof(Elf64_Phdr), &placed, err);

        if (rc)
            return rc;
    }
    if (placed.start_gpa > placed.end_gpa)
        return err_set(err, ENOEXEC, "%s is an ELF file with nothing to load", i->what);
    placed.entry_gpa = le64_load(data + offsetof(Elf64_Ehdr, e_entry));
    *ret = placed;
    return 0;
}

int image_place(const struct image *i, const struct guestmem *mem, uint64_t raw_gpa,
                struct image_placed *ret, struct ferry_err *err)
{
    uint8_t *data = mmap(NULL, i->size_bytes, PROT_READ, MAP_PRIVATE, i->fd, 0);
    int rc;

    if (data == MAP_FAILED)
        return err_sys(err, errno, "mapping %s", i->what);
    if (i->size_bytes >= SELFMAG && !memcmp(data, ELFMAG, SELFMAG)) {
        rc = image_place_elf(i, mem, data, ret, err);
    } else {
        rc = image_put(i, mem, raw_gpa, data, i->size_bytes, err);
        if (!rc)
            *ret = (struct image_placed){raw_gpa, raw_gpa + i->size_bytes, raw_gpa};
    }
    munmap(data, i->size_bytes);
    return rc;
}
