/* SPDX-License-Identifier: Apache-2.0 */
/* A command that reads or writes the stream. */
#pragma once

#include "lib/chan/chan.h"

extern const struct chan_type chan_exec;
