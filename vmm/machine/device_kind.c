/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/machine/device_kind.h"

/* A word's index + 1 is its value; what only writing has comes last. */
_Static_assert(CONFIG_ON_ERROR_AUTO == 1 && CONFIG_ON_ERROR_REPORT == 2 &&
                   CONFIG_ON_ERROR_IGNORE == 3 && CONFIG_ON_ERROR_STOP == 4 &&
                   CONFIG_ON_ERROR_ENOSPC == 5,
               "the words of rerror and werror");
const char *const config_read_errors[] = {"auto", "report", "ignore", "stop", NULL};
const char *const config_write_errors[] = {"auto", "report", "ignore", "stop", "enospc", NULL};
