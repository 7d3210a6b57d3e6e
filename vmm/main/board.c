/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/main/board.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/num.h"
#include "base/own.h"
#include "vmm/backend/allow.h"
#include "vmm/backend/bell.h"
#include "vmm/cpu/hart.h"
#include "vmm/dev/aclint.h"
#include "vmm/dev/fw_cfg.h"
#include "vmm/dev/goldfish_rtc.h"
#include "vmm/dev/gpex.h"
#include "vmm/dev/pflash.h"
#include "vmm/dev/plic.h"
#include "vmm/dev/test_finisher.h"
#include "vmm/dev/uart16550.h"
#include "vmm/dev/virtio/virtio.h"
#include "vmm/machine/bus.h"
#include "vmm/machine/clock.h"
#include "vmm/machine/guestmem.h"
#include "vmm/main/backends.h"
#include "vmm/main/boot.h"
#include "vmm/main/compat.h"
#include "vmm/main/lost_memory.h"
#include "vmm/main/memmap.h"
#include "vmm/main/memory_file.h"
#include "vmm/main/options.h"

/* mswi, mtimer, plic, uart, rtc, test; fw_cfg, six of PCI, two flash banks; and a device or an
 * empty transport in each slot. */
#define BOARD_DEVICES_MAX (6 + 9 + CONFIG_VIRTIO_SLOTS)

struct board {
    struct board_params params;
    const struct vm_config *config;
    const struct compat *compat; /* NULL: none */

    struct ferry_ram *ram;
    struct guestmem mem;
    struct machine_lock lock;
    struct bus bus;
    struct guest_clock *clock;
    struct dev_env env;

    struct hart *harts[CONFIG_HARTS_MAX];
    size_t hart_count;
    struct backends backends;
    struct bell *flushed; /* a worker has flushed an image for a move */
    struct boot *boot;
    struct dev *devices[BOARD_DEVICES_MAX]; /* in the order of QEMU's sections */
    size_t device_count;
    bool running; /* as far as start and stop are concerned */
    bool held;    /* ... but a reset is under way */
};

/* --- Memory --------------------------------------------------------------------------------- */

static int board_map(struct board *b, struct ferry_ram_region *region, uint64_t base_gpa,
                     bool readonly, struct ferry_err *err)
{
    ferry_ram_set_gpa(region, base_gpa);
    return guestmem_add(&b->mem, base_gpa, region, readonly, err);
}

static int board_add_memory(struct board *b, const char *name, uint64_t base_gpa,
                            uint64_t size_bytes, bool readonly, struct ferry_err *err)
{
    const struct board_params *p = &b->params;
    struct ferry_ram_region *region = NULL;
    int rc;

    if (p->take_region)
        rc = p->take_region(p->take_region_arg, b->ram, name, size_bytes, false, &region, err);
    else
        rc = ferry_ram_add(b->ram, name, size_bytes, &region, err);
    return rc ? rc : board_map(b, region, base_gpa, readonly, err);
}

/* RAM in a file that the user named. One that arrived is not opened again: it is what it is. */
static int board_add_file(struct board *b, const struct config_memory *m, struct ferry_err *err)
{
    const struct board_params *p = &b->params;
    struct ferry_ram_region *region = NULL;
    int rc;

    if (p->take_region)
        rc = p->take_region(p->take_region_arg, b->ram, m->id, m->size_bytes, true, &region, err);
    else
        rc = ferry_ram_expect_file(b->ram, m->id, m->size_bytes, &region, err);
    if (!rc)
        lost_memory_is(ferry_ram_host(region), m->size_bytes, m->path);
    return rc ? rc : board_map(b, region, MEMMAP_RAM_GPA, false, err);
}

static int board_open_file(struct board *b, struct ferry_err *err)
{
    const struct config_memory *m = config_ram_memory(b->config);
    OWN_FD int fd = -1;
    int rc = m ? memory_file_open(m, b->config->allow, &fd, err) : 0;

    if (!m || rc < 0)
        return rc;
    return ferry_ram_give_file(b->ram, ferry_ram_find(b->ram, m->id), &fd, err);
}

