/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/virt/place.h"

#include <errno.h>
#include <inttypes.h>
#include <sys/random.h>

#include "base/be.h"
#include "base/err.h"
#include "base/num.h"
#include "base/own.h"
#include "vmm/accel/riscv64/hart.h"
#include "vmm/board/boot.h"
#include "vmm/board/image.h"
#include "vmm/dev/vmgenid.h"
#include "vmm/virt/compat.h"
#include "vmm/virt/devtree.h"
#include "vmm/virt/memmap.h"

#define ALIGN_BYTES          (UINT64_C(2) << 20) /* of kernel and device tree */
#define INITRD_GAP_BYTES_MAX (UINT64_C(512) << 20)

/* Only what is wanted and placed so far; the rest is empty. */
struct layout {
    struct image_placed firmware, kernel, initrd, fdt;
};

static bool overlap(const struct image_placed *a, const struct image_placed *b)
{
    return a->start_gpa < b->end_gpa && b->start_gpa < a->end_gpa;
}

static int check_layout(const struct layout *l, struct ferry_err *err)
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

            if (overlap(a, b))
                return err_set(err, ENOSPC,
                               "%s (0x%" PRIx64 " to 0x%" PRIx64 ") and %s (0x%" PRIx64
                               " to 0x%" PRIx64 ") overlap; -m gives the guest more memory",
                               all[j].what, a->start_gpa, a->end_gpa, all[i].what, b->start_gpa,
                               b->end_gpa);
        }
    }
    return 0;
}

static int place_fdt(const struct boot *b, const struct guestmem *mem, struct layout *l,
                     struct ferry_err *err)
{
    const struct vm_config *c = boot_config(b);
    const struct compat *compat = compat_of(c);
    struct devtree_params params = {
        .hart_count = c->harts,
        .ram_bytes = c->ram_bytes,
        .isa_string = hart_isa_string,
        .mmu_type = compat ? compat->mmu_type : hart_mmu_type,
        .bootargs = c->append,
        .vmgenid = vmgenid_of(c) != NULL,
        .pci = config_has_pci(c),
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
    if (n > c->ram_bytes)
        return err_set(err, ENOSPC, "the device tree of %zu bytes does not fit in memory", n);
    l->fdt.start_gpa = num_align_down(MEMMAP_RAM_GPA + c->ram_bytes - n, ALIGN_BYTES);
    l->fdt.end_gpa = l->fdt.start_gpa + n;
    rc = check_layout(l, err);
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
static int place_reset_vector(const struct guestmem *mem, const struct layout *l,
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

/* Nothing is placed of an image that is not wanted. */
static int place_image(const struct boot *b, enum boot_image which, const struct guestmem *mem,
                       uint64_t gpa, struct image_placed *ret, struct ferry_err *err)
{
    const struct image *image = boot_image(b, which);

    return image ? image_place(image, mem, gpa, ret, err) : 0;
}

int virt_place(const struct boot *b, const struct guestmem *mem, struct ferry_err *err)
{
    struct layout l = {.firmware = {MEMMAP_RAM_GPA, MEMMAP_RAM_GPA, MEMMAP_RAM_GPA}};
    int rc = place_image(b, BOOT_FIRMWARE, mem, MEMMAP_RAM_GPA, &l.firmware, err);

    if (!rc)
        rc = place_image(b, BOOT_KERNEL, mem, num_align_up(l.firmware.end_gpa, ALIGN_BYTES),
                         &l.kernel, err);
    if (!rc)
        rc = place_image(b, BOOT_INITRD, mem,
                         l.kernel.start_gpa +
                             num_min(boot_config(b)->ram_bytes / 2, INITRD_GAP_BYTES_MAX),
                         &l.initrd, err);
    if (!rc)
        rc = place_fdt(b, mem, &l, err);
    if (!rc)
        rc = place_reset_vector(mem, &l, err);
    return rc;
}
