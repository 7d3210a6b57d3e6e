/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/virt/devtree.h"

#include <errno.h>
#include <inttypes.h>
#include <libfdt.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/own.h"
#include "vmm/dev/pci/gpex.h"
#include "vmm/machine/config.h"
#include "vmm/machine/mtime.h"
#include "vmm/virt/memmap.h"

#define DEVTREE_BYTES_WITHOUT_STRINGS 65536u
#define DEVTREE_TIMEBASE_HZ           (1000000000u / MTIME_TICK_NS)
#define DEVTREE_UART_CLOCK_HZ         3686400u
#define DEVTREE_PLIC_LAST_SOURCE      95u
/* Causes of the hart-local interrupt controller. */
enum { DEVTREE_INTC_MSI = 3, DEVTREE_INTC_MTI = 7, DEVTREE_INTC_SEI = 9, DEVTREE_INTC_MEI = 11 };

/* A tree being written. Sticky: after the first failure calls do nothing. */
struct tree {
    void *fdt;
    int failed; /* libfdt's negative error */
    const struct devtree_params *params;
};

static void tree_begin(struct tree *t, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

static void tree_begin(struct tree *t, const char *format, ...)
{
    char name[64];
    va_list ap;

    va_start(ap, format);
    vsnprintf(name, sizeof(name), format, ap);
    va_end(ap);
    if (!t->failed)
        t->failed = fdt_begin_node(t->fdt, name);
}

static void tree_end(struct tree *t)
{
    if (!t->failed)
        t->failed = fdt_end_node(t->fdt);
}

static void tree_bytes(struct tree *t, const char *name, const void *data, size_t n)
{
    if (!t->failed)
        t->failed = fdt_property(t->fdt, name, data, (int)n);
}

static void tree_string(struct tree *t, const char *name, const char *value)
{
    tree_bytes(t, name, value, strlen(value) + 1);
}

static void tree_cells(struct tree *t, const char *name, const uint32_t *cells, size_t n)
{
    void *at = NULL;

    if (!t->failed)
        t->failed = fdt_property_placeholder(t->fdt, name, (int)(n * sizeof(*cells)), &at);
    for (size_t i = 0; i < n && !t->failed; i++)
        fdt32_st((uint8_t *)at + i * sizeof(*cells), cells[i]);
}

#define TREE_CELLS(t, name, ...)                             \
    tree_cells((t), (name), (const uint32_t[]){__VA_ARGS__}, \
               sizeof((const uint32_t[]){__VA_ARGS__}) / sizeof(uint32_t))
/* Strings, each with its NUL; the literal brings the last one. */
#define TREE_STRINGS(t, name, literal) tree_bytes((t), (name), (literal), sizeof(literal))
#define TREE_FLAG(t, name)             tree_bytes((t), (name), NULL, 0)

static void tree_reg(struct tree *t, uint64_t base_gpa, uint64_t size_bytes)
{
    TREE_CELLS(t, "reg", (uint32_t)(base_gpa >> 32), (uint32_t)base_gpa,
               (uint32_t)(size_bytes >> 32), (uint32_t)size_bytes);
}

/* Phandles are counted from 1 over the harts downwards, two each, then PLIC, then test device:
 * QEMU's numbering, so that trees can be compared. */
static uint32_t tree_cpu_phandle(const struct tree *t, uint32_t hart)
{
    return 1 + 2 * (t->params->hart_count - 1 - hart);
}

static uint32_t tree_intc_phandle(const struct tree *t, uint32_t hart)
{
    return tree_cpu_phandle(t, hart) + 1;
}

static uint32_t tree_plic_phandle(const struct tree *t)
{
    return 2 * t->params->hart_count + 1;
}

static uint32_t tree_test_phandle(const struct tree *t)
{
    return tree_plic_phandle(t) + 1;
}

static void tree_chosen(struct tree *t)
{
    const struct devtree_params *p = t->params;

    tree_begin(t, "chosen");
    if (p->bootargs && p->bootargs[0])
        tree_string(t, "bootargs", p->bootargs);
    if (p->initrd_start_gpa != p->initrd_end_gpa) {
        TREE_CELLS(t, "linux,initrd-start", (uint32_t)(p->initrd_start_gpa >> 32),
                   (uint32_t)p->initrd_start_gpa);
        TREE_CELLS(t, "linux,initrd-end", (uint32_t)(p->initrd_end_gpa >> 32),
                   (uint32_t)p->initrd_end_gpa);
    }
    tree_string(t, "stdout-path", "/soc/serial@10000000");
    tree_bytes(t, "rng-seed", p->rng_seed, sizeof(p->rng_seed));
    tree_end(t);
    tree_begin(t, "aliases");
    tree_string(t, "serial0", "/soc/serial@10000000");
    tree_end(t);
}

static void tree_memory(struct tree *t)
{
    tree_begin(t, "memory@%x", MEMMAP_RAM_GPA);
    tree_string(t, "device_type", "memory");
    tree_reg(t, MEMMAP_RAM_GPA, t->params->ram_bytes);
    tree_end(t);
}

/* "rv64imac_zicntr_sstc" as "i", "m", "a", "c", "zicntr", "sstc". */
static void tree_isa_extensions(struct tree *t)
{
    const char *isa = t->params->isa_string + strlen("rv64");
    char list[512];
    size_t n = 0;

    for (; *isa && *isa != '_' && n + 2 <= sizeof(list); isa++) {
        list[n++] = *isa;
        list[n++] = '\0';
    }
    while (*isa == '_') {
        size_t name_bytes = strcspn(++isa, "_");

        if (n + name_bytes + 1 > sizeof(list)) {
            t->failed = -FDT_ERR_NOSPACE;
            return;
        }
        memcpy(list + n, isa, name_bytes);
        n += name_bytes;
        list[n++] = '\0';
        isa += name_bytes;
    }
    tree_string(t, "riscv,isa-base", "rv64i");
    tree_bytes(t, "riscv,isa-extensions", list, n);
}

static void tree_cpu(struct tree *t, uint32_t hart)
{
    tree_begin(t, "cpu@%" PRIx32, hart);
    tree_string(t, "device_type", "cpu");
    TREE_CELLS(t, "reg", hart);
    tree_string(t, "status", "okay");
    tree_string(t, "compatible", "riscv");
    tree_string(t, "mmu-type", t->params->mmu_type);
    tree_string(t, "riscv,isa", t->params->isa_string);
    tree_isa_extensions(t);
    TREE_CELLS(t, "phandle", tree_cpu_phandle(t, hart));
    tree_begin(t, "interrupt-controller");
    tree_string(t, "compatible", "riscv,cpu-intc");
    TREE_FLAG(t, "interrupt-controller");
    TREE_CELLS(t, "#interrupt-cells", 1);
    TREE_CELLS(t, "phandle", tree_intc_phandle(t, hart));
    tree_end(t);
    tree_end(t);
}

static void tree_cpus(struct tree *t)
{
    tree_begin(t, "cpus");
    TREE_CELLS(t, "#address-cells", 1);
    TREE_CELLS(t, "#size-cells", 0);
    TREE_CELLS(t, "timebase-frequency", DEVTREE_TIMEBASE_HZ);
    for (uint32_t hart = 0; hart < t->params->hart_count; hart++)
        tree_cpu(t, hart);
    tree_begin(t, "cpu-map");
    tree_begin(t, "cluster0");
    for (uint32_t hart = 0; hart < t->params->hart_count; hart++) {
        tree_begin(t, "core%" PRIu32, hart);
        TREE_CELLS(t, "cpu", tree_cpu_phandle(t, hart));
        tree_end(t);
    }
    tree_end(t);
    tree_end(t);
    tree_end(t);
}

static void tree_syscon(struct tree *t, const char *node, const char *compatible, uint32_t value)
{
    tree_begin(t, "%s", node);
    tree_string(t, "compatible", compatible);
    TREE_CELLS(t, "regmap", tree_test_phandle(t));
    TREE_CELLS(t, "offset", 0);
    TREE_CELLS(t, "value", value);
    tree_end(t);
}

/* Two interrupts of every hart's own controller. */
static void tree_hart_interrupts(struct tree *t, uint32_t first, uint32_t second)
{
    uint32_t cells[4 * CONFIG_HARTS_MAX];
    size_t n = 0;

    for (uint32_t hart = 0; hart < t->params->hart_count; hart++) {
        cells[n++] = tree_intc_phandle(t, hart);
        cells[n++] = first;
        cells[n++] = tree_intc_phandle(t, hart);
        cells[n++] = second;
    }
    tree_cells(t, "interrupts-extended", cells, n);
}

static void tree_plic_interrupt(struct tree *t, uint32_t source)
{
    TREE_CELLS(t, "interrupts", source);
    TREE_CELLS(t, "interrupt-parent", tree_plic_phandle(t));
}

/* Address cells of PCI: the kind of space, then 64 bits. */
enum { DEVTREE_PCI_IO = 0x1000000, DEVTREE_PCI_32 = 0x2000000, DEVTREE_PCI_64 = 0x3000000 };

/* Which source of the PLIC is pin 1 to 4 of device 0 to 3; devices repeat after four. */
static void tree_pci_interrupts(struct tree *t)
{
    uint32_t cells[4 * 4 * 6];
    size_t n = 0;

    for (uint32_t device = 0; device < 4; device++) {
        for (uint32_t pin = 0; pin < 4; pin++) {
            cells[n++] = device << 11;
            cells[n++] = 0;
            cells[n++] = 0;
            cells[n++] = 1 + pin;
            cells[n++] = tree_plic_phandle(t);
            cells[n++] = MEMMAP_PCI_IRQ + (device + pin) % 4;
        }
    }
    tree_cells(t, "interrupt-map", cells, n);
    TREE_CELLS(t, "interrupt-map-mask", 3 << 11, 0, 0, 7);
}

static void tree_pci(struct tree *t)
{
    const uint64_t high_gpa = memmap_pci_high_gpa(t->params->ram_bytes);

    tree_begin(t, "pci@%x", MEMMAP_PCI_ECAM_GPA);
    TREE_CELLS(t, "#address-cells", 3);
    TREE_CELLS(t, "#interrupt-cells", 1);
    TREE_CELLS(t, "#size-cells", 2);
    tree_string(t, "compatible", "pci-host-ecam-generic");
    tree_string(t, "device_type", "pci");
    TREE_CELLS(t, "linux,pci-domain", 0);
    TREE_CELLS(t, "bus-range", 0, 0xff);
    TREE_FLAG(t, "dma-coherent");
    tree_reg(t, MEMMAP_PCI_ECAM_GPA, GPEX_ECAM_BYTES);
    TREE_CELLS(t, "ranges", DEVTREE_PCI_IO, 0, 0, 0, MEMMAP_PCI_IO_GPA, 0, GPEX_IO_BYTES,
               DEVTREE_PCI_32, 0, MEMMAP_PCI_MMIO_GPA, 0, MEMMAP_PCI_MMIO_GPA, 0, GPEX_MEMORY_BYTES,
               DEVTREE_PCI_64, (uint32_t)(high_gpa >> 32), (uint32_t)high_gpa,
               (uint32_t)(high_gpa >> 32), (uint32_t)high_gpa,
               (uint32_t)(GPEX_MEMORY_HIGH_BYTES >> 32), 0);
    tree_pci_interrupts(t);
    tree_end(t);
}

static void tree_soc(struct tree *t)
{
    tree_begin(t, "soc");
    TREE_CELLS(t, "#address-cells", 2);
    TREE_CELLS(t, "#size-cells", 2);
    tree_string(t, "compatible", "simple-bus");
    TREE_FLAG(t, "ranges");

    tree_begin(t, "clint@%x", MEMMAP_CLINT_GPA);
    TREE_STRINGS(t, "compatible", "sifive,clint0\0riscv,clint0");
    tree_reg(t, MEMMAP_CLINT_GPA, MEMMAP_CLINT_BYTES);
    tree_hart_interrupts(t, DEVTREE_INTC_MSI, DEVTREE_INTC_MTI);
    tree_end(t);

    tree_begin(t, "plic@%x", MEMMAP_PLIC_GPA);
    TREE_STRINGS(t, "compatible", "sifive,plic-1.0.0\0riscv,plic0");
    tree_reg(t, MEMMAP_PLIC_GPA, MEMMAP_PLIC_BYTES);
    TREE_CELLS(t, "riscv,ndev", DEVTREE_PLIC_LAST_SOURCE);
    TREE_CELLS(t, "#interrupt-cells", 1);
    TREE_CELLS(t, "#address-cells", 0);
    TREE_FLAG(t, "interrupt-controller");
    tree_hart_interrupts(t, DEVTREE_INTC_MEI, DEVTREE_INTC_SEI);
    TREE_CELLS(t, "phandle", tree_plic_phandle(t));
    tree_end(t);

    tree_begin(t, "serial@%x", MEMMAP_UART_GPA);
    tree_string(t, "compatible", "ns16550a");
    tree_reg(t, MEMMAP_UART_GPA, MEMMAP_UART_BYTES);
    TREE_CELLS(t, "clock-frequency", DEVTREE_UART_CLOCK_HZ);
    tree_plic_interrupt(t, MEMMAP_UART_IRQ);
    tree_end(t);

    tree_begin(t, "rtc@%x", MEMMAP_RTC_GPA);
    tree_string(t, "compatible", "google,goldfish-rtc");
    tree_reg(t, MEMMAP_RTC_GPA, MEMMAP_RTC_BYTES);
    tree_plic_interrupt(t, MEMMAP_RTC_IRQ);
    tree_end(t);

    tree_begin(t, "test@%x", MEMMAP_TEST_GPA);
    TREE_STRINGS(t, "compatible", "sifive,test1\0sifive,test0\0syscon");
    tree_reg(t, MEMMAP_TEST_GPA, MEMMAP_TEST_BYTES);
    TREE_CELLS(t, "phandle", tree_test_phandle(t));
    tree_end(t);

    if (t->params->vmgenid) {
        tree_begin(t, "vmgenid@%x", MEMMAP_VMGENID_GPA);
        tree_string(t, "compatible", "microsoft,vmgenid");
        tree_reg(t, MEMMAP_VMGENID_GPA, MEMMAP_VMGENID_BYTES);
        tree_plic_interrupt(t, MEMMAP_VMGENID_IRQ);
        tree_end(t);
    }

    if (t->params->pci)
        tree_pci(t);
    for (uint32_t slot = 0; slot < CONFIG_VIRTIO_SLOTS; slot++) {
        uint32_t gpa = MEMMAP_VIRTIO_GPA + slot * MEMMAP_VIRTIO_SLOT_BYTES;

        tree_begin(t, "virtio_mmio@%" PRIx32, gpa);
        tree_string(t, "compatible", "virtio,mmio");
        tree_reg(t, gpa, MEMMAP_VIRTIO_SLOT_BYTES);
        tree_plic_interrupt(t, MEMMAP_VIRTIO_IRQ + slot);
        tree_end(t);
    }
    tree_end(t);
}

static void tree_root(struct tree *t)
{
    tree_begin(t, "%s", "");
    TREE_CELLS(t, "#address-cells", 2);
    TREE_CELLS(t, "#size-cells", 2);
    tree_string(t, "compatible", "riscv-virtio");
    tree_string(t, "model", "riscv-virtio,qemu");
    tree_chosen(t);
    tree_memory(t);
    tree_cpus(t);
    tree_syscon(t, "poweroff", "syscon-poweroff", 0x5555);
    tree_syscon(t, "reboot", "syscon-reboot", 0x7777);
    tree_soc(t);
    tree_end(t);
}

int devtree_make(uint8_t **ret, size_t *ret_bytes, const struct devtree_params *params,
                 struct ferry_err *err)
{
    size_t bootargs_bytes = params->bootargs ? strlen(params->bootargs) : 0;
    size_t n = DEVTREE_BYTES_WITHOUT_STRINGS + bootargs_bytes;
    OWN_MEM uint8_t *blob = NULL;
    struct tree t = {.params = params};

    if (params->hart_count == 0 || params->hart_count > CONFIG_HARTS_MAX)
        return err_set(err, EINVAL, "a device tree of %" PRIu32 " harts, it can have 1 to %d",
                       params->hart_count, CONFIG_HARTS_MAX);
    if (bootargs_bytes > INT32_MAX / 2)
        return err_set(err, E2BIG, "kernel command line is too long: %zu bytes", bootargs_bytes);
    blob = calloc(1, n);
    if (!blob)
        return err_set(err, ENOMEM, "no memory for the device tree");
    t.fdt = blob;
    t.failed = fdt_create(blob, (int)n);
    if (!t.failed)
        t.failed = fdt_finish_reservemap(blob);
    tree_root(&t);
    if (!t.failed)
        t.failed = fdt_finish(blob);
    if (t.failed)
        return err_set(err, EINVAL, "writing the device tree: %s", fdt_strerror(t.failed));
    *ret_bytes = fdt_totalsize(blob);
    *ret = TAKE_PTR(blob);
    return 0;
}
