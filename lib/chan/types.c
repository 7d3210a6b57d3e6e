/* SPDX-License-Identifier: Apache-2.0 */
#include "lib/chan/exec.h"
#include "lib/chan/file.h"
#include "lib/chan/socket.h"

const struct chan_type *const chan_types[] = {
    &chan_tcp, &chan_unix, &chan_fd_type, &chan_exec, &chan_file, NULL,
};
