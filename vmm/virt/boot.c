/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/virt/boot.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "base/be.h"
#include "base/err.h"
#include "base/num.h"
#include "base/own.h"
#include "vmm/accel/riscv64/hart.h"
#include "vmm/backend/allow.h"
#include "vmm/config/compat.h"
#include "vmm/dev/vmgenid.h"
#include "vmm/virt/devtree.h"
#include "vmm/virt/image.h"
#include "vmm/virt/memmap.h"

#define BOOT_ALIGN_BYTES          (UINT64_C(2) << 20) /* of kernel and device tree */
#define BOOT_INITRD_GAP_BYTES_MAX (UINT64_C(512) << 20)

enum { BOOT_FIRMWARE, BOOT_KERNEL, BOOT_INITRD, BOOT_IMAGES };

struct boot {
    const struct vm_config *config;
    const struct compat *compat; /* NULL: none */
    bool wanted[BOOT_IMAGES];
    struct image images[BOOT_IMAGES];
};

static const char *const boot_image_names[BOOT_IMAGES] = {"firmware", "kernel", "initrd"};

static const char *const boot_firmware_paths[] = {
    "/usr/lib/riscv64-linux-gnu/opensbi/generic/fw_dynamic.bin",
    "/usr/share/qemu/opensbi-riscv64-generic-fw_dynamic.bin",
};

const char *boot_default_firmware(size_t nth)
{
    return nth < sizeof(boot_firmware_paths) / sizeof(boot_firmware_paths[0])
               ? boot_firmware_paths[nth]
               : NULL;
}

int boot_new(struct boot **ret, const struct vm_config *config, struct ferry_err *err)
{
    const struct compat *compat;
    struct boot *b;
    int rc = compat_find(&compat, config->compat, err);

    if (rc)
        return rc;
    if (config->bios && !strcmp(config->bios, "none") && !config->kernel)
        return err_set(err, EINVAL, "with -bios none and no -kernel there is nothing to run");
    b = calloc(1, sizeof(*b));
    if (!b)
        return err_set(err, ENOMEM, "no memory for boot images");
    b->config = config;
    b->compat = compat;
    b->wanted[BOOT_FIRMWARE] = !config->bios || strcmp(config->bios, "none") != 0;
    b->wanted[BOOT_KERNEL] = config->kernel != NULL;
    b->wanted[BOOT_INITRD] = config->initrd != NULL;
    for (int i = 0; i < BOOT_IMAGES; i++)
        b->images[i] =
            (struct image){.what = boot_image_names[i], .kernel = i == BOOT_KERNEL, .fd = -1};
    *ret = b;
    return 0;
}

void boot_free(struct boot *b)
{
    if (!b)
        return;
    for (int i = 0; i < BOOT_IMAGES; i++)
        image_close(&b->images[i]);
    free(b);
}

static int boot_firmware_path(const struct boot *b, const char **ret, struct ferry_err *err)
{
    const size_t count = sizeof(boot_firmware_paths) / sizeof(boot_firmware_paths[0]);

    if (b->config->bios && strcmp(b->config->bios, "default") != 0) {
        *ret = b->config->bios;
        return 0;
    }
    for (size_t i = 0; i < count; i++) {
        if (access(boot_firmware_paths[i], R_OK) == 0) {
            *ret = boot_firmware_paths[i];
            return 0;
        }
    }
    return err_set(err, ENOENT,
                   "there is no firmware at %s; install the package opensbi, or name a file with "
                   "-bios",
                   boot_firmware_paths[0]);
}

/* The files that are wanted, NULL for the others; and says through what each is opened. */
static int boot_paths(struct boot *b, const char *ret[BOOT_IMAGES], struct ferry_err *err)
{
    int rc = 0;

    ret[BOOT_FIRMWARE] = NULL;
    ret[BOOT_KERNEL] = b->config->kernel;
    ret[BOOT_INITRD] = b->config->initrd;
    if (b->wanted[BOOT_FIRMWARE])
        rc = boot_firmware_path(b, &ret[BOOT_FIRMWARE], err);
    for (int i = 0; i < BOOT_IMAGES; i++)
        b->images[i].allow = b->config->allow;
    /* The default is no name that anybody gave. */
    if (ret[BOOT_FIRMWARE] != b->config->bios)
        b->images[BOOT_FIRMWARE].allow = NULL;
    return rc;
}

