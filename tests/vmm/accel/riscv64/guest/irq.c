/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which interrupt is taken: every combination of pending, enabled, delegated, global enable and
 * mode. Prints a hash for each mode and delegation; then Sstc, WFI and vectors, which check
 * themselves. An even word at PROGRAMS_BASE other than 0 prints every case.
 */
#include "diff.h"
#include "guest.h"

#define CODE ((volatile uint16_t *)(uint64_t)CODE_BASE)
#define MSIP ((volatile uint32_t *)0x2000000)

static struct {
    struct context ctx;
    uint64_t cause, epc, status;
} irq;

uint64_t on_trap(struct context *ctx)
{
    (void)ctx;
    irq.cause = csr_read(mcause);
    irq.epc = csr_read(mepc);
    irq.status = csr_read(mstatus);
    csr_write(mie, 0);
    return 0;
}

static void enter(uint64_t mode, uint64_t enables)
{
    csr_write(mepc, CODE);
    csr_write(mstatus, 0x6000 | mode << 11 | (enables & 1 ? 0x80 : 0) | (enables & 2 ? 0x2 : 0));
    run_program(&irq.ctx);
}

static uint64_t spread(unsigned n) /* SSI, STI, SEI, MSI */
{
    return (n & 1 ? 0x2 : 0) | (n & 2 ? 0x20 : 0) | (n & 4 ? 0x200 : 0) | (n & 8 ? 0x8 : 0);
}

static void all_choices(void)
{
    for (uint64_t mode = 0; mode < 4; mode += mode ? 2 : 1)
        for (unsigned deleg = 0; deleg < 8; deleg++) {
            uint64_t hash = 0;

            for (unsigned n = 0; n < 16 * 16 * 4; n++) {
                csr_write(scause, 0);
                csr_write(mideleg, spread(deleg));
                csr_write(mip, spread(n & 7));
                *MSIP = n >> 3 & 1;
                csr_write(mie, spread(n >> 4 & 15));
                enter(mode, n >> 8);
                if (*(volatile uint32_t *)PROGRAMS_BASE) {
                    put_hex(mode << 16 | deleg << 12 | n, 5);
                    put_line(" mcause", irq.cause);
                    put_line(" mepc", irq.epc);
                    put_line(" mstatus", irq.status);
                    put_line(" scause", csr_read(scause));
                }
                hash = (hash ^ irq.cause) * 0x9e3779b97f4a7c15;
                hash = (hash ^ irq.epc ^ hash >> 29) * 0x9e3779b97f4a7c15;
                hash = (hash ^ irq.status ^ hash >> 31) * 0x9e3779b97f4a7c15;
                hash ^= csr_read(scause) ^ hash >> 30;
            }
            put_text("mode ");
            put_dec(mode);
            put_text(" mideleg ");
            put_hex(spread(deleg), 3);
            put_line("", hash);
        }
    csr_write(mip, 0);
    *MSIP = 0;
}

static void check(bool ok, const char *why)
{
    if (!ok)
        guest_fail(why);
    put_text("ok: ");
    put_text(why);
    put_char('\n');
}

static uint64_t stip(void)
{
    return csr_read(mip) & 0x20;
}

