/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/backend/block_file.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/fs.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/err.h"
#include "base/iov.h"
#include "base/num.h"
#include "base/own.h"
#include "vmm/backend/allow.h"
#include "vmm/backend/block_lock.h"

/* Where the file system does not say what O_DIRECT needs. */
#define ALIGN_GUESS_BYTES 4096u
/* The largest piece that is copied when a request is not aligned, and a power of two. */
#define BOUNCE_BYTES      (1u << 20)
#define ZEROS_BYTES       (64u << 10)
#define IOV_AT_ONCE       1024u /* IOV_MAX */
/* What is done between two looks at whether a request is still wanted. */
#define PIECE_BYTES       BOUNCE_BYTES
#define RANGE_PIECE_BYTES (128u << 20) /* of what moves no data */

int block_file_init(struct block_file *f, const struct config_drive *config, struct ferry_err *err)
{
    int rc;

    *f = (struct block_file){
        .fd = -1,
        .align_bytes = 1,
        .direct = config->direct,
        .readonly = config->readonly,
        .discard = config->discard,
        .no_flush = config->no_flush,
        .guessed = config->guessed,
        .allow = config->allow,
    };
    rc = pthread_mutex_init(&f->rmw, NULL);
    return rc ? err_sys(err, rc, "creating a mutex") : 0;
}

void block_file_close(struct block_file *f)
{
    own_close_fd(&f->fd);
    pthread_mutex_destroy(&f->rmw);
}

/* --- Attaching --- */

static int find_size(int fd, const char *path, uint64_t *ret, struct ferry_err *err)
{
    struct stat st;
    uint64_t size_bytes;

    if (fstat(fd, &st) < 0)
        return err_sys(err, errno, "looking at image \"%s\"", path);
    if (S_ISBLK(st.st_mode)) {
        if (ioctl(fd, BLKGETSIZE64, &size_bytes) < 0)
            return err_sys(err, errno, "asking block device \"%s\" for its size", path);
    } else if (S_ISREG(st.st_mode)) {
        size_bytes = (uint64_t)st.st_size;
    } else {
        return err_set(err, EINVAL, "image \"%s\" is neither a file nor a block device", path);
    }
    if (size_bytes == 0)
        return err_set(err, EINVAL,
                       "image \"%s\" is empty; truncate -s 1G \"%s\" makes it a disk of that size",
                       path, path);
    if (size_bytes % BLOCK_SECTOR_BYTES)
        return err_set(
            err, EINVAL,
            "image \"%s\" has %" PRIu64
            " bytes, which is not a multiple of %u; truncate -s %%%u \"%s\" rounds it up",
            path, size_bytes, BLOCK_SECTOR_BYTES, BLOCK_SECTOR_BYTES, path);
    *ret = size_bytes;
    return 0;
}

static int find_align(int fd, const char *path, uint64_t size_bytes, uint32_t *ret,
                      struct ferry_err *err)
{
    uint32_t align = ALIGN_GUESS_BYTES;
    int sector_bytes;

    if (ioctl(fd, BLKSSZGET, &sector_bytes) == 0 && sector_bytes > 0) {
        align = (uint32_t)sector_bytes;
    } else {
#ifdef STATX_DIOALIGN
        struct statx stx;

        if (statx(fd, "", AT_EMPTY_PATH, STATX_DIOALIGN, &stx) == 0 &&
            (stx.stx_mask & STATX_DIOALIGN) && stx.stx_dio_offset_align)
            align = stx.stx_dio_offset_align > stx.stx_dio_mem_align ? stx.stx_dio_offset_align
                                                                     : stx.stx_dio_mem_align;
#endif
    }
    if ((align & (align - 1)) || align > BOUNCE_BYTES)
        return err_set(err, ENOTSUP, "image \"%s\" wants O_DIRECT in pieces of %" PRIu32 " bytes",
                       path, align);
    if (size_bytes % align)
        return err_set(err, EINVAL,
                       "cache.direct=on needs image \"%s\" to be a multiple of %" PRIu32
                       " bytes, it has %" PRIu64 "; truncate -s %%%" PRIu32 " \"%s\" rounds it up",
                       path, align, size_bytes, align, path);
    *ret = align;
    return 0;
}

/*
 * Who says no format may have an image of another one, which as a raw disk holds nothing that the
 * guest knows, and which its writes destroy.
 */
