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
    struct bus_region region;
};

static int regs_access(struct regs *r, uint64_t offset, unsigned size_bytes, uint64_t value)
{
    /* The lock is held: it cannot be taken again. */
    assert_int_equal(pthread_mutex_trylock((pthread_mutex_t *)(uintptr_t)&r->lock->mutex), EBUSY);
    r->offset = offset;
    r->value = value;
    r->size_bytes = size_bytes;
    r->calls++;
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
    struct guestmem mem; /* none, unless a test adds it */
    struct bus bus, io;
    struct regs a, b, c, odd;
};

static int add(struct fixture *f, const char *name, uint64_t base, uint64_t size_bytes,
               unsigned sizes, struct regs *regs, struct ferry_err *err)
{
    regs->lock = &f->lock;
    regs->region = (struct bus_region){name, base, size_bytes, sizes, &regs_ops, regs};
    return bus_add(&f->bus, &regs->region, err);
}

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    struct ferry_err err;

    machine_lock_init(&f->lock);
    bus_init(&f->bus, "memory", UINT64_MAX, &f->lock, &f->mem);
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

/* I/O ports are a bus of their own: the same numbers, other registers, and fewer of them. */
static void address_spaces_are_apart(void **state)
{
    struct fixture *f = *state;
    struct regs port = {.lock = &f->lock};
    struct bus_region at_end = {"port", 0xfff0, 16, 1 | 2, &regs_ops, &port}, r = at_end;
    uint64_t value = 0;
    struct ferry_err err;

    bus_init(&f->io, "I/O ports", 0xffff, &f->lock, NULL);
    assert_int_equal(bus_read(&f->io, 0x1000, 1, &value), -EFAULT);
    assert_int_equal(bus_add(&f->io, &at_end, &err), 0);
    assert_int_equal(bus_read(&f->io, 0xffff, 1, &value), 0);
    assert_int_equal(port.offset, 15);
    assert_int_equal(bus_read(&f->bus, 0xffff, 1, &value), -EFAULT);
    assert_int_equal(bus_write(&f->bus, 0x1000, 1, 5), 0);
    assert_int_equal(port.calls, 1);
    r.base = 0xfff1;
    assert_int_equal(bus_add(&f->io, &r, &err), -ERANGE);
    assert_non_null(strstr(err.text, "\"port\", 16 bytes"));
    assert_non_null(strstr(err.text, "0xfff1 of I/O ports, which ends at 0xffff"));
    r.base = 0x10000;
    assert_int_equal(bus_add(&f->io, &r, &err), -ERANGE);
    r.base = 0;
    r.size_bytes = 0;
    assert_int_equal(bus_add(&f->io, &r, &err), -ERANGE);
}

/* To the last byte of an address space, and not past it. */
static void registers_may_end_where_addresses_do(void **state)
{
    struct fixture *f = *state;
    struct regs d, e;
    uint64_t value;
    struct ferry_err err;

    assert_int_equal(add(f, "d", UINT64_MAX - 2, 4, 4, &d, &err), -ERANGE);
    assert_int_equal(add(f, "d", UINT64_MAX - 3, 4, 4, &d, &err), 0);
    assert_int_equal(bus_read(&f->bus, UINT64_MAX - 3, 4, &value), 0);
    assert_int_equal(add(f, "e", UINT64_MAX, 1, 1, &e, &err), -EEXIST);
}

/* --- Changes --- */

static int reach(struct fixture *f, uint64_t address)
{
    uint64_t value;

    return bus_read(&f->bus, address, 4, &value);
}

static void registers_answer_where_they_have_moved(void **state)
{
    struct fixture *f = *state;
    struct ferry_err err;

    assert_int_equal(bus_move(&f->bus, &f->a.region, 0x8000, &err), 0);
    assert_int_equal(reach(f, 0x1000), -EFAULT);
    assert_int_equal(reach(f, 0x8ffc), 0);
    assert_int_equal(f->a.offset, 0xffc);
    assert_int_equal(bus_move(&f->bus, &f->c.region, 0, &err), 0);
    assert_int_equal(reach(f, 0x20), 0);
    assert_int_equal(f->c.offset, 0x20);
    /* By less than they are long. */
    assert_int_equal(bus_move(&f->bus, &f->b.region, 0x2080, &err), 0);
    assert_int_equal(reach(f, 0x2000), -EFAULT);
    assert_int_equal(reach(f, 0x217c), 0);
    assert_int_equal(f->b.offset, 0xfc);
}

