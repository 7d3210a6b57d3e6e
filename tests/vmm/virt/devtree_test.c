/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit.h"

#include <errno.h>
#include <libfdt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "vmm/machine/config.h"
#include "vmm/virt/devtree.h"

static const struct devtree_params two_harts = {
    .hart_count = 2,
    .ram_bytes = UINT64_C(6) << 30,
    .isa_string = "rv64imafdc_zicntr_zicsr_sstc",
    .mmu_type = "riscv,sv48",
    .bootargs = "console=ttyS0 quiet",
    .vmgenid = true,
    .pci = true,
    .initrd_start_gpa = UINT64_C(0x1a0200000),
    .initrd_end_gpa = UINT64_C(0x1a0300123),
    .rng_seed = {1, 2, 3},
};

static uint8_t *make(const struct devtree_params *params)
{
    struct ferry_err err = {0};
    uint8_t *blob = NULL;
    size_t n = 0;

    if (devtree_make(&blob, &n, params, &err))
        fail_msg("%s", err.text);
    assert_int_equal(fdt_check_full(blob, n), 0);
    assert_int_equal(fdt_totalsize(blob), n);
    return blob;
}

static int setup(void **state)
{
    *state = make(&two_harts);
    return 0;
}

static int teardown(void **state)
{
    free(*state);
    return 0;
}

static const void *property(const void *fdt, const char *path, const char *name, int *len)
{
    int node = fdt_path_offset(fdt, path);
    const void *value;

    if (node < 0)
        fail_msg("no node %s", path);
    value = fdt_getprop(fdt, node, name, len);
    if (!value)
        fail_msg("no property %s in %s", name, path);
    return value;
}

static void check_cells(const void *fdt, const char *path, const char *name, const uint32_t *cells,
                        size_t n)
{
    int len;
    const uint8_t *value = property(fdt, path, name, &len);

    if ((size_t)len != 4 * n)
        fail_msg("%s of %s has %d bytes, not %zu", name, path, len, 4 * n);
    for (size_t i = 0; i < n; i++) {
        if (fdt32_ld((const void *)(value + 4 * i)) != cells[i])
            fail_msg("cell %zu of %s of %s is 0x%x, not 0x%x", i, name, path,
                     fdt32_ld((const void *)(value + 4 * i)), cells[i]);
    }
}

#define CHECK_CELLS(path, name, ...)                              \
    check_cells(fdt, path, name, (const uint32_t[]){__VA_ARGS__}, \
                sizeof((const uint32_t[]){__VA_ARGS__}) / sizeof(uint32_t))

static void check_bytes(const void *fdt, const char *path, const char *name, const void *bytes,
                        size_t n)
{
    int len;
    const void *value = property(fdt, path, name, &len);

    assert_int_equal(len, n);
    assert_memory_equal(value, bytes, n);
}

#define CHECK_STRINGS(path, name, literal) check_bytes(fdt, path, name, literal, sizeof(literal))

/* The numbers of QEMU's tree for two harts. */
/* As QEMU's: sixteen pins, each with its source of the PLIC. */
static void check_interrupt_map(const void *fdt)
{
    static const uint32_t sources[16] = {32, 33, 34, 35, 33, 34, 35, 32,
                                         34, 35, 32, 33, 35, 32, 33, 34};
    uint32_t cells[16 * 6];

    for (uint32_t i = 0; i < 16; i++) {
        const uint32_t row[6] = {i / 4 << 11, 0, 0, 1 + i % 4, 5, sources[i]};

        memcpy(&cells[i * 6], row, sizeof(row));
    }
    check_cells(fdt, "/soc/pci@30000000", "interrupt-map", cells, 16 * 6);
}

