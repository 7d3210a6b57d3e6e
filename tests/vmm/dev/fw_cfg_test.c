/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit.h"

#include <string.h>

#include "base/be.h"
#include "tests/contract/contract.h"
#include "tests/vmm/dev/rig.h"
#include "vmm/dev/fw_cfg.h"

#define RAM_GPA   UINT64_C(0x80000000)
#define RAM_BYTES 0x10000u

enum { DATA = 0, SELECTOR = 8, DMA = 16, DMA_LOW = 20 };
enum { ERROR = 1, READ = 2, SKIP = 4, SELECT = 8, WRITE = 16 };

static uint64_t swap64(uint64_t v)
{
    return __builtin_bswap64(v);
}

static void the_registers_say_what_it_is(void **state)
{
    struct rig *r = rig_new(&fw_cfg_type, 3);
    uint64_t signature;

    assert_int_equal(rig_read(r, DATA, 4), 0x554d4551); /* "QEMU", first byte lowest */
    assert_int_equal(rig_read(r, DATA, 8), 0);          /* past the end */
    rig_write(r, SELECTOR, 2, 0x0000);
    assert_int_equal(rig_read(r, DATA, 1), 'Q');
    assert_int_equal(rig_read(r, DATA, 1), 'E');
    rig_write(r, SELECTOR, 2, 0x0100); /* item 1: big endian */
    assert_int_equal(rig_read(r, DATA, 8), 3);
    rig_write(r, SELECTOR, 2, 0x0500);
    assert_int_equal(rig_read(r, DATA, 2), 3);
    rig_write(r, SELECTOR, 2, 0x1900); /* the directory: no entries */
    assert_int_equal(rig_read(r, DATA, 4), 0);
    signature = rig_read(r, DMA, 8);
    assert_memory_equal(&signature, "QEMU CFG", 8);
    rig_free(r);
}

static uint32_t dma(struct rig *r, uint8_t *ram, uint32_t control, uint32_t n, uint64_t gpa)
{
    be32_store(ram, control);
    be32_store(ram + 4, n);
    be64_store(ram + 8, gpa);
    rig_write(r, DMA, 8, swap64(RAM_GPA));
    return be32_load(ram);
}

static void dma_reads_and_refuses(void **state)
{
    struct rig *r = rig_new(&fw_cfg_type, 1);
    struct ferry_ram_region *region;
    struct ferry_ram *memory;
    struct ferry_err err;
    uint8_t *ram;

    assert_int_equal(ferry_ram_new(&memory, &err), 0);
    assert_int_equal(ferry_ram_add(memory, "ram", RAM_BYTES, &region, &err), 0);
    assert_int_equal(guestmem_add(&r->mem, RAM_GPA, region, false, &err), 0);
    ram = ferry_ram_host(region);
    memset(ram, 0xff, RAM_BYTES);
    assert_int_equal(dma(r, ram, SELECT | READ, 100, RAM_GPA + 64), 0);
    assert_memory_equal(ram + 64, "QEMU\0\0", 6);
    assert_int_equal(ram[64 + 99], 0);
    assert_int_equal(ram[64 + 100], 0xff);
    assert_int_equal(dma(r, ram, SELECT | SKIP, 2, 0), 0);
    assert_int_equal(rig_read(r, DATA, 2), 'M' | 'U' << 8);
    assert_int_equal(dma(r, ram, SKIP, UINT32_MAX, 0), 0);
    assert_int_equal(rig_read(r, DATA, 1), 0);
    assert_int_equal(dma(r, ram, SELECT | WRITE, 4, RAM_GPA + 64), ERROR);
    assert_int_equal(dma(r, ram, SELECT | READ, 16, RAM_GPA + RAM_BYTES - 8), ERROR);
    assert_int_equal(dma(r, ram, SELECT | READ, UINT32_MAX, RAM_GPA + 64), ERROR);
    /* In halves; the low one starts. */
    be32_store(ram, SELECT | READ);
    be32_store(ram + 4, 4);
    be64_store(ram + 8, RAM_GPA + 256);
    rig_write(r, DMA, 4, 0);
    assert_int_equal(be32_load(ram), SELECT | READ);
    rig_write(r, DMA_LOW, 4, __builtin_bswap32((uint32_t)RAM_GPA));
    assert_int_equal(be32_load(ram), 0);
    assert_memory_equal(ram + 256, "QEMU", 4);
    rig_write(r, DMA, 8, swap64(8)); /* no memory there: nothing happens */
    ferry_ram_free(memory);
    r->mem.slot_count = 0;
    rig_free(r);
}

static void stir(void *obj)
{
    rig_write(rig_of(obj), SELECTOR, 2, 0x0100);
    rig_read(rig_of(obj), DATA, 2);
    rig_write(rig_of(obj), DMA, 4, 0x12345678);
}

static void saved_state_keeps_the_contract(void **state)
{
    struct rig_contract rig = {.type = &fw_cfg_type, .hart_count = 1};
    struct contract_case c = {
        .table = fw_cfg_type.table,
        .obj_bytes = fw_cfg_type.size_bytes,
        .make = rig_make_dev,
        .stir = stir,
        .destroy = rig_destroy_dev,
        .arg = &rig,
    };

    contract_run(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_registers_say_what_it_is),
        cmocka_unit_test(dma_reads_and_refuses),
        cmocka_unit_test(saved_state_keeps_the_contract),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