static void registers_that_may_not_move_stay(void **state)
{
    static const struct {
        uint64_t base;
        int rc;
        const char *text;
    } bad[] = {
        {0x1fff, -EEXIST, "\"b\" at 0x1fff of memory overlap \"a\" at 0x1000"},
        {0x2f01, -EEXIST, "overlap \"c\" at 0x3000"},
        {UINT64_MAX - 0xfe, -ERANGE, "do not fit at 0xffffffffffffff01 of memory"},
    };
    struct fixture *f = *state;
    struct ferry_err err;

    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_int_equal(bus_move(&f->bus, &f->b.region, bad[i].base, &err), bad[i].rc);
        assert_non_null(strstr(err.text, bad[i].text));
        assert_int_equal(f->b.region.base, 0x2000);
        assert_int_equal(reach(f, 0x20fc), 0);
    }
}

static void registers_that_have_gone_leave_room(void **state)
{
    struct fixture *f = *state;
    struct regs d = {0};
    struct ferry_err err;

    bus_remove(&f->bus, &f->b.region);
    bus_remove(&f->bus, &f->b.region);
    assert_int_equal(reach(f, 0x2000), -EFAULT);
    assert_int_equal(reach(f, 0x1000), 0);
    assert_int_equal(reach(f, 0x3000), 0);
    assert_int_equal(bus_move(&f->bus, &f->b.region, 0x9000, &err), -ENOENT);
    assert_non_null(strstr(err.text, "\"b\" are nowhere in memory"));
    assert_int_equal(add(f, "d", 0x2080, 0x80, 4, &d, &err), 0);
    assert_int_equal(reach(f, 0x2080), 0);
    assert_int_equal(d.calls, 1);
    assert_int_equal(f->b.calls, 0);
    bus_remove(&f->bus, &d.region);
    bus_remove(&f->bus, &f->a.region);
    bus_remove(&f->bus, &f->c.region);
    bus_remove(&f->bus, &f->odd.region);
    assert_int_equal(reach(f, 0), -EFAULT);
}

/* What a device's register does when the guest says where another of its regions is to be. */
struct mover {
    struct bus *bus;
    struct bus_region region;
};

static int mover_write(void *dev, uint64_t offset, unsigned size_bytes, uint64_t value)
{
    struct mover *m = dev;
    struct ferry_err err;

    if (value)
        return bus_move(m->bus, &m->region, value, &err);
    bus_remove(m->bus, &m->region);
    return 0;
}

static void a_handler_moves_and_removes_its_own_registers(void **state)
{
    static const struct bus_ops ops = {.write = mover_write};
    struct fixture *f = *state;
    struct mover m = {.bus = &f->bus, .region = {"mover", 0x5000, 4, 4, &ops, &m}};
    struct ferry_err err;

    assert_int_equal(bus_add(&f->bus, &m.region, &err), 0);
    assert_int_equal(bus_write(&f->bus, 0x5000, 4, 0x800), 0);
    assert_int_equal(bus_write(&f->bus, 0x5000, 4, 0x6000), -EFAULT);
    assert_int_equal(bus_write(&f->bus, 0x800, 4, 0x6000), 0);
    assert_int_equal(bus_write(&f->bus, 0x6000, 4, 0), 0);
    assert_int_equal(bus_write(&f->bus, 0x6000, 4, 0), -EFAULT);
}

