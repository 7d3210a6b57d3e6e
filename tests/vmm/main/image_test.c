/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "vmm/main/image.h"

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
    f->image = (struct image){.what = "kernel", .fd = -1};
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
    assert_int_equal(image_read(&f->image, "/tmp", RAM_BYTES, &f->err), -EISDIR);
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_FIXTURE(a_raw_file_goes_where_it_is_told), IN_FIXTURE(files_that_cannot_be_are_refused),
        IN_FIXTURE(only_a_sealed_memfd_is_adopted),   IN_FIXTURE(an_elf_file_goes_where_it_says),
        IN_FIXTURE(an_unsound_elf_file_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
