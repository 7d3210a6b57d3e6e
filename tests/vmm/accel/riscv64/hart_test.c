/* SPDX-License-Identifier: Apache-2.0 */
/* Harts with their threads: running, stopping, sleeping, waking, and the dirty log meanwhile. */
#include "tests/unit.h"

#include <errno.h>
#include <stdatomic.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "tests/vmm/accel/riscv64/machine.h"
#include "tests/vmm/accel/riscv64/rig.h"
#include "vmm/accel/riscv64/csr.h"

#define PATIENCE INT64_C(20000000000)

static struct machine m;

static void start_with(uint32_t harts, const uint32_t *words, size_t count)
{
    machine_init(&m, harts);
    memcpy(m.host, words, count * sizeof(words[0]));
}
#define START_WITH(harts, ...)                         \
    start_with(harts, (const uint32_t[]){__VA_ARGS__}, \
               sizeof((const uint32_t[]){__VA_ARGS__}) / sizeof(uint32_t))

/* a0 = the address of the data; three words */
#define DATA_ADDRESS \
    rig_i("addi", A0, X0, 0x401), rig_i("slli", A0, A0, 21), rig_i("addi", X0, X0, 0)
#define DATA_GPA UINT64_C(0x80200000)

static uint64_t read_data(unsigned word)
{
    return __atomic_load_n((uint64_t *)(void *)(m.host + (DATA_GPA - MACHINE_RAM_BASE)) + word,
                           __ATOMIC_SEQ_CST);
}

static void nap(void)
{
    nanosleep(&(struct timespec){.tv_nsec = 20000}, NULL);
}

/* Until the word is at least this; fails when it takes too long. */
static void await_data(unsigned word, uint64_t value)
{
    int64_t deadline_ns = clock_monotonic_ns() + PATIENCE;

    while (read_data(word) < value) {
        if (clock_monotonic_ns() > deadline_ns)
            fail_msg("word %u is still %lu", word, read_data(word));
        nap();
    }
}

/* false: it wrote word 0 before it was seen asleep. */
static bool await_sleep_or_data(struct hart *h)
{
    int64_t deadline_ns = clock_monotonic_ns() + PATIENCE;

    while (atomic_load(&h->state) != HART_SLEEPING) {
        if (read_data(0))
            return false;
        assert_true(clock_monotonic_ns() < deadline_ns);
        nap();
    }
    return true;
}

static void await_sleep(struct hart *h)
{
    int64_t deadline_ns = clock_monotonic_ns() + PATIENCE;

    while (atomic_load(&h->state) != HART_SLEEPING) {
        assert_true(clock_monotonic_ns() < deadline_ns);
        nap();
    }
}

/* for (;;) counter++ */
#define COUNT_FOR_EVER DATA_ADDRESS, rig_i("addi", A1, A1, 1), rig_s("sd", A1, A0, 0), rig_j(X0, -8)

static void stops_and_goes_on(void **state)
{
    START_WITH(1, COUNT_FOR_EVER);
    for (unsigned i = 0; i < 20; i++) {
        uint64_t at;

        machine_start(&m);
        await_data(0, read_data(0) + 1000);
        machine_stop(&m);
        at = read_data(0);
        nap();
        assert_int_equal(read_data(0), at);
        /* At an instruction boundary: the register is the count, or one ahead. */
        assert_true(m.harts[0]->r.x[A1] - at <= 1);
    }
    machine_free(&m);
}

/* Stopped before the thread has noticed that it should run. */
static void stops_at_once(void **state)
{
    START_WITH(2, COUNT_FOR_EVER);
    for (unsigned i = 0; i < 300; i++) {
        machine_start(&m);
        machine_stop(&m);
    }
    machine_free(&m);
}

static void frees_a_running_hart(void **state)
{
    START_WITH(2, COUNT_FOR_EVER);
    machine_start(&m);
    machine_free(&m);
}

