/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <pty.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/own.h"
#include "vmm/backend/chardev.h"

/* A frontend that notes what it is told, on a loop that runs until a condition holds. */
struct user {
    /* The chardev's loan: it outlives the test that made it. */
    struct config_chardev config;
    char path[128];
    struct loop *loop;
    struct chardev *chardev;
    size_t room;
    char got[4096];
    size_t got_bytes;
    int opened, closed, writables, quits;
    struct chardev *client; /* the last one that accept() gave */
    int accepted;
    const int *watched; /* stop the loop when this counter ... */
    int wanted;         /* ... has reached this */
};

static void user_check(struct user *u)
{
    if (u->watched && *u->watched >= u->wanted)
        loop_stop(u->loop);
}

static size_t user_can_receive(void *arg)
{
    return ((struct user *)arg)->room;
}

static void user_receive(void *arg, const uint8_t *data, size_t n)
{
    struct user *u = arg;

    assert_true(n <= u->room);
    assert_true(u->got_bytes + n < sizeof(u->got));
    memcpy(u->got + u->got_bytes, data, n);
    u->got_bytes += n;
    u->room -= n;
}

static void user_writable(void *arg)
{
    struct user *u = arg;

    u->writables++;
    user_check(u);
}

static void user_event(void *arg, enum chardev_event event)
{
    struct user *u = arg;

    if (event == CHARDEV_OPENED)
        u->opened++;
    else
        u->closed++;
    user_check(u);
}

static void user_accept(void *arg, struct chardev *client)
{
    struct user *u = arg;

    u->client = client;
    u->accepted++;
    user_check(u);
}

static void user_quit(void *arg)
{
    ((struct user *)arg)->quits++;
}

static const struct chardev_frontend user_frontend = {
    .can_receive = user_can_receive,
    .receive = user_receive,
    .writable = user_writable,
    .event = user_event,
};

static const struct chardev_frontend user_frontend_many = {.accept = user_accept};

static void stop_loop(void *arg)
{
    loop_stop(((struct user *)arg)->loop);
}

/* Let the loop do what is due now and a little later. */
static void user_turn(struct user *u, int64_t ns)
{
    struct loop_timer *t;
    struct ferry_err err;

    assert_int_equal(loop_timer_new(&t, u->loop, stop_loop, u, &err), 0);
    loop_timer_set(t, clock_monotonic_ns() + ns);
    loop_run(u->loop);
    loop_timer_free(t);
}

#define SHORT_NS 20000000

static void user_until(struct user *u, const int *counter, int wanted)
{
    u->watched = counter;
    u->wanted = wanted;
    if (*counter < wanted)
        user_turn(u, 5000000000);
    u->watched = NULL;
    assert_true(*counter >= wanted);
}

static void user_new(struct user *u, const struct config_chardev *config, bool escape)
{
    struct chardev_params params = {
        .config = &u->config, .loop = u->loop, .escape = escape, .quit = user_quit, .quit_arg = u};
    struct ferry_err err;

    u->config = *config;
    if (config->path) {
        snprintf(u->path, sizeof(u->path), "%s", config->path);
        u->config.path = u->path;
    }
    assert_int_equal(chardev_new(&u->chardev, &params, &err), 0);
}

static void user_open(struct user *u)
{
    struct ferry_err err = {0};
    int rc = chardev_open(u->chardev, &err);

    assert_string_equal(err.text, "");
    assert_int_equal(rc, 0);
}

static void user_resume(struct user *u)
{
    struct ferry_part part = chardev_part(u->chardev);

    part.ops->resume(part.obj);
}

static void user_start(struct user *u, const struct chardev_frontend *frontend)
{
    struct ferry_err err;

    assert_int_equal(chardev_set_frontend(u->chardev, frontend, u, &err), 0);
    user_resume(u);
    user_turn(u, SHORT_NS);
}

