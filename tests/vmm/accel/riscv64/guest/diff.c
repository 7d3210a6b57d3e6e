/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Runs the random programs appended to the image, one after the other, each from a state of its
 * own, and prints a hash of all it left behind: registers, CSRs, memory, page tables, every trap.
 * With FLAG_VERBOSE it prints all of that instead.
 */
#include "diff.h"

#include "guest.h"

static struct {
    const struct program *program;
    struct context ctx;
    uint64_t f[32];
    uint64_t fcsr, mstatus;
    uint64_t trap_count;
    struct trap traps[TRAPS_MAX];
    uint64_t hash;
    bool verbose;
} run;

static struct s_log *const s_log = (struct s_log *)LOG_BASE;

/* ---- memory ---- */

static uint64_t next_random(uint64_t *state)
{
    uint64_t z = *state += 0x9e3779b97f4a7c15;

    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
    z = (z ^ z >> 27) * 0x94d049bb133111eb;
    return z ^ z >> 31;
}

static void fill_random(uint64_t base, uint64_t size_bytes, uint64_t seed)
{
    for (uint64_t at = base; at < base + size_bytes; at += 8)
        *(uint64_t *)at = next_random(&seed);
}

enum {
    V = 1,
    R = 2,
    W = 4,
    X = 8,
    U = 16,
    G = 32,
    A = 64,
    D = 128,
};

static uint64_t table(unsigned n)
{
    return TABLES_BASE + 4096 * (uint64_t)n;
}

static uint64_t pte(uint64_t address, uint64_t bits)
{
    return address >> 12 << 10 | bits;
}

/*
 * Everything of the program is at the same address in every mode. Beside that, at 12 GiB, pages
 * with odd permissions and broken entries: what the generator calls the odd window.
 */
static void make_tables(uint64_t user)
{
    uint64_t *root48 = (uint64_t *)table(0), *root39 = (uint64_t *)table(1);
    uint64_t *ram = (uint64_t *)table(2), *data = (uint64_t *)table(3);
    uint64_t *odd1 = (uint64_t *)table(4), *odd0 = (uint64_t *)table(5);
    uint64_t u = user ? U : 0, full = V | R | W | X | A | D;
    unsigned n = 0;

    for (uint64_t *p = root48; p < (uint64_t *)table(6); p++)
        *p = 0;
    root48[0] = pte(table(1), V);
    root48[1] = pte(0x80000000, full | u); /* misaligned at 512 GiB */
    root39[2] = pte(table(2), V);
    for (unsigned i = 0; i < 32; i++)
        ram[i] = pte(0x80000000 + i * 0x200000ull, full);
    ram[16] = pte(CODE_BASE, full | u);
    ram[17] = pte(table(3), V);
    for (unsigned i = 0; i < 512; i++)
        data[i] = pte(DATA_BASE + i * 0x1000ull, (i == 0   ? V | R | W
                                                  : i == 1 ? V | R | W | A
                                                           : full) |
                                                     u);

    root39[12] = pte(table(4), V);
    root39[13] = pte(0x80001000, full | u); /* misaligned at 1 GiB */
    root39[14] = pte(0x80000000, full | u); /* all of RAM again */
    root39[15] = pte(table(4), V | D);      /* reserved bits in a pointer */
    odd1[0] = pte(table(5), V);
    odd1[1] = pte(ODD_BASE + 0x1000, full | u); /* misaligned at 2 MiB */
    odd1[2] = pte(ODD_BASE, full | u);
    odd1[3] = pte(table(5), V | D);
    odd1[4] = pte(table(5), V | U);
    odd1[5] = pte(table(5), V | A);
    odd1[6] = pte(table(5), V) | 1ull << 54;
    odd1[7] = pte(0x4000000, full | u);
    /* Page n of the odd window; the first few in pairs of different neighbours. */
    odd0[n++] = pte(ODD_BASE, full | u);
    odd0[n++] = pte(ODD_BASE + 0x1000, V | R | A | D | u);
    odd0[n++] = pte(ODD_BASE + 0x2000, V | R | W | u);
    odd0[n++] = pte(ODD_BASE + 0x3000, V | R | W | A | u);
    odd0[n++] = 0;
    odd0[n++] = pte(ODD_BASE, V | R | W | A | D | (u ^ U)); /* the other privilege */
    odd0[n++] = pte(ODD_BASE + 0x1000, V | X | A | D | u);
    odd0[n++] = pte(ODD_BASE + 0x2000, V | W | A | D | u); /* reserved */
    odd0[n++] = pte(ODD_BASE, V | W | X | A | D | u);      /* reserved */
    odd0[n++] = pte(ODD_BASE + 0x3000, full | u | G | 0x300);
    odd0[n++] = pte(ODD_BASE, full | u) | 1ull << 63;
    odd0[n++] = pte(ODD_BASE, full | u) | 1ull << 61;
    odd0[n++] = pte(ODD_BASE, full | u) | 1ull << 54;
    odd0[n++] = pte(table(5), V);         /* a pointer at the last level */
    odd0[n++] = pte(0x4000000, full | u); /* nothing behind it */
    odd0[n++] = pte(ODD_BASE + 0x2000, V | R | X | u);
}

