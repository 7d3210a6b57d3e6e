/* SPDX-License-Identifier: Apache-2.0 */
/* A root port, and its slot as Linux's pciehp drives it. */
#include "tests/unit.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "lib/state/state.h"
#include "tests/contract/contract.h"
#include "tests/vmm/dev/pci/pci_rig.h"
#include "vmm/dev/pci/root_port.h"

#define PORT          0x18 /* devfn */
#define CONTROL       0x6c
#define STATUS        0x6e
/* As pciehp enables them: button, presence, command completed, and the interrupt itself. */
#define EVENTS        0x0039
#define SECTION_BYTES 4137

enum { LED_ON = 0x0100, LED_BLINKS = 0x0200, LED_OFF = 0x0300, POWER_OFF = 0x0400 };

static const struct pcie_root_port_params usual = {
    .id = "s0", .devfn = PORT, .chassis = 1, .slot = 3, .port = 4, .hotplug = true};

struct world {
    struct pci_rig *rig;
    struct dev *dev;
    struct pcie_slot *slot;
    struct pci_function *ejected;
    int ejections;
};

static void note_ejected(void *arg, struct pci_function *f)
{
    struct world *w = arg;

    assert_null(f->bus);
    w->ejected = f;
    w->ejections++;
}

/* The toy that the rig has at 00:02.0 is out, to be plugged. */
static struct world *world_new(const struct pcie_root_port_params *params)
{
    struct world *w = calloc(1, sizeof(*w));
    struct pcie_root_port_params p = *params;
    struct ferry_err err;

    assert_non_null(w);
    w->rig = pci_rig_new();
    pci_bus_unplug(&w->rig->toy.function);
    p.bus = &w->rig->domain.root;
    if (pcie_root_port_new(&w->dev, NULL, &p, &err))
        fail_msg("%s", err.text);
    w->slot = pcie_root_port_slot(w->dev);
    w->slot->ejected = note_ejected;
    w->slot->arg = w;
    return w;
}

static void world_free(struct world *w)
{
    pci_bus_unplug(&w->rig->toy.function);
    dev_free(w->dev);
    pci_rig_free(w->rig);
    free(w);
}

static void plug(struct world *w, bool hot)
{
    struct ferry_err err;

    if (pcie_slot_plug(w->slot, &w->rig->toy.function, 0, hot, &err))
        fail_msg("%s", err.text);
}

static uint32_t get(struct world *w, unsigned offset)
{
    return rig_config(w->rig, 0, PORT, offset, 2);
}

static void set(struct world *w, unsigned offset, uint32_t value)
{
    rig_set_config(w->rig, 0, PORT, offset, 2, value);
}

/* INTA of device 3. */
static bool interrupts(struct world *w)
{
    return w->rig->level[3];
}

/* One command of pciehp: written, awaited, acknowledged. */
static void command(struct world *w, uint32_t control)
{
    set(w, CONTROL, control | EVENTS);
    assert_true(get(w, STATUS) & SLOT_COMMAND_COMPLETED);
    assert_true(interrupts(w));
    set(w, STATUS, SLOT_COMMAND_COMPLETED);
}

/* The guest has set the port up: bus 2 behind it, everything enabled, the slot off. */
static void boot(struct world *w)
{
    rig_set_config(w->rig, 0, PORT, PCI_PRIMARY_BUS, 4, 0x00020200);
    rig_set_config(w->rig, 0, PORT, PCI_COMMAND, 2, 7);
    set(w, STATUS, SLOT_EVENTS);
    command(w, 0x00c0 | LED_OFF | POWER_OFF);
    assert_false(interrupts(w));
}

static void it_is_qemus(void **state)
{
    struct world *w = world_new(&usual);

    assert_int_equal(get(w, PCI_VENDOR_ID), 0x1b36);
    assert_int_equal(get(w, PCI_DEVICE_ID), 0x000c);
    assert_string_equal(w->dev->idstr, "0000:00:03.0/pcie-root-port");
    assert_int_equal(rig_config(w->rig, 0, PORT, 0x68, 4), 0x001a007b);
    assert_int_equal(get(w, CONTROL), 0x07c0);
    assert_int_equal(get(w, STATUS), 0);
    assert_int_equal(get(w, 0x66), 0x0204);
    for (unsigned at = 0; at < 4096; at += 4)
        rig_set_config(w->rig, 0, PORT, at, 4, UINT32_MAX);
    assert_int_equal(rig_config(w->rig, 0, PORT, 0x5c, 4), 0x0000000f);
    assert_int_equal(get(w, CONTROL), 0x07f9);
    assert_int_equal(rig_config(w->rig, 0, PORT, 0x108, 4), 0x03fff030);
    assert_int_equal(rig_config(w->rig, 0, PORT, 0x114, 4), 0x0000f1c1);
    assert_int_equal(rig_config(w->rig, 0, PORT, 0x118, 4), 0x000007e0);
    assert_int_equal(rig_config(w->rig, 0, PORT, 0x14c, 4), 0x005f005f);
    world_free(w);
}

