/* SPDX-License-Identifier: Apache-2.0 */
/* getfd, add-fd and their relatives, and what a hostile client can do with SCM_RIGHTS. */
#include "tests/unit.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/err.h"
#include "tests/send_fds.h"
#include "tests/vmm/qmp/talk.h"
#include "vmm/qmp/session.h"

struct bench {
    struct talk talk;
    int file;   /* what clients send */
    int before; /* open files at the start */
};

static int open_files(void)
{
    DIR *dir = opendir("/proc/self/fd");
    int n = 0;

    assert_non_null(dir);
    while (readdir(dir))
        n++;
    closedir(dir);
    return n;
}

static int setup(void **state)
{
    struct bench *b = calloc(1, sizeof(*b));

    talk_begin(&b->talk);
    b->file = memfd_create("sent", MFD_CLOEXEC);
    b->before = open_files();
    *state = b;
    return 0;
}

static int teardown(void **state)
{
    struct bench *b = *state;

    talk_end(&b->talk);
    close(b->file);
    free(b);
    return 0;
}

static void leave(struct bench *b, int fd)
{
    close(fd);
    turn(b->talk.loop);
}

#define GETFD(name)  "{\"execute\":\"getfd\",\"arguments\":{\"fdname\":\"" name "\"}}"
#define CLOSEFD(n)   "{\"execute\":\"closefd\",\"arguments\":{\"fdname\":\"" n "\"}}"
#define NO_FD        ERROR("No file descriptor supplied via SCM_RIGHTS")
#define ADD(args)    "{\"execute\":\"add-fd\",\"arguments\":{" args "}}"
#define REMOVE(args) "{\"execute\":\"remove-fd\",\"arguments\":{" args "}}"
#define SETS         "{\"execute\":\"query-fdsets\"}"

/* An fd that migrate fd:NAME would get is the file that was sent. */
static void assert_named(struct bench *b, const char *name, bool is_there)
{
    struct ferry_fd_names names = fd_table_names(b->talk.fds);
    struct ferry_err err;
    int fd = names.take(names.opaque, name, &err);

    assert_int_equal(fd >= 0, is_there);
    if (is_there)
        close(fd);
}

static void names(void **state)
{
    struct bench *b = *state;
    int a = talk_client(&b->talk), other = talk_client(&b->talk);

    client_send(a, GETFD("f0"));
    ASSERT_SAYS(&b->talk, a, NO_FD);
    send_fds(a, GETFD("9f"), &b->file, 1);
    ASSERT_SAYS(&b->talk, a, ERROR("Parameter 'fdname' expects a name not starting with a digit"));
    client_send(a, CLOSEFD("f0"));
    ASSERT_SAYS(&b->talk, a, ERROR("File descriptor named 'f0' not found"));
    send_fds(a, GETFD("f0"), &b->file, 1);
    ASSERT_SAYS(&b->talk, a, OK);
    assert_named(b, "f0", true);
    /* Used again: the old one is closed. */
    send_fds(a, GETFD("f0"), &b->file, 1);
    ASSERT_SAYS(&b->talk, a, OK);
    assert_int_equal(open_files(), b->before + 5); /* both ends of two clients, f0 */
    /* The table is the VM's: it outlives its client, and all may use it. */
    leave(b, a);
    client_send(other, CLOSEFD("f0"));
    ASSERT_SAYS(&b->talk, other, OK);
    assert_named(b, "f0", false);
    leave(b, other);
    assert_int_equal(open_files(), b->before);
}

