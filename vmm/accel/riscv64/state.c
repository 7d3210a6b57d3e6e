/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The saved state of a hart: QEMU's sections "cpu_common" version 1 and "cpu" version 10 (or 12,
 * for a QEMU that has that), as written for the CPU
 *   rv64i,m=on,a=on,f=on,d=on,c=on,s=on,u=on,zicsr=on,zifencei=on,zicntr=on,sstc=on,mmu=on,
 *   priv_spec=v1.12.0,sv48=on
 *
 * Differences from what QEMU 10.0 does with them:
 *   - QEMU forgets fflags, and which of software and PLIC set SEIP. Both travel in load_val, which
 *     has no meaning without a reservation (load_res all ones), behind a mark no program leaves
 *     there by chance.
 *   - No reservation is sent, and one that comes is dropped: the SC fails, as it may.
 *   - mip is sent as the guest would read it; the timer bit of stimecmp is derived on both sides.
 */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "base/err.h"
#include "vmm/accel/riscv64/block.h"
#include "vmm/accel/riscv64/core.h"
#include "vmm/accel/riscv64/csr.h"
#include "vmm/accel/riscv64/mmu.h"
#include "vmm/accel/riscv64/pmp.h"
#include "vmm/accel/riscv64/run.h"

#define NO_RESERVATION    (~UINT64_C(0))
#define EXTRA_MARK        UINT64_C(0x666c616773000000) /* "flags" */
#define EXTRA_FFLAGS      UINT64_C(0x1f)
#define EXTRA_SEIP_SOFT   UINT64_C(0x20) /* mip.SEIP as the guest wrote it */
#define EXTRA_SEIP_LINE   UINT64_C(0x40) /* ... and as the PLIC drives it */
#define EXTRA_MASK        (EXTRA_FFLAGS | EXTRA_SEIP_SOFT | EXTRA_SEIP_LINE)
#define PRIV_VERSION_1_12 2
#define VEXT_VERSION_1_0  0x10000
#define MISA_MXL_64       2
#define MICLAIM_NONE      0x1000
#define INTERRUPT_HARD    2 /* interrupt_request: some bit of mip is set */
#define LINE_BITS         (MIP_MSIP | MIP_MTIP | MIP_SEIP | MIP_MEIP)
#define NOT_ARMED         (~UINT64_C(0))

/* Priorities of local interrupts without AIA: constants of the format. */
static const uint8_t miprio[64] = {
    0xff, 0x14, 0x18, 0x11, 0xff, 0x15, 0x19, 0x12, 0xff, 0x13, 0x17, 0x00, 0x16, 0xff, 0xff, 0xff,
    0x24, 0x21, 0x1e, 0x1b, 0x0e, 0x0b, 0x08, 0x05, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
    0x25, 0x23, 0x22, 0x20, 0x1f, 0x1d, 0x1c, 0x1a, 0x0f, 0x0d, 0x0c, 0x0a, 0x09, 0x07, 0x06, 0x04,
    0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
};

static struct hart *hart_of(void *regs)
{
    return (struct hart *)(void *)((char *)regs - offsetof(struct hart, r));
}

/* mip as it is sent. A receiver that sets no timers finds those that run here fired: the guest
 * takes one interrupt early and sets its timer anew. */
static uint64_t wire_mip(const struct hart *h)
{
    const struct hart_quirks *quirks = &h->r.quirks;
    uint64_t mip = hart_mip(h);

    if (quirks->timers_due && !quirks->stimer_saved && h->stimer_armed)
        mip |= MIP_STIP;
    /* Whoever waits for the machine timer has it enabled. */
    if (quirks->timers_due && h->r.mie & MIP_MTIP)
        mip |= MIP_MTIP;
    return mip;
}

/* --- cpu_common ------------------------------------------------------------------------------ */

static void common_pre_save(void *obj)
{
    struct hart *h = hart_of(obj);

    run_check_timer(h);
    h->r.wire.interrupt_request = wire_mip(h) ? INTERRUPT_HARD : 0;
}

static const struct ferry_field common_fields[] = {
    FERRY_U32(struct hart_regs, halted, .max = 1),
    FERRY_U32(struct hart_regs, wire.interrupt_request, .wire_name = "interrupt_request"),
};

