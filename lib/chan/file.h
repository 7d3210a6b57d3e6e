/* SPDX-License-Identifier: Apache-2.0 */
/* Files, and fds that somebody else opened. */
#pragma once

#include "lib/chan/chan.h"

extern const struct chan_type chan_file;
extern const struct chan_type chan_fd_type;
