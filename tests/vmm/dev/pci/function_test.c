/* SPDX-License-Identifier: Apache-2.0 */
/* A function's configuration space and its BARs, as a guest meets them. */
#include "tests/unit.h"

#include <stdlib.h>

#include "tests/contract/contract.h"
#include "tests/vmm/dev/pci/pci_rig.h"

static void only_what_the_masks_let_through_is_written(void **state)
{
    struct pci_rig *r = pci_rig_new();

    assert_int_equal(rig_config(r, 0, RIG_TOY, PCI_VENDOR_ID, 4), 0x10441af4);
    for (unsigned at = 0; at < PCI_HEADER_BYTES; at += 4)
        rig_set_config(r, 0, RIG_TOY, at, 4, UINT32_MAX);
    assert_int_equal(rig_config(r, 0, RIG_TOY, PCI_VENDOR_ID, 4), 0x10441af4);
    assert_int_equal(rig_config(r, 0, RIG_TOY, PCI_COMMAND, 4), 0x00100507);
    assert_int_equal(rig_config(r, 0, RIG_TOY, PCI_CLASS, 2), 0x00ff);
    assert_int_equal(rig_config(r, 0, RIG_TOY, PCI_CACHE_LINE, 4), 0x000000ff);
    assert_int_equal(rig_config(r, 0, RIG_TOY, PCI_SUBSYSTEM_VENDOR, 4), 0);
    assert_int_equal(rig_config(r, 0, RIG_TOY, PCI_INTERRUPT_LINE, 4), 0x000001ff);
    /* Behind capabilities: memory. */
    rig_set_config(r, 0, RIG_TOY, 0x81, 1, 0x5a);
    assert_int_equal(rig_config(r, 0, RIG_TOY, 0x80, 4), 0x5a00);
    pci_function_reset(&r->toy.function);
    assert_int_equal(rig_config(r, 0, RIG_TOY, 0x80, 4), 0);
    assert_int_equal(rig_config(r, 0, RIG_TOY, PCI_COMMAND, 2), 0);
    pci_rig_free(r);
}

static void a_written_one_clears_an_error(void **state)
{
    struct pci_rig *r = pci_rig_new();

    pci_set(&r->toy.function, PCI_STATUS, 2, 0xf910);
    rig_set_config(r, 0, RIG_TOY, PCI_STATUS, 2, 0x4000);
    assert_int_equal(rig_config(r, 0, RIG_TOY, PCI_STATUS, 2), 0xb910);
    rig_set_config(r, 0, RIG_TOY, PCI_STATUS + 1, 1, 0xff);
    assert_int_equal(rig_config(r, 0, RIG_TOY, PCI_STATUS, 2), 0x0010);
    pci_rig_free(r);
}

static void capabilities_are_a_list(void **state)
{
    static const struct pci_identity is = {.vendor = 1, .device = 2, .express = true};
    struct pci_function f;
    struct ferry_err err;

    assert_int_equal(pci_function_init(&f, "f", &is, NULL, &err), 0);
    assert_int_equal(pci_add_capability(&f, PCI_CAP_SUBSYSTEM, 0, 8), 0x40);
    assert_int_equal(pci_add_capability(&f, PCI_CAP_VENDOR, 0x84, 20), 0x84);
    assert_int_equal(pci_add_capability(&f, PCI_CAP_VENDOR, 0, 13), 0x98);
    assert_int_equal(pci_add_capability(&f, PCI_CAP_VENDOR, 0, 4), 0xa8);
    assert_int_equal(pci_get(&f, PCI_CAPABILITIES, 1), 0xa8);
    assert_int_equal(pci_get(&f, 0xa8, 2), 0x9809);
    assert_int_equal(pci_get(&f, 0x98, 2), 0x8409);
    assert_int_equal(pci_get(&f, 0x84, 2), 0x4009);
    assert_int_equal(pci_get(&f, 0x40, 2), 0x000d);
    assert_int_equal(pci_add_extended_capability(&f, PCI_EXTCAP_AER, 2, 0x100, 0x48), 0x100);
    assert_int_equal(pci_add_extended_capability(&f, PCI_EXTCAP_ACS, 1, 0x148, 8), 0x148);
    assert_int_equal(pci_get(&f, 0x100, 4), 0x14820001);
    assert_int_equal(pci_get(&f, 0x148, 4), 0x0001000d);
    pci_function_destroy(&f);
}