/* A trap handler that cannot be fetched: every trap leads to the next. */
static void stops_in_a_storm_of_traps(void **state)
{
    START_WITH(1, 0);
    for (unsigned i = 0; i < 1000 && m.harts[0]->r.mcause != CAUSE_FETCH_ACCESS; i++) {
        machine_start(&m);
        nap();
        machine_stop(&m);
    }
    assert_int_equal(m.harts[0]->r.mcause, CAUSE_FETCH_ACCESS);
    machine_free(&m);
}

/* WFI with MSIP enabled, not globally: then count. */
#define WAIT_AND_COUNT                                                                          \
    DATA_ADDRESS, rig_csr("csrrwi", X0, CSR_MIE, 8), rig_word("wfi"), rig_i("addi", A1, A1, 1), \
        rig_s("sd", A1, A0, 0), rig_j(X0, -12)

static void interrupts_wake(void **state)
{
    START_WITH(1, WAIT_AND_COUNT);
    machine_start(&m);
    await_sleep(m.harts[0]);
    assert_int_equal(read_data(0), 0);
    /* Not enabled. */
    hart_set_irq(m.harts[0], HART_IRQ_MTI, true);
    await_sleep(m.harts[0]);
    assert_int_equal(read_data(0), 0);
    hart_set_irq(m.harts[0], HART_IRQ_MSI, true);
    await_data(0, 10);
    hart_set_irq(m.harts[0], HART_IRQ_MSI, false);
    await_sleep(m.harts[0]);
    machine_stop(&m);
    /* pc is after the WFI, and it still waits. */
    assert_int_equal(m.harts[0]->r.halted, 1);
    assert_int_equal(m.harts[0]->r.pc, MACHINE_RAM_BASE + 5 * 4);
    machine_free(&m);
}

/* As fast as they come: none is lost. */
static void no_wake_up_is_lost(void **state)
{
    START_WITH(1, DATA_ADDRESS, rig_csr("csrrwi", X0, CSR_MIE, 8), rig_word("wfi"),
               rig_i("addi", A1, A1, 1), rig_s("sd", A1, A0, 0),
               /* until the line is low again */
               rig_csr("csrrs", A2, CSR_MIP, X0), rig_i("andi", A2, A2, 8),
               rig_b("bne", A2, X0, -8), rig_s("sd", A1, A0, 8), rig_j(X0, -28));
    machine_start(&m);
    for (uint64_t i = 1; i <= 500; i++) {
        hart_set_irq(m.harts[0], HART_IRQ_MSI, true);
        await_data(0, i);
        hart_set_irq(m.harts[0], HART_IRQ_MSI, false);
        await_data(1, i);
        if (i % 3 == 0)
            await_sleep(m.harts[0]);
    }
    machine_stop(&m);
    assert_int_equal(read_data(0), 500);
    machine_free(&m);
}

static void interrupts_end_a_loop(void **state)
{
    START_WITH(1, DATA_ADDRESS, rig_u("auipc", T0, 0), rig_i("addi", T0, T0, 24),
               rig_csr("csrrw", X0, CSR_MTVEC, T0), rig_csr("csrrwi", X0, CSR_MIE, 8),
               rig_csr("csrrsi", X0, CSR_MSTATUS, 8), rig_j(X0, 0),
               /* handler */
               rig_csr("csrrs", A1, CSR_MCAUSE, X0), rig_s("sd", A1, A0, 0), rig_j(X0, 0));
    machine_start(&m);
    nap();
    hart_set_irq(m.harts[0], HART_IRQ_MSI, true);
    await_data(0, 1);
    assert_int_equal(read_data(0), CAUSE_INTERRUPT | HART_IRQ_MSI);
    machine_stop(&m);
    assert_int_equal(m.harts[0]->r.mepc, MACHINE_RAM_BASE + 8 * 4);
    machine_free(&m);
}

