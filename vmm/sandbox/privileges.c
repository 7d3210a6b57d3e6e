/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <linux/capability.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/err.h"
#include "vmm/sandbox/parts.h"

/* Enough for every channel, disk, monitor and fd set there can be; a leak ends here. */
#define OPEN_FILES_MAX 4096u

static int limit(int what, rlim_t most, struct ferry_err *err)
{
    struct rlimit r;

    if (getrlimit(what, &r) < 0)
        return err_sys(err, errno, "cannot look at a limit");
    if (r.rlim_max > most)
        r.rlim_max = most;
    if (r.rlim_cur > r.rlim_max)
        r.rlim_cur = r.rlim_max;
    return setrlimit(what, &r) < 0 ? err_sys(err, errno, "cannot lower a limit") : 0;
}

/* The limit of its user is kept for when the supervisor allows it, in a pause (supervisor_lease.c);
 * from behind the filter nobody allows it to himself. */
static int give_up_realtime(struct ferry_err *err)
{
    struct rlimit r;

    if (getrlimit(RLIMIT_RTPRIO, &r) < 0)
        return err_sys(err, errno, "cannot look at a limit");
    r.rlim_cur = 0;
    return setrlimit(RLIMIT_RTPRIO, &r) < 0 ? err_sys(err, errno, "cannot lower a limit") : 0;
}

int privileges_renounce(struct ferry_err *err)
{
    int rc = give_up_realtime(err);

    if (rc < 0)
        return rc;

    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
        return err_sys(err, errno, "cannot renounce new privileges");
    /* What an exec could bring back. Without CAP_SETPCAP there is little to bring. */
    for (int cap = 0; prctl(PR_CAPBSET_READ, cap, 0, 0, 0) >= 0; cap++)
        (void)!prctl(PR_CAPBSET_DROP, cap, 0, 0, 0);
    (void)!prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
    /* The guest's memory has no place in a core dump. */
    rc = limit(RLIMIT_CORE, 0, err);
    return rc < 0 ? rc : limit(RLIMIT_NOFILE, OPEN_FILES_MAX, err);
}

int privileges_drop(struct ferry_err *err)
{
    struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct none[_LINUX_CAPABILITY_U32S_3] = {{0}};

    /* glibc has no wrapper for it. */
    if (syscall(SYS_capset, &head, none) < 0)
        return err_sys(err, errno, "cannot give up capabilities");
    return 0;
}