/* Python's client sends it with a blank before the command; a request may also come in pieces. */
static void an_fd_before_its_command(void **state)
{
    struct bench *b = *state;
    int fd = talk_client(&b->talk);

    send_fds(fd, " ", &b->file, 1);
    ASSERT_SAYS(&b->talk, fd, "");
    client_send(fd, GETFD("f0"));
    ASSERT_SAYS(&b->talk, fd, OK);
    send_fds(fd, "{\"execute\":\"getfd\",", &b->file, 1);
    ASSERT_SAYS(&b->talk, fd, "");
    client_send(fd, "\"arguments\":{\"fdname\":\"f1\"}}");
    ASSERT_SAYS(&b->talk, fd, OK);
    /* One each, sent before either is answered. */
    send_fds(fd, GETFD("f2"), &b->file, 1);
    send_fds(fd, GETFD("f3"), &b->file, 1);
    ASSERT_SAYS(&b->talk, fd, OK OK);
    client_send(fd, GETFD("f4"));
    ASSERT_SAYS(&b->talk, fd, NO_FD);
    assert_named(b, "f3", true);
    /* What no command has taken is not kept for one that sends none. */
    send_fds(fd, " ", &b->file, 1);
    ASSERT_SAYS(&b->talk, fd, "");
    send_fds(fd, " ", &b->file, 1);
    ASSERT_SAYS(&b->talk, fd, "");
    client_send(fd, GETFD("f3") GETFD("f4"));
    ASSERT_SAYS(&b->talk, fd, OK NO_FD);
    leave(b, fd);
    assert_int_equal(open_files(), b->before + 4);
}

static void sets(void **state)
{
    struct bench *b = *state;
    char said[4096], wanted[256];
    int fd = talk_client(&b->talk), first, second;

    client_send(fd, SETS);
    ASSERT_SAYS(&b->talk, fd, "{\"return\": []}\r\n");
    client_send(fd, ADD(""));
    ASSERT_SAYS(&b->talk, fd, NO_FD);
    send_fds(fd, ADD("\"fdset-id\":-1"), &b->file, 1);
    ASSERT_SAYS(&b->talk, fd, ERROR("Parameter 'fdset-id' expects a non-negative value"));
    send_fds(fd, ADD("\"opaque\":\"rw\""), &b->file, 1);
    turn(b->talk.loop);
    client_read(fd, said, sizeof(said));
    assert_int_equal(sscanf(said, "{\"return\": {\"fdset-id\": 0, \"fd\": %d}}", &first), 1);
    send_fds(fd, ADD("\"fdset-id\":0"), &b->file, 1);
    turn(b->talk.loop);
    client_read(fd, said, sizeof(said));
    assert_int_equal(sscanf(said, "{\"return\": {\"fdset-id\": 0, \"fd\": %d}}", &second), 1);
    snprintf(wanted, sizeof(wanted),
             "{\"return\": [{\"fds\": [{\"fd\": %d, \"opaque\": \"rw\"}, {\"fd\": %d}], "
             "\"fdset-id\": 0}]}\r\n",
             first, second);
    client_send(fd, SETS);
    ASSERT_SAYS(&b->talk, fd, wanted);
    client_send(fd, REMOVE("\"fdset-id\":9"));
    ASSERT_SAYS(&b->talk, fd, ERROR("File descriptor named 'fdset-id:9' not found"));
    client_send(fd, REMOVE("\"fdset-id\":0,\"fd\":-1"));
    ASSERT_SAYS(&b->talk, fd, ERROR("File descriptor named 'fdset-id:0, fd:-1' not found"));
    client_send(fd, REMOVE("\"fdset-id\":0"));
    ASSERT_SAYS(&b->talk, fd, OK);
    client_send(fd, SETS);
    ASSERT_SAYS(&b->talk, fd, "{\"return\": []}\r\n");
    leave(b, fd);
    assert_int_equal(open_files(), b->before);
}

