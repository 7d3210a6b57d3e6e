/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include "vmm/board/image.h"
#include "vmm/board/type.h"
#include "vmm/virt/virt.h"

#define RAM       UINT64_C(0x80000000)
#define RAM_BYTES (UINT64_C(1) << 20)

struct fixture {
    char path[64];
    int file;
    struct ferry_ram *ram;
    struct ferry_ram_region *region;
    struct guestmem mem;
    struct image image;
    struct ferry_err err;
};

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));

    strcpy(f->path, "/tmp/ferry-image-test-XXXXXX");
    f->file = mkstemp(f->path);
    assert_true(f->file >= 0);
    assert_int_equal(ferry_ram_new(&f->ram, &f->err), 0);
    assert_int_equal(ferry_ram_add(f->ram, "ram", RAM_BYTES, &f->region, &f->err), 0);
    assert_int_equal(guestmem_add(&f->mem, RAM, f->region, false, &f->err), 0);
    f->image = (struct image){.what = "kernel", .type = &machine_virt.board->boot, .fd = -1};
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    image_close(&f->image);
    ferry_ram_free(f->ram);
    unlink(f->path);
    close(f->file);
    free(f);
    return 0;
}

static void fill(struct fixture *f, const void *data, size_t n)
{
    assert_int_equal(ftruncate(f->file, 0), 0);
    assert_int_equal(pwrite(f->file, data, n, 0), n);
}

static void says(const struct fixture *f, const char *text)
{
    if (!strstr(f->err.text, text))
        fail_msg("\"%s\" does not say \"%s\"", f->err.text, text);
}

static const uint8_t *host(const struct fixture *f, uint64_t gpa)
{
    return ferry_ram_host(f->region) + (gpa - RAM);
}

static size_t pack(uint8_t *to, size_t room, const void *data, size_t n)
{
    z_stream z = {0};

    assert_int_equal(deflateInit2(&z, 9, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY), Z_OK);
    z.next_in = (uint8_t *)(uintptr_t)data;
    z.avail_in = (unsigned)n;
    z.next_out = to;
    z.avail_out = (unsigned)room;
    assert_int_equal(deflate(&z, Z_FINISH), Z_STREAM_END);
    deflateEnd(&z);
    return room - z.avail_out;
}

static void a_packed_kernel_is_unpacked(void **state)
{
    static uint8_t kernel[600 << 10], packed[800 << 10];
    struct fixture *f = *state;
    struct image_placed placed;
    size_t n;

    for (size_t i = 0; i < sizeof(kernel); i++)
        kernel[i] = (uint8_t)(i * i >> 7 | 1);
    n = pack(packed, sizeof(packed), kernel, sizeof(kernel));
    f->image.kernel = true;
    fill(f, packed, n);
    assert_int_equal(image_read(&f->image, f->path, RAM_BYTES, &f->err), 0);
    assert_int_equal(f->image.size_bytes, sizeof(kernel));
    assert_int_equal(image_place(&f->image, &f->mem, RAM, &placed, &f->err), 0);
    assert_memory_equal(host(f, RAM), kernel, sizeof(kernel));
    /* Only a kernel: an initial RAM disk is unpacked by the guest. */
    f->image.kernel = false;
    assert_int_equal(image_read(&f->image, f->path, RAM_BYTES, &f->err), 0);
    assert_int_equal(f->image.size_bytes, n);

    f->image.kernel = true;
    fill(f, packed, n - 20);
    assert_int_equal(image_read(&f->image, f->path, RAM_BYTES, &f->err), -EBADMSG);
    says(f, "its gzip data ends too early");
    packed[n / 2] ^= 0x55;
    fill(f, packed, n);
    assert_int_equal(image_read(&f->image, f->path, RAM_BYTES, &f->err), -EBADMSG);
    says(f, "damaged");
    /* What unpacks to more than there is room for is not unpacked to its end. */
    memset(kernel, 1, sizeof(kernel));
    n = pack(packed, sizeof(packed), kernel, sizeof(kernel));
    fill(f, packed, n);
    assert_int_equal(image_read(&f->image, f->path, RAM_BYTES / 2, &f->err), -EFBIG);
    says(f, "larger than the guest's memory");
}