static void a_bus_is_full_when_it_says_so(void **state)
{
    struct fixture *f = *state;
    struct regs *all = calloc(BUS_REGIONS_MAX, sizeof(*all)), more;
    size_t room = BUS_REGIONS_MAX - f->bus.region_count;
    struct ferry_err err;

    assert_non_null(all);
    for (size_t i = 0; i < room; i++)
        assert_int_equal(add(f, "one", 0x100000 - i * 8, 4, 4, &all[i], &err), 0);
    assert_int_equal(add(f, "more", 0x200000, 4, 4, &more, &err), -ENOSPC);
    assert_non_null(strstr(err.text, "\"more\" are one more than the 2048 that memory can have"));
    assert_int_equal(bus_move(&f->bus, &all[0].region, 0x200000, &err), 0);
    bus_remove(&f->bus, &all[0].region);
    assert_int_equal(add(f, "more", 0x200000, 4, 4, &more, &err), 0);
    for (size_t i = 1; i < room; i++) {
        assert_int_equal(reach(f, 0x100000 - i * 8), 0);
        assert_int_equal(all[i].calls, 1);
        assert_int_equal(reach(f, 0x100000 - i * 8 + 4), -EFAULT);
    }
    free(all);
}

/* Where harts and DMA would meet memory, and the device nobody. */
static void memory_is_nowhere_overlapped(void **state)
{
    const uint64_t gpa = 0x80000000, bytes = 4 * FERRY_PAGE_BYTES;
    struct fixture *f = *state;
    struct ferry_ram_region *region;
    struct ferry_ram *ram;
    struct regs d = {0};
    struct ferry_err err;

    assert_int_equal(ferry_ram_new(&ram, &err), 0);
    assert_int_equal(ferry_ram_add(ram, "rom", bytes, &region, &err), 0);
    assert_int_equal(guestmem_add(&f->mem, gpa, region, true, &err), 0);
    assert_int_equal(add(f, "d", gpa + bytes - 1, 4, 4, &d, &err), -EEXIST);
    assert_non_null(
        strstr(err.text, "\"d\" at 0x80003fff of memory overlap \"rom\" at 0x80000000"));
    assert_int_equal(add(f, "d", gpa + bytes, 4, 4, &d, &err), 0);
    assert_int_equal(bus_move(&f->bus, &d.region, gpa - 3, &err), -EEXIST);
    assert_int_equal(reach(f, gpa + bytes), 0);
    assert_int_equal(bus_move(&f->bus, &d.region, gpa - 4, &err), 0);
    ferry_ram_free(ram);
}

/* --- Windows --- */

static int never_ready(void *dev, uint64_t offset, unsigned size_bytes, uint64_t value)
{
    return -EAGAIN;
}

/* Ports 0x100 on, as a hart of a machine without ports sees them. */
static void a_window_shows_another_bus(void **state)
{
    static const struct bus_ops busy_ops = {regs_read, never_ready};
    struct fixture *f = *state;
    struct regs port = {.lock = &f->lock};
    struct bus_region low = {"low", 0xf0, 16, 1, &regs_ops, &port};
    struct bus_region high = {"high", 0x110, 32, 1 | 2 | 4, &regs_ops, &port};
    struct bus_region busy = {"busy", 0x1fe, 8, 2, &busy_ops, &port};
    struct bus_window window = {&f->io, 0x100};
    struct bus_region shown = {"ports", 0x7000, 0x100, 1 | 2 | 4 | 8, &bus_window_ops, &window};
    uint64_t value = 0;
    struct ferry_err err;

    bus_init(&f->io, "I/O ports", 0xffff, &f->lock, NULL);
    assert_int_equal(bus_add(&f->io, &low, &err), 0);
    assert_int_equal(bus_add(&f->io, &high, &err), 0);
    assert_int_equal(bus_add(&f->io, &busy, &err), 0);
    assert_int_equal(bus_add(&f->bus, &shown, &err), 0);
    assert_int_equal(bus_write(&f->bus, 0x7014, 4, 0xaabbccdd00112233), 0);
    assert_int_equal(port.offset, 4);
    assert_int_equal(port.value, 0x00112233);
    assert_int_equal(bus_read(&f->bus, 0x7014, 2, &value), 0);
    assert_int_equal(port.calls, 2);
    /* Nobody is there, it takes no such access, it faults: all ones. */
    assert_int_equal(bus_read(&f->bus, 0x7000, 1, &value), 0);
    assert_int_equal(value, UINT8_MAX);
    assert_int_equal(bus_read(&f->bus, 0x7018, 8, &value), 0);
    assert_true(value == UINT64_MAX);
    assert_int_equal(port.calls, 2);
    assert_int_equal(bus_read(&f->bus, 0x7020, 4, &value), 0);
    assert_int_equal(value, UINT32_MAX);
    assert_int_equal(port.calls, 3);
    assert_int_equal(bus_write(&f->bus, 0x7000, 1, 0), 0);
    /* What has to be waited for is waited for. */
    assert_int_equal(bus_write(&f->bus, 0x70fe, 2, 0), -EAGAIN);
    assert_int_equal(bus_read(&f->bus, 0x7100, 2, &value), -EFAULT);
    /* It moves where it is, and what it cannot be is said there. */
    assert_int_equal(bus_move(&f->io, &high, 0x100, &err), 0);
    assert_int_equal(bus_read(&f->bus, 0x7000, 1, &value), 0);
    assert_int_equal(port.calls, 4);
    assert_int_equal(bus_move(&f->io, &high, 0xff, &err), -EEXIST);
    assert_non_null(strstr(err.text, "at 0xff of I/O ports overlap \"low\""));
}

