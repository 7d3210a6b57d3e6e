/* SPDX-License-Identifier: Apache-2.0 */
/* Saved state of a hart: the contract, what is refused, QEMU's recordings, and what it means. */
#include "tests/unit.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/be.h"
#include "base/buf.h"
#include "lib/state/state.h"
#include "tests/contract/contract.h"
#include "tests/vmm/accel/riscv64/rig.h"
#include "vmm/accel/riscv64/csr.h"
#include "vmm/accel/riscv64/mmu.h"
#include "vmm/accel/riscv64/run.h"

enum { COMMON = 0, CPU = 1 };

static struct machine m; /* its harts are lent to the contract, which wants many, few at a time */
static bool lent[MACHINE_HARTS_MAX];

static int setup(void **state)
{
    machine_init(&m, MACHINE_HARTS_MAX);
    for (unsigned i = 0; i < MACHINE_HARTS_MAX; i++)
        m.harts[i]->r.mhartid = 3;
    return 0;
}

static int teardown(void **state)
{
    machine_free(&m);
    return 0;
}

static struct hart *hart_of(void *obj)
{
    return (struct hart *)(void *)((char *)obj - offsetof(struct hart, r));
}

static void *make(void *arg)
{
    for (unsigned i = 0; i < MACHINE_HARTS_MAX; i++) {
        if (lent[i])
            continue;
        lent[i] = true;
        hart_reset(m.harts[i]);
        for (unsigned line = 0; line < 16; line++)
            hart_set_irq(m.harts[i], (enum hart_irq)line, false);
        return &m.harts[i]->r;
    }
    fail_msg("no hart left");
    return NULL;
}

static void destroy(void *obj)
{
    for (unsigned i = 0; i < MACHINE_HARTS_MAX; i++) {
        if (obj == &m.harts[i]->r)
            lent[i] = false;
    }
}

/* Something else in every register. */
static void stir(void *obj)
{
    struct hart *h = hart_of(obj);
    struct hart_regs *r = obj;

    for (unsigned i = 1; i < 32; i++)
        r->x[i] = 0x1000000010001 * i;
    for (unsigned i = 0; i < 32; i++)
        r->f[i] = ~(0x100000001u * (uint64_t)i);
    r->pc = 0x80001234;
    r->priv = PRIV_S;
    r->mstatus = MSTATUS_XL64 | MSTATUS_FS | MSTATUS_SUM | MSTATUS_SPP | MSTATUS_SIE;
    r->mie = 0x2aa;
    r->mideleg = 0x222;
    r->medeleg = 0xb109;
    r->mtvec = 0x80000101;
    r->mepc = 0x80000202;
    r->mcause = 7;
    r->mtval = 0x707;
    r->mscratch = 0x808;
    r->stvec = 0x909;
    r->sepc = 0xa0a;
    r->scause = CAUSE_INTERRUPT | 5;
    r->stval = 0xb0b;
    r->sscratch = 0xc0c;
    r->satp = SATP_SV48 << 60 | 0x80100;
    r->stimecmp = 0xd0d0d0d0;
    r->menvcfg = MENVCFG_STCE;
    r->senvcfg = 0xf0;
    r->mcounteren = 7;
    r->scounteren = 2;
    r->mcountinhibit = 1;
    r->halted = 1;
    r->pmp[0] = (struct hart_pmp_entry){0x20000fff, 0x98};
    r->pmp[15] = (struct hart_pmp_entry){(UINT64_C(1) << 54) - 1, 0x1f};
    h->fp.frm = 3;
    h->fp.fflags = 0x15;
    h->stimer_armed = true;
    h->mip_soft = MIP_SSIP;
    csr_counter_set(h, COUNTER_CYCLE, 1111);
    csr_counter_set(h, COUNTER_INSTRET, 2222);
    hart_set_irq(h, HART_IRQ_MSI, true);
    hart_set_irq(h, HART_IRQ_SEI, true);
}

/* The first section only repeats from the second that something is pending. */
static void halt(void *obj)
{
    ((struct hart_regs *)obj)->halted = 1;
}

static struct ferry_part part_of(void *obj, unsigned which)
{
    struct ferry_part parts[2];

    hart_parts(hart_of(obj), parts);
    return parts[which];
}

static struct contract_case contract_of(unsigned which)
{
    struct ferry_part part = part_of(&m.harts[0]->r, which);

    return (struct contract_case){
        .table = part.table,
        .obj_bytes = part.obj_bytes,
        .make = make,
        .stir = which == CPU ? stir : halt,
        .destroy = destroy,
    };
}

