/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include <ferry/analyze.h>

#include "base/err.h"
#include "base/own.h"
#include "vmm/main/commands.h"

static int analyze(const char *path, bool json, char **ret, struct ferry_err *err)
{
    OWN_FD int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    struct stat st;
    void *data;
    int rc;

    if (fd < 0 || fstat(fd, &st) < 0)
        return err_sys(err, errno, "%s", path);
    if (!S_ISREG(st.st_mode) || st.st_size <= 0)
        return err_set(err, EINVAL, "%s: a file with a migration stream was expected", path);
    data = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
    if (data == MAP_FAILED)
        return err_sys(err, errno, "%s: mmap", path);
    rc = ferry_analyze(ret, data, (size_t)st.st_size, json, err);
    munmap(data, (size_t)st.st_size);
    return rc < 0 ? err_prefix(err, "%s", path) : 0;
}

static int run(const struct command *self, int argc, char *const argv[])
{
    OWN_MEM char *text = NULL;
    const char *path = NULL;
    bool json = false;
    struct ferry_err err;
    int rc;

    for (int i = 0; i < argc; i++) {
        if (!strcmp(argv[i], "--json"))
            json = true;
        else if (argv[i][0] == '-' || path)
            return command_unexpected(self, argv[i]);
        else
            path = argv[i];
    }
    if (!path)
        return command_misused(self, "a file is missing");
    rc = analyze(path, json, &text, &err);
    if (text)
        printf("%s%s", text, json ? "\n" : "");
    return rc < 0 ? command_fail(self, "%s", err.text) : 0;
}

const struct command command_analyze = {
    .name = "analyze",
    .usage = "FILE [--json]",
    .summary = "Show what is in a snapshot or any other migration stream, field by field.",
    .help =
        "FILE is what 'ferry snapshot' wrote, or QEMU's 'migrate file:...'. Of a broken one it\n"
        "shows what comes before the damage, says what that is, and ends with status 1.\n\n"
        "  --json  as one JSON object\n",
    .run = run,
};
