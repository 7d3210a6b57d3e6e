/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Several harts at once: what the memory model forbids must never be seen, and nothing that is
 * atomic may be lost. Each test runs on all harts (at least 2); the last line is "litmus OK".
 */
#include "diff.h"
#include "guest.h"

#define HARTS_MAX 8
#define MSIP      ((volatile uint32_t *)0x2000000)
#define LINE      8 /* words that share no cache line on any host */

static struct {
    volatile uint32_t harts; /* how many take part */
    volatile uint64_t arrived, round, began;
    volatile uint64_t x[LINE], y[LINE], flag[LINE];
    volatile uint64_t seen[HARTS_MAX][LINE];
    volatile uint64_t count[LINE];
    volatile uint32_t count_w[LINE];
    volatile uint64_t sum[9][LINE];
    volatile uint64_t lock[LINE], guarded[LINE];
    volatile uint64_t ipis[HARTS_MAX][LINE];
    volatile uint64_t stop[LINE], go[LINE];
} shared;

static uint64_t amo_add(volatile uint64_t *p, uint64_t v)
{
    uint64_t old;

    __asm__ volatile("amoadd.d.aqrl %0, %2, %1" : "=r"(old), "+A"(*p) : "r"(v) : "memory");
    return old;
}

static void fence(void)
{
    __asm__ volatile("fence rw, rw" ::: "memory");
}

static void relax(void)
{
    __asm__ volatile(".4byte 0x0100000f" ::: "memory"); /* pause */
}

/* All harts meet. */
static void barrier(void)
{
    uint64_t round = shared.round;

    fence();
    if (amo_add(&shared.arrived, 1) == shared.harts - 1) {
        shared.arrived = 0;
        fence();
        shared.round = round + 1;
    } else {
        while (shared.round == round)
            relax();
    }
    fence();
}

/* Meeting takes long when the host has fewer cores than there are harts: a second for each test. */
static bool in_time(void)
{
    return csr_read(time) - shared.began < 10000000;
}

static bool in_time_every(uint64_t i)
{
    return i % 64 || in_time();
}

/* Called by all after a barrier: false when hart 0 says so. */
static bool more_rounds(uint64_t hart)
{
    if (hart == 0 && !in_time())
        shared.stop[0] = 1;
    barrier();
    return !shared.stop[0];
}

static void check(bool ok, const char *why)
{
    if (!ok)
        guest_fail(why);
}

/* ---- message passing: the data is seen by who sees the flag ---- */

static void message_passing(uint64_t hart)
{
    for (uint64_t i = 1; i <= 200000; i++) {
        if (hart == 0) {
            while (shared.y[0] < i - 1)
                relax();
            if (!in_time_every(i)) {
                shared.stop[0] = 1;
                return;
            }
            shared.x[0] = i;
            shared.seen[0][0] = ~i;
            __asm__ volatile("fence w, w" ::: "memory");
            shared.flag[0] = i;
        } else if (hart == 1) {
            while (shared.flag[0] != i && !shared.stop[0])
                relax();
            if (shared.stop[0])
                return;
            __asm__ volatile("fence r, r" ::: "memory");
            check(shared.x[0] == i && shared.seen[0][0] == ~i, "message passing: old data");
            fence();
            shared.y[0] = i;
        }
    }
}

/* ---- store buffering: with fences at least one of two sees the other's store ---- */

static void store_buffering(uint64_t hart)
{
    for (uint64_t i = 1; i <= 30000 && more_rounds(hart); i++) {
        if (hart == 0) {
            shared.x[0] = i;
            fence();
            shared.seen[0][0] = shared.y[0];
        } else if (hart == 1) {
            shared.y[0] = i;
            fence();
            shared.seen[1][0] = shared.x[0];
        }
        barrier();
        if (hart == 0)
            check(shared.seen[0][0] == i || shared.seen[1][0] == i,
                  "store buffering: neither hart saw the other's store");
    }
}

/* The same with the stores and loads of one hart as AMOs and LR. */
static void store_buffering_amo(uint64_t hart)
{
    for (uint64_t i = 1; i <= 20000 && more_rounds(hart); i++) {
        uint64_t v;

        if (hart < 2) {
            volatile uint64_t *mine = hart ? shared.y : shared.x;
            volatile uint64_t *other = hart ? shared.x : shared.y;

            __asm__ volatile("amoswap.d.aqrl zero, %1, %0" : "+A"(*mine) : "r"(i) : "memory");
            __asm__ volatile("lr.d.aqrl %0, %1" : "=r"(v), "+A"(*other)::"memory");
            shared.seen[hart][0] = v;
        }
        barrier();
        if (hart == 0)
            check(shared.seen[0][0] == i || shared.seen[1][0] == i,
                  "store buffering: neither hart saw the other's AMO");
    }
}

