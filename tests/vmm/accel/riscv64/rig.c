/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit.h"

#include "tests/vmm/accel/riscv64/rig.h"

#include <string.h>

#include "vmm/accel/riscv64/block.h"
#include "vmm/accel/riscv64/decode.h"
#include "vmm/accel/riscv64/exec.h"
#include "vmm/accel/riscv64/mmu.h"
#include "vmm/accel/riscv64/pmp.h"
#include "vmm/accel/riscv64/run.h"

#define SLICE_INSNS 1000
#define SLICES_MAX  1000

void rig_init(struct rig *r)
{
    machine_init(&r->m, 1);
    r->m.uart = NULL;
    r->h = r->m.harts[0];
    rig_reset(r);
}

void rig_free(struct rig *r)
{
    machine_free(&r->m);
}

void rig_reset(struct rig *r)
{
    hart_reset(r->h);
    r->h->r.mtvec = RIG_TRAP;
    r->h->r.mstatus |= MSTATUS_FS;
    rig_write64(r, RIG_TRAP, rig_word("wfi"));
    pmp_write_addr(r->h, 0, ~UINT64_C(0));
    pmp_write_cfg(r->h, 0, PMP_A | PMP_X | PMP_W | PMP_R);
    mmu_flush_all(r->h);
}

void rig_continue(struct rig *r)
{
    r->h->r.halted = 0;
    fp_enter(&r->h->fp);
    for (unsigned i = 0; i < SLICES_MAX && !r->h->r.halted; i++) {
        run_answer(r->h);
        exec_slice(r->h, SLICE_INSNS);
    }
    fp_leave(&r->h->fp);
    assert_true(r->h->r.halted);
    assert_int_equal(r->h->r.pc, RIG_TRAP + 4);
}

void rig_run(struct rig *r, const uint32_t *words, size_t count)
{
    memcpy(r->m.host + (RIG_CODE - MACHINE_RAM_BASE), words, count * sizeof(words[0]));
    block_new_epoch(r->h);
    r->h->r.pc = RIG_CODE;
    rig_continue(r);
}

void rig_write64(struct rig *r, uint64_t gpa, uint64_t value)
{
    memcpy(r->m.host + (gpa - MACHINE_RAM_BASE), &value, sizeof(value));
}

uint64_t rig_read64(struct rig *r, uint64_t gpa)
{
    uint64_t value;

    memcpy(&value, r->m.host + (gpa - MACHINE_RAM_BASE), sizeof(value));
    return value;
}

uint32_t rig_word(const char *name)
{
    const struct insn_type *t = NULL;

    for (size_t i = 0; (t = decode_type_at(i)); i++) {
        if (strcmp(t->name, name) == 0)
            return t->match;
    }
    fail_msg("no instruction \"%s\"", name);
    return 0;
}

uint32_t rig_r(const char *name, unsigned rd, unsigned rs1, unsigned rs2)
{
    return rig_word(name) | rd << 7 | rs1 << 15 | rs2 << 20;
}

uint32_t rig_i(const char *name, unsigned rd, unsigned rs1, int imm)
{
    return rig_word(name) | rd << 7 | rs1 << 15 | (uint32_t)imm << 20;
}

uint32_t rig_s(const char *name, unsigned rs2, unsigned rs1, int imm)
{
    uint32_t u = (uint32_t)imm;

    return rig_word(name) | rs1 << 15 | rs2 << 20 | (u & 31) << 7 | (u >> 5 & 127) << 25;
}

uint32_t rig_csr(const char *name, unsigned rd, unsigned csr, unsigned rs1)
{
    return rig_word(name) | rd << 7 | rs1 << 15 | csr << 20;
}

uint32_t rig_b(const char *name, unsigned rs1, unsigned rs2, int offset)
{
    uint32_t u = (uint32_t)offset;

    return rig_word(name) | rs1 << 15 | rs2 << 20 | (u >> 11 & 1) << 7 | (u >> 1 & 15) << 8 |
           (u >> 5 & 63) << 25 | (u >> 12 & 1) << 31;
}

uint32_t rig_j(unsigned rd, int offset)
{
    uint32_t u = (uint32_t)offset;

    return rig_word("jal") | rd << 7 | (u >> 12 & 255) << 12 | (u >> 11 & 1) << 20 |
           (u >> 1 & 1023) << 21 | (u >> 20 & 1) << 31;
}

uint32_t rig_u(const char *name, unsigned rd, unsigned imm)
{
    return rig_word(name) | rd << 7 | imm << 12;
}
