/* SPDX-License-Identifier: Apache-2.0 */
#include "lib/chan/place.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/err.h"
#include "base/own.h"

int chan_position(const struct ferry_chan *c, uint64_t *ret_bytes, struct ferry_err *err)
{
    off_t at = lseek(c->fd, 0, SEEK_CUR);

    if (at < 0)
        return err_sys(err, errno, "%s: cannot tell where it is", c->name);
    *ret_bytes = (uint64_t)at;
    return 0;
}

int chan_go_to(struct ferry_chan *c, uint64_t position_bytes, struct ferry_err *err)
{
    if (position_bytes > INT64_MAX || lseek(c->fd, (off_t)position_bytes, SEEK_SET) < 0)
        return err_sys(err, position_bytes > INT64_MAX ? EOVERFLOW : errno,
                       "%s: cannot go to byte %" PRIu64, c->name, position_bytes);
    return 0;
}

int chan_file_bytes(const struct ferry_chan *c, uint64_t *ret, struct ferry_err *err)
{
    struct stat st;

    if (fstat(c->fd, &st) < 0)
        return err_sys(err, errno, "%s: cannot tell how long it is", c->name);
    *ret = (uint64_t)st.st_size;
    return 0;
}

int chan_write_at(const struct ferry_chan *c, const void *data, size_t n, uint64_t position_bytes,
                  struct ferry_err *err)
{
    const uint8_t *from = data;

    while (n > 0) {
        ssize_t r = pwrite(c->fd, from, n, (off_t)position_bytes);

        if (r < 0 && errno == EINTR)
            continue;
        if (r <= 0)
            return err_sys(err, r < 0 ? errno : EIO, "%s: cannot write at byte %" PRIu64, c->name,
                           position_bytes);
        from += r;
        n -= (size_t)r;
        position_bytes += (uint64_t)r;
    }
    return 0;
}

int chan_read_at(const struct ferry_chan *c, void *data, size_t n, uint64_t position_bytes,
                 struct ferry_err *err)
{
    uint8_t *to = data;

    while (n > 0) {
        ssize_t r = pread(c->fd, to, n, (off_t)position_bytes);

        if (r < 0 && errno == EINTR)
            continue;
        if (r < 0)
            return err_sys(err, errno, "%s: cannot read at byte %" PRIu64, c->name, position_bytes);
        if (r == 0)
            return err_set(err, EPROTO, "%s: ends at byte %" PRIu64 ", too early; it was cut",
                           c->name, position_bytes);
        to += r;
        n -= (size_t)r;
        position_bytes += (uint64_t)r;
    }
    return 0;
}

void chan_flush_at(const struct ferry_chan *c, size_t n, uint64_t position_bytes)
{
    (void)!sync_file_range(c->fd, (off_t)position_bytes, (off_t)n, SYNC_FILE_RANGE_WRITE);
}

int chan_open_direct(struct ferry_chan **ret, const struct ferry_chan *c, struct ferry_err *err)
{
    char path[32];
    int flags = fcntl(c->fd, F_GETFL);
    OWN_FD int fd = -1;

    /* The file itself: its name may mean another one by now, and an fd may have none. */
    snprintf(path, sizeof(path), "/proc/self/fd/%d", c->fd);
    if (c->direct_fd >= 0)
        fd = fcntl(c->direct_fd, F_DUPFD_CLOEXEC, 3);
    else if (flags >= 0)
        fd = open(path, (flags & O_ACCMODE) | O_DIRECT | O_CLOEXEC);
    if (fd < 0)
        return err_sys(err, errno,
                       "%s: its file system does not do direct I/O (O_DIRECT); choose another "
                       "one, or switch the parameter direct-io off",
                       c->name);
    return chan_new(ret, &fd, c->name, err);
}
