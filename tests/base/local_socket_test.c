/* SPDX-License-Identifier: Apache-2.0 */
/* What another user could do is done by one: this needs root, and is left out without. */
#include "tests/unit.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/local_socket.h"

#define STRANGER 65534

struct fixture {
    char dir[40];
    struct sockaddr_un name;
    int listener;
};

static int setup(void **state)
{
    static struct fixture f;
    mode_t before = umask(0);

    f = (struct fixture){.name.sun_family = AF_UNIX};
    strcpy(f.dir, "/tmp/ferry-local-XXXXXX");
    assert_non_null(mkdtemp(f.dir));
    assert_int_equal(chmod(f.dir, 0755), 0);
    snprintf(f.name.sun_path, sizeof(f.name.sun_path), "%s/socket", f.dir);
    f.listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(
        local_socket_bind(f.listener, (const struct sockaddr *)&f.name, sizeof(f.name)), 0);
    assert_int_equal(listen(f.listener, 4), 0);
    umask(before);
    *state = &f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    close(f->listener);
    unlink(f->name.sun_path);
    return rmdir(f->dir);
}

/* In a process of its own as that user: 0, or the errno of connect. */
static int connect_as(const struct fixture *f, uid_t user)
{
    pid_t child = fork();
    int status;

    if (child == 0) {
        int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

        if (setuid(user) < 0)
            _exit(255);
        _exit(connect(fd, (const struct sockaddr *)&f->name, sizeof(f->name)) < 0 ? errno : 0);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static int check_caller(const struct fixture *f, struct ferry_err *err)
{
    int fd = accept(f->listener, NULL, NULL);
    int rc = local_socket_check_peer(fd, "this test serves", err);

    close(fd);
    return rc;
}

static void the_mode_is_not_the_umasks(void **state)
{
    struct fixture *f = *state;
    struct stat st;

    assert_int_equal(stat(f->name.sun_path, &st), 0);
    assert_true(S_ISSOCK(st.st_mode));
    assert_int_equal(st.st_mode & 0777, 0600);
}

static void the_same_user_is_served(void **state)
{
    struct fixture *f = *state;
    struct ferry_err err;

    assert_int_equal(connect_as(f, geteuid()), 0);
    assert_int_equal(check_caller(f, &err), 0);
}

static void another_user_is_not(void **state)
{
    struct fixture *f = *state;
    struct ferry_err err;

    if (geteuid() != 0)
        skip();
    assert_int_equal(connect_as(f, STRANGER), EACCES);
    /* Somebody has opened the path to all. */
    assert_int_equal(chmod(f->name.sun_path, 0666), 0);
    assert_int_equal(connect_as(f, STRANGER), 0);
    assert_int_equal(check_caller(f, &err), -EPERM);
    assert_string_equal(err.text, "the other end of the socket runs as user 65534, this process as "
                                  "0: this test serves only the same user or root");
    assert_int_equal(connect_as(f, 0), 0);
    assert_int_equal(check_caller(f, &err), 0);
}

static void root_is_served_by_anybody(void **state)
{
    struct fixture *f = *state;
    struct ferry_err err;

    if (geteuid() != 0)
        skip();
    assert_int_equal(connect_as(f, 0), 0);
    assert_int_equal(seteuid(STRANGER), 0);
    assert_int_equal(check_caller(f, &err), 0);
    assert_int_equal(seteuid(0), 0);
}

static void a_path_has_room_or_is_refused(void **state)
{
    char path[sizeof(((struct sockaddr_un *)0)->sun_path) + 1] = "";
    struct sockaddr_un name;
    struct ferry_err err;

    assert_int_equal(local_socket_name(&name, path, &err), -EINVAL);
    memset(path, 'x', sizeof(path) - 2); /* and a NUL */
    assert_int_equal(local_socket_name(&name, path, &err), 0);
    assert_int_equal(name.sun_family, AF_UNIX);
    assert_string_equal(name.sun_path, path);
    path[sizeof(path) - 2] = 'x';
    assert_int_equal(local_socket_name(&name, path, &err), -EINVAL);
    assert_non_null(strstr(err.text, "has 108 bytes, it needs 1 to 107"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_path_has_room_or_is_refused),
        cmocka_unit_test_setup_teardown(the_mode_is_not_the_umasks, setup, teardown),
        cmocka_unit_test_setup_teardown(the_same_user_is_served, setup, teardown),
        cmocka_unit_test_setup_teardown(another_user_is_not, setup, teardown),
        cmocka_unit_test_setup_teardown(root_is_served_by_anybody, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
