/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/dev/aclint.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>

#include "base/err.h"
#include "base/num.h"
#include "vmm/machine/config.h"
#include "vmm/machine/mtime.h"

/* --- MSWI: 4 bytes per hart, of which bit 0 is the hart's MSIP ------------------------------ */

struct mswi {
    struct dev dev;
    struct mswi_output outputs[CONFIG_HARTS_MAX];
};

void mswi_connect(struct dev *d, uint32_t hart, struct mswi_output output)
{
    struct mswi *m = (struct mswi *)d;

    assert(hart < d->env->hart_count);
    m->outputs[hart] = output;
}

static int mswi_read(void *dev, uint64_t offset, unsigned size_bytes, uint64_t *ret)
{
    const struct mswi *m = dev;
    uint64_t hart = offset / 4;

    *ret = 0;
    if (hart < m->dev.env->hart_count && m->outputs[hart].level) {
        const struct mswi_output *o = &m->outputs[hart];

        *ret = o->level(o->line.controller, o->line.source);
    }
    return 0;
}

static int mswi_write(void *dev, uint64_t offset, unsigned size_bytes, uint64_t value)
{
    const struct mswi *m = dev;
    uint64_t hart = offset / 4;

    if (hart < m->dev.env->hart_count)
        irq_set(&m->outputs[hart].line, value & 1);
    return 0;
}

static void mswi_reset(struct dev *d)
{
    const struct mswi *m = (struct mswi *)d;

    for (uint32_t hart = 0; hart < d->env->hart_count; hart++)
        irq_set(&m->outputs[hart].line, false);
}

const struct dev_type mswi_type = {
    .name = "riscv.aclint.swi",
    .size_bytes = sizeof(struct mswi),
    .mmio_bytes = 0x4000,
    .access_sizes = 4,
    .mmio = {.read = mswi_read, .write = mswi_write},
    .reset = mswi_reset,
};

/* --- MTIMER: mtime, and an mtimecmp per hart ------------------------------------------------ */

enum { MTIMER_MTIME_OFFSET = 0x7ff8 };

struct mtimer_hart {
    struct mtimer *mtimer;
    struct irq_line mtip;
    struct guest_timer *timer; /* until mtime reaches mtimecmp */
};

struct mtimer {
    struct dev dev;
    uint32_t hart_count;
    struct mtimer_hart harts[CONFIG_HARTS_MAX];
    uint64_t timecmp[CONFIG_HARTS_MAX];
    struct {
        uint64_t time_delta; /* mtime less the clock's; 0 here */
        uint64_t timer_ns[CONFIG_HARTS_MAX];
    } wire;
};

void mtimer_connect(struct dev *d, uint32_t hart, struct irq_line mtip)
{
    struct mtimer *m = (struct mtimer *)d;

    assert(hart < m->hart_count);
    m->harts[hart].mtip = mtip;
}

static uint64_t mtimer_now(const struct mtimer *m)
{
    return (uint64_t)guest_clock_ns(m->dev.env->clock) / MTIME_TICK_NS;
}

/* MTIP is a level: mtimecmp <= mtime. While it is low a timer waits to raise it. */
static void mtimer_update(struct mtimer *m, uint32_t hart)
{
    struct mtimer_hart *h = &m->harts[hart];
    bool due = m->timecmp[hart] <= mtimer_now(m);
    int64_t deadline_ns = INT64_MAX;

    irq_set(&h->mtip, due);
    if (!due && m->timecmp[hart] <= INT64_MAX / MTIME_TICK_NS)
        deadline_ns = (int64_t)m->timecmp[hart] * MTIME_TICK_NS;
    guest_timer_set(h->timer, deadline_ns);
}

static void mtimer_update_all(struct mtimer *m)
{
    for (uint32_t hart = 0; hart < m->hart_count; hart++)
        mtimer_update(m, hart);
}

static void mtimer_expired(void *arg)
{
    struct mtimer_hart *h = arg;

    mtimer_update(h->mtimer, (uint32_t)(h - h->mtimer->harts));
}

/* The value that a 4 byte (of either half) or 8 byte access leaves in an 8 byte register. */
static uint64_t mtimer_merge(uint64_t old, uint64_t offset, unsigned size_bytes, uint64_t value)
{
    if (size_bytes == 8)
        return value;
    if (offset & 4)
        return (old & UINT32_MAX) | value << 32;
    return (old & ~(uint64_t)UINT32_MAX) | (value & UINT32_MAX);
}

static int mtimer_read(void *dev, uint64_t offset, unsigned size_bytes, uint64_t *ret)
{
    const struct mtimer *m = dev;
    uint64_t value = 0;

    if (offset / 8 < m->hart_count)
        value = m->timecmp[offset / 8];
    else if ((offset & ~7ull) == MTIMER_MTIME_OFFSET)
        value = mtimer_now(m);
    if (offset & 4)
        value >>= 32;
    *ret = size_bytes == 8 ? value : value & UINT32_MAX;
    return 0;
}