static void make_code(const struct program *p)
{
    uint8_t *code = (uint8_t *)CODE_BASE;

    for (uint32_t i = 0; i < p->code_bytes; i++)
        code[i] = p->code[i];
    for (uint32_t i = p->code_bytes; i < CODE_BYTES; i += 2)
        *(uint16_t *)(code + i) = 0x9002; /* c.ebreak */
    __asm__ volatile("fence.i" ::: "memory");
}

/* ---- traps ---- */

uint64_t on_trap(struct context *ctx)
{
    struct trap t = {csr_read(mcause), csr_read(mepc), csr_read(mtval), csr_read(mstatus)};

    if (t.cause == 3 && t.epc - CODE_BASE < CODE_BYTES &&
        t.epc - CODE_BASE >= run.program->code_bytes)
        return 0;
    if (run.trap_count == TRAPS_MAX)
        return 0;
    run.traps[run.trap_count++] = t;
    /* The return changes MPP, and not every machine then looks anew at what MPRV means. */
    csr_clear(mstatus, 1 << 17);
    if ((int64_t)t.cause < 0) {
        csr_clear(mie, 1ull << (t.cause & 63));
        return 1;
    }
    if (t.cause == 12 || t.cause <= 1) {
        csr_write(mepc, ctx->x[4]);
        return t.epc != ctx->x[4];
    }
    if (t.epc - CODE_BASE >= CODE_BYTES) /* the S-mode handler gave up */
        return 0;
    csr_write(mepc, t.epc + ((*(uint16_t *)t.epc & 3) == 3 ? 4 : 2));
    return 1;
}

/* ---- the result ---- */

static void note(const char *name, uint64_t at, uint64_t value)
{
    if (run.verbose) {
        put_text(name);
        put_char(' ');
        put_hex(at, 4);
        put_char(' ');
        put_hex(value, 16);
        put_char('\n');
    }
    run.hash = (run.hash ^ value) * 0x9e3779b97f4a7c15;
    run.hash ^= run.hash >> 29;
}

/* Values of memory; verbose ones are many, so only those that changed. */
static void note_memory(const char *name, uint64_t base, uint64_t size_bytes, uint64_t seed)
{
    for (uint64_t at = base; at < base + size_bytes; at += 8) {
        uint64_t value = *(uint64_t *)at, was = seed ? next_random(&seed) : 0;

        if (!run.verbose || value != was)
            note(name, at - base, value);
    }
}

/*
 * Without what machines may differ in: the value of a breakpoint is its pc or 0; an access fault
 * in the middle of a misaligned access is at its start or at an aligned part of it.
 */
static uint64_t trap_tval(uint64_t cause, uint64_t tval)
{
    return cause == 3 ? 0 : cause == 5 || cause == 7 ? tval & ~7ull : tval;
}

static void note_traps(const char *name, const struct trap *traps, uint64_t count)
{
    for (uint64_t i = 0; i < count; i++) {
        if (run.verbose)
            put_text(name);
        note(" cause", i, traps[i].cause);
        note("   epc", i, traps[i].epc);
        note("  tval", i, trap_tval(traps[i].cause, traps[i].tval));
        note("status", i, traps[i].status);
    }
}