static int board_add_flash(struct board *b, struct ferry_err *err)
{
    int rc = board_add_memory(b, "virt.flash0", MEMMAP_FLASH_GPA, MEMMAP_FLASH_BYTES, true, err);

    return rc ? rc
              : board_add_memory(b, "virt.flash1", MEMMAP_FLASH_GPA + MEMMAP_FLASH_BYTES,
                                 MEMMAP_FLASH_BYTES, true, err);
}

static int board_new_memory(struct board *b, struct ferry_err *err)
{
    const struct config_memory *file = config_ram_memory(b->config);
    int rc = ferry_ram_new(&b->ram, err);

    if (!rc && file)
        rc = board_add_file(b, file, err);
    else if (!rc)
        rc = board_add_memory(b, "riscv_virt_board.ram", MEMMAP_RAM_GPA, b->config->ram_bytes,
                              false, err);
    if (!rc && b->compat && b->compat->qemu_devices)
        rc = board_add_flash(b, err);
    if (!rc)
        rc = board_add_memory(b, "riscv_virt_board.mrom", MEMMAP_MROM_GPA, MEMMAP_MROM_BYTES, true,
                              err);
    return rc;
}

/* --- Harts ---------------------------------------------------------------------------------- */

static int board_new_harts(struct board *b, struct ferry_err *err)
{
    for (uint32_t id = 0; id < b->config->harts; id++) {
        struct hart_params params = {
            .size_bytes = sizeof(params),
            .id = id,
            .reset_pc = MEMMAP_MROM_GPA,
            .mem = &b->mem,
            .bus = &b->bus,
            .clock = b->clock,
            .ram = b->ram,
            .thread_begin = b->params.thread_begin,
            .quirks = b->compat ? b->compat->hart : (struct hart_quirks){0},
        };
        int rc = hart_new(&b->harts[id], &params, err);

        if (rc)
            return err_prefix(err, "hart %u", id);
        b->hart_count++;
    }
    return 0;
}

static void board_set_hart_irq(void *controller, unsigned source, bool level)
{
    hart_set_irq(controller, (enum hart_irq)source, level);
}

static bool board_get_hart_irq(void *controller, unsigned source)
{
    return hart_get_irq(controller, (enum hart_irq)source);
}

static struct irq_line board_hart_line(struct hart *h, enum hart_irq irq)
{
    return (struct irq_line){.set = board_set_hart_irq, .controller = h, .source = irq};
}

/* --- Devices -------------------------------------------------------------------------------- */

static int board_add_device(struct board *b, struct dev *d, uint64_t gpa, struct ferry_err *err)
{
    struct bus_region region = {
        .name = d->idstr,
        .base_gpa = gpa,
        .size_bytes = d->type->mmio_bytes,
        .access_sizes = d->type->access_sizes,
        .ops = &d->type->mmio,
        .dev = d,
    };

    b->devices[b->device_count++] = d;
    return region.size_bytes == 0 ? 0 : bus_add(&b->bus, &region, err);
}

static int board_new_device(struct board *b, const struct dev_type *type, uint64_t gpa,
                            struct irq_line irq, const char *idstr, struct dev **ret,
                            struct ferry_err *err)
{
    int rc = dev_new(ret, type, &b->env, irq, idstr, 0, err);

    return rc ? rc : board_add_device(b, *ret, gpa, err);
}

/* Devices of QEMU's machine that this one lacks; first those whose sections come before the UART's.
 */
