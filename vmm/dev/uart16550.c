/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/dev/uart16550.h"

#include "vmm/backend/chardev.h"
#include "vmm/dev/uart16550_model.h"

/* Registers; the first two are the divisor's halves while LCR.DLAB is set. */
enum {
    UART_DATA = 0, /* RBR read, THR write */
    UART_IER = 1,
    UART_IIR_FCR = 2, /* IIR read, FCR write */
    UART_LCR = 3,
    UART_MCR = 4,
    UART_LSR = 5,
    UART_MSR = 6,
    UART_SCR = 7,
};

/* --- FIFOs ---------------------------------------------------------------------------------- */

static void fifo_push(struct uart_fifo *f, uint8_t byte)
{
    f->data[(f->head + f->num) % UART_FIFO_BYTES] = byte;
    f->num++;
}

static uint8_t fifo_pop(struct uart_fifo *f)
{
    uint8_t byte = f->data[f->head];

    f->data[f->head] = 0; /* so that saved state holds no more than it says */
    f->head = (f->head + 1) % UART_FIFO_BYTES;
    f->num--;
    return byte;
}

/* --- Interrupts ----------------------------------------------------------------------------- */

static uint32_t uart_rx_trigger(const struct uart *u)
{
    static const uint8_t levels[] = {1, 4, 8, 14};

    return levels[u->fcr >> 6];
}

static uint8_t uart_cause(const struct uart *u)
{
    if ((u->ier & IER_LINE) && (u->lsr & LSR_ERRORS))
        return IIR_LINE;
    if ((u->ier & IER_RX) && u->timeout_ipending)
        return IIR_RX_TIMEOUT;
    if ((u->ier & IER_RX) && (u->lsr & LSR_DR) &&
        (!(u->fcr & FCR_ENABLE) || u->recv_fifo.num >= uart_rx_trigger(u)))
        return IIR_RX;
    if ((u->ier & IER_THRE) && u->thr_ipending)
        return IIR_THRE;
    if ((u->ier & IER_MODEM) && (u->msr & MSR_DELTAS))
        return IIR_MODEM;
    return IIR_NONE;
}

void uart_update_irq(struct uart *u)
{
    uint8_t cause = uart_cause(u);

    u->iir = cause | (u->fcr & FCR_ENABLE ? IIR_FIFOS : 0);
    irq_set(&u->dev.irq, cause != IIR_NONE);
}

/* --- Receiving ------------------------------------------------------------------------------ */

static int64_t uart_char_ns(const struct uart *u)
{
    int64_t bits = 1 + 5 + (u->lcr & LCR_WORD_LENGTH) + (u->lcr & LCR_PARITY ? 1 : 0) +
                   (u->lcr & LCR_TWO_STOP_BITS ? 2 : 1);

    return bits * u->divider * 1000000000 / UART_BASE_HZ;
}

static void uart_set_rx_timeout(struct uart *u, bool armed)
{
    u->rx_timeout_ns = UART_NOT_ARMED;
    if (armed)
        u->rx_timeout_ns =
            (uint64_t)(guest_clock_ns(u->dev.env->clock) + UART_RX_TIMEOUT_CHARS * uart_char_ns(u));
    guest_timer_set(u->rx_timer, armed ? (int64_t)u->rx_timeout_ns : INT64_MAX);
}

static void uart_rx_timed_out(void *arg)
{
    struct uart *u = arg;

    u->rx_timeout_ns = UART_NOT_ARMED;
    if (u->recv_fifo.num) {
        u->timeout_ipending = 1;
        uart_update_irq(u);
    }
}

static void uart_receive_byte(struct uart *u, uint8_t byte)
{
    if (u->fcr & FCR_ENABLE) {
        if (u->recv_fifo.num < UART_FIFO_BYTES)
            fifo_push(&u->recv_fifo, byte);
        else
            u->lsr |= LSR_OE;
        uart_set_rx_timeout(u, true);
    } else {
        if (u->lsr & LSR_DR)
            u->lsr |= LSR_OE;
        u->rbr = byte;
    }
    u->lsr |= LSR_DR;
}

static uint8_t uart_read_byte(struct uart *u)
{
    uint8_t byte = u->rbr;

    if (u->fcr & FCR_ENABLE) {
        byte = u->recv_fifo.num ? fifo_pop(&u->recv_fifo) : 0;
        uart_set_rx_timeout(u, u->recv_fifo.num > 0);
        u->timeout_ipending = 0;
    }
    if (u->recv_fifo.num == 0)
        u->lsr &= (uint8_t)~LSR_DR;
    uart_update_irq(u);
    return byte;
}

/* A byte in loopback comes from the transmitter alone. */
static size_t uart_room(const struct uart *u)
{
    if (u->mcr & MCR_LOOP)
        return 0;
    if (u->fcr & FCR_ENABLE)
        return UART_FIFO_BYTES - u->recv_fifo.num;
    return u->lsr & LSR_DR ? 0 : 1;
}