static const struct ferry_table common_table = {
    .name = "cpu_common",
    .version = 1,
    .minimum_version = 1,
    FERRY_FIELDS(common_fields),
    .pre_save = common_pre_save,
};

/* --- cpu: subsections ------------------------------------------------------------------------ */

static bool never_sent(const void *obj)
{
    return false;
}

static const struct ferry_field pmp_entry_fields[] = {
    FERRY_U64(struct hart_pmp_entry, addr_reg),
    FERRY_U8(struct hart_pmp_entry, cfg_reg),
};

static const struct ferry_table pmp_entry_table = {
    .name = "cpu/pmp/entry",
    .version = 1,
    .minimum_version = 1,
    FERRY_FIELDS(pmp_entry_fields),
};

static const struct ferry_field pmp_fields[] = {
    FERRY_STRUCT_ARRAY(struct hart_regs, pmp, &pmp_entry_table, .wire_name = "env.pmp_state.pmp"),
};

static bool pmp_needed(const void *obj)
{
    return !((const struct hart_regs *)obj)->quirks.no_pmp;
}

static int pmp_table_check(const void *scratch, struct ferry_err *err)
{
    if (pmp_needed(scratch))
        return 0;
    return err_set(err, EINVAL,
                   "the guest's CPU has physical memory protection, this machine's has none: start "
                   "the sender's CPU with pmp=off");
}

static const struct ferry_table pmp_table = {
    .name = "cpu/pmp",
    .version = 1,
    .minimum_version = 1,
    FERRY_FIELDS(pmp_fields),
    .needed = pmp_needed,
    .check = pmp_table_check,
};

static const struct ferry_field envcfg_fields[] = {
    FERRY_U64(struct hart_regs, menvcfg, .wire_name = "env.menvcfg"),
    FERRY_U64(struct hart_regs, senvcfg, .wire_name = "env.senvcfg"),
    FERRY_U64(struct hart_regs, wire.henvcfg, .wire_name = "env.henvcfg"),
};

static const struct ferry_table envcfg_table = {
    .name = "cpu/envcfg",
    .version = 1,
    .minimum_version = 1,
    FERRY_FIELDS(envcfg_fields),
};

/* The same with a number of its own, from when the extensions behind its bits grew. */
static const struct ferry_table envcfg2_table = {
    .name = "cpu/envcfg",
    .version = 2,
    .minimum_version = 2,
    FERRY_FIELDS(envcfg_fields),
};

/* Debug triggers this CPU does not have; a guest that never armed one does not miss them. */
static const struct ferry_field debug_fields[] = {
    FERRY_U64_ARRAY(struct hart_regs, wire.trigger, .wire_name = "env.triggers"),
};

static const struct ferry_table debug_table = {
    .name = "cpu/debug",
    .version = 2,
    .minimum_version = 2,
    FERRY_FIELDS(debug_fields),
    .needed = never_sent,
};

/* Derived from stimecmp, here and there. */
static bool timer_needed(const void *obj)
{
    return ((const struct hart_regs *)obj)->quirks.stimer_saved;
}

static const struct ferry_field timer_fields[] = {
    FERRY_U64(struct hart_regs, wire.stimer_ns, .wire_name = "env.stimer"),
    FERRY_U64(struct hart_regs, wire.vstimer_ns, .wire_name = "env.vstimer"),
};

static const struct ferry_table timer_table = {
    .name = "cpu/timer",
    .version = 1,
    .minimum_version = 1,
    FERRY_FIELDS(timer_fields),
    .needed = timer_needed,
};

/* --- cpu ------------------------------------------------------------------------------------- */

static uint64_t stimer_ns(const struct hart *h)
{
    if (!h->stimer_armed || h->r.stimecmp > NOT_ARMED / MTIME_TICK_NS)
        return NOT_ARMED;
    return h->r.stimecmp * MTIME_TICK_NS;
}