static void parts_have_qemus_names(void **state)
{
    struct ferry_part parts[2];

    hart_parts(m.harts[0], parts);
    assert_string_equal(parts[COMMON].idstr, "cpu_common");
    assert_string_equal(parts[CPU].idstr, "cpu");
    assert_int_equal(parts[COMMON].table->version, 1);
    assert_int_equal(parts[CPU].table->version, 10);
    assert_int_equal(parts[CPU].instance_id, 3);
}

static void keeps_the_contract(void **state)
{
    for (unsigned which = COMMON; which <= CPU; which++) {
        struct contract_case c = contract_of(which);

        contract_run(&c);
    }
}

/* --- A whole move ---------------------------------------------------------------------------- */

static void save(void *obj, unsigned which, struct buf *out)
{
    struct ferry_part part = part_of(obj, which);
    struct ferry_err err;

    if (state_save(part.table, part.obj, out, NULL, &err) < 0)
        fail_msg("%s", err.text);
}

static int load(void *obj, unsigned which, const void *data, size_t n, struct ferry_err *err)
{
    struct ferry_part part = part_of(obj, which);
    struct rd in = rd_make(data, n);

    return state_load(part.table, part.obj, part.obj_bytes, part.table->version, &in, err);
}

static void everything_arrives(void **state)
{
    void *from = make(NULL), *to = make(NULL);
    struct hart *a = hart_of(from), *b = hart_of(to);
    struct ferry_err err;

    stir(from);
    for (unsigned which = COMMON; which <= CPU; which++) {
        struct buf out = {0};

        save(from, which, &out);
        if (load(to, which, out.data, out.len_bytes, &err) < 0)
            fail_msg("%s", err.text);
        buf_free(&out);
    }
    memset(&a->r.wire, 0, sizeof(a->r.wire));
    memset(&b->r.wire, 0, sizeof(b->r.wire));
    a->r.x[32] = b->r.x[32];
    assert_memory_equal(&a->r, &b->r, sizeof(a->r));
    assert_int_equal(b->fp.frm, 3);
    assert_int_equal(b->fp.fflags, 0x15);
    assert_true(b->stimer_armed);
    assert_int_equal(hart_mip(b), MIP_SSIP | MIP_MSIP | MIP_SEIP);
    assert_true(hart_get_irq(b, HART_IRQ_SEI));
    assert_false(hart_get_irq(b, HART_IRQ_SSI));
    assert_int_equal(csr_counter_get(b, COUNTER_CYCLE), 1111);
    assert_int_equal(csr_counter_get(b, COUNTER_INSTRET), 2222);
    /* What is derived. */
    assert_int_equal(b->tlb_mode, TLB_SUM);
    assert_ptr_equal(b->jump, b->jumps[PRIV_S]);
    assert_int_equal(b->pmp_count, 2);
    assert_int_equal(b->reserved_va, ~UINT64_C(0));
    destroy(from);
    destroy(to);
}

/* Who set SEIP: nobody, software, the line, both. */
static void external_interrupt_keeps_its_source(void **state)
{
    for (unsigned who = 0; who < 4; who++) {
        void *from = make(NULL), *to = make(NULL);
        struct hart *a = hart_of(from), *b = hart_of(to);
        struct buf out = {0};
        struct ferry_err err;

        a->mip_soft = who & 1 ? MIP_SEIP : 0;
        hart_set_irq(a, HART_IRQ_SEI, who & 2);
        save(from, CPU, &out);
        assert_int_equal(load(to, CPU, out.data, out.len_bytes, &err), 0);
        assert_int_equal(b->mip_soft, a->mip_soft);
        assert_int_equal(hart_get_irq(b, HART_IRQ_SEI), hart_get_irq(a, HART_IRQ_SEI));
        buf_free(&out);
        destroy(from);
        destroy(to);
    }
}

static void timer_bit_is_sent_as_it_is(void **state)
{
    void *from = make(NULL), *to = make(NULL);
    struct hart *a = hart_of(from), *b = hart_of(to);
    struct buf out = {0};
    struct ferry_err err;

    /* Due, but nobody has looked since. */
    a->r.menvcfg = MENVCFG_STCE;
    a->r.stimecmp = 5;
    a->stimer_armed = true;
    guest_clock_set(m.clock, 5 * MTIME_TICK_NS);
    save(from, CPU, &out);
    assert_int_equal(load(to, CPU, out.data, out.len_bytes, &err), 0);
    assert_int_equal(hart_mip(b), MIP_STIP);
    assert_false(b->stimer_armed);
    buf_free(&out);
    /* Never written: 0 is no deadline. */
    out = (struct buf){0};
    a->mip_soft = 0;
    a->r.stimecmp = 0;
    a->stimer_armed = false;
    save(from, CPU, &out);
    assert_int_equal(load(to, CPU, out.data, out.len_bytes, &err), 0);
    assert_false(b->stimer_armed);
    assert_int_equal(hart_mip(b), 0);
    buf_free(&out);
    guest_clock_set(m.clock, 0);
    destroy(from);
    destroy(to);
}