/* ---- counters ---- */

#define COUNTS 100000

/* How often each hart did it. */
static uint64_t total(void)
{
    uint64_t sum = 0;

    for (uint64_t h = 0; h < shared.harts; h++)
        sum += shared.seen[h][0];
    return sum;
}

static void lr_sc_counter(uint64_t hart)
{
    uint64_t i;

    for (i = 0; i < COUNTS && in_time_every(i); i++) {
        uint64_t v, failed;
        uint32_t w;

        do {
            __asm__ volatile("lr.d %0, %2\n addi %0, %0, 1\n sc.d %1, %0, %2"
                             : "=&r"(v), "=&r"(failed), "+A"(*shared.count)::"memory");
        } while (failed);
        do {
            __asm__ volatile("lr.w %0, %2\n addi %0, %0, 3\n sc.w %1, %0, %2"
                             : "=&r"(w), "=&r"(failed), "+A"(*shared.count_w)::"memory");
        } while (failed);
    }
    shared.seen[hart][0] = i;
    barrier();
    check(shared.count[0] == total(), "LR/SC lost a count");
    check(shared.count_w[0] == (uint32_t)total() * 3, "LR/SC of words lost a count");
}

#define AMO(insn, p, v) __asm__ volatile(insn " zero, %1, %0" : "+A"(*(p)) : "r"(v) : "memory")

/* Neighbouring words, so that one AMO that wrote too much would show. */
static void amo_sums(uint64_t hart)
{
    volatile uint32_t *w = (volatile uint32_t *)shared.sum[1];
    uint64_t i, add = 0, xor = 0, or = 0, and = ~0ull, max = 0, min = ~0ull;

    for (i = 1; i <= COUNTS && in_time_every(i); i++) {
        AMO("amoadd.d", &shared.sum[0][0], i);
        AMO("amoadd.w", &w[0], 1);
        AMO("amoadd.w", &w[1], 1);
        AMO("amoxor.d", &shared.sum[2][0], i << hart);
        AMO("amoor.d", &shared.sum[3][0], 1ull << (i & 31) << hart);
        AMO("amoand.d", &shared.sum[4][0], ~(1ull << (hart + 8 * (i & 3))));
        AMO("amomax.d", &shared.sum[5][0], i * 8 + hart);
        AMO("amominu.d", &shared.sum[6][0], (COUNTS - i) * 8 + hart);
    }
    shared.seen[hart][0] = i - 1;
    barrier();
    if (hart != 0)
        return;
    for (uint64_t h = 0; h < shared.harts; h++)
        for (i = 1; i <= shared.seen[h][0]; i++) {
            uint64_t large = i * 8 + h, small = (COUNTS - i) * 8 + h;

            add += i;
            xor ^= i << h;
            or |= 1ull << (i & 31) << h;
            and &= ~(1ull << (h + 8 * (i & 3)));
            max = large > max ? large : max;
            min = small < min ? small : min;
        }
    check(shared.sum[0][0] == add, "AMOADD.D lost a sum");
    check(w[0] == total() && w[1] == w[0], "AMOADD.W lost a sum");
    check(shared.sum[2][0] == xor, "AMOXOR.D lost a bit");
    check(shared.sum[3][0] == or, "AMOOR.D lost a bit");
    check(shared.sum[4][0] == and, "AMOAND.D lost a bit");
    check(shared.sum[5][0] == max, "AMOMAX.D lost a maximum");
    check(shared.sum[6][0] == min, "AMOMINU.D lost a minimum");
}

/* ---- a spinlock around plain loads and stores ---- */

static void spinlock(uint64_t hart)
{
    uint64_t i;

    for (i = 0; i < COUNTS / 2 && in_time_every(i); i++) {
        uint64_t busy;

        do {
            __asm__ volatile("amoswap.d.aq %0, %2, %1"
                             : "=r"(busy), "+A"(*shared.lock)
                             : "r"(1ull)
                             : "memory");
            if (busy)
                relax();
        } while (busy);
        shared.guarded[0]++;
        shared.guarded[1] = hart;
        shared.guarded[2] += 2;
        check(shared.guarded[1] == hart, "two harts held the spinlock");
        __asm__ volatile("amoswap.d.rl zero, zero, %0" : "+A"(*shared.lock)::"memory");
    }
    shared.seen[hart][0] = i;
    barrier();
    check(shared.guarded[0] == total(), "the spinlock lost a count");
    check(shared.guarded[2] == 2 * shared.guarded[0], "the spinlock lost a second count");
}

