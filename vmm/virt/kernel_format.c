/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/virt/kernel_format.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include "base/err.h"

static const char unpacked[] = "unpack it first, or give arch/riscv/boot/Image";
static const char other_cpu[] = "a kernel for riscv64 was expected";
static const char image_file[] = "that is a disk: give it to -drive, and a kernel here";
static const char inside[] = "take the kernel out of it (dumpimage), or let U-Boot start it";

/* What people give by mistake. The first that fits is it. */
static const struct {
    size_t offset;
    const char *magic;
    size_t bytes;
    const char *what, *instead;
} known[] = {
#define AT(offset, magic, what, instead)                        \
    {                                                           \
        (offset), (magic), sizeof(magic) - 1, (what), (instead) \
    }
    AT(4, "zimg", "an EFI zboot image (vmlinuz.efi), which only EFI firmware unpacks",
       "give arch/riscv/boot/Image or Image.gz"),
    AT(0, "\x28\xb5\x2f\xfd", "packed with zstd", unpacked),
    AT(0,
       "\xfd"
       "7zXZ",
       "packed with xz", unpacked),
    AT(0, "BZh", "packed with bzip2", unpacked),
    AT(0, "\x02\x21\x4c\x18", "packed with lz4", unpacked),
    AT(0, "\x04\x22\x4d\x18", "packed with lz4", unpacked),
    AT(0, "\x89LZO", "packed with lzo", unpacked),
    AT(0, "\x5d\x00\x00", "packed with lzma", unpacked),
    AT(56, "ARM\x64", "a kernel for arm64", other_cpu),
    AT(514, "HdrS", "a kernel for x86", other_cpu),
    AT(0, "QFI\xfb", "a qcow2 disk image", image_file),
    AT(0, "KDMV", "a VMDK disk image", image_file),
    AT(0, "hsqs", "a squashfs image", image_file),
    AT(0, "070701", "a cpio archive", "that is an initial RAM disk: give it to -initrd"),
    AT(0, "\x27\x05\x19\x56", "a uImage of U-Boot's", inside),
    AT(0, "\xd0\x0d\xfe\xed", "a device tree or a FIT image of U-Boot's", inside),
    AT(0, "PK\x03\x04", "a zip archive", unpacked),
    AT(0, "!<arch>\n", "a package or an archive of objects", unpacked),
    AT(257, "ustar", "a tar archive", unpacked),
#undef AT
};

/* Linux's own header says so at either place. */
static bool is_riscv_image(const uint8_t *head, size_t n)
{
    return n >= 60 && (!memcmp(head + 48, "RISCV\0\0\0", 8) || !memcmp(head + 56, "RSC\x05", 4));
}

static bool is_text(const uint8_t *head, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if ((head[i] < ' ' && !strchr("\t\n\r\f", head[i])) || head[i] == 0 || head[i] == 0x7f)
            return false;
    return true;
}

/* Those that the ISA defines to be none (unprivileged spec 1.5). */
static bool begins_with_no_instruction(const uint8_t *head, size_t n)
{
    return n < 2 || (head[0] == 0 && head[1] == 0) || (head[0] == 0xff && head[1] == 0xff);
}

int kernel_format_check(const uint8_t *head, size_t n, struct ferry_err *err)
{
    /* An ELF file says what it is for, and is asked when it is placed. */
    if (n >= 4 && !memcmp(head,
                          "\x7f"
                          "ELF",
                          4))
        return 0;
    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
        if (known[i].offset + known[i].bytes <= n &&
            !memcmp(head + known[i].offset, known[i].magic, known[i].bytes))
            return err_set(err, ENOEXEC, "it is %s; %s", known[i].what, known[i].instead);
    if (is_riscv_image(head, n))
        return 0;
    if (is_text(head, n))
        return err_set(err, ENOEXEC,
                       "it is text; a kernel Image, an ELF file or a flat binary for riscv64 was "
                       "expected");
    if (begins_with_no_instruction(head, n))
        return err_set(err, ENOEXEC,
                       "it does not begin with an instruction, so it is no kernel (a disk image?); "
                       "a kernel Image, an ELF file or a flat binary for riscv64 was expected");
    return 0;
}
