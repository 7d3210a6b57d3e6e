/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/dev/plic.h"

#include <assert.h>

#include "vmm/machine/config.h"

#define PLIC_WORDS        (PLIC_SOURCES / 32)
#define PLIC_CONTEXTS_MAX (2 * CONFIG_HARTS_MAX)
#define PLIC_PRIORITY_MAX 7u

/*
 * Register map, all registers 4 bytes:
 *     0x000000 + 4 * source                   priority
 *     0x001000 + 4 * word                     pending bits, read only
 *     0x002000 + 0x80 * context + 4 * word    enable bits
 *     0x200000 + 0x1000 * context             threshold
 *     0x200004 + 0x1000 * context             read claims, write completes
 */
enum {
    PLIC_PENDING = 0x1000,
    PLIC_ENABLE = 0x2000,
    PLIC_ENABLE_STRIDE = 0x80,
    PLIC_CONTEXT = 0x200000,
    PLIC_CONTEXT_STRIDE = 0x1000,
    PLIC_THRESHOLD = 0,
    PLIC_CLAIM = 4,
};

struct plic {
    struct dev dev;
    uint32_t context_count;
    uint32_t enable_words; /* PLIC_WORDS per context */
    struct irq_line outputs[PLIC_CONTEXTS_MAX];
    bool output_levels[PLIC_CONTEXTS_MAX]; /* what the outputs were last set to */
    uint32_t level[PLIC_WORDS];            /* the inputs, as the devices drive them */

    uint32_t source_priority[PLIC_SOURCES];
    uint32_t target_priority[PLIC_CONTEXTS_MAX]; /* thresholds */
    uint32_t pending[PLIC_WORDS];
    uint32_t claimed[PLIC_WORDS];
    uint32_t enable[PLIC_CONTEXTS_MAX * PLIC_WORDS];
};

static void plic_set_bit(uint32_t *words, uint32_t source, bool value)
{
    uint32_t bit = 1u << (source % 32);

    words[source / 32] = value ? words[source / 32] | bit : words[source / 32] & ~bit;
}

static bool plic_get_bit(const uint32_t *words, uint32_t source)
{
    return words[source / 32] >> (source % 32) & 1;
}

/* The source a claim of this context would return: the highest priority above the threshold, the
 * lowest number among equals; 0 if there is none. */
static uint32_t plic_best(const struct plic *p, uint32_t context)
{
    uint32_t best = 0, best_priority = p->target_priority[context];

    for (uint32_t word = 0; word < PLIC_WORDS; word++) {
        uint32_t candidates =
            p->pending[word] & ~p->claimed[word] & p->enable[context * PLIC_WORDS + word];

        for (; candidates; candidates &= candidates - 1) {
            uint32_t source = word * 32 + (uint32_t)__builtin_ctz(candidates);

            if (source != 0 && p->source_priority[source] > best_priority) {
                best = source;
                best_priority = p->source_priority[source];
            }
        }
    }
    return best;
}

static void plic_update(struct plic *p)
{
    for (uint32_t context = 0; context < p->context_count; context++) {
        bool level = plic_best(p, context) != 0;

        if (level == p->output_levels[context])
            continue;
        p->output_levels[context] = level;
        irq_set(&p->outputs[context], level);
    }
}

/* The same when it is not known where the harts' lines stand: after a reset or a load. */
static void plic_update_forced(struct plic *p)
{
    for (uint32_t context = 0; context < p->context_count; context++) {
        p->output_levels[context] = plic_best(p, context) != 0;
        irq_set(&p->outputs[context], p->output_levels[context]);
    }
}

static void plic_set_source(void *controller, unsigned source, bool level)
{
    struct plic *p = controller;

    if (level == plic_get_bit(p->level, source))
        return;
    plic_set_bit(p->level, source, level);
    if (level) {
        plic_set_bit(p->pending, source, true);
        plic_update(p);
    }
}

void plic_connect(struct dev *d, uint32_t context, struct irq_line output)
{
    struct plic *p = (struct plic *)d;

    assert(context < p->context_count);
    p->outputs[context] = output;
}

struct irq_line plic_input(struct dev *d, uint32_t source)
{
    assert(source > 0 && source < PLIC_SOURCES);
    return (struct irq_line){.set = plic_set_source, .controller = d, .source = source};
}

static uint32_t plic_claim(struct plic *p, uint32_t context)
{
    uint32_t source = plic_best(p, context);

    if (source != 0) {
        plic_set_bit(p->pending, source, false);
        plic_set_bit(p->claimed, source, true);
        plic_update(p);
    }
    return source;
}

static void plic_complete(struct plic *p, uint64_t source)
{
    if (source == 0 || source >= PLIC_SOURCES)
        return;
    plic_set_bit(p->claimed, (uint32_t)source, false);
    if (plic_get_bit(p->level, (uint32_t)source))
        plic_set_bit(p->pending, (uint32_t)source, true);
    plic_update(p);
}

