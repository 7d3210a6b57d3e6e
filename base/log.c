/* SPDX-License-Identifier: Apache-2.0 */
#include "base/log.h"

#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/text.h"

/* "2026-12-01T12:31:52.123456Z ", as QEMU's -msg timestamp=on. */
static size_t log_time(char *line, size_t bytes)
{
    int64_t now_ns = clock_realtime_ns();
    time_t now_s = now_ns / 1000000000;
    struct tm utc;
    size_t used;

    if (!getenv(LOG_TIMES))
        return 0;
    used = strftime(line, bytes, "%Y-%m-%dT%H:%M:%S", gmtime_r(&now_s, &utc));
    return used + (size_t)snprintf(line + used, bytes - used, ".%06dZ ",
                                   (int)(now_ns % 1000000000 / 1000));
}

__attribute__((format(printf, 2, 0))) static void log_line(const char *prefix, const char *fmt,
                                                           va_list ap)
{
    char line[1024];
    size_t used = log_time(line, sizeof(line));
    struct pollfd p = {.fd = STDERR_FILENO, .events = POLLOUT};
    ssize_t ignored = 0;

    used += (size_t)snprintf(line + used, sizeof(line) - used, "%s", prefix);
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
