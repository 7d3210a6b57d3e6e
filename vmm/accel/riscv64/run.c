/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/accel/riscv64/run.h"

#include <sched.h>
#include <sys/prctl.h>

#include "base/clock.h"
#include "base/priority.h"
#include "vmm/accel/riscv64/exec.h"
#include "vmm/accel/riscv64/futex.h"
#include "vmm/accel/riscv64/mmu.h"
#include "vmm/accel/riscv64/trap.h"

/* How long a hart may not look up: some 2 to 8 us. */
#define SLICE_INSNS 1000

/* How long a throttled hart runs before it sleeps. */
#define PACE_NS INT64_C(10000000)

/* How long a store waits between two looks at whether the device can take it. */
#define STALL_NS INT64_C(500000)

/* How often a waiter looks before it sleeps: some 6 us, about a slice. More would only keep the
 * host CPU from a hart that has none. */
#define SPINS 150

void run_ring(struct hart *h, uint32_t bell)
{
    /* Sequentially consistent against the hart, which first says that it sleeps or runs and then
     * looks at the doorbell: one of both sees the other. */
    atomic_fetch_or(&h->doorbell, bell);
    if (atomic_load(&h->state) == HART_SLEEPING)
        futex_wake_all(&h->doorbell);
}

/* --- The hart's side ------------------------------------------------------------------------- */

void run_answer(struct hart *h)
{
    uint32_t bell;

    if (atomic_load(&h->doorbell) == 0)
        return;
    bell = atomic_exchange(&h->doorbell, 0);
    if (bell & DOORBELL_FLUSH) {
        uint32_t wanted = atomic_load(&h->flush_wanted);

        mmu_flush_write(h);
        atomic_store(&h->flush_done, wanted);
        futex_wake_all(&h->flush_done);
    }
}

void run_check_timer(struct hart *h)
{
    if (h->stimer_armed && hart_mtime(h) >= h->r.stimecmp) {
        h->mip_soft |= MIP_STIP;
        h->stimer_armed = false;
    }
}

/* When stimecmp comes, on the host's clock. */
static int64_t timer_deadline_ns(const struct hart *h)
{
    if (!h->stimer_armed || h->r.stimecmp > INT64_MAX / MTIME_TICK_NS)
        return INT64_MAX;
    return guest_clock_host_deadline_ns(h->clock, (int64_t)h->r.stimecmp * MTIME_TICK_NS);
}

/*
 * Until something rings or the time comes. false: the hart was parked meanwhile, as it slept: it
 * belongs to somebody else now.
 */
static bool sleep_until(struct hart *h, int64_t deadline_ns)
{
    uint32_t state = HART_SLEEPING;

    fp_leave(&h->fp);
    atomic_store(&h->state, HART_SLEEPING);
    futex_wait(&h->doorbell, 0, deadline_ns);
    if (!atomic_compare_exchange_strong(&h->state, &state, HART_RUNNING))
        return false;
    fp_enter(&h->fp);
    return true;
}

/*
 * Until the register may be ready. It belongs to a device that knows no hart, so nothing rings for
 * it; an interrupt does. false as above.
 */
static bool sleep_stalled(struct hart *h)
{
    int64_t look_ns = clock_monotonic_ns() + STALL_NS, timer_ns = timer_deadline_ns(h);

    return sleep_until(h, timer_ns < look_ns ? timer_ns : look_ns);
}

/* false as above. */
static bool sleep_in_wfi(struct hart *h)
{
    int64_t began_ns = atomic_load(&h->throttle) ? clock_monotonic_ns() : 0;

    if (!sleep_until(h, timer_deadline_ns(h)))
        return false;
    /* Only running is slowed down. */
    if (began_ns && h->ran_since_ns)
        h->ran_since_ns += clock_monotonic_ns() - began_ns;
    return true;
}

/* After each slice of a throttled hart. false as above. */
static bool keep_pace(struct hart *h)
{
    uint32_t percent = atomic_load(&h->throttle);
    int64_t now = clock_monotonic_ns(), until_ns;

    if (!h->ran_since_ns)
        h->ran_since_ns = now;
    if (!percent || now - h->ran_since_ns < PACE_NS)
        return true;
    h->ran_since_ns = 0;
    until_ns = now + PACE_NS * percent / (100 - percent);
    while (clock_monotonic_ns() < until_ns && atomic_load(&h->throttle) == percent &&
           atomic_load(&h->command) == HART_RUN) {
        run_answer(h);
        if (!sleep_until(h, until_ns))
            return false;
    }
    return true;
}

/* As if told to park, by itself. */
static void stop_for_debugger(struct hart *h, enum vcpu_break reason)
{
    atomic_store(&h->debug.reason, reason);
    if (h->debug.stopped)
        h->debug.stopped(h->debug.arg);
}

/* false: not done yet. */
static bool step(struct hart *h)
{
    /* A debugger steps through what it looks at, not into a timer's handler; a WFI may end. */
    h->r.halted = 0;
    exec_one(h);
    if (h->stalled)
        return false;
    stop_for_debugger(h, VCPU_BREAK_STEP);
    return true;
}

/* Until told to park, or a debugger wants it. false as above. */
static bool run(struct hart *h)
{
    while (atomic_load(&h->command) == HART_RUN) {
        int irq;

        run_answer(h);
        run_check_timer(h);
        if (h->debug.step) {
            if (step(h))
                return true;
            if (!sleep_stalled(h))
                return false;
            continue;
        }
        /* Whether or not the interrupt is enabled globally or delegated. */
        if (h->r.halted && !(hart_mip(h) & h->r.mie)) {
            if (!sleep_in_wfi(h))
                return false;
            continue;
        }
        h->r.halted = 0;
        irq = trap_pending(h);
        if (irq >= 0)
            trap_take(h, CAUSE_INTERRUPT | (unsigned)irq, 0);
        exec_slice(h, SLICE_INSNS);
        if (h->debug.hit) {
            h->debug.hit = false;
            stop_for_debugger(h, VCPU_BREAK_BREAKPOINT);
            return true;
        }
        if (h->stalled && !sleep_stalled(h))
            return false;
        if (atomic_load_explicit(&h->throttle, memory_order_relaxed) && !keep_pace(h))
            return false;
    }
    return true;
}