static void cpu_pre_save(void *obj)
{
    struct hart *h = hart_of(obj);
    struct hart_regs *r = obj;

    run_check_timer(h);
    memset(&r->wire, 0, sizeof(r->wire));
    memcpy(r->wire.miprio, miprio, sizeof(miprio));
    memcpy(r->wire.siprio, miprio, sizeof(miprio));
    r->wire.siprio[HART_IRQ_SEI] = 0x00;
    r->wire.siprio[HART_IRQ_MEI] = 0x10;
    r->wire.load_res = NO_RESERVATION;
    r->wire.load_val = EXTRA_MARK | h->fp.fflags | (h->mip_soft & MIP_SEIP ? EXTRA_SEIP_SOFT : 0) |
                       (atomic_load(&h->lines) & MIP_SEIP ? EXTRA_SEIP_LINE : 0);
    r->wire.frm = h->fp.frm;
    r->wire.priv_ver = PRIV_VERSION_1_12;
    r->wire.vext_ver = VEXT_VERSION_1_0;
    r->wire.misa_mxl = MISA_MXL_64;
    r->wire.misa_ext = MISA_EXT;
    r->wire.misa_ext_mask = MISA_EXT;
    r->wire.miclaim = MICLAIM_NONE;
    r->wire.mip = wire_mip(h);
    r->wire.stimer_ns = stimer_ns(h);
    r->wire.vstimer_ns = NOT_ARMED;
    r->wire.pmu[COUNTER_CYCLE].val = csr_counter_get(h, COUNTER_CYCLE);
    r->wire.pmu[COUNTER_INSTRET].val = csr_counter_get(h, COUNTER_INSTRET);
}

static void cpu_pre_load(void *scratch)
{
    struct hart_regs *r = scratch;

    /* A sender without PMP restricts nobody. */
    pmp_allow_all(r->pmp);
    r->menvcfg = 0;
    r->senvcfg = 0;
}

static int check_model(const struct hart_regs *r, struct ferry_err *err)
{
    if (r->wire.misa_mxl != MISA_MXL_64 || r->wire.misa_ext != MISA_EXT ||
        r->wire.misa_ext_mask != MISA_EXT)
        return err_set(err, EINVAL,
                       "the guest runs on a CPU with misa MXL %" PRIu32 ", extensions 0x%" PRIx32
                       "; this CPU has MXL %d, 0x%x (A C D F I M S U): start the sender with a CPU "
                       "of just these",
                       r->wire.misa_mxl, r->wire.misa_ext, MISA_MXL_64, MISA_EXT);
    if (r->wire.priv_ver != PRIV_VERSION_1_12)
        return err_set(err, EINVAL,
                       "the guest's CPU follows privileged specification number %" PRIu64
                       ", this one number %d: start the sender with priv_spec=v1.12.0",
                       r->wire.priv_ver, PRIV_VERSION_1_12);
    if (r->wire.virt_enabled || r->wire.mvien || r->wire.mvip || r->wire.sie || r->wire.miselect ||
        r->wire.siselect)
        return err_set(err, EINVAL,
                       "the guest uses virtualisation or the advanced interrupt architecture, "
                       "which this CPU does not have");
    return 0;
}

static int check_csrs(const struct hart_regs *r, struct ferry_err *err)
{
    uint64_t satp_mode = r->satp >> SATP_MODE_SHIFT;

    if (r->wire.frm > 7)
        return err_set(err, EINVAL, "rounding mode %" PRIu64 " is none of 0 to 7", r->wire.frm);
    if (r->priv != PRIV_U && r->priv != PRIV_S && r->priv != PRIV_M)
        return err_set(err, EINVAL, "privilege mode %" PRIu64 " is none of 0, 1 and 3", r->priv);
    if ((r->mstatus & MSTATUS_MPP) >> MSTATUS_MPP_S == 2)
        return err_set(err, EINVAL, "mstatus 0x%" PRIx64 ": MPP is 2, which is no mode",
                       r->mstatus);
    if ((r->mstatus & MSTATUS_XL) != MSTATUS_XL64)
        return err_set(err, EINVAL, "mstatus 0x%" PRIx64 ": SXL and UXL must be 2 (64 bit)",
                       r->mstatus);
    if (!satp_mode_exists(r, satp_mode))
        return err_set(err, EINVAL, "satp 0x%" PRIx64 ": mode %" PRIu64 " is none of %s", r->satp,
                       satp_mode,
                       r->quirks.no_sv48 ? "Bare and Sv39: start the sender with sv39=on"
                                         : "Bare, Sv39 and Sv48: start the sender with sv48=on");
    if ((r->mtvec & 3) > 1 || (r->stvec & 3) > 1)
        return err_set(err, EINVAL, "mtvec 0x%" PRIx64 " or stvec 0x%" PRIx64 " has a mode above 1",
                       r->mtvec, r->stvec);
    if ((r->pc | r->mepc | r->sepc) & 1)
        return err_set(err, EINVAL,
                       "pc 0x%" PRIx64 ", mepc 0x%" PRIx64 " or sepc 0x%" PRIx64 " is odd", r->pc,
                       r->mepc, r->sepc);
    if (r->x[0] != 0)
        return err_set(err, EINVAL, "x0 is 0x%" PRIx64, r->x[0]);
    return 0;
}

