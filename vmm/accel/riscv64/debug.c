/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/accel/riscv64/debug.h"

#include <errno.h>
#include <string.h>

#include "base/num.h"
#include "vmm/accel/riscv64/block.h"
#include "vmm/accel/riscv64/csr.h"
#include "vmm/accel/riscv64/mmu.h"
#include "vmm/accel/riscv64/walk.h"

void hart_debug_attach(struct hart *h, void (*stopped)(void *arg), void *arg)
{
    h->debug.stopped = stopped;
    h->debug.arg = arg;
}

bool hart_debug_get(struct hart *h, unsigned reg, uint64_t *ret)
{
    if (reg < HART_REG_PC)
        *ret = h->r.gpr[reg];
    else if (reg == HART_REG_PC)
        *ret = h->r.pc;
    else if (reg < HART_REG_CSR0)
        *ret = h->r.f[reg - HART_REG_F0];
    else if (reg < HART_REG_PRIV)
        return csr_look(h, reg - HART_REG_CSR0, ret) == 0;
    else if (reg == HART_REG_PRIV)
        *ret = h->r.priv;
    else
        return false;
    return true;
}

bool hart_debug_set(struct hart *h, unsigned reg, uint64_t value)
{
    if (reg == HART_REG_X0 || reg >= HART_REG_PRIV)
        return false;
    if (reg < HART_REG_PC)
        h->r.gpr[reg] = value;
    else if (reg == HART_REG_PC)
        h->r.pc = value & ~UINT64_C(1);
    else if (reg < HART_REG_CSR0)
        h->r.f[reg - HART_REG_F0] = value;
    else
        return csr_poke(h, reg - HART_REG_CSR0, value) == 0;
    return true;
}

/* [va, va + *n) in one page, at *gpa; *n becomes what of it lies there. */
static int find(const struct hart *h, uint64_t va, size_t *n, uint64_t *gpa)
{
    struct walked walked = {.pa = va};

    *n = num_min(*n, PAGE_BYTES - PAGE_OFFSET(va));
    if (h->r.priv != PRIV_M && h->r.satp >> SATP_MODE_SHIFT != 0 && walk_look(h, va, &walked) != 0)
        return -EFAULT;
    *gpa = walked.pa;
    return 0;
}

int hart_debug_read(const struct hart *h, uint64_t va, void *data, size_t n)
{
    uint8_t *at = data;

    while (n > 0) {
        size_t piece = n;
        uint64_t gpa;

        if (find(h, va, &piece, &gpa) < 0 || guestmem_read(h->mem, gpa, at, piece) < 0)
            return -EFAULT;
        at += piece;
        va += piece;
        n -= piece;
    }
    return 0;
}

int hart_debug_write(struct hart *h, uint64_t va, const void *data, size_t n)
{
    const uint8_t *at = data;

    while (n > 0) {
        size_t piece = n;
        uint64_t gpa;

        if (find(h, va, &piece, &gpa) < 0 || guestmem_write(h->mem, gpa, at, piece) < 0)
            return -EFAULT;
        at += piece;
        va += piece;
        n -= piece;
    }
    return 0;
}

void hart_debug_code_changed(struct hart *h)
{
    block_new_epoch(h);
}

void hart_debug_set_breakpoints(struct hart *h, const uint64_t *va, size_t count)
{
    count = num_min(count, VCPU_BREAKPOINTS_MAX);
    if (count == h->debug.breakpoint_count &&
        (!count || !memcmp(va, h->debug.breakpoints, count * sizeof(*va))))
        return;
    h->debug.breakpoint_count = (uint32_t)count;
    if (count)
        memcpy(h->debug.breakpoints, va, count * sizeof(*va));
    /* Where a block begins and ends depends on them. */
    block_forget_all(h);
}

void hart_debug_set_step(struct hart *h, bool on)
{
    h->debug.step = on;
}

void hart_debug_set_hold(struct hart *h, bool on)
{
    h->debug.held = on;
    /* Why it stopped is over with what it runs next, or would have run. */
    if (on)
        atomic_store(&h->debug.reason, VCPU_BREAK_NONE);
}

enum vcpu_break hart_debug_reason(const struct hart *h)
{
    return (enum vcpu_break)atomic_load(&h->debug.reason);
}
