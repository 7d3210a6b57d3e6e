/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Landlock: which files can be opened by name, which ports connected to. libc has no wrapper, and
 * headers may be older than the kernel, so what later versions added is spelled out here
 * (linux/landlock.h).
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/landlock.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/err.h"
#include "base/own.h"
#include "vmm/sandbox/parts.h"

/* struct landlock_ruleset_attr as of version 6. A kernel takes as much of it as it knows. */
struct ruleset {
    uint64_t files;
    uint64_t ports;  /* since 4 */
    uint64_t scopes; /* since 6 */
};

#define FILES_1  ((UINT64_C(1) << 13) - 1)
#define REFER    (UINT64_C(1) << 13) /* since 2 */
#define TRUNCATE (UINT64_C(1) << 14) /* since 3 */
#define DEVICES  (UINT64_C(1) << 15) /* ioctl on them, since 5 */
#define PORTS    UINT64_C(3)         /* TCP: bind, connect */
#define SCOPES   UINT64_C(3)         /* abstract UNIX sockets of others, signals to others */

#define READ    (LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR)
#define SOCKETS (LANDLOCK_ACCESS_FS_MAKE_SOCK | LANDLOCK_ACCESS_FS_REMOVE_FILE)
#define WRITE                                                                                  \
    (READ | SOCKETS | LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_MAKE_REG | TRUNCATE | \
     DEVICES)
#define OF_A_FILE \
    (LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_WRITE_FILE | TRUNCATE | DEVICES)

int landlock_version(void)
{
    long version = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);

    return version < 0 ? 0 : (int)version;
}

static uint64_t handled_files(int version)
{
    return FILES_1 | (version >= 2 ? REFER : 0) | (version >= 3 ? TRUNCATE : 0) |
           (version >= 5 ? DEVICES : 0);
}

static uint64_t rights(enum sandbox_access access)
{
    switch (access) {
    case SANDBOX_READ:
        return READ;
    case SANDBOX_WRITE:
        return WRITE;
    case SANDBOX_SOCKETS:
        return SOCKETS;
    }
    return 0;
}

static int allow(int ruleset, const struct sandbox_path *p, uint64_t handled, struct ferry_err *err)
{
    OWN_FD int fd = open(p->path, O_PATH | O_CLOEXEC);
    struct landlock_path_beneath_attr rule = {.allowed_access = rights(p->access), .parent_fd = fd};
    struct stat st;

    if (fd < 0 || fstat(fd, &st) < 0)
        return err_sys(err, errno, "sandbox: %s", p->path);
    if (!S_ISDIR(st.st_mode))
        rule.allowed_access &= OF_A_FILE;
    rule.allowed_access &= handled;
    if (syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH, &rule, 0) < 0)
        return err_sys(err, errno, "sandbox: cannot leave %s open", p->path);
    return 0;
}

int landlock_enter(const struct sandbox_path *paths, size_t count, struct ferry_err *err)
{
    int version = landlock_version(), rc = 0;
    struct ruleset attr = {.files = handled_files(version), .ports = PORTS, .scopes = SCOPES};
    size_t bytes = version >= 6   ? sizeof(attr)
                   : version >= 4 ? offsetof(struct ruleset, scopes)
                                  : offsetof(struct ruleset, ports);
    OWN_FD int ruleset = -1;

    if (!version)
        return 0;
    ruleset = (int)syscall(SYS_landlock_create_ruleset, &attr, bytes, 0);
    if (ruleset < 0)
        return err_sys(err, errno, "cannot make a Landlock ruleset");
    for (size_t i = 0; i < count && !rc; i++)
        rc = allow(ruleset, &paths[i], attr.files, err);
#ifdef SANDBOX_SANITIZED
    /* Where it looks for its threads' stacks. */
    if (!rc)
        rc = allow(ruleset, &(const struct sandbox_path){"/proc", SANDBOX_READ}, attr.files, err);
#endif
    if (!rc && syscall(SYS_landlock_restrict_self, ruleset, 0) < 0)
        rc = err_sys(err, errno, "cannot enter a Landlock ruleset");
    return rc;
}
