/* SPDX-License-Identifier: Apache-2.0 */
/* -object: memory-backend-file, and how it goes with -m and -M virt,memory-backend=; rng-random. */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "vmm/config/option_table.h"

static const char *const types[] = {"memory-backend-file", NULL};
static const char *const sources[] = {"/dev/urandom", "/dev/random", NULL};

#define M(member) .offset = offsetof(struct config_memory, member)
static const struct prop props[] = {
    {.name = "qom-type", .kind = PROP_FIXED, .choices = types, .whose = OF_GUEST},
    {.name = "id", .kind = PROP_STRING, M(id), .whose = OF_GUEST},
    {.name = "size", .kind = PROP_SIZE, M(size_bytes), .min = 1, .whose = OF_GUEST},
    {.name = "mem-path", .kind = PROP_PATH, M(path), .whose = OF_HOST_FILE},
    {.name = "share", .kind = PROP_BOOL, M(share), .whose = OF_USE},
    {.name = "prealloc", .kind = PROP_BOOL, M(prealloc), .whose = OF_USE},
    {0},
};
#undef M

/* The device has the kernel's random numbers, whether or not somebody says so. */
static const struct prop rng_props[] = {
    {.name = "qom-type", .kind = PROP_IGNORED, .whose = OF_GUEST},
    {.name = "id", .kind = PROP_IGNORED, .whose = OF_GUEST},
    {.name = "filename", .kind = PROP_FIXED, .choices = sources, .whose = OF_HOST},
    {0},
};

const struct option_syntax object_syntax = {
    "qom-type",
    "qom-type",
    {{"memory-backend-file", props}, {"rng-random", rng_props}, {"rng-builtin", rng_props}}};

static int check(const struct vm_config *c, const struct config_memory *m, struct ferry_err *err)
{
    if (!m->id || !*m->id || strlen(m->id) > 40)
        return err_set(err, EINVAL, "Parameter 'id' is missing, or longer than 40 bytes");
    if (!m->path)
        return err_set(err, EINVAL, "mem-path property not set");
    if (!m->size_bytes)
        return err_set(err, EINVAL, "can't create backend with size 0");
    if (!m->share)
        return err_set(err, EINVAL,
                       "share=on is needed: guest RAM is always mapped shared, so that it can be "
                       "handed over");
    for (size_t i = 0; i < c->memory_count; i++)
        if (!strcmp(c->memories[i].id, m->id))
            return err_set(err, EEXIST, "attempt to add duplicate property '%s' to object", m->id);
    if (c->memory_count == CONFIG_MEMORIES_MAX)
        return err_set(err, E2BIG, "more than %d memory backends", CONFIG_MEMORIES_MAX);
    return 0;
}

static int add_memory(struct vm_config *c, const struct keyval *kv, struct ferry_err *err)
{
    struct config_memory m = {.prealloc = true};
    int rc = props_apply(props, kv, &m, err);

    if (!rc)
        rc = check(c, &m, err);
    if (!rc) {
        c->memories[c->memory_count++] = m;
        return 0;
    }
    free(m.id);
    free(m.path);
    return rc;
}

int option_object(struct vm_config *c, const char *value, struct ferry_err *err)
{
    const struct keyval_pair *type;
    const struct prop *found;
    struct keyval kv;
    int rc = keyval_parse(&kv, value, object_syntax.implied_key, err);

    if (rc < 0)
        return rc;
    type = keyval_find(&kv, object_syntax.type_key);
    found = option_props(&object_syntax, &kv);
    if (!type)
        rc = err_set(err, EINVAL, "Parameter 'qom-type' is missing");
    else if (!found)
        rc = err_set(err, EINVAL,
                     "object '%.40s' is not available; there are: 'memory-backend-file', "
                     "'rng-random', 'rng-builtin'",
                     type->value);
    else if (found == props)
        rc = add_memory(c, &kv, err);
    else
        rc = props_apply(found, &kv, c, err);
    keyval_free(&kv);
    return rc;
}

int config_check_memory(struct vm_config *c, struct ferry_err *err)
{
    const struct config_memory *m = config_ram_memory(c);

    if (!c->ram_backend)
        return 0;
    if (!m)
        return err_set(err, ENOENT, "Memory backend '%s' not found: no -object has id=%s",
                       c->ram_backend, c->ram_backend);
    if (c->ram_given && c->ram_bytes != m->size_bytes)
        return err_set(err, EINVAL,
                       "-m says %" PRIu64 " MiB of RAM, its memory-backend '%s' has %" PRIu64
                       " bytes: give both the same size",
                       c->ram_bytes >> 20, m->id, m->size_bytes);
    if (m->size_bytes < CONFIG_RAM_BYTES_MIN || m->size_bytes > CONFIG_RAM_BYTES_MAX ||
        m->size_bytes % (2u << 20))
        return err_set(err, EINVAL,
                       "memory-backend '%s' has %" PRIu64
                       " bytes: RAM is a multiple of 2 MiB, from %llu MiB to %llu MiB",
                       m->id, m->size_bytes, CONFIG_RAM_BYTES_MIN >> 20,
                       CONFIG_RAM_BYTES_MAX >> 20);
    c->ram_bytes = m->size_bytes;
    return 0;
}