static int mtimer_write(void *dev, uint64_t offset, unsigned size_bytes, uint64_t value)
{
    struct mtimer *m = dev;
    uint64_t hart = offset / 8;

    if (hart < m->hart_count) {
        m->timecmp[hart] = mtimer_merge(m->timecmp[hart], offset, size_bytes, value);
        mtimer_update(m, (uint32_t)hart);
    } else if ((offset & ~7ull) == MTIMER_MTIME_OFFSET) {
        uint64_t mtime = mtimer_merge(mtimer_now(m), offset, size_bytes, value);

        /* The guest clock is mtime, so that saved state needs no offset between the two. */
        mtime = num_min(mtime, CLOCK_SET_NS_MAX / MTIME_TICK_NS);
        guest_clock_set(m->dev.env->clock, (int64_t)mtime * MTIME_TICK_NS);
        mtimer_update_all(m);
    }
    return 0;
}

static int mtimer_create(struct dev *d, struct ferry_err *err)
{
    struct mtimer *m = (struct mtimer *)d;

    assert(d->env->hart_count <= CONFIG_HARTS_MAX);
    m->hart_count = d->env->hart_count;
    for (uint32_t hart = 0; hart < m->hart_count; hart++) {
        struct mtimer_hart *h = &m->harts[hart];
        int rc = guest_timer_new(&h->timer, d->env->clock, mtimer_expired, h, err);

        if (rc)
            return rc;
        h->mtimer = m;
    }
    return 0;
}

static void mtimer_destroy(struct dev *d)
{
    struct mtimer *m = (struct mtimer *)d;

    for (uint32_t hart = 0; hart < m->hart_count; hart++)
        guest_timer_free(m->harts[hart].timer);
}

/* mtimecmp survives a reset, as on QEMU's machine; mtime does not. */
static void mtimer_reset(struct dev *d)
{
    struct mtimer *m = (struct mtimer *)d;

    guest_clock_reset(d->env->clock);
    mtimer_update_all(m);
}

static void mtimer_post_load(void *obj)
{
    mtimer_update_all(obj);
}

static const struct ferry_field mtimer_fields[] = {
    FERRY_U64_VARRAY(struct mtimer, timecmp, hart_count),
};

static const struct ferry_table mtimer_table = {
    .name = "riscv_mtimer",
    .version = 1,
    .minimum_version = 1,
    FERRY_FIELDS(mtimer_fields),
    .post_load = mtimer_post_load,
};

/* Version 3 has what version 1 leaves to be derived. */
static void mtimer3_pre_save(void *obj)
{
    struct mtimer *m = obj;

    m->wire.time_delta = 0;
    for (uint32_t hart = 0; hart < m->hart_count; hart++) {
        bool runs =
            m->timecmp[hart] > mtimer_now(m) && m->timecmp[hart] <= INT64_MAX / MTIME_TICK_NS;

        m->wire.timer_ns[hart] = runs ? m->timecmp[hart] * MTIME_TICK_NS : UINT64_MAX;
    }
}

static int mtimer3_check(const void *scratch, struct ferry_err *err)
{
    int64_t delta = (int64_t)((const struct mtimer *)scratch)->wire.time_delta;
    int64_t limit = CLOCK_SET_NS_MAX / MTIME_TICK_NS;

    if (delta < -limit || delta > limit)
        return err_set(err, EINVAL,
                       "mtime is %" PRId64 " ticks from the clock, the limit is %" PRId64, delta,
                       limit);
    return 0;
}

/* A sender whose guest was reset has a clock of its own for mtime; here the clock is mtime. */
static void mtimer3_post_load(void *obj)
{
    struct mtimer *m = obj;
    struct guest_clock *clock = m->dev.env->clock;
    int64_t delta_ns = (int64_t)m->wire.time_delta * MTIME_TICK_NS;
    int64_t now_ns = guest_clock_ns(clock);

    if (delta_ns)
        guest_clock_set(clock, delta_ns < -now_ns ? 0 : now_ns + delta_ns);
    m->wire.time_delta = 0;
    mtimer_update_all(m);
}

static const struct ferry_field mtimer3_fields[] = {
    FERRY_U64(struct mtimer, wire.time_delta, .wire_name = "time_delta"),
    FERRY_U64_VARRAY(struct mtimer, timecmp, hart_count),
    FERRY_U64_VARRAY(struct mtimer, wire.timer_ns, hart_count, .wire_name = "timers",
                     .type_name = "timer"),
};

static const struct ferry_table mtimer3_table = {
    .name = "riscv_mtimer",
    .version = 3,
    .minimum_version = 3,
    FERRY_FIELDS(mtimer3_fields),
    .pre_save = mtimer3_pre_save,
    .check = mtimer3_check,
    .post_load = mtimer3_post_load,
};

#define MTIMER_TYPE(type_name, state_table)                                             \
    {                                                                                   \
        .name = (type_name), .size_bytes = sizeof(struct mtimer), .mmio_bytes = 0x8000, \
        .access_sizes = 4 | 8, .mmio = {.read = mtimer_read, .write = mtimer_write},    \
        .create = mtimer_create, .destroy = mtimer_destroy, .reset = mtimer_reset,      \
        .table = (state_table),                                                         \
    }

const struct dev_type mtimer_type = MTIMER_TYPE("riscv.aclint.mtimer", &mtimer_table);
const struct dev_type mtimer3_type = MTIMER_TYPE("riscv.aclint.mtimer v3", &mtimer3_table);
