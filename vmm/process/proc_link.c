/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/process/proc_link.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

int proc_link(const char *link, char path[static PATH_MAX], bool *deleted)
{
    static const char gone[] = " (deleted)"; /* the kernel's word for it */
    const ssize_t gone_bytes = sizeof(gone) - 1;
    ssize_t n = readlink(link, path, PATH_MAX - 1);

    if (n < 0)
        return -errno;
    path[n] = '\0';
    *deleted = n > gone_bytes && !strcmp(path + n - gone_bytes, gone);
    if (*deleted)
        path[n - gone_bytes] = '\0';
    return 0;
}
