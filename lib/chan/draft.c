/* SPDX-License-Identifier: Apache-2.0 */
#include "lib/chan/draft.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/err.h"
#include "base/held.h"
#include "base/own.h"

/* Of the file's own name; the rest tells drafts of one file apart. */
#define DRAFT_NAME_BYTES  200
#define DRAFT_NAMES_TRIED 16

struct draft {
    char *path; /* owned: without links, so that a link stays one */
    const char *name;
    int folder;   /* owned */
    int nameless; /* owned: the file, which goes with the last process that has it; -1: `beside` */
    char beside[DRAFT_NAME_BYTES + 32];
    bool there; /* `beside` has to be renamed or removed */
};

static const char *kind_of(mode_t mode)
{
    switch (mode & S_IFMT) {
    case S_IFDIR:
        return "a folder";
    case S_IFSOCK:
        return "a socket";
    case S_IFIFO:
        return "a pipe ('exec:cat > ...' writes into one)";
    case S_IFBLK:
    case S_IFCHR:
        return "a device ('exec:cat > ...' writes into one)";
    default:
        return "something else";
    }
}

static int in_use(const char *path, const char *why, struct ferry_err *err)
{
    return err_set(err, EBUSY,
                   "'%s' is in use: somebody has %s ('fuser -v' on it shows who); choose another "
                   "name, or end that first",
                   path, why);
}

/* Nobody is waited for, and no device is woken. */
static int check_at(int folder, const char *name, const char *path, bool written,
                    struct ferry_err *err)
{
    OWN_FD int fd = -1;
    struct stat st;

    if (fstatat(folder, name, &st, 0) < 0)
        return errno == ENOENT ? 0 : err_sys(err, errno, "cannot look at '%s'", path);
    if (!S_ISREG(st.st_mode))
        return err_set(err, EINVAL,
                       "'%s' is %s, which is not written over; a regular file was expected, or a "
                       "name that nothing has yet",
                       path, kind_of(st.st_mode));
    /* Whoever took the right to write to it away meant it to stay. */
    if (faccessat(folder, name, W_OK, AT_EACCESS) < 0)
        return err_sys(err, errno, "'%s' is not written over", path);
    fd = openat(folder, name, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0)
        return err_sys(err, errno, "cannot see whether somebody uses '%s'", path);
    if (held_by_lock(fd))
        return in_use(path, "locked it, as a VM does its disks", err);
    return written && held_by_writer(fd) ? in_use(path, "it open to write", err) : 0;
}

int draft_check(const char *path, struct ferry_err *err)
{
    return check_at(AT_FDCWD, path, path, false, err);
}

static int check_old(const struct draft *d, struct ferry_err *err)
{
    return check_at(d->folder, d->name, d->path, true, err);
}

/* Where a link leads, and the folder that is in. */
static int find_place(struct draft *d, const char *path, struct ferry_err *err)
{
    OWN_MEM char *folder = NULL;
    struct stat st;
    char *slash;

    d->path = realpath(path, NULL);
    if (!d->path && errno == ENOENT && lstat(path, &st) == 0)
        return err_set(err, ENOENT, "'%s' is a link to what is not there: name that itself", path);
    if (!d->path && errno == ENOENT)
        d->path = strdup(path);
    if (!d->path)
        return err_sys(err, errno, "Could not create '%s'", path);
    slash = strrchr(d->path, '/');
    d->name = slash ? slash + 1 : d->path;
    if (!*d->name)
        return err_set(err, EISDIR, "'%s' is the name of a folder; a file was expected", path);
    if (slash == d->path)
        slash++;
    folder = slash ? strndup(d->path, (size_t)(slash - d->path)) : strdup(".");
    if (!folder)
        return err_set(err, ENOMEM, "no memory for the name of a file");
    d->folder = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return d->folder < 0 ? err_sys(err, errno, "Could not create '%s'", path) : 0;
}

/* A name beside it that nobody has. fn: 0, or -1 with errno. */
static int name_beside(struct draft *d, int (*fn)(struct draft *d))
{
    int rc = -1;

    for (unsigned i = 0; i < DRAFT_NAMES_TRIED && rc < 0; i++) {
        uint32_t number;

        if (getrandom(&number, sizeof(number), 0) < 0)
            break;
        snprintf(d->beside, sizeof(d->beside), ".%.*s.%08x", DRAFT_NAME_BYTES, d->name, number);
        rc = fn(d);
        if (rc < 0 && errno != EEXIST)
            break;
    }
    d->there = rc >= 0;
    return rc;
}

static int create_beside(struct draft *d)
{
    return openat(d->folder, d->beside, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
}

static int link_beside(struct draft *d)
{
    char path[32];

    snprintf(path, sizeof(path), "/proc/self/fd/%d", d->nameless);
    return linkat(AT_FDCWD, path, d->folder, d->beside, AT_SYMLINK_FOLLOW);
}

/* Whoever is killed while it is written leaves nothing of the guest's memory: only some network
 * file systems cannot do that. */
static int make_file(struct draft *d, int *ret_fd, struct ferry_err *err)
{
    int fd = openat(d->folder, ".", O_RDWR | O_TMPFILE | O_CLOEXEC, 0600);

    if (fd >= 0)
        d->nameless = fcntl(fd, F_DUPFD_CLOEXEC, 3);
    else if (errno == EOPNOTSUPP || errno == EISDIR)
        fd = name_beside(d, create_beside);
    if (fd < 0 || (d->nameless < 0 && !d->there)) {
        int errnum = errno;

        own_close_fd(&fd);
        return err_sys(err, errnum, "Could not create '%s'", d->path);
    }
    *ret_fd = fd;
    return 0;
}

int draft_begin(struct draft **ret, const char *path, int *ret_fd, struct ferry_err *err)
{
    OWN(draft_freep) struct draft *d = calloc(1, sizeof(*d));
    int r;

    if (!d)
        return err_set(err, ENOMEM, "no memory for a file");
    d->folder = d->nameless = -1;
    r = find_place(d, path, err);
    if (!r)
        r = check_old(d, err);
    if (!r)
        r = make_file(d, ret_fd, err);
    if (r < 0)
        return r;
    *ret = TAKE_PTR(d);
    return 0;
}

int draft_keep(struct draft *d, struct ferry_err *err)
{
    /* Writing took its time, and a VM may have been given the old one as a disk meanwhile. */
    int r = check_old(d, err);

    if (r < 0)
        return r;
    if ((!d->there && name_beside(d, link_beside) < 0) ||
        renameat(d->folder, d->beside, d->folder, d->name) < 0)
        return err_sys(err, errno, "'%s' was written, but cannot be given its name", d->path);
    d->there = false;
    if (fsync(d->folder) < 0)
        return err_sys(err, errno, "'%s' is there, but its folder is not on the disk", d->path);
    return 0;
}

void draft_free(struct draft *d)
{
    if (!d)
        return;
    if (d->there)
        unlinkat(d->folder, d->beside, 0);
    own_close_fd(&d->nameless);
    own_close_fd(&d->folder);
    free(d->path);
    free(d);
}
