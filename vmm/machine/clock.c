/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/machine/clock.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/log.h"
#include "base/own.h"

struct guest_timer {
    struct guest_clock *clock;
    struct guest_timer *next; /* in the clock's list */
    int64_t deadline_ns;      /* INT64_MAX: disarmed */
    uint64_t fired_in;        /* the pass of clock_expire() that called fn last */
    void (*fn)(void *arg);
    void *arg;
};

struct guest_clock {
    struct machine_lock *lock;
    struct loop_timer *alarm; /* for the earliest deadline */
    int64_t alarm_ns;         /* what it is set to, so that it is set no oftener than needed */

    /*
     * Readers retry while sequence is odd or has changed; writers hold the machine lock. Running:
     * now = CLOCK_MONOTONIC + value_ns. Stopped: now = value_ns.
     */
    _Atomic uint32_t sequence;
    _Atomic int64_t value_ns;
    atomic_bool running;
    int64_t stopped_ns; /* CLOCK_MONOTONIC, 0: what it shows was not read here; the main thread's */
    int64_t since_ns; /* CLOCK_REALTIME: it arrived and stands since then; 0: not so, or unknown */
    enum guest_clock_reader reader;
    bool ran; /* when the reader was said */

    struct guest_timer *timers; /* under the machine lock */
    uint64_t pass;

    /* QEMU's section; wire_ns and wire_since_ns exist only while it is saved or loaded. */
    uint64_t wire_ns, wire_since_ns;
    uint64_t
        wire_host_ticks; /* QEMU's cycle counter base: no meaning here, handed back as it came */
};

static void clock_publish(struct guest_clock *c, bool running, int64_t value_ns)
{
    uint32_t sequence = atomic_load_explicit(&c->sequence, memory_order_relaxed);

    atomic_store_explicit(&c->sequence, sequence + 1, memory_order_relaxed);
    atomic_thread_fence(memory_order_release);
    atomic_store_explicit(&c->running, running, memory_order_relaxed);
    atomic_store_explicit(&c->value_ns, value_ns, memory_order_relaxed);
    atomic_store_explicit(&c->sequence, sequence + 2, memory_order_release);
}

/* The pair of (running, value_ns) as some writer left it. */
static bool clock_read(const struct guest_clock *c, int64_t *ret_value_ns)
{
    for (;;) {
        uint32_t before = atomic_load_explicit(&c->sequence, memory_order_acquire);
        bool running = atomic_load_explicit(&c->running, memory_order_relaxed);

        *ret_value_ns = atomic_load_explicit(&c->value_ns, memory_order_relaxed);
        atomic_thread_fence(memory_order_acquire);
        if (!(before & 1) && atomic_load_explicit(&c->sequence, memory_order_relaxed) == before)
            return running;
    }
}

int64_t guest_clock_ns(const struct guest_clock *c)
{
    int64_t value_ns;

    if (clock_read(c, &value_ns))
        return clock_monotonic_ns() + value_ns;
    return value_ns;
}

int64_t guest_clock_host_deadline_ns(const struct guest_clock *c, int64_t ns)
{
    int64_t value_ns, host_ns;

    if (ns == INT64_MAX || !clock_read(c, &value_ns))
        return INT64_MAX;
    if (__builtin_sub_overflow(ns, value_ns, &host_ns))
        return ns < 0 ? INT64_MIN : INT64_MAX;
    return host_ns;
}

/* Under the machine lock. */
static void clock_set_alarm(struct guest_clock *c)
{
    int64_t earliest_ns = INT64_MAX;

    for (struct guest_timer *t = c->timers; t; t = t->next) {
        if (t->deadline_ns < earliest_ns)
            earliest_ns = t->deadline_ns;
    }
    earliest_ns = guest_clock_host_deadline_ns(c, earliest_ns);
    if (earliest_ns == c->alarm_ns)
        return;
    c->alarm_ns = earliest_ns;
    loop_timer_set(c->alarm, earliest_ns);
}

static struct guest_timer *clock_next_expired(struct guest_clock *c, int64_t now_ns)
{
    struct guest_timer *next = NULL;

