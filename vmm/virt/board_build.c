/* SPDX-License-Identifier: Apache-2.0 */
/* What a board is made of: memory, harts, devices, and where they are. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "base/err.h"
#include "base/num.h"
#include "base/own.h"
#include "vmm/accel/riscv64/accel.h"
#include "vmm/backend/bell.h"
#include "vmm/backend/lost_memory.h"
#include "vmm/backend/memory_file.h"
#include "vmm/config/compat.h"
#include "vmm/config/options.h"
#include "vmm/dev/aclint.h"
#include "vmm/dev/fw_cfg.h"
#include "vmm/dev/goldfish_rtc.h"
#include "vmm/dev/pci/gpex.h"
#include "vmm/dev/pflash.h"
#include "vmm/dev/plic.h"
#include "vmm/dev/test_finisher.h"
#include "vmm/dev/uart16550.h"
#include "vmm/dev/virtio/mmio.h"
#include "vmm/dev/virtio/virtio.h"
#include "vmm/dev/vmgenid.h"
#include "vmm/machine/clock.h"
#include "vmm/virt/board_internal.h"
#include "vmm/virt/boot.h"
#include "vmm/virt/memmap.h"

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

int board_open_file(struct board *b, struct ferry_err *err)
{
    const struct config_memory *m = config_ram_memory(b->config);
    OWN_FD int fd = -1;
    int rc = m ? memory_file_open(b->config, m, &fd, err) : 0;

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
    const struct hart_model model = {
        .reset_pc = MEMMAP_MROM_GPA,
        .quirks = b->compat ? b->compat->hart : (struct hart_quirks){0},
    };

    for (uint32_t id = 0; id < b->config->harts; id++) {
        const struct vcpu_params params = {
            .id = id,
            .model = &model,
            .mem = &b->mem,
            .bus = &b->bus,
            .clock = b->clock,
            .ram = b->ram,
            .thread_begin = b->params.thread_begin,
        };
        int rc = b->accel->create(&b->vcpus[id], &params, err);

        if (rc)
            return err_prefix(err, "hart %u", id);
        b->hart_count++;
    }
    return 0;
}

static void board_set_vcpu_irq(void *controller, unsigned source, bool level)
{
    vcpu_set_irq(controller, source, level);
}

static bool board_get_vcpu_irq(void *controller, unsigned source)
{
    return vcpu_get_irq(controller, source);
}

static struct irq_line board_vcpu_line(struct vcpu *v, enum hart_irq irq)
{
    return (struct irq_line){.set = board_set_vcpu_irq, .controller = v, .source = irq};
}

/* --- Devices -------------------------------------------------------------------------------- */

/* Takes d, also on failure. */
static int board_add_device(struct board *b, struct dev *d, uint64_t gpa, struct ferry_err *err)
{
    struct dev **devices = reallocarray(b->devices, b->device_count + 1, sizeof(*devices));

    if (!devices) {
        dev_free(d);
        return err_set(err, ENOMEM, "no memory for another device");
    }
    b->devices = devices;
    b->devices[b->device_count++] = d;
    d->region.base = gpa;
    return d->region.size_bytes == 0 ? 0 : bus_add(&b->bus, &d->region, err);
}

static int board_new_device(struct board *b, const struct dev_type *type, uint64_t gpa,
                            struct irq_line irq, const char *idstr, struct dev **ret,
                            struct ferry_err *err)
{
    int rc = dev_new(ret, type, &b->env, irq, idstr, 0, err);

    return rc ? rc : board_add_device(b, *ret, gpa, err);
}