static void what_is_no_kernel_is_named(void **state)
{
    static const struct {
        size_t offset;
        const char *magic;
        size_t bytes;
        const char *says; /* NULL: taken */
    } cases[] = {
#define AT(offset, magic, says) {offset, magic, sizeof(magic) - 1, says}
        AT(4, "zimg", "EFI zboot image"),
        AT(0, "\x28\xb5\x2f\xfd", "packed with zstd; unpack it first"),
        AT(0,
           "\xfd"
           "7zXZ",
           "packed with xz"),
        AT(56, "ARM\x64", "a kernel for arm64; a kernel for riscv64 was expected"),
        AT(514, "HdrS", "a kernel for x86"),
        AT(0, "QFI\xfb", "a qcow2 disk image; that is a disk: give it to -drive"),
        AT(0, "070701", "give it to -initrd"),
        AT(0, "\0\0", "it does not begin with an instruction"),
        AT(0, "\xff\xff", "it does not begin with an instruction"),
        AT(56, "RSC\x05", NULL),
        AT(0, "\x17\x05\0\0", NULL),
        AT(0,
           "\x7f"
           "ELF",
           NULL),
#undef AT
    };
    struct fixture *f = *state;
    uint8_t data[2048];

    f->image.kernel = true;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        memset(data, 0x13, sizeof(data));
        memcpy(data + cases[i].offset, cases[i].magic, cases[i].bytes);
        fill(f, data, sizeof(data));
        assert_int_equal(image_read(&f->image, f->path, RAM_BYTES, &f->err),
                         cases[i].says ? -ENOEXEC : 0);
        if (cases[i].says)
            says(f, cases[i].says);
    }
    fill(f, "#!/bin/sh\necho\n", 15);
    assert_int_equal(image_read(&f->image, f->path, RAM_BYTES, &f->err), -ENOEXEC);
    says(f, "it is text");
    f->image.kernel = false;
    assert_int_equal(image_read(&f->image, f->path, RAM_BYTES, &f->err), 0);
}

static void a_raw_file_goes_where_it_is_told(void **state)
{
    struct fixture *f = *state;
    struct image_placed placed;

    fill(f, "hello", 5);
    assert_int_equal(image_read(&f->image, f->path, RAM_BYTES, &f->err), 0);
    fill(f, "other", 5); /* what becomes of the file does not matter any more */
    assert_int_equal(image_place(&f->image, &f->mem, RAM + 0x1000, &placed, &f->err), 0);
    assert_memory_equal(host(f, RAM + 0x1000), "hello", 5);
    assert_int_equal(placed.start_gpa, RAM + 0x1000);
    assert_int_equal(placed.end_gpa, RAM + 0x1005);
    assert_int_equal(placed.entry_gpa, RAM + 0x1000);
    assert_int_equal(image_place(&f->image, &f->mem, RAM + RAM_BYTES - 4, &placed, &f->err),
                     -ERANGE);
    says(f, "kernel: 5 bytes");
}

static void files_that_cannot_be_are_refused(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(image_read(&f->image, "/nowhere/kernel", RAM_BYTES, &f->err), -ENOENT);
    says(f, "kernel \"/nowhere/kernel\"");
    assert_int_equal(image_read(&f->image, f->path, RAM_BYTES, &f->err), -EINVAL);
    says(f, "is empty");
    fill(f, "hello", 5);
    assert_int_equal(image_read(&f->image, f->path, 4, &f->err), -EFBIG);
    assert_int_equal(f->image.fd, -1);
}