    for (struct guest_timer *t = c->timers; t; t = t->next) {
        if (t->deadline_ns > now_ns || t->fired_in == c->pass)
            continue;
        if (!next || t->deadline_ns < next->deadline_ns)
            next = t;
    }
    return next;
}

/* Each timer fires at most once in a pass, so that one that sets itself in the past cannot keep
 * the main thread here. */
static void clock_expire(void *arg)
{
    struct guest_clock *c = arg;
    struct guest_timer *t;
    int64_t now_ns;

    machine_lock(c->lock);
    c->alarm_ns = INT64_MAX;
    if (clock_read(c, &now_ns)) {
        now_ns = guest_clock_ns(c);
        c->pass++;
        /* Looked up anew each time: a callback may free or set any timer. */
        while ((t = clock_next_expired(c, now_ns))) {
            t->fired_in = c->pass;
            t->deadline_ns = INT64_MAX;
            t->fn(t->arg);
        }
        clock_set_alarm(c);
    }
    machine_unlock(c->lock);
}

int guest_clock_new(struct guest_clock **ret, struct loop *loop, struct machine_lock *lock,
                    struct ferry_err *err)
{
    OWN_MEM struct guest_clock *c = calloc(1, sizeof(*c));
    int rc;

    if (!c)
        return err_set(err, ENOMEM, "no memory for the guest's clock");
    c->lock = lock;
    c->alarm_ns = INT64_MAX;
    rc = loop_timer_new(&c->alarm, loop, clock_expire, c, err);
    if (rc)
        return err_prefix(err, "guest clock");
    *ret = TAKE_PTR(c);
    return 0;
}

void guest_clock_free(struct guest_clock *c)
{
    if (!c)
        return;
    assert(!c->timers);
    loop_timer_free(c->alarm);
    free(c);
}

/* How long it stood, of one that arrived and is at value_ns; 0, and why, if that cannot be. */
static int64_t clock_missed_ns(const struct guest_clock *c, int64_t value_ns, int64_t now_ns)
{
    int64_t missed_ns = now_ns + clock_realtime_offset_ns() - c->since_ns;

    if (missed_ns < 0)
        log_warn("the guest's clock stands still instead of catching up: it stopped %" PRId64
                 " ms later than it is here; set the clocks of both hosts right",
                 -missed_ns / 1000000);
    else if (value_ns > CLOCK_SET_NS_MAX - missed_ns)
        log_warn("the guest's clock stands still instead of catching up with %" PRId64
                 " days: it would be later than a clock can be set; set the clocks of both hosts "
                 "right",
                 missed_ns / 1000000000 / 86400);
    else
        return missed_ns;
    return 0;
}

/* Under the machine lock: it stands at value_ns, and did so at that instant of the host. */
static void clock_run(struct guest_clock *c, int64_t value_ns, int64_t host_ns)
{
    c->since_ns = 0;
    clock_publish(c, true, value_ns - host_ns);
    clock_set_alarm(c);
}

void guest_clock_start(struct guest_clock *c)
{
    int64_t value_ns;

    machine_lock(c->lock);
    if (!clock_read(c, &value_ns)) {
        int64_t now_ns = clock_monotonic_ns();

        if (c->since_ns)
            value_ns += clock_missed_ns(c, value_ns, now_ns);
        clock_run(c, value_ns, now_ns);
    }
    machine_unlock(c->lock);
}

void guest_clock_go_on(struct guest_clock *c, int64_t stopped_ns)
{
    int64_t value_ns;

    machine_lock(c->lock);
    if (!clock_read(c, &value_ns))
        clock_run(c, value_ns, stopped_ns);
    machine_unlock(c->lock);
}

/* One reading is both where it stands and since when, so that going on from there loses nothing. */
void guest_clock_stop(struct guest_clock *c)
{
    int64_t value_ns;

    machine_lock(c->lock);
    if (clock_read(c, &value_ns)) {
        c->stopped_ns = clock_monotonic_ns();
        clock_publish(c, false, c->stopped_ns + value_ns);
        clock_set_alarm(c);
    }
    machine_unlock(c->lock);
}

