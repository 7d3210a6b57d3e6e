/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What TCP over the loopback interface can carry between two processes, each blocking in plain
 * write(2) and read(2). One line on stdin is one measurement, so that bench/migrate can take it in
 * turns with what it measures:
 *
 *   memory MIB   from a region like guest RAM, a mapped memfd that has been written to, into a
 *                fresh one, whose pages have to be allocated by whoever receives
 *   buffer MIB   from one buffer over and over into one buffer over and over: TCP itself
 *
 * The answer is one line, {"s": 1.234}: from the first write until the reader says that it has all.
 */
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define MIB          (UINT64_C(1) << 20)
/* Small enough to stay in a cache, large enough that the system calls do not count. */
#define BUFFER_BYTES (256u << 10)
#define CALL_BYTES   (1u << 20)

struct order {
    uint64_t bytes;
    bool memory;
};

static void die(const char *what)
{
    fprintf(stderr, "loopback: %s: %s\n", what, strerror(errno));
    exit(1);
}

static int64_t now_ns(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
}

static uint8_t *region_new(uint64_t bytes)
{
    int fd = memfd_create("loopback", MFD_CLOEXEC);
    void *at;

    if (fd < 0 || ftruncate(fd, (off_t)bytes) < 0)
        die("memfd");
    at = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (at == MAP_FAILED)
        die("mmap");
    close(fd);
    return at;
}

/* Returns 0 at the end of the stream. */
static int read_all(int fd, uint8_t *to, uint64_t bytes, bool forward)
{
    while (bytes > 0) {
        uint64_t most = forward ? CALL_BYTES : BUFFER_BYTES;
        ssize_t n = read(fd, to, bytes < most ? bytes : most);

        if (n < 0)
            die("read");
        if (n == 0)
            return 0;
        bytes -= (uint64_t)n;
        to += forward ? n : 0;
    }
    return 1;
}

static void write_all(int fd, const uint8_t *from, uint64_t bytes, bool forward)
{
    while (bytes > 0) {
        uint64_t most = forward ? CALL_BYTES : BUFFER_BYTES;
        ssize_t n = write(fd, from, bytes < most ? bytes : most);

        if (n < 0)
            die("write");
        bytes -= (uint64_t)n;
        from += forward ? n : 0;
    }
}

static void serve(int fd)
{
    struct order order;

    while (read_all(fd, (uint8_t *)&order, sizeof(order), true)) {
        uint64_t size_bytes = order.memory ? order.bytes : BUFFER_BYTES;
        uint8_t *to = region_new(size_bytes);

        if (!read_all(fd, to, order.bytes, order.memory))
            die("the writer is gone");
        write_all(fd, to, 1, true);
        munmap(to, size_bytes);
    }
}

static int64_t measure(int fd, const uint8_t *from, const struct order *order)
{
    int64_t start_ns, end_ns;
    uint8_t done;

    start_ns = now_ns();
    write_all(fd, (const uint8_t *)order, sizeof(*order), true);
    write_all(fd, from, order->bytes, order->memory);
    if (!read_all(fd, &done, 1, true))
        die("the reader is gone");
    end_ns = now_ns();
    return end_ns - start_ns;
}

/* A connected pair like socketpair(), but through TCP. */
static void connect_pair(int pair[2])
{
    struct sockaddr_in name = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t n = sizeof(name);
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1;

    pair[0] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (listener < 0 || pair[0] < 0 || bind(listener, (struct sockaddr *)&name, n) < 0 ||
        listen(listener, 1) < 0 || getsockname(listener, (struct sockaddr *)&name, &n) < 0 ||
        connect(pair[0], (struct sockaddr *)&name, n) < 0)
        die("a TCP connection");
    pair[1] = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
    if (pair[1] < 0)
        die("accept");
    close(listener);
    for (int i = 0; i < 2; i++)
        setsockopt(pair[i], IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
}

int main(void)
{
    char line[64], what[16];
    uint64_t size_bytes = 0;
    uint8_t *from = NULL;
    unsigned mib;
    int pair[2];
    pid_t child;

    connect_pair(pair);
    child = fork();
    if (child < 0)
        die("fork");
    if (child == 0) {
        close(pair[0]);
        serve(pair[1]);
        _exit(0);
    }
    close(pair[1]);
    setvbuf(stdout, NULL, _IOLBF, 0);
    while (fgets(line, sizeof(line), stdin)) {
        struct order order;

        if (sscanf(line, "%15s %u", what, &mib) != 2 || mib == 0)
            break;
        order = (struct order){.bytes = mib * MIB, .memory = strcmp(what, "memory") == 0};
        if (size_bytes != order.bytes) {
            munmap(from, size_bytes);
            size_bytes = order.bytes;
            from = region_new(size_bytes);
            memset(from, 0x5a, size_bytes);
        }
        printf("{\"s\": %.6f}\n", (double)measure(pair[0], from, &order) / 1e9);
    }
    close(pair[0]);
    waitpid(child, NULL, 0);
    return 0;
}
