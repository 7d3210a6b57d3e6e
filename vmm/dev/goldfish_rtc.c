/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/dev/goldfish_rtc.h"

#include "base/clock.h"

enum {
    RTC_TIME_LOW = 0x00, /* reading latches the high half */
    RTC_TIME_HIGH = 0x04,
    RTC_ALARM_LOW = 0x08, /* writing arms, so a driver writes HIGH first */
    RTC_ALARM_HIGH = 0x0c,
    RTC_IRQ_ENABLED = 0x10,
    RTC_CLEAR_ALARM = 0x14,
    RTC_ALARM_STATUS = 0x18,
    RTC_CLEAR_INTERRUPT = 0x1c,
};

struct rtc {
    struct dev dev;
    struct guest_timer *alarm;

    uint64_t tick_offset_vmstate; /* of older QEMU; handed back as it came */
    uint64_t alarm_next;          /* ns since the epoch, on this clock */
    uint32_t alarm_running;
    uint32_t irq_pending;
    uint32_t irq_enabled;
    uint32_t time_high;   /* latch */
    uint64_t tick_offset; /* ns to add to the clock that drives it, modulo 2^64 */
    bool stands;          /* that is the guest's clock, else the host's time of day */
};

static uint64_t rtc_ticks_ns(const struct rtc *r)
{
    return (uint64_t)(r->stands ? guest_clock_ns(r->dev.env->clock) : clock_realtime_ns());
}

static uint64_t rtc_now_ns(const struct rtc *r)
{
    return rtc_ticks_ns(r) + r->tick_offset;
}

void goldfish_rtc_stand_with_guest(struct dev *d)
{
    struct rtc *r = (struct rtc *)d;
    uint64_t now_ns = rtc_now_ns(r);

    r->stands = true;
    r->tick_offset = now_ns - rtc_ticks_ns(r);
}

static void rtc_update_irq(struct rtc *r)
{
    irq_set(&r->dev.irq, r->irq_pending && r->irq_enabled);
}

/* The alarm is due on the RTC, the timer runs on the guest's clock: both advance alike while the
 * guest runs, and rtc_resume() sets the timer anew after it has not. */
static void rtc_set_alarm(struct rtc *r)
{
    int64_t guest_now_ns = guest_clock_ns(r->dev.env->clock), deadline_ns = INT64_MAX;
    uint64_t now_ns = rtc_now_ns(r);

    if (r->alarm_running && r->alarm_next <= now_ns) {
        r->alarm_running = 0;
        r->irq_pending = 1;
        rtc_update_irq(r);
    } else if (r->alarm_running && r->alarm_next - now_ns < (uint64_t)(INT64_MAX - guest_now_ns)) {
        deadline_ns = guest_now_ns + (int64_t)(r->alarm_next - now_ns);
    }
    guest_timer_set(r->alarm, deadline_ns);
}

static void rtc_alarm_due(void *arg)
{
    rtc_set_alarm(arg);
}

static uint64_t rtc_set_low(uint64_t old, uint64_t value)
{
    return (old & ~(uint64_t)UINT32_MAX) | (value & UINT32_MAX);
}

static uint64_t rtc_set_high(uint64_t old, uint64_t value)
{
    return (old & UINT32_MAX) | value << 32;
}

static int rtc_read(void *dev, uint64_t offset, unsigned size_bytes, uint64_t *ret)
{
    struct rtc *r = dev;
    uint64_t now_ns;

    *ret = 0;
    switch (offset) {
    case RTC_TIME_LOW:
        now_ns = rtc_now_ns(r);
        r->time_high = (uint32_t)(now_ns >> 32);
        *ret = now_ns & UINT32_MAX;
        break;
    case RTC_TIME_HIGH:
        *ret = r->time_high;
        break;
    case RTC_ALARM_LOW:
        *ret = r->alarm_next & UINT32_MAX;
        break;
    case RTC_ALARM_HIGH:
        *ret = r->alarm_next >> 32;
        break;
    case RTC_IRQ_ENABLED:
        *ret = r->irq_enabled;
        break;
    case RTC_ALARM_STATUS:
        *ret = r->alarm_running;
        break;
    }
    return 0;
}

static int rtc_write(void *dev, uint64_t offset, unsigned size_bytes, uint64_t value)
{
    struct rtc *r = dev;
    uint64_t now_ns = rtc_now_ns(r);

    switch (offset) {
    case RTC_TIME_LOW:
        r->tick_offset += rtc_set_low(now_ns, value) - now_ns;
        rtc_set_alarm(r);
        break;
    case RTC_TIME_HIGH:
        r->tick_offset += rtc_set_high(now_ns, value) - now_ns;
        rtc_set_alarm(r);
        break;
    case RTC_ALARM_LOW:
        r->alarm_next = rtc_set_low(r->alarm_next, value);
        r->alarm_running = 1;
        rtc_set_alarm(r);
        break;
    case RTC_ALARM_HIGH:
        r->alarm_next = rtc_set_high(r->alarm_next, value);
        break;
    case RTC_IRQ_ENABLED:
        r->irq_enabled = value & 1;
        rtc_update_irq(r);
        break;
    case RTC_CLEAR_ALARM:
        r->alarm_running = 0;
        rtc_set_alarm(r);
        break;
    case RTC_CLEAR_INTERRUPT:
        r->irq_pending = 0;
        rtc_update_irq(r);
        break;
    }
    return 0;
}

static int rtc_create(struct dev *d, struct ferry_err *err)
{
    struct rtc *r = (struct rtc *)d;

    return guest_timer_new(&r->alarm, d->env->clock, rtc_alarm_due, r, err);
}

static void rtc_destroy(struct dev *d)
{
    guest_timer_free(((struct rtc *)d)->alarm);
}

/* The time of day survives. */
static void rtc_reset(struct dev *d)
{
    struct rtc *r = (struct rtc *)d;

    r->alarm_next = 0;
    r->alarm_running = 0;
    r->irq_pending = 0;
    r->irq_enabled = 0;
    rtc_set_alarm(r);
    rtc_update_irq(r);
}

static void rtc_post_load(void *obj)
{
    struct rtc *r = obj;

    rtc_set_alarm(r);
    rtc_update_irq(r);
}

static void rtc_resume(void *obj)
{
    struct rtc *r = obj;

    machine_lock(r->dev.env->lock);
    rtc_set_alarm(r);
    machine_unlock(r->dev.env->lock);
}

static const struct ferry_field rtc_fields[] = {
    FERRY_U64(struct rtc, tick_offset_vmstate),
    FERRY_U64(struct rtc, alarm_next),
    FERRY_U32(struct rtc, alarm_running, .max = 1),
    FERRY_U32(struct rtc, irq_pending, .max = 1),
    FERRY_U32(struct rtc, irq_enabled, .max = 1),
    FERRY_U32(struct rtc, time_high),
    FERRY_U64(struct rtc, tick_offset),
};

static const struct ferry_table rtc_table = {
    .name = "goldfish_rtc",
    .version = 3,
    .minimum_version = 3,
    FERRY_FIELDS(rtc_fields),
    .post_load = rtc_post_load,
};

static const struct ferry_part_ops rtc_part_ops = {.resume = rtc_resume};

const struct dev_type goldfish_rtc_type = {
    .name = "goldfish_rtc",
    .size_bytes = sizeof(struct rtc),
    .mmio_bytes = 0x24,
    .access_sizes = 4,
    .mmio = {.read = rtc_read, .write = rtc_write},
    .create = rtc_create,
    .destroy = rtc_destroy,
    .reset = rtc_reset,
    .table = &rtc_table,
    .part_ops = &rtc_part_ops,
};
