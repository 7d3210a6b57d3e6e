/* SPDX-License-Identifier: Apache-2.0 */
/* Buses and bridges: numbers, windows, places, power, resets, and where a pin ends. */
#include "tests/unit.h"

#include <errno.h>
#include <string.h>

#include "tests/vmm/dev/pci/pci_rig.h"

static void a_bus_is_found_by_the_number_that_the_guest_gave(void **state)
{
    struct pci_rig *r = pci_rig_new();

    assert_int_equal(rig_config(r, 1, 0, 0, 4), UINT32_MAX);
    rig_open_bridge(r);
    assert_int_equal(rig_config(r, 1, 0, 0, 4), 0x10441af4);
    assert_int_equal(rig_config(r, 1, 8, 0, 4), UINT32_MAX);
    rig_set_config(r, 0, RIG_BRIDGE, PCI_PRIMARY_BUS, 4, 0x00fe7f00);
    assert_int_equal(rig_config(r, 1, 0, 0, 4), UINT32_MAX);
    assert_int_equal(rig_config(r, 0x7f, 0, 0, 4), 0x10441af4);
    /* A number that is passed on, to where nobody has it. */
    assert_int_equal(rig_config(r, 0x80, 0, 0, 4), UINT32_MAX);
    pci_rig_free(r);
}

static void senseless_numbers_lead_nowhere(void **state)
{
    struct pci_rig *r = pci_rig_new();

    /* primary, secondary, subordinate: a loop to bus 0, turned round, itself. */
    static const uint32_t numbers[] = {0x00000000, 0x00ff0000, 0x00010500,
                                       0x0000ff00, 0x00ffffff, 0x00000001};

    for (unsigned i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
        rig_set_config(r, 0, RIG_BRIDGE, PCI_PRIMARY_BUS, 4, numbers[i]);
        for (unsigned bus = 0; bus < 256; bus++) {
            for (unsigned devfn = 0; devfn < 256; devfn += 8)
                (void)rig_config(r, bus, devfn, 0, 4);
        }
        assert_int_equal(rig_config(r, 0, RIG_BRIDGE, 0, 4), 0x000c1b36);
    }
    pci_rig_free(r);
}

/* A second bridge that claims the same numbers does not hide the first one, nor does it loop. */
static void two_bridges_of_one_number(void **state)
{
    static const struct pci_identity is = {.vendor = 1, .device = 2, .class = 0x0604};
    struct pci_rig *r = pci_rig_new();
    struct pci_bridge other;
    struct ferry_err err;

    memset(&other, 0, sizeof(other));
    assert_int_equal(pci_bridge_init(&other, "s1", &is, NULL, &err), 0);
    pci_function_seal(&other.function);
    assert_int_equal(pci_bus_plug(&r->domain.root, &other.function, 0x18, &err), 0);
    rig_open_bridge(r);
    rig_set_config(r, 0, 0x18, PCI_PRIMARY_BUS, 4, 0x00010100);
    assert_int_equal(rig_config(r, 1, 0, 0, 4), 0x10441af4);
    pci_bus_unplug(&other.function);
    pci_bridge_destroy(&other);
    pci_rig_free(r);
}

