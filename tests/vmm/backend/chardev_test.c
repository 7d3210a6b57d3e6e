/* SPDX-License-Identifier: Apache-2.0 */
/* Sockets and files. */
#include "tests/unit.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/own.h"
#include "tests/send_fds.h"
#include "tests/vmm/backend/chardev_user.h"
#include "vmm/backend/chardev.h"

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
    chardev_free(u[1].chardev);
    u[1].chardev = NULL;
    fd = open(path, O_RDONLY);
    assert_int_equal(read(fd, got, sizeof(got)), 7);
    assert_string_equal(got, "one two");
    close(fd);
    unlink(path);
}

/* What a guest says is nobody else's to read. */
static void a_file_is_its_owners(void **state)
{
    struct user *u = *state;
    char path[96];
    struct config_chardev config = {
        .id = (char *)(uintptr_t) "f", .type = CONFIG_CHARDEV_FILE, .path = path};
    mode_t before = umask(0);
    struct stat st;

    temp_path(path, sizeof(path), "mode");
    user_new(u, &config, false);
    user_open(u);
    umask(before);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0600);
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

/* A mistyped name shall not cost a disk. */
static void a_locked_file_is_not_written_over(void **state)
{
    struct user *u = *state;
    char path[96];
    struct config_chardev config = {
        .id = (char *)(uintptr_t) "f", .type = CONFIG_CHARDEV_FILE, .path = path};
    struct ferry_err err;
    struct stat st;
    OWN_FD int holder = -1;

    temp_path(path, sizeof(path), "locked");
    holder = open(path, O_CREAT | O_RDWR | O_CLOEXEC, 0600);
    assert_int_equal(write(holder, "disk", 4), 4);
    assert_int_equal(flock(holder, LOCK_SH), 0);
    for (unsigned append = 0; append < 2; append++) {
        config.append = append;
        user_new(u, &config, false);
        assert_int_equal(chardev_open(u->chardev, &err), -EBUSY);
        assert_non_null(strstr(err.text, "somebody has locked it"));
        chardev_free(u->chardev);
        u->chardev = NULL;
    }
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_size, 4);
    unlink(path);
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

/* wait=on is the machine's business; nothing here blocks. With and without a user of the line. */
static void a_client_can_be_sent_away(void **state)
{
    struct user *u = *state;
    char path[96], byte;
    struct config_chardev config = socket_config(path);
    struct ferry_err err;
    int first, second;

    temp_path(path, sizeof(path), "away");
    user_new(u, &config, false);
    user_open(u);
    user_start(u, &user_frontend);
    assert_int_equal(chardev_peer_pid(u->chardev), 0);
    assert_int_equal(chardev_disconnect(u->chardev, &err), -ENOTCONN);
    first = connect_to(path);
    user_until(u, &u->opened, 1);
    assert_int_equal(chardev_peer_pid(u->chardev), getpid());
    second = connect_to(path);
    /* Also while the guest takes nothing, so that nobody reads what the first one sends. */
    u->room = 0;
    assert_int_equal(chardev_disconnect(u->chardev, &err), 0);
    user_until(u, &u->opened, 2);
    assert_int_equal(u->closed, 1);
    assert_int_equal(read(first, &byte, 1), 0);
    assert_int_equal(chardev_write(u->chardev, "yours", 5), 5);
    assert_reads(second, "yours");
    chardev_free(u->chardev);
    u->chardev = NULL;
    close(first);
    close(second);
}