/* --- What is refused ------------------------------------------------------------------------- */

#define SPOIL(name, statement)          \
    static void spoil_##name(void *obj) \
    {                                   \
        struct hart_regs *r = obj;      \
                                        \
        statement;                      \
    }
SPOIL(priv, r->priv = 2)
SPOIL(mpp, r->mstatus |= UINT64_C(2) << MSTATUS_MPP_S)
SPOIL(xl, r->mstatus &= ~MSTATUS_XL)
SPOIL(satp, r->satp = UINT64_C(10) << 60)
SPOIL(mtvec, r->mtvec |= 3)
SPOIL(stvec, r->stvec = 2)
SPOIL(pc, r->pc |= 1)
SPOIL(sepc, r->sepc |= 1)
SPOIL(x0, r->x[0] = 1)

static void refuses_what_cannot_be(void **state)
{
    static const struct {
        void (*spoil)(void *obj);
        const char *text;
    } rows[] = {
        {spoil_priv, "privilege mode 2"},
        {spoil_mpp, "MPP"},
        {spoil_xl, "SXL"},
        {spoil_satp, "mode 10"},
        {spoil_mtvec, "mtvec"},
        {spoil_stvec, "stvec"},
        {spoil_pc, "odd"},
        {spoil_sepc, "sepc"},
        {spoil_x0, "x0"},
    };
    struct contract_case c = contract_of(CPU);

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        contract_refuses(&c, rows[i].spoil, rows[i].text);
}

/* Offsets in the section's payload. */
#define AT_PRIV_VER     688
#define AT_MISA_EXT     708
#define AT_VIRT_ENABLED 728
#define AT_SISELECT     897

/* Members that are derived when they are saved, so only a stream can have them wrong. */
static void refuses_another_cpu(void **state)
{
    static const struct {
        size_t at;
        uint8_t flip;
        const char *text;
    } rows[] = {
        {AT_PRIV_VER + 7, 1, "priv_spec=v1.12.0"},
        {AT_MISA_EXT + 3, 0x80, "extensions 0x1411ad"},
        {AT_VIRT_ENABLED, 1, "virtualisation"},
        {AT_SISELECT + 7, 1, "advanced interrupt"},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        void *from = make(NULL), *to = make(NULL);
        struct ferry_err err = {0};
        struct buf out = {0};

        save(from, CPU, &out);
        out.data[rows[i].at] ^= rows[i].flip;
        assert_true(load(to, CPU, out.data, out.len_bytes, &err) < 0);
        if (!strstr(err.text, rows[i].text))
            fail_msg("\"%s\" does not say \"%s\"", err.text, rows[i].text);
        buf_free(&out);
        destroy(from);
        destroy(to);
    }
}

/* --- Another VMM's CPU ----------------------------------------------------------------------- */

#define AT_MIP      753
#define AT_LOAD_VAL 656

static void quirks_leave_out_what_the_other_lacks(void **state)
{
    void *from = make(NULL), *to = make(NULL);
    struct hart *h = hart_of(to);
    struct ferry_err err = {0};
    struct buf out = {0};

    ((struct hart_regs *)from)->satp = SATP_SV48 << SATP_MODE_SHIFT;
    save(from, CPU, &out);
    h->r.quirks = (struct hart_quirks){.no_pmp = true, .no_sv48 = true};
    assert_true(load(to, CPU, out.data, out.len_bytes, &err) < 0);
    assert_non_null(strstr(err.text, "pmp=off"));
    hart_of(from)->r.quirks.no_pmp = true;
    buf_free(&out);
    save(from, CPU, &out);
    assert_true(load(to, CPU, out.data, out.len_bytes, &err) < 0);
    assert_non_null(strstr(err.text, "sv39=on"));
    hart_reset(h);
    assert_true(h->r.quirks.no_pmp);
    assert_int_equal(csr_access(h, CSR_PMPCFG0, CSR_OP_WRITE, 0, false), -1);
    assert_int_equal(csr_access(h, CSR_PMPADDR15, CSR_OP_WRITE, 0, true), -1);
    assert_int_equal(csr_access(h, CSR_SATP, CSR_OP_WRITE, SATP_SV48 << SATP_MODE_SHIFT, true), 0);
    assert_int_equal(h->r.satp, 0);
    assert_int_equal(csr_access(h, CSR_SATP, CSR_OP_WRITE, SATP_SV39 << SATP_MODE_SHIFT, true), 0);
    assert_int_equal(h->r.satp >> SATP_MODE_SHIFT, SATP_SV39);
    h->r.quirks = hart_of(from)->r.quirks = (struct hart_quirks){0};
    buf_free(&out);
    destroy(from);
    destroy(to);
}

