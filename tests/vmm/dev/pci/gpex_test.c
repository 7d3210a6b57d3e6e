/* SPDX-License-Identifier: Apache-2.0 */
/* The PCI Express host; and flash, which is too small for a file. */
#include "tests/unit.h"

#include <string.h>

#include "tests/contract/contract.h"
#include "tests/vmm/dev/pci/pci_rig.h"
#include "tests/vmm/dev/rig.h"
#include "vmm/dev/pci/gpex.h"
#include "vmm/dev/pflash.h"

static void the_host_bridge_is_qemus(void **state)
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
    assert_true(rig_read(r, 0x00, 8) == UINT64_C(0x81b36));
    rig_write(r, 0x04, 2, UINT16_MAX);
    assert_int_equal(rig_read(r, 0x04, 4), 0x0507);
    assert_int_equal(rig_read(r, 0x100, 4), UINT32_MAX);
    assert_int_equal(rig_read(r, 0x8000, 2), UINT16_MAX);
    assert_int_equal(rig_read(r, 0xfffffff, 1), UINT8_MAX);
    assert_true(rig_read(r, 0xffffff8, 8) == UINT64_MAX);
    rig_free(r);
}

static void unaligned_accesses_fault(void **state)
{
    struct rig *r = rig_new(&gpex_root_type, 1);
    uint64_t value;

    for (unsigned size = 2; size <= 8; size *= 2) {
        assert_int_not_equal(bus_read(&r->bus, 1, size, &value), 0);
        assert_int_not_equal(bus_write(&r->bus, 0xfffffff, size, 0), 0);
    }
    rig_free(r);
}

/* A function behind the windows, which are where the board wants them. */
static void windows_lead_to_the_domain(void **state)
{
    static const struct gpex_windows at = {0x10000000, 0x40000000, 0x400000000};
    struct rig *r = rig_new(&gpex_root_type, 1);
    struct pci_domain *d = gpex_domain(r->dev);
    struct ferry_err err;
    struct toy t = {0};

    toy_init(&t, "toy", 0xa0000);
    assert_int_equal(gpex_map_windows(r->dev, &r->bus, &at, &err), 0);
    for (unsigned pin = 0; pin < PCI_PINS; pin++)
        gpex_connect(r->dev, pin, rig_line(r, pin));
    assert_int_equal(pci_bus_plug(&d->root, &t.function, 0x10, &err), 0);
    assert_int_equal(rig_read(r, 0x40000000, 4), UINT32_MAX);
    assert_true(rig_read(r, 0x7fffffff8, 8) == UINT64_MAX);
    rig_write(r, 0x10010, 4, 0x40000000);
    rig_write(r, 0x10018, 8, UINT64_C(0x480000000));
    rig_write(r, 0x10020, 4, 0x100);
    rig_write(r, 0x10004, 2, 7);
    assert_int_equal(rig_read(r, 0x40000004, 4), 0xa0004);
    assert_int_equal(rig_read(r, 0x480000008, 4), 0xa0008);
    assert_int_equal(rig_read(r, 0x1000010c, 4), 0xa000c);
    rig_write(r, 0x480000000, 4, 0x1234);
    assert_int_equal(t.written, 0x1234);
    pci_set_irq(&t.function, true);
    assert_true(r->level[2]);
    pci_bus_unplug(&t.function);
    assert_int_equal(rig_read(r, 0x40000004, 4), UINT32_MAX);
    assert_false(r->level[2]);
    pci_function_destroy(&t.function);
    rig_free(r);
}

/* The first bytes of a device's own members: those of its table. */
static uint8_t *members(void *obj)
{
    return (uint8_t *)obj + sizeof(struct dev);
}

static void another_vendor(void *obj)
{
    ((struct pci_function *)members(obj))->config[0] ^= 1;
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
        cmocka_unit_test(the_host_bridge_is_qemus),
        cmocka_unit_test(unaligned_accesses_fault),
        cmocka_unit_test(windows_lead_to_the_domain),
        cmocka_unit_test(saved_state_keeps_the_contract),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