static void a_bridge_passes_on_what_its_windows_hold(void **state)
{
    struct pci_rig *r = pci_rig_new();

    rig_open_bridge(r);
    rig_set_config(r, 1, 0, PCI_BAR_0, 4, 0x40010000);
    rig_set_config(r, 1, 0, PCI_BAR_0 + 8, 4, 0x00020000);
    rig_set_config(r, 1, 0, PCI_BAR_0 + 12, 4, 4);
    rig_set_config(r, 1, 0, PCI_BAR_0 + 16, 4, 0x1040);
    rig_set_config(r, 1, 0, PCI_COMMAND, 2, 7);
    assert_int_equal(rig_memory(r, 0x40010000), 0xb0000);
    assert_int_equal(rig_memory(r, 0x400020000), 0xb0000);
    assert_int_equal(rig_port(r, 0x1044), 0xb0004);
    rig_set_config(r, 0, RIG_BRIDGE, PCI_MEMORY_BASE, 4, 0x40104010);
    assert_int_equal(rig_memory(r, 0x40010000), UINT32_MAX);
    rig_set_config(r, 0, RIG_BRIDGE, PCI_PREFETCH_LIMIT_HIGH, 4, 3);
    assert_int_equal(rig_memory(r, 0x400020000), UINT32_MAX);
    rig_set_config(r, 0, RIG_BRIDGE, PCI_IO_LIMIT, 1, 0);
    assert_int_equal(rig_port(r, 0x1044), UINT32_MAX);
    rig_open_bridge(r);
    assert_int_equal(rig_memory(r, 0x40010000), 0xb0000);
    rig_set_config(r, 0, RIG_BRIDGE, PCI_COMMAND, 2, PCI_COMMAND_IO);
    assert_int_equal(rig_memory(r, 0x40010000), UINT32_MAX);
    assert_int_equal(rig_port(r, 0x1044), 0xb0004);
    pci_rig_free(r);
}

static void each_bridge_turns_the_pin(void **state)
{
    struct pci_rig *r = pci_rig_new();

    /* INTA of device 2: line 2. INTA of device 0 behind device 1: line 1. */
    pci_set_irq(&r->toy.function, true);
    assert_true(r->level[2]);
    assert_int_equal(rig_config(r, 0, RIG_TOY, PCI_STATUS, 2), 0x0018);
    pci_set_irq(&r->behind.function, true);
    assert_true(r->level[1] && !r->level[0] && !r->level[3]);
    pci_set_irq(&r->bridge.function, true); /* the same line */
    pci_set_irq(&r->behind.function, false);
    assert_true(r->level[1]);
    assert_int_equal(r->domain.line_counts[1], 1);
    /* Forbidden, the pin does not count; it is still what it is. */
    rig_set_config(r, 0, RIG_BRIDGE, PCI_COMMAND, 2, PCI_COMMAND_NO_INTX);
    assert_false(r->level[1]);
    assert_int_equal(rig_config(r, 0, RIG_BRIDGE, PCI_STATUS, 2) & PCI_STATUS_INTX, 8);
    rig_set_config(r, 0, RIG_BRIDGE, PCI_COMMAND, 2, 0);
    assert_true(r->level[1]);
    pci_rig_free(r);
}

static void without_power_there_is_nothing(void **state)
{
    struct pci_rig *r = pci_rig_new();

    rig_open_bridge(r);
    rig_set_config(r, 1, 0, PCI_BAR_0, 4, 0x40010000);
    rig_set_config(r, 1, 0, PCI_COMMAND, 2, 7);
    pci_set_irq(&r->behind.function, true);
    pci_bus_set_power(&r->bridge.secondary, false);
    assert_int_equal(rig_config(r, 1, 0, 0, 4), UINT32_MAX);
    assert_int_equal(rig_memory(r, 0x40010000), UINT32_MAX);
    assert_false(r->level[1]);
    assert_false(pci_is_master(&r->behind.function));
    pci_bus_set_power(&r->bridge.secondary, true);
    assert_int_equal(rig_memory(r, 0x40010000), 0xb0000);
    assert_true(r->level[1] && pci_is_master(&r->behind.function));
    pci_rig_free(r);
}

static void unplugging_a_bridge_takes_what_is_behind_it(void **state)
{
    struct pci_rig *r = pci_rig_new();

    rig_open_bridge(r);
    rig_set_config(r, 1, 0, PCI_BAR_0, 4, 0x40010000);
    rig_set_config(r, 1, 0, PCI_COMMAND, 2, 7);
    pci_set_irq(&r->behind.function, true);
    pci_bus_unplug(&r->bridge.function);
    assert_int_equal(rig_memory(r, 0x40010000), UINT32_MAX);
    assert_false(r->level[1]);
    pci_rig_free(r);
}