int boot_open(struct boot *b, struct ferry_err *err)
{
    const char *paths[BOOT_IMAGES];
    int rc = boot_paths(b, paths, err);

    for (int i = 0; i < BOOT_IMAGES && !rc; i++)
        if (b->wanted[i])
            rc = image_read(&b->images[i], paths[i], b->config->ram_bytes, err);
    return rc;
}

int boot_look(struct boot *b, struct ferry_err *err)
{
    const char *paths[BOOT_IMAGES];
    int rc = boot_paths(b, paths, err);

    for (int i = 0; i < BOOT_IMAGES && !rc; i++) {
        int missing = b->wanted[i] ? allow_access(b->images[i].allow, paths[i], R_OK) : 0;

        if (missing < 0)
            rc = err_sys(err, -missing, "%s \"%s\"%s", b->images[i].what, paths[i],
                         allow_hint(-missing));
    }
    return rc;
}

/* --- Placement ------------------------------------------------------------------------------ */

/* Only what is wanted and placed so far; the rest is empty. */
struct boot_layout {
    struct image_placed firmware, kernel, initrd, fdt;
};

static bool boot_overlap(const struct image_placed *a, const struct image_placed *b)
{
    return a->start_gpa < b->end_gpa && b->start_gpa < a->end_gpa;
}

static int boot_check_layout(const struct boot_layout *l, struct ferry_err *err)
{
    const struct {
        const char *what;
        const struct image_placed *placed;
    } all[] = {
        {"firmware", &l->firmware},
        {"kernel", &l->kernel},
        {"initrd", &l->initrd},
        {"device tree", &l->fdt},
    };

    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
        for (size_t j = 0; j < i; j++) {
            const struct image_placed *a = all[j].placed, *b = all[i].placed;

            if (boot_overlap(a, b))
                return err_set(err, ENOSPC,
                               "%s (0x%" PRIx64 " to 0x%" PRIx64 ") and %s (0x%" PRIx64
                               " to 0x%" PRIx64 ") overlap; -m gives the guest more memory",
                               all[j].what, a->start_gpa, a->end_gpa, all[i].what, b->start_gpa,
                               b->end_gpa);
        }
    }
    return 0;
}

static int boot_place_fdt(const struct boot *b, const struct guestmem *mem, struct boot_layout *l,
                          struct ferry_err *err)
{
    struct devtree_params params = {
        .hart_count = b->config->harts,
        .ram_bytes = b->config->ram_bytes,
        .isa_string = hart_isa_string,
        .mmu_type = b->compat ? b->compat->mmu_type : hart_mmu_type,
        .bootargs = b->config->append,
        .vmgenid = vmgenid_of(b->config) != NULL,
        .pci = config_has_pci(b->config),
        .initrd_start_gpa = l->initrd.start_gpa,
        .initrd_end_gpa = l->initrd.end_gpa,
    };
    OWN_MEM uint8_t *blob = NULL;
    size_t n;
    int rc;

    if (getrandom(params.rng_seed, sizeof(params.rng_seed), 0) != sizeof(params.rng_seed))
        return err_sys(err, errno, "getting random numbers for the guest");
    rc = devtree_make(&blob, &n, &params, err);
    if (rc)
        return rc;
    if (n > b->config->ram_bytes)
        return err_set(err, ENOSPC, "the device tree of %zu bytes does not fit in memory", n);
    l->fdt.start_gpa = num_align_down(MEMMAP_RAM_GPA + b->config->ram_bytes - n, BOOT_ALIGN_BYTES);
    l->fdt.end_gpa = l->fdt.start_gpa + n;
    rc = boot_check_layout(l, err);
    if (rc)
        return rc;
    if (guestmem_write(mem, l->fdt.start_gpa, blob, n))
        return err_set(err, ENOSPC, "the device tree does not fit in memory");
    return 0;
}

/*
 * Where every hart begins: a0 = hart, a1 = device tree, a2 = what OpenSBI calls dynamic info, then
 * to the firmware. (The code is six instructions; ld and addi are relative to its first.)
 */
