/* SPDX-License-Identifier: Apache-2.0 */
/* A controller of messages and one device that may have a line or a message. */
#include "tests/unit.h"

#include <errno.h>

#include "vmm/machine/bus.h"
#include "vmm/machine/irq.h"
#include "vmm/machine/msi.h"

#define FILE_ADDRESS UINT64_C(0x28000000)
#define VECTORS      16

/* An interrupt file: a store of a vector's number makes it pending, whoever stores. */
struct controller {
    struct bus_region region;
    uint32_t pending;
    bool line;
    int dropped;
};

static int file_read(void *dev, uint64_t offset, unsigned size_bytes, uint64_t *ret)
{
    *ret = 0;
    return 0;
}

static int file_write(void *dev, uint64_t offset, unsigned size_bytes, uint64_t value)
{
    struct controller *c = dev;

    if (offset != 0 || value >= VECTORS)
        return -EFAULT;
    c->pending |= 1u << value;
    return 0;
}

static void file_send(void *controller, struct msi_message message)
{
    struct controller *c = controller;

    if (message.address != c->region.base || file_write(c, 0, 4, message.data))
        c->dropped++;
}

static void file_set_line(void *controller, unsigned source, bool level)
{
    ((struct controller *)controller)->line = level;
}

/* What a device has of both; a guest that has not set its vector up gets the line. */
struct device {
    struct irq_line line;
    struct msi_sink sink;
    bool enabled;
    struct msi_message vector;
};

static void interrupt(const struct device *d)
{
    if (d->enabled && msi_has_controller(&d->sink))
        msi_send(&d->sink, d->vector);
    else
        irq_set(&d->line, true);
}

static void a_message_reaches_its_controller_as_a_store_of_a_hart_does(void **state)
{
    static const struct bus_ops ops = {file_read, file_write};
    struct controller c = {.region = {"file", FILE_ADDRESS, 0x1000, 4, &ops, &c}};
    struct device d = {
        .line = {.set = file_set_line, .controller = &c},
        .sink = {.send = file_send, .controller = &c},
        .vector = {FILE_ADDRESS, 5},
    };
    struct machine_lock lock;
    struct ferry_err err;
    struct bus bus;

    machine_lock_init(&lock);
    bus_init(&bus, "memory", UINT64_MAX, &lock, NULL);
    assert_int_equal(bus_add(&bus, &c.region, &err), 0);
    interrupt(&d);
    assert_true(c.line);
    assert_int_equal(c.pending, 0);
    d.enabled = true;
    interrupt(&d);
    assert_int_equal(c.pending, 1u << 5);
    assert_int_equal(bus_write(&bus, FILE_ADDRESS, 4, 6), 0);
    assert_int_equal(c.pending, 1u << 5 | 1u << 6);
    /* The guest may say anything. */
    d.vector.data = UINT32_MAX;
    interrupt(&d);
    d.vector = (struct msi_message){UINT64_MAX, 1};
    interrupt(&d);
    assert_int_equal(c.dropped, 2);
    assert_int_equal(c.pending, 1u << 5 | 1u << 6);
    machine_lock_destroy(&lock);
}

static void a_machine_without_a_controller_has_lines(void **state)
{
    struct controller c = {0};
    struct device d = {
        .line = {.set = file_set_line, .controller = &c},
        .enabled = true,
        .vector = {FILE_ADDRESS, 5},
    };

    assert_false(msi_has_controller(&d.sink));
    msi_send(&d.sink, d.vector);
    interrupt(&d);
    assert_true(c.line);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_message_reaches_its_controller_as_a_store_of_a_hart_does),
        cmocka_unit_test(a_machine_without_a_controller_has_lines),
    };

    return cmocka_run_group_tests_name("vmm/machine/msi", tests, NULL, NULL);
}
