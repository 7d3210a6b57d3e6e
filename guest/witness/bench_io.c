// SPDX-License-Identifier: Apache-2.0
/* Fixed amounts of input and output for comparing devices; what each returns is what it moved. */
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "witness.h"

/* --- /dev/vda, past the page cache --- */

enum { SMALL_BYTES = 4096, LARGE_BYTES = 1 << 20, SPAN_BYTES = 32 << 20 };
enum { AT_ONCE = 4, SMALL_EACH = 1500, LARGE_COUNT = 256 };

struct disk_run {
    int fd;
    bool write;
    unsigned int number;
    pthread_t thread;
    uint64_t moved_bytes;
};

static uint64_t moved(ssize_t n)
{
    return n > 0 ? (uint64_t)n : 0;
}

static void *run_random(void *arg)
{
    struct disk_run *run = arg;
    uint8_t *buffer = aligned_alloc(SMALL_BYTES, SMALL_BYTES);

    for (uint64_t i = 0; buffer && i < SMALL_EACH; i++) {
        uint64_t block = bench_mix(i + ((uint64_t)run->number << 32)) % (SPAN_BYTES / SMALL_BYTES);
        off_t at = (off_t)(block * SMALL_BYTES);

        run->moved_bytes += moved(run->write ? pwrite(run->fd, buffer, SMALL_BYTES, at)
                                             : pread(run->fd, buffer, SMALL_BYTES, at));
    }
    free(buffer);
    return NULL;
}

/* As many requests at once as there are threads. */
static uint64_t disk_random(bool write)
{
    int fd = open("/dev/vda", O_RDWR | O_DIRECT | O_CLOEXEC);
    struct disk_run runs[AT_ONCE];
    uint64_t sum = 0;

    for (unsigned int i = 0; i < AT_ONCE; i++) {
        runs[i] = (struct disk_run){.fd = fd, .write = write, .number = i};
        if (pthread_create(&runs[i].thread, NULL, run_random, &runs[i]) != 0)
            return 0;
    }
    for (unsigned int i = 0; i < AT_ONCE; i++) {
        pthread_join(runs[i].thread, NULL);
        sum += runs[i].moved_bytes;
    }
    close(fd);
    return sum;
}

static uint64_t disk_sequential(bool write)
{
    int fd = open("/dev/vda", O_RDWR | O_DIRECT | O_CLOEXEC);
    uint8_t *buffer = aligned_alloc(SMALL_BYTES, LARGE_BYTES);
    uint64_t sum = 0;

    for (uint64_t i = 0; buffer && i < LARGE_COUNT; i++) {
        off_t at = (off_t)(i * LARGE_BYTES % SPAN_BYTES);

        sum +=
            moved(write ? pwrite(fd, buffer, LARGE_BYTES, at) : pread(fd, buffer, LARGE_BYTES, at));
    }
    free(buffer);
    close(fd);
    return sum;
}

uint64_t bench_disk_read_random(void)
{
    return disk_random(false);
}

uint64_t bench_disk_write_random(void)
{
    return disk_random(true);
}

uint64_t bench_disk_read(void)
{
    return disk_sequential(false);
}

uint64_t bench_disk_write(void)
{
    return disk_sequential(true);
}

/* --- TCP to a peer that is told by one byte what it shall do --- */

enum { STREAM_BYTES = 64 << 20, PIECE_BYTES = 128 << 10, ROUND_TRIPS = 4000 };

static int connect_to(const char *peer, char what)
{
    struct sockaddr_in name = {.sin_family = AF_INET};
    char host[INET_ADDRSTRLEN];
    unsigned int port;
    int one = 1;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (fd < 0 || sscanf(peer, "%15[0-9.]:%5u", host, &port) != 2 ||
        inet_pton(AF_INET, host, &name.sin_addr) != 1)
        return -1;
    name.sin_port = htons((uint16_t)port);
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    if (connect(fd, (struct sockaddr *)&name, sizeof(name)) < 0 || send(fd, &what, 1, 0) != 1)
        return -1;
    return fd;
}

/* 's': the peer takes all, and says so by a byte. */
uint64_t bench_net_send(const char *peer)
{
    static uint8_t piece[PIECE_BYTES];
    int fd = connect_to(peer, 's');
    uint64_t sum = 0;

    while (sum < STREAM_BYTES) {
        ssize_t n = send(fd, piece, sizeof(piece), MSG_NOSIGNAL);

        if (n <= 0)
            return 0;
        sum += (uint64_t)n;
    }
    shutdown(fd, SHUT_WR);
    return recv(fd, piece, 1, 0) == 1 ? sum : 0;
}

/* 'r': the peer sends as much, and closes. */
uint64_t bench_net_receive(const char *peer)
{
    static uint8_t piece[PIECE_BYTES];
    int fd = connect_to(peer, 'r');
    uint64_t sum = 0;
    ssize_t n;

    while ((n = recv(fd, piece, sizeof(piece), 0)) > 0)
        sum += (uint64_t)n;
    return sum;
}

/* 'e': the peer sends each byte back. */
uint64_t bench_net_latency(const char *peer)
{
    int fd = connect_to(peer, 'e');
    uint64_t sum = 0;
    char byte = 0;

    while (sum < ROUND_TRIPS && send(fd, &byte, 1, MSG_NOSIGNAL) == 1 && recv(fd, &byte, 1, 0) == 1)
        sum++;
    return sum;
}