static int cpu_check(const void *scratch, struct ferry_err *err)
{
    int r = check_model(scratch, err);

    return r < 0 ? r : check_csrs(scratch, err);
}

/* What is in load_val if this program wrote it; else as QEMU has it. */
static uint64_t extra(const struct hart_regs *r)
{
    if (r->wire.load_res == NO_RESERVATION && (r->wire.load_val & ~EXTRA_MASK) == EXTRA_MARK)
        return r->wire.load_val;
    return EXTRA_SEIP_LINE;
}

static void load_mip(struct hart *h, uint64_t mip, uint64_t flags)
{
    uint64_t lines = mip & LINE_BITS, soft = mip & (MIP_SSIP | MIP_STIP | MIP_SEIP);

    /* A mark from before this guest was elsewhere says nothing of now. */
    if (mip & MIP_SEIP && !(flags & (EXTRA_SEIP_LINE | EXTRA_SEIP_SOFT)))
        flags |= EXTRA_SEIP_LINE;
    if (!(flags & EXTRA_SEIP_LINE))
        lines &= ~MIP_SEIP;
    if (!(flags & EXTRA_SEIP_SOFT))
        soft &= ~MIP_SEIP;
    atomic_store(&h->lines, lines);
    h->mip_soft = soft;
}

static void cpu_post_load(void *obj)
{
    struct hart *h = hart_of(obj);
    struct hart_regs *r = obj;

    csr_mask_all(h);
    h->fp.frm = (uint8_t)r->wire.frm;
    h->fp.fflags = extra(r) & EXTRA_FFLAGS;
    h->reserved_va = NO_RESERVATION;
    load_mip(h, r->wire.mip, extra(r));
    csr_counter_set(h, COUNTER_CYCLE, r->wire.pmu[COUNTER_CYCLE].val);
    csr_counter_set(h, COUNTER_INSTRET, r->wire.pmu[COUNTER_INSTRET].val);
    /* Pending: it has fired. 0 and not pending: never written, for that would have fired. */
    h->stimer_armed = r->menvcfg & MENVCFG_STCE && !(h->mip_soft & MIP_STIP) && r->stimecmp != 0 &&
                      r->stimecmp != ~UINT64_C(0);
    pmp_update(h);
    mmu_update_mode(h);
    mmu_flush_all(h);
    block_new_epoch(h);
}

/* Registers that version 12 sends as wide as they are, and version 10 with 8 bytes each. */
static void save_u8(const void *obj, const void *member, struct ferry_out *out)
{
    ferry_out_u8(out, (uint8_t) * (const uint64_t *)member);
}

static void save_u16(const void *obj, const void *member, struct ferry_out *out)
{
    ferry_out_be16(out, (uint16_t) * (const uint64_t *)member);
}

static void save_u32(const void *obj, const void *member, struct ferry_out *out)
{
    ferry_out_be32(out, (uint32_t) * (const uint64_t *)member);
}

