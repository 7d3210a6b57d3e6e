/* SPDX-License-Identifier: Apache-2.0 */
#include "base/err.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>

#include "base/text.h"

int err_set(struct ferry_err *err, int errnum, const char *fmt, ...)
{
    va_list ap;

    if (!err)
        return -errnum;
    err->errnum = errnum;
    va_start(ap, fmt);
    vsnprintf(err->text, sizeof(err->text), fmt, ap);
    va_end(ap);
    text_make_printable(err->text);
    return -errnum;
}

/* What the kernel says, and the limit that it does not name. */
static void add_reason(char *text, size_t bytes, int errnum)
{
    struct rlimit limit;

    if (errnum == EMFILE && getrlimit(RLIMIT_NOFILE, &limit) == 0)
        snprintf(text, bytes, ": %s: this process may have %llu (ulimit -n raises it)",
                 strerror(errnum), (unsigned long long)limit.rlim_cur);
    else if (errnum == ENFILE)
        snprintf(text, bytes, ": %s: the host's limit is sysctl fs.file-max", strerror(errnum));
    else
        snprintf(text, bytes, ": %s", strerror(errnum));
}

int err_sys(struct ferry_err *err, int errnum, const char *fmt, ...)
{
    va_list ap;
    size_t used;

    if (!err)
        return -errnum;
    err->errnum = errnum;
    va_start(ap, fmt);
    vsnprintf(err->text, sizeof(err->text), fmt, ap);
    va_end(ap);
    used = strlen(err->text);
    add_reason(err->text + used, sizeof(err->text) - used, errnum);
    text_make_printable(err->text);
    return -errnum;
}

int err_prefix(struct ferry_err *err, const char *fmt, ...)
{
    char inner[FERRY_ERR_TEXT_BYTES];
    va_list ap;
    size_t used;

    if (!err)
        return -1;
    memcpy(inner, err->text, sizeof(inner));
    va_start(ap, fmt);
    vsnprintf(err->text, sizeof(err->text), fmt, ap);
    va_end(ap);
    used = strlen(err->text);
    snprintf(err->text + used, sizeof(err->text) - used, ": %s", inner);
    text_make_printable(err->text);
    return -err->errnum;
}