static int board_new_pci(struct board *b, struct ferry_err *err)
{
    const uint64_t high_gpa =
        num_align_up(MEMMAP_RAM_GPA + b->config->ram_bytes, MEMMAP_PCI_HIGH_ALIGN);
    const struct {
        const struct dev_type *type;
        uint64_t gpa;
        const char *idstr;
    } all[] = {
        {&fw_cfg_type, MEMMAP_FW_CFG_GPA, "fw_cfg"},
        {&gpex_root_type, MEMMAP_PCI_ECAM_GPA, "0000:00:00.0/gpex_root"},
        {&pci_host_type, 0, "PCIHost"},
        {&pci_bus_type, 0, "PCIBUS"},
        {&pci_io_type, MEMMAP_PCI_IO_GPA, "pci_io"},
        {&pci_mmio_type, MEMMAP_PCI_MMIO_GPA, "pci_mmio"},
        {&pci_mmio_high_type, high_gpa, "pci_mmio_high"},
    };
    struct dev *d;
    int rc = 0;

    for (size_t i = 0; !rc && i < sizeof(all) / sizeof(all[0]); i++)
        rc = board_new_device(b, all[i].type, all[i].gpa, (struct irq_line){0}, all[i].idstr, &d,
                              err);
    return rc;
}

static int board_new_flash(struct board *b, struct ferry_err *err)
{
    struct dev *d;
    int rc = 0;

    for (uint32_t bank = 0; !rc && bank < 2; bank++) {
        rc = dev_new(&d, &pflash_type, &b->env, (struct irq_line){0}, "pflash_cfi01", bank, err);
        if (!rc)
            rc = board_add_device(b, d, 0, err);
    }
    return rc;
}

static int board_new_platform(struct board *b, struct dev **ret_plic, struct ferry_err *err)
{
    const struct dev_type *timer_type =
        b->compat && b->compat->mtimer3 ? &mtimer3_type : &mtimer_type;
    const struct irq_line none = {0};
    struct dev *mswi, *mtimer, *plic, *uart, *rtc, *test;
    int rc;

    rc = board_new_device(b, &mswi_type, MEMMAP_CLINT_GPA, none, "riscv_mswi", &mswi, err);
    if (!rc)
        rc = board_new_device(b, timer_type, MEMMAP_MTIMER_GPA, none, "riscv_mtimer", &mtimer, err);
    if (!rc)
        rc =
            board_new_device(b, &plic_type, MEMMAP_PLIC_GPA, none, "riscv_sifive_plic", &plic, err);
    if (rc)
        return rc;
    for (uint32_t i = 0; i < b->hart_count; i++) {
        struct hart *h = b->harts[i];
        struct mswi_output msip = {board_hart_line(h, HART_IRQ_MSI), board_get_hart_irq};

        mswi_connect(mswi, i, msip);
        mtimer_connect(mtimer, i, board_hart_line(h, HART_IRQ_MTI));
        plic_connect(plic, 2 * i, board_hart_line(h, HART_IRQ_MEI));
        plic_connect(plic, 2 * i + 1, board_hart_line(h, HART_IRQ_SEI));
    }
    *ret_plic = plic;
    if (b->compat && b->compat->qemu_devices)
        rc = board_new_pci(b, err);
    if (!rc)
        rc = board_new_device(b, &uart16550_type, MEMMAP_UART_GPA,
                              plic_input(plic, MEMMAP_UART_IRQ), "serial", &uart, err);
    if (!rc && b->config->serial_chardev)
        rc = uart16550_connect(uart, backends_find_chardev(&b->backends, b->config->serial_chardev),
                               err);
    if (!rc)
        rc = board_new_device(b, &goldfish_rtc_type, MEMMAP_RTC_GPA,
                              plic_input(plic, MEMMAP_RTC_IRQ), "goldfish_rtc", &rtc, err);
    if (!rc)
        rc = board_new_device(b, &test_finisher_type, MEMMAP_TEST_GPA, none, "sifive_test", &test,
                              err);
    if (!rc && b->compat && b->compat->qemu_devices)
        rc = board_new_flash(b, err);
    return rc;
}

