/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/supervisor/startup.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/err.h"
#include "base/log.h"
#include "base/own.h"
#include "base/same_file.h"
#include "vmm/backend/block.h"
#include "vmm/backend/text_file.h"
#include "vmm/supervisor/supervisor_link.h"

/* Above the standard ones, and inherited over execve(2). */
#define INHERITED_FD_MIN  3
/* More than a number needs, less than a sector. */
#define PIDFILE_BYTES_MAX 32

static const char part_name[] = "pidfile";

const struct startup startup_none = {.ready = -1, .log = -1, .null = -1, .pidfile = -1};

/* --- In the process that was called --- */

static int open_log(const struct vm_config *c, int *ret, struct ferry_err *err)
{
    const char *path = c->log_path ? c->log_path : "/dev/null";
    OWN_FD int fd = -1;
    int rc;

    if (!c->log_path && !c->daemonize)
        return 0;
    rc = text_file_open(path, true, &fd, err);
    if (!rc && block_find_image(c, fd))
        rc = err_set(err, EBUSY, "'%s' is a disk of this VM; give the text another file", path);
    if (rc < 0)
        return err_prefix(err, "-D %s", path);
    *ret = take_fd(&fd);
    return 0;
}

/* Left by a VM that was killed, or by a service manager: whatever else holds more than a number. */
static bool holds_a_pid(int fd, const struct stat *st)
{
    char text[PIDFILE_BYTES_MAX];
    ssize_t n = st->st_size > PIDFILE_BYTES_MAX ? -1 : pread(fd, text, sizeof(text), 0);

    for (ssize_t i = 0; i < n; i++)
        if (!strchr("0123456789 \n", text[i]) || !text[i])
            return false;
    return n >= 0;
}

/* One VM for one file: whoever has the lock of it. */
static bool lock_pidfile(int fd)
{
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};

    return fcntl(fd, F_OFD_SETLK, &lock) == 0;
}

/* Whoever ends removes the name under the lock; that may be between our open and our lock. */
static bool still_has_name(int fd, const char *path)
{
    struct stat mine, named;

    return fstat(fd, &mine) == 0 && lstat(path, &named) == 0 && same_file(&mine, &named);
}

static int open_pidfile(const char *path, int *ret, struct ferry_err *err)
{
    OWN_FD int fd = -1;
    struct stat st;

    if (!path)
        return 0;
    fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0600);
    if (fd < 0 || fstat(fd, &st) < 0)
        return err_sys(err, errno, "-pidfile %s", path);
    if (!S_ISREG(st.st_mode))
        return err_set(err, EINVAL, "-pidfile %s: a regular file was expected", path);
    if (!lock_pidfile(fd))
        return err_set(err, EEXIST,
                       "-pidfile %s: a VM that runs has it; name another file, or end that VM",
                       path);
    if (!still_has_name(fd, path))
        return err_set(err, EAGAIN,
                       "-pidfile %s: another VM that ends removed it just now; try again", path);
    if (!holds_a_pid(fd, &st))
        return err_set(err, EEXIST,
                       "-pidfile %s: something else than the number of a process is in that file, "
                       "and would be lost; name another, or remove it",
                       path);
    *ret = take_fd(&fd);
    return 0;
}

/* What cannot be written is not left behind as half a number. */
static int write_pid(const char *path, int fd, struct ferry_err *err)
{
    char text[16];
    int n = snprintf(text, sizeof(text), "%d\n", (int)getpid());
    int rc;

    if (fd < 0 || (ftruncate(fd, 0) == 0 && pwrite(fd, text, (size_t)n, 0) == n))
        return 0;
    rc = err_sys(err, errno, "-pidfile %s", path);
    unlink(path);
    return rc;
}

static void wait_until_up(pid_t pid, int ready) __attribute__((noreturn));
static void wait_until_up(pid_t pid, int ready)
{
    char byte;
    ssize_t n;
    int status;

    while ((n = read(ready, &byte, 1)) < 0 && errno == EINTR)
        continue;
    if (n == 1)
        _exit(0);
    /* What was wrong has been said. */
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        continue;
    _exit(WIFEXITED(status) && WEXITSTATUS(status) ? WEXITSTATUS(status) : 1);
}

/* Returns in the child. *ret: where it says that it is up. */
static int daemonize(int *ret, struct ferry_err *err)
{
    int ends[2];
    pid_t pid;

    if (pipe2(ends, O_CLOEXEC) < 0)
        return err_sys(err, errno, "-daemonize");
    pid = fork();
    if (pid < 0)
        return err_sys(err, errno, "-daemonize");
    if (pid > 0) {
        close(ends[1]);
        wait_until_up(pid, ends[0]);
    }
    close(ends[0]);
    setsid();
    *ret = ends[1];
    return 0;
}