static void what_is_there_from_the_start_has_power(void **state)
{
    struct world *w = world_new(&usual);

    plug(w, false);
    w->dev->type->reset(w->dev);
    rig_set_config(w->rig, 0, PORT, PCI_PRIMARY_BUS, 4, 0x00020200);
    assert_int_equal(get(w, CONTROL), 0x03c0);
    assert_int_equal(get(w, STATUS), SLOT_PRESENT);
    assert_int_equal(get(w, 0x66), 0x2011);
    assert_int_equal(rig_config(w->rig, 2, 0, 0, 4), 0x10441af4);
    world_free(w);
}

static void a_device_comes_and_goes(void **state)
{
    struct world *w = world_new(&usual);
    struct ferry_err err;

    boot(w);
    for (int round = 1; round <= 3; round++) {
        plug(w, true);
        assert_true(interrupts(w));
        assert_int_equal(get(w, STATUS),
                         SLOT_PRESENT | SLOT_PRESENCE_CHANGED | SLOT_BUTTON_PRESSED);
        assert_int_equal(rig_config(w->rig, 2, 0, 0, 4), UINT32_MAX);
        set(w, STATUS, SLOT_PRESENCE_CHANGED | SLOT_BUTTON_PRESSED);
        assert_false(interrupts(w));
        command(w, 0x00c0 | LED_BLINKS);
        assert_int_equal(rig_config(w->rig, 2, 0, 0, 4), 0x10441af4);
        assert_int_equal(pcie_slot_request_unplug(w->slot, "r1", &err), -EBUSY);
        assert_string_equal(err.text,
                            "Hot-unplug failed: guest is busy (power indicator blinking)");
        command(w, 0x00c0 | LED_ON);

        assert_int_equal(pcie_slot_request_unplug(w->slot, "r1", &err), 0);
        assert_true(interrupts(w));
        assert_int_equal(pcie_slot_request_unplug(w->slot, "r1", &err), -EBUSY);
        assert_string_equal(err.text, "Device r1 is already in the process of unplug");
        set(w, STATUS, SLOT_BUTTON_PRESSED);
        command(w, 0x00c0 | LED_BLINKS);
        command(w, 0x00c0 | LED_BLINKS | POWER_OFF);
        assert_int_equal(rig_config(w->rig, 2, 0, 0, 4), UINT32_MAX);
        assert_int_equal(w->ejections, round - 1);
        set(w, CONTROL, 0x00c0 | LED_OFF | POWER_OFF | EVENTS);
        assert_int_equal(w->ejections, round);
        assert_ptr_equal(w->ejected, &w->rig->toy.function);
        assert_int_equal(get(w, STATUS), SLOT_PRESENCE_CHANGED | SLOT_COMMAND_COMPLETED);
        assert_int_equal(get(w, 0x66), 0x0204);
        set(w, STATUS, SLOT_EVENTS);
        assert_false(interrupts(w));
    }
    world_free(w);
}

static void a_slot_without_power_gives_its_device_at_once(void **state)
{
    struct world *w = world_new(&usual);
    struct ferry_err err;

    boot(w);
    plug(w, true);
    /* Whoever sets up a slot that is off does not take what is in it away. */
    set(w, CONTROL, 0x00c0 | LED_OFF | POWER_OFF);
    assert_int_equal(w->ejections, 0);
    assert_int_equal(pcie_slot_request_unplug(w->slot, "r1", &err), 0);
    assert_int_equal(w->ejections, 1);
    world_free(w);
}

static void messages_tell_as_well(void **state)
{
    struct world *w = world_new(&usual);
    struct ferry_err err;

    rig_set_config(w->rig, 0, PORT, PCI_BAR_0, 4, 0x50000000);
    boot(w);
    assert_int_equal(bus_write(&w->rig->domain.memory, 0x50000000, 4, 0x2000), 0);
    assert_int_equal(bus_write(&w->rig->domain.memory, 0x50000008, 4, 99), 0);
    assert_int_equal(bus_write(&w->rig->domain.memory, 0x5000000c, 4, 0), 0);
    set(w, 0x4a, MSIX_CONTROL_ENABLE);
    plug(w, true);
    assert_false(interrupts(w));
    assert_int_equal(w->rig->message_count, 1);
    assert_int_equal(w->rig->messages[0].data, 99);
    /* One message until everything was acknowledged. */
    set(w, CONTROL, 0x00c0 | LED_ON | EVENTS);
    assert_int_equal(w->rig->message_count, 1);
    set(w, STATUS, SLOT_EVENTS);
    assert_int_equal(pcie_slot_request_unplug(w->slot, "r1", &err), 0);
    assert_int_equal(w->rig->message_count, 2);
    /* Off again: it is the pin's. */
    set(w, 0x4a, 0);
    assert_true(interrupts(w));
    world_free(w);
}

