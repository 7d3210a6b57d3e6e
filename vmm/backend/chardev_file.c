/* SPDX-License-Identifier: Apache-2.0 */
/* Output to a file; there is no input. The file offset travels with the fd. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "base/own.h"
#include "vmm/backend/chardev_type.h"
#include "vmm/backend/text_file.h"

struct chardev_file {
    struct chardev base;
    int fd; /* owned */
};

static int file_create(struct chardev *c, struct ferry_err *err)
{
    ((struct chardev_file *)c)->fd = -1;
    return 0;
}

static int file_open(struct chardev *c, struct ferry_err *err)
{
    return text_file_open(c->config->path, c->config->append, &((struct chardev_file *)c)->fd, err);
}

static int file_fd_at(struct chardev *c, size_t index, const char **what, int *fd)
{
    if (index > 0)
        return -ENOENT;
    *what = "file";
    *fd = ((struct chardev_file *)c)->fd;
    return 0;
}

static int file_adopt(struct chardev *c, const char *what, int *fd, struct ferry_err *err)
{
    struct chardev_file *f = (struct chardev_file *)c;
    int flags = fcntl(*fd, F_GETFL);

    if (strcmp(what, "file") != 0 || f->fd >= 0)
        return err_set(err, EINVAL, "a file chardev has one fd, \"file\"");
    if (flags < 0 || (flags & O_ACCMODE) == O_RDONLY)
        return err_set(err, EINVAL, "is not open for writing");
    f->fd = take_fd(fd);
    return 0;
}

static void file_start(struct chardev *c)
{
    struct chardev_file *f = (struct chardev_file *)c;

    if (c->out_fd < 0)
        chardev_use_fds(c, -1, f->fd);
}

static void file_destroy(struct chardev *c)
{
    own_close_fd(&((struct chardev_file *)c)->fd);
}

static void file_filename(const struct chardev *c, char *ret, size_t n)
{
    snprintf(ret, n, "file:%s", c->config->path);
}

const struct chardev_type chardev_file_type = {
    .name = "file",
    .config_type = CONFIG_CHARDEV_FILE,
    .size_bytes = sizeof(struct chardev_file),
    .create = file_create,
    .open = file_open,
    .fd_at = file_fd_at,
    .adopt = file_adopt,
    .start = file_start,
    .destroy = file_destroy,
    .filename = file_filename,
};
