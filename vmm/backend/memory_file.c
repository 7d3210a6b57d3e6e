/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/backend/memory_file.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdbool.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/err.h"
#include "base/log.h"
#include "base/own.h"
#include "vmm/backend/allow.h"
#include "vmm/backend/block.h"
#include "vmm/machine/config.h"

#define BLOCK_BYTES 512u /* of st_blocks */

/* Whoever puts a link, a FIFO or a device in its place gets an error, and nothing waits. */
static int open_path(const struct allow_list *allow, const char *path, int flags)
{
    return allow_open(allow, path, O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | flags,
                      0600);
}

static int open_or_create(const struct config_memory *m, const struct allow_list *allow,
                          int *ret_fd, bool *created, struct ferry_err *err)
{
    int fd = open_path(allow, m->path, 0);

    *created = false;
    if (fd == -EISDIR) {
        fd = open_path(allow, m->path, O_TMPFILE);
    } else if (fd == -ENOENT) {
        fd = open_path(allow, m->path, O_CREAT | O_EXCL);
        *created = fd >= 0;
    }
    if (fd == -ELOOP)
        return err_set(err, ELOOP,
                       "mem-path '%s' is a symbolic link, which could lead anywhere: name the file "
                       "itself",
                       m->path);
    if (fd < 0)
        return err_sys(err, -fd, "cannot open mem-path '%s' for guest RAM%s", m->path,
                       allow_hint(-fd));
    *ret_fd = fd;
    return 0;
}

static int check(const struct config_memory *m, const struct stat *st, struct ferry_err *err)
{
    if (!S_ISREG(st->st_mode))
        return err_set(err, EINVAL,
                       "mem-path '%s' is neither a regular file nor a directory to make one in",
                       m->path);
    if (st->st_uid != geteuid() && st->st_uid != 0)
        return err_set(err, EPERM,
                       "mem-path '%s' belongs to user %u, who could read and change the guest's "
                       "memory: name a file of user %u or of root",
                       m->path, (unsigned)st->st_uid, (unsigned)geteuid());
    if (st->st_mode & 022)
        return err_set(err, EPERM,
                       "others can write to mem-path '%s' (mode %o), and so change the guest's "
                       "memory: 'chmod go-w' it",
                       m->path, (unsigned)st->st_mode & 07777);
    return 0;
}

/* Before a byte of it changes: its drive locks it later, or with locking=off never. */
static int check_no_image(const struct vm_config *c, const struct config_memory *m, int fd,
                          struct ferry_err *err)
{
    const struct config_drive *d = block_find_image(c, fd);

    if (!d)
        return 0;
    return err_set(err, EBUSY,
                   "mem-path '%s' is the image of drive \"%s\", which guest RAM in it would "
                   "destroy: name a file of its own",
                   m->path, d->id);
}

static uint64_t room_bytes(int fd)
{
    struct statvfs fs;

    return fstatvfs(fd, &fs) < 0 ? UINT64_MAX : (uint64_t)fs.f_bavail * fs.f_frsize;
}

static int reserve(const struct config_memory *m, int fd, struct ferry_err *err)
{
    int rc;

    do
        rc = fallocate(fd, 0, 0, (off_t)m->size_bytes);
    while (rc < 0 && errno == EINTR);
    if (rc == 0)
        return 0;
    if (errno == EOPNOTSUPP || errno == ENOSYS) {
        log_warn(
            "memory-backend '%s': the file system of '%s' cannot reserve room: if it fills up, "
            "the guest ends",
            m->id, m->path);
        return 0;
    }
    if (errno != ENOSPC)
        return err_sys(err, errno, "cannot reserve %" PRIu64 " MiB for mem-path '%s'",
                       m->size_bytes >> 20, m->path);
    return err_set(err, ENOSPC,
                   "mem-path '%s' has no room for %" PRIu64 " MiB of guest RAM (%" PRIu64
                   " MiB are free): free some or give the guest less; with prealloc=off it would "
                   "end when the room does",
                   m->path, m->size_bytes >> 20, room_bytes(fd) >> 20);
}

static void warn_if_short(const struct config_memory *m, int fd, const struct stat *st)
{
    uint64_t there = (uint64_t)st->st_blocks * BLOCK_BYTES;

    if (there < m->size_bytes && m->size_bytes - there > room_bytes(fd))
        log_warn("memory-backend '%s': '%s' has no room for all of its %" PRIu64
                 " MiB: the guest ends when it uses more",
                 m->id, m->path, m->size_bytes >> 20);
}

int memory_file_open(const struct vm_config *c, const struct config_memory *m, int *ret_fd,
                     struct ferry_err *err)
{
    OWN_FD int fd = -1;
    struct stat st;
    bool created;
    int rc = open_or_create(m, c->allow, &fd, &created, err);

    if (rc < 0)
        return rc;
    rc = fstat(fd, &st) < 0 ? err_sys(err, errno, "cannot look at mem-path '%s'", m->path)
                            : check(m, &st, err);
    if (!rc)
        rc = check_no_image(c, m, fd, err);
    /* One that is too short is somebody's, and refused as it is (ferry_ram_add_file). */
    if (!rc && (st.st_size == 0 || (uint64_t)st.st_size >= m->size_bytes)) {
        if (m->prealloc)
            rc = reserve(m, fd, err);
        else
            warn_if_short(m, fd, &st);
    }
    if (rc < 0) {
        if (created)
            (void)!unlink(m->path);
        return rc;
    }
    *ret_fd = take_fd(&fd);
    return 0;
}