static void sstc(void)
{
    uint64_t began;

    csr_write(mideleg, 0x222);
    csr_set(menvcfg, 1ull << 63);
    csr_write(mcounteren, 7);
    __asm__ volatile("csrw 0x14d, %0" : : "r"(~0ull)); /* stimecmp */
    check(!stip(), "stimecmp all ones: no STIP");
    csr_set(mip, 0x20);
    check(!stip(), "STIP cannot be written with STCE");
    __asm__ volatile("csrw 0x14d, zero");
    check(stip(), "stimecmp in the past: STIP at once");
    began = csr_read(time);
    __asm__ volatile("csrw 0x14d, %0" : : "r"(began + 20000)); /* 2 ms */
    check(!stip(), "stimecmp in the future takes STIP back");
    csr_write(mie, 0x20);
    csr_clear(mstatus, 0xa);
    __asm__ volatile("wfi");
    check(csr_read(time) - began >= 20000, "WFI sleeps until stimecmp, not shorter");
    check(stip(), "stimecmp reached: STIP");
    check(csr_read(time) - began < 100000000, "and not much longer");
    /* Pending and enabled, but not globally: WFI goes on at once, and nothing is taken. */
    __asm__ volatile("wfi");
    __asm__ volatile("csrw 0x14d, %0" : : "r"(~0ull));
    check(!stip(), "stimecmp all ones takes STIP back");
    /* While the hart computes. */
    began = csr_read(time);
    __asm__ volatile("csrw 0x14d, %0" : : "r"(began + 10000));
    while (!stip() && csr_read(time) - began < 100000000)
        ;
    check(stip() && csr_read(time) - began >= 10000, "STIP comes while the hart is busy");
    /* In S-mode, as an interrupt; the loop at CODE would never end. */
    __asm__ volatile("csrw 0x14d, %0" : : "r"(csr_read(time) + 10000));
    CODE[0] = 0xa001; /* c.j . */
    __asm__ volatile("fence.i" ::: "memory");
    csr_write(scause, 0);
    csr_write(mie, 0x20);
    enter(1, 2);
    check(csr_read(scause) == (1ull << 63 | 5) && csr_read(sepc) == (uint64_t)CODE,
          "the timer interrupts a loop in S-mode");
    csr_write(mideleg, 0);
    __asm__ volatile("csrw 0x14d, %0" : : "r"(csr_read(time) + 10000));
    csr_write(mie, 0x20);
    enter(0, 0);
    check(irq.cause == (1ull << 63 | 5) && irq.epc == (uint64_t)CODE,
          "not delegated, it interrupts U-mode into M-mode");
    CODE[0] = 0x9002;
    csr_write(mideleg, 0x222);
    __asm__ volatile("csrw 0x14d, %0\n fence.i" : : "r"(~0ull));
    /* Who may use it. */
    *(volatile uint32_t *)CODE = 0x14d02573; /* csrr a0, stimecmp */
    CODE[2] = 0x9002;
    __asm__ volatile("fence.i" ::: "memory");
    enter(1, 0);
    check(irq.cause == 3, "stimecmp in S-mode");
    csr_write(mcounteren, 5);
    enter(1, 0);
    check(irq.cause == 2, "stimecmp in S-mode without mcounteren.TM");
    csr_write(mcounteren, 7);
    csr_clear(menvcfg, 1ull << 63);
    enter(1, 0);
    check(irq.cause == 2, "stimecmp in S-mode without menvcfg.STCE");
    enter(0, 0);
    check(irq.cause == 2, "stimecmp in U-mode");
    csr_set(mip, 0x20);
    check(stip(), "STIP can be written without STCE");
    csr_clear(mip, 0x20);
}

static void wfi(void)
{
    *(volatile uint32_t *)CODE = 0x10500073;
    CODE[2] = 0x9002;
    __asm__ volatile("fence.i" ::: "memory");
    enter(0, 0);
    check(irq.cause == 2, "WFI in U-mode is illegal");
    csr_set(mip, 2);
    csr_write(mideleg, 0x222);
    csr_write(mie, 2);
    enter(1, 0);
    check(irq.cause == 3, "WFI in S-mode with something pending goes on");
    csr_write(mie, 2);
    csr_write(mepc, CODE);
    csr_write(mstatus, 0x6800 | 1 << 21);
    run_program(&irq.ctx);
    check(irq.cause == 2, "WFI in S-mode with TW is illegal");
    csr_clear(mip, 2);
    *MSIP = 1;
    csr_write(mie, 8);
    csr_write(mstatus, 0x6000);
    __asm__ volatile("wfi");
    check(csr_read(mip) & 8, "WFI in M-mode with something pending goes on");
    *MSIP = 0;
}

static void vectors(void)
{
    CODE[0] = 0x9002;
    CODE[1] = 0x9002;
    __asm__ volatile("fence.i" ::: "memory");
    csr_write(mideleg, 0x222);
    csr_write(stvec, CODE_BASE + 0x1001);
    csr_set(mip, 0x200);
    csr_write(mie, 0x200);
    enter(0, 0);
    check(irq.epc == CODE_BASE + 0x1000 + 4 * 9, "stvec vectored: SEI at base + 36");
    csr_clear(mip, 0x200);
    csr_write(medeleg, 1 << 8);
    *(volatile uint32_t *)CODE = 0x73;
    __asm__ volatile("fence.i" ::: "memory");
    enter(0, 0);
    check(irq.epc == CODE_BASE + 0x1000, "stvec vectored: exceptions at base");
    csr_write(medeleg, 0);
}

void guest_main(uint64_t hart_id)
{
    (void)hart_id;
    csr_write(pmpaddr0, -1);
    csr_write(pmpcfg0, 0x1f);
    *(volatile uint64_t *)0x2004000 = ~0ull;
    for (unsigned i = 0; i < 0x1000; i++)
        CODE[i] = 0x9002;
    __asm__ volatile("fence.i" ::: "memory");
    csr_write(mie, 0);
    csr_write(mtvec, m_trap);
    csr_write(stvec, CODE_BASE + 0x1001); /* what runs there is c.ebreak: its pc says which */
    all_choices();
    sstc();
    wfi();
    vectors();
}
