/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/dev/pci/slot.h"

#include <errno.h>

#include "base/err.h"

/* What guests read of a link that is up: active, one lane, 2.5 GT/s, as a device of QEMU has it. */
#define LINK_UP   0x2011u
/* ... and of one that is not: what the port could do. */
#define LINK_DOWN 0x0204u

#define SLOT_CONTROL_WRITABLE                                                 \
    (SLOT_BUTTON_PRESSED | SLOT_PRESENCE_CHANGED | SLOT_COMMAND_COMPLETED |   \
     SLOT_CONTROL_INTERRUPT | SLOT_CONTROL_ATTENTION_OFF | SLOT_CONTROL_LED | \
     SLOT_CONTROL_POWER_OFF | SLOT_CONTROL_INTERLOCK)

static struct pci_function *function_of(const struct pcie_slot *s)
{
    return &s->bridge->function;
}

static uint32_t control_of(const struct pcie_slot *s)
{
    return pci_get(function_of(s), s->cap + PCIE_SLOT_CONTROL, 2);
}

static uint32_t status_of(const struct pcie_slot *s)
{
    return pci_get(function_of(s), s->cap + PCIE_SLOT_STATUS, 2);
}

static void set_status(struct pcie_slot *s, uint32_t status)
{
    pci_set(function_of(s), s->cap + PCIE_SLOT_STATUS, 2, status);
}

static bool is_occupied(const struct pcie_slot *s)
{
    return s->bridge->secondary.functions[0] != NULL;
}

void pcie_slot_init(struct pcie_slot *s, struct pci_bridge *bridge, unsigned cap, uint16_t number,
                    bool hotplug)
{
    struct pci_function *f = &bridge->function;

    s->bridge = bridge;
    s->cap = cap;
    s->hotplug = hotplug;
    bridge->secondary.one_device = true;
    pci_set(f, cap + PCIE_SLOT_CAP, 4,
            SLOT_CAP_BUTTON | SLOT_CAP_POWER | SLOT_CAP_ATTENTION_LED | SLOT_CAP_POWER_LED |
                (hotplug ? SLOT_CAP_SURPRISE | SLOT_CAP_HOTPLUG : 0) | SLOT_CAP_INTERLOCK |
                (uint32_t)number << SLOT_CAP_NUMBER_SHIFT);
    pci_set(f, cap + PCIE_SLOT_CONTROL, 2,
            SLOT_CONTROL_ATTENTION_OFF | SLOT_CONTROL_LED_OFF | SLOT_CONTROL_POWER_OFF);
    pci_allow(f, cap + PCIE_SLOT_CONTROL, 2, SLOT_CONTROL_WRITABLE);
    pci_allow_clear(f, cap + PCIE_SLOT_STATUS, 2, SLOT_EVENTS | SLOT_LINK_CHANGED);
    pci_let_differ(f, cap + PCIE_SLOT_STATUS, 2, SLOT_PRESENT | SLOT_INTERLOCKED);
    pci_set(f, cap + PCIE_LINK_STATUS, 2, LINK_DOWN);
    pci_let_differ(f, cap + PCIE_LINK_STATUS, 2, 0xffff);
}

/* --- Events ---------------------------------------------------------------------------------- */

static bool wants_interrupt(const struct pcie_slot *s)
{
    uint32_t control = control_of(s);

    return control & SLOT_CONTROL_INTERRUPT && control & status_of(s) & SLOT_EVENTS;
}

static void update_interrupt(struct pcie_slot *s)
{
    bool before = s->interrupting;

    s->interrupting = wants_interrupt(s);
    if (!pci_msix_enabled(function_of(s)))
        pci_set_irq(function_of(s), s->interrupting);
    else if (s->interrupting && !before)
        pci_msix_notify(function_of(s), 0);
}

static void happens(struct pcie_slot *s, uint32_t events)
{
    set_status(s, status_of(s) | events);
    update_interrupt(s);
}

/* As what is in the slot is, and what its power controller says. */
static void show_presence(struct pcie_slot *s)
{
    bool occupied = is_occupied(s);
    uint32_t status = status_of(s) & ~SLOT_PRESENT;

    set_status(s, occupied ? status | SLOT_PRESENT : status);
    pci_set(function_of(s), s->cap + PCIE_LINK_STATUS, 2, occupied ? LINK_UP : LINK_DOWN);
}

static void follow_power(struct pcie_slot *s)
{
    pci_bus_set_power(&s->bridge->secondary, !(control_of(s) & SLOT_CONTROL_POWER_OFF));
}