static int board_new_virtio(struct board *b, struct dev *plic, uint32_t slot,
                            const struct config_device *config, struct ferry_err *err)
{
    struct virtio_params params = {
        .env = &b->env,
        .slot_gpa = MEMMAP_VIRTIO_GPA + slot * MEMMAP_VIRTIO_SLOT_BYTES,
        .irq = plic_input(plic, MEMMAP_VIRTIO_IRQ + slot),
        .legacy = b->config->force_legacy,
        .queue_num = b->compat ? b->compat->virtio_queue_num : 0,
        .queue_num_fixed = b->compat && b->compat->virtio_queue_num_fixed,
        .config = config,
        .on_drained = b->params.on_drained,
        .on_calm = b->params.on_calm,
        .on_disk_error = b->params.on_disk_error,
        .arg = b->params.machine,
    };
    struct dev *d = NULL;
    int rc = -EINVAL;

    if (!config)
        rc = virtio_empty_new(&d, &params, err);
    else if (config->type == CONFIG_DEVICE_BLK)
        rc = virtio_blk_new(&d, &params, backends_find_drive(&b->backends, config->backend), err);
    else if (config->type == CONFIG_DEVICE_NET)
        rc = virtio_net_new(&d, &params, backends_find_netdev(&b->backends, config->backend), err);
    else if (config->type == CONFIG_DEVICE_RNG)
        rc = virtio_rng_new(&d, &params, err);
    return rc ? rc : board_add_device(b, d, params.slot_gpa, err);
}

/* In the order of the command line, which is the order of the sections; then the empty slots. */
static int board_new_virtios(struct board *b, struct dev *plic, struct ferry_err *err)
{
    bool taken[CONFIG_VIRTIO_SLOTS] = {false};
    int rc = 0;

    for (size_t i = 0; !rc && i < b->config->device_count; i++) {
        const struct config_device *config = &b->config->devices[i];

        taken[config->slot] = true;
        rc = board_new_virtio(b, plic, (uint32_t)config->slot, config, err);
    }
    for (uint32_t slot = 0; !rc && slot < CONFIG_VIRTIO_SLOTS; slot++) {
        if (!taken[slot])
            rc = board_new_virtio(b, plic, slot, NULL, err);
    }
    return rc;
}

/* Harts first: what the devices' lines then say is what they see. */
static void board_power_on(struct board *b)
{
    machine_lock(&b->lock);
    for (size_t i = 0; i < b->hart_count; i++)
        hart_reset(b->harts[i]);
    for (size_t i = 0; i < b->device_count; i++) {
        if (b->devices[i]->type->reset)
            b->devices[i]->type->reset(b->devices[i]);
    }
    machine_unlock(&b->lock);
}

/* --- Life ----------------------------------------------------------------------------------- */

static void board_flushed(void *arg)
{
    struct board *b = arg;

    for (size_t i = 0; i < b->backends.drive_count; i++)
        if (block_drained(b->backends.drives[i]))
            b->params.on_drained(b->params.machine);
    b->params.on_flushed(b->params.machine);
}

static int board_build(struct board *b, struct ferry_err *err)
{
    struct backends_params backends_params = {
        .thread_begin = b->params.thread_begin,
        .config = b->config,
        .loop = b->params.loop,
        .lock = &b->lock,
        .quit = b->params.quit,
        .client_came = b->params.client_came,
        .drained = b->params.on_drained,
        .arg = b->params.machine,
    };
    struct dev *plic = NULL;
    int rc;

    rc = compat_find(&b->compat, b->config->compat, err);
    if (!rc)
        rc = boot_new(&b->boot, b->config, err);
    if (!rc)
        rc = board_new_memory(b, err);
    if (!rc)
        rc = guest_clock_new(&b->clock, b->params.loop, &b->lock, err);
    if (rc)
        return rc;
    b->env = (struct dev_env){
        .mem = &b->mem,
        .loop = b->params.loop,
        .lock = &b->lock,
        .clock = b->clock,
        .hart_count = b->config->harts,
        .power_off = b->params.power_off,
        .reset = b->params.reset,
        .machine = b->params.machine,
    };
    rc = board_new_harts(b, err);
    if (!rc)
        rc = bell_new(&b->flushed, b->params.loop, board_flushed, b, err);
    if (!rc)
        rc = backends_new(&b->backends, &backends_params, err);
    if (!rc)
        rc = board_new_platform(b, &plic, err);
    if (!rc)
        rc = board_new_virtios(b, plic, err);
    if (!rc)
        board_power_on(b);
    return rc;
}

