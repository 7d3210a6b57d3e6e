/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A PCI host, two root ports and three toys, as a hostile guest and an operator see them: any
 * configuration access, any access to memory and ports, devices that come and go, interrupts,
 * resets, and moves in between. Input: operations of OP_BYTES each behind OPS_AT bytes that are
 * free: u8 code, u8 a, le16 b, le32 c.
 *
 * Whatever happens, what is derived agrees with what it is derived from (check()), and a move leads
 * to a machine that looks the same.
 */
#include <string.h>

#include "base/be.h"
#include "base/buf.h"
#include "fuzz/fuzz.h"
#include "fuzz/ops.h"
#include "lib/state/state.h"
#include "tests/vmm/dev/pci/pci_rig.h"
#include "vmm/dev/pci/gpex.h"
#include "vmm/dev/pci/root_port.h"

enum {
    OP_CONFIG_READ,
    OP_CONFIG_WRITE,
    OP_READ,
    OP_WRITE,
    OP_PLUG,
    OP_UNPLUG,
    OP_PIN,
    OP_MESSAGE,
    OP_RESET,
    OP_MOVE,
    OP_COUNT,
};

enum { PORTS = 2, TOYS = 3, DEVICES = 1 + PORTS + TOYS, OPS_MAX = 2000 };

#define IO_GPA     UINT64_C(0x03000000)
#define ECAM_GPA   UINT64_C(0x30000000)
#define MEMORY_GPA UINT64_C(0x40000000)
#define HIGH_GPA   UINT64_C(0x400000000)

struct world {
    struct machine_lock lock;
    struct dev_env env;
    struct bus bus;
    struct dev *root;
    struct pci_domain *domain;
    struct dev *ports[PORTS];
    struct toy toys[TOYS];
    bool level[PCI_PINS];
};

struct op {
    uint8_t code, a;
    uint16_t b;
    uint32_t c;
};

/* --- A machine ------------------------------------------------------------------------------- */

static void set_line(void *controller, unsigned source, bool level)
{
    ((struct world *)controller)->level[source] = level;
}

static void drop_message(void *controller, struct msi_message message)
{
}

static struct world *world_new(void)
{
    static const struct gpex_windows windows = {IO_GPA, MEMORY_GPA, HIGH_GPA};
    static const char *const names[TOYS] = {"toy0", "toy1", "toy2"};
    struct world *w = calloc(1, sizeof(*w));
    struct ferry_err err;
    int rc;

    FUZZ_CHECK(w, "memory");
    machine_lock_init(&w->lock);
    w->env.lock = &w->lock;
    bus_init(&w->bus, "memory", UINT64_MAX, &w->lock, NULL);
    rc = dev_new(&w->root, &gpex_root_type, &w->env, (struct irq_line){0}, "root", 0, &err);
    FUZZ_CHECK(rc == 0, err.text);
    w->root->region.base = ECAM_GPA;
    rc = bus_add(&w->bus, &w->root->region, &err);
    FUZZ_CHECK(rc == 0, err.text);
    rc = gpex_map_windows(w->root, &w->bus, &windows, &err);
    FUZZ_CHECK(rc == 0, err.text);
    w->domain = gpex_domain(w->root);
    w->domain->msi = (struct msi_sink){drop_message, w};
    for (unsigned pin = 0; pin < PCI_PINS; pin++)
        gpex_connect(w->root, pin, (struct irq_line){set_line, w, pin});
    for (unsigned i = 0; i < PORTS; i++) {
        const struct pcie_root_port_params params = {.id = i ? "s1" : "s0",
                                                     .bus = &w->domain->root,
                                                     .devfn = -1,
                                                     .slot = (uint16_t)i,
                                                     .hotplug = i == 0};

        rc = pcie_root_port_new(&w->ports[i], &w->env, &params, &err);
        FUZZ_CHECK(rc == 0, err.text);
    }
    for (unsigned i = 0; i < TOYS; i++)
        toy_init(&w->toys[i], names[i], i << 8);
    return w;
}

static void world_free(struct world *w)
{
    for (unsigned i = 0; i < TOYS; i++) {
        pci_bus_unplug(&w->toys[i].function);
        pci_function_destroy(&w->toys[i].function);
    }
    for (unsigned i = 0; i < PORTS; i++)
        dev_free(w->ports[i]);
    dev_free(w->root);
    machine_lock_destroy(&w->lock);
    free(w);
}

/* 0: on the root bus, 1 and 2: behind a port. */
static int plug(struct world *w, unsigned toy, unsigned place, unsigned function, bool hot)
{
    struct pci_function *f = &w->toys[toy].function;
    struct ferry_err err;
    int devfn = place ? (int)function : pci_bus_free_devfn(&w->domain->root);

    if (f->bus || devfn < 0)
        return -1;
    if (place)
        return pcie_slot_plug(pcie_root_port_slot(w->ports[place - 1]), f, (uint8_t)devfn, hot,
                              &err);
    return pci_bus_plug(&w->domain->root, f, (uint8_t)devfn, &err);
}