/* --- Plugging -------------------------------------------------------------------------------- */

int pcie_slot_plug(struct pcie_slot *s, struct pci_function *f, uint8_t devfn, bool hot,
                   struct ferry_err *err)
{
    struct pci_bus *bus = &s->bridge->secondary;
    int rc;

    if (hot && !s->hotplug)
        return err_set(err, ENOTSUP, "Bus '%s' does not support hotplugging", bus->name);
    /* The guest looks at function 0 first, and then at none that comes later. */
    if (hot && devfn != 0 && is_occupied(s))
        return err_set(err, EBUSY,
                       "PCI: slot 0 function 0 already occupied by %s, new func %s cannot be "
                       "exposed to guest.",
                       bus->functions[0]->name, f->name);
    rc = pci_bus_plug(bus, f, devfn, err);
    if (rc < 0)
        return rc;
    if (!hot && is_occupied(s))
        pci_set(function_of(s), s->cap + PCIE_SLOT_CONTROL, 2,
                control_of(s) & ~(uint32_t)SLOT_CONTROL_POWER_OFF);
    follow_power(s);
    show_presence(s);
    if (hot && devfn == 0)
        happens(s, SLOT_PRESENCE_CHANGED | SLOT_BUTTON_PRESSED);
    return 0;
}

/* Function 0 last, as whoever looks for the end of a device looks at that. */
static void eject(struct pcie_slot *s)
{
    for (int i = 7; i >= 0; i--) {
        struct pci_function *f = s->bridge->secondary.functions[i];

        if (!f)
            continue;
        pci_bus_unplug(f);
        if (s->ejected)
            s->ejected(s->arg, f);
    }
    show_presence(s);
    happens(s, SLOT_PRESENCE_CHANGED);
}

static bool is_off(uint32_t control)
{
    return control & SLOT_CONTROL_POWER_OFF && (control & SLOT_CONTROL_LED) == SLOT_CONTROL_LED_OFF;
}

int pcie_slot_request_unplug(struct pcie_slot *s, const char *name, struct ferry_err *err)
{
    uint32_t control = control_of(s);

    if (!s->hotplug)
        return err_set(err, ENOTSUP, "Bus '%s' does not support hotplugging",
                       s->bridge->secondary.name);
    /* While it blinks, another press of the button would mean that it shall stay. */
    if ((control & SLOT_CONTROL_LED) == SLOT_CONTROL_LED_BLINKS)
        return err_set(err, EBUSY, "Hot-unplug failed: guest is busy (power indicator blinking)");
    if (is_off(control)) {
        eject(s);
        return 0;
    }
    if (status_of(s) & SLOT_BUTTON_PRESSED)
        return err_set(err, EBUSY, "Device %s is already in the process of unplug", name);
    happens(s, SLOT_BUTTON_PRESSED);
    return 0;
}

/* --- The guest ------------------------------------------------------------------------------- */

static void turn_interlock(struct pcie_slot *s)
{
    uint32_t control = control_of(s);

    if (!(control & SLOT_CONTROL_INTERLOCK))
        return;
    pci_set(function_of(s), s->cap + PCIE_SLOT_CONTROL, 2,
            control & ~(uint32_t)SLOT_CONTROL_INTERLOCK);
    set_status(s, status_of(s) ^ SLOT_INTERLOCKED);
}

void pcie_slot_wrote(struct pcie_slot *s, unsigned offset, unsigned size_bytes, uint32_t old)
{
    unsigned at = s->cap + PCIE_SLOT_CONTROL;
    uint32_t before;

    if (pci_touches(offset, size_bytes, at, 2)) {
        before = pci_before(function_of(s), at, 2, offset, size_bytes, old);
        turn_interlock(s);
        follow_power(s);
        /* Off in one step or in two; a slot that was off already is one that is being set up. */
        if (is_occupied(s) && is_off(control_of(s)) && !is_off(before))
            eject(s);
        happens(s, SLOT_COMMAND_COMPLETED);
    }
    /* Events acknowledged, messages turned on or off. */
    update_interrupt(s);
}

void pcie_slot_reset(struct pcie_slot *s)
{
    uint32_t control = control_of(s);

    if (is_occupied(s))
        control &= ~(uint32_t)SLOT_CONTROL_POWER_OFF;
    pci_set(function_of(s), s->cap + PCIE_SLOT_CONTROL, 2, control);
    s->interrupting = false;
    show_presence(s);
    follow_power(s);
}

void pcie_slot_loaded(struct pcie_slot *s)
{
    s->interrupting = wants_interrupt(s);
    follow_power(s);
}