static void a_bridge_resets_its_bus(void **state)
{
    struct pci_rig *r = pci_rig_new();

    rig_open_bridge(r);
    rig_set_config(r, 1, 0, PCI_COMMAND, 2, 7);
    rig_set_config(r, 0, RIG_BRIDGE, PCI_BRIDGE_CONTROL, 2, PCI_BRIDGE_CONTROL_RESET);
    rig_set_config(r, 0, RIG_BRIDGE, PCI_BRIDGE_CONTROL, 1, PCI_BRIDGE_CONTROL_RESET);
    rig_set_config(r, 0, RIG_BRIDGE, PCI_BRIDGE_CONTROL + 1, 1, 0);
    assert_int_equal(r->behind.resets, 1);
    assert_int_equal(rig_config(r, 1, 0, PCI_COMMAND, 2), 0);
    rig_set_config(r, 0, RIG_BRIDGE, PCI_INTERRUPT_LINE, 4, 0);
    rig_set_config(r, 0, RIG_BRIDGE, PCI_INTERRUPT_LINE, 4, PCI_BRIDGE_CONTROL_RESET << 16);
    assert_int_equal(r->behind.resets, 2);
    assert_int_equal(r->toy.resets, 0);
    pci_rig_free(r);
}

static void refuses(struct pci_bus *bus, struct pci_function *f, uint8_t devfn, const char *text)
{
    struct ferry_err err;

    assert_int_not_equal(pci_bus_plug(bus, f, devfn, &err), 0);
    assert_string_equal(err.text, text);
    assert_null(f->bus);
}

static void a_place_is_taken_once(void **state)
{
    struct pci_rig *r = pci_rig_new();
    struct pci_bus *root = &r->domain.root;
    char path[PCI_PATH_BYTES];
    struct ferry_err err;
    struct toy t;

    memset(&t, 0, sizeof(t));
    toy_init(&t, "third", 0xc0000);
    refuses(root, &t.function, RIG_TOY,
            "PCI: slot 2 function 0 not available for third, in use by toy");
    refuses(root, &t.function, RIG_TOY + 1,
            "PCI: single function device can't be populated in function 2.1");
    refuses(&r->bridge.secondary, &t.function, 8,
            "PCI: slot 1 is not valid for third, parent device only allows plugging into slot 0.");
    assert_int_equal(pci_bus_free_devfn(root), 0);
    assert_int_equal(pci_bus_free_devfn(&r->bridge.secondary), -ENOSPC);
    assert_int_equal(pci_bus_plug(root, &t.function, 0x19, &err), 0);
    pci_bus_unplug(&r->toy.function);
    refuses(root, &r->toy.function, 0x18,
            "PCI: 3.0 indicates single function, but 3.1 is already populated");
    pci_path(root, 0x19, "virtio-blk", path);
    assert_string_equal(path, "0000:00:03.1/virtio-blk");
    pci_path(&r->bridge.secondary, 0, "virtio-blk", path);
    assert_string_equal(path, "0000:00:01.0:00.0/virtio-blk");
    pci_bus_unplug(&t.function);
    pci_function_destroy(&t.function);
    pci_rig_free(r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_bus_is_found_by_the_number_that_the_guest_gave),
        cmocka_unit_test(senseless_numbers_lead_nowhere),
        cmocka_unit_test(two_bridges_of_one_number),
        cmocka_unit_test(a_bridge_passes_on_what_its_windows_hold),
        cmocka_unit_test(each_bridge_turns_the_pin),
        cmocka_unit_test(without_power_there_is_nothing),
        cmocka_unit_test(unplugging_a_bridge_takes_what_is_behind_it),
        cmocka_unit_test(a_bridge_resets_its_bus),
        cmocka_unit_test(a_place_is_taken_once),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