static void addresses_and_wiring_are_those_of_the_virt_board(void **state)
{
    const void *fdt = *state;

    CHECK_STRINGS("/", "compatible", "riscv-virtio");
    CHECK_STRINGS("/memory@80000000", "device_type", "memory");
    CHECK_CELLS("/memory@80000000", "reg", 0, 0x80000000, 1, 0x80000000);
    CHECK_CELLS("/cpus", "timebase-frequency", 10000000);
    CHECK_CELLS("/cpus/cpu@1", "phandle", 1);
    CHECK_CELLS("/cpus/cpu@1/interrupt-controller", "phandle", 2);
    CHECK_CELLS("/cpus/cpu@0", "phandle", 3);
    CHECK_CELLS("/cpus/cpu@0/interrupt-controller", "phandle", 4);
    CHECK_CELLS("/cpus/cpu-map/cluster0/core1", "cpu", 1);
    CHECK_CELLS("/soc/clint@2000000", "reg", 0, 0x2000000, 0, 0x10000);
    CHECK_CELLS("/soc/clint@2000000", "interrupts-extended", 4, 3, 4, 7, 2, 3, 2, 7);
    CHECK_STRINGS("/soc/clint@2000000", "compatible", "sifive,clint0\0riscv,clint0");
    CHECK_CELLS("/soc/plic@c000000", "interrupts-extended", 4, 11, 4, 9, 2, 11, 2, 9);
    CHECK_CELLS("/soc/plic@c000000", "phandle", 5);
    CHECK_CELLS("/soc/plic@c000000", "riscv,ndev", 0x5f);
    CHECK_CELLS("/soc/serial@10000000", "interrupts", 10);
    CHECK_CELLS("/soc/serial@10000000", "interrupt-parent", 5);
    CHECK_CELLS("/soc/serial@10000000", "clock-frequency", 3686400);
    CHECK_CELLS("/soc/rtc@101000", "interrupts", 11);
    CHECK_STRINGS("/soc/vmgenid@102000", "compatible", "microsoft,vmgenid");
    CHECK_CELLS("/soc/vmgenid@102000", "reg", 0, 0x102000, 0, 0x1000);
    CHECK_CELLS("/soc/vmgenid@102000", "interrupts", 12);
    CHECK_CELLS("/soc/test@100000", "phandle", 6);
    CHECK_CELLS("/soc/virtio_mmio@10001000", "interrupts", 1);
    CHECK_CELLS("/soc/virtio_mmio@10008000", "interrupts", 8);
    CHECK_CELLS("/soc/virtio_mmio@10008000", "reg", 0, 0x10008000, 0, 0x1000);
    CHECK_CELLS("/soc/pci@30000000", "reg", 0, 0x30000000, 0, 0x10000000);
    CHECK_CELLS("/soc/pci@30000000", "bus-range", 0, 0xff);
    /* The window above 6 GiB of RAM. */
    CHECK_CELLS("/soc/pci@30000000", "ranges", 0x1000000, 0, 0, 0, 0x3000000, 0, 0x10000, 0x2000000,
                0, 0x40000000, 0, 0x40000000, 0, 0x40000000, 0x3000000, 4, 0, 4, 0, 4, 0);
    CHECK_CELLS("/soc/pci@30000000", "interrupt-map-mask", 0x1800, 0, 0, 7);
    check_interrupt_map(fdt);
    CHECK_CELLS("/poweroff", "value", 0x5555);
    CHECK_CELLS("/poweroff", "regmap", 6);
    CHECK_CELLS("/reboot", "value", 0x7777);
}

static void chosen_carries_what_the_kernel_is_told(void **state)
{
    const void *fdt = *state;

    CHECK_STRINGS("/chosen", "bootargs", "console=ttyS0 quiet");
    CHECK_CELLS("/chosen", "linux,initrd-start", 1, 0xa0200000);
    CHECK_CELLS("/chosen", "linux,initrd-end", 1, 0xa0300123);
    CHECK_STRINGS("/chosen", "stdout-path", "/soc/serial@10000000");
    check_bytes(fdt, "/chosen", "rng-seed", two_harts.rng_seed, sizeof(two_harts.rng_seed));
}