int64_t guest_clock_stopped_ns(const struct guest_clock *c)
{
    return c->stopped_ns;
}

void guest_clock_set(struct guest_clock *c, int64_t ns)
{
    int64_t value_ns;
    bool running = clock_read(c, &value_ns);

    clock_publish(c, running, running ? ns - clock_monotonic_ns() : ns);
    clock_set_alarm(c);
}

void guest_clock_reset(struct guest_clock *c)
{
    c->since_ns = 0;
    guest_clock_set(c, 0);
}

void guest_clock_saves_for(struct guest_clock *c, enum guest_clock_reader reader)
{
    int64_t ignored;

    c->reader = reader;
    c->ran = clock_read(c, &ignored);
}

bool guest_clock_knows_since(const struct guest_clock *c)
{
    return c->since_ns != 0;
}

void guest_clock_stand(struct guest_clock *c)
{
    c->since_ns = 0;
}

int guest_timer_new(struct guest_timer **ret, struct guest_clock *c, void (*fn)(void *arg),
                    void *arg, struct ferry_err *err)
{
    struct guest_timer *t = calloc(1, sizeof(*t));

    if (!t)
        return err_set(err, ENOMEM, "no memory for a guest timer");
    t->clock = c;
    t->deadline_ns = INT64_MAX;
    t->fn = fn;
    t->arg = arg;
    t->next = c->timers;
    c->timers = t;
    *ret = t;
    return 0;
}

void guest_timer_set(struct guest_timer *t, int64_t ns)
{
    t->deadline_ns = ns;
    clock_set_alarm(t->clock);
}

void guest_timer_free(struct guest_timer *t)
{
    if (!t)
        return;
    for (struct guest_timer **at = &t->clock->timers; *at; at = &(*at)->next) {
        if (*at == t) {
            *at = t->next;
            break;
        }
    }
    free(t);
}

/* --- The "timer" section ------------------------------------------------------------------- */

/* Since when it stands, for whoever reads it; one that has not run since it arrived, since then. */
static int64_t clock_stands_since_ns(const struct guest_clock *c)
{
    if (c->reader == GUEST_CLOCK_FOR_QEMU)
        return 0;
    if (c->reader == GUEST_CLOCK_FOR_UPDATE || c->since_ns)
        return c->since_ns;
    return (c->ran ? c->stopped_ns : clock_monotonic_ns()) + clock_realtime_offset_ns();
}

static void clock_pre_save(void *obj)
{
    struct guest_clock *c = obj;

    c->wire_ns = (uint64_t)guest_clock_ns(c);
    c->wire_since_ns = (uint64_t)clock_stands_since_ns(c);
}

static void clock_post_load(void *obj)
{
    struct guest_clock *c = obj;

    guest_clock_set(c, (int64_t)c->wire_ns);
    c->stopped_ns = 0;
    c->since_ns = (int64_t)c->wire_since_ns;
}

static const struct ferry_field clock_fields[] = {
    FERRY_U64(struct guest_clock, wire_host_ticks, .wire_name = "cpu_ticks_offset",
              .type_name = "int64"),
    /* QEMU writes zeros and skips what it reads; a ferry tells another one since when it stands. */
    FERRY_U64(struct guest_clock, wire_since_ns, .wire_name = "unused",
              .type_name = "unused_buffer", .max = INT64_MAX),
    FERRY_U64(struct guest_clock, wire_ns, .wire_name = "cpu_clock_offset", .type_name = "int64",
              /* set at most, then run */
              .max = INT64_MAX / 2),
};

static const struct ferry_table clock_table = {
    .name = "timer",
    .version = 2,
    .minimum_version = 2,
    FERRY_FIELDS(clock_fields),
    .pre_save = clock_pre_save,
    .post_load = clock_post_load,
};

struct ferry_part guest_clock_part(struct guest_clock *c)
{
    return (struct ferry_part){
        .idstr = "timer",
        .table = &clock_table,
        .obj = c,
        .obj_bytes = sizeof(*c),
    };
}