/* --- What holds ------------------------------------------------------------------------------ */

struct counts {
    unsigned mapped[2], waiting, pulls;
};

static bool is_taken(const struct bus *bus, uint64_t first, uint64_t size_bytes)
{
    for (size_t i = 0; i < bus->region_count; i++) {
        const struct bus_region *r = bus->regions[i].region;

        if (first < r->base + r->size_bytes && r->base < first + size_bytes)
            return true;
    }
    return false;
}

static void count_bus(const struct pci_bus *bus, struct counts *n)
{
    for (unsigned i = 0; i < PCI_DEVFN_MAX; i++) {
        const struct pci_function *f = bus->functions[i];
        uint64_t at;

        if (!f)
            continue;
        FUZZ_CHECK(f->bus == bus && f->devfn == i, "a function is where it is plugged");
        n->pulls += f->asserted;
        for (unsigned k = 0; k < PCI_BARS; k++) {
            const struct pci_bar *b = &f->bars[k];
            bool somewhere = pci_bar_address(f, k, &at);

            FUZZ_CHECK(somewhere == (b->mapped || b->waits), "a BAR is mapped, or waits");
            FUZZ_CHECK(!b->mapped || (!b->waits && b->region.base == at), "it is where it says");
            FUZZ_CHECK(!b->waits || is_taken(b->space == PCI_SPACE_IO ? &bus->domain->io
                                                                      : &bus->domain->memory,
                                             at, b->region.size_bytes),
                       "it waits for a place that is taken");
            n->mapped[b->space] += b->mapped;
            n->waiting += b->waits;
        }
        if (f->bridge)
            count_bus(&f->bridge->secondary, n);
    }
}

static void check(const struct world *w)
{
    const struct pci_domain *d = w->domain;
    struct counts n = {0};
    unsigned pulls = 0;

    count_bus(&d->root, &n);
    FUZZ_CHECK(n.mapped[PCI_SPACE_MEMORY] == d->memory.region_count, "regions of memory");
    FUZZ_CHECK(n.mapped[PCI_SPACE_IO] == d->io.region_count, "regions of ports");
    FUZZ_CHECK(n.waiting == d->waiting, "BARs that wait");
    for (unsigned i = 0; i < PCI_PINS; i++) {
        pulls += d->line_counts[i];
        FUZZ_CHECK(w->level[i] == (d->line_counts[i] != 0), "a line is as its count");
    }
    FUZZ_CHECK(pulls == n.pulls, "the lines count all that pull");
    for (unsigned i = 0; i < PORTS; i++) {
        const struct pci_bridge *b = pcie_root_port_slot(w->ports[i])->bridge;

        FUZZ_CHECK(!!(pci_get(&b->function, 0x6e, 2) & SLOT_PRESENT) ==
                       (b->secondary.functions[0] != NULL),
                   "presence is what is there");
    }
}

/* --- Operations ------------------------------------------------------------------------------ */

/* a: bits 0-2 which of the usual places, else any by c; bits 6-7 width. b: register, and more. */
static uint64_t config_gpa(const struct op *op)
{
    static const uint32_t places[] = {0x000000, 0x008000, 0x010000, 0x018000,
                                      0x020000, 0x100000, 0x200000};
    unsigned place = op->a & 7;
    uint64_t base = place < 7 ? places[place] : (uint64_t)op->c << 12 & 0xffff000;

    return ECAM_GPA + base + (op->b & 0xfff);
}

/* a: bits 0-1 window, 6-7 width; b: page in it, c: offset (low 12 bits) and value. */
static uint64_t window_gpa(const struct op *op)
{
    static const uint64_t windows[] = {IO_GPA, MEMORY_GPA, HIGH_GPA, ECAM_GPA};
    unsigned page = (op->a & 3) == 0 ? op->b & 15 : op->b;

    return windows[op->a & 3] + (uint64_t)page * 4096 + (op->c & 0xfff);
}

static void access_at(struct world *w, const struct op *op, uint64_t gpa, bool write)
{
    unsigned size = 1u << (op->a >> 6);
    uint64_t value = op->c | (uint64_t)op->c << 32;
    int rc = write ? bus_write(&w->bus, gpa, size, value) : bus_read(&w->bus, gpa, size, &value);

    FUZZ_CHECK((rc == 0) == (gpa % size == 0), "only what is not aligned faults");
}

static void save(const struct ferry_table *table, void *obj, struct buf *out)
{
    struct ferry_err err;

    FUZZ_CHECK(state_save(table, obj, out, NULL, &err) == 0, "it can be saved");
}

static const struct ferry_table *const toy_tables[] = {&pci_function_table, &pci_msix_table};

