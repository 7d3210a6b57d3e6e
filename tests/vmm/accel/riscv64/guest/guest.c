/* SPDX-License-Identifier: Apache-2.0 */
#include "guest.h"

volatile uint32_t guest_harts = 1;

void put_char(char c)
{
    *UART_THR = (uint8_t)c;
}

void put_text(const char *text)
{
    while (*text)
        put_char(*text++);
}

void put_hex(uint64_t value, unsigned digits)
{
    while (digits--)
        put_char("0123456789abcdef"[value >> (4 * digits) & 15]);
}

void put_dec(uint64_t value)
{
    if (value > 9)
        put_dec(value / 10);
    put_char((char)('0' + value % 10));
}

void put_line(const char *name, uint64_t value)
{
    put_text(name);
    put_char(' ');
    put_hex(value, 16);
    put_char('\n');
}

_Noreturn void guest_exit_ok(void)
{
    *FINISHER = 0x5555;
    for (;;)
        ;
}

_Noreturn void guest_fail(const char *why)
{
    put_text("FAIL: ");
    put_text(why);
    put_char('\n');
    *FINISHER = 0x00013333;
    for (;;)
        ;
}

void guest_unexpected(uint64_t cause, uint64_t epc, uint64_t tval);
void guest_unexpected(uint64_t cause, uint64_t epc, uint64_t tval)
{
    put_line("mcause", cause);
    put_line("mepc", epc);
    put_line("mtval", tval);
    guest_fail("a trap that the test does not expect");
}

/* The compiler may call these. */
void *memcpy(void *dst, const void *src, size_t n);
void *memcpy(void *dst, const void *src, size_t n)
{
    uint8_t *d = dst;
    const uint8_t *s = src;

    while (n--)
        *d++ = *s++;
    return dst;
}

void *memset(void *dst, int c, size_t n);
void *memset(void *dst, int c, size_t n)
{
    uint8_t *d = dst;

    while (n--)
        *d++ = (uint8_t)c;
    return dst;
}