/* stimecmp = time + 2 ms, WFI, note the time. */
static void timer_wakes(void **state)
{
    uint64_t late;

    START_WITH(1, DATA_ADDRESS, rig_i("addi", A2, X0, 0x20), rig_csr("csrrw", X0, CSR_MIE, A2),
               rig_csr("csrrs", A1, CSR_TIME, X0), rig_u("lui", A2, 5), rig_r("add", A1, A1, A2),
               rig_csr("csrrw", X0, CSR_STIMECMP, A1), rig_word("wfi"),
               rig_csr("csrrs", A2, CSR_TIME, X0), rig_r("sub", A2, A2, A1),
               rig_i("addi", A2, A2, 1), rig_s("sd", A2, A0, 0), rig_word("wfi"), rig_j(X0, 0));
    machine_start(&m);
    await_data(0, 1);
    late = read_data(0) - 1;
    machine_stop(&m);
    /* Not early; how late is the host's business. */
    assert_true((int64_t)late >= 0);
    machine_free(&m);
}

/* A hart that sleeps until its timer is stopped, the clock stands still, and it goes on. */
static void timer_survives_a_stop(void **state)
{
    START_WITH(1, DATA_ADDRESS, rig_i("addi", A2, X0, 0x20), rig_csr("csrrw", X0, CSR_MIE, A2),
               rig_csr("csrrs", A1, CSR_TIME, X0), rig_u("lui", A2, 488), rig_r("add", A1, A1, A2),
               rig_csr("csrrw", X0, CSR_STIMECMP, A1), rig_word("wfi"), rig_i("addi", A1, X0, 1),
               rig_s("sd", A1, A0, 0), rig_j(X0, 0));
    machine_start(&m);
    /* A host that is busy for longer than the 200 ms leaves less to stop. */
    for (unsigned i = 0; i < 5 && await_sleep_or_data(m.harts[0]); i++) {
        machine_stop(&m);
        assert_true(m.harts[0]->r.halted || read_data(0));
        machine_start(&m);
    }
    await_data(0, 1);
    machine_stop(&m);
    machine_free(&m);
}

static int64_t cpu_ns(struct hart *h)
{
    struct timespec ts;
    clockid_t id;

    assert_int_equal(pthread_getcpuclockid(h->thread, &id), 0);
    assert_int_equal(clock_gettime(id, &ts), 0);
    return ts.tv_sec * INT64_C(1000000000) + ts.tv_nsec;
}

/* It never waits by itself, and sleeps. */
static void a_throttled_hart_sleeps(void **state)
{
    int64_t cpu, wall;
    uint64_t at;

    START_WITH(1, COUNT_FOR_EVER);
    machine_start(&m);
    await_data(0, 1000);
    hart_set_throttle(m.harts[0], 80);
    await_sleep(m.harts[0]);
    cpu = cpu_ns(m.harts[0]);
    wall = clock_monotonic_ns();
    for (unsigned i = 0; i < 10; i++) {
        at = read_data(0);
        await_data(0, at + 1);
        /* Neither an interrupt nor a harvest ends the sleep. */
        hart_set_irq(m.harts[0], HART_IRQ_SEI, i % 2);
        ferry_ram_harvest_begin(m.ram);
        await_sleep(m.harts[0]);
    }
    /* 20 percent are due; a busy host only makes it less. */
    assert_true((cpu_ns(m.harts[0]) - cpu) * 100 < (clock_monotonic_ns() - wall) * 30);
    machine_stop(&m);
    machine_free(&m);
}

/* --- A device that is not ready --- */

#define SLOW_GPA 0x30000000u

struct slow {
    _Atomic uint32_t tries, written;
    atomic_bool ready;
};

static int slow_read(void *dev, uint64_t offset, unsigned size_bytes, uint64_t *ret)
{
    *ret = 0;
    return 0;
}

static int slow_write(void *dev, uint64_t offset, unsigned size_bytes, uint64_t value)
{
    struct slow *s = dev;

    atomic_fetch_add(&s->tries, 1);
    if (!atomic_load(&s->ready))
        return -EAGAIN;
    atomic_fetch_add(&s->written, (uint32_t)value);
    return 0;
}

static void await_tries(struct slow *s)
{
    uint32_t tries = atomic_load(&s->tries);
    int64_t deadline_ns = clock_monotonic_ns() + PATIENCE;

    while (atomic_load(&s->tries) < tries + 2) {
        assert_true(clock_monotonic_ns() < deadline_ns);
        nap();
    }
}

