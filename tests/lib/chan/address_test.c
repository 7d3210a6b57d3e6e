/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/err.h"
#include "lib/chan/address.h"
#include "lib/chan/chan.h"
#include "lib/chan/place.h"

static void good(const char *uri, enum ferry_address_kind kind, const char *text)
{
    struct ferry_address *a = NULL;
    struct ferry_err err = {0};

    if (ferry_address_parse(&a, uri, NULL, O_RDONLY, &err) < 0)
        fail_msg("%s: %s", uri, err.text);
    assert_int_equal(ferry_address_kind(a), kind);
    assert_string_equal(ferry_address_text(a), text);
    ferry_address_free(a);
}

static void bad(const char *uri, const char *says)
{
    struct ferry_address *a = NULL;
    struct ferry_err err = {0};

    assert_true(ferry_address_parse(&a, uri, NULL, O_RDONLY, &err) < 0);
    assert_null(a);
    if (!strstr(err.text, says))
        fail_msg("%s: '%s' does not say '%s'", uri, err.text, says);
}

static void test_what_parses(void **state)
{
    good("tcp:10.0.0.1:4444", FERRY_ADDRESS_TCP, "tcp:10.0.0.1:4444");
    good("tcp:host.example:4444", FERRY_ADDRESS_TCP, "tcp:host.example:4444");
    good("tcp:[fe80::1]:1", FERRY_ADDRESS_TCP, "tcp:[fe80::1]:1");
    good("tcp::0", FERRY_ADDRESS_TCP, "tcp::0");
    good("unix:/run/x", FERRY_ADDRESS_UNIX, "unix:/run/x");
    good("exec:cat > /dev/null", FERRY_ADDRESS_EXEC, "exec:cat > /dev/null");
    good("file:/a,b", FERRY_ADDRESS_FILE, "file:/a,b");
    good("file:/a,offset=4096", FERRY_ADDRESS_FILE, "file:/a,offset=4096");
    good("file:/a,offset=0x10", FERRY_ADDRESS_FILE, "file:/a,offset=16");
    good("file:/a,offset=2M", FERRY_ADDRESS_FILE, "file:/a,offset=2097152");
    good("fd:0", FERRY_ADDRESS_FD, "fd:0");
}

static void test_what_is_refused(void **state)
{
    char path[300] = "unix:/";

    memset(path + 6, 'x', 200);
    bad("foo:bar", "unknown migration protocol: foo:bar");
    bad("", "unknown migration protocol");
    bad("tcp:host", "HOST:PORT");
    bad("tcp:host:", "no port");
    bad("tcp:::1:4444", "[HOST]:PORT");
    bad("tcp:[::1:4444", "[HOST]:PORT");
    bad("tcp:h:70000", "not between 0 and 65535");
    bad("tcp:h:1,to=9", "not served");
    bad("unix:", "no path");
    bad(path, "it needs 1 to 107");
    bad("exec:", "no command");
    bad("file:", "no path");
    bad("file:/a,offset=", "not an offset");
    bad("file:/a,offset=-1", "not an offset");
    bad("file:/a,offset=12q", "not an offset");
    bad("file:/a,offset=99999999999999999999999", "not an offset");
    bad("file:/a,offset=17179869184G", "not an offset");
    bad("fd:1x", "not the number");
}

static int take(void *opaque, const char *name, struct ferry_err *err)
{
    if (strcmp(name, "mig") != 0)
        return err_set(err, ENOENT, "no fd '%s'", name);
    return open("/dev/null", O_RDWR | O_CLOEXEC);
}

static int open_set(void *opaque, uint64_t id, int flags, struct ferry_err *err)
{
    assert_int_equal(flags & ~O_DIRECT, O_WRONLY);
    assert_int_equal(id, 7);
    if (flags & O_DIRECT)
        return err_set(err, EACCES, "none of them");
    return open("/dev/null", flags | O_CLOEXEC);
}

static int set_fd, set_direct_fd;

static int open_in_set(void *opaque, uint64_t id, int flags, struct ferry_err *err)
{
    return fcntl(flags & O_DIRECT ? set_direct_fd : set_fd, F_DUPFD_CLOEXEC, 3);
}

