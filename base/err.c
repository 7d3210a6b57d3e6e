/* SPDX-License-Identifier: Apache-2.0 */
#include "base/err.h"

#include <stdio.h>
#include <string.h>

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
    snprintf(err->text + used, sizeof(err->text) - used, ": %s", strerror(errnum));
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