static void only_a_sealed_memfd_is_adopted(void **state)
{
    struct fixture *f = *state;
    struct image second = {.what = "kernel", .fd = -1};
    int fd = dup(f->file), loose = memfd_create("loose", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    struct image_placed placed;

    fill(f, "hello", 5);
    assert_int_equal(image_adopt(&f->image, &fd, RAM_BYTES, &f->err), -EINVAL);
    says(f, "sealed");
    assert_true(fd >= 0);
    close(fd);
    assert_int_equal(write(loose, "x", 1), 1);
    assert_int_equal(image_adopt(&f->image, &loose, RAM_BYTES, &f->err), -EINVAL);
    close(loose);

    assert_int_equal(image_read(&f->image, f->path, RAM_BYTES, &f->err), 0);
    fd = dup(f->image.fd);
    assert_int_equal(image_adopt(&second, &fd, 4, &f->err), -EINVAL);
    says(f, "5 bytes");
    assert_int_equal(image_adopt(&second, &fd, RAM_BYTES, &f->err), 0);
    assert_int_equal(fd, -1);
    assert_int_equal(image_place(&second, &f->mem, RAM, &placed, &f->err), 0);
    assert_memory_equal(host(f, RAM), "hello", 5);
    image_close(&second);
}

/* An ELF file of two segments, the second with a tail to clear. */
struct elf {
    Elf64_Ehdr eh;
    Elf64_Phdr ph[3];
    char text[16];
};

static struct elf sound_elf(void)
{
    struct elf e = {
        .eh = {.e_ident = {ELFMAG0, ELFMAG1, ELFMAG2, ELFMAG3, ELFCLASS64, ELFDATA2LSB},
               .e_machine = EM_RISCV,
               .e_entry = RAM + 0x2004,
               .e_phoff = sizeof(Elf64_Ehdr),
               .e_phentsize = sizeof(Elf64_Phdr),
               .e_phnum = 3},
        .ph = {{.p_type = PT_NOTE, .p_offset = UINT64_MAX, .p_filesz = 9},
               {.p_type = PT_LOAD,
                .p_offset = offsetof(struct elf, text),
                .p_paddr = RAM + 0x2000,
                .p_filesz = 8,
                .p_memsz = 8},
               {.p_type = PT_LOAD,
                .p_offset = offsetof(struct elf, text) + 8,
                .p_paddr = RAM + 0x4000,
                .p_filesz = 8,
                .p_memsz = 0x1800}},
    };

    memcpy(e.text, "first 8 second 8", 16);
    return e;
}

static int place_elf(struct fixture *f, const struct elf *e, struct image_placed *placed)
{
    fill(f, e, sizeof(*e));
    assert_int_equal(image_read(&f->image, f->path, RAM_BYTES, &f->err), 0);
    return image_place(&f->image, &f->mem, RAM, placed, &f->err);
}

static void an_elf_file_goes_where_it_says(void **state)
{
    struct fixture *f = *state;
    struct elf e = sound_elf();
    struct image_placed placed;

    memset(ferry_ram_host(f->region), 0xff, RAM_BYTES);
    assert_int_equal(place_elf(f, &e, &placed), 0);
    assert_int_equal(placed.start_gpa, RAM + 0x2000);
    assert_int_equal(placed.end_gpa, RAM + 0x5800);
    assert_int_equal(placed.entry_gpa, RAM + 0x2004);
    assert_memory_equal(host(f, RAM + 0x2000), "first 8 \xff", 9);
    assert_memory_equal(host(f, RAM + 0x4000), "second 8\0", 9);
    assert_int_equal(*host(f, RAM + 0x57ff), 0);
    assert_int_equal(*host(f, RAM + 0x5800), 0xff);
}

static void an_unsound_elf_file_is_refused(void **state)
{
    struct fixture *f = *state;
    struct image_placed placed;

#define REFUSED(change, text)                       \
    do {                                            \
        struct elf e = sound_elf();                 \
        change;                                     \
        assert_true(place_elf(f, &e, &placed) < 0); \
        says(f, text);                              \
    } while (0)

    REFUSED(e.eh.e_machine = EM_X86_64, "not for riscv64");
    REFUSED(e.eh.e_ident[EI_CLASS] = ELFCLASS32, "not for riscv64");
    REFUSED(e.eh.e_phoff = UINT64_MAX - 8, "program headers");
    REFUSED(e.eh.e_phoff = sizeof(e) - 8, "program headers");
    REFUSED(e.eh.e_phnum = 65, "program headers");
    REFUSED(e.eh.e_phentsize = 8, "program headers");
    REFUSED(e.eh.e_phnum = 1, "nothing to load");
    REFUSED(e.ph[1].p_offset = UINT64_MAX - 3, "outside the file");
    REFUSED(e.ph[1].p_filesz = UINT64_MAX, "outside the file");
    REFUSED(e.ph[1].p_filesz = e.ph[1].p_memsz = 17, "outside the file");
    REFUSED(e.ph[1].p_memsz = 7, "outside the file");
    REFUSED(e.ph[1].p_paddr = UINT64_MAX - 3, "outside the file");
    REFUSED(e.ph[1].p_paddr = 0, "do not fit");
    REFUSED(e.ph[2].p_memsz = RAM_BYTES, "do not fit");
}

#define IN_FIXTURE(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

/* Nobody waits for a writer, or is told that "it is empty". */
static void test_what_is_no_file(void **state)
{
    struct fixture *f = *state;
    char path[sizeof(f->path) + 5];

    snprintf(path, sizeof(path), "%s.fifo", f->path);
    assert_int_equal(mkfifo(path, 0600), 0);
    assert_int_equal(image_read(&f->image, path, RAM_BYTES, &f->err), -EINVAL);
    assert_non_null(strstr(f->err.text, ".fifo\" is a FIFO, a regular file was expected"));
    unlink(path);
    assert_int_equal(image_read(&f->image, "/dev/null", RAM_BYTES, &f->err), -EINVAL);
    assert_non_null(strstr(f->err.text, "is a device"));
    assert_int_equal(image_read(&f->image, "/tmp", RAM_BYTES, &f->err), -EINVAL);
    assert_non_null(strstr(f->err.text, "is a directory"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_FIXTURE(a_packed_kernel_is_unpacked),
        IN_FIXTURE(what_is_no_kernel_is_named),
        IN_FIXTURE(a_raw_file_goes_where_it_is_told),
        IN_FIXTURE(files_that_cannot_be_are_refused),
        IN_FIXTURE(only_a_sealed_memfd_is_adopted),
        IN_FIXTURE(an_elf_file_goes_where_it_says),
        IN_FIXTURE(test_what_is_no_file),
        IN_FIXTURE(an_unsound_elf_file_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