/* Whatever happened before: each address has the registers that are there. */
static void any_order_of_changes_is_right(void **state)
{
    enum { PLACES = 64, COUNT = 24 };
    struct fixture *f = *state;
    struct regs all[COUNT] = {0}, *at[PLACES] = {NULL};
    uint64_t random = 1;
    struct ferry_err err;

    for (unsigned i = 0; i < 20000; i++) {
        struct regs *r, **old;
        unsigned to;

        random = random * UINT64_C(6364136223846793005) + 1442695040888963407;
        r = &all[(random >> 33) % COUNT];
        to = (random >> 40) % PLACES;
        for (old = at; old < at + PLACES && *old != r; old++)
            ;
        if (old == at + PLACES) {
            assert_int_equal(add(f, "r", 0x10000 + to * 16, 16, 4, r, &err), at[to] ? -EEXIST : 0);
            at[to] = at[to] ? at[to] : r;
        } else if (random >> 63) {
            bus_remove(&f->bus, &r->region);
            *old = NULL;
        } else {
            int rc = bus_move(&f->bus, &r->region, 0x10000 + to * 16, &err);

            assert_int_equal(rc, at[to] && at[to] != r ? -EEXIST : 0);
            if (!rc) {
                *old = NULL;
                at[to] = r;
            }
        }
        for (unsigned n = 0; n < 4; n++) {
            unsigned place = (to + n * 7) % PLACES;
            int calls = at[place] ? at[place]->calls : 0;

            assert_int_equal(reach(f, 0x10000 + place * 16), at[place] ? 0 : -EFAULT);
            assert_int_equal(at[place] ? at[place]->calls : 1, calls + 1);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(an_access_reaches_the_region_of_its_address, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(what_a_region_does_not_accept_faults, setup, teardown),
        cmocka_unit_test_setup_teardown(a_device_may_fault_itself, setup, teardown),
        cmocka_unit_test_setup_teardown(overlapping_registers_are_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(address_spaces_are_apart, setup, teardown),
        cmocka_unit_test_setup_teardown(registers_may_end_where_addresses_do, setup, teardown),
        cmocka_unit_test_setup_teardown(registers_answer_where_they_have_moved, setup, teardown),
        cmocka_unit_test_setup_teardown(registers_that_may_not_move_stay, setup, teardown),
        cmocka_unit_test_setup_teardown(registers_that_have_gone_leave_room, setup, teardown),
        cmocka_unit_test_setup_teardown(a_handler_moves_and_removes_its_own_registers, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_bus_is_full_when_it_says_so, setup, teardown),
        cmocka_unit_test_setup_teardown(memory_is_nowhere_overlapped, setup, teardown),
        cmocka_unit_test_setup_teardown(a_window_shows_another_bus, setup, teardown),
        cmocka_unit_test_setup_teardown(any_order_of_changes_is_right, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