static void a_bar_says_its_size(void **state)
{
    struct pci_rig *r = pci_rig_new();
    static const uint32_t sizes[] = {0xfffff000, 0xfffff000, 0xffff000c, 0xffffffff, 0xffffffe1, 0};

    for (unsigned i = 0; i < PCI_BARS; i++) {
        rig_set_config(r, 0, RIG_TOY, PCI_BAR_0 + 4 * i, 4, UINT32_MAX);
        assert_int_equal(rig_config(r, 0, RIG_TOY, PCI_BAR_0 + 4 * i, 4), sizes[i]);
    }
    /* While it is asked for its size, enabled or not, it is nowhere. */
    rig_set_config(r, 0, RIG_TOY, PCI_COMMAND, 2, 7);
    assert_int_equal(r->domain.memory.region_count, 0);
    assert_int_equal(r->domain.io.region_count, 0);
    pci_rig_free(r);
}

static void registers_are_where_the_bar_and_the_command_say(void **state)
{
    struct pci_rig *r = pci_rig_new();

    rig_set_config(r, 0, RIG_TOY, PCI_BAR_0, 4, 0x50000000);
    rig_set_config(r, 0, RIG_TOY, PCI_BAR_0 + 8, 4, 0x10000);
    rig_set_config(r, 0, RIG_TOY, PCI_BAR_0 + 12, 4, 0x7);
    rig_set_config(r, 0, RIG_TOY, PCI_BAR_0 + 16, 4, 0x1020);
    assert_int_equal(rig_memory(r, 0x50000004), UINT32_MAX);
    rig_set_config(r, 0, RIG_TOY, PCI_COMMAND, 2, PCI_COMMAND_MEMORY);
    assert_int_equal(rig_memory(r, 0x50000004), 0xa0004);
    assert_int_equal(rig_memory(r, 0x700010008), 0xa0008);
    assert_int_equal(rig_port(r, 0x1024), UINT32_MAX);
    rig_set_config(r, 0, RIG_TOY, PCI_COMMAND, 2, PCI_COMMAND_IO);
    assert_int_equal(rig_memory(r, 0x50000004), UINT32_MAX);
    assert_int_equal(rig_port(r, 0x1024), 0xa0004);
    /* Moved by halves while it decodes. */
    rig_set_config(r, 0, RIG_TOY, PCI_COMMAND, 2, PCI_COMMAND_MEMORY);
    rig_set_config(r, 0, RIG_TOY, PCI_BAR_0 + 2, 2, 0x5100);
    assert_int_equal(rig_memory(r, 0x50000004), UINT32_MAX);
    assert_int_equal(rig_memory(r, 0x51000004), 0xa0004);
    rig_set_config(r, 0, RIG_TOY, PCI_BAR_0 + 12, 4, 0);
    assert_int_equal(rig_memory(r, 0x700010008), UINT32_MAX);
    assert_int_equal(rig_memory(r, 0x10008), 0xa0008);
    pci_rig_free(r);
}

