/* SPDX-License-Identifier: Apache-2.0 */
/* What a supervisor knows arrives whole at the program that goes on, or is refused as a whole. */
#include "tests/unit.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/own.h"
#include "vmm/supervisor/supervisor_internal.h"
#include "vmm/supervisor/supervisor_state.h"

/* It is what a supervisor does when it is told the name; here nobody looks. */
void supervisor_show(const struct supervisor *s)
{
}

void supervisor_hold_control(struct supervisor *s)
{
}

static void make_empty(struct supervisor *s)
{
    *s = (struct supervisor){.control = -1, .signals = -1, .renewal.binary = -1};
    for (size_t i = 0; i < SUPERVISOR_CHILDREN; i++)
        s->children[i] = (struct child){.channel = -1, .mail = -1};
}

static void free_paths(struct supervisor *s)
{
    for (size_t i = 0; i < s->policy.monitor_count; i++)
        free((char *)(uintptr_t)s->policy.monitors[i]);
    for (size_t i = 0; i < s->policy.socket_count; i++)
        free((char *)(uintptr_t)s->policy.sockets[i]);
    for (size_t i = 0; i < s->policy.peer_count; i++) {
        free((char *)(uintptr_t)s->policy.peers[i].id);
        free((char *)(uintptr_t)s->policy.peers[i].path);
    }
    free((char *)(uintptr_t)s->policy.pidfile);
}

static void make_full(struct supervisor *s)
{
    make_empty(s);
    s->policy = (struct supervisor_policy){.sandbox = true,
                                           .spawn = true,
                                           .only_loopback = true,
                                           .monitors = {"/run/\"monitor\"", "m2"},
                                           .monitor_count = 2,
                                           .sockets = {"/run/console"},
                                           .socket_count = 1,
                                           .peers = {{"n0", "/run/passt"}, {"n1", "p1"}},
                                           .peer_count = 2,
                                           .pidfile = "/run/pid"};
    snprintf(s->name, sizeof(s->name), "web\n1");
    sigemptyset(&s->before);
    sigaddset(&s->before, SIGUSR1);
    sigaddset(&s->before, SIGRTMAX);
    s->control = 7;
    s->last = 9;
    s->guest_ended = true;
    s->children[0] = (struct child){.pid = 4711,
                                    .is_vmm = true,
                                    .has_guest = true,
                                    .had_guest = true,
                                    .channel = 8,
                                    .mail = -1};
    /* A place that is free is none. */
    s->children[2] = (struct child){.pid = 4713, .tidies = true, .channel = -1, .mail = 9};
    s->children[3] =
        (struct child){.pid = 4714, .is_vmm = true, .had_guest = true, .channel = -1, .mail = -1};
}

static void all_of_it(void **state)
{
    struct supervisor before, after;
    struct ferry_err err = {0};
    OWN_FD int fd = -1;
    const struct child *c = after.children;

    make_full(&before);
    make_empty(&after);
    assert_int_equal(supervisor_save(&before, &fd, &err), 0);
    assert_int_equal(fcntl(fd, F_GETFD), FD_CLOEXEC);
    assert_int_equal(write(fd, "x", 1), -1); /* sealed */
    if (supervisor_load(&after, fd, &err) < 0)
        fail_msg("%s", err.text);
    assert_true(after.policy.sandbox && after.policy.spawn && after.policy.only_loopback);
    assert_int_equal(after.policy.monitor_count, 2);
    assert_string_equal(after.policy.monitors[0], before.policy.monitors[0]);
    assert_string_equal(after.policy.monitors[1], before.policy.monitors[1]);
    assert_int_equal(after.policy.socket_count, 1);
    assert_string_equal(after.policy.sockets[0], before.policy.sockets[0]);
    assert_int_equal(after.policy.peer_count, 2);
    for (size_t i = 0; i < 2; i++) {
        assert_string_equal(after.policy.peers[i].id, before.policy.peers[i].id);
        assert_string_equal(after.policy.peers[i].path, before.policy.peers[i].path);
    }
    assert_string_equal(after.policy.pidfile, before.policy.pidfile);
    assert_string_equal(after.name, before.name);
    for (int n = 1; n < NSIG; n++)
        assert_int_equal(sigismember(&after.before, n), n == SIGUSR1 || n == SIGRTMAX);
    assert_int_equal(after.control, 7);
    assert_int_equal(after.last, 9);
    assert_true(after.guest_ended);
    assert_true(c[0].pid == 4711 && c[0].is_vmm && c[0].has_guest && !c[0].tidies);
    assert_true(c[0].had_guest && !c[1].had_guest);
    assert_true(c[0].channel == 8 && c[0].mail == -1);
    assert_true(c[1].pid == 4713 && !c[1].is_vmm && !c[1].has_guest && c[1].tidies);
    assert_true(c[1].channel == -1 && c[1].mail == 9);
    assert_true(c[2].pid == 4714 && c[2].is_vmm && !c[2].has_guest && c[2].had_guest);
    assert_int_equal(c[3].pid, 0);
    free_paths(&after);
}