/* After anything that may have made room. */
static void uart_offer_room(struct uart *u)
{
    if (u->chardev && u->input_refused && uart_room(u) > 0) {
        u->input_refused = false;
        chardev_input_ready(u->chardev);
    }
}

/* --- Sending -------------------------------------------------------------------------------- */

/* The next byte to the shift register; false if there is none. */
static bool uart_load_tsr(struct uart *u)
{
    bool loaded = true;

    if (!(u->fcr & FCR_ENABLE))
        u->tsr = u->thr;
    else if (u->xmit_fifo.num)
        u->tsr = fifo_pop(&u->xmit_fifo);
    else
        loaded = false;
    if (u->xmit_fifo.num == 0 && !(u->lsr & LSR_THRE)) {
        u->lsr |= LSR_THRE;
        u->thr_ipending = 1;
        uart_update_irq(u);
    }
    return loaded;
}

static bool uart_send_tsr(struct uart *u)
{
    if (u->mcr & MCR_LOOP) {
        uart_receive_byte(u, u->tsr);
        uart_update_irq(u);
        return true;
    }
    return !u->chardev || chardev_write(u->chardev, &u->tsr, 1) == 1;
}

/* Send all there is, or as much as the chardev takes: then its writable() calls again. */
static void uart_transmit(struct uart *u)
{
    for (;;) {
        if (!u->tsr_retry && ((u->lsr & LSR_THRE) || !uart_load_tsr(u)))
            break;
        u->tsr_retry = !uart_send_tsr(u);
        if (u->tsr_retry)
            return;
    }
    u->lsr |= LSR_TEMT;
}

static void uart_write_byte(struct uart *u, uint8_t byte)
{
    u->thr = byte;
    if (u->fcr & FCR_ENABLE) {
        /* An overrun loses the oldest byte. */
        if (u->xmit_fifo.num == UART_FIFO_BYTES)
            fifo_pop(&u->xmit_fifo);
        fifo_push(&u->xmit_fifo, byte);
    }
    u->lsr &= (uint8_t) ~(LSR_THRE | LSR_TEMT);
    u->thr_ipending = 0;
    uart_update_irq(u);
    if (!u->tsr_retry)
        uart_transmit(u);
}

/* --- Registers ------------------------------------------------------------------------------ */

static void uart_write_ier(struct uart *u, uint8_t value)
{
    uint8_t changed = u->ier ^ (value & IER_MASK);

    u->ier = value & IER_MASK;
    /* Asking for the interrupt while the register is empty asks for one now. */
    if (changed & IER_THRE)
        u->thr_ipending = (u->ier & IER_THRE) && (u->lsr & LSR_THRE);
    uart_update_irq(u);
}

static void uart_write_fcr(struct uart *u, uint8_t value)
{
    if ((value ^ u->fcr) & FCR_ENABLE)
        value |= FCR_RX_RESET | FCR_TX_RESET;
    if (value & FCR_RX_RESET) {
        uart_fifo_clear(&u->recv_fifo);
        u->lsr &= (uint8_t) ~(LSR_DR | LSR_BI);
        u->timeout_ipending = 0;
        uart_set_rx_timeout(u, false);
    }
    if (value & FCR_TX_RESET) {
        uart_fifo_clear(&u->xmit_fifo);
        u->lsr |= LSR_THRE;
        u->thr_ipending = 1;
    }
    u->fcr = value & FCR_STORED;
    uart_update_irq(u);
}

static uint8_t uart_read_msr(struct uart *u)
{
    uint8_t value = u->msr;

    if (u->mcr & MCR_LOOP)
        return (uint8_t)((u->mcr & 0x0c) << 4 | (u->mcr & MCR_RTS) << 3 | (u->mcr & 1) << 5);
    u->msr &= (uint8_t)~MSR_DELTAS;
    uart_update_irq(u);
    return value;
}

static uint8_t uart_read_reg(struct uart *u, uint64_t reg)
{
    uint8_t value;

    switch (reg) {
    case UART_DATA:
        return u->lcr & LCR_DLAB ? u->divider & 0xff : uart_read_byte(u);
    case UART_IER:
        return u->lcr & LCR_DLAB ? (uint8_t)(u->divider >> 8) : u->ier;
    case UART_IIR_FCR:
        value = u->iir;
        if ((value & IIR_CAUSE) == IIR_THRE) {
            u->thr_ipending = 0;
            uart_update_irq(u);
        }
        return value;
    case UART_LCR:
        return u->lcr;
    case UART_MCR:
        return u->mcr;
    case UART_LSR:
        value = u->lsr;
        if (value & (LSR_BI | LSR_OE)) {
            u->lsr &= (uint8_t) ~(LSR_BI | LSR_OE);
            uart_update_irq(u);
        }
        return value;
    case UART_MSR:
        return uart_read_msr(u);
    default:
        return u->scr;
    }
}