static int check_guess(int fd, const char *path, struct ferry_err *err)
{
    static const struct {
        const char *magic, *name;
    } formats[] = {{"QFI\xfb", "qcow2"}, {"KDMV", "vmdk"}, {"vhdxfile", "vhdx"}, {"QED", "qed"}};
    OWN_MEM char *head = aligned_alloc(ALIGN_GUESS_BYTES, ALIGN_GUESS_BYTES);
    struct iovec iov = {.iov_base = head, .iov_len = ALIGN_GUESS_BYTES};
    ssize_t n;

    if (!head)
        return err_set(err, ENOMEM, "no memory to look at image \"%s\"", path);
    n = preadv(fd, &iov, 1, 0);
    if (n < 0)
        return err_sys(err, errno, "reading image \"%s\"", path);
    for (size_t i = 0; i < sizeof(formats) / sizeof(formats[0]); i++) {
        size_t bytes = strlen(formats[i].magic);

        if ((size_t)n >= bytes && !memcmp(head, formats[i].magic, bytes))
            return err_set(err, ENOTSUP,
                           "image \"%s\" seems to be %s, and there is 'raw' only: qemu-img "
                           "convert -O raw %s disk.raw (if it is raw, say format=raw)",
                           path, formats[i].name, path);
    }
    return 0;
}

static int attach(struct block_file *f, int *fd, const char *path, bool locking,
                  struct ferry_err *err)
{
    uint64_t size_bytes = 0;
    uint32_t align_bytes = 1;
    int rc = find_size(*fd, path, &size_bytes, err);

    if (rc == 0 && f->direct)
        rc = find_align(*fd, path, size_bytes, &align_bytes, err);
    if (rc == 0 && locking)
        rc = block_lock(*fd, path, f->readonly, err);
    if (rc)
        return rc;
    rc = locking ? block_lock_unclaimed(*fd, path, err) : 0;
    if (rc) {
        block_unlock(*fd);
        return rc;
    }
    f->size_bytes = size_bytes;
    f->align_bytes = align_bytes;
    f->fd = take_fd(fd);
    return 0;
}

int block_file_open(struct block_file *f, const char *path, bool locking, bool fresh,
                    struct ferry_err *err)
{
    int flags =
        O_CLOEXEC | O_NOCTTY | (f->readonly ? O_RDONLY : O_RDWR) | (f->direct ? O_DIRECT : 0);
    /* Nonblocking, so that a FIFO is refused and not waited for. */
    OWN_FD int fd = allow_open(f->allow, path, flags | O_NONBLOCK, 0);
    int failed = fd < 0 ? -fd : 0;

    if (failed == EINVAL && f->direct)
        return err_set(err, ENOTSUP,
                       "image \"%s\" lies on a file system without O_DIRECT; leave out "
                       "cache.direct=on",
                       path);
    if ((failed == EACCES || failed == EROFS) && !f->readonly)
        return err_sys(err, failed, "opening image \"%s\" for writing (readonly=on only reads it)",
                       path);
    if (failed)
        return err_sys(err, failed, "opening image \"%s\"%s", path, allow_hint(failed));
    if (fresh && f->guessed) {
        int rc = check_guess(fd, path, err);

        if (rc)
            return rc;
    }
    return attach(f, &fd, path, locking, err);
}

int block_file_adopt(struct block_file *f, int *fd, const char *path, bool locking,
                     struct ferry_err *err)
{
    int flags = fcntl(*fd, F_GETFL);
    int mode = flags & O_ACCMODE;

    if (flags < 0)
        return err_sys(err, errno, "looking at the fd of image \"%s\"", path);
    if (mode == O_WRONLY || (!f->readonly && mode != O_RDWR))
        return err_set(err, EINVAL, "image \"%s\" arrived without the right to %s it", path,
                       mode == O_WRONLY ? "read" : "write");
    if (!(flags & O_DIRECT) != !f->direct)
        return err_set(err, EINVAL, "image \"%s\" arrived %s O_DIRECT, but cache.direct is %s",
                       path, flags & O_DIRECT ? "with" : "without", f->direct ? "on" : "off");
    return attach(f, fd, path, locking, err);
}

/* --- Reading and writing --- */

/* cancelled: the request's; NULL: a part of one that has to be done whole. */
static bool is_cancelled(const struct block_file *f, const atomic_bool *cancelled)
{
    return cancelled && (atomic_load_explicit(cancelled, memory_order_relaxed) ||
                         atomic_load_explicit(&f->stop, memory_order_relaxed));
}

static void iov_zero(struct iovec *iov, size_t count)
{
    for (size_t i = 0; i < count; i++)
        memset(iov[i].iov_base, 0, iov[i].iov_len);
}