/* ---- software interrupts: a ring, each hart asleep until its neighbour wakes it ---- */

static void await_ipi(uint64_t hart)
{
    while (!(csr_read(mip) & 8))
        __asm__ volatile("wfi" ::: "memory");
    MSIP[hart] = 0;
    check(!(csr_read(mip) & 8), "MSIP is still pending after it was cleared");
}

static void ipi_ring(uint64_t hart)
{
    uint64_t next = (hart + 1) % shared.harts;
    bool last;

    if (hart == 0)
        MSIP[next] = 1;
    do {
        await_ipi(hart);
        shared.ipis[hart][0]++;
        if (hart == 0 && (shared.ipis[0][0] == 2000 || !in_time()))
            shared.stop[0] = 1;
        last = shared.stop[0];
        fence();
        MSIP[next] = 1;
    } while (!last);
    if (hart == 0)
        await_ipi(0);
    barrier();
    /* Hart 0 stopped it one round before the others heard of it. */
    check(shared.ipis[hart][0] == shared.ipis[0][0] + (hart != 0), "an IPI was lost");
}

/* ---- code written by one hart while another runs it ---- */

static void remote_fence_i(uint64_t hart)
{
    typedef uint64_t function(void);
    volatile uint32_t *code = (volatile uint32_t *)CODE_BASE;
    uint64_t last = 0;

    if (hart == 0) {
        code[0] = 0x00000513; /* li a0, 0 */
        code[1] = 0x00008067; /* ret */
        __asm__ volatile("fence.i" ::: "memory");
    }
    barrier();
    if (hart == 0) {
        for (uint32_t i = 1; i < 2000 && in_time(); i++) {
            code[0] = 0x00000513 | i << 20;
            fence();
            shared.x[0] = i;
            for (uint32_t h = 1; h < shared.harts; h++)
                while (shared.seen[h][0] != i)
                    relax();
        }
        shared.stop[0] = 1;
        return;
    }
    while (!shared.stop[0]) {
        uint64_t now = shared.x[0], result;

        fence();
        if (now != last) {
            __asm__ volatile("fence.i" ::: "memory");
            result = ((function *)CODE_BASE)();
            check(result == now, "old code ran after fence.i");
            last = now;
            fence();
            shared.seen[hart][0] = now;
        } else if (now) {
            /* Running it while it is written: the old one or the new one, nothing else. */
            result = ((function *)CODE_BASE)();
            check(result == now || result == now + 1, "code ran that was never written");
        }
    }
}

/* ---- page tables changed by one hart while another uses them ---- */

#define TABLE(n) ((volatile uint64_t *)(TABLES_BASE + 4096 * (n)))
#define WINDOW   0x300000000ull
#define PAGE(n)  (ODD_BASE + 4096ull * (n))

static void make_tables(void)
{
    for (unsigned i = 0; i < 3 * 512; i++)
        TABLE(0)[i] = 0;
    TABLE(0)[2] = 0x80000000ull >> 2 | 0xcf;
    TABLE(0)[0] = 0x00000000ull >> 2 | 0xcf; /* devices */
    TABLE(0)[12] = (uint64_t)TABLE(1) >> 2 | 1;
    TABLE(1)[0] = (uint64_t)TABLE(2) >> 2 | 1;
    TABLE(2)[0] = PAGE(0) >> 2 | 0xcf;
    for (unsigned n = 0; n < 2; n++)
        for (unsigned i = 0; i < 512; i++)
            ((volatile uint64_t *)PAGE(n))[i] = n;
}

/* A load from the window with the eyes of S-mode. */
static uint64_t load_translated(uint64_t va)
{
    uint64_t value;

    __asm__ volatile("csrs mstatus, %2\n ld %0, (%1)\n csrc mstatus, %2"
                     : "=&r"(value)
                     : "r"(va), "r"(1ull << 17)
                     : "memory");
    return value;
}

