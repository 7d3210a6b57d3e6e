/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "vmm/machine/bus.h"

struct regs {
    const struct machine_lock *lock;
    uint64_t offset, value;
    unsigned size_bytes;
    int calls;
};

static int regs_access(struct regs *r, uint64_t offset, unsigned size_bytes, uint64_t value)
{
    /* The lock is held: it cannot be taken again. */
    assert_int_equal(pthread_mutex_trylock((pthread_mutex_t *)(uintptr_t)&r->lock->mutex), EBUSY);
    *r = (struct regs){r->lock, offset, value, size_bytes, r->calls + 1};
    return offset == 0x10 ? -EFAULT : 0;
}

static int regs_read(void *dev, uint64_t offset, unsigned size_bytes, uint64_t *ret)
{
    *ret = 0x1122334455667788;
    return regs_access(dev, offset, size_bytes, 0);
}

static int regs_write(void *dev, uint64_t offset, unsigned size_bytes, uint64_t value)
{
    return regs_access(dev, offset, size_bytes, value);
}

static const struct bus_ops regs_ops = {.read = regs_read, .write = regs_write};

struct fixture {
    struct machine_lock lock;
    struct bus bus;
    struct regs a, b, c, odd;
};

static int add(struct fixture *f, const char *name, uint64_t base_gpa, uint64_t size_bytes,
               unsigned sizes, struct regs *regs, struct ferry_err *err)
{
    struct bus_region r = {name, base_gpa, size_bytes, sizes, &regs_ops, regs};

    regs->lock = &f->lock;
    return bus_add(&f->bus, &r, err);
}

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    struct ferry_err err;

    pthread_mutex_init(&f->lock.mutex, NULL);
    f->bus.lock = &f->lock;
    assert_int_equal(add(f, "b", 0x2000, 0x100, 4 | 8, &f->b, &err), 0);
    assert_int_equal(add(f, "c", 0x3000, 0x24, 4, &f->c, &err), 0);
    assert_int_equal(add(f, "a", 0x1000, 0x1000, 1 | 2 | 4 | 8, &f->a, &err), 0);
    assert_int_equal(add(f, "odd", 0x4000, 6, 4, &f->odd, &err), 0);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    free(*state);
    return 0;
}

static void an_access_reaches_the_region_of_its_address(void **state)
{
    struct fixture *f = *state;
    uint64_t value = 0;

    assert_int_equal(bus_read(&f->bus, 0x1fff, 1, &value), 0);
    assert_int_equal(f->a.offset, 0xfff);
    assert_int_equal(bus_write(&f->bus, 0x20f8, 8, 0xaabbccddeeff0011), 0);
    assert_int_equal(f->b.offset, 0xf8);
    assert_int_equal(f->b.value, 0xaabbccddeeff0011);
    assert_int_equal(bus_write(&f->bus, 0x3020, 4, 0xaabbccddeeff0011), 0);
    assert_int_equal(f->c.offset, 0x20);
    assert_int_equal(f->c.value, 0xeeff0011); /* no more than the access is wide */
}

static void what_a_region_does_not_accept_faults(void **state)
{
    static const struct {
        uint64_t gpa;
        unsigned size_bytes;
    } bad[] = {
        {0x0fff, 1},         {0x2100, 4}, {0x3024, 4}, {0x2ffc, 4}, {0, 4},
        {UINT64_MAX - 7, 8}, {0x4004, 4}, {0x2000, 1}, {0x2000, 2}, {0x3000, 8}, /* sizes */
        {0x2004, 8},         {0x2002, 4}, {0x1001, 2},                           /* alignment */
    };
    struct fixture *f = *state;

    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        uint64_t value = 42;

        assert_int_equal(bus_read(&f->bus, bad[i].gpa, bad[i].size_bytes, &value), -EFAULT);
        assert_int_equal(value, 42);
        assert_int_equal(bus_write(&f->bus, bad[i].gpa, bad[i].size_bytes, 1), -EFAULT);
    }
    assert_int_equal(f->a.calls + f->b.calls + f->c.calls + f->odd.calls, 0);
}

static void a_device_may_fault_itself(void **state)
{
    struct fixture *f = *state;
    uint64_t value = 42;

    assert_int_equal(bus_read(&f->bus, 0x3010, 4, &value), -EFAULT);
    assert_int_equal(value, 42);
    assert_int_equal(bus_write(&f->bus, 0x3010, 4, 0), -EFAULT);
    assert_int_equal(f->c.calls, 2);
}

static void overlapping_registers_are_refused(void **state)
{
    struct fixture *f = *state;
    struct regs d;
    struct ferry_err err;

    assert_int_equal(add(f, "d", 0x1fff, 1, 4, &d, &err), -EEXIST);
    assert_non_null(strstr(err.text, "\"d\""));
    assert_non_null(strstr(err.text, "\"a\""));
    assert_int_equal(add(f, "d", 0x2f00, 0x101, 4, &d, &err), -EEXIST);
    assert_int_equal(add(f, "d", UINT64_MAX, 2, 4, &d, &err), -ERANGE);
    assert_int_equal(add(f, "d", 0x2f00, 0x100, 4, &d, &err), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(an_access_reaches_the_region_of_its_address, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(what_a_region_does_not_accept_faults, setup, teardown),
        cmocka_unit_test_setup_teardown(a_device_may_fault_itself, setup, teardown),
        cmocka_unit_test_setup_teardown(overlapping_registers_are_refused, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
