/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What no handover can beat: 64 KiB and 8 file descriptors over a UNIX socket with two round trips
 * between two processes that sleep until something comes. One line on stdin is one measurement;
 * the answer is one line, {"us": 123.456}. So that bench/update can take it in turns with
 * what it measures.
 *
 *   here                                  child
 *   -- 64 KiB, 8 fds -------------------> receives all of it, closes the fds
 *   <-------------------------- 1 byte --
 *   -- 1 byte --------------------------->
 *   <-------------------------- 1 byte --
 */
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define FLOOR_BYTES 65536
#define FLOOR_FDS   8

union control {
    struct cmsghdr align;
    char bytes[CMSG_SPACE(FLOOR_FDS * sizeof(int))];
};

static void die(const char *what)
{
    fprintf(stderr, "floor: %s: %s\n", what, strerror(errno));
    exit(1);
}

static int64_t now_ns(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
}

static void send_all(int fd, const uint8_t *data, size_t n, const int *fds)
{
    union control control = {0};
    struct iovec iov;
    struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};

    if (fds) {
        msg.msg_control = control.bytes;
        msg.msg_controllen = sizeof(control.bytes);
        control.align.cmsg_level = SOL_SOCKET;
        control.align.cmsg_type = SCM_RIGHTS;
        control.align.cmsg_len = CMSG_LEN(FLOOR_FDS * sizeof(int));
        memcpy(CMSG_DATA(&control.align), fds, FLOOR_FDS * sizeof(int));
    }
    while (n > 0) {
        ssize_t sent;

        iov = (struct iovec){.iov_base = (void *)(uintptr_t)data, .iov_len = n};
        sent = sendmsg(fd, &msg, MSG_NOSIGNAL);
        if (sent < 0)
            die("sendmsg");
        data += sent;
        n -= (size_t)sent;
        msg.msg_control = NULL;
        msg.msg_controllen = 0;
    }
}

/* Returns 0 at the end of the stream. */
static int receive_all(int fd, uint8_t *data, size_t n)
{
    while (n > 0) {
        union control control;
        struct iovec iov = {.iov_base = data, .iov_len = n};
        struct msghdr msg = {.msg_iov = &iov,
                             .msg_iovlen = 1,
                             .msg_control = control.bytes,
                             .msg_controllen = sizeof(control.bytes)};
        ssize_t got = recvmsg(fd, &msg, MSG_CMSG_CLOEXEC);
        struct cmsghdr *c;

        if (got < 0)
            die("recvmsg");
        if (got == 0)
            return 0;
        c = CMSG_FIRSTHDR(&msg);
        if (c) {
            int fds[FLOOR_FDS];

            memcpy(fds, CMSG_DATA(c), c->cmsg_len - CMSG_LEN(0));
            for (size_t i = 0; i < (c->cmsg_len - CMSG_LEN(0)) / sizeof(int); i++)
                close(fds[i]);
        }
        data += got;
        n -= (size_t)got;
    }
    return 1;
}

static void serve(int fd)
{
    static uint8_t data[FLOOR_BYTES];

    while (receive_all(fd, data, FLOOR_BYTES)) {
        send_all(fd, data, 1, NULL);
        if (!receive_all(fd, data, 1))
            break;
        send_all(fd, data, 1, NULL);
    }
}

static int64_t measure(int fd, const int *fds)
{
    static uint8_t data[FLOOR_BYTES];
    int64_t start_ns = now_ns();

    send_all(fd, data, FLOOR_BYTES, fds);
    if (!receive_all(fd, data, 1))
        die("the child is gone");
    send_all(fd, data, 1, NULL);
    if (!receive_all(fd, data, 1))
        die("the child is gone");
    return now_ns() - start_ns;
}

int main(void)
{
    int pair[2], fds[FLOOR_FDS], room = 1 << 20;
    char line[64];
    pid_t child;

    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
        die("socketpair");
    setsockopt(pair[0], SOL_SOCKET, SO_SNDBUF, &room, sizeof(room));
    for (int i = 0; i < FLOOR_FDS; i++) {
        fds[i] = open("/dev/null", O_RDWR | O_CLOEXEC);
        if (fds[i] < 0)
            die("/dev/null");
    }
    child = fork();
    if (child < 0)
        die("fork");
    if (child == 0) {
        close(pair[0]);
        serve(pair[1]);
        _exit(0);
    }
    close(pair[1]);
    /* The first ones pay for page faults. */
    for (int i = 0; i < 5; i++)
        measure(pair[0], fds);
    setvbuf(stdout, NULL, _IOLBF, 0);
    while (fgets(line, sizeof(line), stdin))
        printf("{\"us\": %.3f}\n", (double)measure(pair[0], fds) / 1000);
    close(pair[0]);
    waitpid(child, NULL, 0);
    return 0;
}
