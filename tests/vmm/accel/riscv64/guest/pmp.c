/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Physical memory protection: entries of every kind and permission around one page, probed by
 * loads, stores, fetches and page table walks from U, S and M mode; locked ones last. Prints for
 * each setting which probes were allowed, as a bit each.
 */
#include "diff.h"
#include "guest.h"

#define CODE       ((volatile uint32_t *)(uint64_t)CODE_BASE) /* the probing instruction */
#define TARGET     (DATA_BASE + 0x10000ull)
#define TABLE_N(n) ((volatile uint64_t *)(TABLES_BASE + 4096ull * (n)))

static struct {
    struct context ctx;
    uint64_t cause, epc, tval;
    uint64_t locked_bytes; /* of the target, from its start */
} pmp;

uint64_t on_trap(struct context *ctx)
{
    (void)ctx;
    pmp.cause = csr_read(mcause);
    pmp.epc = csr_read(mepc);
    pmp.tval = csr_read(mtval);
    csr_write(satp, 0);
    return 0;
}

static const uint32_t probes[] = {
    0x0005b503, /* ld a0, 0(a1) */
    0x00058503, /* lb a0, 0(a1) */
    0x00a5b023, /* sd a0, 0(a1) */
    0x00a58023, /* sb a0, 0(a1) */
    0x00a5b52f, /* amoadd.d a0, a0, (a1) */
    0x1005b52f, /* lr.d a0, (a1) */
};

/* By halfwords: an access that an entry matches in part is not even M-mode's. */
static void fill_target(void)
{
    for (uint64_t at = TARGET - 0x100; at < TARGET + 0x1100; at += 2)
        if (!pmp.locked_bytes || at - TARGET >= pmp.locked_bytes)
            *(volatile uint16_t *)at = 0x9002;
    __asm__ volatile("fence.i" ::: "memory");
}

/* 0: allowed; 1: access fault of the right kind and address; 2: anything else. */
static unsigned probe(unsigned kind, uint64_t at, uint64_t mode, uint64_t satp)
{
    uint64_t good = 3, fault = kind == 0 || kind == 1 || kind == 5 ? 5 : 7;

    pmp.ctx.x[11] = at;
    pmp.ctx.x[10] = 1;
    if (kind == 6) { /* fetch: what is there is c.ebreak */
        csr_write(mepc, at);
        fault = 1;
    } else {
        CODE[0] = probes[kind];
        CODE[1] = 0x90029002;
        __asm__ volatile("fence.i" ::: "memory");
        csr_write(mepc, CODE);
    }
    csr_clear(mstatus, 0x1800);
    csr_set(mstatus, mode << 11);
    if (satp) {
        csr_write(satp, satp);
        __asm__ volatile("sfence.vma" ::: "memory");
    }
    run_program(&pmp.ctx);
    if (pmp.cause == good)
        return 0;
    return pmp.cause == fault && pmp.tval == at ? 1 : 2;
}

/* Around the edges of the page at TARGET and of words in it. */
static const int64_t places[] = {-8, -4, 0, 4, 8, 16, 0xff8, 0x1000, 0x1008};

static void report(const char *name, uint64_t number, uint64_t cfg)
{
    put_text(name);
    put_char(' ');
    put_dec(number);
    put_char(' ');
    put_hex(cfg, 2);
    for (uint64_t mode = 0; mode < 4; mode += mode ? 2 : 1) {
        put_char(' ');
        for (unsigned kind = 0; kind < 7; kind++) {
            unsigned bits = 0;

            fill_target();
            for (unsigned i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
                uint64_t at = TARGET + (uint64_t)places[i];
                unsigned r;

                /* What happens to an access of which only a part matches is not the same
                 * everywhere: words only, and AMOs where they are aligned. */
                if ((kind == 0 || kind == 2 || kind >= 4) && (at & 7) && kind != 6)
                    continue;
                r = probe(kind, at, mode, 0);
                if (r == 2) {
                    put_text("?");
                    put_hex(pmp.cause, 2);
                }
                bits |= r << i;
            }
            put_hex(bits, 3);
            put_char(kind < 6 ? '.' : ' ');
        }
    }
    put_char('\n');
}

