/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the workers of a drive make of an image: requests per second, MiB per second, and the CPU
 * time of one, which says more on a busy host; with as many in flight as there are workers. disk
 * IMAGE: a file of at least 64 MiB, best in a tmpfs, so
 * that it is the workers that are measured and not the disk. It is overwritten.
 */
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "base/clock.h"
#include "vmm/backend/block.h"

#define DEPTH      4u
#define SPAN_BYTES (64u << 20)
#define RUN_NS     INT64_C(500000000)

struct slot {
    struct block_request req; /* first */
    struct iovec iov;
    uint8_t *memory;
    sem_t *done;
};

static void finished(struct block_request *req)
{
    sem_post(((struct slot *)req)->done);
}

static double cpu_us(void)
{
    struct rusage u;

    getrusage(RUSAGE_SELF, &u);
    return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) * 1e6 +
           (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec);
}

static void measure(struct block *b, enum block_op op, uint32_t bytes, const char *name)
{
    struct slot slots[DEPTH] = {0};
    sem_t done[DEPTH];
    uint64_t count = 0, failed = 0;
    int64_t begin_ns, end_ns;
    double begin_us;

    for (unsigned i = 0; i < DEPTH; i++) {
        slots[i].memory = aligned_alloc(4096, bytes);
        memset(slots[i].memory, 1, bytes);
        slots[i].done = &done[i];
        sem_init(&done[i], 0, 1);
    }
    begin_us = cpu_us();
    begin_ns = clock_monotonic_ns();
    do {
        struct slot *s = &slots[count % DEPTH];

        sem_wait(s->done);
        failed += s->req.result != 0;
        s->iov = (struct iovec){s->memory, bytes};
        s->req = (struct block_request){.op = op,
                                        .offset_bytes = count * bytes % SPAN_BYTES,
                                        .length_bytes = bytes,
                                        .iov = &s->iov,
                                        .iov_count = 1,
                                        .done = finished};
        block_submit(b, &s->req);
        count++;
        end_ns = clock_monotonic_ns();
    } while (end_ns - begin_ns < RUN_NS);
    for (unsigned i = 0; i < DEPTH; i++) {
        sem_wait(&done[i]);
        sem_destroy(&done[i]);
        free(slots[i].memory);
    }
    printf("%-5s %8u bytes: %9.0f /s %9.1f MiB/s %9.2f us%s\n", name, bytes,
           (double)count * 1e9 / (double)(end_ns - begin_ns),
           (double)count * bytes / 1048576.0 * 1e9 / (double)(end_ns - begin_ns),
           (cpu_us() - begin_us) / (double)count, failed ? "  FAILED" : "");
}

int main(int argc, char **argv)
{
    static const uint32_t sizes[] = {4096, 65536, 1 << 20, 8 << 20};
    struct config_drive config = {.id = (char *)(uintptr_t) "disk", .path = argv[1]};
    struct ferry_err err;
    struct block *b;

    if (argc != 2) {
        fprintf(stderr, "usage: disk IMAGE\n");
        return 2;
    }
    if (block_new(&b, &config, &err) < 0 || block_open(b, &err) < 0) {
        fprintf(stderr, "%s\n", err.text);
        return 1;
    }
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        measure(b, BLOCK_WRITE, sizes[i], "write");
        measure(b, BLOCK_READ, sizes[i], "read");
    }
    block_free(b);
    return 0;
}