static void nothing_of_it(void **state)
{
    struct supervisor before, after;
    struct ferry_err err = {0};
    OWN_FD int fd = -1;

    make_empty(&before);
    make_empty(&after);
    sigemptyset(&before.before);
    before.policy.spawn = true; /* as without a sandbox */
    assert_int_equal(supervisor_save(&before, &fd, &err), 0);
    assert_int_equal(supervisor_load(&after, fd, &err), 0);
    assert_false(after.policy.sandbox || after.guest_ended);
    assert_int_equal(after.policy.peer_count, 0);
    assert_null(after.policy.pidfile);
    assert_string_equal(after.name, "");
}

static void refused(const char *text, const char *says)
{
    struct supervisor s;
    struct ferry_err err = {0};
    OWN_FD int fd = memfd_create("state", MFD_CLOEXEC);

    make_empty(&s);
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
    assert_true(supervisor_load(&s, fd, &err) < 0);
    if (!strstr(err.text, says))
        fail_msg("'%s' does not say '%s'", err.text, says);
    free_paths(&s);
}

#define HEAD                                                                              \
    "{\"policy\": \":on\", \"only-loopback\": false, \"monitors\": [], \"sockets\": [], " \
    "\"name\": "                                                                          \
    "\"\", \"control\": -1, \"mask\": [], \"status\": 0, \"guest-ended\": false, "

/* Each of them is right. */
static void refused_children(unsigned count)
{
    static const char child[] = "{\"pid\":5,\"says\":\"\",\"channel\":-1,\"mail\":-1}";
    struct buf text = {0};

    buf_str(&text, HEAD "\"children\": [");
    for (unsigned i = 0; i < count; i++)
        buf_printf(&text, "%s%s", i ? "," : "", child);
    buf_str(&text, "]}");
    buf_u8(&text, '\0');
    assert_false(text.failed);
    refused((const char *)text.data, "children, at most 64 are known here");
    buf_free(&text);
}

static void what_is_not_known(void **state)
{
    static const char child[] = HEAD "\"children\": [{\"pid\": 5, \"says\": \"%s\", \"channel\": "
                                     "%d, \"mail\": -1%s}]}";
    char text[512];

    refused("", "");
    refused("[]", "is no object");
    refused("{}", "lacks 'policy'");
    refused(HEAD "\"children\": {}}", "lacks 'children'");
    refused(HEAD "\"children\": [], \"more\": 1}", "11 members, 10 are known here");
    refused(HEAD "\"children\": [7]}", "child is no object");
    /* Whoever kills it kills its group, and the group of process 1 is everybody. */
    refused(HEAD "\"children\": [{\"pid\": 1}]}", "'pid' cannot be 1");
    refused_children(SUPERVISOR_CHILDREN + 1);
    snprintf(text, sizeof(text), child, "vx", 4, "");
    refused(text, "says 'x', which is not known here");
    snprintf(text, sizeof(text), child, "v", -2, "");
    refused(text, "'channel' cannot be -2");
    snprintf(text, sizeof(text), child, "v", 4, ", \"more\": 1");
    refused(text, "it is of a newer ferry");
}

static void a_policy_that_is_none(void **state)
{
    refused("{\"policy\": \":maybe\"}", "is no policy");
    refused("{\"policy\": \":on\", \"only-loopback\": 1}", "lacks 'only-loopback'");
    refused("{\"policy\": \":on\", \"only-loopback\": true, \"monitors\": "
            "[1,2,3,4,5,6,7,8,9]}",
            "'monitors' are more than 8");
    refused("{\"policy\": \":on\", \"only-loopback\": true, \"monitors\": [null]}", "is no path");
    refused("{\"policy\": \":on\", \"only-loopback\": true, \"monitors\": [], \"sockets\": [], "
            "\"pidfile\": null}",
            "lacks 'pidfile'");
    refused("{\"policy\": \":on\", \"only-loopback\": true, \"monitors\": [], \"sockets\": [], "
            "\"peers\": {\"n0\": 5}}",
            "'peers' is no path");
    refused(
        "{\"policy\": \":on\", \"only-loopback\": true, \"monitors\": [], \"sockets\": [], "
        "\"peers\": {\"1\": \"\", \"2\": \"\", \"3\": \"\", \"4\": \"\", \"5\": \"\", \"6\": \"\", "
        "\"7\": \"\", \"8\": \"\", \"9\": \"\"}}",
        "'peers' are more than 8");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_of_it),
        cmocka_unit_test(nothing_of_it),
        cmocka_unit_test(what_is_not_known),
        cmocka_unit_test(a_policy_that_is_none),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
