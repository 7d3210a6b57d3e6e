/* SPDX-License-Identifier: Apache-2.0 */
/* QEMU's riscv64 `virt`: its memory, its harts, its devices, and where they are. */
#include "vmm/virt/virt.h"

#include "base/err.h"
#include "vmm/accel/riscv64/accel.h"
#include "vmm/backend/backends.h"
#include "vmm/board/board_internal.h"
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
#include "vmm/virt/compat.h"
#include "vmm/virt/memmap.h"

/* --- Memory --------------------------------------------------------------------------------- */

static int board_add_flash(struct board *b, struct ferry_err *err)
{
    int rc = board_add_memory(b, "virt.flash0", MEMMAP_FLASH_GPA, MEMMAP_FLASH_BYTES, true, err);

    return rc ? rc
              : board_add_memory(b, "virt.flash1", MEMMAP_FLASH_GPA + MEMMAP_FLASH_BYTES,
                                 MEMMAP_FLASH_BYTES, true, err);
}

int virt_add_memory(struct board *b, struct ferry_err *err)
{
    const struct compat *compat = compat_of(b->config);
    int rc = compat && compat->qemu_devices ? board_add_flash(b, err) : 0;

    return rc ? rc
              : board_add_memory(b, "riscv_virt_board.mrom", MEMMAP_MROM_GPA, MEMMAP_MROM_BYTES,
                                 true, err);
}

int virt_add_vcpus(struct board *b, struct ferry_err *err)
{
    const struct compat *compat = compat_of(b->config);
    const struct hart_model model = {
        .reset_pc = MEMMAP_MROM_GPA,
        .quirks = compat ? compat->hart : (struct hart_quirks){0},
    };

    return board_new_vcpus(b, &model, err);
}

/* --- Devices -------------------------------------------------------------------------------- */

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
    const struct compat *compat = compat_of(b->config);
    const struct dev_type *timer_type = compat && compat->mtimer3 ? &mtimer3_type : &mtimer_type;
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
    if (compat && compat->qemu_devices)
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
    if (!rc && compat && compat->qemu_devices)
        rc = board_new_flash(b, err);
    return rc;
}

/* d: NULL = none, the slot is empty. */
static int board_new_virtio(struct board *b, struct dev *plic, uint32_t slot,
                            const struct config_device *d, struct ferry_err *err)
{
    const struct compat *compat = compat_of(b->config);
    const uint64_t gpa = MEMMAP_VIRTIO_GPA + slot * MEMMAP_VIRTIO_SLOT_BYTES;
    struct virtio_params params = {
        .env = &b->env,
        .place = virtio_mmio_place(slot, gpa, plic_input(plic, MEMMAP_VIRTIO_IRQ + slot),
                                   b->config->force_legacy),
        .queue_num = compat ? compat->virtio_queue_num : 0,
        .queue_num_fixed = compat && compat->virtio_queue_num_fixed,
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

int virt_add_devices(struct board *b, struct ferry_err *err)
{
    struct dev *plic = NULL;
    int rc = board_new_platform(b, &plic, err);

    return rc ? rc : board_new_virtios(b, plic, err);
}
