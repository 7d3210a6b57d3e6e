/* SPDX-License-Identifier: Apache-2.0 */
/* Terminals and standard input. */
#include "tests/unit.h"

#include <fcntl.h>
#include <pty.h>
#include <signal.h>
#include <stdio.h>
#include <termios.h>
#include <unistd.h>

#include "tests/vmm/backend/chardev_user.h"
#include "vmm/backend/chardev.h"

/* Standard input and output become a new terminal for the duration of a test. */
struct stdio_swap {
    int in, out, master, slave;
    struct termios before;
    int flags;
};

static void swap_in(struct stdio_swap *s)
{
    assert_int_equal(openpty(&s->master, &s->slave, NULL, NULL, NULL), 0);
    assert_int_equal(tcgetattr(s->slave, &s->before), 0);
    s->flags = fcntl(s->slave, F_GETFL);
    fflush(stdout);
    s->in = dup(STDIN_FILENO);
    s->out = dup(STDOUT_FILENO);
    dup2(s->slave, STDIN_FILENO);
    dup2(s->slave, STDOUT_FILENO);
}

static void swap_back(struct stdio_swap *s)
{
    dup2(s->in, STDIN_FILENO);
    dup2(s->out, STDOUT_FILENO);
    close(s->in);
    close(s->out);
    close(s->master);
    close(s->slave);
}

static bool is_raw(const struct stdio_swap *s)
{
    struct termios now;

    assert_int_equal(tcgetattr(s->slave, &now), 0);
    return !(now.c_lflag & ICANON);
}

static struct config_chardev stdio_config = {.type = CONFIG_CHARDEV_STDIO};

static void a_terminal_is_raw_until_the_last_process_ends(void **state)
{
    struct user *u = *state;
    struct stdio_swap s;
    struct termios after;

    swap_in(&s);
    user_new(&u[0], &stdio_config, true);
    user_open(&u[0]);
    assert_false(is_raw(&s));
    user_start(&u[0], &user_frontend);
    assert_true(is_raw(&s));
    assert_int_equal(write(s.master, "a\x03\r\x01", 4),
                     4); /* Ctrl-C is the guest's; half an escape */
    user_turn(u, SHORT_NS);
    assert_string_equal(u[0].got, "a\x03\r");

    user_new(&u[1], &stdio_config, true);
    hand_over(&u[0], &u[1]);
    assert_int_equal(write(s.master, "xb", 2), 2);
    user_start(&u[1], &user_frontend);
    chardev_free(u[0].chardev);
    u[0].chardev = NULL;
    assert_true(is_raw(&s));
    assert_int_equal(u[1].quits, 1);
    assert_string_equal(u[1].got, "b");
    assert_int_equal(chardev_write(u[1].chardev, "out", 3), 3);
    assert_reads(s.master, "out");

    chardev_free(u[1].chardev);
    u[1].chardev = NULL;
    assert_int_equal(tcgetattr(s.slave, &after), 0);
    assert_int_equal(after.c_lflag, s.before.c_lflag);
    assert_int_equal(after.c_iflag, s.before.c_iflag);
    assert_memory_equal(after.c_cc, s.before.c_cc, sizeof(after.c_cc));
    assert_int_equal(fcntl(s.slave, F_GETFL), s.flags);
    swap_back(&s);
}

static void a_target_that_never_ran_leaves_the_terminal_alone(void **state)
{
    struct user *u = *state;
    struct stdio_swap s;

    swap_in(&s);
    user_new(&u[0], &stdio_config, false);
    user_open(&u[0]);
    user_start(&u[0], &user_frontend);
    user_new(&u[1], &stdio_config, false);
    hand_over(&u[0], &u[1]);
    chardev_free(u[1].chardev);
    u[1].chardev = NULL;
    assert_true(is_raw(&s));
    user_resume(&u[0]);
    chardev_free(u[0].chardev);
    u[0].chardev = NULL;
    assert_false(is_raw(&s));
    swap_back(&s);
}

static void a_monitor_leaves_the_terminal_in_line_mode(void **state)
{
    struct user *u = *state;
    struct chardev_frontend lines = user_frontend;
    struct stdio_swap s;

    lines.line_mode = true;
    swap_in(&s);
    user_new(u, &stdio_config, false);
    user_open(u);
    user_start(u, &lines);
    assert_int_equal(u->opened, 1);
    assert_false(is_raw(&s));
    chardev_free(u->chardev);
    u->chardev = NULL;
    swap_back(&s);
}