/* The enable word at offset, or NULL. */
static uint32_t *plic_enable_word(struct plic *p, uint64_t offset)
{
    uint64_t context = (offset - PLIC_ENABLE) / PLIC_ENABLE_STRIDE;
    uint64_t word = (offset - PLIC_ENABLE) % PLIC_ENABLE_STRIDE / 4;

    if (offset < PLIC_ENABLE || context >= p->context_count || word >= PLIC_WORDS)
        return NULL;
    return &p->enable[context * PLIC_WORDS + word];
}

static int plic_read(void *dev, uint64_t offset, unsigned size_bytes, uint64_t *ret)
{
    struct plic *p = dev;
    const uint32_t *enable = plic_enable_word(p, offset);

    *ret = 0;
    if (offset < 4 * PLIC_SOURCES) {
        *ret = p->source_priority[offset / 4];
    } else if (offset >= PLIC_PENDING && offset < PLIC_PENDING + 4 * PLIC_WORDS) {
        *ret = p->pending[(offset - PLIC_PENDING) / 4];
    } else if (enable) {
        *ret = *enable;
    } else if (offset >= PLIC_CONTEXT) {
        uint64_t context = (offset - PLIC_CONTEXT) / PLIC_CONTEXT_STRIDE;
        uint64_t reg = (offset - PLIC_CONTEXT) % PLIC_CONTEXT_STRIDE;

        if (context >= p->context_count)
            return 0;
        if (reg == PLIC_THRESHOLD)
            *ret = p->target_priority[context];
        else if (reg == PLIC_CLAIM)
            *ret = plic_claim(p, (uint32_t)context);
    }
    return 0;
}

static int plic_write(void *dev, uint64_t offset, unsigned size_bytes, uint64_t value)
{
    struct plic *p = dev;
    uint32_t *enable = plic_enable_word(p, offset);

    if (offset >= 4 && offset < 4 * PLIC_SOURCES) {
        p->source_priority[offset / 4] = value % (PLIC_PRIORITY_MAX + 1);
        plic_update(p);
    } else if (enable) {
        *enable = (uint32_t)value;
        plic_update(p);
    } else if (offset >= PLIC_CONTEXT) {
        uint64_t context = (offset - PLIC_CONTEXT) / PLIC_CONTEXT_STRIDE;
        uint64_t reg = (offset - PLIC_CONTEXT) % PLIC_CONTEXT_STRIDE;

        if (context >= p->context_count)
            return 0;
        if (reg == PLIC_THRESHOLD) {
            p->target_priority[context] = value % (PLIC_PRIORITY_MAX + 1);
            plic_update(p);
        } else if (reg == PLIC_CLAIM) {
            plic_complete(p, value);
        }
    }
    return 0;
}

static int plic_create(struct dev *d, struct ferry_err *err)
{
    struct plic *p = (struct plic *)d;

    assert(d->env->hart_count <= CONFIG_HARTS_MAX);
    p->context_count = 2 * d->env->hart_count;
    p->enable_words = p->context_count * PLIC_WORDS;
    return 0;
}

/* The inputs belong to the devices, which set them low in their own reset. */
static void plic_reset(struct dev *d)
{
    struct plic *p = (struct plic *)d;

    for (uint32_t source = 0; source < PLIC_SOURCES; source++)
        p->source_priority[source] = 0;
    for (uint32_t word = 0; word < PLIC_WORDS; word++)
        p->pending[word] = p->claimed[word] = 0;
    for (uint32_t context = 0; context < p->context_count; context++)
        p->target_priority[context] = 0;
    for (uint32_t word = 0; word < p->enable_words; word++)
        p->enable[word] = 0;
    plic_update_forced(p);
}

/*
 * Levels do not travel. The devices, which load later, drive their lines again from their own
 * state; one that was claimed and is still high may so become pending once too often, which costs
 * the guest one empty interrupt and loses none.
 */
static void plic_post_load(void *obj)
{
    plic_update_forced(obj);
}

static const struct ferry_field plic_fields[] = {
    FERRY_U32_ARRAY(struct plic, source_priority, .max = PLIC_PRIORITY_MAX),
    FERRY_U32_VARRAY(struct plic, target_priority, context_count, .max = PLIC_PRIORITY_MAX),
    FERRY_U32_ARRAY(struct plic, pending),
    FERRY_U32_ARRAY(struct plic, claimed),
    FERRY_U32_VARRAY(struct plic, enable, enable_words),
};

static const struct ferry_table plic_table = {
    .name = "riscv_sifive_plic",
    .version = 1,
    .minimum_version = 1,
    FERRY_FIELDS(plic_fields),
    .post_load = plic_post_load,
};

const struct dev_type plic_type = {
    .name = "riscv.sifive.plic",
    .size_bytes = sizeof(struct plic),
    .mmio_bytes = 0x600000,
    .access_sizes = 4,
    .mmio = {.read = plic_read, .write = plic_write},
    .create = plic_create,
    .reset = plic_reset,
    .table = &plic_table,
};