int board_new(struct board **ret, const struct board_params *params, struct ferry_err *err)
{
    const struct vm_config *c = params->config;
    struct board *b;
    int rc;

    if (c->harts == 0 || c->harts > CONFIG_HARTS_MAX)
        return err_set(err, EINVAL, "%u harts, the board can have 1 to %d", c->harts,
                       CONFIG_HARTS_MAX);
    b = calloc(1, sizeof(*b));
    if (!b)
        return err_set(err, ENOMEM, "no memory for the board");
    b->params = *params;
    b->config = c;
    pthread_mutex_init(&b->lock.mutex, NULL);
    b->bus.lock = &b->lock;
    rc = board_build(b, err);
    if (rc) {
        board_free(b);
        return rc;
    }
    *ret = b;
    return 0;
}

bool board_free(struct board *b)
{
    if (!b)
        return true;
    board_stop(b);
    if (!backends_stop_drives(&b->backends)) {
        /* Whoever sits at its terminal shall have it back. */
        backends_free_chardevs(&b->backends);
        return false;
    }
    for (size_t i = 0; i < b->hart_count; i++)
        hart_free(b->harts[i]);
    while (b->device_count > 0)
        dev_free(b->devices[--b->device_count]);
    backends_free(&b->backends);
    bell_free(b->flushed);
    boot_free(b->boot);
    guest_clock_free(b->clock);
    lost_memory_is(NULL, 0, NULL);
    ferry_ram_free(b->ram);
    pthread_mutex_destroy(&b->lock.mutex);
    free(b);
    return true;
}

/* A second guest in the same memory would be the end of both. */
static int board_check_ram_is_ours(const struct board *b, struct ferry_err *err)
{
    const struct config_memory *file = config_ram_memory(b->config);

    if (file && !ferry_ram_is_ours(ferry_ram_find(b->ram, file->id)))
        return err_set(err, EBUSY, "guest RAM '%s': another VM has its memory in '%s'", file->id,
                       file->path);
    return 0;
}

int board_open(struct board *b, struct ferry_err *err)
{
    int rc = board_open_file(b, err);

    if (!rc)
        rc = board_check_ram_is_ours(b, err);
    if (!rc)
        rc = boot_open(b->boot, err);
    if (!rc)
        rc = boot_place(b->boot, &b->mem, err);
    if (!rc)
        rc = backends_open(&b->backends, err);
    return rc;
}

int board_open_incoming(struct board *b, struct ferry_err *err)
{
    int rc = board_open_file(b, err);

    if (!rc)
        rc = boot_open(b->boot, err);
    if (!rc)
        rc = backends_open_unlocked(&b->backends, err);
    return rc;
}

bool board_awaits_client(const struct board *b)
{
    return backends_await_client(&b->backends);
}

int board_look(const struct board *b, struct ferry_err *err)
{
    const struct vm_config *c = b->config;
    int rc = 0;

    for (size_t i = 0; !rc && i < c->drive_count; i++) {
        const struct config_drive *d = &c->drives[i];

        rc = allow_access(d->allow, d->path, d->readonly ? R_OK : R_OK | W_OK);
        if (rc < 0)
            err_sys(err, -rc, "drive \"%s\": image \"%s\"%s", d->id, d->path, allow_hint(-rc));
    }
    return rc ? rc : boot_look(b->boot, err);
}

int board_take_locks(struct board *b, struct ferry_err *err)
{
    return backends_take_locks(&b->backends, err);
}

void board_announce(struct board *b)
{
    machine_lock(&b->lock);
    for (size_t i = 0; i < b->device_count; i++)
        virtio_net_announce(b->devices[i]);
    machine_unlock(&b->lock);
}

void board_give_locks(struct board *b, bool claim)
{
    backends_give_locks(&b->backends, claim);
}

/* What the host could not do is tried again whenever the guest goes on. */
static void board_retry_io(struct board *b)
{
    for (size_t i = 0; i < b->backends.drive_count; i++)
        block_set_io_status(b->backends.drives[i], BLOCK_IO_OK);
    machine_lock(&b->lock);
    for (size_t i = 0; i < b->device_count; i++)
        virtio_blk_retry(b->devices[i]);
    machine_unlock(&b->lock);
}

