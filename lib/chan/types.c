/* SPDX-License-Identifier: Apache-2.0 */
#include "lib/chan/exec.h"
#include "lib/chan/file.h"
#include "lib/chan/socket.h"

const struct chan_type *const chan_types[] = {
    &chan_tcp, &chan_unix, &chan_fd_type, &chan_exec, &chan_file, NULL,
};

const struct chan_type *chan_type_of(enum ferry_address_kind kind)
{
    for (size_t i = 0; chan_types[i]; i++)
        if (chan_types[i]->kind == kind)
            return chan_types[i];
    return NULL;
}
