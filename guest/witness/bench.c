// SPDX-License-Identifier: Apache-2.0
/*
 * Fixed amounts of work for comparing processors; each prints its time and a checksum, which must
 * be the same everywhere. They run in a process of their own while the checks stand still.
 */
#include <fcntl.h>
#include <math.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "witness.h"

uint64_t bench_mix(uint64_t x)
{
    x ^= x >> 30;
    x *= UINT64_C(0xbf58476d1ce4e5b9);
    x ^= x >> 27;
    x *= UINT64_C(0x94d049bb133111eb);
    return x ^ x >> 31;
}

static int by_value(const void *a, const void *b)
{
    const uint32_t *x = a;
    const uint32_t *y = b;

    return (*x > *y) - (*x < *y);
}

/* Sorting (calls, compares), a sieve (byte stores), division and Collatz (branches). */
static uint64_t integer(void)
{
    static uint32_t numbers[1 << 16];
    static uint8_t composite[1 << 20];
    uint64_t sum = 0;

    for (unsigned int round = 0; round < 16; round++) {
        for (uint32_t i = 0; i < 1 << 16; i++)
            numbers[i] = (uint32_t)bench_mix(i + round);
        qsort(numbers, 1 << 16, sizeof(numbers[0]), by_value);
        for (uint32_t i = 1; i < 1 << 16; i++)
            sum += (uint64_t)numbers[i] % (numbers[i] - numbers[i - 1] + 1);
    }
    for (unsigned int round = 0; round < 12; round++) {
        memset(composite, 0, sizeof(composite));
        for (uint32_t i = 2; i < 1 << 20; i++) {
            if (composite[i])
                continue;
            sum += i;
            for (uint64_t j = (uint64_t)i * i; j < 1 << 20; j += i)
                composite[j] = 1;
        }
    }
    for (uint64_t start = 1; start < 600000; start++)
        for (uint64_t n = start; n != 1; sum++)
            n = n % 2 ? 3 * n + 1 : n / 2;
    return sum;
}

/* Pointer chasing and streaming over more memory than any cache or TLB of an emulator covers. */
static uint64_t memory(void)
{
    enum { WORDS = 4 << 20 };
    uint64_t *words = malloc(WORDS * sizeof(words[0]));
    uint64_t sum = 0;
    uint64_t at = 0;

    if (!words)
        return 0;
    for (uint64_t i = 0; i < WORDS; i++)
        words[i] = bench_mix(i);
    for (unsigned int round = 0; round < 3; round++) {
        memmove(words + 1, words, (WORDS - 1) * sizeof(words[0]));
        for (uint64_t i = 0; i < WORDS; i++)
            sum += words[i];
        for (uint64_t i = 0; i < WORDS; i += 512)
            words[i] += sum;
    }
    for (unsigned int i = 0; i < 3000000; i++) {
        at = words[at] % WORDS;
        words[at]++;
        sum += at;
    }
    free(words);
    return sum;
}

/* A planet problem in double, a product of matrices in single precision. */
static uint64_t floating(void)
{
    static float a[96][96], b[96][96], c[96][96];
    double x[4] = {0, 1, 2.1, 3.3}, y[4] = {0, 0.2, -1.1, 0.4}, vx[4] = {0},
           vy[4] = {0, 0.9, 0.7, 0.5};
    double total = 0;
    uint64_t bits;

    for (unsigned int step = 0; step < 800000; step++) {
        for (int i = 0; i < 4; i++) {
            for (int j = 0; j < 4; j++) {
                double dx = x[j] - x[i], dy = y[j] - y[i];
                double square = dx * dx + dy * dy + 0.01;
                double force = 0.0005 / (square * sqrt(square));

                vx[i] += dx * force;
                vy[i] += dy * force;
            }
        }
        for (int i = 0; i < 4; i++) {
            x[i] += vx[i] * 0.001;
            y[i] += vy[i] * 0.001;
        }
    }
    for (int i = 0; i < 96 * 96; i++) {
        a[i / 96][i % 96] = (float)(bench_mix((uint64_t)i) % 1000) / 1000.0F;
        b[i / 96][i % 96] = (float)(bench_mix((uint64_t)i + 9999) % 1000) / 1000.0F;
    }
    for (unsigned int round = 0; round < 30; round++)
        for (int i = 0; i < 96; i++)
            for (int j = 0; j < 96; j++)
                for (int k = 0; k < 96; k++)
                    c[i][j] += a[i][k] * b[k][j];
    for (int i = 0; i < 4; i++)
        total += x[i] * 3 + y[i];
    for (int i = 0; i < 96; i++)
        total += (double)c[i][i];
    memcpy(&bits, &total, sizeof(bits));
    return bits;
}