static void test_names_of_the_monitor(void **state)
{
    const struct ferry_fd_names names = {.take = take, .open_set = open_set};
    struct ferry_address *a = NULL;
    struct ferry_err err;

    assert_int_equal(ferry_address_parse(&a, "fd:mig", &names, O_WRONLY, &err), 0);
    assert_true(a->fd >= 0);
    ferry_address_free(a);
    assert_int_equal(ferry_address_parse(&a, "fd:other", &names, O_WRONLY, &err), -ENOENT);
    assert_string_equal(err.text, "no fd 'other'");
    assert_int_equal(ferry_address_parse(&a, "file:/dev/fdset/7", &names, O_WRONLY, &err), 0);
    ferry_address_free(a);
}

/* What the monitor knows can be looked up later, and cannot be opened before. */
static void test_resolved_later(void **state)
{
    static const char *const unknown[][2] = {
        {"fd:99999", "File descriptor named '99999' has not been found"},
        {"fd:name", "File descriptor named 'name' has not been found"},
        {"file:/dev/fdset/1", "there is no fd set '/dev/fdset/1'"},
        {"file:/dev/fdset/", "there is no fd set '/dev/fdset/'"},
        {"file:/dev/fdset/-1", "there is no fd set '/dev/fdset/-1'"},
        {"file:/dev/fdset/99999999999999999999", "there is no fd set"},
        {"file:/dev/fdset/7x", "there is no fd set '/dev/fdset/7x'"},
    };
    const struct ferry_fd_names names = {.take = take, .open_set = open_set}, none = {0};
    struct ferry_address *a = NULL;
    struct ferry_chan *chan = NULL;
    struct ferry_err err;

    for (size_t i = 0; i < sizeof(unknown) / sizeof(unknown[0]); i++) {
        assert_int_equal(ferry_address_parse(&a, unknown[i][0], NULL, 0, &err), 0);
        assert_int_equal(a->type->open(a, true, &chan, &err), -ENOENT);
        assert_non_null(strstr(err.text, unknown[i][1]));
        assert_int_equal(ferry_address_resolve(a, &none, O_WRONLY, &err), -ENOENT);
        ferry_address_free(a);
    }
    assert_int_equal(ferry_address_parse(&a, "fd:mig", NULL, 0, &err), 0);
    assert_string_equal(ferry_address_fd_name(a), "mig");
    assert_false(ferry_address_both_ways(a));
    assert_int_equal(ferry_address_resolve(a, &names, O_WRONLY, &err), 0);
    assert_int_equal(ferry_address_resolve(a, &names, O_WRONLY, &err), 0);
    assert_int_equal(a->type->open(a, true, &chan, &err), 0);
    ferry_chan_free(chan);
    ferry_address_free(a);
}

/* From a set: at the offset, and what was behind the stream is not of it. */
static void test_a_file_of_a_set(void **state)
{
    const struct ferry_fd_names names = {.open_set = open_in_set};
    struct iovec iov = {.iov_base = (char[]){"new"}, .iov_len = 3};
    struct ferry_address *a = NULL;
    struct ferry_chan *chan;
    struct ferry_err err;
    char data[16] = "";

    set_fd = memfd_create("set", MFD_CLOEXEC);
    set_direct_fd = -1;
    assert_int_equal(write(set_fd, "front and old", 13), 13);
    assert_int_equal(ferry_address_parse(&a, "file:/dev/fdset/7,offset=6", &names, O_WRONLY, &err),
                     0);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(a->type->open(a, true, &chan, &err), 0);
        assert_int_equal(chan_send(chan, &iov, 1, &err), 3);
        ferry_chan_free(chan);
    }
    assert_int_equal(pread(set_fd, data, sizeof(data), 0), 9);
    assert_string_equal(data, "front new");
    ferry_address_free(a);
    close(set_fd);
}

/* The set's own member with O_DIRECT: who was only given fds may not open the file again. */
static void test_a_direct_file_of_a_set(void **state)
{
    const struct ferry_fd_names names = {.open_set = open_in_set};
    struct ferry_chan *chan, *direct;
    struct ferry_address *a = NULL;
    struct stat given, got;
    struct ferry_err err;

    set_fd = memfd_create("set", MFD_CLOEXEC);
    set_direct_fd = memfd_create("direct", MFD_CLOEXEC);
    assert_int_equal(ferry_address_parse(&a, "file:/dev/fdset/7", &names, O_WRONLY, &err), 0);
    assert_int_equal(a->type->open(a, true, &chan, &err), 0);
    assert_int_equal(chan_open_direct(&direct, chan, &err), 0);
    assert_int_equal(fstat(set_direct_fd, &given), 0);
    assert_int_equal(fstat(chan_fd(direct), &got), 0);
    assert_int_equal(given.st_ino, got.st_ino);
    ferry_chan_free(direct);
    ferry_chan_free(chan);
    ferry_address_free(a);
    close(set_fd);
    close(set_direct_fd);
}

