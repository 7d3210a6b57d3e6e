/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Executes encodings systematically: every 16-bit one, and of the 32-bit ones every opcode, funct3,
 * funct7 and rs2 (and for SYSTEM and MISC-MEM rd and rs1). For each group prints how many were
 * legal and a hash of what they did: trap, tval, registers, flags. CSR instructions are in csr.c.
 *
 * A word pair at PROGRAMS_BASE other than 0 names a group (kind, group) to print in full.
 */
#include "diff.h"
#include "guest.h"

#define SLOTS_BASE 0x82200000 /* c.ebreak for 1 MiB on both sides: jumps land on one */
#define SLOT_BYTES 16
#define SLOTS      256
#define DATA_MID   0x82502000
#define WFI        0x10500073

static struct {
    struct context ctx;
    uint64_t f[32];
    uint64_t f_before[32];
    uint32_t words[SLOTS];
    unsigned count;
    bool fp;
    bool trace;
    uint64_t hash;
    unsigned legal;
    uint64_t cause, epc, tval;
} sweep;

uint64_t on_trap(struct context *ctx)
{
    (void)ctx;
    sweep.cause = csr_read(mcause);
    sweep.epc = csr_read(mepc);
    sweep.tval = csr_read(mtval);
    return 0;
}

static void mix(uint64_t value)
{
    sweep.hash = (sweep.hash ^ value) * 0x9e3779b97f4a7c15;
    sweep.hash ^= sweep.hash >> 29;
}

static void fill(uint64_t from, uint64_t to)
{
    for (uint64_t at = from; at < to; at += 8)
        *(uint64_t *)at = 0x9002900290029002;
}

/* FS dirty, MPP M. Written only when it changes: to some machines that is a matter of a
 * millisecond. */
static void set_status(void)
{
    if ((csr_read(mstatus) & ~(1ull << 63 | 0xf00000080ull)) != 0x7800)
        csr_write(mstatus, 0x7800);
}

static void execute(uint64_t slot, uint32_t word)
{
    for (unsigned i = 1; i < 32; i++)
        sweep.ctx.x[i] = DATA_MID + 16 * i;
    set_status();
    if (sweep.fp)
        load_f(sweep.f_before);
    csr_write(fcsr, 0);
    csr_write(mepc, slot);
    csr_write(sepc, slot + 8);
    run_program(&sweep.ctx);
    set_status();
    if (sweep.cause == 2)
        mix(sweep.epc - slot);
    else
        sweep.legal++;
    mix(sweep.cause);
    mix(sweep.epc);
    mix(sweep.cause == 3 ? 0 : sweep.tval);
    for (unsigned i = 1; i < 32; i++)
        mix(sweep.ctx.x[i]);
    mix(csr_read(fcsr));
    if (sweep.fp) {
        save_f(sweep.f);
        for (unsigned i = 0; i < 32; i++)
            mix(sweep.f[i]);
    }
    if (sweep.trace) {
        put_hex(word, 8);
        put_char(' ');
        put_hex(sweep.cause, 2);
        put_char(' ');
        put_hex(sweep.epc, 8);
        put_char(' ');
        put_hex(sweep.tval, 16);
        put_char(' ');
        put_hex(sweep.hash, 16);
        put_char('\n');
    }
}

static void flush(void)
{
    if (sweep.count > 1)
        fill(DATA_MID - 0x1000, DATA_MID + 0x1400);
    for (unsigned i = 0; i < sweep.count; i++) {
        uint16_t *slot = (uint16_t *)(SLOTS_BASE + i * (uint64_t)SLOT_BYTES);

        slot[0] = (uint16_t)sweep.words[i];
        slot[1] = (sweep.words[i] & 3) == 3 ? (uint16_t)(sweep.words[i] >> 16) : 0x9002;
    }
    __asm__ volatile("fence.i" ::: "memory");
    for (unsigned i = 0; i < sweep.count; i++)
        execute(SLOTS_BASE + i * SLOT_BYTES, sweep.words[i]);
    sweep.count = 0;
}

