/* SPDX-License-Identifier: Apache-2.0 */
#include "base/log.h"

#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/text.h"

__attribute__((format(printf, 2, 0))) static void log_line(const char *prefix, const char *fmt,
                                                           va_list ap)
{
    char line[1024];
    size_t used;
    struct pollfd p = {.fd = STDERR_FILENO, .events = POLLOUT};
    ssize_t ignored = 0;

    snprintf(line, sizeof(line), "%s", prefix);
    used = strlen(line);
    vsnprintf(line + used, sizeof(line) - used - 1, fmt, ap);
    used = strlen(text_make_printable(line));
    line[used++] = '\n';
    /* Who reads it may have stopped: then a line is lost, not the thread. A line fits a pipe. */
    if (poll(&p, 1, 0) == 1 && p.revents & POLLOUT)
        ignored = write(STDERR_FILENO, line, used);
    (void)ignored;
}

void log_warn(const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    log_line("ferry: warning: ", fmt, ap);
    va_end(ap);
}

void log_info(const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    log_line("ferry: ", fmt, ap);
    va_end(ap);
}

void log_error(const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    log_line("ferry: ", fmt, ap);
    va_end(ap);
}