static void command_keys(void **state)
{
    struct user *u = *state;
    struct stdio_swap s;

    swap_in(&s);
    user_new(u, &stdio_config, true);
    user_open(u);
    user_start(u, &user_frontend);
    assert_int_equal(write(s.master,
                           "1\x01\x01"
                           "2\x01"
                           "c3\x01h4",
                           10),
                     10);
    user_turn(u, SHORT_NS);
    assert_string_equal(u->got, "1\x01"
                                "234");
    assert_int_equal(u->quits, 0);
    assert_reads(s.master, "\r\nCtrl-a x       end the virtual machine\r\n"
                           "Ctrl-a h       this help\r\n"
                           "Ctrl-a Ctrl-a  send Ctrl-a to the guest\r\n");
    assert_int_equal(write(s.master, "\x01x", 2), 2);
    user_turn(u, SHORT_NS);
    assert_int_equal(u->quits, 1);
    swap_back(&s);
}

static void without_escape_every_byte_is_the_guests(void **state)
{
    struct user *u = *state;
    struct stdio_swap s;

    swap_in(&s);
    user_new(u, &stdio_config, false);
    user_open(u);
    user_start(u, &user_frontend);
    assert_int_equal(write(s.master, "\x01x", 2), 2);
    user_turn(u, SHORT_NS);
    assert_string_equal(u->got, "\x01x");
    assert_int_equal(u->quits, 0);
    swap_back(&s);
}

/* The kernel cannot watch a regular file: input from one must work nevertheless, in pieces. */
static void stdin_may_be_a_file(void **state)
{
    struct user *u = *state;
    struct stdio_swap s;
    char path[96];
    int fd;

    temp_path(path, sizeof(path), "stdin");
    fd = open(path, O_CREAT | O_RDWR, 0600);
    assert_int_equal(write(fd, "abcdef", 6), 6);
    lseek(fd, 0, SEEK_SET);
    swap_in(&s);
    dup2(fd, STDIN_FILENO);
    user_new(u, &stdio_config, false);
    user_open(u);
    u->room = 4;
    user_start(u, &user_frontend);
    assert_string_equal(u->got, "abcd");
    assert_int_equal(u->closed, 0);
    u->room = 4;
    chardev_input_ready(u->chardev);
    user_turn(u, SHORT_NS);
    assert_string_equal(u->got, "abcdef");
    assert_int_equal(u->closed, 1);
    assert_int_equal(chardev_write(u->chardev, "still", 5), 5);
    assert_reads(s.master, "still");
    assert_true(fcntl(fd, F_GETFL) & O_NONBLOCK);
    chardev_free(u->chardev);
    u->chardev = NULL;
    assert_false(fcntl(fd, F_GETFL) & O_NONBLOCK);
    swap_back(&s);
    close(fd);
    unlink(path);
}

static void a_record_of_another_kind_is_refused(void **state)
{
    struct user *u = *state;
    struct ferry_part part;
    struct ferry_err err;
    int pair[2];

    user_new(u, &stdio_config, false);
    part = chardev_part(u->chardev);
    assert_int_equal(pipe(pair), 0);
    assert_true(part.ops->adopt(part.obj, "tty/terminal", &pair[0], &err) < 0);
    assert_true(part.ops->adopt(part.obj, "tty/in", &pair[1], &err) < 0);
    assert_true(part.ops->adopt(part.obj, "tty/out", &pair[0], &err) < 0);
    assert_int_equal(part.ops->adopt(part.obj, "tty/in", &pair[0], &err), 0);
    close(pair[1]);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, loop_setup, loop_teardown)
    const struct CMUnitTest tests[] = {
        T(a_terminal_is_raw_until_the_last_process_ends),
        T(a_target_that_never_ran_leaves_the_terminal_alone),
        T(a_monitor_leaves_the_terminal_in_line_mode),
        T(command_keys),
        T(without_escape_every_byte_is_the_guests),
        T(stdin_may_be_a_file),
        T(a_record_of_another_kind_is_refused),
    };

    signal(SIGPIPE, SIG_IGN);
    stdio_config.id = (char *)(uintptr_t) "tty";
    return cmocka_run_group_tests(tests, NULL, NULL);
}
