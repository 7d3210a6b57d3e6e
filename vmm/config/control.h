/* SPDX-License-Identifier: Apache-2.0 */
/* Every VM has a QMP socket in the runtime directory: the other subcommands talk to it. */
#pragma once

#include <ferry/err.h>

#include "vmm/config/options.h"

#define CONTROL_ID "ferry-control" /* of its chardev */

int control_add(struct options *o, const char *name, struct ferry_err *err) FERRY_MUST_CHECK;
