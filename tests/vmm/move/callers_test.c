/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit.h"

#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/own.h"
#include "vmm/backend/unix_socket.h"
#include "vmm/move/callers.h"

struct fixture {
    struct loop *loop;
    struct callers *callers;
    char dir[40], path[64];
    int listener;
    int speaker; /* who spoke last */
    unsigned spoke, gone;
};

static void spoke(void *arg, int *fd)
{
    struct fixture *f = arg;

    own_close_fd(&f->speaker);
    f->speaker = take_fd(fd);
    f->spoke++;
    loop_stop(f->loop);
}

static void gone(void *arg)
{
    struct fixture *f = arg;

    f->gone++;
    callers_free(TAKE_PTR(f->callers));
    loop_stop(f->loop);
}

static const struct callers_ops ops = {.spoke = spoke, .gone = gone};

static int setup(void **state)
{
    static struct fixture f;
    struct ferry_err err;

    memset(&f, 0, sizeof(f));
    f.speaker = -1;
    strcpy(f.dir, "/tmp/ferry-callers-XXXXXX");
    assert_non_null(mkdtemp(f.dir));
    strcpy(f.path, f.dir);
    strcat(f.path, "/socket");
    assert_int_equal(loop_new(&f.loop, &err), 0);
    assert_int_equal(unix_listen(f.path, &f.listener, &err), 0);
    *state = &f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    callers_free(f->callers);
    loop_free(f->loop);
    own_close_fd(&f->listener);
    own_close_fd(&f->speaker);
    unlink(f->path);
    return rmdir(f->dir);
}

static int call(const struct fixture *f)
{
    struct ferry_err err;
    int fd;

    assert_int_equal(unix_connect(f->path, &fd, &err), 0);
    return fd;
}

static void check_speaker(struct fixture *f, int fd, char word)
{
    char got;

    assert_int_equal(send(fd, &word, 1, MSG_NOSIGNAL), 1);
    loop_run(f->loop);
    assert_int_equal(recv(f->speaker, &got, 1, MSG_DONTWAIT), 1);
    assert_int_equal(got, word);
}

/* Nor is one who looked and went, nor more of the silent than are held. */
static void the_silent_are_in_nobodys_way(void **state)
{
    struct fixture *f = *state;
    int silent[CALLERS_MAX + 4], other;
    struct ferry_err err;
    char byte;

    assert_int_equal(callers_new(&f->callers, f->loop, f->listener, &ops, f, &err), 0);
    close(call(f));
    other = call(f);
    check_speaker(f, other, 'a');
    close(other);
    for (size_t i = 0; i < CALLERS_MAX + 4; i++) {
        silent[i] = call(f);
        other = call(f);
        check_speaker(f, other, 'b');
        close(other);
    }
    /* Who was silent for longest was hung up on, who came last is still heard. */
    assert_int_equal(recv(silent[0], &byte, 1, MSG_DONTWAIT), 0);
    check_speaker(f, silent[CALLERS_MAX + 3], 'c');
    assert_int_equal(f->gone, 0);
    for (size_t i = 0; i < CALLERS_MAX + 4; i++)
        close(silent[i]);
}

/* An inherited socket: when its peer goes nobody can come any more. */
static void the_only_caller_goes(void **state)
{
    struct fixture *f = *state;
    struct ferry_err err;
    int fds[2];

    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
    assert_int_equal(callers_new(&f->callers, f->loop, -1, &ops, f, &err), 0);
    assert_int_equal(callers_add(f->callers, &fds[0], &err), 0);
    close(fds[1]);
    loop_run(f->loop);
    assert_int_equal(f->gone, 1);
    assert_int_equal(f->spoke, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(the_silent_are_in_nobodys_way, setup, teardown),
        cmocka_unit_test_setup_teardown(the_only_caller_goes, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
