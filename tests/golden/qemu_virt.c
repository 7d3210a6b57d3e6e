/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/golden/qemu_virt.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* --- Clock and harts --- */

struct timer {
    uint64_t ticks;
    uint64_t clock_ns;
};
static const struct ferry_field timer_fields[] = {
    FERRY_U64(struct timer, ticks, .wire_name = "cpu_ticks_offset", .type_name = "int64"),
    FERRY_UNUSED(8),
    FERRY_U64(struct timer, clock_ns, .wire_name = "cpu_clock_offset", .type_name = "int64"),
};
static const struct ferry_table timer_table = {
    .name = "timer", .version = 2, .minimum_version = 1, FERRY_FIELDS(timer_fields)};

struct cpu_common {
    uint32_t halted;
    uint32_t interrupt_request;
};
static const struct ferry_field cpu_common_fields[] = {
    FERRY_U32(struct cpu_common, halted, .max = 1),
    FERRY_U32(struct cpu_common, interrupt_request),
};
static const struct ferry_table cpu_common_table = {
    .name = "cpu_common", .version = 1, .minimum_version = 1, FERRY_FIELDS(cpu_common_fields)};

struct cpu {
    uint8_t fields[2481];
    uint8_t pmp[144];
    uint8_t hyper[316];
    uint8_t envcfg[24];
    uint8_t debug[56];
    uint8_t timer[16];
    bool has_pmp, has_hyper, has_envcfg, has_debug, has_timer;
};
#define CPU_SUBSECTION(what, version_)                        \
    static bool cpu_##what##_needed(const void *obj)          \
    {                                                         \
        return ((const struct cpu *)obj)->has_##what;         \
    }                                                         \
    static void cpu_##what##_post_load(void *obj)             \
    {                                                         \
        ((struct cpu *)obj)->has_##what = true;               \
    }                                                         \
    static const struct ferry_field cpu_##what##_fields[] = { \
        FERRY_BYTES(struct cpu, what),                        \
    };                                                        \
    static const struct ferry_table cpu_##what##_table = {    \
        .name = "cpu/" #what,                                 \
        .version = (version_),                                \
        FERRY_FIELDS(cpu_##what##_fields),                    \
        .needed = cpu_##what##_needed,                        \
        .post_load = cpu_##what##_post_load,                  \
    }
CPU_SUBSECTION(pmp, 1);
CPU_SUBSECTION(hyper, 4);
CPU_SUBSECTION(envcfg, 1);
CPU_SUBSECTION(debug, 2);
CPU_SUBSECTION(timer, 1);
static const struct ferry_table *const cpu_subsections[] = {
    &cpu_pmp_table, &cpu_hyper_table, &cpu_envcfg_table, &cpu_debug_table, &cpu_timer_table, NULL};
static const struct ferry_field cpu_fields[] = {
    FERRY_BYTES(struct cpu, fields),
};
static const struct ferry_table cpu_table = {.name = "cpu",
                                             .version = 10,
                                             .minimum_version = 10,
                                             FERRY_FIELDS(cpu_fields),
                                             .subsections = cpu_subsections};

/* --- Interrupts --- */

struct mtimer {
    uint64_t timecmp[QEMU_VIRT_HARTS];
};
static const struct ferry_field mtimer_fields[] = {
    FERRY_U64_ARRAY(struct mtimer, timecmp),
};
static const struct ferry_table mtimer_table = {
    .name = "riscv_mtimer", .version = 1, .minimum_version = 1, FERRY_FIELDS(mtimer_fields)};

struct plic {
    uint32_t source_priority[96];
    uint32_t target_priority[2 * QEMU_VIRT_HARTS];
    uint32_t pending[3];
    uint32_t claimed[3];
    uint32_t enable[3 * 2 * QEMU_VIRT_HARTS];
};
static const struct ferry_field plic_fields[] = {
    FERRY_U32_ARRAY(struct plic, source_priority, .max = 7),
    FERRY_U32_ARRAY(struct plic, target_priority, .max = 7),
    FERRY_U32_ARRAY(struct plic, pending),
    FERRY_U32_ARRAY(struct plic, claimed),
    FERRY_U32_ARRAY(struct plic, enable),
};
static const struct ferry_table plic_table = {
    .name = "riscv_sifive_plic", .version = 1, .minimum_version = 1, FERRY_FIELDS(plic_fields)};

/* --- fw_cfg, PCI --- */

