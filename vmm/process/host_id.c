/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/process/host_id.h"

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/own.h"

void host_id(char ret[HOST_ID_BYTES])
{
    OWN_FD int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : read(fd, ret, HOST_ID_BYTES - 1);

    ret[n < 0 ? 0 : n] = '\0';
    ret[strcspn(ret, "\n")] = '\0';
}