static int load_narrow(void *member, struct ferry_in *in, size_t n, struct ferry_err *err)
{
    const uint8_t *data = ferry_in_take(in, n);
    uint64_t value = 0;

    if (!data)
        return err_set(err, EINVAL, "the section ends in a register");
    for (size_t i = 0; i < n; i++)
        value = value << 8 | data[i];
    *(uint64_t *)member = value;
    return 0;
}

static int load_u8(const void *scratch, void *member, struct ferry_in *in, struct ferry_err *err)
{
    return load_narrow(member, in, 1, err);
}

static int load_u16(const void *scratch, void *member, struct ferry_in *in, struct ferry_err *err)
{
    return load_narrow(member, in, 2, err);
}

static int load_u32(const void *scratch, void *member, struct ferry_in *in, struct ferry_err *err)
{
    return load_narrow(member, in, 4, err);
}

static const struct ferry_custom narrow_u8 = {save_u8, load_u8};
static const struct ferry_custom narrow_u16 = {save_u16, load_u16};
static const struct ferry_custom narrow_u32 = {save_u32, load_u32};

/* Members of env in QEMU's names. */
#define ENV(kind, m, ...)  kind(struct hart_regs, m, .wire_name = "env." #m, ##__VA_ARGS__)
#define WIRE(kind, m, ...) kind(struct hart_regs, wire.m, .wire_name = "env." #m, ##__VA_ARGS__)

static const struct ferry_field pmu_fields[] = {
    FERRY_U64(struct hart_pmu_counter, val, .wire_name = "mhpmcounter_val"),
    FERRY_U64(struct hart_pmu_counter, valh, .wire_name = "mhpmcounterh_val"),
    FERRY_U64(struct hart_pmu_counter, prev, .wire_name = "mhpmcounter_prev"),
    FERRY_U64(struct hart_pmu_counter, prevh, .wire_name = "mhpmcounterh_prev"),
};

static const struct ferry_table pmu_table = {
    .name = "cpu/pmu",
    .version = 2,
    .minimum_version = 2,
    FERRY_FIELDS(pmu_fields),
};

/* Without the upper halves, which only a 32 bit hart has. */
static const struct ferry_field pmu3_fields[] = {
    FERRY_U64(struct hart_pmu_counter, val, .wire_name = "mhpmcounter_val"),
    FERRY_U64(struct hart_pmu_counter, prev, .wire_name = "mhpmcounter_prev"),
};

static const struct ferry_table pmu3_table = {
    .name = "cpu/pmu",
    .version = 3,
    .minimum_version = 3,
    FERRY_FIELDS(pmu3_fields),
};

/* REG8, REG16, REG32: registers of that width; PMU: a counter's table; last, with a comma, what
 * only 32 bit harts use. */
