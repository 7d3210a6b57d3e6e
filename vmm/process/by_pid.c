/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/process/by_pid.h"

#include <dirent.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "vmm/process/proc_link.h"

/* A file with a name, removed or not; of sockets in use the kernel shows a number. */
static bool is_control_socket(const char *path)
{
    static const char suffix[] = ".sock";
    char target[PATH_MAX];
    bool removed;
    size_t len;

    if (proc_link(path, target, &removed) < 0 || *target != '/')
        return false;
    len = strlen(target);
    return len > sizeof(suffix) - 1 &&
           !memcmp(target + len - (sizeof(suffix) - 1), suffix, sizeof(suffix) - 1);
}

int by_pid_socket(char ret[RUNDIR_PATH_BYTES], const char *text, struct ferry_err *err)
{
    struct dirent *entry;
    bool found = false;
    char folder[32];
    DIR *d;

    if (!*text || strlen(text) > 10 || text[strspn(text, "0123456789")])
        return -ENOENT;
    snprintf(folder, sizeof(folder), "/proc/%s/fd", text);
    d = opendir(folder);
    while (d && !found && (entry = readdir(d))) {
        if (snprintf(ret, RUNDIR_PATH_BYTES, "%s/%s", folder, entry->d_name) < RUNDIR_PATH_BYTES)
            found = is_control_socket(ret);
    }
    if (d)
        closedir(d);
    if (found)
        return 0;
    return err_set(err, ENOENT,
                   "process %s is no VM's first process of yours: that is the one that 'ferry run' "
                   "or 'ferry receive' started",
                   text);
}
