/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "vmm/supervisor/service.h"

static char folder[] = "/tmp/ferry-service-XXXXXX";
static char path[64];
static int manager = -1; /* what listens at path */

static int listen_there(void **state)
{
    struct sockaddr_un name = {.sun_family = AF_UNIX};

    if (!mkdtemp(folder))
        return -1;
    snprintf(path, sizeof(path), "%s/notify", folder);
    memcpy(name.sun_path, path, sizeof(path));
    manager = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    return bind(manager, (struct sockaddr *)&name, sizeof(name));
}

static int leave(void **state)
{
    close(manager);
    unlink(path);
    return rmdir(folder);
}

/* What has been said since, with a space for each line's end, and '|' between datagrams. */
static void heard(const char *expected)
{
    char all[512] = "", text[256];
    ssize_t n;

    while ((n = recv(manager, text, sizeof(text) - 1, 0)) > 0) {
        text[n] = '\0';
        if (!strncmp(text, "RELOADING=1\nMONOTONIC_USEC=", 27))
            text[27] = '\0'; /* what the clock says is its own */
        for (char *c = text; *c; c++)
            *c = *c == '\n' ? ' ' : *c;
        snprintf(all + strlen(all), sizeof(all) - strlen(all), "%s%s", *all ? "|" : "", text);
    }
    assert_string_equal(all, expected);
}

static void begin(struct service *s, const char *usec, const char *pid)
{
    setenv("NOTIFY_SOCKET", path, 1);
    unsetenv("WATCHDOG_USEC");
    unsetenv("WATCHDOG_PID");
    if (usec)
        setenv("WATCHDOG_USEC", usec, 1);
    if (pid)
        setenv("WATCHDOG_PID", pid, 1);
    service_begin(s);
}

static void tell(struct service *s, bool guest, bool updating, bool beats, bool beat)
{
    const struct service_facts now = {guest, updating, beats, beat};

    service_tell(s, &now);
}

static void ready_is_said_once(void **state)
{
    struct service s;

    begin(&s, NULL, NULL);
    tell(&s, false, false, true, false);
    tell(&s, false, true, true, false); /* a first VMM is no update */
    heard("");
    tell(&s, true, false, true, true);
    tell(&s, true, false, true, true);
    heard("READY=1");
}

static void an_update_is_a_reload(void **state)
{
    struct service s;

    begin(&s, NULL, NULL);
    tell(&s, true, false, true, false);
    heard("READY=1");
    tell(&s, true, true, true, false);
    tell(&s, true, true, true, false);
    heard("RELOADING=1 MONOTONIC_USEC=");
    tell(&s, true, false, true, false);
    heard("READY=1");
}

static void beats_are_passed_on_no_more_often_than_they_are_wanted(void **state)
{
    struct service s;

    begin(&s, "3600000000", NULL);
    tell(&s, true, false, true, true);
    heard("READY=1|WATCHDOG=1");
    for (int i = 0; i < 1000; i++)
        tell(&s, true, false, true, true);
    heard("");
    begin(&s, "1", NULL);
    tell(&s, true, false, true, true);
    tell(&s, true, false, true, false);
    tell(&s, true, false, true, true);
    heard("READY=1|WATCHDOG=1|WATCHDOG=1");
}

static void who_cannot_beat_is_not_watched(void **state)
{
    struct service s;

    begin(&s, "1000000", NULL);
    tell(&s, true, false, true, true);
    heard("READY=1|WATCHDOG=1");
    tell(&s, true, false, false, false);
    heard("WATCHDOG_USEC=0");
    tell(&s, true, false, true, false);
    heard("WATCHDOG_USEC=1000000");
}

static void a_watchdog_of_another_process_is_not_ours(void **state)
{
    struct service s;
    char own[16];

    begin(&s, "1000000", "1");
    assert_int_equal(s.watchdog_us, 0);
    assert_null(getenv("WATCHDOG_USEC")); /* nor a child's */
    snprintf(own, sizeof(own), "%d", (int)getpid());
    begin(&s, "1000000", own);
    assert_int_equal(s.watchdog_us, 1000000);
    assert_int_equal(service_beat_interval_ns(), 250000000);
    begin(&s, "18446744073709551615", NULL);
    assert_int_equal(s.watchdog_us, 0);
    begin(&s, "-5", NULL);
    assert_int_equal(s.watchdog_us, 0);
}

static void nobody_is_told_where_nobody_asked(void **state)
{
    struct service s;

    begin(&s, "1000000", NULL);
    unsetenv("NOTIFY_SOCKET");
    service_begin(&s);
    tell(&s, true, false, true, true);
    heard("");
    setenv("NOTIFY_SOCKET", "not/absolute", 1);
    service_begin(&s);
    tell(&s, true, false, true, true); /* warns */
    heard("");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ready_is_said_once),
        cmocka_unit_test(an_update_is_a_reload),
        cmocka_unit_test(beats_are_passed_on_no_more_often_than_they_are_wanted),
        cmocka_unit_test(who_cannot_beat_is_not_watched),
        cmocka_unit_test(a_watchdog_of_another_process_is_not_ours),
        cmocka_unit_test(nobody_is_told_where_nobody_asked),
    };

    return cmocka_run_group_tests(tests, listen_there, leave);
}
