/* SPDX-License-Identifier: Apache-2.0 */
/* Whose words count: a VMM that is the guest's can pass any descriptor on, and say anything of it.
 */
#include "tests/unit.h"

#include <errno.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/own.h"
#include "vmm/supervisor/supervisor_channel.h"
#include "vmm/supervisor/supervisor_policy.h"
#include "vmm/supervisor/words.h"

static char folder[] = "/tmp/ferry-words-XXXXXX";

static int make_folder(void **state)
{
    char path[64];

    if (!mkdtemp(folder) || setenv("XDG_RUNTIME_DIR", folder, 1))
        return -1;
    snprintf(path, sizeof(path), "%s/ferry", folder);
    return mkdir(path, 0700);
}

static int remove_folder(void **state)
{
    char path[64];

    snprintf(path, sizeof(path), "%s/ferry", folder);
    rmdir(path);
    return rmdir(folder);
}

static struct sockaddr_un name_of(const char *file)
{
    struct sockaddr_un name = {.sun_family = AF_UNIX};

    snprintf(name.sun_path, sizeof(name.sun_path), "%s/%s", folder, file);
    return name;
}

/* Connects, says it, and stays until the connection is closed at the other end. */
static void speak(const struct sockaddr_un *name, const char *words, uid_t uid)
{
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    char none;

    if ((uid && setuid(uid) < 0) || connect(fd, (const struct sockaddr *)name, sizeof(*name)) < 0 ||
        write(fd, words, strlen(words)) < 0)
        _exit(1);
    (void)!read(fd, &none, 1);
    _exit(0);
}

/* The accepted end of a client's connection; *client: its process, 0 = it is this one. */
static int accepted(const char *file, const char *words, uid_t uid, pid_t *client)
{
    const struct sockaddr_un name = name_of(file);
    OWN_FD int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    char seen;
    int fd;

    assert_int_equal(bind(listener, (const struct sockaddr *)&name, sizeof(name)), 0);
    assert_int_equal(chmod(name.sun_path, 0666), 0);
    assert_int_equal(listen(listener, 1), 0);
    *client = fork();
    if (*client == 0)
        speak(&name, words, uid);
    fd = accept(listener, NULL, NULL);
    unlink(name.sun_path);
    assert_true(fd >= 0);
    assert_int_equal(recv(fd, &seen, 1, MSG_PEEK), 1);
    return fd;
}

static void expect(int fd, size_t bytes, const char *monitor, int result, const char *says)
{
    const struct sockaddr_un name = name_of(monitor ? monitor : "");
    const struct supervisor_policy policy = {
        .sandbox = true, .monitors = {name.sun_path}, .monitor_count = monitor ? 1 : 0};
    OWN_MEM char *words = NULL;
    struct ferry_err err = {0};

    assert_int_equal(words_read(fd, bytes, &policy, &words, &err), result);
    if (result < 0 && !strstr(err.text, says))
        fail_msg("'%s' does not say '%s'", err.text, says);
    if (result == 0)
        assert_string_equal(words, says);
}

static void hear_client(const char *file, const char *monitor, uid_t uid, size_t bytes, int result,
                        const char *says)
{
    static const char said[] = "words and more";
    pid_t client;
    int fd = accepted(file, said, uid, &client);
    char rest[32] = "";

    expect(fd, bytes, monitor, result, says);
    /* Used up, and no more than they, whatever came of them. */
    (void)!recv(fd, rest, sizeof(rest) - 1, MSG_DONTWAIT);
    assert_string_equal(rest, bytes < sizeof(said) ? &said[bytes] : "");
    close(fd);
    assert_int_equal(waitpid(client, NULL, 0), client);
}

static void an_operator(void **state)
{
    hear_client("monitor", "monitor", 0, 5, 0, "words");
    /* As it was named while it was made. */
    hear_client("monitor.new", "monitor", 0, 14, 0, "words and more");
    hear_client("ferry/vm.sock", NULL, 0, 5, 0, "words");
    hear_client("ferry/vm.sock.new", NULL, 0, 5, 0, "words");
}

/* Before its words were read. */
static void a_client_that_left(void **state)
{
    pid_t client;
    int fd = accepted("monitor", "words", 0, &client);

    assert_int_equal(kill(client, SIGKILL), 0);
    assert_int_equal(waitpid(client, NULL, 0), client);
    expect(fd, 5, "monitor", -ECONNRESET, "has left");
    close(fd);
}

