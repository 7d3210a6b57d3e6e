/* SPDX-License-Identifier: Apache-2.0 */
#include <stddef.h>

#include "vmm/backend/chardev_type.h"

const struct chardev_type *const chardev_types[] = {
    &chardev_null_type,   &chardev_stdio_type, &chardev_file_type,
    &chardev_socket_type, &chardev_pty_type,   NULL,
};

/* Takes everything, gives nothing: the core alone does that. */
const struct chardev_type chardev_null_type = {
    .name = "null",
    .config_type = CONFIG_CHARDEV_NULL,
    .size_bytes = sizeof(struct chardev),
};
