/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/process/environment.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"

extern char **environ;

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define SANITIZED
#endif
#endif

static const char *const handed_on[] = {
    "PATH",
    "HOME",
    "USER",
    "LOGNAME",
    "SHELL",
    "LANG",
    "LC_ALL",
    "TERM",
    "TZ",
    "TMPDIR",
    "XDG_RUNTIME_DIR",
    LOG_TIMES,
    "LD_LIBRARY_PATH",
    "WATCHDOG_USEC", /* how often a service manager wants to hear of it (service.h) */
#ifdef SANITIZED
    "ASAN_OPTIONS",
    "UBSAN_OPTIONS",
    "LSAN_OPTIONS",
    "TSAN_OPTIONS",
    "ASAN_SYMBOLIZER_PATH",
#endif
};

static bool is_handed_on(const char *entry)
{
    for (size_t i = 0; i < sizeof(handed_on) / sizeof(handed_on[0]); i++) {
        size_t n = strlen(handed_on[i]);

        if (!strncmp(entry, handed_on[i], n) && entry[n] == '=')
            return true;
    }
    return false;
}

char **environment_for_child(const char *more)
{
    /* What is preloaded has variables of its own, whose names only it knows. */
    bool all = getenv("LD_PRELOAD") != NULL;
    size_t count = 0;
    char **ret;

    while (environ[count])
        count++;
    ret = calloc(count + 2, sizeof(*ret));
    if (!ret)
        return NULL;
    count = 0;
    for (char **e = environ; *e; e++)
        if (all || is_handed_on(*e))
            ret[count++] = *e;
    ret[count] = (char *)(uintptr_t)more; /* execve(2) only reads it */
    return ret;
}