static void another_place(void **state)
{
    hear_client("monitor", NULL, 0, 5, -EPERM, "no monitor of this VM");
    hear_client("passt", "monitor", 0, 5, -EPERM, "no monitor of this VM");
    hear_client("monitor2", "monitor", 0, 5, -EPERM, "no monitor of this VM");
    hear_client("vm.sock", NULL, 0, 5, -EPERM, "no monitor of this VM");
}

static void less_than_was_said(void **state)
{
    hear_client("monitor", "monitor", 0, 15, -EBADMSG, "15 bytes of a command were announced, 14");
    hear_client("monitor", "monitor", 0, SUPERVISOR_WORDS_BYTES, -EBADMSG, "were announced");
}

static void another_user(void **state)
{
    if (geteuid() != 0)
        skip(); /* only root can be somebody else */
    assert_int_equal(chmod(folder, 0711), 0);
    hear_client("monitor", "monitor", 4711, 5, -EPERM, "runs as user 4711");
}

/* The VMM and its errand have one parent. Here this process is both. */
static void the_vm_itself(void **state)
{
    const struct sockaddr_un name = name_of("monitor");
    OWN_FD int listener = socket(AF_UNIX, SOCK_STREAM, 0);
    OWN_FD int client = socket(AF_UNIX, SOCK_STREAM, 0);
    OWN_FD int fd = -1;

    assert_int_equal(bind(listener, (const struct sockaddr *)&name, sizeof(name)), 0);
    assert_int_equal(listen(listener, 1), 0);
    assert_int_equal(connect(client, (const struct sockaddr *)&name, sizeof(name)), 0);
    fd = accept(listener, NULL, NULL);
    unlink(name.sun_path);
    assert_int_equal(write(client, "words", 5), 5);
    expect(fd, 5, "monitor", -EPERM, "a process of this VM itself");
    /* The client's end has no name, so it is not where a monitor listens. */
    assert_int_equal(write(fd, "words", 5), 5);
    expect(client, 5, "monitor", -EPERM, "no monitor of this VM");
}

static void no_connection(void **state)
{
    static const int types[] = {SOCK_STREAM, SOCK_DGRAM, SOCK_SEQPACKET};
    int pair[2];

    for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
        assert_int_equal(socketpair(AF_UNIX, types[i], 0, pair), 0);
        assert_int_equal(write(pair[1], "words", 5), 5);
        expect(pair[0], 5, "monitor", -EPERM, i ? "of a UNIX socket only" : "no monitor of");
        close(pair[0]);
        close(pair[1]);
    }
    assert_int_equal(pipe(pair), 0);
    assert_int_equal(write(pair[1], "words", 5), 5);
    expect(pair[0], 5, "monitor", -ENOTSOCK, "cannot read the operator's words");
    close(pair[0]);
    close(pair[1]);
    expect(-1, 5, "monitor", -EBADF, "cannot read the operator's words");
}

static void over_tcp(void **state)
{
    struct sockaddr_in name = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t n = sizeof(name);
    OWN_FD int listener = socket(AF_INET, SOCK_STREAM, 0);
    OWN_FD int client = socket(AF_INET, SOCK_STREAM, 0);
    OWN_FD int fd = -1;
    char seen;

    assert_int_equal(bind(listener, (struct sockaddr *)&name, n), 0);
    assert_int_equal(listen(listener, 1), 0);
    assert_int_equal(getsockname(listener, (struct sockaddr *)&name, &n), 0);
    assert_int_equal(connect(client, (struct sockaddr *)&name, n), 0);
    fd = accept(listener, NULL, NULL);
    assert_int_equal(write(client, "words", 5), 5);
    assert_int_equal(recv(fd, &seen, 1, MSG_PEEK), 1);
    expect(fd, 5, "monitor", -EPERM, "of a UNIX socket only");
}

static void sizes(void **state)
{
    expect(-1, 0, "monitor", -EMSGSIZE, "0 bytes was announced");
    expect(-1, SUPERVISOR_WORDS_BYTES + 1, "monitor", -EMSGSIZE, "1 to 16384 are read");
    expect(-1, UINT32_MAX, "monitor", -EMSGSIZE, "1 to 16384 are read");
}

/* It looks, and does not wait. */
static void silence(void **state)
{
    int pair[2];

    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
    expect(pair[0], 5, "monitor", -EAGAIN, "cannot read the operator's words");
    close(pair[0]);
    close(pair[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_operator),   cmocka_unit_test(a_client_that_left),
        cmocka_unit_test(another_place), cmocka_unit_test(another_user),
        cmocka_unit_test(the_vm_itself), cmocka_unit_test(no_connection),
        cmocka_unit_test(over_tcp),      cmocka_unit_test(sizes),
        cmocka_unit_test(silence),       cmocka_unit_test(less_than_was_said),
    };

    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