/* Where a jump relative to pc goes; 4 for anything else. */
static int64_t jump_offset(uint32_t w)
{
    unsigned f3 = w >> 13 & 7;

    if ((w & 3) == 1 && f3 == 5)
        return (int64_t)((uint64_t)(w >> 12 & 1) << 63) >> 52 | (w >> 8 & 1) << 10 |
               (w >> 9 & 3) << 8 | (w >> 6 & 1) << 7 | (w >> 7 & 1) << 6 | (w >> 2 & 1) << 5 |
               (w >> 11 & 1) << 4 | (w >> 3 & 7) << 1;
    if ((w & 3) == 1 && f3 > 5)
        return (int64_t)((uint64_t)(w >> 12 & 1) << 63) >> 55 | (w >> 5 & 3) << 6 |
               (w >> 2 & 1) << 5 | (w >> 10 & 3) << 3 | (w >> 3 & 3) << 1;
    if ((w & 127) == 0x63)
        return (int64_t)((uint64_t)(w >> 31) << 63) >> 51 | (w >> 7 & 1) << 11 |
               (w >> 25 & 63) << 5 | (w >> 8 & 15) << 1;
    if ((w & 127) == 0x6f)
        return (int64_t)((uint64_t)(w >> 31) << 63) >> 43 | (w >> 12 & 255) << 12 |
               (w >> 20 & 1) << 11 | (w >> 21 & 1023) << 1;
    return 4;
}

static void add(uint32_t word)
{
    int64_t offset = jump_offset(word);

    if (word == WFI || offset == 0 || offset == 2) /* sleeps; jumps to itself or inside */
        return;
    sweep.words[sweep.count++] = word;
    if (sweep.count == SLOTS || offset != 4)
        flush();
}

static bool begin(unsigned kind, unsigned group)
{
    const uint32_t *wanted = (const uint32_t *)PROGRAMS_BASE;

    sweep.trace = wanted[0] == kind + 1 && wanted[1] == group;
    sweep.hash = 0;
    sweep.legal = 0;
    fill(SLOTS_BASE, SLOTS_BASE + SLOTS * SLOT_BYTES);
    return !wanted[0] || sweep.trace;
}

static void end(const char *kind, unsigned group)
{
    flush();
    put_text(kind);
    put_char(' ');
    put_hex(group, 2);
    put_char(' ');
    put_dec(sweep.legal);
    put_char(' ');
    put_hex(sweep.hash, 16);
    put_char('\n');
}

/* By quadrant and funct3. */
static void sweep_16(void)
{
    for (unsigned group = 0; group < 32; group++) {
        if ((group & 3) == 3 || !begin(0, group))
            continue;
        sweep.fp = (group & 3) != 1;
        for (unsigned middle = 0; middle < 2048; middle++)
            add((group & 3) | middle << 2 | (group >> 2) << 13);
        end("c", group);
    }
}

/* By opcode and funct3. */
static void sweep_32(void)
{
    for (unsigned group = 0; group < 256; group++) {
        uint32_t opcode = (group >> 3) << 2 | 3, f3 = group & 7;

        /* CSR instructions are elsewhere. */
        if ((opcode == 0x73 && f3 != 0 && f3 != 4) || !begin(1, group))
            continue;
        sweep.fp = opcode == 0x07 || opcode == 0x27 || (opcode >= 0x43 && opcode <= 0x53);
        for (uint32_t f7 = 0; f7 < 128; f7++)
            for (uint32_t rs2 = 0; rs2 < 32; rs2++) {
                uint32_t word = opcode | f3 << 12 | f7 << 25 | rs2 << 20;

                if (opcode == 0x73 || opcode == 0x0f)
                    for (unsigned i = 0; i < 4; i++)
                        add(word | (i & 1 ? 10u << 7 : 0) | (i & 2 ? 11u << 15 : 0));
                else
                    add(word | 10u << 7 | 11u << 15);
            }
        end("w", group);
    }
}

static void open_pmp(void)
{
    csr_write(pmpaddr0, -1);
    csr_write(pmpcfg0, 0x1f);
}

void guest_main(uint64_t hart_id)
{
    static const uint64_t values[] = {0x3ff0000000000000, 0xffffffff40490fdb, 0x4009210000000000,
                                      0xffffffffc0000000, 0x7ff0000000000001, 0,
                                      0xffffffff7f800001, 0x41e0000000000001};

    (void)hart_id;
    open_pmp();
    csr_write(mie, 0);
    csr_write(mtvec, m_trap);
    for (unsigned i = 0; i < 32; i++)
        sweep.f_before[i] = values[i % 8] + i;
    fill(SLOTS_BASE - 0x100000, SLOTS_BASE + 0x200000);
    sweep_16();
    sweep_32();
}