/* The PCI Express host, and what its sections are called. */
static int board_new_pci(struct board *b, struct dev *plic, struct ferry_err *err)
{
    const struct irq_line none = {0};
    const struct gpex_windows windows = {
        .io_gpa = MEMMAP_PCI_IO_GPA,
        .memory_gpa = MEMMAP_PCI_MMIO_GPA,
        .memory_high_gpa = memmap_pci_high_gpa(b->config->ram_bytes),
    };
    struct dev *root, *host, *bus;
    int rc = board_new_device(b, &gpex_root_type, MEMMAP_PCI_ECAM_GPA, none,
                              "0000:00:00.0/gpex_root", &root, err);

    if (!rc)
        rc = gpex_map_windows(root, &b->bus, &windows, err);
    if (!rc)
        rc = board_new_device(b, &pci_host_type, 0, none, "PCIHost", &host, err);
    if (!rc)
        rc = board_new_device(b, &pci_bus_type, 0, none, "PCIBUS", &bus, err);
    if (rc)
        return rc;
    pci_bus_state_connect(bus, &gpex_domain(root)->root);
    for (unsigned pin = 0; pin < PCI_PINS; pin++)
        gpex_connect(root, pin, plic_input(plic, MEMMAP_PCI_IRQ + pin));
    return 0;
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

int board_choose_guid(const struct board *b, bool own_options, uint8_t guid[VMGENID_BYTES],
                      struct ferry_err *err)
{
    const struct config_vmgenid *vmgenid = vmgenid_of(b->config);

    if (vmgenid && vmgenid->guid.given && own_options)
        memcpy(guid, vmgenid->guid.bytes, VMGENID_BYTES);
    else if (getrandom(guid, VMGENID_BYTES, 0) != VMGENID_BYTES)
        return err_sys(err, errno, "getting random numbers for the VM's generation ID");
    return 0;
}

static int board_new_vmgenid(struct board *b, struct dev *plic, struct ferry_err *err)
{
    uint8_t guid[VMGENID_BYTES];
    struct dev *d;
    int rc = board_choose_guid(b, true, guid, err);

    if (!rc)
        rc = board_new_device(b, &vmgenid_type, MEMMAP_VMGENID_GPA,
                              plic_input(plic, MEMMAP_VMGENID_IRQ), "vmgenid", &d, err);
    if (!rc)
        vmgenid_set(d, guid);
    return rc;
}

static int board_new_platform(struct board *b, struct dev **ret_plic, struct ferry_err *err)
{
    const struct dev_type *timer_type =
        b->compat && b->compat->mtimer3 ? &mtimer3_type : &mtimer_type;
    const struct irq_line none = {0};
    struct dev *mswi, *mtimer, *plic, *uart, *rtc, *test, *fw_cfg;
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
        struct vcpu *v = b->vcpus[i];
        struct mswi_output msip = {board_vcpu_line(v, HART_IRQ_MSI), board_get_vcpu_irq};

        mswi_connect(mswi, i, msip);
        mtimer_connect(mtimer, i, board_vcpu_line(v, HART_IRQ_MTI));
        plic_connect(plic, 2 * i, board_vcpu_line(v, HART_IRQ_MEI));
        plic_connect(plic, 2 * i + 1, board_vcpu_line(v, HART_IRQ_SEI));
    }
    *ret_plic = plic;
    if (b->compat && b->compat->qemu_devices)
        rc = board_new_device(b, &fw_cfg_type, MEMMAP_FW_CFG_GPA, none, "fw_cfg", &fw_cfg, err);
    if (!rc && config_has_pci(b->config))
        rc = board_new_pci(b, plic, err);
    if (!rc)
        rc = board_new_device(b, &uart16550_type, MEMMAP_UART_GPA,
                              plic_input(plic, MEMMAP_UART_IRQ), "serial", &uart, err);
    if (!rc && b->config->serial_chardev)
        rc = uart16550_connect(uart, backends_serial_line(&b->backends, b->config), err);
    if (!rc)
        rc = board_new_device(b, &goldfish_rtc_type, MEMMAP_RTC_GPA,
                              plic_input(plic, MEMMAP_RTC_IRQ), "goldfish_rtc", &rtc, err);
    if (!rc && b->config->rtc_clock == 2)
        goldfish_rtc_stand_with_guest(rtc);
    if (!rc)
        rc = board_new_device(b, &test_finisher_type, MEMMAP_TEST_GPA, none, "sifive_test", &test,
                              err);
    if (!rc && vmgenid_of(b->config))
        rc = board_new_vmgenid(b, plic, err);
    if (!rc && b->compat && b->compat->qemu_devices)
        rc = board_new_flash(b, err);
    return rc;
}

