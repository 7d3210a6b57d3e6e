/* SPDX-License-Identifier: Apache-2.0 */
/* What a 16550 saves: QEMU's "serial", a struct inside a struct of the same name. */
#include <errno.h>

#include "base/err.h"
#include "vmm/dev/uart16550_model.h"

static bool uart_thr_ipending_needed(const void *obj)
{
    const struct uart *u = obj;

    /* Else it can be told from IIR. */
    return (u->ier & IER_THRE) && (u->thr_ipending != 0) != ((u->iir & IIR_CAUSE) == IIR_THRE);
}

static bool uart_tsr_needed(const void *obj)
{
    return ((const struct uart *)obj)->tsr_retry != 0;
}

static bool uart_recv_fifo_needed(const void *obj)
{
    return ((const struct uart *)obj)->recv_fifo.num != 0;
}

static bool uart_xmit_fifo_needed(const void *obj)
{
    return ((const struct uart *)obj)->xmit_fifo.num != 0;
}

static bool uart_rx_timeout_needed(const void *obj)
{
    return ((const struct uart *)obj)->rx_timeout_ns != UART_NOT_ARMED;
}

static bool uart_timeout_ipending_needed(const void *obj)
{
    return ((const struct uart *)obj)->timeout_ipending != 0;
}

static bool uart_poll_needed(const void *obj)
{
    return false;
}

/* What a missing subsection means. */
static void uart_pre_load(void *scratch)
{
    struct uart *u = scratch;

    u->thr_ipending = UART_NOT_LOADED;
    u->tsr_retry = 0;
    u->timeout_ipending = 0;
    u->rx_timeout_ns = UART_NOT_ARMED;
    uart_fifo_clear(&u->recv_fifo);
    uart_fifo_clear(&u->xmit_fifo);
}

static int uart_check(const void *scratch, struct ferry_err *err)
{
    const struct uart *u = scratch;

    if (u->fcr & ~FCR_STORED)
        return err_set(err, EINVAL, "fcr is 0x%02x, only bits of 0x%02x can be set", u->fcr,
                       FCR_STORED);
    if (u->tsr_retry && (u->lsr & LSR_TEMT))
        return err_set(err, EINVAL, "a byte waits to be sent (tsr_retry %u) but LSR.TEMT is 1",
                       u->tsr_retry);
    if (!u->tsr_retry && !(u->lsr & LSR_TEMT))
        return err_set(err, EINVAL, "no byte waits to be sent (tsr_retry 0) but LSR.TEMT is 0");
    if ((u->lsr & LSR_TEMT) && !(u->lsr & LSR_THRE))
        return err_set(err, EINVAL, "LSR.TEMT is 1 but LSR.THRE is 0");
    if ((u->lsr & LSR_THRE) && u->xmit_fifo.num)
        return err_set(err, EINVAL, "the send FIFO holds %u bytes but LSR.THRE is 1",
                       u->xmit_fifo.num);
    if (!(u->fcr & FCR_ENABLE) && (u->xmit_fifo.num || u->recv_fifo.num))
        return err_set(err, EINVAL, "the FIFOs are off but hold %u received and %u unsent bytes",
                       u->recv_fifo.num, u->xmit_fifo.num);
    return 0;
}

static void uart_post_load(void *obj)
{
    struct uart *u = obj;

    if (u->thr_ipending == UART_NOT_LOADED)
        u->thr_ipending = (u->iir & IIR_CAUSE) == IIR_THRE;
    if (u->rx_timeout_ns > INT64_MAX)
        u->rx_timeout_ns = UART_NOT_ARMED;
    guest_timer_set(u->rx_timer,
                    u->rx_timeout_ns == UART_NOT_ARMED ? INT64_MAX : (int64_t)u->rx_timeout_ns);
    uart_update_irq(u);
}