static void set_pmp(unsigned entry, uint64_t cfg, uint64_t address)
{
    uint64_t all = csr_read(pmpcfg0);

    switch (entry) {
    case 0:
        csr_write(pmpaddr0, address);
        break;
    case 1:
        csr_write(pmpaddr1, address);
        break;
    case 2:
        csr_write(pmpaddr2, address);
        break;
    default:
        csr_write(pmpaddr3, address);
        break;
    }
    all &= ~(0xffull << (8 * entry));
    csr_write(pmpcfg0, all | cfg << (8 * entry));
}

/* Entry 3 allows everything, unless an earlier one matches. */
static void one_entry(const char *name, uint64_t mode, uint64_t address, uint64_t before)
{
    for (uint64_t rwx = 0; rwx < 8; rwx++) {
        if ((rwx & 3) == 2) /* W without R is reserved */
            continue;
        set_pmp(0, 0, before);
        set_pmp(1, mode << 3 | rwx, address);
        report(name, rwx, mode << 3 | rwx);
    }
    set_pmp(1, 0, 0);
}

static void walks(void)
{
    uint64_t satp = 8ull << 60 | TABLES_BASE >> 12;

    for (unsigned i = 0; i < 3 * 512; i++)
        TABLE_N(0)[i] = 0;
    TABLE_N(0)[2] = 0x80000000ull >> 2 | 0xdf;
    TABLE_N(0)[12] = (uint64_t)TABLE_N(1) >> 2 | 1;
    TABLE_N(1)[0] = (uint64_t)TABLE_N(2) >> 2 | 1;
    TABLE_N(2)[0] = TARGET >> 2 | 0xdf;
    TABLE_N(2)[1] = TARGET >> 2 | 0x1f; /* A and D are to be set */
    for (unsigned table = 0; table < 3; table++)
        for (uint64_t rwx = 0; rwx < 8; rwx++) {
            if ((rwx & 3) == 2)
                continue;
            TABLE_N(2)[1] = TARGET >> 2 | 0x1f;
            set_pmp(1, 0x18 | rwx, (uint64_t)TABLE_N(table) >> 2 | 0x1ff);
            put_text("walk ");
            put_dec(table);
            put_char(' ');
            put_dec(rwx);
            for (unsigned page = 0; page < 2; page++)
                for (unsigned kind = 0; kind < 7; kind++) {
                    fill_target();
                    put_char(' ');
                    put_dec(probe(kind, 0x300000000ull + page * 0x1000, 0, satp));
                }
            put_char('\n');
        }
    set_pmp(1, 0, 0);
}

void guest_main(uint64_t hart_id)
{
    (void)hart_id;
    csr_write(mie, 0);
    csr_write(mtvec, m_trap);
    set_pmp(3, 0x1f, ~0ull >> 10);
    one_entry("NA4", 2, TARGET >> 2, 0);
    one_entry("NA4 word 1", 2, (TARGET + 4) >> 2, 0);
    one_entry("NAPOT 8", 3, TARGET >> 2, 0);
    one_entry("NAPOT 16", 3, TARGET >> 2 | 1, 0);
    one_entry("NAPOT 4096", 3, TARGET >> 2 | 0x1ff, 0);
    one_entry("NAPOT 8192", 3, (TARGET & ~0x1fffull) >> 2 | 0x3ff, 0);
    one_entry("TOR page", 1, (TARGET + 0x1000) >> 2, TARGET >> 2);
    one_entry("TOR 8 to 16", 1, (TARGET + 16) >> 2, (TARGET + 8) >> 2);
    one_entry("TOR empty", 1, TARGET >> 2, (TARGET + 8) >> 2);
    one_entry("TOR same", 1, TARGET >> 2, TARGET >> 2);
    walks();
    /* The first that matches decides. */
    set_pmp(1, 0x19, TARGET >> 2 | 1);
    set_pmp(2, 0x1c, TARGET >> 2 | 0x1ff);
    report("order", 1, 0);
    set_pmp(1, 0, 0);
    set_pmp(2, 0, 0);
    /* Locked: for M-mode too, and it stays. */
    set_pmp(1, 0x98 | 4, TARGET >> 2 | 1);
    pmp.locked_bytes = 16;
    report("locked X", 0, 0x9c);
    set_pmp(1, 0x1f, TARGET >> 2 | 3);
    put_line("pmpcfg0", csr_read(pmpcfg0));
    put_line("pmpaddr1", csr_read(pmpaddr1));
    report("locked X still", 0, 0x9c);
}