/* d: NULL = none, the slot is empty. */
static int board_new_virtio(struct board *b, struct dev *plic, uint32_t slot,
                            const struct config_device *d, struct ferry_err *err)
{
    const uint64_t gpa = MEMMAP_VIRTIO_GPA + slot * MEMMAP_VIRTIO_SLOT_BYTES;
    struct virtio_params params = {
        .env = &b->env,
        .place = virtio_mmio_place(slot, gpa, plic_input(plic, MEMMAP_VIRTIO_IRQ + slot),
                                   b->config->force_legacy),
        .queue_num = b->compat ? b->compat->virtio_queue_num : 0,
        .queue_num_fixed = b->compat && b->compat->virtio_queue_num_fixed,
        .config = (const struct config_virtio *)d,
        .on_drained = b->params.on_drained,
        .on_calm = b->params.on_calm,
        .on_disk_error = b->params.on_disk_error,
        .on_balloon_change = b->params.on_balloon_change,
        .arg = b->params.machine,
    };
    struct dev *dev = NULL;
    int rc;

    if (config_disk_of(d))
        params.block = backends_find_drive(&b->backends, d->backend);
    if (config_card_of(d))
        params.net = backends_find_netdev(&b->backends, d->backend);
    rc = d ? ((const struct virtio_kind *)d->kind)->create(&dev, &params, err)
           : virtio_empty_new(&dev, &params, err);
    return rc ? rc : board_add_device(b, dev, gpa, err);
}

/* In the order of the command line, which is the order of the sections; then the empty slots. */
static int board_new_virtios(struct board *b, struct dev *plic, struct ferry_err *err)
{
    bool taken[CONFIG_VIRTIO_SLOTS] = {false};
    int rc = 0;

    for (size_t i = 0; !rc && i < b->config->device_count; i++) {
        const struct config_device *d = b->config->devices[i];

        if (d->kind->bus != DEVICE_BUS_VIRTIO_MMIO)
            continue;
        taken[d->slot] = true;
        rc = board_new_virtio(b, plic, (uint32_t)d->slot, d, err);
    }
    for (uint32_t slot = 0; !rc && slot < CONFIG_VIRTIO_SLOTS; slot++) {
        if (!taken[slot])
            rc = board_new_virtio(b, plic, slot, NULL, err);
    }
    return rc;
}

/* Harts first: what the devices' lines then say is what they see. */
void board_power_on(struct board *b)
{
    machine_lock(&b->lock);
    for (size_t i = 0; i < b->hart_count; i++)
        vcpu_reset(b->vcpus[i]);
    for (size_t i = 0; i < b->device_count; i++) {
        if (b->devices[i]->type->reset)
            b->devices[i]->type->reset(b->devices[i]);
    }
    machine_unlock(&b->lock);
}

static void board_flushed(void *arg)
{
    struct board *b = arg;

    for (size_t i = 0; i < b->backends.drive_count; i++)
        if (block_drained(b->backends.drives[i]))
            b->params.on_drained(b->params.machine);
    b->params.on_flushed(b->params.machine);
}

static struct backends_params params_of_backends(struct board *b)
{
    return (struct backends_params){
        .thread_begin = b->params.thread_begin,
        .net_host = &b->params.net_host,
        .config = b->config,
        .loop = b->params.loop,
        .lock = &b->lock,
        .quit = b->params.quit,
        .client_came = b->params.client_came,
        .drained = b->params.on_drained,
        .arg = b->params.machine,
    };
}

int board_add_chardev(struct board *b, struct ferry_named_fd *fds, size_t count,
                      struct chardev **ret, struct ferry_err *err)
{
    struct backends_params params = params_of_backends(b);

    return backends_add_chardev(&b->backends, &params, fds, count, ret, err);
}

void board_remove_chardev(struct board *b, struct chardev *c)
{
    backends_remove_chardev(&b->backends, c);
}

int board_add_drive(struct board *b, int *fd, bool lock, struct block **ret, struct ferry_err *err)
{
    struct backends_params params = params_of_backends(b);

    return backends_add_drive(&b->backends, &params, fd, lock, ret, err);
}

void board_remove_drive(struct board *b, struct block *d)
{
    backends_remove_drive(&b->backends, d);
}

int board_add_netdev(struct board *b, int *fd, struct net **ret, struct ferry_err *err)
{
    struct backends_params params = params_of_backends(b);

    return backends_add_netdev(&b->backends, &params, fd, ret, err);
}

void board_remove_netdev(struct board *b, struct net *n)
{
    backends_remove_netdev(&b->backends, n);
}

int board_build(struct board *b, struct ferry_err *err)
{
    struct backends_params backends_params = params_of_backends(b);
    struct dev *plic = NULL;
    int rc;

    b->accel = &accel_riscv64;
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
