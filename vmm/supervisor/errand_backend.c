/* SPDX-License-Identifier: Apache-2.0 */
/* Backends that an operator adds to a VM that runs: opened here, and sent to the VMM. */
#include <errno.h>
#include <fcntl.h>
#include <json-c/json.h>
#include <string.h>

#include "base/err.h"
#include "base/mail.h"
#include "base/own.h"
#include "vmm/backend/chardev.h"
#include "vmm/backend/net.h"
#include "vmm/backend/text_file.h"
#include "vmm/backend/unix_socket.h"
#include "vmm/qmp/cmd.h"
#include "vmm/supervisor/errand.h"

/* Closes *fd. Where nobody listens any more, nobody is told. */
static void give(int mail, const char *name, int *fd)
{
    (void)!mail_send(mail, MAIL_OPENED, 0, name, fd, 1);
    own_close_fd(fd);
}

static int give_socket(int mail, struct json_object *place, bool server, struct ferry_err *err)
{
    const char *path = qmp_get_str(place, "path");
    OWN_FD int fd = -1;
    int rc;

    if (!path)
        return err_set(err, EINVAL, "Parameter 'addr.path' is missing");
    rc = server ? unix_listen(path, &fd, err) : unix_connect(path, &fd, err);
    if (!rc)
        give(mail, server ? "listen" : "client", &fd);
    return rc;
}

/* --- Netdevs --- */

static int give_netdev(int mail, struct json_object *args, struct ferry_err *err)
{
    const char *type = qmp_get_str(args, "type"), *ifname = qmp_get_str(args, "ifname");
    OWN_FD int fd = -1;
    int rc;

    if (type && !strcmp(type, "stream"))
        return give_socket(mail, qmp_get(args, "addr"), qmp_get_bool(args, "server", false), err);
    if (!type || strcmp(type, "tap") != 0 || !ifname)
        return err_set(err, EINVAL, "Parameter 'ifname' is missing");
    rc = net_tap_open(ifname, &fd, err);
    if (!rc)
        give(mail, "tap", &fd);
    return rc;
}

/* --- Chardevs --- */

static int give_text_file(int mail, const char *name, const char *path, bool append,
                          struct ferry_err *err)
{
    OWN_FD int fd = -1;
    int rc =
        path ? text_file_open(path, append, &fd, err) : err_set(err, EINVAL, "a path is missing");

    if (!rc)
        give(mail, name, &fd);
    return rc;
}

static int give_pty(int mail, struct ferry_err *err)
{
    char path[CHARDEV_PTY_PATH_BYTES];
    OWN_FD int master = -1;
    OWN_FD int opened = -1;
    int rc = chardev_pty_make(&master, &opened, path, err);

    if (rc)
        return rc;
    give(mail, "pty", &master);
    give(mail, "opened", &opened);
    return 0;
}

static int give_chardev(int mail, struct json_object *args, struct ferry_err *err)
{
    struct json_object *backend = qmp_get(args, "backend"), *data = qmp_get(backend, "data");
    const char *type = qmp_get_str(backend, "type"), *log = qmp_get_str(data, "logfile");
    int rc = 0;

    if (type && !strcmp(type, "socket"))
        rc = give_socket(mail, qmp_get(qmp_get(data, "addr"), "data"),
                         qmp_get_bool(data, "server", true), err);
    else if (type && !strcmp(type, "file"))
        rc = give_text_file(mail, "file", qmp_get_str(data, "out"),
                            qmp_get_bool(data, "append", false), err);
    else if (type && !strcmp(type, "pty"))
        rc = give_pty(mail, err);
    if (!rc && log)
        rc = give_text_file(mail, "log", log, qmp_get_bool(data, "logappend", false), err);
    if (rc)
        return err_prefix(err, "Failed to add chardev '%.40s'", qmp_get_str(args, "id"));
    return 0;
}

/* --- Block nodes --- */

static int give_blockdev(int mail, struct json_object *args, struct ferry_err *err)
{
    int flags;
    const char *path = qmp_blockdev_image(args, &flags);
    OWN_FD int fd = -1;

    if (!path)
        return err_set(err, EINVAL, "Parameter 'filename' is missing");
    /* Nonblocking, so that a FIFO is refused and not waited for. */
    fd = open(path, flags | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    if (fd < 0)
        return err_sys(err, errno, "Could not open '%s'", path);
    give(mail, "image", &fd);
    return 0;
}

errand_open_fn *errand_opener(const char *command)
{
    static const struct {
        const char *command;
        errand_open_fn *opener;
    } openers[] = {{"netdev_add", give_netdev},
                   {"chardev-add", give_chardev},
                   {"blockdev-add", give_blockdev}};

    for (size_t i = 0; i < sizeof(openers) / sizeof(openers[0]); i++)
        if (!strcmp(command, openers[i].command))
            return openers[i].opener;
    return NULL;
}