struct fw_cfg {
    uint16_t cur_entry;
    uint32_t cur_offset;
    uint64_t dma_addr;
};
static const struct ferry_field fw_cfg_dma_fields[] = {
    FERRY_U64(struct fw_cfg, dma_addr),
};
static const struct ferry_table fw_cfg_dma_table = {
    .name = "fw_cfg/dma", .version = 0, FERRY_FIELDS(fw_cfg_dma_fields)};
static const struct ferry_table *const fw_cfg_subsections[] = {&fw_cfg_dma_table, NULL};
static const struct ferry_field fw_cfg_fields[] = {
    FERRY_U16(struct fw_cfg, cur_entry),
    FERRY_U32(struct fw_cfg, cur_offset, .wire_name = "cur_offset[1]"),
};
static const struct ferry_table fw_cfg_table = {.name = "fw_cfg",
                                                .version = 2,
                                                .minimum_version = 2,
                                                FERRY_FIELDS(fw_cfg_fields),
                                                .subsections = fw_cfg_subsections};

struct gpex_root {
    uint32_t version_id;
    uint8_t config[256];
    uint8_t express_config[1]; /* never there: the other of two formats of config */
    uint8_t irq_state[16];
};
static bool never(const void *obj, uint32_t version)
{
    return false;
}
static const struct ferry_field pci_device_fields[] = {
    FERRY_U32(struct gpex_root, version_id, .max = 2, .type_name = "int32 le"),
    FERRY_BYTES(struct gpex_root, config, .type_name = "pci config"),
    FERRY_BYTES(struct gpex_root, express_config, .wire_name = "config", .present = never),
    FERRY_BYTES(struct gpex_root, irq_state, .type_name = "pci irq state"),
};
static const struct ferry_table pci_device_table = {
    .name = "PCIDevice", .version = 2, .minimum_version = 1, FERRY_FIELDS(pci_device_fields)};
static const struct ferry_field gpex_root_fields[] = {
    FERRY_SELF(struct gpex_root, "parent_obj", &pci_device_table),
};
static const struct ferry_table gpex_root_table = {
    .name = "gpex_root", .version = 1, .minimum_version = 1, FERRY_FIELDS(gpex_root_fields)};

struct pci_host {
    uint32_t config_reg;
};
static const struct ferry_field pci_host_fields[] = {
    FERRY_U32(struct pci_host, config_reg),
};
static const struct ferry_table pci_host_table = {
    .name = "PCIHost", .version = 1, .minimum_version = 1, FERRY_FIELDS(pci_host_fields)};

struct pci_bus {
    uint32_t nirq;
    uint32_t irq_count[4];
};
static const struct ferry_field pci_bus_fields[] = {
    FERRY_U32_EQ(struct pci_bus, nirq, .type_name = "int32 equal"),
    FERRY_U32_ARRAY(struct pci_bus, irq_count, .type_name = "int32"),
};
static const struct ferry_table pci_bus_table = {
    .name = "PCIBUS", .version = 1, .minimum_version = 1, FERRY_FIELDS(pci_bus_fields)};

/* --- UART, clock, flash --- */

struct serial {
    uint16_t divider;
    uint8_t rbr, ier, iir, lcr, mcr, lsr, msr, scr, fcr;
};
static const struct ferry_field uart_fields[] = {
    FERRY_U16(struct serial, divider), FERRY_U8(struct serial, rbr),
    FERRY_U8(struct serial, ier),      FERRY_U8(struct serial, iir),
    FERRY_U8(struct serial, lcr),      FERRY_U8(struct serial, mcr),
    FERRY_U8(struct serial, lsr),      FERRY_U8(struct serial, msr),
    FERRY_U8(struct serial, scr),      FERRY_U8(struct serial, fcr, .wire_name = "fcr_vmstate"),
};
static const struct ferry_table uart_table = {
    .name = "serial", .version = 3, .minimum_version = 2, FERRY_FIELDS(uart_fields)};
static const struct ferry_field serial_fields[] = {
    FERRY_SELF(struct serial, "serial", &uart_table),
};
static const struct ferry_table serial_table = {
    .name = "serial", .version = 3, .minimum_version = 2, FERRY_FIELDS(serial_fields)};

struct rtc {
    uint64_t tick_offset_vmstate, alarm_next;
    uint32_t alarm_running, irq_pending, irq_enabled, time_high;
    uint64_t tick_offset;
};
static const struct ferry_field rtc_fields[] = {
    FERRY_U64(struct rtc, tick_offset_vmstate), FERRY_U64(struct rtc, alarm_next),
    FERRY_U32(struct rtc, alarm_running),       FERRY_U32(struct rtc, irq_pending),
    FERRY_U32(struct rtc, irq_enabled),         FERRY_U32(struct rtc, time_high),
    FERRY_U64(struct rtc, tick_offset),
};
static const struct ferry_table rtc_table = {
    .name = "goldfish_rtc", .version = 3, .minimum_version = 3, FERRY_FIELDS(rtc_fields)};

