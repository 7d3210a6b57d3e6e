/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The bare-metal guest of bench/migrate: the -bios of either VMM. Lines on the serial port tell it
 * what to do, each is answered with "ok":
 *
 *   rMIB  fill all of RAM, which is of so many MiB, with numbers that do not compress
 *   hMIB  the same for the first half of each page, the second is the same byte all over
 *   zMIB  with zeros, written one by one
 *   dMB   from now on write to so many MB of pages per second, one word in each, over and over
 *         through 256 MiB; 0: to none
 *
 *   w     nothing
 *
 * In between it sleeps until a timer or the serial port wakes it. QEMU 10.0 starts no timer again
 * in a target: there `w` has to.
 */
#include <stdint.h>

#define RAM_BASE   0x80000000u
#define OWN_BYTES  0x10000u /* this code and its stack */
#define PAGE_BYTES 4096u
#define MIB        (1u << 20)

#define DIRTY_BASE  (RAM_BASE + 64 * MIB)
#define DIRTY_PAGES (256 * MIB / PAGE_BYTES)

#define UART_DATA   ((volatile uint8_t *)0x10000000)
#define UART_ENABLE ((volatile uint8_t *)0x10000001)
#define UART_STATUS ((volatile uint8_t *)0x10000005)
#define UART_READY  1u
#define UART_IRQ    10u

#define PLIC_PRIORITY ((volatile uint32_t *)0x0c000000)
#define PLIC_ENABLE   ((volatile uint32_t *)0x0c002000)
#define PLIC_CLAIM    ((volatile uint32_t *)0x0c200004)

#define TIME_HZ     10000000u
#define IDLE_TICKS  (TIME_HZ / 100)
#define DIRTY_TICKS (TIME_HZ / 1000)

__asm__(".section .text.start\n"
        ".globl _start\n"
        "_start:\n"
        "    li     sp, 0x80010000\n"
        "    li     t0, -1\n"
        "    slli   t0, t0, 63\n"
        "    csrw   0x30a, t0\n" /* menvcfg.STCE */
        "    li     t0, 0x820\n" /* the timer and the PLIC wake, and are not taken */
        "    csrw   mie, t0\n"
        "    call   guest_main\n"
        ".text\n");

struct dirtying {
    uint64_t pages_per_s, since_ticks, done_pages, next_page;
};

static uint64_t now_ticks(void)
{
    uint64_t ticks;

    __asm__ volatile("rdtime %0" : "=r"(ticks));
    return ticks;
}

static void sleep_until(uint64_t ticks)
{
    __asm__ volatile("csrw 0x14d, %0\n" /* stimecmp */
                     "wfi"
                     :
                     : "r"(ticks));
}

static void put_text(const char *text)
{
    while (*text)
        *UART_DATA = (uint8_t)*text++;
}

/* bytes: of each page; the rest gets the byte `rest`. */
static void fill(uint64_t mib, uint64_t bytes, uint64_t rest)
{
    uint64_t x = 0x9e3779b97f4a7c15u;

    for (uint64_t page = RAM_BASE + OWN_BYTES; page < RAM_BASE + mib * MIB; page += PAGE_BYTES) {
        uint64_t *at = (uint64_t *)page;

        for (unsigned i = 0; i < bytes / 8; i += 8) {
#pragma GCC unroll 8
            for (unsigned k = 0; k < 8; k++) {
                x = x * 6364136223846793005u + 1442695040888963407u;
                at[i + k] = x;
            }
        }
        for (unsigned i = (unsigned)bytes / 8; i < PAGE_BYTES / 8; i += 8) {
#pragma GCC unroll 8
            for (unsigned k = 0; k < 8; k++)
                at[i + k] = rest;
        }
    }
}

static void obey(char what, uint64_t number, struct dirtying *d)
{
    if (what == 'r')
        fill(number, PAGE_BYTES, 0);
    else if (what == 'h')
        fill(number, PAGE_BYTES / 2, 0x4242424242424242u);
    else if (what == 'z')
        fill(number, 0, 0);
    else if (what == 'd')
        *d = (struct dirtying){.pages_per_s = number * 1000000 / PAGE_BYTES,
                               .since_ticks = now_ticks()};
    put_text("ok\n");
}

static void dirty(struct dirtying *d, uint64_t ticks)
{
    uint64_t due_pages = (ticks - d->since_ticks) * d->pages_per_s / TIME_HZ;

    for (; d->done_pages < due_pages; d->done_pages++) {
        volatile uint64_t *page =
            (volatile uint64_t *)(uintptr_t)(DIRTY_BASE + d->next_page * PAGE_BYTES);

        *page += 1;
        d->next_page = (d->next_page + 1) % DIRTY_PAGES;
    }
}

void guest_main(void);
void guest_main(void)
{
    struct dirtying d = {0};
    uint64_t number = 0;
    char what = 0;

    PLIC_PRIORITY[UART_IRQ] = 1;
    *PLIC_ENABLE = 1u << UART_IRQ;
    *UART_ENABLE = UART_READY;
    put_text("ready\n");
    for (;;) {
        uint64_t ticks = now_ticks();

        dirty(&d, ticks);
        while (*UART_STATUS & UART_READY) {
            char c = (char)*UART_DATA;

            if (c == '\n') {
                obey(what, number, &d);
            } else if (c >= '0' && c <= '9') {
                number = number * 10 + (uint64_t)(c - '0');
            } else {
                what = c;
                number = 0;
            }
        }
        *PLIC_CLAIM = *PLIC_CLAIM;
        sleep_until(ticks + (d.pages_per_s ? DIRTY_TICKS : IDLE_TICKS));
    }
}
