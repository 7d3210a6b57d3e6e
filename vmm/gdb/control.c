/* SPDX-License-Identifier: Apache-2.0 */
/* Stopping, going, stepping, breakpoints. */
#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "base/log.h"
#include "vmm/gdb/internal.h"
#include "vmm/machine/vm.h"

/* Signals as GDB counts them. */
#define SIGNAL_INTERRUPT 2
#define SIGNAL_TRAP      5

bool gdb_is_stopped(const struct gdb *g)
{
    switch (vm_run_state(g->vm)) {
    case RUN_STATE_RUNNING:
    case RUN_STATE_FINISH_MIGRATE:
    case RUN_STATE_POSTMIGRATE:
    case RUN_STATE_INMIGRATE:
        return false;
    default:
        return true;
    }
}

void gdb_apply(struct gdb *g)
{
    for (size_t i = 0; i < g->hart_count; i++) {
        g->debug->set_breakpoints(g->vcpus[i], g->s.breakpoints, g->s.count);
        g->debug->set_step(g->vcpus[i], g->s.step >> i & 1);
        g->debug->set_hold(g->vcpus[i], g->s.held >> i & 1);
    }
}

/* Also where harts run: between stop and start nobody hears of it. */
static void apply_standing(struct gdb *g)
{
    if (gdb_is_stopped(g))
        gdb_apply(g);
}

void gdb_attach(struct gdb *g)
{
    struct ferry_err err;

    g->s = (struct gdb_state){.attached = true, .resume = vm_run_state(g->vm) == RUN_STATE_RUNNING};
    if (vm_stop(g->vm, &err) < 0)
        log_error("gdb: %s", err.text);
    log_warn("gdb: a client has connected; the guest stands still");
}

void gdb_detach(struct gdb *g)
{
    bool resume = g->s.resume || g->s.waiting;
    struct ferry_err err;

    if (!g->s.attached)
        return;
    g->s = (struct gdb_state){0};
    /* So that the harts are told of it. */
    if (vm_run_state(g->vm) == RUN_STATE_RUNNING && vm_stop(g->vm, &err) < 0)
        log_error("gdb: %s", err.text);
    apply_standing(g);
    if (resume && vm_run_state(g->vm) == RUN_STATE_PAUSED && vm_cont(g->vm, &err) < 0)
        log_error("gdb: %s", err.text);
    log_warn("gdb: the client has gone");
}

/*
 * Which hart a stop is about: one that stopped by itself, in turns, as those that are not told of
 * do so again; else the last that was looked at.
 */
static enum vcpu_break find_reason(struct gdb *g)
{
    for (size_t n = 1; n <= g->hart_count; n++) {
        size_t i = (g->s.hart + n) % g->hart_count;
        enum vcpu_break reason = g->debug->reason(g->vcpus[i]);

        if (reason != VCPU_BREAK_NONE) {
            g->s.hart = (uint32_t)i;
            return reason;
        }
    }
    return VCPU_BREAK_NONE;
}

void gdb_reply_stop(struct gdb *g)
{
    enum vcpu_break reason = find_reason(g);
    char text[32];

    snprintf(text, sizeof(text), "T%02xthread:%x;",
             reason == VCPU_BREAK_NONE ? SIGNAL_INTERRUPT : SIGNAL_TRAP, (unsigned)g->s.hart + 1);
    gdb_reply(g, text);
}

void gdb_observe(void *arg, enum vm_event event, enum shutdown_cause cause)
{
    struct gdb *g = arg;

    if (!g->s.attached)
        return;
    if (event == VM_EVENT_SHUTDOWN && g->s.waiting) {
        g->s.waiting = false;
        gdb_reply(g, "W00");
    } else if (event == VM_EVENT_STOP && gdb_is_stopped(g)) {
        g->s.step = g->s.held = 0;
        gdb_apply(g);
        if (g->s.waiting) {
            g->s.waiting = false;
            gdb_reply_stop(g);
        }
    }
}

void gdb_hart_stopped(void *arg)
{
    struct gdb *g = arg;
    struct ferry_err err;

    /* In a handover the harts stand still anyway, and say so again when they run. */
    if (vm_run_state(g->vm) == RUN_STATE_RUNNING && vm_stop(g->vm, &err) < 0)
        log_error("gdb: %s", err.text);
}

void gdb_interrupt(struct gdb *g)
{
    struct ferry_err err;

    if (g->s.waiting && vm_stop(g->vm, &err) < 0)
        log_error("gdb: %s", err.text);
}

void gdb_run(struct gdb *g, uint32_t step, uint32_t held)
{
    struct ferry_err err;

    if (!gdb_is_stopped(g)) {
        gdb_reply(g, "E01");
        return;
    }
    g->s.step = step;
    g->s.held = held;
    gdb_apply(g);
    g->s.waiting = true;
    if (vm_cont(g->vm, &err) == 0)
        return;
    log_warn("gdb: the guest cannot go on: %s", err.text);
    g->s.step = g->s.held = 0;
    gdb_apply(g);
    g->s.waiting = false;
    gdb_reply_stop(g);
}

bool gdb_add_breakpoint(struct gdb *g, uint64_t va)
{
    for (uint32_t i = 0; i < g->s.count; i++)
        if (g->s.breakpoints[i] == va)
            return true;
    if (g->s.count == VCPU_BREAKPOINTS_MAX)
        return false;
    g->s.breakpoints[g->s.count++] = va;
    gdb_apply(g);
    return true;
}

void gdb_remove_breakpoint(struct gdb *g, uint64_t va)
{
    uint32_t kept = 0;

    for (uint32_t i = 0; i < g->s.count; i++)
        if (g->s.breakpoints[i] != va)
            g->s.breakpoints[kept++] = g->s.breakpoints[i];
    g->s.count = kept;
    gdb_apply(g);
}