static void running_timers_are_saved_as_fired(void **state)
{
    void *from = make(NULL);
    struct hart *h = hart_of(from);
    struct buf plain = {0}, out = {0};

    h->r.stimecmp = UINT64_C(1) << 40;
    h->stimer_armed = true;
    h->r.mie = MIP_MTIP;
    save(from, CPU, &plain);
    assert_int_equal(be64_load(plain.data + AT_MIP) & (MIP_STIP | MIP_MTIP), 0);
    h->r.quirks.timers_due = true;
    save(from, CPU, &out);
    assert_int_equal(be64_load(out.data + AT_MIP) & (MIP_STIP | MIP_MTIP), MIP_STIP | MIP_MTIP);
    assert_true(h->stimer_armed); /* the guest here runs on as it was, if it is not taken */
    h->r.quirks.stimer_saved = true;
    buf_free(&out);
    save(from, CPU, &out);
    assert_int_equal(be64_load(out.data + AT_MIP) & (MIP_STIP | MIP_MTIP), MIP_MTIP);
    assert_int_equal(out.len_bytes, plain.len_bytes + strlen("cpu/timer") + 6 + 16);
    assert_int_equal(be64_load(out.data + out.len_bytes - 16), 100 * (UINT64_C(1) << 40));
    assert_true(be64_load(out.data + out.len_bytes - 8) == UINT64_MAX);
    h->r.quirks = (struct hart_quirks){0};
    buf_free(&plain);
    buf_free(&out);
    destroy(from);
}

static void the_later_section_keeps_the_contract(void **state)
{
    struct contract_case c;

    m.harts[0]->r.quirks.cpu12 = true;
    c = contract_of(CPU);
    m.harts[0]->r.quirks.cpu12 = false;
    assert_int_equal(c.table->version, 12);
    contract_run(&c);
}

#define AT_FRM (AT_LOAD_VAL + 8)

static void the_later_section_has_narrow_registers(void **state)
{
    void *from = make(NULL), *to = make(NULL);
    struct hart_quirks later = {.cpu12 = true};
    struct ferry_err err = {0};
    struct buf wide = {0}, out = {0};

    stir(from);
    hart_of(from)->fp.frm = 3;
    save(from, CPU, &wide);
    hart_of(from)->r.quirks = hart_of(to)->r.quirks = later;
    save(from, CPU, &out);
    /* frm, priv; versions; selects; the upper halves of 32 counters and of their events. */
    assert_int_equal(wide.len_bytes - out.len_bytes, 2 * 7 + 2 * 4 + 2 * 6 + 32 * 16 + 32 * 8);
    assert_int_equal(out.data[AT_FRM], 3);
    assert_int_equal(load(to, CPU, out.data, out.len_bytes, &err), 0);
    assert_int_equal(hart_of(to)->fp.frm, 3);
    assert_int_equal(hart_of(to)->r.priv, PRIV_S);
    out.data[AT_FRM] = 8;
    assert_true(load(to, CPU, out.data, out.len_bytes, &err) < 0);
    assert_non_null(strstr(err.text, "rounding mode 8"));
    hart_of(from)->r.quirks = hart_of(to)->r.quirks = (struct hart_quirks){0};
    buf_free(&wide);
    buf_free(&out);
    destroy(from);
    destroy(to);
}

/* The mark may come back from a VMM that does not know it, with another mip. */
static void an_interrupt_survives_an_old_mark(void **state)
{
    void *from = make(NULL), *to = make(NULL);
    struct ferry_err err = {0};
    struct buf out = {0};

    save(from, CPU, &out);
    assert_int_equal(be64_load(out.data + AT_LOAD_VAL) & 0x60, 0);
    be64_store(out.data + AT_MIP, MIP_SEIP);
    assert_int_equal(load(to, CPU, out.data, out.len_bytes, &err), 0);
    assert_int_equal(hart_mip(hart_of(to)) & MIP_SEIP, MIP_SEIP);
    buf_free(&out);
    destroy(from);
    destroy(to);
}

