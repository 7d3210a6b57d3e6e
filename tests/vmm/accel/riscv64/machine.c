/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/vmm/accel/riscv64/machine.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "vmm/accel/riscv64/futex.h"
#include "vmm/machine/loop.h"

void machine_check(int r, const struct ferry_err *err)
{
    if (r < 0) {
        fprintf(stderr, "%s\n", err->text);
        exit(2);
    }
}

static int uart_read(void *dev, uint64_t offset, unsigned size_bytes, uint64_t *ret)
{
    *ret = offset == 5 ? 0x60 : 0; /* always ready to send */
    return 0;
}

static int uart_write(void *dev, uint64_t offset, unsigned size_bytes, uint64_t value)
{
    struct machine *m = dev;

    if (offset == 0 && m->uart) {
        putc((int)value, m->uart);
        fflush(m->uart);
    }
    return 0;
}

static int finisher_read(void *dev, uint64_t offset, unsigned size_bytes, uint64_t *ret)
{
    *ret = 0;
    return 0;
}

static int finisher_write(void *dev, uint64_t offset, unsigned size_bytes, uint64_t value)
{
    struct machine *m = dev;

    if (offset == 0) {
        atomic_store(&m->finished, (uint32_t)value);
        futex_wake_all(&m->finished);
    }
    return 0;
}

static int mswi_read(void *dev, uint64_t offset, unsigned size_bytes, uint64_t *ret)
{
    struct machine *m = dev;

    *ret = offset / 4 < m->hart_count ? hart_get_irq(m->harts[offset / 4], HART_IRQ_MSI) : 0;
    return 0;
}

static int mswi_write(void *dev, uint64_t offset, unsigned size_bytes, uint64_t value)
{
    struct machine *m = dev;

    if (offset / 4 < m->hart_count)
        hart_set_irq(m->harts[offset / 4], HART_IRQ_MSI, value & 1);
    return 0;
}

/* No timer interrupts: mtimecmp is dropped, mtime stands still. */
static int mtimer_read(void *dev, uint64_t offset, unsigned size_bytes, uint64_t *ret)
{
    *ret = 0;
    return 0;
}

static int mtimer_write(void *dev, uint64_t offset, unsigned size_bytes, uint64_t value)
{
    return 0;
}

static const struct bus_ops mtimer_ops = {mtimer_read, mtimer_write};
static const struct bus_ops uart_ops = {uart_read, uart_write};
static const struct bus_ops finisher_ops = {finisher_read, finisher_write};
static const struct bus_ops mswi_ops = {mswi_read, mswi_write};

void machine_init(struct machine *m, uint32_t hart_count)
{
    struct ferry_err err = {0};
    const struct bus_region regions[4] = {
        {"uart", 0x10000000, 8, 1 | 2 | 4 | 8, &uart_ops, m},
        {"finisher", 0x100000, 0x1000, 2 | 4, &finisher_ops, m},
        {"mswi", 0x2000000, 0x4000, 4, &mswi_ops, m},
        {"mtimer", 0x2004000, 0x8000, 4 | 8, &mtimer_ops, m},
    };

    *m = (struct machine){.hart_count = hart_count, .uart = stdout};
    memcpy(m->regions, regions, sizeof(regions));
    machine_lock_init(&m->lock);
    bus_init(&m->bus, "memory", UINT64_MAX, &m->lock, &m->mem);
    machine_check(loop_new(&m->loop, &err), &err);
    machine_check(guest_clock_new(&m->clock, m->loop, &m->lock, &err), &err);
    machine_check(ferry_ram_new(&m->ram, &err), &err);
    machine_check(ferry_ram_add(m->ram, "ram", MACHINE_RAM_BYTES, &m->region, &err), &err);
    machine_check(guestmem_add(&m->mem, MACHINE_RAM_BASE, m->region, false, &err), &err);
    m->host = ferry_ram_host(m->region);
    for (size_t i = 0; i < sizeof(m->regions) / sizeof(m->regions[0]); i++)
        machine_check(bus_add(&m->bus, &m->regions[i], &err), &err);
    for (uint32_t i = 0; i < hart_count; i++) {
        const struct hart_params params = {
            .size_bytes = sizeof(params),
            .id = i,
            .reset_pc = MACHINE_RAM_BASE,
            .mem = &m->mem,
            .bus = &m->bus,
            .clock = m->clock,
            .ram = m->ram,
        };

        machine_check(hart_new(&m->harts[i], &params, &err), &err);
    }
}

void machine_start(struct machine *m)
{
    guest_clock_start(m->clock);
    for (uint32_t i = 0; i < m->hart_count; i++)
        hart_run(m->harts[i]);
}

void machine_stop(struct machine *m)
{
    for (uint32_t i = 0; i < m->hart_count; i++)
        hart_stop_request(m->harts[i]);
    for (uint32_t i = 0; i < m->hart_count; i++)
        hart_stop_wait(m->harts[i]);
    guest_clock_stop(m->clock);
}

uint32_t machine_wait(struct machine *m, int64_t timeout_ns)
{
    int64_t deadline_ns = clock_monotonic_ns() + timeout_ns;
    uint32_t finished;

    while (!(finished = atomic_load(&m->finished)) && clock_monotonic_ns() < deadline_ns)
        futex_wait(&m->finished, 0, deadline_ns);
    return finished;
}

void machine_free(struct machine *m)
{
    for (uint32_t i = 0; i < m->hart_count; i++)
        hart_free(m->harts[i]);
    guest_clock_free(m->clock);
    loop_free(m->loop);
    ferry_ram_free(m->ram);
    machine_lock_destroy(&m->lock);
}