struct flash {
    uint8_t wcycle, cmd, status;
    uint64_t counter;
};
static const struct ferry_field flash_fields[] = {
    FERRY_U8(struct flash, wcycle),
    FERRY_U8(struct flash, cmd),
    FERRY_U8(struct flash, status),
    FERRY_U64(struct flash, counter),
};
static const struct ferry_table flash_table = {
    .name = "pflash_cfi01", .version = 1, .minimum_version = 1, FERRY_FIELDS(flash_fields)};

/* --- virtio: one opaque field with subsections inside --- */

struct virtio {
    uint64_t guest_features;
    uint8_t ringsize[4096];
    bool has_ringsize, started;
};
static const struct ferry_field virtio_features_fields[] = {
    FERRY_U64(struct virtio, guest_features),
};
static const struct ferry_table virtio_features_table = {
    .name = "virtio/64bit_features", .version = 1, FERRY_FIELDS(virtio_features_fields)};
static bool ringsize_needed(const void *obj)
{
    return ((const struct virtio *)obj)->has_ringsize;
}
static void ringsize_post_load(void *obj)
{
    ((struct virtio *)obj)->has_ringsize = true;
}
static const struct ferry_field ringsize_fields[] = {
    FERRY_BYTES(struct virtio, ringsize),
};
static const struct ferry_table ringsize_table = {.name = "virtio/ringsize",
                                                  .version = 1,
                                                  FERRY_FIELDS(ringsize_fields),
                                                  .needed = ringsize_needed,
                                                  .post_load = ringsize_post_load};
static bool started_needed(const void *obj)
{
    return ((const struct virtio *)obj)->started;
}
static const struct ferry_field started_fields[] = {
    FERRY_BOOL(struct virtio, started),
};
static const struct ferry_table started_table = {
    .name = "virtio/started", .version = 1, FERRY_FIELDS(started_fields), .needed = started_needed};
static const struct ferry_table *const virtio_subsections[] = {
    &virtio_features_table, &ringsize_table, &started_table, NULL};

#define VIRTIO_DEVICE(what, bytes, version_)                                     \
    struct virtio_##what {                                                       \
        struct virtio virtio;                                                    \
        uint8_t fields[bytes];                                                   \
    };                                                                           \
    static const struct ferry_field virtio_##what##_inner_fields[] = {           \
        FERRY_BYTES(struct virtio_##what, fields),                               \
    };                                                                           \
    static const struct ferry_table virtio_##what##_inner_table = {              \
        .name = "virtio",                                                        \
        .version = 1,                                                            \
        FERRY_FIELDS(virtio_##what##_inner_fields),                              \
        .subsections = virtio_subsections,                                       \
    };                                                                           \
    static const struct ferry_field virtio_##what##_fields[] = {                 \
        FERRY_SELF(struct virtio_##what, "virtio", &virtio_##what##_inner_table, \
                   .type_name = "virtio"),                                       \
    };                                                                           \
    static const struct ferry_table virtio_##what##_table = {                    \
        .name = "virtio-" #what,                                                 \
        .version = (version_),                                                   \
        .minimum_version = (version_),                                           \
        FERRY_FIELDS(virtio_##what##_fields),                                    \
    }
VIRTIO_DEVICE(blk, 104, 2);
VIRTIO_DEVICE(net, 661, 11);
VIRTIO_DEVICE(rng, 46, 1);

/* --- What the sender was doing --- */

struct globalstate {
    uint32_t size;
    char runstate[32];
    uint8_t has_vm_was_suspended, vm_was_suspended;
};
static const struct ferry_field globalstate_fields[] = {
    FERRY_U32(struct globalstate, size, .max = 32),
    FERRY_BYTES(struct globalstate, runstate),
    FERRY_U8(struct globalstate, has_vm_was_suspended, .max = 1),
    FERRY_U8(struct globalstate, vm_was_suspended, .max = 1),
    FERRY_UNUSED(66, .type_name = "buffer"),
};
static const struct ferry_table globalstate_table = {
    .name = "globalstate", .version = 1, .minimum_version = 1, FERRY_FIELDS(globalstate_fields)};

/* --- The machine --- */