/* What a handover does: pause the old one, give copies of its fds to the new one by name. */
static void hand_over(struct user *from, struct user *to)
{
    struct ferry_part old = chardev_part(from->chardev), new = chardev_part(to->chardev);
    struct ferry_named_fd named;
    struct ferry_err err = {0};

    old.ops->pause(old.obj);
    for (size_t i = 0; old.ops->fd_at(old.obj, i, &named) == 0; i++) {
        int copy;

        if (named.fd < 0)
            continue;
        copy = fcntl(named.fd, F_DUPFD_CLOEXEC, 3);
        assert_int_equal(new.ops->adopt(new.obj, named.name, &copy, &err), 0);
        assert_int_equal(copy, -1);
    }
}

static int loop_setup(void **state)
{
    struct user *u = calloc(2, sizeof(*u));
    struct ferry_err err;

    assert_int_equal(loop_new(&u->loop, &err), 0);
    u[1].loop = u->loop;
    u[0].room = u[1].room = sizeof(u->got) - 1;
    *state = u;
    return 0;
}

static int loop_teardown(void **state)
{
    struct user *u = *state;

    for (int i = 0; i < 2; i++)
        chardev_free(u[i].chardev);
    user_turn(u, SHORT_NS); /* what was posted goes with its chardev */
    loop_free(u->loop);
    free(u);
    return 0;
}

static void temp_path(char *ret, size_t n, const char *name)
{
    snprintf(ret, n, "/tmp/ferry-chardev-%d-%s", getpid(), name);
    unlink(ret);
}