/* clang-format off */
#define CPU_FIELDS(REG8, REG16, REG32, PMU, ...)                                            \
    ENV(FERRY_U64_ARRAY, gpr),                                                              \
    FERRY_U64_ARRAY(struct hart_regs, f, .wire_name = "env.fpr"),                           \
    WIRE(FERRY_U8_ARRAY, miprio),                                                           \
    WIRE(FERRY_U8_ARRAY, siprio),                                                           \
    ENV(FERRY_U64, pc),                                                                     \
    WIRE(FERRY_U64, load_res),                                                              \
    WIRE(FERRY_U64, load_val),                                                              \
    REG8(wire.frm, "env.frm"),                                                              \
    WIRE(FERRY_U64, badaddr),                                                               \
    WIRE(FERRY_U64, guest_phys_fault_addr),                                                 \
    REG32(wire.priv_ver, "env.priv_ver"),                                                   \
    REG32(wire.vext_ver, "env.vext_ver"),                                                   \
    WIRE(FERRY_U32, misa_mxl),                                                              \
    WIRE(FERRY_U32, misa_ext),                                                              \
    FERRY_UNUSED(4),                                                                        \
    WIRE(FERRY_U32, misa_ext_mask),                                                         \
    REG8(priv, "env.priv"),                                                                 \
    WIRE(FERRY_BOOL, virt_enabled),                                                         \
    ENV(FERRY_U64_EQ, resetvec, .type_name = "uint64"),                                     \
    ENV(FERRY_U64_EQ, mhartid, .type_name = "uint64"),                                      \
    ENV(FERRY_U64, mstatus),                                                                \
    WIRE(FERRY_U64, mip),                                                                   \
    WIRE(FERRY_U64, miclaim),                                                               \
    ENV(FERRY_U64, mie),                                                                    \
    WIRE(FERRY_U64, mvien),                                                                 \
    WIRE(FERRY_U64, mvip),                                                                  \
    WIRE(FERRY_U64, sie),                                                                   \
    ENV(FERRY_U64, mideleg),                                                                \
    ENV(FERRY_U64, satp),                                                                   \
    ENV(FERRY_U64, stval),                                                                  \
    ENV(FERRY_U64, medeleg),                                                                \
    ENV(FERRY_U64, stvec),                                                                  \
    ENV(FERRY_U64, sepc),                                                                   \
    ENV(FERRY_U64, scause),                                                                 \
    ENV(FERRY_U64, mtvec),                                                                  \
    ENV(FERRY_U64, mepc),                                                                   \
    ENV(FERRY_U64, mcause),                                                                 \
    ENV(FERRY_U64, mtval),                                                                  \
    REG16(wire.miselect, "env.miselect"),                                                   \
    REG16(wire.siselect, "env.siselect"),                                                   \
    ENV(FERRY_U32, scounteren),                                                             \
    ENV(FERRY_U32, mcounteren),                                                             \
    WIRE(FERRY_U32, scountinhibit),                                                         \
    ENV(FERRY_U32, mcountinhibit),                                                          \
    FERRY_STRUCT_ARRAY(struct hart_regs, wire.pmu, PMU, .wire_name = "env.pmu_ctrs"),       \
    WIRE(FERRY_U64_ARRAY, mhpmevent_val),                                                   \
    __VA_ARGS__                                                                             \
    ENV(FERRY_U64, sscratch),                                                               \
    ENV(FERRY_U64, mscratch),                                                               \
    ENV(FERRY_U64, stimecmp)
/* clang-format on */

#define REG64(m, name) FERRY_U64(struct hart_regs, m, .wire_name = (name))

static const struct ferry_field cpu10_fields[] = {
    CPU_FIELDS(REG64, REG64, REG64, &pmu_table, WIRE(FERRY_U64_ARRAY, mhpmeventh_val), )};

#define NARROW(m, name, bits)                                               \
    FERRY_CUSTOM(struct hart_regs, m, &narrow_u##bits, .wire_name = (name), \
                 .type_name = "uint" #bits)
#define NARROW8(m, name)  NARROW(m, name, 8)
#define NARROW16(m, name) NARROW(m, name, 16)
#define NARROW32(m, name) NARROW(m, name, 32)

static const struct ferry_field cpu12_fields[] = {
    CPU_FIELDS(NARROW8, NARROW16, NARROW32, &pmu3_table)};

static const struct ferry_table *const cpu10_subsections[] = {
    &pmp_table, &envcfg_table, &debug_table, &timer_table, NULL,
};

static const struct ferry_table *const cpu12_subsections[] = {
    &pmp_table, &envcfg2_table, &debug_table, &timer_table, NULL,
};

#define CPU_TABLE(number)                                                             \
    {                                                                                 \
        .name = "cpu", .version = (number), .minimum_version = (number),              \
        FERRY_FIELDS(cpu##number##_fields), .subsections = cpu##number##_subsections, \
        .pre_save = cpu_pre_save, .pre_load = cpu_pre_load, .check = cpu_check,       \
        .post_load = cpu_post_load,                                                   \
    }

static const struct ferry_table cpu10_table = CPU_TABLE(10);
static const struct ferry_table cpu12_table = CPU_TABLE(12);

void hart_parts(struct hart *h, struct ferry_part ret[2])
{
    const struct ferry_table *tables[2] = {&common_table,
                                           h->r.quirks.cpu12 ? &cpu12_table : &cpu10_table};

    for (size_t i = 0; i < 2; i++)
        ret[i] = (struct ferry_part){
            .idstr = tables[i]->name,
            .instance_id = (uint32_t)h->r.mhartid,
            .table = tables[i],
            .obj = &h->r,
            .obj_bytes = sizeof(h->r),
        };
}
