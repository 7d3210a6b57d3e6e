/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Standard input and output. While it runs with a frontend that wants single keys, a terminal is
 * in raw mode; the process that ends the VM's life puts back what the first one found.
 *
 * What was found, and a Ctrl-a whose second key has not come yet, is kept in a memfd that travels
 * as "<id>/terminal": host state has no place in the stream. Its bytes (big endian):
 *
 *     0  u32  magic "fTTY"          4  u32  version, 1
 *     8  u32  status flags of in   12  u32  status flags of out
 *    16  u8   in is a terminal, and its mode follows      17  u8  a Ctrl-a is pending
 *    18  u32  iflag  22  u32 oflag  26  u32 cflag  30  u32 lflag   34  u8[32] cc
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <termios.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/own.h"
#include "vmm/backend/chardev_type.h"
#include "vmm/backend/escape.h"

#define TERMINAL_MAGIC   0x66545459u
#define TERMINAL_VERSION 1u
#define TERMINAL_BYTES   66u

_Static_assert(NCCS == 32, "the terminal memfd has room for 32 control characters");

/* What to put back. */
struct terminal {
    uint32_t in_flags, out_flags;
    bool is_tty;
    bool escape_pending;
    struct termios mode; /* if is_tty */
};

struct chardev_stdio {
    struct chardev base;
    int in_fd, out_fd, terminal_fd; /* owned; -1 = not attached */
    struct terminal found;
    bool raw;            /* in our mode now */
    bool stored_pending; /* found.escape_pending as the memfd has it */
};

/* --- The memfd --- */

static int terminal_store(int fd, const struct terminal *t)
{
    OWN(buf_free) struct buf b = {0};
    ssize_t n;

    buf_be32(&b, TERMINAL_MAGIC);
    buf_be32(&b, TERMINAL_VERSION);
    buf_be32(&b, t->in_flags);
    buf_be32(&b, t->out_flags);
    buf_u8(&b, t->is_tty);
    buf_u8(&b, t->escape_pending);
    buf_be32(&b, t->mode.c_iflag);
    buf_be32(&b, t->mode.c_oflag);
    buf_be32(&b, t->mode.c_cflag);
    buf_be32(&b, t->mode.c_lflag);
    buf_put(&b, t->mode.c_cc, NCCS);
    if (b.failed)
        return -b.failed;
    n = pwrite(fd, b.data, b.len_bytes, 0);
    return n == (ssize_t)b.len_bytes ? 0 : -EIO;
}

static int terminal_load(int fd, struct terminal *ret, struct ferry_err *err)
{
    uint8_t data[TERMINAL_BYTES];
    struct terminal t = {0};
    struct rd r = rd_make(data, sizeof(data));

    if (pread(fd, data, sizeof(data), 0) != (ssize_t)sizeof(data) || rd_be32(&r) != TERMINAL_MAGIC)
        return err_set(err, EINVAL, "is not a record of a terminal's mode");
    if (rd_be32(&r) != TERMINAL_VERSION)
        return err_set(err, ENOTSUP, "is of another version than %u", TERMINAL_VERSION);
    t.in_flags = rd_be32(&r);
    t.out_flags = rd_be32(&r);
    t.is_tty = rd_u8(&r) != 0;
    t.escape_pending = rd_u8(&r) != 0;
    t.mode.c_iflag = rd_be32(&r);
    t.mode.c_oflag = rd_be32(&r);
    t.mode.c_cflag = rd_be32(&r);
    t.mode.c_lflag = rd_be32(&r);
    memcpy(t.mode.c_cc, rd_take(&r, NCCS), NCCS);
    *ret = t;
    return 0;
}

/* --- The terminal's mode --- */

static void terminal_set_mode(int fd, const struct termios *mode)
{
    sigset_t ttou, old;

    /* From the background this would stop the process; putting the mode back must not. */
    sigemptyset(&ttou);
    sigaddset(&ttou, SIGTTOU);
    pthread_sigmask(SIG_BLOCK, &ttou, &old);
    tcsetattr(fd, TCSANOW, mode);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
}

static void stdio_set_raw(struct chardev_stdio *s)
{
    struct termios mode = s->found.mode;

    cfmakeraw(&mode);
    mode.c_oflag |= OPOST; /* "\n" of our own messages still begins a new line */
    if (s->base.config->signal)
        mode.c_lflag |= ISIG;
    terminal_set_mode(s->in_fd, &mode);
}

static void stdio_restore(struct chardev_stdio *s)
{
    if (s->found.is_tty && s->raw)
        terminal_set_mode(s->in_fd, &s->found.mode);
    s->raw = false;
    fcntl(s->in_fd, F_SETFL, (int)s->found.in_flags);
    fcntl(s->out_fd, F_SETFL, (int)s->found.out_flags);
}

/* --- Life --- */

static int stdio_create(struct chardev *c, struct ferry_err *err)
{
    struct chardev_stdio *s = (struct chardev_stdio *)c;

    s->in_fd = s->out_fd = s->terminal_fd = -1;
    return 0;
}

