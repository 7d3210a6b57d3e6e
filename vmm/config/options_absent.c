/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/config/options_absent.h"

#include <stddef.h>
#include <string.h>

struct absent {
    const char
        *name; /* one that ends with '*' is how names begin, one that begins so how they end */
    const char *instead;
};

static const char display[] = "there is no display: leave it out; the console is the serial line";
static const char audio[] = "there is no sound: leave it out";
static const char usb[] = "there is no USB: leave it out";
static const char kvm[] =
    "there is no KVM: leave it out; ferry runs the guest on its software CPU, on any host";
static const char disk[] =
    "write -drive file=F,if=none,format=raw,id=d0 -device virtio-blk-device,drive=d0";
static const char kernel_first[] =
    "nothing is loaded to an address of its own; name the firmware with -bios, and what it starts "
    "(U-Boot, a kernel) with -kernel, which is placed behind it, at 0x80200000";
static const char shared_folder[] =
    "folders are not shared with a guest; put the files on a -drive, or copy them over a network";
static const char tracing[] = "there is no tracing of guest code; -gdb or -s lets GDB look at it";
static const char no_pci[] = "nothing is on the PCI bus; the devices there are end in -device: "
                             "'ferry run -device help' lists them";

/* clang-format off */
static const struct absent options[] = {
    {"vnc", display}, {"spice", display}, {"vga", display}, {"full-screen", display}, {"g", display},
    {"k", display}, {"sdl", display}, {"gtk", display}, {"curses", display},
    {"audio", audio}, {"audiodev", audio}, {"soundhw", audio},
    {"usb", usb}, {"usbdevice", usb},
    {"enable-kvm", kvm}, {"no-kvm", kvm},
    {"hda", disk}, {"hdb", disk}, {"hdc", disk}, {"hdd", disk}, {"sd", disk}, {"mtdblock", disk},
    {"cdrom", "there is no CD drive; an image that is only read is -drive file=F,readonly=on,..."},
    {"fda", "there is no floppy drive: leave it out"}, {"fdb", "there is no floppy drive: leave it out"},
    {"pflash", "flash cannot be written here, so firmware does not start from it; name a firmware with "
               "-bios, and what it starts (U-Boot, a kernel) with -kernel"},
    {"snapshot", "images are written to; run from a copy (cp --reflink=auto), or say readonly=on in -drive"},
    {"dtb", "the device tree is always made from the machine: leave it out"},
    {"shim", kernel_first},
    {"virtfs", shared_folder}, {"fsdev", shared_folder}, {"smb", shared_folder},
    {"d", tracing}, {"trace", tracing}, {"dfilter", tracing}, {"singlestep", tracing}, {"plugin", tracing},
    {"semihosting", "there is no semihosting: leave it out; the guest's output is the serial line"},
    {"semihosting-config", "there is no semihosting: leave it out; the guest's output is the serial line"},
    {"icount", "the guest's clock is the host's: leave it out"},
    {"mem-path", "write -object memory-backend-file,id=r0,size=SIZE,mem-path=F,share=on -M virt,memory-backend=r0"},
    {"mem-prealloc", "memory in a file is reserved at the start: leave it out"},
    {"numa", "the machine has one NUMA node: leave it out"},
    {"smbios", "there is no SMBIOS on this machine: leave it out"},
    {"acpitable", "there is no ACPI on this machine: leave it out"},
    {"fw_cfg", "the guest gets nothing through fw_cfg: leave it out; words for it go into -append"},
    {"watchdog", "there is no watchdog: leave it out"},
    {"tpmdev", "there is no TPM: leave it out"},
    {"loadvm", "images hold no snapshots; a VM that was saved is 'ferry run --restore FILE'"},
    {"readconfig", "options in a file are words, as on a command line: write @FILE in their place"},
    {"writeconfig", "write the options into a file as they are here; @FILE stands for them"},
    {"secret", "nothing is encrypted here yet: leave it out"},
    {"runas", "start ferry as the user it shall run as"}, {"run-with", "start ferry as the user it shall run as"},
    {"chroot", "ferry's own sandbox is on by default: leave it out"},
    {"L", "name the firmware's file with -bios"},
    {NULL, NULL},
};

static const struct absent devices[] = {
    {"loader", kernel_first},
    {"virtio-blk-pci", "nothing is on the PCI bus; write virtio-blk-device"},
    {"virtio-net-pci", "nothing is on the PCI bus; write virtio-net-device"},
    {"virtio-rng-pci", "nothing is on the PCI bus; write virtio-rng-device"},
    {"virtio-keyboard-pci", "nothing is on the PCI bus; write virtio-keyboard-device"},
    {"virtio-blk", "say which: virtio-blk-device"},
    {"virtio-net", "say which: virtio-net-device"},
    {"virtio-rng", "say which: virtio-rng-device"},
    {"e1000*", "write virtio-net-device"}, {"rtl8139", "write virtio-net-device"},
    {"vmxnet3", "write virtio-net-device"}, {"i8255*", "write virtio-net-device"},
    {"nvme*", "write virtio-blk-device"}, {"scsi-*", "write virtio-blk-device"},
    {"virtio-scsi-*", "there is no SCSI; write virtio-blk-device"},
    {"ide-*", "write virtio-blk-device"}, {"ahci", "write virtio-blk-device"},
    {"virtio-9p-*", shared_folder}, {"vhost-user-fs-*", shared_folder},
    {"virtio-gpu-*", display}, {"virtio-vga*", display}, {"VGA", display}, {"ramfb", display},
    {"bochs-display", display}, {"virtio-keyboard-*", display}, {"virtio-mouse-*", display},
    {"virtio-tablet-*", display}, {"virtio-input-*", display},
    {"virtio-sound-*", audio}, {"intel-hda", audio}, {"hda-*", audio}, {"AC97", audio},
    {"usb-*", usb}, {"qemu-xhci", usb}, {"nec-usb-xhci", usb}, {"ich9-usb-*", usb}, {"*-ehci", usb},
    {"virtio-serial-*", "there is one serial line, -serial: leave it out"},
    {"virtserialport", "there is one serial line, -serial: leave it out"},
    {"virtconsole", "there is one serial line, -serial: leave it out; its console is ttyS0"},
    {"virtio-balloon-pci", "nothing is on the PCI bus; write virtio-balloon-device"},
    {"virtio-balloon", "say which: virtio-balloon-device"},
    {"vhost-vsock-*", "there is no vsock; use a network"},
    {"pcie-*", no_pci}, {"pci-*", no_pci}, {"vfio-pci", no_pci}, {"*-pci", no_pci},
    {NULL, NULL},
};
/* clang-format on */

static int matches(const char *pattern, const char *name)
{
    size_t n = strlen(pattern), length = strlen(name);

    if (pattern[0] == '*')
        return length >= n - 1 && !strcmp(name + length - (n - 1), pattern + 1);
    if (pattern[n - 1] == '*')
        return !strncmp(name, pattern, n - 1);
    return !strcmp(name, pattern);
}

static const char *find(const struct absent *table, const char *name)
{
    while (table->name && !matches(table->name, name))
        table++;
    return table->instead;
}

const char *option_absent(const char *name)
{
    return find(options, name);
}

const char *device_absent(const char *model)
{
    return find(devices, model);
}