static void a_bar_waits_for_room(void **state)
{
    struct pci_rig *r = pci_rig_new();

    rig_open_bridge(r);
    rig_set_config(r, 0, RIG_TOY, PCI_COMMAND, 2, 7);
    rig_set_config(r, RIG_BEHIND, 0, PCI_COMMAND, 2, 7);
    rig_set_config(r, 0, RIG_TOY, PCI_BAR_0, 4, 0x40000000);
    rig_set_config(r, RIG_BEHIND, 0, PCI_BAR_0, 4, 0x40000000);
    assert_int_equal(rig_memory(r, 0x40000000), 0xa0000);
    assert_int_equal(r->domain.waiting, 1);
    rig_set_config(r, 0, RIG_TOY, PCI_BAR_0, 4, 0x40008000);
    assert_int_equal(rig_memory(r, 0x40000000), 0xb0000);
    assert_int_equal(rig_memory(r, 0x40008000), 0xa0000);
    assert_int_equal(r->domain.waiting, 0);
    /* One function's own; and what waits goes. */
    rig_set_config(r, 0, RIG_TOY, PCI_BAR_0 + 4, 4, 0x40008000);
    assert_int_equal(r->domain.waiting, 1);
    pci_bus_unplug(&r->toy.function);
    assert_int_equal(r->domain.waiting, 0);
    pci_rig_free(r);
}

static void what_a_function_has_not_reads_as_ones(void **state)
{
    struct pci_rig *r = pci_rig_new();

    assert_true(pci_domain_read(&r->domain, 0, 0x18, 0, 8) == UINT64_MAX);
    assert_int_equal(rig_config(r, 0, RIG_TOY + 1, 0, 2), 0xffff);
    assert_int_equal(rig_config(r, 0xff, 0xff, 0xfff, 1), 0xff);
    /* Eight bytes are two registers. */
    assert_true(pci_domain_read(&r->domain, 0, RIG_TOY, 0, 8) == UINT64_C(0x0010000010441af4));
    pci_domain_write(&r->domain, 0, RIG_TOY, PCI_BAR_0, 8, UINT64_C(0x4567800012345000));
    assert_int_equal(rig_config(r, 0, RIG_TOY, PCI_BAR_0, 4), 0x12345000);
    assert_int_equal(rig_config(r, 0, RIG_TOY, PCI_BAR_0 + 4, 4), 0x45678000);
    pci_rig_free(r);
}

/* --- Saved state --- */

static void *make_toy(void *arg)
{
    struct toy *t = calloc(1, sizeof(*t));

    assert_non_null(t);
    toy_init(t, "toy", 0);
    return t;
}

static void free_toy(void *obj)
{
    struct toy *t = obj;

    pci_function_destroy(&t->function);
    free(t);
}

static void another_device(void *obj)
{
    pci_set(obj, PCI_DEVICE_ID, 2, 0x1041);
}

static void another_table(void *obj)
{
    struct toy *t = obj;

    pci_set(&t->function, t->function.msix.cap + MSIX_CONTROL, 2, 4);
}

static void stir(void *obj)
{
    struct pci_function *f = obj;

    pci_config_write(f, PCI_COMMAND, 2, 0x507);
    pci_config_write(f, PCI_BAR_0, 4, 0x12345000);
    pci_set_irq(f, true);
    f->msix.table[20] = 0xa5;
    f->msix.pending[0] = 5;
}

static void saved_state_keeps_the_contract(void **state)
{
    static const struct ferry_table *const tables[] = {&pci_function_table, &pci_msix_table};

    for (unsigned i = 0; i < 2; i++) {
        struct contract_case c = {.table = tables[i],
                                  .obj_bytes = sizeof(struct toy),
                                  .make = make_toy,
                                  .stir = stir,
                                  .destroy = free_toy};

        contract_run(&c);
        if (i == 0) {
            contract_refuses(&c, another_device, "byte 0x2 of the configuration space");
            contract_refuses(&c, another_table, "another device is there, or one made otherwise");
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_what_the_masks_let_through_is_written),
        cmocka_unit_test(a_written_one_clears_an_error),
        cmocka_unit_test(capabilities_are_a_list),
        cmocka_unit_test(a_bar_says_its_size),
        cmocka_unit_test(registers_are_where_the_bar_and_the_command_say),
        cmocka_unit_test(a_bar_waits_for_room),
        cmocka_unit_test(what_a_function_has_not_reads_as_ones),
        cmocka_unit_test(saved_state_keeps_the_contract),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