static void let_go(struct board *b)
{
    board_retry_io(b);
    guest_clock_start(b->clock);
    for (size_t i = 0; i < b->hart_count; i++)
        hart_run(b->harts[i]);
}

static void halt(struct board *b)
{
    for (size_t i = 0; i < b->hart_count; i++)
        hart_stop_request(b->harts[i]);
    for (size_t i = 0; i < b->hart_count; i++)
        hart_stop_wait(b->harts[i]);
    guest_clock_stop(b->clock);
}

void board_flush_begin(struct board *b)
{
    backends_flush_begin(&b->backends, b->flushed);
}

int board_flush_result(struct board *b, struct ferry_err *err)
{
    return backends_flush_result(&b->backends, err);
}

bool board_disks_are_idle(struct board *b, struct bell *bell)
{
    return backends_are_idle(&b->backends, bell);
}

void board_start(struct board *b)
{
    if (b->running)
        return;
    b->running = true;
    if (!b->held)
        let_go(b);
}

void board_set_throttle(struct board *b, unsigned percent)
{
    for (size_t i = 0; i < b->hart_count; i++)
        hart_set_throttle(b->harts[i], percent);
}

void board_stop(struct board *b)
{
    if (!b->running)
        return;
    b->running = false;
    if (!b->held)
        halt(b);
}

bool board_reset_begin(struct board *b)
{
    bool calm = true;

    if (b->running && !b->held)
        halt(b);
    b->held = true;
    machine_lock(&b->lock);
    for (size_t i = 0; i < b->device_count; i++) {
        const struct dev_type *type = b->devices[i]->type;

        if (type->reset_begin && !type->reset_begin(b->devices[i]))
            calm = false;
    }
    machine_unlock(&b->lock);
    return calm;
}

void board_reset_end(struct board *b)
{
    b->held = false;
    if (b->running)
        let_go(b);
}

int board_reset(struct board *b, struct ferry_err *err)
{
    board_power_on(b);
    return boot_place(b->boot, &b->mem, err);
}

int board_add_parts(struct board *b, struct ferry_vm *vm, struct ferry_err *err)
{
    struct ferry_part part = guest_clock_part(b->clock);
    int rc = ferry_vm_add_part(vm, &part, err);

    for (size_t i = 0; !rc && i < b->hart_count; i++) {
        struct ferry_part parts[2];

        hart_parts(b->harts[i], parts);
        rc = ferry_vm_add_part(vm, &parts[0], err);
        if (!rc)
            rc = ferry_vm_add_part(vm, &parts[1], err);
    }
    for (size_t i = 0; !rc && i < b->device_count; i++) {
        part = dev_part(b->devices[i]);
        if (part.table || part.ops)
            rc = ferry_vm_add_part(vm, &part, err);
    }
    if (!rc)
        rc = backends_add_parts(&b->backends, vm, err);
    if (!rc) {
        part = boot_part(b->boot);
        rc = ferry_vm_add_part(vm, &part, err);
    }
    return rc;
}

struct ferry_ram *board_ram(const struct board *b)
{
    return b->ram;
}

struct bus *board_bus(struct board *b)
{
    return &b->bus;
}

struct guest_clock *board_clock(const struct board *b)
{
    return b->clock;
}

size_t board_hart_count(const struct board *b)
{
    return b->hart_count;
}

struct hart *board_hart(const struct board *b, size_t index)
{
    return b->harts[index];
}

struct chardev *board_chardev(const struct board *b, size_t index)
{
    return index < b->backends.chardev_count ? b->backends.chardevs[index] : NULL;
}

struct chardev *board_find_chardev(const struct board *b, const char *id)
{
    return backends_find_chardev(&b->backends, id);
}

struct block *board_block(const struct board *b, size_t index)
{
    return index < b->backends.drive_count ? b->backends.drives[index] : NULL;
}