/*
 * Who is woken under SCHED_BATCH does not take the processor from who wakes: on a host with no more
 * processors than harts, whoever starts the harts would else lose it to the first of them and
 * start the others milliseconds later. Where a hart may be urgent it does not wait for its first
 * turn, and takes nobody's who is as urgent. The guest's code runs as anybody's.
 */
static void wait_for_run(struct hart *h)
{
    const struct sched_param param = {0};
    int nice = priority_nice();

    if (priority_urgent() != PRIORITY_REALTIME)
        (void)sched_setscheduler(0, SCHED_BATCH, &param);
    while (atomic_load(&h->state) == HART_PARKED)
        futex_wait(&h->state, HART_PARKED, INT64_MAX);
    priority_normal(nice);
}

/*
 * In turns with whoever runs here: a guest that is about to be handed over to this process would
 * else stand still for whole ticks of the host's scheduler. Not finished if the hart is to run.
 */
static void enter_cache(struct hart *h)
{
    int64_t begin_ns = clock_monotonic_ns(), end_ns;

    while (atomic_load(&h->state) == HART_PARKED && block_cache_enter(h)) {
        end_ns = clock_monotonic_ns();
        futex_wait(&h->state, HART_PARKED, end_ns + (end_ns - begin_ns));
        begin_ns = clock_monotonic_ns();
    }
}

void *run_thread(void *arg)
{
    struct hart *h = arg;

    if (h->thread_begin)
        h->thread_begin(THREAD_HART);
    /* Timers of the guest that are waited for shall not be late for the sake of company. */
    prctl(PR_SET_TIMERSLACK, 1);
    atomic_store(&h->thread_id, (uint32_t)syscall(SYS_gettid));
    futex_wake_all(&h->thread_id);
    priority_below();
    enter_cache(h);
    priority_normal(priority_nice());
    while (atomic_load(&h->command) != HART_EXIT) {
        if (atomic_load(&h->state) == HART_PARKED) {
            wait_for_run(h);
            continue;
        }
        pthread_mutex_lock(&h->on);
        fp_enter(&h->fp);
        if (run(h)) {
            fp_leave(&h->fp);
            /* In this order: who finds the hart parked need not wait for its answer. */
            atomic_store(&h->state, HART_PARKED);
            run_answer(h);
            futex_wake_all(&h->state);
        }
        pthread_mutex_unlock(&h->on);
    }
    return NULL;
}

/* --- Others ---------------------------------------------------------------------------------- */

static void relax(void)
{
#if defined(__x86_64__)
    __builtin_ia32_pause();
#endif
}

void run_flush_write(void *hart)
{
    struct hart *h = hart;
    uint32_t wanted = atomic_fetch_add(&h->flush_wanted, 1) + 1, done;
    unsigned spins = 0;

    run_ring(h, DOORBELL_FLUSH);
    /* A parked or sleeping hart answers before it runs again. */
    while (atomic_load(&h->state) == HART_RUNNING) {
        done = atomic_load(&h->flush_done);
        if (done == wanted)
            break;
        if (spins++ < SPINS)
            relax();
        else
            futex_wait(&h->flush_done, done, INT64_MAX);
    }
}

void run_command(struct hart *h, enum hart_command command)
{
    atomic_store(&h->command, command);
    atomic_store(&h->state, HART_RUNNING);
    /* It waits on one of the two: on the doorbell if it was parked in its sleep. */
    futex_wake_all(&h->state);
    futex_wake_all(&h->doorbell);
}

void hart_run(struct hart *h)
{
    if (h->debug.held)
        return;
    atomic_store(&h->debug.reason, VCPU_BREAK_NONE);
    run_command(h, HART_RUN);
}

void hart_stop_request(struct hart *h)
{
    uint32_t state = HART_SLEEPING;

    atomic_store(&h->command, HART_PARK);
    atomic_fetch_or(&h->doorbell, DOORBELL_PARK);
    /* To wake a sleeping hart only to park it would take longer than anything else here. */
    atomic_compare_exchange_strong(&h->state, &state, HART_PARKED);
}

void hart_stop_wait(struct hart *h)
{
    unsigned spins = 0;
    uint32_t state;

    while ((state = atomic_load(&h->state)) != HART_PARKED) {
        if (spins++ < SPINS) {
            relax();
        } else if (spins == SPINS + 1) {
            /* It may wait for a processor: lend it the priority of who waits here. */
            pthread_mutex_lock(&h->on);
            pthread_mutex_unlock(&h->on);
        } else {
            futex_wait(&h->state, state, INT64_MAX);
        }
    }
}

void hart_set_throttle(struct hart *h, unsigned percent)
{
    atomic_store(&h->throttle, percent < 99 ? percent : 99);
    run_ring(h, DOORBELL_PACE);
}

void hart_set_irq(struct hart *h, enum hart_irq irq, bool level)
{
    uint64_t bit = UINT64_C(1) << irq;

    if (!level)
        atomic_fetch_and(&h->lines, ~bit);
    else if (!(atomic_fetch_or(&h->lines, bit) & bit))
        run_ring(h, DOORBELL_IRQ);
}

bool hart_get_irq(const struct hart *h, enum hart_irq irq)
{
    return atomic_load(&h->lines) >> irq & 1;
}
