// SPDX-License-Identifier: Apache-2.0
/*
 * Numbered UDP: every datagram is checked, counted and sent back.
 *
 *   offset  0  "WUDP" from the sender, "WREP" on the way back
 *           4  u32 stream: a new one starts counting anew
 *           8  u64 number, from 0, one more each time
 *          16  u32 FNV-1a of everything else but the first four bytes
 *          20  payload of any length
 *
 * Big-endian. Whether a lost number matters is for the sender to judge: UDP promises nothing. A
 * damaged one is a failure, because the layers below promise to notice.
 */
#include <arpa/inet.h>
#include <endian.h>
#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "witness.h"

#define HEADER_BYTES 20
#define WINDOW       8192 /* numbers back in which a duplicate is told from a straggler */

struct stream {
    bool any;
    uint32_t id;
    uint64_t expected; /* highest number seen, + 1 */
    uint64_t unique;
    uint64_t lost_before; /* in earlier streams */
    uint8_t seen[WINDOW / 8];
};

static uint32_t fnv(uint32_t hash, const uint8_t *bytes, size_t length)
{
    for (size_t i = 0; i < length; i++)
        hash = (hash ^ bytes[i]) * 16777619U;
    return hash;
}

static uint32_t checksum(const uint8_t *packet, size_t length)
{
    return fnv(fnv(2166136261U, packet + 4, 12), packet + HEADER_BYTES, length - HEADER_BYTES);
}

static bool test_and_set(struct stream *s, uint64_t number)
{
    uint8_t *byte = &s->seen[number % WINDOW / 8];
    uint8_t bit = (uint8_t)(1U << number % 8);
    bool was = *byte & bit;

    *byte |= bit;
    return was;
}

static void clear(struct stream *s, uint64_t number)
{
    s->seen[number % WINDOW / 8] &= (uint8_t) ~(1U << number % 8);
}

static void count(struct witness *w, struct stream *s, uint32_t id, uint64_t number)
{
    if (!s->any || s->id != id) {
        uint64_t lost = atomic_load(&w->net.lost);

        *s = (struct stream){.any = true, .id = id, .lost_before = lost};
    }
    if (number >= s->expected) {
        uint64_t from = number - s->expected >= WINDOW ? number - WINDOW + 1 : s->expected;

        for (uint64_t n = from; n <= number; n++)
            clear(s, n);
        s->expected = number + 1;
    } else if (s->expected - number > WINDOW) {
        return; /* too old to tell */
    }
    if (test_and_set(s, number))
        atomic_fetch_add(&w->net.duplicated, 1);
    else
        s->unique++;
    atomic_store(&w->net.lost, s->lost_before + s->expected - s->unique);
}

static void run_udp(struct worker *me)
{
    struct witness *w = me->w;
    int fd = (int)(intptr_t)me->arg;
    struct stream stream = {0};
    uint8_t packet[65536];

    for (;;) {
        struct sockaddr_in peer;
        socklen_t peer_bytes = sizeof(peer);
        ssize_t length =
            recvfrom(fd, packet, sizeof(packet), 0, (struct sockaddr *)&peer, &peer_bytes);
        uint32_t id, sum;
        uint64_t number;

        if (length < HEADER_BYTES || memcmp(packet, "WUDP", 4) != 0)
            continue;
        memcpy(&id, packet + 4, sizeof(id));
        memcpy(&number, packet + 8, sizeof(number));
        memcpy(&sum, packet + 16, sizeof(sum));
        if (be32toh(sum) != checksum(packet, (size_t)length)) {
            verdict_fail(w, "udp: datagram %llu of stream %u arrived damaged",
                         (unsigned long long)be64toh(number), be32toh(id));
            continue;
        }
        count(w, &stream, be32toh(id), be64toh(number));
        atomic_fetch_add(&w->net.received, 1);
        memcpy(packet, "WREP", 4);
        if (sendto(fd, packet, (size_t)length, 0, (struct sockaddr *)&peer, peer_bytes) < 0)
            atomic_fetch_add(&w->net.send_errors, 1);
    }
}

/* Listens before the first line is printed: whoever reads that may send at once. */
void udp_add(struct witness *w)
{
    struct sockaddr_in here = {.sin_family = AF_INET,
                               .sin_port = htons((uint16_t)w->options.udp_port)};
    int room_bytes = 1024 * 1024;
    int fd;

    if (!w->net.up)
        return;
    fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &room_bytes, sizeof(room_bytes));
    if (fd < 0 || bind(fd, (struct sockaddr *)&here, sizeof(here)) < 0)
        verdict_fail(w, "udp: cannot listen on port %llu: %s",
                     (unsigned long long)w->options.udp_port, strerror(errno));
    else
        worker_add(w, "udp", -1, 0, run_udp, (void *)(intptr_t)fd);
}