/* As many parts as make a piece, or a piece of the first one. */
static ssize_t transfer_piece(int fd, bool write, const struct iovec *iov, size_t count,
                              uint64_t offset_bytes)
{
    struct iovec cut = {.iov_base = iov->iov_base, .iov_len = PIECE_BYTES};
    size_t n = 0, bytes = 0;

    while (n < count && n < IOV_AT_ONCE && iov[n].iov_len <= PIECE_BYTES - bytes)
        bytes += iov[n++].iov_len;
    if (n == 0) {
        iov = &cut;
        n = 1;
    }
    return write ? pwritev(fd, iov, (int)n, (off_t)offset_bytes)
                 : preadv(fd, iov, (int)n, (off_t)offset_bytes);
}

static int transfer(const struct block_file *f, bool write, struct iovec *iov, size_t count,
                    uint64_t offset_bytes, const atomic_bool *cancelled)
{
    while (count > 0) {
        ssize_t r;

        if (is_cancelled(f, cancelled))
            return -ECANCELED;
        r = transfer_piece(f->fd, write, iov, count, offset_bytes);
        if (r < 0 && errno == EINTR)
            continue;
        if (r < 0)
            return -errno;
        if (r == 0 && write)
            return -EIO;
        if (r == 0) {
            /* Somebody made the file shorter. */
            iov_zero(iov, count);
            return 0;
        }
        offset_bytes += (uint64_t)r;
        iov_advance(&iov, &count, (size_t)r);
    }
    return 0;
}

static bool is_aligned(const struct block_file *f, const struct block_request *req)
{
    uint64_t bits = req->offset_bytes | req->length_bytes;

    for (size_t i = 0; i < req->iov_count; i++)
        bits |= (uintptr_t)req->iov[i].iov_base | req->iov[i].iov_len;
    return bits % f->align_bytes == 0;
}

static void copy_iov(struct iovec *iov, size_t count, uint8_t *buffer, size_t n, bool to_buffer)
{
    for (size_t i = 0; i < count && n > 0; i++) {
        size_t run = num_min(n, iov[i].iov_len);

        if (to_buffer)
            memcpy(buffer, iov[i].iov_base, run);
        else
            memcpy(iov[i].iov_base, buffer, run);
        buffer += run;
        n -= run;
    }
}

static int transfer_one(const struct block_file *f, bool write, uint8_t *buffer, size_t n,
                        uint64_t offset_bytes)
{
    struct iovec iov = {.iov_base = buffer, .iov_len = n};

    return transfer(f, write, &iov, 1, offset_bytes, NULL);
}

/* Through an aligned buffer, in pieces; edges that are not whole blocks are read first. */
static int transfer_bounced(struct block_file *f, bool write, struct iovec *iov, size_t count,
                            uint64_t offset_bytes, uint64_t length_bytes, uint8_t *buffer,
                            const atomic_bool *cancelled)
{
    uint64_t end = offset_bytes + length_bytes;
    int rc = 0;

    while (rc == 0 && offset_bytes < end) {
        uint64_t first = num_align_down(offset_bytes, f->align_bytes);
        uint64_t last = num_min(num_align_up(end, f->align_bytes), first + BOUNCE_BYTES);
        size_t skip = offset_bytes - first, n = num_min(end, last) - offset_bytes;
        bool edges = skip > 0 || offset_bytes + n < last;

        if (is_cancelled(f, cancelled))
            return -ECANCELED;
        if (!write || edges)
            rc = transfer_one(f, false, buffer, last - first, first);
        if (rc == 0)
            copy_iov(iov, count, buffer + skip, n, write);
        if (rc == 0 && write)
            rc = transfer_one(f, true, buffer, last - first, first);
        iov_advance(&iov, &count, n);
        offset_bytes += n;
    }
    return rc;
}

static int read_or_write(struct block_file *f, struct block_request *req, bool write)
{
    OWN_MEM uint8_t *buffer = NULL;
    bool whole = (req->offset_bytes | req->length_bytes) % f->align_bytes == 0;
    int rc;

    if (f->align_bytes == 1 || is_aligned(f, req))
        return transfer(f, write, req->iov, req->iov_count, req->offset_bytes, &req->cancelled);
    buffer = aligned_alloc(f->align_bytes < 64 ? 64 : f->align_bytes, BOUNCE_BYTES);
    if (!buffer)
        return -ENOMEM;
    if (write && !whole)
        pthread_mutex_lock(&f->rmw);
    rc = transfer_bounced(f, write, req->iov, req->iov_count, req->offset_bytes, req->length_bytes,
                          buffer, &req->cancelled);
    if (write && !whole)
        pthread_mutex_unlock(&f->rmw);
    return rc;
}

