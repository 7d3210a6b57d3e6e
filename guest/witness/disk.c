// SPDX-License-Identifier: Apache-2.0
/*
 * The disk: numbered, checksummed blocks written past the page cache, flushed, and read back.
 *
 * Two workers own half of the region each, so that requests overlap. What was there is destroyed.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "witness.h"

#define BLOCK_BYTES 4096
#define BLOCK_WORDS (BLOCK_BYTES / sizeof(uint64_t) - 4)
#define RUN_BLOCKS  16 /* longest request */
#define WORKERS     2
#define FLUSH_EVERY 8
#define MAGIC       UINT64_C(0x444953434b574954)

struct block {
    uint64_t magic;
    uint64_t number; /* on the disk */
    uint64_t sequence;
    uint64_t checksum;
    uint64_t words[BLOCK_WORDS];
};

struct half {
    struct worker *me;
    uint64_t first; /* block on the disk */
    uint64_t count;
    uint32_t *sequences; /* last written; 0: never */
    struct block *buffer;
    uint64_t random;
    uint64_t writes;
};

static uint64_t next_random(uint64_t word)
{
    return word * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
}

static uint64_t fill_words(uint64_t number, uint64_t sequence, uint64_t words[BLOCK_WORDS])
{
    uint64_t word = (number << 24 ^ sequence) * UINT64_C(0x9e3779b97f4a7c15);
    uint64_t sum = 0;

    for (size_t i = 0; i < BLOCK_WORDS; i++) {
        word = next_random(word);
        words[i] = word;
        sum += word;
    }
    return sum;
}

static bool failed_io(struct half *h, const char *what, uint64_t number, uint64_t count,
                      ssize_t done)
{
    size_t wanted = count * BLOCK_BYTES;

    if (done == (ssize_t)wanted)
        return false;
    verdict_fail(h->me->w, "disk: %s of %zu bytes at block %llu gave %zd (%s)", what, wanted,
                 (unsigned long long)number, done, done < 0 ? strerror(errno) : "short");
    return true;
}

static void write_run(struct half *h, uint64_t at, uint64_t count)
{
    struct witness *w = h->me->w;
    ssize_t done;

    for (uint64_t i = 0; i < count; i++) {
        struct block *block = &h->buffer[i];

        block->magic = MAGIC;
        block->number = h->first + at + i;
        block->sequence = ++h->sequences[at + i];
        block->checksum = fill_words(block->number, block->sequence, block->words);
    }
    op_begin(h->me);
    done =
        pwrite(w->disk.fd, h->buffer, count * BLOCK_BYTES, (off_t)((h->first + at) * BLOCK_BYTES));
    op_end(h->me);
    if (failed_io(h, "write", h->first + at, count, done))
        return;
    atomic_fetch_add(&w->disk.writes, 1);
    if (++h->writes % FLUSH_EVERY)
        return;
    op_begin(h->me);
    if (fsync(w->disk.fd) < 0)
        verdict_fail(w, "disk: fsync: %s", strerror(errno));
    op_end(h->me);
    atomic_fetch_add(&w->disk.flushes, 1);
}

static void verify_block(struct half *h, const struct block *block, uint64_t at)
{
    uint64_t words[BLOCK_WORDS];
    uint64_t sum;

    sum = fill_words(h->first + at, h->sequences[at], words);
    if (block->magic == MAGIC && block->number == h->first + at && block->checksum == sum &&
        block->sequence == h->sequences[at] && memcmp(words, block->words, sizeof(words)) == 0)
        return;
    verdict_fail(h->me->w,
                 "disk: block %llu holds magic %llx number %llu write %llu, not write %u of itself",
                 (unsigned long long)(h->first + at), (unsigned long long)block->magic,
                 (unsigned long long)block->number, (unsigned long long)block->sequence,
                 h->sequences[at]);
}

static void read_run(struct half *h, uint64_t at, uint64_t count)
{
    struct witness *w = h->me->w;
    ssize_t done;

    memset(h->buffer, 0x5a, count * BLOCK_BYTES); /* a read that moves nothing must not pass */
    op_begin(h->me);
    done =
        pread(w->disk.fd, h->buffer, count * BLOCK_BYTES, (off_t)((h->first + at) * BLOCK_BYTES));
    op_end(h->me);
    if (failed_io(h, "read", h->first + at, count, done))
        return;
    atomic_fetch_add(&w->disk.reads, 1);
    for (uint64_t i = 0; i < count; i++)
        if (h->sequences[at + i])
            verify_block(h, &h->buffer[i], at + i);
}

static void verify_all(struct half *h)
{
    for (uint64_t at = 0; at < h->count; at += RUN_BLOCKS) {
        uint64_t count = h->count - at < RUN_BLOCKS ? h->count - at : RUN_BLOCKS;

        for (uint64_t i = 0; i < count; i++) {
            if (!h->sequences[at + i])
                continue;
            read_run(h, at, count);
            break;
        }
    }
}

static void run_disk(struct worker *me)
{
    struct witness *w = me->w;
    struct half h = {.me = me, .count = w->disk.region_bytes / BLOCK_BYTES / WORKERS};
    uint64_t period_ns = WORKERS * NS_PER_S / w->options.disk_iops;
    uint64_t due_ns = now_ns();
    unsigned int pass = 0;

    h.first = (uint64_t)(uintptr_t)me->arg * h.count;
    h.random = h.first + 1;
    h.sequences = calloc(h.count, sizeof(h.sequences[0]));
    h.buffer = aligned_alloc(BLOCK_BYTES, RUN_BLOCKS * BLOCK_BYTES);
    if (!h.sequences || !h.buffer) {
        verdict_fail(w, "disk: no memory for the check");
        return;
    }
    for (;;) {
        uint64_t at, count;

        if (worker_pass_due(me, &pass)) {
            verify_all(&h);
            worker_pass_done(me);
        }
        worker_stand_if_parked(me);
        h.random = next_random(h.random);
        count = 1 + (h.random >> 60) % RUN_BLOCKS;
        at = (h.random >> 20) % (h.count - count + 1);
        write_run(&h, at, count);
        h.random = next_random(h.random);
        at = (h.random >> 20) % (h.count - count + 1);
        read_run(&h, at, count);
        due_ns += period_ns;
        if (now_ns() > due_ns)
            due_ns = now_ns();
        sleep_until_ns(due_ns);
    }
}

/* Opens the disk even when nothing is to be checked: the first line says whether there is one. */
void disk_add(struct witness *w)
{
    uint64_t size_bytes = 0;
    uint64_t wanted_bytes = w->options.disk_mib * 1024 * 1024;
    char name[16];

    w->disk.fd = open("/dev/vda", O_RDWR | O_DIRECT | O_CLOEXEC);
    if (w->disk.fd < 0 || !w->options.checks || !w->options.disk || !w->options.disk_iops)
        return;
    if (ioctl(w->disk.fd, BLKGETSIZE64, &size_bytes) < 0)
        verdict_fail(w, "disk: cannot ask for the size: %s", strerror(errno));
    w->disk.region_bytes = size_bytes < wanted_bytes ? size_bytes : wanted_bytes;
    if (w->disk.region_bytes < (uint64_t)2 * WORKERS * RUN_BLOCKS * BLOCK_BYTES) {
        say("witness: the disk has only %llu bytes: not checked", (unsigned long long)size_bytes);
        return;
    }
    for (unsigned int i = 0; i < WORKERS; i++) {
        snprintf(name, sizeof(name), "disk%u", i);
        worker_add(w, name, -1, 0, run_disk, (void *)(uintptr_t)i);
        w->disk.workers++;
        w->parkable++;
    }
}
