/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/supervisor/service.h"

#include <errno.h>
#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/own.h"

#define NS_PER_US      INT64_C(1000)
/* A beat may come late, and be heard late, before half of the time is over. */
#define BEATS_PER_TIME 4
#define WAIT_S         5

static uint64_t number_of(const char *name)
{
    const char *text = getenv(name);
    char *end;
    uint64_t number;

    if (!text || *text < '0' || *text > '9')
        return 0;
    errno = 0;
    number = strtoull(text, &end, 10);
    return *end || errno || number > INT64_MAX / NS_PER_US ? 0 : number;
}

void service_begin(struct service *s)
{
    const char *pid = getenv("WATCHDOG_PID");

    *s = (struct service){.socket = getenv("NOTIFY_SOCKET"), .watched = true};
    if (!s->socket || (pid && number_of("WATCHDOG_PID") != (uint64_t)getpid()))
        unsetenv("WATCHDOG_USEC");
    s->watchdog_us = number_of("WATCHDOG_USEC");
}

static int send_text(const char *socket_name, const char *text, int flags)
{
    struct sockaddr_un name = {.sun_family = AF_UNIX};
    const struct timeval wait = {.tv_sec = WAIT_S};
    size_t length = strlen(socket_name);
    OWN_FD int fd = -1;

    if (length < 2 || length >= sizeof(name.sun_path) || !strchr("/@", socket_name[0]))
        return -EINVAL;
    memcpy(name.sun_path, socket_name, length);
    if (socket_name[0] == '@')
        name.sun_path[0] = '\0'; /* an abstract name */
    fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &wait, sizeof(wait)) < 0)
        return -errno;
    length += offsetof(struct sockaddr_un, sun_path);
    return sendto(fd, text, strlen(text), MSG_NOSIGNAL | flags, (struct sockaddr *)&name,
                  (socklen_t)length) < 0
               ? -errno
               : 0;
}

static void say(const struct service *s, const char *text)
{
    int rc = send_text(s->socket, text, 0);

    if (rc < 0)
        log_warn("cannot tell the service manager %s at %s: %s", text, s->socket, strerror(-rc));
}

static void tell_watchdog(struct service *s, const struct service_facts *now)
{
    const int64_t least_ns = (int64_t)s->watchdog_us * NS_PER_US / BEATS_PER_TIME / 2;
    char text[64];

    if (now->beats != s->watched) {
        s->watched = now->beats;
        snprintf(text, sizeof(text), "WATCHDOG_USEC=%" PRIu64, s->watched ? s->watchdog_us : 0);
        say(s, text);
    }
    if (!now->beat || clock_monotonic_ns() - s->beat_at_ns < least_ns)
        return;
    s->beat_at_ns = clock_monotonic_ns();
    /* Another one follows: a manager that is busy is not waited for. */
    (void)send_text(s->socket, "WATCHDOG=1", MSG_DONTWAIT);
}

void service_tell(struct service *s, const struct service_facts *now)
{
    char text[64];

    if (!s->socket || !now->guest)
        return;
    if (now->updating && !s->told.updating) {
        snprintf(text, sizeof(text), "RELOADING=1\nMONOTONIC_USEC=%" PRId64,
                 clock_monotonic_ns() / NS_PER_US);
        say(s, text);
    } else if (!now->updating && (!s->told.guest || s->told.updating)) {
        say(s, "READY=1");
    }
    s->told = *now;
    if (s->watchdog_us)
        tell_watchdog(s, now);
}

int64_t service_beat_interval_ns(void)
{
    return (int64_t)number_of("WATCHDOG_USEC") * NS_PER_US / BEATS_PER_TIME;
}