/* 0 the host bridge, then the ports, then the toys. */
static void save_part(struct world *w, int part, struct buf *out)
{
    if (part == 0)
        save(w->root->type->table, w->root, out);
    else if (part <= PORTS)
        save(w->ports[part - 1]->type->table, w->ports[part - 1], out);
    else
        for (unsigned i = 0; i < 2; i++)
            save(toy_tables[i], &w->toys[part - 1 - PORTS], out);
}

static void load(const struct ferry_table *table, void *obj, size_t obj_bytes, struct rd *in)
{
    struct ferry_err err = {0};
    int rc = state_load(table, obj, obj_bytes, table->version, in, &err);

    FUZZ_CHECK(rc == 0, err.text);
}

static void load_part(struct world *w, int part, struct rd *in)
{
    if (part == 0)
        load(w->root->type->table, w->root, w->root->type->size_bytes, in);
    else if (part <= PORTS)
        load(w->ports[part - 1]->type->table, w->ports[part - 1],
             w->ports[part - 1]->type->size_bytes, in);
    else
        for (unsigned i = 0; i < 2; i++)
            load(toy_tables[i], &w->toys[part - 1 - PORTS], sizeof(struct toy), in);
}

static void plug_alike(struct world *to, const struct world *from)
{
    for (unsigned i = 0; i < TOYS; i++) {
        const struct pci_function *f = &from->toys[i].function;
        struct pci_bus *bus = NULL;
        struct ferry_err err;

        if (f->bus == &from->domain->root)
            bus = &to->domain->root;
        for (unsigned k = 0; k < PORTS && f->bus && !bus; k++)
            if (f->bus == &pcie_root_port_slot(from->ports[k])->bridge->secondary)
                bus = &pcie_root_port_slot(to->ports[k])->bridge->secondary;
        if (bus)
            FUZZ_CHECK(pci_bus_plug(bus, &to->toys[i].function, f->devfn, &err) == 0, err.text);
    }
}

/* Who waits for room and who has it may change: which of two came first is not saved. */
static struct world *move(struct world *from)
{
    struct world *to = world_new();

    plug_alike(to, from);
    for (int part = 0; part < DEVICES; part++) {
        struct buf before = {0}, after = {0};
        struct rd in;

        save_part(from, part, &before);
        in = rd_make(before.data, before.len_bytes);
        load_part(to, part, &in);
        save_part(to, part, &after);
        FUZZ_CHECK(before.len_bytes == after.len_bytes &&
                       memcmp(before.data, after.data, after.len_bytes) == 0,
                   "what was loaded is saved the same");
        buf_free(&before);
        buf_free(&after);
    }
    FUZZ_CHECK(!memcmp(from->level, to->level, sizeof(to->level)), "lines");
    if (from->domain->waiting == 0 && to->domain->waiting == 0)
        FUZZ_CHECK(from->domain->memory.region_count == to->domain->memory.region_count,
                   "what is mapped");
    world_free(from);
    return to;
}

static void reset_all(struct world *w)
{
    w->root->type->reset(w->root);
    for (unsigned i = 0; i < PORTS; i++)
        w->ports[i]->type->reset(w->ports[i]);
    for (unsigned i = 0; i < TOYS; i++)
        pci_function_reset(&w->toys[i].function);
}

static struct world *play(struct world *w, const struct op *op)
{
    struct toy *toy = &w->toys[op->a % TOYS];
    struct ferry_err err;

    switch (op->code % OP_COUNT) {
    case OP_CONFIG_READ:
    case OP_CONFIG_WRITE:
        access_at(w, op, config_gpa(op), op->code % OP_COUNT == OP_CONFIG_WRITE);
        break;
    case OP_READ:
    case OP_WRITE:
        access_at(w, op, window_gpa(op), op->code % OP_COUNT == OP_WRITE);
        break;
    case OP_PLUG:
        (void)plug(w, op->a % TOYS, op->b % 3, op->c % 9, op->c & 0x80000000);
        break;
    case OP_UNPLUG:
        if (toy->function.bus == &w->domain->root)
            pci_bus_unplug(&toy->function);
        else if (pcie_slot_request_unplug(pcie_root_port_slot(w->ports[op->a % PORTS]), "toy",
                                          &err))
            FUZZ_CHECK(err.text[0], "a refusal says why");
        break;
    case OP_PIN:
        pci_set_irq(&toy->function, op->b & 1);
        break;
    case OP_MESSAGE:
        if (toy->function.bus)
            pci_msix_notify(&toy->function, op->c);
        break;
    case OP_RESET:
        reset_all(w);
        break;
    case OP_MOVE:
        return move(w);
    }
    return w;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct world *w = world_new();

    for (size_t at = OPS_AT, i = 0; at + OP_BYTES <= n && i < OPS_MAX; at += OP_BYTES, i++) {
        const struct op op = {.code = data[at],
                              .a = data[at + 1],
                              .b = le16_load(data + at + 2),
                              .c = le32_load(data + at + 4)};

        w = play(w, &op);
        check(w);
    }
    world_free(w);
    return 0;
}
