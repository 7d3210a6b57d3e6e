/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/backend/text_file.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/err.h"
#include "base/held.h"
#include "base/own.h"

int text_file_open(const char *path, bool append, int *ret, struct ferry_err *err)
{
    /* O_NONBLOCK matters if the name is a FIFO or a terminal. What a guest says is for its owner:
     * whoever shall read it, too, makes the file. */
    OWN_FD int fd =
        open(path, O_WRONLY | O_CREAT | O_CLOEXEC | O_NONBLOCK | O_NOCTTY | (append ? O_APPEND : 0),
             0600);
    struct stat st;

    if (fd < 0)
        return err_sys(err, errno, "Could not open '%s'", path);
    if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode)) {
        if (held_by_lock(fd))
            return err_set(err, EBUSY,
                           "'%s' is in use: somebody has locked it, as a VM does its disks "
                           "('fuser -v' on it shows who); give the text another file",
                           path);
        if (!append && ftruncate(fd, 0) < 0)
            return err_sys(err, errno, "Could not empty '%s'", path);
    }
    *ret = take_fd(&fd);
    return 0;
}