/* A stream's fd has no O_DIRECT; that for the pages of a mapped-ram file must have it. */
static void with_and_without_direct(void **state)
{
    struct bench *b = *state;
    struct ferry_fd_names names = fd_table_names(b->talk.fds);
    int fd = talk_client(&b->talk), direct, got;
    struct ferry_err err;
    char path[32];

    send_fds(fd, ADD("\"fdset-id\":3"), &b->file, 1);
    turn(b->talk.loop);
    got = names.open_set(names.opaque, 3, O_RDWR, &err);
    assert_true(got >= 0);
    close(got);
    assert_int_equal(names.open_set(names.opaque, 3, O_RDWR | O_DIRECT, &err), -EACCES);
    assert_non_null(strstr(err.text, "is open for writing with O_DIRECT"));
    snprintf(path, sizeof(path), "/proc/self/fd/%d", b->file);
    direct = open(path, O_RDWR | O_DIRECT | O_CLOEXEC);
    if (direct >= 0) { /* not every kernel's memory has it */
        client_send(fd, REMOVE("\"fdset-id\":3"));
        send_fds(fd, ADD("\"fdset-id\":3"), &direct, 1);
        turn(b->talk.loop);
        close(direct);
        assert_int_equal(names.open_set(names.opaque, 3, O_RDWR, &err), -EACCES);
        assert_non_null(strstr(err.text, "without O_DIRECT"));
        got = names.open_set(names.opaque, 3, O_WRONLY | O_DIRECT, &err);
        assert_true(got >= 0);
        close(got);
    }
    leave(b, fd);
}

/* One command takes one; the others of its message are closed, also those of no command. */
static void more_than_is_asked_for(void **state)
{
    struct bench *b = *state;
    int many[200], a = talk_client(&b->talk), other = talk_client(&b->talk);

    for (size_t i = 0; i < 200; i++)
        many[i] = b->file;
    send_fds(a, GETFD("f0"), many, 200);
    ASSERT_SAYS(&b->talk, a, OK);
    assert_int_equal(open_files(), b->before + 5);
    client_send(a, GETFD("f1"));
    ASSERT_SAYS(&b->talk, a, NO_FD);
    for (size_t i = 0; i < 100; i++) {
        send_fds(a, " ", many, 200);
        turn_ns(b->talk.loop, 100000);
    }
    turn(b->talk.loop);
    assert_true(open_files() <= b->before + 5 + (int)SESSION_FDS_MAX);
    /* They are of that client and of no other. */
    client_send(other, GETFD("f1"));
    ASSERT_SAYS(&b->talk, other, NO_FD);
    leave(b, a);
    leave(b, other);
    assert_int_equal(open_files(), b->before + 1);
}

/* Many clients that each keep as much as they can. */
static void a_crowd(void **state)
{
    struct bench *b = *state;
    int many[16], fds[40];

    for (size_t i = 0; i < 16; i++)
        many[i] = b->file;
    for (size_t i = 0; i < 40; i++) {
        fds[i] = talk_client(&b->talk);
        send_fds(fds[i], " ", many, 16);
        turn_ns(b->talk.loop, 1000000);
    }
    turn(b->talk.loop);
    assert_int_equal(open_files(), b->before + 80 + (int)SESSION_ALL_FDS_MAX);
    send_fds(fds[39], GETFD("late"), many, 1);
    ASSERT_SAYS(&b->talk, fds[39], NO_FD);
    for (size_t i = 0; i < 40; i++)
        close(fds[i]);
    turn(b->talk.loop);
    assert_int_equal(open_files(), b->before);
}

/* The table itself has an end, which a client is told. */
static void a_full_table(void **state)
{
    struct bench *b = *state;
    char said[8192], request[128];
    int fd = talk_client(&b->talk);

    for (unsigned i = 0; i <= FD_TABLE_MAX; i++) {
        snprintf(request, sizeof(request), GETFD("n%u"), i);
        send_fds(fd, request, &b->file, 1);
        turn_ns(b->talk.loop, 200000);
    }
    turn(b->talk.loop);
    client_read(fd, said, sizeof(said));
    assert_non_null(strstr(said, "256 file descriptors for its clients already"));
    assert_int_equal(open_files(), b->before + 2 + (int)FD_TABLE_MAX);
    leave(b, fd);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(names),
        T(an_fd_before_its_command),
        T(sets),
        T(with_and_without_direct),
        T(more_than_is_asked_for),
        T(a_crowd),
        T(a_full_table),
    };

    signal(SIGPIPE, SIG_IGN);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