/* Stopped, moved on and interrupted like any other hart; the store happens once. */
static void a_store_waits_for_its_device_and_the_hart_does_not(void **state)
{
    static const struct bus_ops ops = {slow_read, slow_write};
    struct slow slow = {0};
    struct bus_region region = {"slow", SLOW_GPA, 8, 4, &ops, &slow};
    struct ferry_err err;

    START_WITH(1, DATA_ADDRESS, rig_u("auipc", A1, 0), rig_i("addi", A1, A1, 48),
               rig_csr("csrrw", X0, CSR_MTVEC, A1), rig_u("lui", A2, SLOW_GPA >> 12),
               rig_i("addi", A3, X0, 5), rig_s("sw", A3, A2, 0),
               /* it is over */
               rig_i("addi", A4, X0, 1), rig_s("sd", A4, A0, 0), rig_j(X0, 0), rig_word("ebreak"),
               rig_word("ebreak"), rig_word("ebreak"),
               /* interrupt: count it, and do not hear of it again */
               rig_csr("csrrw", X0, CSR_MIE, X0), rig_i("addi", A5, X0, 1), rig_s("sd", A5, A0, 8),
               rig_word("mret"));
    assert_int_equal(bus_add(&m.bus, &region, &err), 0);
    m.harts[0]->r.mie = 1u << HART_IRQ_MSI;
    m.harts[0]->r.mstatus |= MSTATUS_MIE;
    machine_start(&m);
    await_tries(&slow);
    machine_stop(&m);
    assert_int_equal(m.harts[0]->r.pc, MACHINE_RAM_BASE + 8 * 4);
    machine_start(&m);
    await_tries(&slow);
    hart_set_irq(m.harts[0], HART_IRQ_MSI, true);
    await_data(1, 1);
    await_tries(&slow);
    assert_int_equal(read_data(0), 0);
    atomic_store(&slow.ready, true);
    await_data(0, 1);
    assert_int_equal(atomic_load(&slow.written), 5);
    machine_stop(&m);
    machine_free(&m);
}

/* Its device is pulled: there is nothing to wait for. */
static void a_store_that_waits_for_a_device_that_goes_faults(void **state)
{
    static const struct bus_ops ops = {slow_read, slow_write};
    struct slow slow = {0};
    struct bus_region region = {"slow", SLOW_GPA, 8, 4, &ops, &slow};
    struct ferry_err err;

    START_WITH(1, DATA_ADDRESS, rig_u("auipc", A1, 0), rig_i("addi", A1, A1, 28),
               rig_csr("csrrw", X0, CSR_MTVEC, A1), rig_u("lui", A2, SLOW_GPA >> 12),
               rig_i("addi", A3, X0, 5), rig_s("sw", A3, A2, 0), rig_j(X0, 0),
               /* trap: */
               rig_csr("csrrs", A4, CSR_MTVAL, X0), rig_s("sd", A4, A0, 8),
               rig_csr("csrrs", A4, CSR_MCAUSE, X0), rig_s("sd", A4, A0, 0), rig_j(X0, 0));
    assert_int_equal(bus_add(&m.bus, &region, &err), 0);
    machine_start(&m);
    await_tries(&slow);
    machine_lock(&m.lock);
    bus_remove(&m.bus, &region);
    machine_unlock(&m.lock);
    await_data(0, 1);
    assert_int_equal(read_data(0), CAUSE_STORE_ACCESS);
    assert_int_equal(read_data(1), SLOW_GPA);
    assert_int_equal(atomic_load(&slow.written), 0);
    machine_stop(&m);
    machine_free(&m);
}

/* --- A device that moves and goes --- */

#define HERE_GPA  0x30000000u
#define THERE_GPA 0x30010000u

static int count_read(void *dev, uint64_t offset, unsigned size_bytes, uint64_t *ret)
{
    atomic_fetch_add((_Atomic uint64_t *)dev, 1);
    *ret = 0;
    return 0;
}

