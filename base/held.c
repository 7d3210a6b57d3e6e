/* SPDX-License-Identifier: Apache-2.0 */
#include "base/held.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/file.h>

bool held_by_lock(int fd)
{
    struct flock whole = {.l_type = F_WRLCK, .l_whence = SEEK_SET};

    if (fcntl(fd, F_OFD_GETLK, &whole) == 0 && whole.l_type != F_UNLCK)
        return true;
    if (flock(fd, LOCK_EX | LOCK_NB) < 0)
        return errno == EWOULDBLOCK;
    flock(fd, LOCK_UN);
    return false;
}

/* A lease for reading is granted while nobody has the file open for writing. Who opens it in the
 * moment that we have one waits that long, and we are told so, by a signal that nobody acts on. */
bool held_by_writer(int fd)
{
    if (fcntl(fd, F_SETSIG, SIGURG) < 0)
        return false;
    if (fcntl(fd, F_SETLEASE, F_RDLCK) < 0)
        return errno == EAGAIN;
    (void)!fcntl(fd, F_SETLEASE, F_UNLCK);
    return false;
}