static void the_first_client_is_awaited(void **state)
{
    struct user *u = *state;
    char path[96];
    struct config_chardev config = socket_config(path);

    config.wait = true;
    for (int used = 0; used < 2; used++) {
        int fd;

        temp_path(path, sizeof(path), "wait");
        user_new(u, &config, false);
        assert_false(chardev_awaits_client(u->chardev));
        user_open(u);
        assert_true(chardev_awaits_client(u->chardev));
        if (used)
            user_start(u, &user_frontend);
        else
            user_resume(u);
        user_turn(u, SHORT_NS);
        assert_true(chardev_awaits_client(u->chardev));
        u->came = 0;
        fd = connect_to(path);
        user_until(u, &u->came, 1);
        assert_false(chardev_awaits_client(u->chardev));
        close(fd);
        fd = connect_to(path);
        user_turn(u, SHORT_NS);
        assert_int_equal(u->came, 1);
        close(fd);
        chardev_free(u->chardev);
        u->chardev = NULL;
    }
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
    assert_non_null(strstr(err.text, "nobody listens there; with server=on,wait=off this VM does"));
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

/* --- File descriptors that a peer sends --- */

static int fds_got[64];
static size_t fds_count;

static void note_fds(void *arg, const int *fds, size_t count)
{
    for (size_t i = 0; i < count; i++)
        fds_got[fds_count++] = fds[i];
}

static void send_copies(int socket, const char *text, int fd, size_t count)
{
    int fds[SEND_FDS_MAX];

    for (size_t i = 0; i < count; i++)
        fds[i] = fd;
    send_fds(socket, text, fds, count);
}

/* Whether all copies of the pipe's end but the sender's are closed. */
static bool all_closed(int ends[2])
{
    struct pollfd p = {.fd = ends[0]};

    own_close_fd(&ends[1]);
    assert_true(poll(&p, 1, 0) >= 0);
    own_close_fd(&ends[0]);
    return (p.revents & POLLHUP) != 0;
}

static void fds_are_for_a_frontend_that_asks(void **state)
{
    struct chardev_frontend frontend = user_frontend;
    struct user *u = *state;
    char path[96];
    struct config_chardev config = socket_config(path);
    int ends[2], fd;

    temp_path(path, sizeof(path), "fds");
    user_new(u, &config, false);
    user_open(u);
    frontend.receive_fds = note_fds;
    user_start(u, &frontend);
    fd = connect_to(path);
    user_until(u, &u->opened, 1);

    /* At most so many; what the kernel keeps back it closes. Bytes come as ever. */
    assert_int_equal(pipe(ends), 0);
    fds_count = 0;
    send_copies(fd, "abc", ends[1], 200);
    user_turn(u, SHORT_NS);
    assert_int_equal(fds_count, CHARDEV_FDS_MAX);
    assert_int_equal(u->got_bytes, 3);
    for (size_t i = 0; i < fds_count; i++) {
        assert_int_equal(fcntl(fds_got[i], F_GETFD), FD_CLOEXEC);
        close(fds_got[i]);
    }
    assert_true(all_closed(ends));

    /* One that does not ask has none of them open. */
    frontend.receive_fds = NULL;
    assert_int_equal(pipe(ends), 0);
    fds_count = 0;
    send_copies(fd, "def", ends[1], 5);
    user_turn(u, SHORT_NS);
    assert_int_equal(fds_count, 0);
    assert_int_equal(u->got_bytes, 6);
    assert_true(all_closed(ends));
    close(fd);
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

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, loop_setup, loop_teardown)
    const struct CMUnitTest tests[] = {
        T(null_takes_everything),
        T(a_frontend_is_alone),
        T(a_file_goes_on_where_the_old_process_stopped),
        T(a_file_is_its_owners),
        T(a_file_that_cannot_be_opened_says_why),
        T(a_locked_file_is_not_written_over),
        T(a_socket_serves_one_client_after_the_other),
        T(input_waits_until_there_is_room),
        T(a_full_peer_takes_the_rest_later),
        T(who_waits_to_write_is_told_when_the_peer_goes),
        T(a_write_that_finds_nobody_makes_way_for_the_next),
        T(a_path_that_became_somebody_elses_stays),
        T(a_client_can_be_sent_away),
        T(the_first_client_is_awaited),
        T(a_client_stays_connected_over_a_handover),
        T(a_failed_handover_goes_on_in_the_old_process),
        T(what_arrives_is_verified),
        T(a_living_socket_is_not_taken_away),
        T(a_stale_socket_is_replaced_and_a_file_is_not),
        T(connecting_out_works_and_fails_with_a_reason),
        T(several_clients_at_once_if_the_frontend_can),
        T(fds_are_for_a_frontend_that_asks),
        T(writes_of_another_thread_race_with_hangups),
    };

    signal(SIGPIPE, SIG_IGN);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