static int stdio_open(struct chardev *c, struct ferry_err *err)
{
    struct chardev_stdio *s = (struct chardev_stdio *)c;
    OWN_FD int in = fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 3);
    OWN_FD int out = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3);
    OWN_FD int memory = memfd_create("ferry-terminal", MFD_CLOEXEC);
    int in_flags, out_flags;

    if (in < 0 || out < 0)
        return err_sys(err, errno, "standard input or output is closed");
    in_flags = fcntl(in, F_GETFL);
    out_flags = fcntl(out, F_GETFL);
    if (memory < 0 || in_flags < 0 || out_flags < 0)
        return err_sys(err, errno, "preparing standard input and output");
    s->found.in_flags = (uint32_t)in_flags;
    s->found.out_flags = (uint32_t)out_flags;
    s->found.is_tty = tcgetattr(in, &s->found.mode) == 0;
    if (terminal_store(memory, &s->found) < 0)
        return err_set(err, EIO, "cannot record the mode of standard input");
    fcntl(in, F_SETFL, in_flags | O_NONBLOCK);
    fcntl(out, F_SETFL, out_flags | O_NONBLOCK);
    s->in_fd = take_fd(&in);
    s->out_fd = take_fd(&out);
    s->terminal_fd = take_fd(&memory);
    return 0;
}

static int stdio_fd_at(struct chardev *c, size_t index, const char **what, int *fd)
{
    struct chardev_stdio *s = (struct chardev_stdio *)c;
    const char *const names[] = {"in", "out", "terminal"};
    const int fds[] = {s->in_fd, s->out_fd, s->terminal_fd};

    if (index >= 3)
        return -ENOENT;
    *what = names[index];
    *fd = fds[index];
    return 0;
}

static int stdio_adopt(struct chardev *c, const char *what, int *fd, struct ferry_err *err)
{
    struct chardev_stdio *s = (struct chardev_stdio *)c;
    int flags = fcntl(*fd, F_GETFL);
    int access = flags & O_ACCMODE;
    int *slot = NULL;
    int rc;

    if (strcmp(what, "in") == 0 && flags >= 0 && access != O_WRONLY)
        slot = &s->in_fd;
    else if (strcmp(what, "out") == 0 && flags >= 0 && access != O_RDONLY)
        slot = &s->out_fd;
    else if (strcmp(what, "terminal") == 0)
        slot = &s->terminal_fd;
    if (!slot || *slot >= 0)
        return err_set(err, EINVAL,
                       "stdio has the fds \"in\" (readable), \"out\" (writable) and "
                       "\"terminal\", once each");
    if (slot == &s->terminal_fd) {
        rc = terminal_load(*fd, &s->found, err);
        if (rc < 0)
            return rc;
        s->raw = s->found.is_tty; /* as its last user left it; see stdio_update */
        s->stored_pending = s->found.escape_pending;
    }
    *slot = take_fd(fd);
    return 0;
}

static void stdio_start(struct chardev *c)
{
    struct chardev_stdio *s = (struct chardev_stdio *)c;

    if (c->out_fd < 0)
        chardev_use_fds(c, s->in_fd, s->out_fd);
}

static void stdio_update(struct chardev *c)
{
    struct chardev_stdio *s = (struct chardev_stdio *)c;

    if (c->running && c->frontend && !c->frontend->line_mode && s->found.is_tty && !s->raw) {
        stdio_set_raw(s);
        s->raw = true;
    }
}

static void stdio_stop(struct chardev *c)
{
    struct chardev_stdio *s = (struct chardev_stdio *)c;

    if (s->terminal_fd < 0 || s->stored_pending == s->found.escape_pending)
        return;
    /* Cannot fail: the memfd has had this size since it was made. */
    (void)terminal_store(s->terminal_fd, &s->found);
    s->stored_pending = s->found.escape_pending;
}

static void stdio_destroy(struct chardev *c)
{
    struct chardev_stdio *s = (struct chardev_stdio *)c;

    if (s->in_fd >= 0 && s->out_fd >= 0 && s->terminal_fd >= 0 && !c->handed)
        stdio_restore(s);
    own_close_fd(&s->in_fd);
    own_close_fd(&s->out_fd);
    own_close_fd(&s->terminal_fd);
}

/* --- Command keys --- */

static void stdio_command(struct chardev_stdio *s, uint8_t key)
{
    static const char help[] = "\n"
                               "Ctrl-a x       end the virtual machine\n"
                               "Ctrl-a h       this help\n"
                               "Ctrl-a Ctrl-a  send Ctrl-a to the guest\n";

    if (key == 'x' && s->base.quit)
        s->base.quit(s->base.arg);
    else if (key == 'h' || key == '?')
        (void)chardev_write(&s->base, help, sizeof(help) - 1); /* a full terminal shows less */
}

static size_t stdio_filter(struct chardev *c, uint8_t *data, size_t n)
{
    struct chardev_stdio *s = (struct chardev_stdio *)c;
    size_t kept = 0;

    if (!c->escape)
        return n;
    for (size_t i = 0; i < n; i++) {
        uint8_t key = data[i];
        enum escape_kind kind = escape_take(&s->found.escape_pending, key);

        if (kind == ESCAPE_DATA)
            data[kept++] = key;
        else if (kind == ESCAPE_COMMAND)
            stdio_command(s, key);
    }
    return kept;
}

const struct chardev_type chardev_stdio_type = {
    .name = "stdio",
    .config_type = CONFIG_CHARDEV_STDIO,
    .size_bytes = sizeof(struct chardev_stdio),
    .create = stdio_create,
    .open = stdio_open,
    .fd_at = stdio_fd_at,
    .adopt = stdio_adopt,
    .start = stdio_start,
    .update = stdio_update,
    .stop = stdio_stop,
    .filter = stdio_filter,
    .destroy = stdio_destroy,
};
