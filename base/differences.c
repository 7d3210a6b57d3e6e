/* SPDX-License-Identifier: Apache-2.0 */
#include "base/differences.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/err.h"

/* Room for "; and 4096 more", and for the clauses of where that others add. */
#define DIFFERENCES_TAIL_BYTES 96u

void differences_add(struct differences *d, const char *fmt, ...)
{
    char text[FERRY_ERR_TEXT_BYTES];
    va_list ap;
    int n;

    va_start(ap, fmt);
    vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    d->count++;
    /* The first is cut, if it must be: it may be a list itself. */
    if (d->n == 0) {
        text[sizeof(text) - DIFFERENCES_TAIL_BYTES - 1] = '\0';
    } else if (d->left_out || d->n + strlen(text) + 2 + DIFFERENCES_TAIL_BYTES > sizeof(d->text)) {
        d->left_out++;
        return;
    }
    n = snprintf(d->text + d->n, sizeof(d->text) - d->n, "%s%s", d->n ? "; " : "", text);
    d->n += (size_t)n;
}

int differences_end(const struct differences *d, struct ferry_err *err)
{
    if (!d->count)
        return 0;
    if (d->left_out)
        return err_set(err, EINVAL, "%s; and %u more", d->text, d->left_out);
    return err_set(err, EINVAL, "%s", d->text);
}