static int boot_place_reset_vector(const struct guestmem *mem, const struct boot_layout *l,
                                   struct ferry_err *err)
{
    static const uint32_t code[] = {
        0x00000297, /* auipc t0, 0          */
        0x02828613, /* addi  a2, t0, 0x28   */
        0xf1402573, /* csrr  a0, mhartid    */
        0x0202b583, /* ld    a1, 0x20(t0)   */
        0x0182b283, /* ld    t0, 0x18(t0)   */
        0x00028067, /* jr    t0             */
    };
    const uint64_t data[] = {
        l->firmware.entry_gpa,
        l->fdt.start_gpa,
        0x4942534f, /* "OSBI"                         */
        2,          /* version                        */
        l->kernel.start_gpa,
        1, /* to be entered in S mode        */
        0, /* options                        */
        0, /* boot hart; OpenSBI picks its own if it cannot be */
    };
    const struct guestmem_slot *rom = guestmem_find(mem, MEMMAP_MROM_GPA);

    if (!rom || rom->size_bytes < sizeof(code) + sizeof(data))
        return err_set(err, EINVAL, "the machine has no mask ROM at 0x%x", MEMMAP_MROM_GPA);
    for (size_t i = 0; i < sizeof(code) / sizeof(code[0]); i++)
        le32_store(rom->host + 4 * i, code[i]);
    for (size_t i = 0; i < sizeof(data) / sizeof(data[0]); i++)
        le64_store(rom->host + sizeof(code) + 8 * i, data[i]);
    guestmem_mark_dirty(mem, rom->base_gpa, sizeof(code) + sizeof(data));
    return 0;
}

int boot_place(const struct boot *b, const struct guestmem *mem, struct ferry_err *err)
{
    const struct image *images = b->images;
    struct boot_layout l = {.firmware = {MEMMAP_RAM_GPA, MEMMAP_RAM_GPA, MEMMAP_RAM_GPA}};
    int rc = 0;

    if (b->wanted[BOOT_FIRMWARE])
        rc = image_place(&images[BOOT_FIRMWARE], mem, MEMMAP_RAM_GPA, &l.firmware, err);
    if (!rc && b->wanted[BOOT_KERNEL])
        rc = image_place(&images[BOOT_KERNEL], mem,
                         num_align_up(l.firmware.end_gpa, BOOT_ALIGN_BYTES), &l.kernel, err);
    if (!rc && b->wanted[BOOT_INITRD])
        rc = image_place(&images[BOOT_INITRD], mem,
                         l.kernel.start_gpa +
                             num_min(b->config->ram_bytes / 2, BOOT_INITRD_GAP_BYTES_MAX),
                         &l.initrd, err);
    if (!rc)
        rc = boot_place_fdt(b, mem, &l, err);
    if (!rc)
        rc = boot_place_reset_vector(mem, &l, err);
    return rc;
}

/* --- Part ----------------------------------------------------------------------------------- */

static void boot_fd_name(char ret[FERRY_FD_NAME_BYTES], int image)
{
    snprintf(ret, FERRY_FD_NAME_BYTES, "boot/%s", boot_image_names[image]);
}

static int boot_fd_at(void *obj, size_t index, struct ferry_named_fd *ret)
{
    const struct boot *b = obj;

    for (int i = 0; i < BOOT_IMAGES; i++) {
        if (!b->wanted[i] || index-- != 0)
            continue;
        boot_fd_name(ret->name, i);
        ret->fd = b->images[i].fd;
        return 0;
    }
    return -ENOENT;
}

static int boot_adopt(void *obj, const char *name, int *fd, struct ferry_err *err)
{
    struct boot *b = obj;

    for (int i = 0; i < BOOT_IMAGES; i++) {
        char expected[FERRY_FD_NAME_BYTES];

        boot_fd_name(expected, i);
        if (b->wanted[i] && !strcmp(name, expected))
            return image_adopt(&b->images[i], fd, b->config->ram_bytes, err);
    }
    return err_set(err, ENOENT, "this machine has no boot image \"%s\"", name);
}

static const struct ferry_part_ops boot_part_ops = {.fd_at = boot_fd_at, .adopt = boot_adopt};

struct ferry_part boot_part(struct boot *b)
{
    return (struct ferry_part){.idstr = "boot", .ops = &boot_part_ops, .obj = b};
}