static void place(struct bus_region *region, uint64_t gpa)
{
    struct ferry_err err;

    machine_lock(&m.lock);
    assert_int_equal(bus_move(&m.bus, region, gpa, &err), 0);
    machine_unlock(&m.lock);
}

static void await_rounds(uint64_t count)
{
    await_data(0, read_data(0) + count);
}

/* Each hart loads from both places, over and over; where nothing is, that is an access fault. */
static void registers_move_and_go_while_harts_run(void **state)
{
    static const struct bus_ops ops = {count_read, NULL};
    _Atomic uint64_t loads = 0;
    struct bus_region region = {"bar", HERE_GPA, 0x1000, 4, &ops, &loads};
    struct ferry_err err;
    uint64_t seen, faults;

    START_WITH(2, DATA_ADDRESS, rig_u("auipc", A1, 0), rig_i("addi", A1, A1, 40),
               rig_csr("csrrw", X0, CSR_MTVEC, A1), rig_u("lui", A2, HERE_GPA >> 12),
               rig_u("lui", A3, THERE_GPA >> 12), rig_i("addi", A4, X0, 1),
               /* loop: */
               rig_i("lw", A5, A2, 0), rig_i("lw", A5, A3, 0), rig_r("amoadd_d", X0, A0, A4),
               rig_j(X0, -12),
               /* trap: count it, and go on after it */
               rig_csr("csrrs", A5, CSR_MEPC, X0), rig_i("addi", A5, A5, 4),
               rig_csr("csrrw", X0, CSR_MEPC, A5), rig_i("addi", T0, A0, 8),
               rig_r("amoadd_d", X0, T0, A4), rig_word("mret"));
    assert_int_equal(bus_add(&m.bus, &region, &err), 0);
    machine_start(&m);
    await_rounds(100);
    for (unsigned i = 0; i < 100; i++) {
        place(&region, i % 2 ? HERE_GPA : THERE_GPA);
        seen = atomic_load(&loads);
        faults = read_data(1);
        await_rounds(100);
        assert_true(atomic_load(&loads) > seen);
        assert_true(read_data(1) > faults);
    }
    machine_lock(&m.lock);
    bus_remove(&m.bus, &region);
    machine_unlock(&m.lock);
    seen = atomic_load(&loads);
    await_rounds(100);
    assert_int_equal(atomic_load(&loads), seen);
    machine_lock(&m.lock);
    assert_int_equal(bus_add(&m.bus, &region, &err), 0);
    machine_unlock(&m.lock);
    await_rounds(100);
    assert_true(atomic_load(&loads) > seen);
    machine_stop(&m);
    /* Each load was one or the other; a hart stands in the midst of a round. */
    assert_in_range(atomic_load(&loads) + read_data(1) - 2 * read_data(0), 0, 2 * 2);
    machine_free(&m);
}

/* It sleeps for 990 ms at a time. */
static void a_throttled_hart_is_stopped_and_let_go_at_once(void **state)
{
    int64_t began_ns = clock_monotonic_ns();

    START_WITH(1, COUNT_FOR_EVER);
    for (unsigned i = 0; i < 20; i++) {
        uint64_t at;

        hart_set_throttle(m.harts[0], 99);
        machine_start(&m);
        await_sleep(m.harts[0]);
        machine_stop(&m);
        at = read_data(0);
        machine_start(&m);
        await_data(0, at + 1000);
        await_sleep(m.harts[0]);
        at = read_data(0);
        hart_set_throttle(m.harts[0], 0);
        await_data(0, at + 1000);
        machine_stop(&m);
    }
    /* Of some 40 sleeps none came to its end. */
    assert_true(clock_monotonic_ns() - began_ns < 10 * INT64_C(990000000));
    machine_free(&m);
}

