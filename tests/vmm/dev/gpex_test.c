/* SPDX-License-Identifier: Apache-2.0 */
/* The empty PCI Express host, and flash, which is as small. */
#include "tests/unit.h"

#include <string.h>

#include "tests/contract/contract.h"
#include "tests/vmm/dev/rig.h"
#include "vmm/dev/gpex.h"
#include "vmm/dev/pflash.h"

static void one_function_that_cannot_be_written(void **state)
{
    struct rig *r = rig_new(&gpex_root_type, 1);

    for (int i = 0; i < 2; i++) {
        assert_int_equal(rig_read(r, 0x00, 4), 0x00081b36);
        assert_int_equal(rig_read(r, 0x08, 4), 0x06000000);
        assert_int_equal(rig_read(r, 0x2c, 4), 0x11001af4);
        assert_int_equal(rig_read(r, 0x2c, 2), 0x1af4);
        assert_int_equal(rig_read(r, 0x10, 4), 0); /* no BAR */
        rig_write(r, 0x00, 4, 0);
        rig_write(r, 0x10, 4, UINT32_MAX);
    }
    assert_int_equal(rig_read(r, 0x100, 4), UINT32_MAX);
    assert_int_equal(rig_read(r, 0x8000, 2), UINT16_MAX);
    assert_int_equal(rig_read(r, 0xfffffff, 1), UINT8_MAX);
    rig_free(r);
}

static void windows_answer_all_ones(void **state)
{
    static const struct dev_type *const types[] = {&pci_io_type, &pci_mmio_type,
                                                   &pci_mmio_high_type};

    for (size_t i = 0; i < 3; i++) {
        struct rig *r = rig_new(types[i], 1);

        rig_write(r, 0, 4, 0);
        assert_int_equal(rig_read(r, 0, 4), UINT32_MAX);
        assert_true(rig_read(r, types[i]->mmio_bytes - 8, 8) == UINT64_MAX);
        rig_free(r);
    }
}

/* The first bytes of a device's own members: those of its table. */
static uint8_t *members(void *obj)
{
    return (uint8_t *)obj + sizeof(struct dev);
}

static void another_vendor(void *obj)
{
    uint8_t *config = members(obj) + sizeof(uint32_t);

    config[0] ^= 1;
}

static void in_a_command(void *obj)
{
    members(obj)[0] = 1;
}

/* Written to by a guest, which is why its section is sent at all. */
static void stir_host(void *obj)
{
    memset(members(obj), 0x5a, sizeof(uint32_t));
}

static void saved_state_keeps_the_contract(void **state)
{
    static const struct {
        const struct dev_type *type;
        void (*stir)(void *obj);
        void (*spoil)(void *obj);
        const char *text;
    } all[] = {
        {&gpex_root_type, NULL, another_vendor, "another device is there"},
        {&pci_host_type, stir_host, NULL, NULL},
        {&pci_bus_type, NULL, NULL, NULL},
        {&pflash_type, NULL, in_a_command, "in the middle of flash command"},
    };

    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
        struct rig_contract rig = {.type = all[i].type, .hart_count = 1};
        struct contract_case c = {
            .table = all[i].type->table,
            .obj_bytes = all[i].type->size_bytes,
            .make = rig_make_dev,
            .stir = all[i].stir,
            .destroy = rig_destroy_dev,
            .arg = &rig,
        };

        contract_run(&c);
        if (all[i].spoil)
            contract_refuses(&c, all[i].spoil, all[i].text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_function_that_cannot_be_written),
        cmocka_unit_test(windows_answer_all_ones),
        cmocka_unit_test(saved_state_keeps_the_contract),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
