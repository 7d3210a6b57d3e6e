/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/accel/riscv64/accel.h"

#include "vmm/accel/riscv64/core.h"
#include "vmm/accel/riscv64/registers.h"

static struct hart *hart_of(struct vcpu *v)
{
    return (struct hart *)((char *)v - offsetof(struct hart, vcpu));
}

static const struct hart *hart_of_const(const struct vcpu *v)
{
    return (const struct hart *)((const char *)v - offsetof(struct hart, vcpu));
}

/* --- Life ------------------------------------------------------------------------------------ */

static int create(struct vcpu **ret, const struct vcpu_params *params, struct ferry_err *err)
{
    const struct hart_model *model = params->model;
    const struct hart_params hart = {
        .size_bytes = sizeof(hart),
        .id = params->id,
        .reset_pc = model->reset_pc,
        .quirks = model->quirks,
        .mem = params->mem,
        .bus = params->bus,
        .clock = params->clock,
        .ram = params->ram,
        .thread_begin = params->thread_begin,
    };
    struct hart *h;
    int rc = hart_new(&h, &hart, err);

    if (!rc)
        *ret = hart_vcpu(h);
    return rc;
}

static void free_vcpu(struct vcpu *v)
{
    hart_free(hart_of(v));
}

static void reset(struct vcpu *v)
{
    hart_reset(hart_of(v));
}

static void run(struct vcpu *v)
{
    hart_run(hart_of(v));
}

static void stop_request(struct vcpu *v)
{
    hart_stop_request(hart_of(v));
}

static void stop_wait(struct vcpu *v)
{
    hart_stop_wait(hart_of(v));
}

static void set_throttle(struct vcpu *v, unsigned percent)
{
    hart_set_throttle(hart_of(v), percent);
}

static void set_irq(struct vcpu *v, unsigned input, bool level)
{
    hart_set_irq(hart_of(v), (enum hart_irq)input, level);
}

static bool get_irq(const struct vcpu *v, unsigned input)
{
    return hart_get_irq(hart_of_const(v), (enum hart_irq)input);
}

static int thread_id(const struct vcpu *v)
{
    return hart_thread_id(hart_of_const(v));
}

static size_t parts(struct vcpu *v, struct ferry_part ret[VCPU_PARTS_MAX])
{
    hart_parts(hart_of(v), ret);
    return VCPU_PARTS_MAX;
}

/* --- Under a debugger ------------------------------------------------------------------------ */

static void describe(struct vcpu *v, struct buf *xml)
{
    registers_describe(xml, hart_of(v));
}

static void attach(struct vcpu *v, void (*stopped)(void *arg), void *arg)
{
    hart_debug_attach(hart_of(v), stopped, arg);
}

static bool get(struct vcpu *v, unsigned reg, uint64_t *ret)
{
    return hart_debug_get(hart_of(v), reg, ret);
}

static bool set(struct vcpu *v, unsigned reg, uint64_t value)
{
    return hart_debug_set(hart_of(v), reg, value);
}

static int read_memory(const struct vcpu *v, uint64_t va, void *data, size_t n)
{
    return hart_debug_read(hart_of_const(v), va, data, n);
}

static int write_memory(struct vcpu *v, uint64_t va, const void *data, size_t n)
{
    return hart_debug_write(hart_of(v), va, data, n);
}

static void code_changed(struct vcpu *v)
{
    hart_debug_code_changed(hart_of(v));
}

static void set_breakpoints(struct vcpu *v, const uint64_t *va, size_t count)
{
    hart_debug_set_breakpoints(hart_of(v), va, count);
}

static void set_step(struct vcpu *v, bool on)
{
    hart_debug_set_step(hart_of(v), on);
}

static void set_hold(struct vcpu *v, bool on)
{
    hart_debug_set_hold(hart_of(v), on);
}

static enum vcpu_break reason(const struct vcpu *v)
{
    return hart_debug_reason(hart_of_const(v));
}

static const struct vcpu_debug debug = {
    .reg_count = HART_REG_PRIV + 1,
    .general_count = HART_REG_PC + 1,
    .reg_bytes = registers_bytes,
    .describe = describe,
    .attach = attach,
    .get = get,
    .set = set,
    .read = read_memory,
    .write = write_memory,
    .code_changed = code_changed,
    .set_breakpoints = set_breakpoints,
    .set_step = set_step,
    .set_hold = set_hold,
    .reason = reason,
};

const struct accel accel_riscv64 = {
    .name = "tcg",
    .what = "its software CPU",
    .target = "riscv64",
    .create = create,
    .free = free_vcpu,
    .reset = reset,
    .run = run,
    .stop_request = stop_request,
    .stop_wait = stop_wait,
    .set_throttle = set_throttle,
    .set_irq = set_irq,
    .get_irq = get_irq,
    .thread_id = thread_id,
    .parts = parts,
    .debug = &debug,
};
