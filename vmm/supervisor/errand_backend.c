/* SPDX-License-Identifier: Apache-2.0 */
/* Backends that an operator adds to a VM that runs: opened here, and sent to the VMM. */
#include <errno.h>
#include <json-c/json.h>
#include <string.h>

#include "base/err.h"
#include "vmm/backend/net.h"
#include "vmm/backend/unix_socket.h"
#include "vmm/qmp/type.h"
#include "vmm/supervisor/errand.h"

static int open_stream(struct json_object *args, int *ret_fd, struct ferry_err *err)
{
    const char *path = qmp_get_str(qmp_get(args, "addr"), "path");

    if (!path)
        return err_set(err, EINVAL, "Parameter 'addr.path' is missing");
    return qmp_get_bool(args, "server", false) ? unix_listen(path, ret_fd, err)
                                               : unix_connect(path, ret_fd, err);
}

static int open_netdev(struct json_object *args, int *ret_fd, struct ferry_err *err)
{
    const char *type = qmp_get_str(args, "type"), *ifname = qmp_get_str(args, "ifname");

    if (type && !strcmp(type, "stream"))
        return open_stream(args, ret_fd, err);
    if (!type || strcmp(type, "tap") != 0 || !ifname)
        return err_set(err, EINVAL, "Parameter 'ifname' is missing");
    return net_tap_open(ifname, ret_fd, err);
}

errand_open_fn *errand_opener(const char *command)
{
    return strcmp(command, "netdev_add") ? NULL : open_netdev;
}
