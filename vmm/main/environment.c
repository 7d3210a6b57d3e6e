/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/main/environment.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

extern char **environ;

static const char *const handed_on[] = {
    "PATH",     "HOME",         "USER",         "LOGNAME",      "SHELL",
    "LANG",     "LC_ALL",       "TERM",         "TZ",           "TMPDIR",
    "XDG_RUNTIME_DIR",
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define SANITIZED
#endif
#endif
#ifdef SANITIZED
    "ASAN_OPTIONS", "UBSAN_OPTIONS", "LSAN_OPTIONS", "TSAN_OPTIONS", "ASAN_SYMBOLIZER_PATH",
#endif
    NULL,
};

static const char *find(const char *name)
{
    size_t n = strlen(name);

    for (char **e = environ; *e; e++)
        if (!strncmp(*e, name, n) && (*e)[n] == '=')
            return *e;
    return NULL;
}

char **environment_for_child(const char *more)
{
    size_t count = 0;
    char **ret = calloc(sizeof(handed_on) / sizeof(handed_on[0]) + 1, sizeof(*ret));

    if (!ret)
        return NULL;
    for (size_t i = 0; handed_on[i]; i++) {
        /* execve(2) only reads them. */
        ret[count] = (char *)(uintptr_t)find(handed_on[i]);
        count += ret[count] != NULL;
    }
    ret[count] = (char *)(uintptr_t)more;
    return ret;
}
