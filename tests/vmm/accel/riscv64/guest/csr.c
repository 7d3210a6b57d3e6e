/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Every CSR number from M, S and U mode: which can be read, and which cannot be written; then what
 * the writable ones keep of what is written to them.
 */
#include "diff.h"
#include "guest.h"

/* Two instructions: the CSR access, then c.ebreak. */
#define SLOT ((volatile uint16_t *)0x82000000)

static struct {
    struct context ctx;
    uint64_t cause, epc, tval;
} csr;

uint64_t on_trap(struct context *ctx)
{
    (void)ctx;
    csr.cause = csr_read(mcause);
    csr.epc = csr_read(mepc);
    csr.tval = csr_read(mtval);
    return 0;
}

static void execute(uint32_t word, uint64_t mode)
{
    SLOT[0] = (uint16_t)word;
    SLOT[1] = (uint16_t)(word >> 16);
    SLOT[2] = 0x9002;
    __asm__ volatile("fence.i" ::: "memory");
    csr_write(mepc, SLOT);
    csr_clear(mstatus, 0x1800);
    csr_set(mstatus, mode << 11 | 0x6000);
    run_program(&csr.ctx);
}

/* funct3: 1 write, 2 set, 3 clear. Returns 0 if it trapped; the value in *value. */
static bool access(unsigned number, unsigned funct3, unsigned rs1, uint64_t mode, uint64_t *value)
{
    uint32_t word = 0x73 | 10 << 7 | funct3 << 12 | rs1 << 15 | number << 20;

    csr.ctx.x[11] = *value;
    execute(word, mode);
    *value = csr.ctx.x[10];
    if (csr.cause == 3)
        return true;
    if (csr.cause != 2 || csr.tval != word || csr.epc != (uint64_t)SLOT) {
        put_line("wrong trap of", number);
        put_line(" cause", csr.cause);
        put_line(" tval", csr.tval);
    }
    return false;
}

static void readable(const char *name, uint64_t mode)
{
    unsigned begin = 0, n;
    bool was = false;

    put_text(name);
    for (n = 0; n <= 4096; n++) {
        uint64_t value = 0;
        bool can = n < 4096 && access(n, 2, 0, mode, &value);

        if (can && !was)
            begin = n;
        if (!can && was) {
            put_char(' ');
            put_hex(begin, 3);
            if (n - begin > 1) {
                put_char('-');
                put_hex(n - 1, 3);
            }
        }
        was = can;
    }
    put_char('\n');
}

/* Accesses that write to what can only be read: illegal, but for writes of nothing. */
static void read_only(void)
{
    unsigned trapped = 0;

    for (unsigned n = 0xc00; n < 0x1000; n++) {
        uint64_t value = 0;

        trapped += !access(n, 1, 11, 3, &value);
        trapped += !access(n, 2, 11, 3, &value);
        trapped += !access(n, 3, 11, 3, &value);
        trapped += !access(n, 5, 0, 3, &value);
        trapped += !access(n, 6, 1, 3, &value);
        trapped += !access(n, 7, 31, 3, &value);
    }
    put_line("writes to read-only CSRs that trap, of 1800:", trapped);
}

static void kept(const char *name, unsigned number, uint64_t avoid)
{
    static const uint64_t patterns[] = {0, ~0ull, 0x5555555555555555, 0xaaaaaaaaaaaaaaaa};
    uint64_t before = 0, value;

    if (!access(number, 2, 0, 3, &before)) {
        put_text(name);
        put_text(" absent\n");
        return;
    }
    put_text(name);
    for (unsigned i = 0; i < 4; i++) {
        value = patterns[i] & ~avoid;
        access(number, 1, 11, 3, &value);
        value = 0;
        access(number, 2, 0, 3, &value);
        put_char(' ');
        put_hex(value, 16);
    }
    value = before;
    access(number, 1, 11, 3, &value);
    put_char('\n');
}

#define KEPT_HERE(name)                              \
    do {                                             \
        uint64_t before_ = csr_read(name), kept_[4]; \
                                                     \
        csr_write(name, 0);                          \
        kept_[0] = csr_read(name);                   \
        csr_write(name, ~0ull);                      \
        kept_[1] = csr_read(name);                   \
        csr_write(name, 0x5555555555555555);         \
        kept_[2] = csr_read(name);                   \
        csr_write(name, 0xaaaaaaaaaaaaaaaa);         \
        kept_[3] = csr_read(name);                   \
        csr_write(name, before_);                    \
        put_text(#name);                             \
        for (unsigned i_ = 0; i_ < 4; i_++) {        \
            put_char(' ');                           \
            put_hex(kept_[i_], 16);                  \
        }                                            \
        put_char('\n');                              \
    } while (0)
#define KEPT(number, avoid) kept(#number, number, avoid)

void guest_main(uint64_t hart_id)
{
    (void)hart_id;
    csr_write(pmpaddr0, -1);
    csr_write(pmpcfg0, 0x1f);
    *(volatile uint64_t *)0x2004000 = ~0ull;
    csr_write(mie, 0);
    csr_write(mtvec, m_trap);
    readable("M", 3);
    readable("S", 1);
    readable("U", 0);
    csr_write(mcounteren, 7);
    readable("S with mcounteren", 1);
    readable("U with mcounteren", 0);
    csr_write(scounteren, 7);
    readable("U with scounteren", 0);
    csr_write(mcounteren, 5);
    csr_write(scounteren, 3);
    readable("U with half of both", 0);
    csr_set(mstatus, 1 << 20);
    readable("S with TVM", 1);
    csr_clear(mstatus, 1 << 20);
    read_only();

    KEPT(0x001, 0);
    KEPT(0x002, 0);
    KEPT(0x003, 0);
    /* Not MIE, MPP, MPRV, FS, nor the VS of vectors that some machines keep. */
    KEPT(0x300, 0x27e08);
    KEPT(0x100, 0x6600);
    KEPT(0x302, 0);
    KEPT(0x303, 0);
    KEPT(0x306, ~7ull);
    KEPT(0x106, ~7ull);
    KEPT(0x320, ~5ull);
    KEPT(0x105, 0);
    KEPT(0x140, 0);
    /* Those that taking a trap needs. */
    KEPT_HERE(mtvec);
    KEPT_HERE(mscratch);
    KEPT_HERE(mepc);
    KEPT_HERE(mcause);
    KEPT_HERE(mtval);
    KEPT(0x141, 0);
    KEPT(0x142, 0);
    KEPT(0x143, 0);
    KEPT(0x344, 0);
    csr_write(mideleg, 0x222);
    KEPT(0x104, 0);
    KEPT(0x144, 0);
    csr_write(mideleg, 0x200);
    KEPT(0x104, 0);
    KEPT(0x144, 0);
    KEPT(0x304, ~0xaaaull);
    KEPT(0x180, 0);
    KEPT(0x30a, 0);
    KEPT(0x10a, 0);
    KEPT(0x3a0, 0x8080808080808080);
    KEPT(0x3a2, 0x8080808080808080);
    KEPT(0x3b1, 0);
    KEPT(0x3bf, 0);
    KEPT(0x301, 0);
}