static void a_reset_is_the_start_of_another_guest(void **state)
{
    struct world *w = world_new(&usual);

    boot(w);
    plug(w, true);
    w->dev->type->reset(w->dev);
    assert_int_equal(get(w, STATUS), SLOT_PRESENT);
    assert_int_equal(get(w, CONTROL), 0x03c0);
    assert_false(interrupts(w));
    world_free(w);
}

static void a_hostile_guest_turns_everything(void **state)
{
    struct world *w = world_new(&usual);
    struct ferry_err err;

    boot(w);
    for (uint32_t i = 0; i < 65536; i++) {
        if (!w->rig->toy.function.bus && i % 7 == 0)
            assert_int_equal(pcie_slot_plug(w->slot, &w->rig->toy.function, 0, i % 2 == 0, &err),
                             0);
        rig_set_config(w->rig, 0, PORT, CONTROL + i % 3, 1, i * 2654435761u >> 24);
        rig_set_config(w->rig, 0, PORT, CONTROL, 4, i * 2654435761u);
        if (i % 11 == 0 && pcie_slot_request_unplug(w->slot, "r1", &err) == 0 && i % 5 == 0)
            set(w, PCI_BRIDGE_CONTROL, (i & 1) << 6);
        assert_int_equal(!!(get(w, STATUS) & SLOT_PRESENT), w->rig->toy.function.bus != NULL);
    }
    assert_true(w->ejections > 100);
    world_free(w);
}

static void refuses(const struct pcie_root_port_params *params, struct pci_bus *bus,
                    const char *text)
{
    struct pcie_root_port_params p = *params;
    struct ferry_err err;
    struct dev *d;

    p.bus = bus;
    assert_int_not_equal(pcie_root_port_new(&d, NULL, &p, &err), 0);
    if (!strstr(err.text, text))
        fail_msg("%s", err.text);
}

static void what_cannot_be_is_refused(void **state)
{
    struct world *w = world_new(&usual);
    struct pci_bus *root = &w->rig->domain.root;
    struct pcie_root_port_params p = usual;
    struct ferry_err err;

    p.id = "s1";
    refuses(&p, root, "slot 3 of chassis 1 is that of 's0' already");
    p.slot = 8192;
    refuses(&p, root, "slot 8192, the largest is 8191");
    p.slot = 4;
    refuses(&p, root, "PCI: slot 3 function 0 not available for s1, in use by s0");
    refuses(&p, &w->rig->bridge.secondary, "it can only be on a root bus");
    assert_int_equal(pcie_slot_plug(w->slot, &w->rig->toy.function, 8, true, &err), -EINVAL);
    assert_non_null(strstr(err.text, "parent device only allows plugging into slot 0."));
    world_free(w);

    p = usual;
    p.hotplug = false;
    w = world_new(&p);
    assert_int_equal(rig_config(w->rig, 0, PORT, 0x68, 4), 0x001a001b);
    assert_int_equal(pcie_slot_plug(w->slot, &w->rig->toy.function, 0, true, &err), -ENOTSUP);
    assert_string_equal(err.text, "Bus 's0' does not support hotplugging");
    plug(w, false);
    assert_int_equal(pcie_slot_request_unplug(w->slot, "r1", &err), -ENOTSUP);
    world_free(w);
}

/* --- Saved state --- */

static void load_recording(const char *name, uint8_t ret[SECTION_BYTES])
{
    char path[256];
    int fd;

    snprintf(path, sizeof(path), TEST_DATA_DIR "/qemu/pcie-root-port-10.0.2-%s.section.bin", name);
    fd = open(path, O_RDONLY);
    assert_true(fd >= 0);
    assert_int_equal(read(fd, ret, SECTION_BYTES), SECTION_BYTES);
    close(fd);
}

/*
 * QEMU 10.0.2's port of slot 3 with a device, and of slot 4 without: both as they were started. An
 * empty slot's link has there what no guest ever sees, as QEMU brings it up to date when it is
 * read.
 */
