/* SPDX-License-Identifier: Apache-2.0 */
/* logfile=: what goes out of a chardev is written to a file, too. */
#include "tests/unit.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/vmm/backend/chardev_user.h"

static void assert_file_is(const char *path, const char *text)
{
    char got[256] = {0};
    int fd = open(path, O_RDONLY);

    assert_true(read(fd, got, sizeof(got) - 1) >= 0);
    assert_string_equal(got, text);
    close(fd);
}

/* Whether somebody reads it or not, whoever is in the way, and in whatever process. */
static void what_is_written_is_in_the_logfile(void **state)
{
    struct user *u = *state;
    char path[96], log[96];
    struct config_chardev config = socket_config(path);
    struct stat st;
    int client;

    temp_path(log, sizeof(log), "log");
    temp_path(path, sizeof(path), "logged");
    config.logfile = log;
    user_new(&u[0], &config, false);
    user_open(&u[0]);
    user_start(&u[0], &user_frontend);
    assert_int_equal(stat(log, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    assert_int_equal(chardev_write(u[0].chardev, "alone ", 6), 6);
    client = connect_to(path);
    user_until(&u[0], &u[0].opened, 1);
    assert_int_equal(chardev_write(u[0].chardev, "one ", 4), 4);
    assert_reads(client, "one ");
    user_new(&u[1], &config, false);
    hand_over(&u[0], &u[1]);
    assert_int_equal(chardev_write(u[0].chardev, "lost", 4), 0);
    chardev_free(u[0].chardev);
    u[0].chardev = NULL;
    user_start(&u[1], &user_frontend);
    user_until(&u[1], &u[1].opened, 1);
    assert_int_equal(chardev_write(u[1].chardev, "two", 3), 3);
    assert_reads(client, "two");
    chardev_free(u[1].chardev);
    u[1].chardev = NULL;
    assert_file_is(log, "alone one two");
    close(client);
    /* Begun anew, unless it is to be appended to. */
    for (int append = 1; append >= 0; append--) {
        config.type = CONFIG_CHARDEV_NULL;
        config.logappend = append;
        user_new(&u[0], &config, false);
        user_open(&u[0]);
        user_start(&u[0], &user_frontend);
        assert_int_equal(chardev_write(u[0].chardev, "!", 1), 1);
        chardev_free(u[0].chardev);
        u[0].chardev = NULL;
        assert_file_is(log, append ? "alone one two!" : "!");
    }
    unlink(log);
}

/* A client gets what the log has, and the other way round: neither runs ahead of the other. */
static void what_a_client_does_not_take_is_not_logged(void **state)
{
    struct user *u = *state;
    char path[96], log[96], text[4096];
    struct config_chardev config = socket_config(path);
    size_t written = 0, received = 0, n;
    struct stat st;
    ssize_t r;
    int client;

    temp_path(log, sizeof(log), "log");
    temp_path(path, sizeof(path), "logged");
    config.logfile = log;
    memset(text, 'x', sizeof(text));
    user_new(u, &config, false);
    user_open(u);
    user_start(u, &user_frontend);
    client = connect_to(path);
    user_until(u, &u->opened, 1);
    for (int turns = 0; turns < 50; turns++) {
        while ((n = chardev_write(u->chardev, text, sizeof(text))) > 0)
            written += n;
        user_turn(u, 1000000);
    }
    chardev_free(u->chardev);
    u->chardev = NULL;
    assert_int_equal(stat(log, &st), 0);
    assert_int_equal(st.st_size, written);
    while ((r = read(client, text, sizeof(text))) > 0)
        received += (size_t)r;
    assert_int_equal(received, written);
    close(client);
    unlink(log);
}

/* A logfile that is the image of a VM, as a typing error makes it. */
static void what_somebody_has_locked_stays_as_it_is(void **state)
{
    struct flock lock = {.l_type = F_RDLCK, .l_whence = SEEK_SET, .l_start = 100, .l_len = 1};
    struct user *u = *state;
    struct config_chardev config = {.id = (char[]){"c"}, .type = CONFIG_CHARDEV_NULL};
    struct ferry_err err;
    char log[96];
    int fd;

    temp_path(log, sizeof(log), "image");
    fd = open(log, O_RDWR | O_CREAT | O_EXCL, 0600);
    assert_int_equal(write(fd, "a disk", 6), 6);
    assert_int_equal(fcntl(fd, F_OFD_SETLK, &lock), 0);
    config.logfile = log;
    for (int append = 0; append <= 1; append++) {
        config.logappend = append;
        user_new(&u[0], &config, false);
        assert_int_equal(chardev_open(u[0].chardev, &err), -EBUSY);
        assert_non_null(strstr(err.text, "somebody has locked it"));
        assert_file_is(log, "a disk");
        chardev_free(u[0].chardev);
        u[0].chardev = NULL;
    }
    close(fd);
    unlink(log);
}

/* Both in one: what the guest says, to a device that is always full; its logfile, that may not
 * grow.
 */
static void what_is_lost_is_said_once(void **state)
{
    static const char losses[] =
        "ferry: warning: chardev \"c\": No space left on device: what is written to it is lost "
        "until there is room\n"
        "ferry: warning: chardev \"c\": its logfile: File too large: what it should hold is lost "
        "until there is room\n";
    struct user *u = *state;
    struct config_chardev config = {
        .id = (char[]){"c"}, .type = CONFIG_CHARDEV_FILE, .path = (char[]){"/dev/full"}};
    struct rlimit room, full;
    char log[96], said[512] = {0};
    int saved = dup(STDERR_FILENO), pipe_fds[2];

    temp_path(log, sizeof(log), "log");
    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &room), 0);
    config.logfile = log;
    user_new(u, &config, false);
    user_open(u);
    user_start(u, &user_frontend);
    assert_int_equal(pipe(pipe_fds), 0); /* no file, which may not grow either */
    assert_true(dup2(pipe_fds[1], STDERR_FILENO) >= 0);
    for (int i = 0; i < 20; i++) {
        /* One of the two at a time, so that their order is known. */
        full = (struct rlimit){.rlim_cur = i < 10 ? room.rlim_cur : 4, .rlim_max = room.rlim_max};
        assert_int_equal(setrlimit(RLIMIT_FSIZE, &full), 0);
        assert_int_equal(chardev_write(u->chardev, "lost", 4), 4);
        user_turn(u, SHORT_NS);
        assert_int_equal(setrlimit(RLIMIT_FSIZE, &room), 0);
    }
    dup2(saved, STDERR_FILENO);
    close(saved);
    close(pipe_fds[1]);
    chardev_free(u->chardev);
    u->chardev = NULL;
    assert_true(read(pipe_fds[0], said, sizeof(said) - 1) >= 0);
    assert_string_equal(said, losses);
    close(pipe_fds[0]);
    unlink(log);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(what_is_written_is_in_the_logfile, loop_setup,
                                        loop_teardown),
        cmocka_unit_test_setup_teardown(what_a_client_does_not_take_is_not_logged, loop_setup,
                                        loop_teardown),
        cmocka_unit_test_setup_teardown(what_is_lost_is_said_once, loop_setup, loop_teardown),
        cmocka_unit_test_setup_teardown(what_somebody_has_locked_stays_as_it_is, loop_setup,
                                        loop_teardown),
    };

    signal(SIGPIPE, SIG_IGN);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