struct qemu_virt {
    struct ferry_vm *vm;
    struct state {
        struct timer timer;
        struct cpu_common cpu_common[QEMU_VIRT_HARTS];
        struct cpu cpu[QEMU_VIRT_HARTS];
        struct mtimer mtimer;
        struct plic plic;
        struct fw_cfg fw_cfg;
        struct gpex_root gpex_root;
        struct pci_host pci_host;
        struct pci_bus pci_bus;
        struct serial serial;
        struct rtc rtc;
        struct flash flash[2];
        struct virtio_blk blk;
        struct virtio_net net;
        struct virtio_rng rng;
        struct globalstate globalstate;
    } state;
};

static void add(struct qemu_virt *m, const char *idstr, uint32_t instance_id,
                const struct ferry_table *table, void *obj, size_t obj_bytes)
{
    struct ferry_part part = {.idstr = idstr,
                              .instance_id = instance_id,
                              .table = table,
                              .obj = obj,
                              .obj_bytes = obj_bytes};
    struct ferry_err err;

    if (ferry_vm_add_part(m->vm, &part, &err) < 0) {
        fprintf(stderr, "%s\n", err.text);
        abort();
    }
}

struct qemu_virt *qemu_virt_new(const struct qemu_virt_params *params)
{
    struct ferry_vm_params vm_params = {.size_bytes = sizeof(vm_params), .machine_name = "virt"};
    struct qemu_virt *m = calloc(1, sizeof(*m));
    struct state *s = m ? &m->state : NULL;
    struct ferry_err err;

    if (!m || ferry_vm_new(&m->vm, &vm_params, &err) < 0)
        abort();
    s->pci_bus.nirq = 4;
    add(m, "timer", 0, &timer_table, &s->timer, sizeof(s->timer));
    for (uint32_t i = 0; i < QEMU_VIRT_HARTS; i++) {
        add(m, "cpu_common", i, &cpu_common_table, &s->cpu_common[i], sizeof(s->cpu_common[i]));
        add(m, "cpu", i, &cpu_table, &s->cpu[i], sizeof(s->cpu[i]));
    }
    add(m, "riscv_mtimer", 0, &mtimer_table, &s->mtimer, sizeof(s->mtimer));
    add(m, "riscv_sifive_plic", 0, &plic_table, &s->plic, sizeof(s->plic));
    add(m, "fw_cfg", 0, &fw_cfg_table, &s->fw_cfg, sizeof(s->fw_cfg));
    add(m, "0000:00:00.0/gpex_root", 0, &gpex_root_table, &s->gpex_root, sizeof(s->gpex_root));
    if (params->pci_host)
        add(m, "PCIHost", 0, &pci_host_table, &s->pci_host, sizeof(s->pci_host));
    add(m, "PCIBUS", 0, &pci_bus_table, &s->pci_bus, sizeof(s->pci_bus));
    add(m, "serial", 0, &serial_table, &s->serial, sizeof(s->serial));
    add(m, "goldfish_rtc", 0, &rtc_table, &s->rtc, sizeof(s->rtc));
    add(m, "pflash_cfi01", 0, &flash_table, &s->flash[0], sizeof(s->flash[0]));
    add(m, "pflash_cfi01", 1, &flash_table, &s->flash[1], sizeof(s->flash[1]));
    add(m, "virtio-mmio@0000000010008000/virtio-blk", 0, &virtio_blk_table, &s->blk,
        sizeof(s->blk));
    add(m, "virtio-mmio@0000000010007000/virtio-net", 0, &virtio_net_table, &s->net,
        sizeof(s->net));
    if (params->rng)
        add(m, "virtio-mmio@0000000010006000/virtio-rng", 0, &virtio_rng_table, &s->rng,
            sizeof(s->rng));
    add(m, "globalstate", 0, &globalstate_table, &s->globalstate, sizeof(s->globalstate));
    return m;
}

void qemu_virt_free(struct qemu_virt *m)
{
    if (!m)
        return;
    ferry_vm_free(m->vm);
    free(m);
}

struct ferry_vm *qemu_virt_vm(struct qemu_virt *m)
{
    return m->vm;
}

const void *qemu_virt_bytes(const struct qemu_virt *m, size_t *n)
{
    *n = sizeof(m->state);
    return &m->state;
}

uint8_t *qemu_virt_recording(const char *name, size_t *n)
{
    char path[512];
    uint8_t *data;
    long size;
    FILE *f;

    snprintf(path, sizeof(path), "%s/qemu/%s", TEST_DATA_DIR, name);
    f = fopen(path, "rb");
    if (!f || fseek(f, 0, SEEK_END) < 0 || (size = ftell(f)) < 0)
        abort();
    rewind(f);
    data = malloc((size_t)size + 1);
    if (!data || fread(data, 1, (size_t)size, f) != (size_t)size)
        abort();
    fclose(f);
    *n = (size_t)size;
    return data;
}