static void its_bytes_are_qemus(void **state)
{
    for (unsigned i = 0; i < 2; i++) {
        struct pcie_root_port_params p = usual;
        uint8_t theirs[SECTION_BYTES];
        struct buf ours = {0};
        struct ferry_err err;
        struct world *w;
        struct rd in;

        p.slot += i;
        p.port += i;
        w = world_new(&p);
        if (i == 0)
            plug(w, false);
        w->dev->type->reset(w->dev);
        load_recording(i == 0 ? "occupied" : "empty", theirs);
        assert_int_equal(state_save(w->dev->type->table, w->dev, &ours, NULL, &err), 0);
        assert_int_equal(ours.len_bytes, SECTION_BYTES);
        for (unsigned at = 0; at < SECTION_BYTES; at++) {
            if (ours.data[at] != theirs[at] && !(i == 1 && at == 4 + 0x66) &&
                !(i == 1 && at == 4 + 0x67))
                fail_msg("byte %u is %02x, QEMU's is %02x", at, ours.data[at], theirs[at]);
        }
        in = rd_make(theirs, sizeof(theirs));
        if (state_load(w->dev->type->table, w->dev, w->dev->type->size_bytes, 1, &in, &err))
            fail_msg("%s", err.text);
        buf_free(&ours);
        world_free(w);
    }
}

/* What travels in the middle of an unplug: the guest goes on in another process. */
static void an_unplug_goes_on_after_a_move(void **state)
{
    struct world *from = world_new(&usual), *to = world_new(&usual);
    struct buf bytes = {0};
    struct ferry_err err;
    struct rd in;

    boot(from);
    plug(from, true);
    plug(to, false);
    set(from, STATUS, SLOT_EVENTS);
    command(from, 0x00c0 | LED_ON);
    assert_int_equal(pcie_slot_request_unplug(from->slot, "r1", &err), 0);
    assert_true(interrupts(from));
    assert_int_equal(state_save(from->dev->type->table, from->dev, &bytes, NULL, &err), 0);
    in = rd_make(bytes.data, bytes.len_bytes);
    if (state_load(to->dev->type->table, to->dev, to->dev->type->size_bytes, 1, &in, &err))
        fail_msg("%s", err.text);
    assert_true(interrupts(to));
    assert_int_equal(rig_config(to->rig, 2, 0, 0, 4), 0x10441af4);
    assert_int_equal(pcie_slot_request_unplug(to->slot, "r1", &err), -EBUSY);
    set(to, STATUS, SLOT_BUTTON_PRESSED);
    assert_false(interrupts(to));
    command(to, 0x00c0 | LED_OFF | POWER_OFF);
    assert_int_equal(to->ejections, 1);
    buf_free(&bytes);
    world_free(from);
    world_free(to);
}

static void *make_port(void *arg)
{
    /* Who has the device finds its world by the slot. */
    return world_new(&usual)->dev;
}

static void free_port(void *obj)
{
    world_free(pcie_root_port_slot(obj)->arg);
}

static void stir(void *obj)
{
    struct world *w = pcie_root_port_slot(obj)->arg;

    boot(w);
    rig_set_config(w->rig, 0, PORT, PCI_MEMORY_BASE, 4, 0x40004000);
}

static void more_in_the_log(void *obj)
{
    /* Behind everything else of the struct, before its size. */
    uint16_t *log = (uint16_t *)((char *)obj + pcie_root_port_type.size_bytes) - 4;

    while (*log != 8)
        log++;
    log[-1] = 1;
}

static void occupied(void *obj)
{
    pci_set(&pcie_root_port_slot(obj)->bridge->function, STATUS, 2, SLOT_PRESENT);
}

static void saved_state_keeps_the_contract(void **state)
{
    struct contract_case c = {.table = pcie_root_port_type.table,
                              .obj_bytes = pcie_root_port_type.size_bytes,
                              .make = make_port,
                              .stir = stir,
                              .destroy = free_port};

    contract_run(&c);
    contract_refuses(&c, more_in_the_log, "the log of PCI Express errors has 1 entries");
    contract_refuses(&c, occupied, "a device is in the slot of 's0' on the other side only");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_is_qemus),
        cmocka_unit_test(what_is_there_from_the_start_has_power),
        cmocka_unit_test(a_device_comes_and_goes),
        cmocka_unit_test(a_slot_without_power_gives_its_device_at_once),
        cmocka_unit_test(messages_tell_as_well),
        cmocka_unit_test(a_reset_is_the_start_of_another_guest),
        cmocka_unit_test(a_hostile_guest_turns_everything),
        cmocka_unit_test(what_cannot_be_is_refused),
        cmocka_unit_test(its_bytes_are_qemus),
        cmocka_unit_test(an_unplug_goes_on_after_a_move),
        cmocka_unit_test(saved_state_keeps_the_contract),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
