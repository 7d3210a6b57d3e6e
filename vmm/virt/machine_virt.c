/* SPDX-License-Identifier: Apache-2.0 */
/* What is said of `virt` and what it can be asked for; virt.c makes it. */
#include <elf.h>
#include <errno.h>

#include "base/err.h"
#include "vmm/accel/riscv64/accel.h"
#include "vmm/board/type.h"
#include "vmm/dev/vmgenid.h"
#include "vmm/virt/compat.h"
#include "vmm/virt/kernel_format.h"
#include "vmm/virt/memmap.h"
#include "vmm/virt/place.h"
#include "vmm/virt/virt.h"

/* --- -M virt,... ----------------------------------------------------------------------------- */

static const char flash[] =
    "flash cannot be written here, so firmware does not start from it; name a firmware with -bios, "
    "and what it starts (U-Boot, a kernel) with -kernel";
static const char one_controller[] =
    "the machine has a PLIC and no other interrupt controller: leave it out";

static const char *const tcg[] = {"tcg", NULL};
static const char *const off[] = {"off", NULL};
static const char *const on_or_off[] = {"on", "off", NULL};

#define C(member) .offset = offsetof(struct vm_config, member)
static const struct prop props[] = {
    {.name = "type", .kind = PROP_IGNORED, .whose = OF_GUEST},
    {.name = "accel", .kind = PROP_FIXED, .choices = tcg, .whose = OF_HOST},
    {.name = "acpi", .kind = PROP_FIXED, .choices = off, .whose = OF_GUEST},
    {.name = "aclint", .kind = PROP_FIXED, .choices = off, .whose = OF_GUEST},
    {.name = "compat", .kind = PROP_STRING, C(compat), .whose = OF_GUEST},
    {.name = "vmgenid",
     .kind = PROP_ENUM,
     .choices = on_or_off,
     C(vmgenid_wanted),
     .whose = OF_GUEST},
    {.name = "pci", .kind = PROP_ENUM, .choices = on_or_off, C(pci_wanted), .whose = OF_GUEST},
    {.name = "memory-backend", .kind = PROP_STRING, C(ram_backend), .whose = OF_GUEST},
    {.name = "pflash0", .kind = PROP_ABSENT, .instead = flash, .whose = OF_HOST},
    {.name = "pflash1", .kind = PROP_ABSENT, .instead = flash, .whose = OF_HOST},
    {.name = "aia", .kind = PROP_ABSENT, .instead = one_controller, .whose = OF_HOST},
    {.name = "aia-guests", .kind = PROP_ABSENT, .instead = one_controller, .whose = OF_HOST},
    {.name = "dumpdtb",
     .kind = PROP_ABSENT,
     .instead = "the guest has its device tree in /sys/firmware/fdt",
     .whose = OF_HOST},
    {0},
};
#undef C

static int check_words(const struct vm_config *c, struct ferry_err *err)
{
    const struct compat *compat;

    return compat_find(&compat, c->compat, err);
}

static int check(const struct vm_config *c, struct ferry_err *err)
{
    if (vmgenid_of(c) && c->compat)
        return err_set(
            err, EINVAL,
            "-device vmgenid: QEMU's virt has none without ACPI, so a machine with compat=%s "
            "cannot have it",
            c->compat);
    if (vmgenid_of(c) && c->vmgenid_wanted == 2)
        return err_set(err, EINVAL, "-device vmgenid contradicts -M virt,vmgenid=off");
    if (c->pci_wanted == 2 && c->compat)
        return err_set(err, EINVAL,
                       "-M virt,pci=off: QEMU's virt has a PCI host, so a machine with compat=%s "
                       "cannot be without",
                       c->compat);
    return 0;
}

/* --- CPU ------------------------------------------------------------------------------------- */

/* vmm/accel/riscv64/hart.c has the ISA string. */
static const char *const features[] = {
    "i",      "m",     "a",        "f",    "d",    "c",    "s",     "u",        "mmu", "pmp",
    "zicntr", "zicsr", "zifencei", "sstc", "sv39", "sv48", "Zicsr", "Zifencei", NULL,
};

static const struct machine_cpu rv64 = {
    .model = "rv64",
    .what = "rv64imafdc with sstc and sv48",
    .features = features,
};

/* --- What it is made of ---------------------------------------------------------------------- */

static const char *const firmware[] = {
    "/usr/lib/riscv64-linux-gnu/opensbi/generic/fw_dynamic.bin",
    "/usr/share/qemu/opensbi-riscv64-generic-fw_dynamic.bin",
    NULL,
};

static const struct board_type board = {
    .add_memory = virt_add_memory,
    .add_vcpus = virt_add_vcpus,
    .add_devices = virt_add_devices,
    .boot =
        {
            .firmware = firmware,
            .firmware_package = "opensbi",
            .elf_machine = EM_RISCV,
            .target = "riscv64",
            .check_kernel = kernel_format_check,
            .place = virt_place,
        },
};

static const struct accel *const accels[] = {&accel_riscv64, NULL};

const struct machine_type machine_virt = {
    .name = "virt",
    .what = "QEMU's riscv64 virt board",
    .accels = accels,
    .cpu = &rv64,
    .cpus_path = "/machine/soc0/harts",
    .ram_name = "riscv_virt_board.ram",
    .ram_gpa = MEMMAP_RAM_GPA,
    .ram_bytes_min = CONFIG_RAM_BYTES_MIN,
    .ram_bytes_max = CONFIG_RAM_BYTES_MAX,
    .harts_max = CONFIG_HARTS_MAX,
    .props = props,
    .check_words = check_words,
    .check = check,
    .board = &board,
};
