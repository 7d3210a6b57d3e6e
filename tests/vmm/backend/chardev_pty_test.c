/* SPDX-License-Identifier: Apache-2.0 */
/* A pseudo terminal: who opens it is the peer, and stays it when another process takes it over. */
#include "tests/unit.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <termios.h>
#include <unistd.h>

#include "tests/vmm/backend/chardev_user.h"

static struct config_chardev pty_config(void)
{
    return (struct config_chardev){.id = (char *)(uintptr_t) "p", .type = CONFIG_CHARDEV_PTY};
}

/* Its name as query-chardev says it, behind `how`. */
static const char *pty_path(struct user *u, const char *how, char ret[static 128])
{
    chardev_filename(u->chardev, ret, 128);
    assert_memory_equal(ret, how, strlen(how));
    return ret + strlen(how);
}

static int visit(const char *path)
{
    int fd = open(path, O_RDWR | O_NOCTTY | O_NONBLOCK);

    assert_true(fd >= 0);
    return fd;
}

static void who_opens_it_is_the_peer(void **state)
{
    struct user *u = *state;
    struct config_chardev config = pty_config();
    char name[128];
    const char *path;
    struct stat st;
    int fd;

    user_new(u, &config, false);
    user_open(u);
    user_start(u, &user_frontend);
    path = pty_path(u, "disconnected:pty:", name);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    /* Nobody is there: what is written is lost, and waits for nobody. */
    for (int i = 0; i < 100; i++)
        assert_int_equal(chardev_write(u->chardev, name, sizeof(name)), sizeof(name));
    assert_int_equal(u->opened, 0);
    for (int visits = 1; visits <= 3; visits++) {
        fd = visit(path);
        user_until(u, &u->opened, visits);
        pty_path(u, "pty:", (char[128]){0});
        assert_int_equal(chardev_write(u->chardev, "a\n\3", 3), 3);
        assert_reads(fd, "a\n\3"); /* no terminal in between has changed it */
        u->got_bytes = 0;
        assert_int_equal(write(fd, "b\r\3", 3), 3);
        user_turn(u, SHORT_NS);
        assert_memory_equal(u->got, "b\r\3", 3);
        close(fd);
        user_until(u, &u->closed, visits);
    }
}

static void it_stays_the_same_over_handovers(void **state)
{
    struct user *u = *state;
    struct config_chardev config = pty_config();
    char name[128], next[128];
    int fd;

    user_new(&u[0], &config, false);
    user_open(&u[0]);
    user_start(&u[0], &user_frontend);
    fd = visit(pty_path(&u[0], "disconnected:pty:", name));
    user_until(&u[0], &u[0].opened, 1);
    /* What was typed before is read by the one that resumes. */
    user_new(&u[1], &config, false);
    hand_over(&u[0], &u[1]);
    assert_int_equal(write(fd, "typed", 5), 5);
    chardev_free(u[0].chardev);
    u[0].chardev = NULL;
    user_start(&u[1], &user_frontend);
    user_turn(&u[1], SHORT_NS);
    assert_memory_equal(u[1].got, "typed", 5);
    assert_string_equal(pty_path(&u[1], "pty:", next), name + strlen("disconnected:pty:"));
    assert_int_equal(chardev_write(u[1].chardev, "seen", 4), 4);
    assert_reads(fd, "seen");
    close(fd);
    user_until(&u[1], &u[1].closed, 1);
    /* The watch came along. */
    fd = visit(name + strlen("disconnected:pty:"));
    user_until(&u[1], &u[1].opened, 2);
    close(fd);
}

static void who_does_not_read_makes_it_wait(void **state)
{
    struct user *u = *state;
    struct config_chardev config = pty_config();
    char name[128], text[4096];
    int fd, before;

    memset(text, 'x', sizeof(text));
    user_new(u, &config, false);
    user_open(u);
    user_start(u, &user_frontend);
    fd = visit(pty_path(u, "disconnected:pty:", name));
    user_until(u, &u->opened, 1);
    while (chardev_write(u->chardev, text, sizeof(text)) == sizeof(text))
        continue;
    user_turn(u, SHORT_NS);
    before = u->writables;
    assert_true(chardev_write(u->chardev, text, 1) <= 1);
    /* Gone: nobody is waited for any more, and nothing turns in a circle. */
    close(fd);
    user_until(u, &u->closed, 1);
    assert_int_equal(chardev_write(u->chardev, text, sizeof(text)), sizeof(text));
    user_turn(u, SHORT_NS);
    assert_in_range(u->writables, before, before + 3);
}

static void not_every_fd_is_a_pty(void **state)
{
    struct user *u = *state;
    struct config_chardev config = pty_config();
    struct ferry_part part;
    struct ferry_err err;
    int fd = open("/dev/null", O_RDWR);

    user_new(u, &config, false);
    part = chardev_part(u->chardev);
    assert_int_equal(part.ops->adopt(part.obj, "p/pty", &fd, &err), -EINVAL);
    assert_string_equal(err.text, "fd \"p/pty\": is not the master of a pseudo terminal");
    close(fd);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(who_opens_it_is_the_peer, loop_setup, loop_teardown),
        cmocka_unit_test_setup_teardown(it_stays_the_same_over_handovers, loop_setup,
                                        loop_teardown),
        cmocka_unit_test_setup_teardown(who_does_not_read_makes_it_wait, loop_setup, loop_teardown),
        cmocka_unit_test_setup_teardown(not_every_fd_is_a_pty, loop_setup, loop_teardown),
    };

    signal(SIGPIPE, SIG_IGN);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
