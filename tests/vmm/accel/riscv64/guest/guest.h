/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The little library of the bare-metal test guests: text to the UART, the test finisher.
 * Everything runs in M-mode from the start of RAM, on ferry's harts and on any virt machine.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define UART_THR ((volatile uint8_t *)0x10000000)
#define FINISHER ((volatile uint32_t *)0x100000)

#define csr_read(csr)                                            \
    ({                                                           \
        uint64_t v_;                                             \
        __asm__ volatile("csrr %0, " #csr : "=r"(v_)::"memory"); \
        v_;                                                      \
    })
#define csr_write(csr, value) \
    __asm__ volatile("csrw " #csr ", %0" : : "rK"((uint64_t)(value)) : "memory")
#define csr_set(csr, value) \
    __asm__ volatile("csrs " #csr ", %0" : : "rK"((uint64_t)(value)) : "memory")
#define csr_clear(csr, value) \
    __asm__ volatile("csrc " #csr ", %0" : : "rK"((uint64_t)(value)) : "memory")

/* How many harts may leave start.S; set by hart 0. */
extern volatile uint32_t guest_harts;

void guest_main(uint64_t hart_id);

void put_char(char c);
void put_text(const char *text);
void put_hex(uint64_t value, unsigned digits);
void put_dec(uint64_t value);
/* "name 0123456789abcdef\n" */
void put_line(const char *name, uint64_t value);
_Noreturn void guest_exit_ok(void);
_Noreturn void guest_fail(const char *why);