/* Harts add to one counter with AMO and with LR/SC: 20,000 times each. */
static void harts_share_memory(void **state)
{
    START_WITH(4, DATA_ADDRESS, rig_u("lui", A1, 5), rig_i("addi", A2, X0, 1),
               rig_i("addi", A3, A0, 64),
               /* loop: */
               rig_r("amoadd_d", X0, A0, A2), rig_r("lr_d", A4, A3, X0), rig_i("addi", A4, A4, 1),
               rig_r("sc_d", A5, A3, A4), rig_b("bne", A5, X0, -12), rig_i("addi", A1, A1, -1),
               rig_b("bne", A1, X0, -24), rig_i("addi", A3, A0, 128), rig_r("amoadd_d", X0, A3, A2),
               rig_j(X0, 0));
    machine_start(&m);
    await_data(16, 4);
    machine_stop(&m);
    assert_int_equal(read_data(0), 4 * 0x5000);
    assert_int_equal(read_data(8), 4 * 0x5000);
    machine_free(&m);
}

/*
 * What the log is for: pages are copied when a harvest names them, and when the harts have stopped
 * and the last harvest is copied the copy is the memory.
 */
static void harvests_miss_nothing(void **state)
{
    enum { PAGES = 64, FIRST = (DATA_GPA - MACHINE_RAM_BASE) / 4096 };
    static uint64_t bitmap[MACHINE_RAM_BYTES / 4096 / 64], copy[PAGES][2];
    struct ferry_err err;

    /* Each of two harts counts in its word of 64 pages in turn. */
    START_WITH(2, DATA_ADDRESS, rig_csr("csrrs", A3, CSR_MHARTID, X0), rig_i("slli", A3, A3, 3),
               rig_r("add", A0, A0, A3), rig_u("lui", A4, PAGES), rig_u("lui", A5, 1),
               /* all pages: */
               rig_i("addi", A1, A1, 1), rig_i("addi", A2, X0, 0),
               /* one page: */
               rig_r("add", A3, A0, A2), rig_s("sd", A1, A3, 0), rig_r("add", A2, A2, A5),
               rig_b("bne", A2, A4, -12), rig_j(X0, -24));
    assert_int_equal(ferry_ram_log_start(m.ram, &err), 0);
    for (unsigned round = 0; round < 30; round++) {
        machine_start(&m);
        await_data(0, read_data(0) + 1);
        for (unsigned harvest = 0; harvest < 10; harvest++) {
            if (harvest == 9)
                machine_stop(&m);
            memset(bitmap, 0, sizeof(bitmap));
            ferry_ram_harvest_begin(m.ram);
            ferry_ram_harvest(m.region, bitmap);
            for (unsigned i = 0; i < PAGES; i++) {
                unsigned page = FIRST + i;

                if (bitmap[page / 64] >> page % 64 & 1) {
                    copy[i][0] = read_data(i * 512);
                    copy[i][1] = read_data(i * 512 + 1);
                }
            }
        }
        for (unsigned i = 0; i < PAGES; i++) {
            assert_int_equal(copy[i][0], read_data(i * 512));
            assert_int_equal(copy[i][1], read_data(i * 512 + 1));
        }
    }
    ferry_ram_log_stop(m.ram);
    machine_free(&m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(stops_and_goes_on),
        cmocka_unit_test(stops_at_once),
        cmocka_unit_test(frees_a_running_hart),
        cmocka_unit_test(stops_in_a_storm_of_traps),
        cmocka_unit_test(interrupts_wake),
        cmocka_unit_test(no_wake_up_is_lost),
        cmocka_unit_test(interrupts_end_a_loop),
        cmocka_unit_test(timer_wakes),
        cmocka_unit_test(timer_survives_a_stop),
        cmocka_unit_test(a_throttled_hart_sleeps),
        cmocka_unit_test(a_store_waits_for_its_device_and_the_hart_does_not),
        cmocka_unit_test(a_store_that_waits_for_a_device_that_goes_faults),
        cmocka_unit_test(registers_move_and_go_while_harts_run),
        cmocka_unit_test(a_throttled_hart_is_stopped_and_let_go_at_once),
        cmocka_unit_test(harts_share_memory),
        cmocka_unit_test(harvests_miss_nothing),
    };

    return cmocka_run_group_tests_name("vmm/accel/riscv64/hart", tests, NULL, NULL);
}