/* The shortest way into the kernel and back, and a byte through a pipe. */
static uint64_t syscalls(void)
{
    int ends[2];
    uint8_t byte = 1;
    uint64_t sum = 0;

    if (pipe(ends) < 0)
        return 0;
    for (unsigned int i = 0; i < 120000; i++)
        sum += syscall(SYS_getppid) > 0;
    for (unsigned int i = 0; i < 25000; i++) {
        if (write(ends[1], &byte, 1) == 1 && read(ends[0], &byte, 1) == 1)
            sum++;
    }
    close(ends[0]);
    close(ends[1]);
    return sum;
}

/* Processes that touch some memory of their own: page faults, page tables, TLB flushes. */
static uint64_t forks(void)
{
    enum { PAGES = 64, PAGE_BYTES = 4096 };
    static uint8_t touched[PAGES * PAGE_BYTES];
    uint64_t sum = 0;

    memset(touched, 1, sizeof(touched));
    for (unsigned int i = 0; i < 250; i++) {
        pid_t child = fork();
        int status = 0;

        if (child == 0) {
            for (unsigned int page = 0; page < PAGES; page++)
                touched[page * PAGE_BYTES] += (uint8_t)i;
            _exit(touched[0] == (uint8_t)(i + 1));
        }
        waitpid(child, &status, 0);
        sum += (uint64_t)WEXITSTATUS(status);
    }
    return sum;
}

static const struct bench {
    const char *name;
    uint64_t (*run)(void);
    uint64_t (*talk)(const char *peer); /* HOST:PORT */
} benches[] = {
    {.name = "integer", .run = integer},
    {.name = "memory", .run = memory},
    {.name = "float", .run = floating},
    {.name = "syscalls", .run = syscalls},
    {.name = "fork", .run = forks},
    {.name = "disk-read-random", .run = bench_disk_read_random},
    {.name = "disk-write-random", .run = bench_disk_write_random},
    {.name = "disk-read", .run = bench_disk_read},
    {.name = "disk-write", .run = bench_disk_write},
    {.name = "net-send", .talk = bench_net_send},
    {.name = "net-receive", .talk = bench_net_receive},
    {.name = "net-latency", .talk = bench_net_latency},
};

static const struct bench *find(const char *name)
{
    for (size_t i = 0; i < sizeof(benches) / sizeof(benches[0]); i++)
        if (strcmp(name, benches[i].name) == 0)
            return &benches[i];
    return NULL;
}

/* The child: `init bench NAME [PEER]`. */
int bench_main(const char *name, const char *peer)
{
    const struct bench *bench = find(name);
    uint64_t start_ns = now_ns();
    uint64_t sum;

    if (!bench)
        return 1;
    sum = bench->talk ? bench->talk(peer) : bench->run();
    say("witness: bench %s ns=%llu sum=%016llx", name, (unsigned long long)(now_ns() - start_ns),
        (unsigned long long)sum);
    return 0;
}

static void say_names(const char *unknown)
{
    char names[256];
    size_t used = 0;

    for (size_t i = 0; i < sizeof(benches) / sizeof(benches[0]) && used < sizeof(names); i++)
        used += (size_t)snprintf(names + used, sizeof(names) - used, "%s%s", i ? ", " : "",
                                 benches[i].name);
    say("witness: no bench '%s'; there are %s", unknown, names);
}

void bench_run(struct witness *w, const char *argument)
{
    char *name = strdup(argument);
    char *peer = name + strcspn(name, " ");
    char *arguments[] = {(char[]){"init"}, (char[]){"bench"}, name, NULL, NULL};
    char *environment[] = {NULL};
    const struct bench *bench;
    pid_t child;

    if (*peer) {
        *peer++ = '\0';
        arguments[3] = peer;
    }
    bench = find(name);
    if (!bench) {
        say_names(name);
    } else if (bench->talk && !*peer) {
        say("witness: bench %s needs a peer, HOST:PORT", name);
    } else {
        workers_park(w);
        if (posix_spawn(&child, "/proc/self/exe", NULL, NULL, arguments, environment) == 0)
            waitpid(child, NULL, 0);
        else
            say("witness: cannot start a process for the bench");
        workers_unpark(w);
    }
    free(name);
}
