/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The witness: a program inside the guest that would notice if its machine had been disturbed.
 *
 * Each check is one file with one or more workers (threads), all started by main.c. A check never
 * repairs anything: what is wrong goes to verdict_fail(), which screams once and makes the verdict
 * FAIL for good. Numbers for the status line are atomics that only their check writes.
 */
#ifndef WITNESS_H
#define WITNESS_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#define WITNESS_HARTS_MAX   64
#define WITNESS_WORKERS_MAX (3 * WITNESS_HARTS_MAX + 8)
#define NS_PER_S            UINT64_C(1000000000)
#define NS_PER_MS           UINT64_C(1000000)
#define NS_PER_US           UINT64_C(1000)

struct witness;

/* Knobs from the kernel command line, `witness.NAME=VALUE`; defaults and names in options.c. */
struct options {
    bool wanted;        /* any of them, or `witness`, was said; else a person wants a shell */
    bool checks;        /* false: load drivers and take commands only */
    uint64_t mem_mib;   /* memory that is filled and verified */
    uint64_t rate_mib;  /* MiB dirtied per second, all workers together */
    bool disk;          /* write over /dev/vda, if there is one */
    uint64_t disk_mib;  /* how much of it, from its start */
    uint64_t disk_iops; /* writes (each with a read) per second */
    bool status;        /* a status line every second */
    char ip[32];        /* ADDRESS/BITS of eth0; empty: leave the network alone */
    char gateway[16];   /* address; empty: none */
    uint64_t udp_port;  /* of the numbered echo */
    uint64_t stall_s;   /* an operation longer than this has lost its interrupt */
};

/* One thread of a check, pinned to a hart unless hart is -1. */
struct worker {
    struct witness *w;
    char name[16];
    int hart;
    int fifo_priority;            /* 0: an ordinary thread */
    void (*run)(struct worker *); /* never returns */
    void *arg;
    pthread_t thread;
    atomic_uint op_age_ticks; /* 0: idle; else watchdog ticks since the operation began, + 1 */
};

/* check_gap: clock.c */
struct gap_check {
    atomic_uint_fast64_t longest_ns;       /* since the start */
    atomic_uint_fast64_t longest_since_ns; /* since somebody asked */
    atomic_uint_fast64_t baseline_ns;      /* what the guest does to itself */
    atomic_uint_fast64_t newest_ns;        /* latest time any hart has seen */
    atomic_uint_fast64_t steps_back;
    atomic_uint_fast64_t spin_ms; /* wanted length of a spin, 0 when none is wanted */
};

struct mem_check {
    atomic_uint_fast64_t size_mib;
    atomic_uint_fast64_t rate_mib;
    atomic_uint_fast64_t pages;    /* written and not yet forgotten */
    atomic_uint_fast64_t verified; /* pages found right, over all time */
    unsigned int workers;
};

struct disk_check {
    int fd; /* -1: no disk */
    uint64_t region_bytes;
    atomic_uint_fast64_t writes;
    atomic_uint_fast64_t reads;
    atomic_uint_fast64_t flushes;
    unsigned int workers;
};

struct net_check {
    bool up;
    atomic_uint_fast64_t received;
    atomic_uint_fast64_t lost; /* numbers never seen, up to the highest seen */
    atomic_uint_fast64_t duplicated;
    atomic_uint_fast64_t send_errors;
};

struct timer_check {
    atomic_uint_fast64_t fired;
    atomic_uint_fast64_t latest_ns; /* worst lateness of all */
};

struct rng_check {
    atomic_uint_fast64_t reads;
};

struct witness {
    struct options options;
    unsigned int harts;
    uint64_t start_ns;

    struct gap_check gap;
    struct mem_check mem;
    struct disk_check disk;
    struct net_check net;
    struct timer_check timers;
    struct rng_check rng;

    struct worker workers[WITNESS_WORKERS_MAX];
    unsigned int worker_count;

    /* verdict.c */
    pthread_mutex_t lock;          /* guards standing, verified_workers, reason */
    pthread_cond_t changed;        /* any of them, failed or park_wanted */
    atomic_bool park_wanted;       /* workers are to stand still */
    unsigned int parkable;         /* workers that can; fixed before they start */
    unsigned int standing;         /* workers that do */
    unsigned int verified_workers; /* that finished the pass being asked for */
    char reason[200];              /* of the first failure; written before failed is set */
    atomic_bool failed;
    atomic_bool leaving;     /* the machine goes down: what fails from now on is no finding */
    atomic_uint verify_pass; /* number of the full pass last asked for */
};

/* main.c: one whole line to the console, never torn by another thread's. */
void say(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* options.c */
void options_read(struct options *options);
bool parse_size_mib(const char *text, uint64_t *mib);

/* boot.c: what init has to do. */
void boot_mount(void);
void boot_mount_sys(void); /* unless it is there */
void boot_load_modules(void);
void boot_let_realtime_run(unsigned int harts);
void boot_leave(int how) __attribute__((noreturn)); /* RB_POWER_OFF or RB_AUTOBOOT */
void boot_shell(const char *command);               /* "": for a person */
void boot_for_a_person(void) __attribute__((noreturn));

/* verdict.c */
void verdict_init(struct witness *w);
void verdict_fail(struct witness *w, const char *format, ...) __attribute__((format(printf, 2, 3)));
void verdict_say(struct witness *w, bool full);
void workers_park(struct witness *w);
void workers_unpark(struct witness *w);

/* worker.c */
struct worker *worker_add(struct witness *w, const char *name, int hart, int fifo_priority,
                          void (*run)(struct worker *), void *arg);
void workers_start(struct witness *w);
bool worker_stand_if_parked(struct worker *me); /* true if it stood: time has passed */
bool worker_pass_due(struct worker *me, unsigned int *seen);
void worker_pass_done(struct worker *me);
void op_begin(struct worker *me);
void op_end(struct worker *me);

/* clock.c */
uint64_t now_ns(void);
uint64_t clock_observe(struct worker *me); /* now_ns(), and checks it went forward */
void sleep_until_ns(uint64_t when_ns);
void gap_add(struct witness *w);
uint64_t gap_take(struct witness *w);
int gap_hart(const struct witness *w); /* the hart left to it, -1 if it has none */

void mem_add(struct witness *w);
void disk_add(struct witness *w);
void net_up(struct witness *w);
void udp_add(struct witness *w);
void timers_add(struct witness *w);
void rng_add(struct witness *w);

/* command.c */
void command_run(struct witness *w, char *line);
void status_say(struct witness *w);

/* bench.c */
int bench_main(const char *name, const char *peer);
void bench_run(struct witness *w, const char *argument); /* NAME [PEER] */
uint64_t bench_mix(uint64_t x);

/* bench_io.c: bytes moved, or round trips; peer: HOST:PORT */
uint64_t bench_disk_read_random(void);
uint64_t bench_disk_write_random(void);
uint64_t bench_disk_read(void);
uint64_t bench_disk_write(void);
uint64_t bench_net_send(const char *peer);
uint64_t bench_net_receive(const char *peer);
uint64_t bench_net_latency(const char *peer);

/* pci.c */
void pci_say(struct witness *w, const char *argument);

#endif