#define NOTE_CSR(csr) note(#csr, 0, csr_read(csr))

static void note_all(uint64_t seed)
{
    run.hash = 0;
    note_traps("M", run.traps, run.trap_count);
    note_traps("S", s_log->traps, s_log->count > TRAPS_MAX ? TRAPS_MAX : s_log->count);
    for (unsigned i = 1; i < 32; i++)
        note("x", i, run.ctx.x[i]);
    for (unsigned i = 0; i < 32; i++)
        note("f", i, run.f[i]);
    note("fcsr", 0, run.fcsr);
    note("mstatus", 0, run.mstatus);
    NOTE_CSR(mie);
    note("mip", 0, csr_read(mip) & 0x222);
    NOTE_CSR(satp);
    NOTE_CSR(sepc);
    NOTE_CSR(scause);
    note("stval", 0, csr_read(stval) & ~7ull); /* as trap_tval(); scause may be overwritten */
    NOTE_CSR(mcounteren);
    NOTE_CSR(scounteren);
    NOTE_CSR(sstatus);
    NOTE_CSR(sie);
    note_memory("code", CODE_BASE, CODE_BYTES / 4, 0);
    note_memory("data", DATA_BASE, DATA_BYTES, seed);
    note_memory("odd", ODD_BASE, ODD_BYTES, seed + 1);
    note_memory("tables", TABLES_BASE, 6 * 4096, 0);
}

/* ---- one program ---- */

static void set_up(const struct program *p)
{
    run.program = p;
    run.trap_count = 0;
    run.verbose = p->flags & FLAG_VERBOSE;
    s_log->count = 0;
    fill_random(DATA_BASE, DATA_BYTES, p->seed);
    fill_random(ODD_BASE, ODD_BYTES, p->seed + 1);
    make_tables(p->user);
    make_code(p);
    for (unsigned i = 1; i < 32; i++)
        run.ctx.x[i] = p->x[i];
    csr_write(mstatus, 0x6000);
    load_f(p->f);
    csr_write(fcsr, p->fcsr);
    csr_write(mie, 0);
    csr_write(mip, 0);
    csr_write(medeleg, p->medeleg);
    csr_write(mideleg, p->mideleg);
    csr_write(mcounteren, 0);
    csr_write(scounteren, 0);
    csr_write(sepc, 0);
    csr_write(scause, 0);
    csr_write(stval, 0);
    csr_write(stvec, s_trap);
    csr_write(sscratch, s_log);
    csr_write(mtvec, m_trap);
    csr_write(satp, p->satp ? p->satp | table(p->satp >> 60 == 9 ? 0 : 1) >> 12 : 0);
    __asm__ volatile("sfence.vma" ::: "memory");
    csr_write(mie, p->mie);
    csr_write(mepc, CODE_BASE);
    csr_write(mstatus, p->mstatus);
}

static void collect(void)
{
    run.mstatus = csr_read(mstatus);
    csr_write(mstatus, 0x6000); /* also ends MPRV */
    run.fcsr = csr_read(fcsr);
    save_f(run.f);
}

static void open_pmp(void)
{
    /* Without PMP these trap: go on behind them. */
    __asm__ volatile("la t0, 1f\n csrw mtvec, t0\n"
                     "li t0, -1\n csrw pmpaddr0, t0\n li t0, 0x1f\n csrw pmpcfg0, t0\n"
                     ".balign 4\n 1:\n" ::
                         : "t0", "memory");
}

void guest_main(uint64_t hart_id)
{
    const struct program *p = (const struct program *)PROGRAMS_BASE;

    (void)hart_id;
    *(volatile uint64_t *)0x2004000 = ~0ull; /* mtimecmp: no timer interrupt */
    open_pmp();
    for (; p->magic == PROGRAM_MAGIC;
         p = (const struct program *)((const char *)p + p->size_bytes)) {
        set_up(p);
        run_program(&run.ctx);
        collect();
        note_all(p->seed);
        put_char('#');
        put_dec(p->number);
        put_char(' ');
        put_hex(run.hash, 16);
        put_char(' ');
        put_dec(run.trap_count);
        put_char(' ');
        put_dec(s_log->count);
        put_char('\n');
    }
}