/* --- QEMU's recordings ----------------------------------------------------------------------- */

/* The payload of section "cpu" of hart 0, and what follows it. */
static uint8_t *recorded_cpu(const char *name, uint8_t **payload, size_t *n)
{
    static const uint8_t head[] = {3, 'c', 'p', 'u', 0, 0, 0, 0, 0, 0, 0, 10};
    char path[512];
    uint8_t *data = malloc(1 << 20), *at;
    size_t size;
    FILE *f;

    snprintf(path, sizeof(path), "%s/qemu/%s", TEST_DATA_DIR, name);
    f = fopen(path, "rb");
    assert_non_null(f);
    size = fread(data, 1, 1 << 20, f);
    fclose(f);
    at = memmem(data, size, head, sizeof(head));
    assert_non_null(at);
    *payload = at + sizeof(head);
    *n = size - (size_t)(*payload - data);
    return data;
}

static void loads_what_qemu_saved(void **state)
{
    void *obj = make(NULL);
    struct hart *h = hart_of(obj);
    struct ferry_err err;
    uint8_t *payload = NULL, *data;
    size_t n = 0;

    h->r.mhartid = 0;
    h->r.resetvec = 0x1000;
    data = recorded_cpu("virt-10.0.2-mincpu.devstate.bin", &payload, &n);
    if (load(obj, CPU, payload, n, &err) < 0)
        fail_msg("%s", err.text);
    assert_int_equal(h->r.pc, UINT64_C(0xffffffff80a6944c));
    assert_int_equal(h->r.x[2], UINT64_C(0xffffffff81c03de0));
    assert_int_equal(h->r.priv, PRIV_S);
    assert_int_equal(h->r.satp, UINT64_C(0x8000100000082f81));
    assert_int_equal(h->r.stimecmp, 0x3db797f);
    assert_int_equal(h->r.menvcfg, MENVCFG_STCE);
    assert_true(h->stimer_armed);
    assert_int_equal(h->fp.fflags, 0);
    /* That CPU had no PMP: nothing is forbidden on this one. */
    h->r.satp = 0;
    assert_int_equal(mmu_load(h, MACHINE_RAM_BASE, 8), 0);
    free(data);
    h->r.mhartid = 3;
    h->r.resetvec = MACHINE_RAM_BASE;
    destroy(obj);
}

static void says_which_cpu_a_recording_needs(void **state)
{
    static const char *const names[] = {"virt-10.0.2-default.devstate.bin",
                                        "virt-10.0.13-default.devstate.bin"};

    for (size_t i = 0; i < 2; i++) {
        void *obj = make(NULL);
        struct hart *h = hart_of(obj);
        struct ferry_err err = {0};
        uint8_t *payload = NULL, *data = recorded_cpu(names[i], &payload, &(size_t){0});

        h->r.mhartid = 0;
        h->r.resetvec = 0x1000;
        assert_true(load(obj, CPU, payload, 8000, &err) < 0);
        assert_int_equal(h->r.priv, PRIV_M);
        if (!strstr(err.text, "cpu/hyper"))
            fail_msg("%s", err.text);
        free(data);
        h->r.mhartid = 3;
        h->r.resetvec = MACHINE_RAM_BASE;
        destroy(obj);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(parts_have_qemus_names),
        cmocka_unit_test(keeps_the_contract),
        cmocka_unit_test(everything_arrives),
        cmocka_unit_test(external_interrupt_keeps_its_source),
        cmocka_unit_test(timer_bit_is_sent_as_it_is),
        cmocka_unit_test(refuses_what_cannot_be),
        cmocka_unit_test(refuses_another_cpu),
        cmocka_unit_test(quirks_leave_out_what_the_other_lacks),
        cmocka_unit_test(the_later_section_keeps_the_contract),
        cmocka_unit_test(the_later_section_has_narrow_registers),
        cmocka_unit_test(running_timers_are_saved_as_fired),
        cmocka_unit_test(an_interrupt_survives_an_old_mark),
        cmocka_unit_test(loads_what_qemu_saved),
        cmocka_unit_test(says_which_cpu_a_recording_needs),
    };

    return cmocka_run_group_tests_name("vmm/accel/riscv64/state", tests, setup, teardown);
}
