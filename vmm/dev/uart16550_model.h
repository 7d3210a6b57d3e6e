/* SPDX-License-Identifier: Apache-2.0 */
/* The 16550 from the inside: what its registers (uart16550.c) and its saved state share. */
#pragma once

#include "vmm/dev/dev.h"

struct chardev;

enum {
    IER_RX = 1 << 0,
    IER_THRE = 1 << 1,
    IER_LINE = 1 << 2,
    IER_MODEM = 1 << 3,
    IER_MASK = 0x0f,

    /* IIR: the cause, most urgent first. */
    IIR_LINE = 0x06,
    IIR_RX_TIMEOUT = 0x0c,
    IIR_RX = 0x04,
    IIR_THRE = 0x02,
    IIR_MODEM = 0x00,
    IIR_NONE = 0x01,
    IIR_CAUSE = 0x0f,
    IIR_FIFOS = 0xc0,

    FCR_ENABLE = 1 << 0,
    FCR_RX_RESET = 1 << 1,
    FCR_TX_RESET = 1 << 2,
    FCR_STORED = 0xc9,

    LCR_WORD_LENGTH = 0x03,
    LCR_TWO_STOP_BITS = 1 << 2,
    LCR_PARITY = 1 << 3,
    LCR_DLAB = 1 << 7,

    MCR_RTS = 1 << 1,
    MCR_OUT2 = 1 << 3,
    MCR_LOOP = 1 << 4,
    MCR_MASK = 0x1f,

    LSR_DR = 1 << 0,
    LSR_OE = 1 << 1,
    LSR_BI = 1 << 4,
    LSR_ERRORS = 0x1e,
    LSR_THRE = 1 << 5,
    LSR_TEMT = 1 << 6,

    MSR_DELTAS = 0x0f,
    MSR_LINES_READY = 0xb0, /* DCD, DSR and CTS */
};

#define UART_FIFO_BYTES       16u
/* Ticks of the baud rate generator per second, counting a bit as one. */
#define UART_BASE_HZ          399193
#define UART_RX_TIMEOUT_CHARS 4
#define UART_NOT_ARMED        UINT64_MAX
#define UART_NOT_LOADED       UINT32_MAX

struct uart_fifo {
    uint8_t data[UART_FIFO_BYTES]; /* a ring */
    uint32_t head;
    uint32_t num;
};

struct uart {
    struct dev dev;
    struct chardev *chardev; /* loan; NULL: nobody listens */
    struct guest_timer *rx_timer;
    bool input_refused; /* the chardev was told that there is no room */

    uint16_t divider;
    uint8_t rbr; /* without FIFOs */
    uint8_t ier, iir, lcr, mcr, lsr, msr, scr, fcr;
    uint8_t thr; /* without FIFOs */
    uint8_t tsr; /* the byte being sent, if tsr_retry */
    uint32_t tsr_retry;
    uint32_t thr_ipending;     /* THRE interrupt asked for and not yet seen */
    uint32_t timeout_ipending; /* RX timeout has come */
    uint64_t rx_timeout_ns;    /* guest clock; UART_NOT_ARMED */
    struct uart_fifo recv_fifo, xmit_fifo;

    /* Of a QEMU whose backend has modem lines: accepted, not used. */
    uint32_t poll_msl;
    uint64_t modem_status_poll;
};

/* A FIFO without its bytes: saved state holds no more than it says. */
static inline void uart_fifo_clear(struct uart_fifo *f)
{
    *f = (struct uart_fifo){0};
}

/* IIR and the interrupt line from everything else. */
void uart_update_irq(struct uart *u);

extern const struct ferry_table uart_table;
