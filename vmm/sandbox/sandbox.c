/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/sandbox/sandbox.h"

#include <stdio.h>

#include "vmm/sandbox/parts.h"

#ifdef SANDBOX_SANITIZED
#include <sanitizer/lsan_interface.h>
#include <stdatomic.h>

static atomic_bool locked_in;

/* The runtime of a sanitizer asks. To look for leaks it makes a process that traces this one, which
 * would be refused and tried for ever: leaks are looked for with -sandbox off. */
__attribute__((used)) int __lsan_is_turned_off(void)
{
    return locked_in;
}
#endif

int sandbox_begin(struct ferry_err *err)
{
    return privileges_renounce(err);
}

int sandbox_enter(enum sandbox_role role, const struct sandbox_path *paths, size_t path_count,
                  struct ferry_err *err)
{
    int rc = filter_catch_refusals(err);

#ifdef SANDBOX_SANITIZED
    locked_in = true;
#endif
    /* The filter last: it does not allow what the others need. */
    if (!rc && role != SANDBOX_BUILDER)
        rc = privileges_drop(err);
    /* Harts and workers have no call that takes a name. */
    if (!rc && (role == SANDBOX_MAIN || role == SANDBOX_BUILDER))
        rc = landlock_enter(paths, path_count, err);
    if (!rc && filter_is_available())
        rc = filter_install(role, err);
    return rc;
}

void sandbox_missing(char *text, size_t n)
{
    int version = landlock_version();
    char landlock[128] = "";

    if (!version)
        snprintf(landlock, sizeof(landlock), "Landlock (the VMM can open what its user can open)");
    else if (version < 4)
        snprintf(landlock, sizeof(landlock), "Landlock's rules for ports (version %d, not 4)",
                 version);
    snprintf(text, n, "%s%s%s",
             filter_is_available() ? "" : "seccomp filters (every system call stays open)",
             !filter_is_available() && *landlock ? ", " : "", landlock);
}