/* For the VMM, and not where its standard ones are. *fd < 0: nothing. */
static int keep(int *ret, int *fd, struct ferry_err *err)
{
    *ret = *fd < 0 ? -1 : fcntl(*fd, F_DUPFD_CLOEXEC, INHERITED_FD_MIN);
    if (*fd >= 0 && *ret < 0)
        return err_sys(err, errno, "cannot keep a file open for the VM");
    own_close_fd(fd);
    return 0;
}

/* Whoever reads to the end what was called is not kept. */
static void leave_terminal(void)
{
    OWN_FD int null = open("/dev/null", O_RDWR | O_CLOEXEC);

    if (null < 0)
        return;
    dup2(null, STDIN_FILENO);
    dup2(null, STDOUT_FILENO);
}

int startup_begin(struct startup *ret, const struct vm_config *c, struct ferry_err *err)
{
    OWN_FD int log = -1;
    OWN_FD int pidfile = -1;
    OWN_FD int ready = -1;
    int rc;

    if (c->log_times && setenv(LOG_TIMES, "1", 1) < 0)
        return err_set(err, ENOMEM, "out of memory");
    rc = open_log(c, &log, err);
    if (!rc)
        rc = open_pidfile(c->pidfile, &pidfile, err);
    if (!rc && c->daemonize)
        rc = daemonize(&ready, err);
    if (!rc)
        rc = write_pid(c->pidfile, pidfile, err);
    if (rc < 0)
        return rc;
    *ret = startup_none;
    rc = keep(&ret->ready, &ready, err);
    if (!rc)
        rc = keep(&ret->log, &log, err);
    if (!rc)
        rc = keep(&ret->pidfile, &pidfile, err);
    if (rc < 0)
        startup_end(ret);
    return rc;
}

void startup_forget(struct startup *s)
{
    if (s->ready >= 0)
        leave_terminal();
    if (s->log >= 0)
        dup2(s->log, STDERR_FILENO);
    startup_end(s);
}

void startup_remove_pidfile(const char *path)
{
    char text[16] = "";
    OWN_FD int fd = path ? open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK) : -1;

    if (fd >= 0 && lock_pidfile(fd) && still_has_name(fd, path) &&
        read(fd, text, sizeof(text) - 1) > 0 && atoi(text) == getpid())
        unlink(path);
}

/* --- In the VMM --- */

void startup_take(struct startup *s, struct supervisor_link *l)
{
    *s = (struct startup){.ready = supervisor_link_take(l, INHERITED_READY),
                          .log = supervisor_link_take(l, INHERITED_LOG),
                          .null = -1,
                          .pidfile = supervisor_link_take(l, INHERITED_PIDFILE)};
    if (s->ready >= 0)
        s->null = open("/dev/null", O_RDWR | O_CLOEXEC);
}

void startup_is_up(struct startup *s)
{
    if (s->null >= 0) {
        dup2(s->null, STDIN_FILENO);
        dup2(s->null, STDOUT_FILENO);
    }
    if (s->log >= 0)
        dup2(s->log, STDERR_FILENO);
    if (s->ready >= 0)
        (void)!write(s->ready, "", 1);
    own_close_fd(&s->null);
    own_close_fd(&s->log);
    own_close_fd(&s->ready);
}

void startup_end(struct startup *s)
{
    own_close_fd(&s->null);
    own_close_fd(&s->log);
    own_close_fd(&s->ready);
    own_close_fd(&s->pidfile);
}

static int startup_extra_fd_at(void *obj, size_t index, struct ferry_named_fd *ret)
{
    const struct startup *s = obj;

    if (index > 0 || s->pidfile < 0)
        return -ENOENT;
    snprintf(ret->name, sizeof(ret->name), "%s/lock", part_name);
    ret->fd = s->pidfile;
    return 0;
}

static int startup_adopt(void *obj, const char *name, int *fd, struct ferry_err *err)
{
    struct startup *s = obj;

    if (s->pidfile >= 0)
        return err_set(err, EEXIST, "there is one lock of a pid file");
    s->pidfile = take_fd(fd);
    return 0;
}

static const struct ferry_part_ops startup_part_ops = {
    .adopt = startup_adopt,
    .extra_fd_at = startup_extra_fd_at,
};

struct ferry_part startup_part(struct startup *s)
{
    return (struct ferry_part){
        .idstr = part_name, .ops = &startup_part_ops, .obj = s, .obj_bytes = sizeof(*s)};
}
