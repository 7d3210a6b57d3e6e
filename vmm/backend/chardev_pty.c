/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A pseudo terminal of its own: whoever opens it (screen, minicom) is the peer. Its master goes
 * with a handover, so its name and whoever has it open stay.
 *
 * A master without anybody at its other side is hung up for poll(2), and says nothing when
 * somebody comes; but opening is an event of the file, which inotify tells. The watch on it goes
 * along, too: to make one takes a right to the name.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <termios.h>
#include <unistd.h>

#include "base/err.h"
#include "base/log.h"
#include "base/own.h"
#include "vmm/backend/chardev_type.h"

struct chardev_pty {
    struct chardev base;
    int master_fd; /* owned; -1 = not attached */
    int opened_fd; /* owned; the inotify watch */
    struct loop_watch *opened;
    char path[CHARDEV_PTY_PATH_BYTES];
};

static int pty_create(struct chardev *c, struct ferry_err *err)
{
    struct chardev_pty *p = (struct chardev_pty *)c;

    p->master_fd = p->opened_fd = -1;
    return 0;
}

static int pty_find_path(int master, char path[CHARDEV_PTY_PATH_BYTES], struct ferry_err *err)
{
    unsigned number;

    if (ioctl(master, TIOCGPTN, &number) < 0)
        return err_set(err, EINVAL, "is not the master of a pseudo terminal");
    snprintf(path, CHARDEV_PTY_PATH_BYTES, "/dev/pts/%u", number);
    return 0;
}

/* As a line, not as a terminal: no echo, no line editing. And hung up until somebody comes. */
static int pty_make_raw(const char *path)
{
    OWN_FD int fd = open(path, O_RDWR | O_NOCTTY | O_CLOEXEC);
    struct termios mode;

    if (fd < 0 || fchmod(fd, 0600) < 0 || tcgetattr(fd, &mode) < 0)
        return -errno;
    cfmakeraw(&mode);
    return tcsetattr(fd, TCSANOW, &mode) < 0 ? -errno : 0;
}

int chardev_pty_make(int *ret_master, int *ret_opened, char path[CHARDEV_PTY_PATH_BYTES],
                     struct ferry_err *err)
{
    OWN_FD int master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC | O_NONBLOCK);
    OWN_FD int opened = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
    int rc;

    if (master < 0 || grantpt(master) < 0 || unlockpt(master) < 0)
        return err_sys(err, errno, "cannot make a pseudo terminal");
    if (opened < 0)
        return err_sys(err, errno, "cannot watch a pseudo terminal");
    rc = pty_find_path(master, path, err);
    if (rc < 0)
        return rc;
    rc = pty_make_raw(path);
    if (rc < 0 || inotify_add_watch(opened, path, IN_OPEN) < 0)
        return err_sys(err, rc < 0 ? -rc : errno, "%s", path);
    *ret_master = take_fd(&master);
    *ret_opened = take_fd(&opened);
    return 0;
}

static int pty_open(struct chardev *c, struct ferry_err *err)
{
    struct chardev_pty *p = (struct chardev_pty *)c;
    int rc = chardev_pty_make(&p->master_fd, &p->opened_fd, p->path, err);

    if (!rc)
        log_info("chardev \"%s\" is on %s", c->config->id, p->path);
    return rc;
}

static int pty_fd_at(struct chardev *c, size_t index, const char **what, int *fd)
{
    struct chardev_pty *p = (struct chardev_pty *)c;

    if (index > 1)
        return -ENOENT;
    *what = index == 0 ? "pty" : "opened";
    *fd = index == 0 ? p->master_fd : p->opened_fd;
    return 0;
}

static int pty_adopt(struct chardev *c, const char *what, int *fd, struct ferry_err *err)
{
    struct chardev_pty *p = (struct chardev_pty *)c;
    bool master = strcmp(what, "pty") == 0;
    int *slot = master ? &p->master_fd : &p->opened_fd;
    int rc;

    if ((!master && strcmp(what, "opened") != 0) || *slot >= 0)
        return err_set(err, EINVAL, "a pty has the fds \"pty\" and \"opened\", once each");
    rc = master ? pty_find_path(*fd, p->path, err) : 0;
    if (rc < 0)
        return rc;
    *slot = take_fd(fd);
    return 0;
}

/* Does nobody have it open? */
static bool pty_is_hung_up(const struct chardev_pty *p)
{
    struct pollfd poll_fd = {.fd = p->master_fd};

    return poll(&poll_fd, 1, 0) == 1 && poll_fd.revents & POLLHUP;
}

/* At once, so that what is written before the loop turns is not lost. */
static void pty_start(struct chardev *c)
{
    struct chardev_pty *p = (struct chardev_pty *)c;

    if (c->out_fd < 0 && p->master_fd >= 0 && !pty_is_hung_up(p))
        chardev_use_fds(c, p->master_fd, p->master_fd);
}

static void pty_opened(void *arg, short revents)
{
    struct chardev_pty *p = arg;
    char events[1024];

    while (read(p->opened_fd, events, sizeof(events)) > 0)
        continue;
    chardev_update(&p->base);
}

static void pty_update(struct chardev *c)
{
    struct chardev_pty *p = (struct chardev_pty *)c;
    struct ferry_err err;
    bool there;

    if (!c->running || p->master_fd < 0)
        return;
    if (!p->opened &&
        loop_watch_new(&p->opened, c->loop, p->opened_fd, POLLIN, pty_opened, p, &err) < 0)
        log_error("chardev \"%s\": nobody can come: %s", c->config->id, err.text);
    there = !pty_is_hung_up(p);
    if (there && c->out_fd < 0) {
        chardev_use_fds(c, p->master_fd, p->master_fd);
    } else if (!there && c->out_fd >= 0) {
        chardev_drop_fds(c);
        chardev_tell(c, CHARDEV_CLOSED);
    }
}

/* The next one comes to the same terminal. */
static void pty_hangup(struct chardev *c)
{
}

static void pty_destroy(struct chardev *c)
{
    struct chardev_pty *p = (struct chardev_pty *)c;

    if (p->opened)
        loop_watch_free(TAKE_PTR(p->opened));
    own_close_fd(&p->master_fd);
    own_close_fd(&p->opened_fd);
}

static void pty_filename(const struct chardev *c, char *ret, size_t n)
{
    const struct chardev_pty *p = (const struct chardev_pty *)c;

    snprintf(ret, n, "%spty:%s", c->out_fd < 0 ? "disconnected:" : "", p->path);
}

const struct chardev_type chardev_pty_type = {
    .name = "pty",
    .config_type = CONFIG_CHARDEV_PTY,
    .size_bytes = sizeof(struct chardev_pty),
    .is_raw = true,
    .create = pty_create,
    .open = pty_open,
    .fd_at = pty_fd_at,
    .adopt = pty_adopt,
    .start = pty_start,
    .update = pty_update,
    .hangup = pty_hangup,
    .destroy = pty_destroy,
    .filename = pty_filename,
};