static int connect_to(const char *path)
{
    struct sockaddr_un addr = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    snprintf(addr.sun_path, sizeof(addr.sun_path), "%s", path);
    assert_int_equal(connect(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
    return fd;
}

static void assert_reads(int fd, const char *text)
{
    char got[256] = {0};
    size_t n = 0;

    while (n < strlen(text)) {
        struct pollfd p = {.fd = fd, .events = POLLIN};
        ssize_t r;

        assert_int_equal(poll(&p, 1, 2000), 1);
        r = read(fd, got + n, sizeof(got) - 1 - n);
        assert_true(r > 0);
        n += (size_t)r;
    }
    assert_string_equal(got, text);
}

static struct config_chardev socket_config(char *path)
{
    return (struct config_chardev){.id = (char *)(uintptr_t) "con",
                                   .type = CONFIG_CHARDEV_SOCKET,
                                   .path = path,
                                   .server = true};
}

static void null_takes_everything(void **state)
{
    struct user *u = *state;
    struct config_chardev config = {.id = (char *)(uintptr_t) "n", .type = CONFIG_CHARDEV_NULL};
    struct ferry_named_fd named;
    struct ferry_part part;
    char name[64];

    user_new(u, &config, false);
    user_open(u);
    user_start(u, &user_frontend);
    assert_int_equal(chardev_write(u->chardev, "abc", 3), 3);
    assert_int_equal(u->opened, 0);
    part = chardev_part(u->chardev);
    assert_string_equal(part.idstr, "chardev/n");
    assert_int_equal(part.ops->fd_at(part.obj, 0, &named), -ENOENT);
    chardev_filename(u->chardev, name, sizeof(name));
    assert_string_equal(name, "null");
}

static void a_frontend_is_alone(void **state)
{
    struct user *u = *state;
    struct config_chardev config = {.id = (char *)(uintptr_t) "n", .type = CONFIG_CHARDEV_NULL};
    struct ferry_err err;

    user_new(u, &config, false);
    assert_false(chardev_frontend_open(u->chardev));
    assert_int_equal(chardev_set_frontend(u->chardev, &user_frontend, u, &err), 0);
    assert_int_equal(chardev_set_frontend(u->chardev, &user_frontend, u, &err), -EBUSY);
    assert_string_equal(err.text, "Chardev 'n' is busy");
    assert_true(chardev_frontend_open(u->chardev));
    chardev_clear_frontend(u->chardev);
    assert_int_equal(chardev_set_frontend(u->chardev, &user_frontend, u, &err), 0);
}

static void a_file_goes_on_where_the_old_process_stopped(void **state)
{
    struct user *u = *state;
    char path[96], got[32] = {0};
    struct config_chardev config = {
        .id = (char *)(uintptr_t) "f", .type = CONFIG_CHARDEV_FILE, .path = path};
    int fd;

    temp_path(path, sizeof(path), "file");
    user_new(&u[0], &config, false);
    user_open(&u[0]);
    user_start(&u[0], &user_frontend);
    assert_int_equal(u[0].writables, 1);
    assert_int_equal(chardev_write(u[0].chardev, "one ", 4), 4);
    user_new(&u[1], &config, false);
    hand_over(&u[0], &u[1]);
    user_start(&u[1], &user_frontend);
    assert_int_equal(chardev_write(u[1].chardev, "two", 3), 3);
    fd = open(path, O_RDONLY);
    assert_int_equal(read(fd, got, sizeof(got)), 7);
    assert_string_equal(got, "one two");
    close(fd);
    unlink(path);
}

static void a_file_that_cannot_be_opened_says_why(void **state)
{
    struct user *u = *state;
    struct config_chardev config = {.id = (char *)(uintptr_t) "f",
                                    .type = CONFIG_CHARDEV_FILE,
                                    .path = (char *)(uintptr_t) "/nowhere/x"};
    struct ferry_err err;

    user_new(u, &config, false);
    assert_int_equal(chardev_open(u->chardev, &err), -ENOENT);
    assert_string_equal(err.text,
                        "chardev \"f\": Could not open '/nowhere/x': No such file or directory");
}

static void a_socket_serves_one_client_after_the_other(void **state)
{
    struct user *u = *state;
    char path[96], name[128];
    struct config_chardev config = socket_config(path);
    int first, second;
    struct stat st;

    temp_path(path, sizeof(path), "serve");
    user_new(u, &config, false);
    user_open(u);
    user_start(u, &user_frontend);
    assert_int_equal(chardev_write(u->chardev, "lost", 4), 4);
    chardev_filename(u->chardev, name, sizeof(name));
    assert_memory_equal(name, "disconnected:unix:", 18);
    first = connect_to(path);
    user_until(u, &u->opened, 1);
    chardev_filename(u->chardev, name, sizeof(name));
    assert_memory_equal(name, "unix:/", 6);
    second = connect_to(path);
    assert_int_equal(chardev_write(u->chardev, "hello", 5), 5);
    assert_reads(first, "hello");
    assert_int_equal(write(first, "abc", 3), 3);
    user_turn(u, SHORT_NS);
    assert_string_equal(u->got, "abc");
    assert_int_equal(u->opened, 1);
    close(first);
    user_until(u, &u->opened, 2);
    assert_int_equal(u->closed, 1);
    assert_int_equal(chardev_write(u->chardev, "again", 5), 5);
    assert_reads(second, "again");
    close(second);
    chardev_free(u->chardev);
    u->chardev = NULL;
    assert_int_equal(stat(path, &st), -1);
}

static void input_waits_until_there_is_room(void **state)
{
    struct user *u = *state;
    char path[96];
    struct config_chardev config = socket_config(path);
    int fd;

    temp_path(path, sizeof(path), "room");
    user_new(u, &config, false);
    user_open(u);
    u->room = 2;
    user_start(u, &user_frontend);
    fd = connect_to(path);
    assert_int_equal(write(fd, "abcdef", 6), 6);
    user_turn(u, SHORT_NS);
    assert_string_equal(u->got, "ab");
    u->room = 3;
    chardev_input_ready(u->chardev);
    user_turn(u, SHORT_NS);
    assert_string_equal(u->got, "abcde");
    close(fd);
}

static void a_full_peer_takes_the_rest_later(void **state)
{
    struct user *u = *state;
    static const char block[65536];
    char path[96], sink[65536];
    struct config_chardev config = socket_config(path);
    size_t written = 0, read_bytes = 0, n;
    int fd, before;

    temp_path(path, sizeof(path), "full");
    user_new(u, &config, false);
    user_open(u);
    user_start(u, &user_frontend);
    fd = connect_to(path);
    user_until(u, &u->opened, 1);
    do {
        n = chardev_write(u->chardev, block, sizeof(block));
        written += n;
    } while (n == sizeof(block));
    before = u->writables;
    user_turn(u, SHORT_NS);
    assert_int_equal(u->writables, before);
    while (read_bytes < written) {
        ssize_t r = read(fd, sink, sizeof(sink));

        assert_true(r > 0);
        read_bytes += (size_t)r;
    }
    user_until(u, &u->writables, before + 1);
    assert_int_equal(chardev_write(u->chardev, "x", 1), 1);
    close(fd);
}

static void who_waits_to_write_is_told_when_the_peer_goes(void **state)
{
    struct user *u = *state;
    static const char block[65536];
    char path[96];
    struct config_chardev config = socket_config(path);
    int fd, before;

    temp_path(path, sizeof(path), "gone");
    user_new(u, &config, false);
    user_open(u);
    user_start(u, &user_frontend);
    fd = connect_to(path);
    user_until(u, &u->opened, 1);
    while (chardev_write(u->chardev, block, sizeof(block)) == sizeof(block))
        ;
    before = u->writables;
    close(fd);
    user_until(u, &u->closed, 1);
    user_until(u, &u->writables, before + 1);
    assert_int_equal(chardev_write(u->chardev, "x", 1), 1);
}

/* The reader has no room, so only a write can find out. */
static void a_write_that_finds_nobody_makes_way_for_the_next(void **state)
{
    struct user *u = *state;
    char path[96];
    struct config_chardev config = socket_config(path);
    int fd;

    temp_path(path, sizeof(path), "nobody");
    user_new(u, &config, false);
    user_open(u);
    u->room = 0;
    user_start(u, &user_frontend);
    fd = connect_to(path);
    user_until(u, &u->opened, 1);
    close(fd);
    user_turn(u, SHORT_NS);
    assert_int_equal(u->closed, 0);
    assert_int_equal(chardev_write(u->chardev, "x", 1), 1);
    user_until(u, &u->closed, 1);
    fd = connect_to(path);
    user_until(u, &u->opened, 2);
    assert_int_equal(chardev_write(u->chardev, "y", 1), 1);
    assert_reads(fd, "y");
    close(fd);
}

static void a_path_that_became_somebody_elses_stays(void **state)
{
    struct user *u = *state;
    char path[96];
    struct config_chardev config = socket_config(path);
    struct stat st;

    temp_path(path, sizeof(path), "else");
    user_new(u, &config, false);
    user_open(u);
    unlink(path);
    close(open(path, O_CREAT | O_WRONLY, 0600));
    chardev_free(u->chardev);
    u->chardev = NULL;
    assert_int_equal(stat(path, &st), 0);
    unlink(path);
}

static void a_client_stays_connected_over_a_handover(void **state)
{
    struct user *u = *state;
    char path[96];
    struct config_chardev config = socket_config(path);
    struct stat st;
    int fd, waiting;

    temp_path(path, sizeof(path), "hand");
    user_new(&u[0], &config, false);
    user_open(&u[0]);
    u[0].room = 1;
    user_start(&u[0], &user_frontend);
    fd = connect_to(path);
    assert_int_equal(write(fd, "abc", 3), 3);
    user_turn(u, SHORT_NS);
    assert_string_equal(u[0].got, "a");
    waiting = connect_to(path);

    user_new(&u[1], &config, false);
    hand_over(&u[0], &u[1]);
    u[0].room = 10; /* paused: must not read any more */
    chardev_input_ready(u[0].chardev);
    user_turn(u, SHORT_NS);
    user_start(&u[1], &user_frontend);
    assert_string_equal(u[0].got, "a");
    assert_string_equal(u[1].got, "bc");
    assert_int_equal(u[1].opened, 1);
    chardev_free(u[0].chardev);
    u[0].chardev = NULL;
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(chardev_write(u[1].chardev, "new", 3), 3);
    assert_reads(fd, "new");
    close(fd);
    user_until(&u[1], &u[1].opened, 2);
    assert_int_equal(chardev_write(u[1].chardev, "next", 4), 4);
    assert_reads(waiting, "next");
    close(waiting);
    chardev_free(u[1].chardev);
    u[1].chardev = NULL;
    assert_int_equal(stat(path, &st), -1);
}

static void a_failed_handover_goes_on_in_the_old_process(void **state)
{
    struct user *u = *state;
    char path[96];
    struct config_chardev config = socket_config(path);
    struct stat st;
    int fd;

    temp_path(path, sizeof(path), "back");
    user_new(&u[0], &config, false);
    user_open(&u[0]);
    user_start(&u[0], &user_frontend);
    fd = connect_to(path);
    user_until(u, &u->opened, 1);
    user_new(&u[1], &config, false);
    hand_over(&u[0], &u[1]);
    chardev_free(u[1].chardev);
    u[1].chardev = NULL;
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(write(fd, "abc", 3), 3);
    user_turn(u, SHORT_NS);
    assert_string_equal(u->got, "");
    user_resume(&u[0]);
    user_turn(u, SHORT_NS);
    assert_string_equal(u->got, "abc");
    assert_int_equal(u->opened, 1);
    close(fd);
}

static void what_arrives_is_verified(void **state)
{
    struct user *u = *state;
    char path[96];
    struct config_chardev config = socket_config(path);
    struct ferry_part part;
    struct ferry_err err;
    int pair[2], devnull = open("/dev/null", O_RDONLY);

    temp_path(path, sizeof(path), "verify");
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
    user_new(u, &config, false);
    part = chardev_part(u->chardev);
    assert_true(part.ops->adopt(part.obj, "con/listen", &pair[0], &err) < 0);
    assert_string_equal(err.text, "fd \"con/listen\": is not listening");
    assert_true(part.ops->adopt(part.obj, "con/client", &devnull, &err) < 0);
    assert_string_equal(err.text, "fd \"con/client\": is not a UNIX stream socket");
    assert_true(part.ops->adopt(part.obj, "con/bogus", &pair[0], &err) < 0);
    assert_true(part.ops->adopt(part.obj, "other/client", &pair[0], &err) < 0);
    assert_true(pair[0] >= 0);
    assert_int_equal(part.ops->adopt(part.obj, "con/client", &pair[0], &err), 0);
    assert_int_equal(pair[0], -1);
    assert_true(part.ops->adopt(part.obj, "con/client", &pair[1], &err) < 0);
    close(pair[1]);
    close(devnull);
}

static void a_living_socket_is_not_taken_away(void **state)
{
    struct user *u = *state;
    char path[96];
    struct config_chardev config = socket_config(path);
    struct ferry_err err;

    temp_path(path, sizeof(path), "alive");
    user_new(&u[0], &config, false);
    user_open(&u[0]);
    user_new(&u[1], &config, false);
    assert_int_equal(chardev_open(u[1].chardev, &err), -EADDRINUSE);
    assert_non_null(strstr(err.text, "another process listens there"));
}

static void a_stale_socket_is_replaced_and_a_file_is_not(void **state)
{
    struct user *u = *state;
    char path[96];
    struct config_chardev config = socket_config(path);
    struct sockaddr_un addr = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    struct ferry_err err;

    temp_path(path, sizeof(path), "stale");
    snprintf(addr.sun_path, sizeof(addr.sun_path), "%s", path);
    assert_int_equal(bind(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
    close(fd);
    user_new(&u[0], &config, false);
    user_open(&u[0]);
    chardev_free(u[0].chardev);
    u[0].chardev = NULL;
    close(open(path, O_CREAT | O_WRONLY, 0600));
    user_new(&u[0], &config, false);
    assert_int_equal(chardev_open(u[0].chardev, &err), -EEXIST);
    unlink(path);
}

static void connecting_out_works_and_fails_with_a_reason(void **state)
{
    struct user *u = *state;
    char path[96];
    struct config_chardev server = socket_config(path), client = socket_config(path);
    struct ferry_err err;

    client.server = false;
    temp_path(path, sizeof(path), "out");
    user_new(&u[1], &client, false);
    assert_int_equal(chardev_open(u[1].chardev, &err), -ENOENT);
    assert_non_null(strstr(err.text, "Failed to connect to '"));
    user_new(&u[0], &server, false);
    user_open(&u[0]);
    user_start(&u[0], &user_frontend);
    user_open(&u[1]);
    user_start(&u[1], &user_frontend);
    assert_int_equal(chardev_write(u[1].chardev, "ping", 4), 4);
    user_turn(u, SHORT_NS);
    assert_string_equal(u[0].got, "ping");
}

static void several_clients_at_once_if_the_frontend_can(void **state)
{
    struct user *u = *state;
    char path[96];
    struct config_chardev config = socket_config(path);
    struct chardev *first_client;
    struct ferry_err err;
    int first, second;

    temp_path(path, sizeof(path), "many");
    user_new(u, &config, false);
    user_open(u);
    user_start(u, &user_frontend_many);
    first = connect_to(path);
    user_until(u, &u->accepted, 1);
    first_client = u->client;
    second = connect_to(path);
    user_until(u, &u->accepted, 2);
    assert_int_equal(chardev_set_frontend(u->client, &user_frontend, u, &err), 0);
    user_until(u, &u->opened, 1);
    assert_int_equal(chardev_write(first_client, "one", 3), 3);
    assert_int_equal(chardev_write(u->client, "two", 3), 3);
    assert_reads(first, "one");
    assert_reads(second, "two");
    /* A client that closes only its sending half still reads. */
    assert_int_equal(write(second, "end", 3), 3);
    shutdown(second, SHUT_WR);
    user_until(u, &u->closed, 1);
    assert_string_equal(u->got, "end");
    assert_int_equal(chardev_write(u->client, "bye", 3), 3);
    assert_reads(second, "bye");
    chardev_free(first_client);
    chardev_free(u->client);
    close(first);
    close(second);
}

struct writer {
    struct chardev *chardev;
    atomic_bool stop;
};

static void *write_many(void *arg)
{
    struct writer *w = arg;

    while (!w->stop)
        (void)chardev_write(w->chardev, "0123456789", 10);
    return NULL;
}

/* A hart writes while clients come and go: no write may land in somebody else's fd. */
static void writes_of_another_thread_race_with_hangups(void **state)
{
    struct user *u = *state;
    char path[96], sink[256];
    struct config_chardev config = socket_config(path);
    struct writer w = {0};
    pthread_t thread;

    temp_path(path, sizeof(path), "race");
    user_new(u, &config, false);
    user_open(u);
    user_start(u, &user_frontend);
    w.chardev = u->chardev;
    assert_int_equal(pthread_create(&thread, NULL, write_many, &w), 0);
    for (int i = 1; i <= 50; i++) {
        int fd = connect_to(path);

        user_until(u, &u->opened, i);
        assert_true(read(fd, sink, 10) <= 10);
        close(fd);
        user_until(u, &u->closed, i);
    }
    w.stop = true;
    pthread_join(thread, NULL);
}

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
        T(null_takes_everything),
        T(a_frontend_is_alone),
        T(a_file_goes_on_where_the_old_process_stopped),
        T(a_file_that_cannot_be_opened_says_why),
        T(a_socket_serves_one_client_after_the_other),
        T(input_waits_until_there_is_room),
        T(a_full_peer_takes_the_rest_later),
        T(who_waits_to_write_is_told_when_the_peer_goes),
        T(a_write_that_finds_nobody_makes_way_for_the_next),
        T(a_path_that_became_somebody_elses_stays),
        T(a_client_stays_connected_over_a_handover),
        T(a_failed_handover_goes_on_in_the_old_process),
        T(what_arrives_is_verified),
        T(a_living_socket_is_not_taken_away),
        T(a_stale_socket_is_replaced_and_a_file_is_not),
        T(connecting_out_works_and_fails_with_a_reason),
        T(several_clients_at_once_if_the_frontend_can),
        T(writes_of_another_thread_race_with_hangups),
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
