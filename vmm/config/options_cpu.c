/* SPDX-License-Identifier: Apache-2.0 */
/* -cpu, -smp. */
#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "base/err.h"
#include "vmm/config/option_table.h"
#include "vmm/machine/machine_type.h"

static bool has_feature(const struct machine_cpu *cpu, const char *name)
{
    for (size_t i = 0; cpu->features[i]; i++)
        if (!strcmp(cpu->features[i], name))
            return true;
    return false;
}

static int check_feature(const struct machine_cpu *cpu, const struct keyval_pair *feature,
                         struct ferry_err *err)
{
    bool on, has = has_feature(cpu, feature->key);

    if (props_parse_bool(feature->value, &on) < 0)
        return err_set(err, EINVAL,
                       "CPU property '%.40s' is not available: the CPU is %s; leave it out",
                       feature->key, cpu->what);
    if (on == has)
        return 0;
    if (has)
        return err_set(err, EINVAL, "CPU feature '%.40s' cannot be switched off: leave it out",
                       feature->key);
    return err_set(err, EINVAL, "CPU feature '%.40s' is not available: the CPU is %s; leave it out",
                   feature->key, cpu->what);
}

int option_cpu(struct vm_config *c, const char *value, struct ferry_err *err)
{
    const struct machine_cpu *cpu = c->machine->cpu;
    const struct keyval_pair *model;
    struct keyval kv;
    int rc = keyval_parse(&kv, value, "model", err);

    if (rc < 0)
        return rc;
    model = keyval_find(&kv, "model");
    if (!model || strcmp(model->value, cpu->model) != 0)
        rc = err_set(err, EINVAL, "CPU model '%.40s' is not available; the one there is: '%s'",
                     model ? model->value : "", cpu->model);
    for (size_t i = 0; i < kv.count && !rc; i++)
        if (strcmp(kv.pairs[i].key, "model") != 0)
            rc = check_feature(cpu, &kv.pairs[i], err);
    keyval_free(&kv);
    return rc;
}

/* 0: not given. */
struct smp_options {
    uint32_t cpus, maxcpus;
    uint32_t sockets, dies, clusters, cores, threads;
};

#define LEVEL(member)                                                                      \
    {                                                                                      \
        .name = #member, .kind = PROP_U32, .offset = offsetof(struct smp_options, member), \
        .min = 1, .max = CONFIG_HARTS_MAX, .whose = OF_GUEST                               \
    }
static const struct prop smp_props[] = {
    LEVEL(cpus),     LEVEL(maxcpus), LEVEL(sockets), LEVEL(dies),
    LEVEL(clusters), LEVEL(cores),   LEVEL(threads), {0},
};
#undef LEVEL

const struct option_syntax smp_syntax = {"cpus", NULL, {{NULL, smp_props}}};

static uint32_t or_one(uint32_t n)
{
    return n ? n : 1;
}

int option_smp(struct vm_config *c, const char *value, struct ferry_err *err)
{
    struct smp_options o = {0};
    uint64_t product;
    bool whole;
    int rc = props_apply_text(smp_props, value, "cpus", &o, err);

    if (rc < 0)
        return rc;
    product = (uint64_t)or_one(o.sockets) * or_one(o.dies) * or_one(o.clusters) * or_one(o.cores) *
              or_one(o.threads);
    whole = o.sockets && o.cores && o.threads;
    if (!o.cpus)
        o.cpus = o.maxcpus ? o.maxcpus : (uint32_t)(product <= UINT32_MAX ? product : UINT32_MAX);
    rc = machine_type_check_harts(c->machine, o.cpus, err);
    if (rc < 0)
        return rc;
    if (o.maxcpus && o.maxcpus != o.cpus)
        return err_set(err, EINVAL,
                       "maxcpus=%u: harts are not plugged in later; with %u of them leave it out",
                       (unsigned)o.maxcpus, (unsigned)o.cpus);
    if (o.cpus % product != 0 || (whole && product != o.cpus))
        return err_set(err, EINVAL,
                       "sockets, cores and threads make %u harts, and cpus=%u was said; leave out "
                       "one of them",
                       (unsigned)product, (unsigned)o.cpus);
    c->harts = o.cpus;
    return 0;
}