static void remote_sfence(uint64_t hart)
{
    uint64_t last = 0;

    if (hart == 0)
        make_tables();
    barrier();
    csr_write(satp, 8ull << 60 | TABLES_BASE >> 12);
    __asm__ volatile("sfence.vma" ::: "memory");
    csr_clear(mstatus, 0x1800);
    csr_set(mstatus, 0x0800);
    if (hart == 0) {
        for (uint64_t i = 1; i < 2000 && in_time(); i++) {
            TABLE(2)[0] = PAGE(i & 1) >> 2 | 0xcf;
            fence();
            shared.x[0] = i;
            for (uint32_t h = 1; h < shared.harts; h++)
                while (shared.seen[h][0] != i)
                    relax();
        }
        shared.stop[0] = 1;
    } else {
        while (!shared.stop[0]) {
            uint64_t now = shared.x[0];

            fence();
            if (now != last) {
                __asm__ volatile("sfence.vma" ::: "memory");
                check(load_translated(WINDOW + 8 * (now & 511)) == (now & 1),
                      "an old translation after sfence.vma");
                last = now;
                fence();
                shared.seen[hart][0] = now;
            } else {
                check(load_translated(WINDOW) <= 1, "a translation that never was");
            }
        }
    }
    csr_write(satp, 0);
}

/* Accessed and dirty bits set by the harts' walks while hart 0 changes other bits of the entry. */
static void racing_pte(uint64_t hart)
{
    uint64_t toggled = 0, old;

    if (hart == 0)
        make_tables();
    barrier();
    csr_write(satp, 8ull << 60 | TABLES_BASE >> 12);
    csr_clear(mstatus, 0x1800);
    csr_set(mstatus, 0x0800);
    for (uint64_t i = 0; i < 5000000 && in_time_every(i); i++) {
        if (hart == 0) {
            /* Clear A and D, toggle a software bit: by AMO, so nothing is lost. */
            AMO("amoand.d", &TABLE(2)[0], ~0xc0ull);
            __asm__ volatile("amoxor.d %0, %2, %1"
                             : "=r"(old), "+A"(TABLE(2)[0])
                             : "r"(0x100ull)
                             : "memory");
            check((old & 0x100) == toggled, "a page table walk undid another hart's change");
            toggled ^= 0x100;
        } else {
            __asm__ volatile("sfence.vma" ::: "memory");
            (void)load_translated(WINDOW);
        }
    }
    barrier();
    check(hart != 0 || (TABLE(2)[0] & ~0xc0ull) == (PAGE(0) >> 2 | 0xf | toggled),
          "a page table walk changed more than A and D");
    csr_write(satp, 0);
}

/* ---- */

static const struct {
    const char *name;
    void (*run)(uint64_t hart);
} tests[] = {
    {"message passing", message_passing},
    {"store buffering", store_buffering},
    {"store buffering with AMOs", store_buffering_amo},
    {"LR/SC counters", lr_sc_counter},
    {"AMO sums", amo_sums},
    {"spinlock", spinlock},
    {"IPI ring", ipi_ring},
    {"remote fence.i", remote_fence_i},
    {"remote sfence.vma", remote_sfence},
    {"racing page table entry", racing_pte},
};

static void clear(void)
{
    volatile uint64_t *word = &shared.x[0];

    while (word < (volatile uint64_t *)(&shared + 1))
        *word++ = 0;
    shared.sum[4][0] = ~0ull;
    shared.sum[6][0] = ~0ull;
}

uint64_t on_trap(struct context *ctx)
{
    (void)ctx;
    return 0;
}

void guest_main(uint64_t hart)
{
    csr_write(mie, 8); /* software interrupts wake, and are not taken */
    csr_write(pmpaddr0, -1);
    csr_write(pmpcfg0, 0x1f);
    if (hart == 0) {
        /* The harness says how many harts there are behind the image. */
        shared.harts = *(volatile uint32_t *)PROGRAMS_BASE;
        check(shared.harts >= 2 && shared.harts <= HARTS_MAX, "litmus needs 2 to 8 harts");
        guest_harts = shared.harts;
        fence();
        for (uint32_t h = 1; h < shared.harts; h++)
            MSIP[h] = 1;
    } else {
        MSIP[hart] = 0;
    }
    for (unsigned i = 0; i < sizeof(tests) / sizeof(tests[0]); i++) {
        barrier();
        if (hart == 0)
            clear();
        shared.began = csr_read(time);
        barrier();
        tests[i].run(hart);
        barrier();
        if (hart == 0) {
            put_text(tests[i].name);
            put_text(": ok\n");
        }
    }
    barrier();
    if (hart == 0) {
        put_text("litmus OK\n");
        guest_exit_ok();
    }
    for (;;)
        __asm__ volatile("wfi");
}
