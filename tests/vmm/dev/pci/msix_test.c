/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit.h"

#include <errno.h>
#include <string.h>

#include "tests/vmm/dev/pci/pci_rig.h"

#define BAR 0x50000000u

static struct pci_rig *enabled(void)
{
    struct pci_rig *r = pci_rig_new();

    rig_enable_msix(r, 0, RIG_TOY, BAR);
    return r;
}

static void set_control(struct pci_rig *r, uint32_t value)
{
    rig_set_config(r, 0, RIG_TOY, r->toy.function.msix.cap + MSIX_CONTROL, 2, value);
}

static void mask(struct pci_rig *r, unsigned vector, uint32_t masked)
{
    assert_int_equal(bus_write(&r->domain.memory, BAR + 16 * vector + 12, 4, masked), 0);
}

static void a_vector_is_a_message(void **state)
{
    struct pci_rig *r = enabled();

    for (unsigned v = 0; v < 4; v++)
        pci_msix_notify(&r->toy.function, v);
    pci_msix_notify(&r->toy.function, UINT32_MAX);
    assert_int_equal(r->message_count, 3);
    assert_int_equal(r->messages[2].address, 0x1020);
    assert_int_equal(r->messages[2].data, 9);
    /* Half an address at a time, or the whole. */
    assert_int_equal(bus_write(&r->domain.memory, BAR, 8, UINT64_C(0x123456789abc)), 0);
    pci_msix_notify(&r->toy.function, 0);
    assert_true(r->messages[3].address == UINT64_C(0x123456789abc));
    pci_rig_free(r);
}

static void what_is_masked_is_sent_later(void **state)
{
    struct pci_rig *r = enabled();

    mask(r, 1, 1);
    pci_msix_notify(&r->toy.function, 1);
    pci_msix_notify(&r->toy.function, 1);
    assert_int_equal(r->message_count, 0);
    assert_int_equal(rig_memory(r, BAR + 0x800), 2);
    mask(r, 1, 0);
    assert_int_equal(r->message_count, 1);
    assert_int_equal(rig_memory(r, BAR + 0x800), 0);
    /* All of them. */
    set_control(r, MSIX_CONTROL_ENABLE | MSIX_CONTROL_MASK_ALL);
    pci_msix_notify(&r->toy.function, 0);
    pci_msix_notify(&r->toy.function, 2);
    pci_msix_notify(&r->toy.function, 1);
    pci_msix_forget(&r->toy.function, 1);
    assert_int_equal(rig_memory(r, BAR + 0x800), 5);
    set_control(r, MSIX_CONTROL_ENABLE);
    assert_int_equal(r->message_count, 3);
    pci_rig_free(r);
}

static void nothing_is_sent_that_may_not_be(void **state)
{
    struct pci_rig *r = enabled();

    set_control(r, 0);
    pci_msix_notify(&r->toy.function, 0);
    set_control(r, MSIX_CONTROL_ENABLE);
    rig_set_config(r, 0, RIG_TOY, PCI_COMMAND, 2, PCI_COMMAND_MEMORY);
    pci_msix_notify(&r->toy.function, 0);
    assert_int_equal(r->message_count, 0);
    /* A driver that takes messages does not want the pin. */
    set_control(r, 0);
    pci_set_irq(&r->toy.function, true);
    set_control(r, MSIX_CONTROL_ENABLE);
    assert_false(r->level[2]);
    /* As after power on, every vector is masked. */
    pci_function_reset(&r->toy.function);
    assert_false(pci_msix_enabled(&r->toy.function));
    assert_int_equal(r->toy.function.msix.table[2 * 16 + 12], 1);
    pci_rig_free(r);
}

static void only_the_table_is_written(void **state)
{
    struct pci_rig *r = enabled();

    for (unsigned at = 0x30; at < 4096; at += 8)
        assert_int_equal(bus_write(&r->domain.memory, BAR + at, 8, UINT64_MAX), 0);
    for (unsigned at = 0x30; at < 4096; at += 4)
        assert_int_equal(rig_memory(r, BAR + at), 0);
    assert_int_equal(bus_write(&r->domain.memory, BAR + 1, 1, 0x20), 0);
    assert_int_equal(rig_memory(r, BAR), 0x2000);
    pci_rig_free(r);
}

/* Where QEMU has the pending bits of as many vectors, and how large its BAR is. */
static void tables_of_every_size(void **state)
{
    static const struct {
        uint32_t vectors, pending_at, bar_bytes;
    } sizes[] = {{1, 0x800, 4096}, {128, 0x800, 4096}, {129, 0x810, 4096}, {256, 0x1000, 8192}};
    static const struct pci_identity is = {.vendor = 1, .device = 2, .express = true};
    struct pci_function f;
    struct ferry_err err;

    for (unsigned i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        assert_int_equal(pci_function_init(&f, "f", &is, NULL, &err), 0);
        assert_int_equal(pci_add_msix(&f, sizes[i].vectors, 1, 0, &err), 0);
        assert_int_equal(pci_get(&f, 0x42, 2), sizes[i].vectors - 1);
        assert_int_equal(pci_get(&f, 0x44, 4), 1);
        assert_int_equal(pci_get(&f, 0x48, 4), sizes[i].pending_at | 1);
        assert_int_equal(f.bars[1].region.size_bytes, sizes[i].bar_bytes);
        pci_function_destroy(&f);
    }
    assert_int_equal(pci_function_init(&f, "f", &is, NULL, &err), 0);
    assert_int_equal(pci_add_msix(&f, 257, 1, 0, &err), -EINVAL);
    assert_non_null(strstr(err.text, "257 vectors for MSI-X, it can have 1 to 256"));
    pci_function_destroy(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_vector_is_a_message),
        cmocka_unit_test(what_is_masked_is_sent_later),
        cmocka_unit_test(nothing_is_sent_that_may_not_be),
        cmocka_unit_test(only_the_table_is_written),
        cmocka_unit_test(tables_of_every_size),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