static void test_from_pieces(void **state)
{
    const char *const argv[] = {"/bin/cat", "x y", NULL};
    struct ferry_address *a;
    struct ferry_err err;

    assert_int_equal(ferry_address_tcp(&a, "::1", "44", &err), 0);
    assert_string_equal(ferry_address_text(a), "tcp:[::1]:44");
    ferry_address_free(a);
    assert_int_equal(ferry_address_exec(&a, argv, &err), 0);
    assert_string_equal(a->argv[1], "x y");
    ferry_address_free(a);
    assert_int_equal(ferry_address_file(&a, "/a,offset=1", 5, NULL, O_RDONLY, &err), 0);
    assert_string_equal(a->path, "/a,offset=1");
    ferry_address_free(a);
}

/* Both ends of a pair, the end of one, and a peer that is gone. */
static void test_a_pair(void **state)
{
    struct iovec iov = {.iov_base = (char[]){"hello"}, .iov_len = 5};
    struct ferry_chan *pair[2];
    struct ferry_err err;
    char data[8];

    assert_int_equal(ferry_chan_pair(pair, &err), 0);
    assert_true(chan_traits(pair[0])->both_ways);
    assert_int_equal(chan_recv(pair[1], data, sizeof(data), &err), -EAGAIN);
    assert_int_equal(chan_send(pair[0], &iov, 1, &err), 5);
    assert_int_equal(chan_recv(pair[1], data, sizeof(data), &err), 5);
    chan_shutdown_write(pair[0]);
    assert_int_equal(chan_recv(pair[1], data, sizeof(data), &err), 0);
    assert_int_equal(chan_send(pair[1], &iov, 1, &err), 5);
    ferry_chan_free(pair[1]);
    assert_int_equal(chan_send(pair[0], &iov, 1, &err), -EPIPE);
    ferry_chan_free(pair[0]);
}

/* The address owns the fd, and who opens it takes it. */
static void test_from_an_fd(void **state)
{
    struct ferry_address *a = NULL;
    struct ferry_chan *chan = NULL;
    struct ferry_err err;
    char text[32], c = 0, x = 'x';
    int fds[2], fd;

    assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
    fd = fds[1];
    assert_int_equal(ferry_address_fd(&a, &fds[1], &err), 0);
    assert_int_equal(fds[1], -1);
    snprintf(text, sizeof(text), "fd:%d", fd);
    assert_int_equal(ferry_address_kind(a), FERRY_ADDRESS_FD);
    assert_string_equal(ferry_address_text(a), text);
    assert_int_equal(a->type->open(a, true, &chan, &err), 0);
    ferry_address_free(a);
    assert_int_equal(chan_send(chan, &(struct iovec){.iov_base = &x, .iov_len = 1}, 1, &err), 1);
    assert_int_equal(read(fds[0], &c, 1), 1);
    assert_int_equal(c, 'x');
    ferry_chan_free(chan);
    assert_int_equal(read(fds[0], &c, 1), 0); /* nobody has it any more */

    fds[1] = fcntl(fds[0], F_DUPFD_CLOEXEC, 0);
    assert_int_equal(ferry_address_fd(&a, &fds[1], &err), 0);
    ferry_address_free(a); /* nobody opened it */
    close(fds[0]);
}

static void test_a_socket_has_a_path(void **state)
{
    struct ferry_address *a = NULL;
    struct ferry_err err;

    assert_int_equal(ferry_address_unix(&a, "/run/a:b", &err), 0);
    assert_int_equal(ferry_address_kind(a), FERRY_ADDRESS_UNIX);
    assert_string_equal(ferry_address_text(a), "unix:/run/a:b");
    ferry_address_free(a);
    assert_int_equal(ferry_address_unix(&a, "", &err), -EINVAL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_parses),          cmocka_unit_test(test_what_is_refused),
        cmocka_unit_test(test_names_of_the_monitor), cmocka_unit_test(test_resolved_later),
        cmocka_unit_test(test_a_file_of_a_set),      cmocka_unit_test(test_a_direct_file_of_a_set),
        cmocka_unit_test(test_from_pieces),          cmocka_unit_test(test_from_an_fd),
        cmocka_unit_test(test_a_socket_has_a_path),  cmocka_unit_test(test_a_pair),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