static void the_isa_is_said_in_both_ways(void **state)
{
    const void *fdt = *state;

    CHECK_STRINGS("/cpus/cpu@0", "riscv,isa", "rv64imafdc_zicntr_zicsr_sstc");
    CHECK_STRINGS("/cpus/cpu@0", "riscv,isa-base", "rv64i");
    CHECK_STRINGS("/cpus/cpu@1", "riscv,isa-extensions", "i\0m\0a\0f\0d\0c\0zicntr\0zicsr\0sstc");
    CHECK_STRINGS("/cpus/cpu@1", "mmu-type", "riscv,sv48");
}

static void what_is_not_given_is_not_there(void **state)
{
    struct devtree_params params = two_harts;
    uint8_t *fdt;
    int chosen;

    params.bootargs = "";
    params.vmgenid = false;
    params.pci = false;
    params.initrd_end_gpa = params.initrd_start_gpa;
    fdt = make(&params);
    chosen = fdt_path_offset(fdt, "/chosen");
    assert_null(fdt_getprop(fdt, chosen, "bootargs", NULL));
    assert_null(fdt_getprop(fdt, chosen, "linux,initrd-start", NULL));
    assert_true(fdt_path_offset(fdt, "/soc/vmgenid@102000") < 0);
    assert_true(fdt_path_offset(fdt, "/soc/pci@30000000") < 0);
    free(fdt);
}

static void every_reference_finds_its_node(void **state)
{
    for (uint32_t harts = 1; harts <= CONFIG_HARTS_MAX; harts++) {
        struct devtree_params params = two_harts;
        uint8_t *fdt;
        int len;
        const uint8_t *cells;

        params.hart_count = harts;
        fdt = make(&params);
        cells = property(fdt, "/soc/plic@c000000", "interrupts-extended", &len);
        assert_int_equal(len, harts * 16);
        for (uint32_t hart = 0; hart < harts; hart++) {
            char path[64];
            uint32_t phandle = fdt32_ld((const void *)(cells + 16 * hart));

            snprintf(path, sizeof(path), "/cpus/cpu@%u/interrupt-controller", hart);
            assert_int_equal(fdt_node_offset_by_phandle(fdt, phandle), fdt_path_offset(fdt, path));
        }
        assert_int_equal(fdt_node_offset_by_phandle(fdt, 2 * harts + 1),
                         fdt_path_offset(fdt, "/soc/plic@c000000"));
        assert_int_equal(fdt_node_offset_by_phandle(fdt, 2 * harts + 2),
                         fdt_path_offset(fdt, "/soc/test@100000"));
        free(fdt);
    }
}

static void a_long_command_line_fits(void **state)
{
    struct devtree_params params = two_harts;
    char *bootargs = malloc(1000001);
    uint8_t *fdt;

    memset(bootargs, 'x', 1000000);
    bootargs[1000000] = '\0';
    params.bootargs = bootargs;
    fdt = make(&params);
    CHECK_CELLS("/soc/test@100000", "phandle", 6);
    check_bytes(fdt, "/chosen", "bootargs", bootargs, 1000001);
    free(fdt);
    free(bootargs);
}

static void an_impossible_number_of_harts_is_refused(void **state)
{
    struct devtree_params params = two_harts;
    struct ferry_err err;
    uint8_t *blob = NULL;
    size_t n;

    params.hart_count = CONFIG_HARTS_MAX + 1;
    assert_int_equal(devtree_make(&blob, &n, &params, &err), -EINVAL);
    assert_null(blob);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(addresses_and_wiring_are_those_of_the_virt_board, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(chosen_carries_what_the_kernel_is_told, setup, teardown),
        cmocka_unit_test_setup_teardown(the_isa_is_said_in_both_ways, setup, teardown),
        cmocka_unit_test(what_is_not_given_is_not_there),
        cmocka_unit_test(every_reference_finds_its_node),
        cmocka_unit_test(a_long_command_line_fits),
        cmocka_unit_test(an_impossible_number_of_harts_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