/* --- The rest --- */

/*
 * A failed flush is never forgotten: the kernel has dropped what it could not write and reports it
 * once, so a later flush that succeeds would say that the data is safe which is gone. Only opening
 * the image anew shows what is on it.
 */
static int flush(struct block_file *f)
{
    int failed = atomic_load(&f->flush_failed), rc;

    if (f->no_flush || f->readonly)
        return 0;
    if (failed)
        return -failed;
    do
        rc = fdatasync(f->fd);
    while (rc < 0 && errno == EINTR);
    if (rc == 0)
        return 0;
    rc = errno;
    atomic_store(&f->flush_failed, rc);
    return -rc;
}

/* One piece of a range; 0 or a negative errno. */
typedef int range_fn(struct block_file *f, uint64_t offset_bytes, uint64_t length_bytes);

static int range_in_pieces(struct block_file *f, const struct block_request *req, range_fn *fn)
{
    uint64_t offset_bytes = req->offset_bytes, end = offset_bytes + req->length_bytes;
    int rc = 0;

    while (rc == 0 && offset_bytes < end) {
        uint64_t n = num_min(end - offset_bytes, RANGE_PIECE_BYTES);

        if (is_cancelled(f, &req->cancelled))
            return -ECANCELED;
        rc = fn(f, offset_bytes, n);
        offset_bytes += n;
    }
    return rc;
}

static int allocate(const struct block_file *f, int mode, uint64_t offset_bytes,
                    uint64_t length_bytes)
{
    int rc;

    do
        rc = fallocate(f->fd, mode | FALLOC_FL_KEEP_SIZE, (off_t)offset_bytes, (off_t)length_bytes);
    while (rc < 0 && errno == EINTR);
    return rc < 0 ? -errno : 0;
}

static int punch(struct block_file *f, uint64_t offset_bytes, uint64_t length_bytes)
{
    return allocate(f, FALLOC_FL_PUNCH_HOLE, offset_bytes, length_bytes);
}

static int zero(struct block_file *f, uint64_t offset_bytes, uint64_t length_bytes)
{
    return allocate(f, FALLOC_FL_ZERO_RANGE, offset_bytes, length_bytes);
}

static int write_zeros_slowly(struct block_file *f, const struct block_request *req)
{
    OWN_MEM uint8_t *zeros = aligned_alloc(ALIGN_GUESS_BYTES, ZEROS_BYTES);
    uint64_t offset_bytes = req->offset_bytes, end = offset_bytes + req->length_bytes;
    int rc = zeros ? 0 : -ENOMEM;

    if (zeros)
        memset(zeros, 0, ZEROS_BYTES);
    while (rc == 0 && offset_bytes < end) {
        struct iovec iov = {.iov_base = zeros, .iov_len = num_min(end - offset_bytes, ZEROS_BYTES)};
        struct block_request piece = {
            .offset_bytes = offset_bytes,
            .length_bytes = iov.iov_len,
            .iov = &iov,
            .iov_count = 1,
        };

        if (is_cancelled(f, &req->cancelled))
            return -ECANCELED;
        rc = read_or_write(f, &piece, true);
        offset_bytes += piece.length_bytes;
    }
    return rc;
}

static int write_zeroes(struct block_file *f, const struct block_request *req)
{
    int rc = range_in_pieces(f, req, req->unmap && f->discard ? punch : zero);

    /* The file system cannot, or not with this alignment. */
    if (rc == -EOPNOTSUPP || rc == -EINVAL)
        rc = write_zeros_slowly(f, req);
    return rc;
}

static int discard(struct block_file *f, const struct block_request *req)
{
    int rc = f->discard ? range_in_pieces(f, req, punch) : 0;

    /* A hint: an image that cannot is not an error. */
    return rc == -EOPNOTSUPP || rc == -EINVAL ? 0 : rc;
}

int block_file_do(struct block_file *f, struct block_request *req)
{
    int rc;

    switch (req->op) {
    case BLOCK_READ:
        return read_or_write(f, req, false);
    case BLOCK_WRITE:
        rc = read_or_write(f, req, true);
        return rc == 0 && req->fua ? flush(f) : rc;
    case BLOCK_FLUSH:
        return flush(f);
    case BLOCK_DISCARD:
        return discard(f, req);
    case BLOCK_WRITE_ZEROES:
        rc = write_zeroes(f, req);
        return rc == 0 && req->fua ? flush(f) : rc;
    }
    return -ENOTSUP;
}