static void uart_write_reg(struct uart *u, uint64_t reg, uint8_t value)
{
    switch (reg) {
    case UART_DATA:
        if (u->lcr & LCR_DLAB)
            u->divider = (u->divider & 0xff00) | value;
        else
            uart_write_byte(u, value);
        break;
    case UART_IER:
        if (u->lcr & LCR_DLAB)
            u->divider = (uint16_t)(value << 8 | (u->divider & 0xff));
        else
            uart_write_ier(u, value);
        break;
    case UART_IIR_FCR:
        uart_write_fcr(u, value);
        break;
    case UART_LCR:
        u->lcr = value;
        break;
    case UART_MCR:
        u->mcr = value & MCR_MASK;
        break;
    case UART_SCR:
        u->scr = value;
        break;
    }
}

/* A wider access is a byte access to the register at its address. */
static int uart_read(void *dev, uint64_t offset, unsigned size_bytes, uint64_t *ret)
{
    struct uart *u = dev;

    *ret = uart_read_reg(u, offset);
    uart_offer_room(u);
    return 0;
}

static int uart_write(void *dev, uint64_t offset, unsigned size_bytes, uint64_t value)
{
    struct uart *u = dev;

    uart_write_reg(u, offset, (uint8_t)value);
    uart_offer_room(u);
    return 0;
}

/* --- The chardev's side: main thread, no lock ----------------------------------------------- */

static size_t uart_can_receive(void *arg)
{
    struct uart *u = arg;
    size_t room;

    machine_lock(u->dev.env->lock);
    room = uart_room(u);
    u->input_refused = room == 0;
    machine_unlock(u->dev.env->lock);
    return room;
}

static void uart_receive(void *arg, const uint8_t *data, size_t n)
{
    struct uart *u = arg;

    machine_lock(u->dev.env->lock);
    for (size_t i = 0; i < n; i++)
        uart_receive_byte(u, data[i]);
    uart_update_irq(u);
    machine_unlock(u->dev.env->lock);
}

/* A character of zeros that does not end: the guest is told with the next byte that it reads. */
static void uart_receive_break(struct uart *u)
{
    if (u->mcr & MCR_LOOP)
        return;
    uart_receive_byte(u, 0);
    u->lsr |= LSR_BI;
    uart_update_irq(u);
}

static void uart_event(void *arg, enum chardev_event event)
{
    struct uart *u = arg;

    if (event != CHARDEV_BREAK)
        return;
    machine_lock(u->dev.env->lock);
    uart_receive_break(u);
    machine_unlock(u->dev.env->lock);
}

static void uart_writable(void *arg)
{
    struct uart *u = arg;

    machine_lock(u->dev.env->lock);
    if (u->tsr_retry)
        uart_transmit(u);
    machine_unlock(u->dev.env->lock);
}

static const struct chardev_frontend uart_frontend = {
    .can_receive = uart_can_receive,
    .receive = uart_receive,
    .writable = uart_writable,
    .event = uart_event,
};

int uart16550_connect(struct dev *d, struct chardev *chardev, struct ferry_err *err)
{
    struct uart *u = (struct uart *)d;
    int rc = chardev_set_frontend(chardev, &uart_frontend, u, err);

    if (rc == 0)
        u->chardev = chardev;
    return rc;
}

/* --- Life ----------------------------------------------------------------------------------- */

static int uart_create(struct dev *d, struct ferry_err *err)
{
    struct uart *u = (struct uart *)d;

    return guest_timer_new(&u->rx_timer, d->env->clock, uart_rx_timed_out, u, err);
}

static void uart_destroy(struct dev *d)
{
    struct uart *u = (struct uart *)d;

    if (u->chardev)
        chardev_clear_frontend(u->chardev);
    guest_timer_free(u->rx_timer);
}

static void uart_reset(struct dev *d)
{
    struct uart *u = (struct uart *)d;

    u->divider = 0x0c;
    u->rbr = u->thr = u->tsr = 0;
    u->ier = u->lcr = u->scr = u->fcr = 0;
    u->mcr = MCR_OUT2;
    u->lsr = LSR_THRE | LSR_TEMT;
    u->msr = MSR_LINES_READY;
    u->tsr_retry = 0;
    u->thr_ipending = 0;
    u->timeout_ipending = 0;
    uart_fifo_clear(&u->recv_fifo);
    uart_fifo_clear(&u->xmit_fifo);
    uart_set_rx_timeout(u, false);
    uart_update_irq(u);
    uart_offer_room(u);
}

const struct dev_type uart16550_type = {
    .name = "serial",
    .size_bytes = sizeof(struct uart),
    .mmio_bytes = 8,
    .access_sizes = 1 | 2 | 4 | 8,
    .mmio = {.read = uart_read, .write = uart_write},
    .create = uart_create,
    .destroy = uart_destroy,
    .reset = uart_reset,
    .table = &uart_table,
};
