/* SPDX-License-Identifier: Apache-2.0 */
#include "fuzz/compare.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "fuzz/fuzz.h"
#include "lib/state/state.h"
#include "vmm/dev/virtio/mmio.h"
#include "vmm/machine/bus.h"
#include "vmm/machine/config.h"
#include "vmm/virt/memmap.h"

/* --- Memory --- */

void compare_follow_log(struct ferry_ram_region *region, uint8_t *shadow, const uint64_t *dirty)
{
    uint64_t words = (ferry_ram_size_bytes(region) / FERRY_PAGE_BYTES + 63) / 64;

    for (uint64_t word = 0; word < words; word++) {
        for (uint64_t left = dirty[word]; left; left &= left - 1) {
            uint64_t page = word * 64 + (uint64_t)__builtin_ctzll(left);

            memcpy(shadow + page * FERRY_PAGE_BYTES,
                   ferry_ram_host(region) + page * FERRY_PAGE_BYTES, FERRY_PAGE_BYTES);
        }
    }
}

/* Only where the region has memory at all: the rest is zeros there and here. */
void compare_memory(struct ferry_ram_region *region, const uint8_t *shadow)
{
    off_t size_bytes = (off_t)ferry_ram_size_bytes(region), at = 0;
    int fd = ferry_ram_fd(region);

    while ((at = lseek(fd, at, SEEK_DATA)) >= 0 && at < size_bytes) {
        off_t end = lseek(fd, at, SEEK_HOLE);

        FUZZ_CHECK(memcmp(ferry_ram_host(region) + at, shadow + at, (size_t)(end - at)) == 0,
                   ferry_ram_name(region));
        at = end;
    }
}

/* --- States --- */

static void save_part(struct ferry_vm *vm, size_t index, struct buf *ret)
{
    const struct ferry_part *part = ferry_vm_part(vm, index);
    struct ferry_err err = {0};

    buf_reset(ret);
    if (part->table && (!part->table->needed || part->table->needed(part->obj)))
        FUZZ_CHECK(state_save(part->table, part->obj, ret, NULL, &err) == 0, err.text);
}

/* Of the "goldfish_rtc" section: u32 alarm_running and irq_pending. */
#define RTC_ALARM_AT    16u
#define RTC_ALARM_BYTES 8u

static bool is_one_of(const char *idstr, const char *const *list)
{
    while (*list && strcmp(*list, idstr))
        list++;
    return *list;
}

void compare_states(struct ferry_vm *sent, struct ferry_vm *arrived)
{
    static const char *const interrupted[] = {"cpu", "cpu_common", "riscv_sifive_plic", NULL};
    struct buf a = {0}, b = {0};
    bool alarm = false;

    /* Interrupts come to parts in front of the RTC. */
    for (size_t i = ferry_vm_part_count(sent); i-- > 0;) {
        const char *idstr = ferry_vm_part(sent, i)->idstr;
        bool rtc = !strcmp(idstr, "goldfish_rtc"), plic = !strcmp(idstr, "riscv_sifive_plic");

        save_part(sent, i, &a);
        save_part(arrived, i, &b);
        if (alarm && is_one_of(idstr, interrupted))
            continue;
        FUZZ_CHECK(a.len_bytes == b.len_bytes, idstr);
        if (a.len_bytes == 0 || !memcmp(a.data, b.data, a.len_bytes))
            continue;
        for (size_t k = 0; k < a.len_bytes; k++) {
            bool same = a.data[k] == b.data[k];
            char text[160];

            alarm |= !same && rtc && k - RTC_ALARM_AT < RTC_ALARM_BYTES;
            snprintf(text, sizeof(text), "byte %zu of %s was 0x%02x and arrived as 0x%02x", k,
                     idstr, a.data[k], b.data[k]);
            FUZZ_CHECK(same || alarm || (plic && (a.data[k] & b.data[k]) == a.data[k]), text);
        }
    }
    buf_free(&a);
    buf_free(&b);
}

/* --- Registers --- */

/* Those that a guest reads without changing anything, and that do not show a running clock. */
struct window {
    uint64_t gpa;
    uint32_t bytes;
    unsigned access_bytes;
};
static const struct window windows[] = {
    {MEMMAP_UART_GPA + 1, 1, 1},   /* interrupts enabled */
    {MEMMAP_UART_GPA + 3, 2, 1},   /* line, modem */
    {MEMMAP_UART_GPA + 7, 1, 1},   /* scratch */
    {MEMMAP_RTC_GPA + 0x0c, 8, 4}, /* half of the alarm, interrupt enabled */
    {MEMMAP_CLINT_GPA, 0x20, 4},          {MEMMAP_MTIMER_GPA, 0x40, 8},
    {MEMMAP_PLIC_GPA, 0x180, 4},          /* priorities */
    {MEMMAP_PLIC_GPA + 0x2000, 0x400, 4}, /* enabled */
    {MEMMAP_PLIC_GPA + 0x200000, 4, 4},   /* thresholds */
    {MEMMAP_PLIC_GPA + 0x201000, 4, 4},   {MEMMAP_PCI_ECAM_GPA, 0x100, 4},
};

static void compare_read(struct bus *sent, struct bus *arrived, uint64_t gpa, unsigned access_bytes)
{
    uint64_t a = 0, b = 0;
    int a_rc = bus_read(sent, gpa, access_bytes, &a);
    int b_rc = bus_read(arrived, gpa, access_bytes, &b);
    char text[128];

    snprintf(text, sizeof(text), "the register at 0x%jx was 0x%jx and arrived as 0x%jx",
             (uintmax_t)gpa, (uintmax_t)a, (uintmax_t)b);
    FUZZ_CHECK(a_rc == b_rc && a == b, text);
}

/* Registers, but for those only written, and the configuration, whose last bytes are no register.
 */
static void compare_virtio(struct bus *sent, struct bus *arrived, uint64_t gpa)
{
    for (unsigned reg = 0; reg < VIRTIO_MMIO_R_GENERATION; reg += 4)
        compare_read(sent, arrived, gpa + reg, 4);
    for (unsigned reg = VIRTIO_MMIO_R_CONFIG; reg < VIRTIO_MMIO_R_CONFIG + 0x40; reg++)
        compare_read(sent, arrived, gpa + reg, 1);
}

void compare_registers(struct bus *sent, struct bus *arrived)
{
    for (size_t i = 0; i < sizeof(windows) / sizeof(windows[0]); i++)
        for (uint32_t at = 0; at < windows[i].bytes; at += windows[i].access_bytes)
            compare_read(sent, arrived, windows[i].gpa + at, windows[i].access_bytes);
    for (unsigned slot = 0; slot < CONFIG_VIRTIO_SLOTS; slot++)
        compare_virtio(sent, arrived,
                       MEMMAP_VIRTIO_GPA + slot * (uint64_t)MEMMAP_VIRTIO_SLOT_BYTES);
}