static const struct ferry_field fifo_fields[] = {
    FERRY_BYTES(struct uart_fifo, data),
    FERRY_U32(struct uart_fifo, head, .max = UART_FIFO_BYTES - 1),
    FERRY_U32(struct uart_fifo, num, .max = UART_FIFO_BYTES),
};

static const struct ferry_table fifo_table = {
    .name = "Fifo8",
    .version = 1,
    .minimum_version = 1,
    FERRY_FIELDS(fifo_fields),
};

static const struct ferry_field thr_ipending_fields[] = {
    FERRY_U32(struct uart, thr_ipending, .max = 1, .type_name = "int32"),
};

static const struct ferry_field tsr_fields[] = {
    FERRY_U32(struct uart, tsr_retry, .max = 4),
    FERRY_U8(struct uart, thr),
    FERRY_U8(struct uart, tsr),
};

static const struct ferry_field recv_fifo_fields[] = {
    FERRY_STRUCT(struct uart, recv_fifo, &fifo_table),
};

static const struct ferry_field xmit_fifo_fields[] = {
    FERRY_STRUCT(struct uart, xmit_fifo, &fifo_table),
};

static const struct ferry_field rx_timeout_fields[] = {
    FERRY_U64(struct uart, rx_timeout_ns, .wire_name = "fifo_timeout_timer", .type_name = "timer"),
};

static const struct ferry_field timeout_ipending_fields[] = {
    FERRY_U32(struct uart, timeout_ipending, .max = 1, .type_name = "int32"),
};

static const struct ferry_field poll_fields[] = {
    FERRY_U32(struct uart, poll_msl, .type_name = "int32"),
    FERRY_U64(struct uart, modem_status_poll, .type_name = "timer"),
};

#define UART_SUBSECTION(what, fields, needed_)                                            \
    &(const struct ferry_table)                                                           \
    {                                                                                     \
        .name = "serial/" what, .version = 1, .minimum_version = 1, FERRY_FIELDS(fields), \
        .needed = (needed_),                                                              \
    }

static const struct ferry_table *const uart_subsections[] = {
    UART_SUBSECTION("thr_ipending", thr_ipending_fields, uart_thr_ipending_needed),
    UART_SUBSECTION("tsr", tsr_fields, uart_tsr_needed),
    UART_SUBSECTION("recv_fifo", recv_fifo_fields, uart_recv_fifo_needed),
    UART_SUBSECTION("xmit_fifo", xmit_fifo_fields, uart_xmit_fifo_needed),
    UART_SUBSECTION("fifo_timeout_timer", rx_timeout_fields, uart_rx_timeout_needed),
    UART_SUBSECTION("timeout_ipending", timeout_ipending_fields, uart_timeout_ipending_needed),
    UART_SUBSECTION("poll", poll_fields, uart_poll_needed),
    NULL,
};

static const struct ferry_field uart_fields[] = {
    FERRY_U16(struct uart, divider),
    FERRY_U8(struct uart, rbr),
    FERRY_U8(struct uart, ier, .max = IER_MASK),
    FERRY_U8(struct uart, iir),
    FERRY_U8(struct uart, lcr),
    FERRY_U8(struct uart, mcr, .max = MCR_MASK),
    FERRY_U8(struct uart, lsr),
    FERRY_U8(struct uart, msr),
    FERRY_U8(struct uart, scr),
    FERRY_U8(struct uart, fcr, .wire_name = "fcr_vmstate"),
};

static const struct ferry_table uart_regs_table = {
    .name = "serial",
    .version = 3,
    .minimum_version = 3,
    FERRY_FIELDS(uart_fields),
    .subsections = uart_subsections,
};

static const struct ferry_field uart_outer_fields[] = {
    FERRY_SELF(struct uart, "serial", &uart_regs_table),
};

const struct ferry_table uart_table = {
    .name = "serial",
    .version = 3,
    .minimum_version = 3,
    FERRY_FIELDS(uart_outer_fields),
    .pre_load = uart_pre_load,
    .check = uart_check,
    .post_load = uart_post_load,
};
