/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An accelerator: what runs a guest's CPUs. Each is a const table (struct accel) beside what it is
 * the table of, and each CPU of a guest a struct vcpu that only its accelerator sees into. Whoever
 * drives CPUs does it through the functions below and knows no accelerator.
 *
 * A vcpu has a host thread of its own, on which the guest's code runs. Nothing here is called while
 * it does so but what starts, stops and interrupts it. Main thread, with the vcpu stopped, unless
 * said otherwise.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <ferry/err.h>
#include <ferry/part.h>
#include <ferry/ram.h>

#include "vmm/machine/thread.h"

struct accel;
struct buf;
struct bus;
struct guest_clock;
struct guestmem;

struct vcpu {
    const struct accel *accel;
};

struct vcpu_params {
    uint32_t id;       /* its number: 0 for the first */
    const void *model; /* what of the CPU the machine decides: a struct of the accelerator's own */
    const struct guestmem *mem; /* loans that outlive the vcpu */
    struct bus *bus;
    const struct guest_clock *clock;
    struct ferry_ram *ram;
    thread_begin_fn *thread_begin; /* said by its thread when it begins; NULL = nothing */
};

#define VCPU_PARTS_MAX       2
#define VCPU_BREAKPOINTS_MAX 64

enum vcpu_break {
    VCPU_BREAK_NONE = 0,
    VCPU_BREAK_BREAKPOINT, /* pc is one, and what stands there is not done */
    VCPU_BREAK_STEP,       /* one instruction is done, or its trap taken */
};

/*
 * A vcpu under a debugger: its registers, its memory as it sees it, where and when it stops by
 * itself. Nothing of it is saved. Registers have GDB's numbers, and at most 8 bytes.
 *
 * A vcpu that stops by itself parks, as if it had been told to, says why and calls stopped().
 * Others run on until somebody stops them.
 */
struct vcpu_debug {
    unsigned reg_count;     /* numbers from here on are no register's */
    unsigned general_count; /* the first of them are what GDB reads and writes at once */
    /* How wide the register of a number is that has one. */
    size_t (*reg_bytes)(unsigned reg);
    /* GDB's target description of this vcpu (GDB manual, appendix G) is added to xml. */
    void (*describe)(struct vcpu *v, struct buf *xml);
    /* stopped: called on the vcpu's thread, which it must not keep waiting; NULL = nobody listens.
     */
    void (*attach)(struct vcpu *v, void (*stopped)(void *arg), void *arg);
    /* false: there is no such register, or it cannot be written. */
    bool (*get)(struct vcpu *v, unsigned reg, uint64_t *ret);
    bool (*set)(struct vcpu *v, unsigned reg, uint64_t value);
    /*
     * Through the page tables in force; what they allow does not matter and they stay as they are.
     * RAM only, ROM for reading: devices are not touched. -EFAULT: part of it is not there.
     */
    int (*read)(const struct vcpu *v, uint64_t va, void *data, size_t n);
    int (*write)(struct vcpu *v, uint64_t va, const void *data, size_t n);
    /* Memory was written: instructions that were decoded before are looked at again. */
    void (*code_changed)(struct vcpu *v);
    /* Instead of those before; at most VCPU_BREAKPOINTS_MAX. Virtual addresses of any mode. */
    void (*set_breakpoints)(struct vcpu *v, const uint64_t *va, size_t count);
    /* It stops after one instruction, in which no breakpoint counts and no interrupt comes. */
    void (*set_step)(struct vcpu *v, bool on);
    /* It stays where it is, whatever vcpu_run() says. */
    void (*set_hold)(struct vcpu *v, bool on);
    /* Why it stopped by itself since it was last told to run. Any thread. */
    enum vcpu_break (*reason)(const struct vcpu *v);
};

struct accel {
    const char *name;   /* QEMU's word for -accel */
    const char *what;   /* in a sentence: "its software CPU" */
    const char *target; /* whose code it runs, as QEMU's SysEmuTarget has it */

    /* Creates the thread too, parked; power-on state. */
    int (*create)(struct vcpu **ret, const struct vcpu_params *params, struct ferry_err *err);
    void (*free)(struct vcpu *v);
    /* Power-on state. */
    void (*reset)(struct vcpu *v);
    void (*run)(struct vcpu *v);
    void (*stop_request)(struct vcpu *v);
    void (*stop_wait)(struct vcpu *v);
    void (*set_throttle)(struct vcpu *v, unsigned percent);
    void (*set_irq)(struct vcpu *v, unsigned input, bool level);
    bool (*get_irq)(const struct vcpu *v, unsigned input);
    int (*thread_id)(const struct vcpu *v);
    size_t (*parts)(struct vcpu *v, struct ferry_part ret[VCPU_PARTS_MAX]);
    const struct vcpu_debug *debug; /* NULL: a debugger cannot look at it */
};

static inline void vcpu_free(struct vcpu *v)
{
    v->accel->free(v);
}

static inline void vcpu_reset(struct vcpu *v)
{
    v->accel->reset(v);
}

static inline void vcpu_run(struct vcpu *v)
{
    v->accel->run(v);
}

/*
 * Ask and do not wait, so that many stop at the same time; then wait for each. Not with the machine
 * lock held, which a vcpu may be waiting for; nor may a harvest of the dirty log begin with it
 * held.
 */
static inline void vcpu_stop_request(struct vcpu *v)
{
    v->accel->stop_request(v);
}

static inline void vcpu_stop_wait(struct vcpu *v)
{
    v->accel->stop_wait(v);
}

/*
 * Any thread, running or not. So many percent of the time, at most 99, it sleeps instead of
 * running; 0: it does not. A stop request ends the sleep at once, an interrupt waits for its end.
 */
static inline void vcpu_set_throttle(struct vcpu *v, unsigned percent)
{
    v->accel->set_throttle(v, percent);
}

/* Any thread. input: an interrupt line of the CPU, by the architecture's number. */
static inline void vcpu_set_irq(struct vcpu *v, unsigned input, bool level)
{
    v->accel->set_irq(v, input, level);
}

static inline bool vcpu_get_irq(const struct vcpu *v, unsigned input)
{
    return v->accel->get_irq(v, input);
}

/* For query-cpus-fast. */
static inline int vcpu_thread_id(const struct vcpu *v)
{
    return v->accel->thread_id(v);
}

/* Its sections in QEMU's stream, as parts to add to the VM; how many there are. */
static inline size_t vcpu_parts(struct vcpu *v, struct ferry_part ret[VCPU_PARTS_MAX])
{
    return v->accel->parts(v, ret);
}
