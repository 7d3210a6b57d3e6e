/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/accel/riscv64/registers.h"

#include "vmm/accel/riscv64/debug.h"

static const char *const x_names[] = {
    "zero", "ra", "sp", "gp", "tp",  "t0",  "t1", "t2", "fp", "s1", "a0",
    "a1",   "a2", "a3", "a4", "a5",  "a6",  "a7", "s2", "s3", "s4", "s5",
    "s6",   "s7", "s8", "s9", "s10", "s11", "t3", "t4", "t5", "t6",
};

static const char *const f_names[] = {
    "ft0", "ft1", "ft2", "ft3", "ft4",  "ft5",  "ft6", "ft7", "fs0",  "fs1",  "fa0",
    "fa1", "fa2", "fa3", "fa4", "fa5",  "fa6",  "fa7", "fs2", "fs3",  "fs4",  "fs5",
    "fs6", "fs7", "fs8", "fs9", "fs10", "fs11", "ft8", "ft9", "ft10", "ft11",
};

/* Privileged spec, chapter 2. */
static const struct {
    unsigned csr;
    const char *name;
} csrs[] = {
    {0xc00, "cycle"},    {0xc01, "time"},       {0xc02, "instret"},    {0x100, "sstatus"},
    {0x104, "sie"},      {0x105, "stvec"},      {0x106, "scounteren"}, {0x10a, "senvcfg"},
    {0x140, "sscratch"}, {0x141, "sepc"},       {0x142, "scause"},     {0x143, "stval"},
    {0x144, "sip"},      {0x14d, "stimecmp"},   {0x180, "satp"},       {0x300, "mstatus"},
    {0x301, "misa"},     {0x302, "medeleg"},    {0x303, "mideleg"},    {0x304, "mie"},
    {0x305, "mtvec"},    {0x306, "mcounteren"}, {0x30a, "menvcfg"},    {0x320, "mcountinhibit"},
    {0x340, "mscratch"}, {0x341, "mepc"},       {0x342, "mcause"},     {0x343, "mtval"},
    {0x344, "mip"},      {0x3a0, "pmpcfg0"},    {0x3a2, "pmpcfg2"},    {0xb00, "mcycle"},
    {0xb02, "minstret"}, {0xf11, "mvendorid"},  {0xf12, "marchid"},    {0xf13, "mimpid"},
    {0xf14, "mhartid"},
};

static void put_reg(struct buf *xml, const char *name, unsigned bits, const char *type,
                    unsigned number)
{
    buf_printf(xml, "<reg name=\"%s\" bitsize=\"%u\" type=\"%s\" regnum=\"%u\"/>", name, bits, type,
               number);
}

static void begin_feature(struct buf *xml, const char *name)
{
    buf_printf(xml, "<feature name=\"org.gnu.gdb.riscv.%s\">", name);
}

static void end_feature(struct buf *xml)
{
    buf_str(xml, "</feature>");
}

size_t registers_bytes(unsigned reg)
{
    return reg > HART_REG_CSR0 && reg <= HART_REG_CSR0 + 3 ? 4 : 8;
}

void registers_describe(struct buf *xml, struct hart *h)
{
    uint64_t value;

    buf_str(xml, "<?xml version=\"1.0\"?><!DOCTYPE target SYSTEM \"gdb-target.dtd\"><target>"
                 "<architecture>riscv:rv64</architecture>");
    begin_feature(xml, "cpu");
    for (unsigned i = 0; i < 32; i++)
        put_reg(xml, x_names[i], 64,
                i == 1             ? "code_ptr"
                : i >= 2 && i <= 4 ? "data_ptr"
                                   : "int",
                HART_REG_X0 + i);
    put_reg(xml, "pc", 64, "code_ptr", HART_REG_PC);
    end_feature(xml);
    begin_feature(xml, "fpu");
    for (unsigned i = 0; i < 32; i++)
        put_reg(xml, f_names[i], 64, "ieee_double", HART_REG_F0 + i);
    put_reg(xml, "fflags", 32, "int", HART_REG_CSR0 + 1);
    put_reg(xml, "frm", 32, "int", HART_REG_CSR0 + 2);
    put_reg(xml, "fcsr", 32, "int", HART_REG_CSR0 + 3);
    end_feature(xml);
    begin_feature(xml, "csr");
    for (unsigned i = 0; i < sizeof(csrs) / sizeof(csrs[0]); i++)
        if (hart_debug_get(h, HART_REG_CSR0 + csrs[i].csr, &value))
            put_reg(xml, csrs[i].name, 64, "int", HART_REG_CSR0 + csrs[i].csr);
    end_feature(xml);
    begin_feature(xml, "virtual");
    put_reg(xml, "priv", 64, "int", HART_REG_PRIV);
    end_feature(xml);
    buf_str(xml, "</target>");
}
