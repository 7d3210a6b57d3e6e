/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit.h"

#include "tests/vmm/dev/rig.h"

#include <stdlib.h>

#include "base/clock.h"

static void rig_set_line(void *controller, unsigned number, bool level)
{
    struct rig *r = controller;

    r->raised[number] += level && !r->level[number];
    r->level[number] = level;
}

struct irq_line rig_line(struct rig *r, unsigned number)
{
    return (struct irq_line){.set = rig_set_line, .controller = r, .source = number};
}

bool rig_get_level(void *controller, unsigned number)
{
    return ((struct rig *)controller)->level[number];
}

static void rig_power_off(void *machine, int exit_code)
{
    struct rig *r = machine;

    r->power_offs++;
    r->exit_code = exit_code;
}

static void rig_reset(void *machine)
{
    ((struct rig *)machine)->resets++;
}

struct rig *rig_new(const struct dev_type *type, uint32_t hart_count)
{
    struct rig *r = calloc(1, sizeof(*r));
    struct ferry_err err = {0};

    assert_non_null(r);
    machine_lock_init(&r->lock);
    assert_int_equal(loop_new(&r->loop, &err), 0);
    assert_int_equal(guest_clock_new(&r->clock, r->loop, &r->lock, &err), 0);
    r->env = (struct dev_env){
        .mem = &r->mem,
        .loop = r->loop,
        .lock = &r->lock,
        .clock = r->clock,
        .hart_count = hart_count,
        .power_off = rig_power_off,
        .reset = rig_reset,
        .machine = r,
    };
    assert_int_equal(dev_new(&r->dev, type, &r->env, rig_line(r, 0), type->name, 0, &err), 0);
    bus_init(&r->bus, "memory", UINT64_MAX, &r->lock, &r->mem);
    if (r->dev->region.size_bytes)
        assert_int_equal(bus_add(&r->bus, &r->dev->region, &err), 0);
    return r;
}

void rig_free(struct rig *r)
{
    dev_free(r->dev);
    guest_clock_free(r->clock);
    loop_timer_free(r->end);
    loop_free(r->loop);
    machine_lock_destroy(&r->lock);
    free(r);
}

static void rig_stop(void *arg)
{
    loop_stop(arg);
}

void rig_run_for(struct rig *r, int64_t ns)
{
    struct ferry_err err;

    if (!r->end)
        assert_int_equal(loop_timer_new(&r->end, r->loop, rig_stop, r->loop, &err), 0);
    loop_timer_set(r->end, clock_monotonic_ns() + ns);
    loop_run(r->loop);
}

uint64_t rig_read(struct rig *r, uint64_t offset, unsigned size_bytes)
{
    uint64_t value = 0;

    assert_int_equal(bus_read(&r->bus, offset, size_bytes, &value), 0);
    return value;
}

void rig_write(struct rig *r, uint64_t offset, unsigned size_bytes, uint64_t value)
{
    assert_int_equal(bus_write(&r->bus, offset, size_bytes, value), 0);
}

void *rig_make_dev(void *arg)
{
    const struct rig_contract *c = arg;

    return rig_new(c->type, c->hart_count)->dev;
}

struct rig *rig_of(const void *dev)
{
    return ((const struct dev *)dev)->env->machine;
}

void rig_destroy_dev(void *dev)
{
    rig_free(rig_of(dev));
}
