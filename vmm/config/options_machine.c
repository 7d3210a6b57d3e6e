/* SPDX-License-Identifier: Apache-2.0 */
/* -M, -accel: what the catalogue of machine types has. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/own.h"
#include "vmm/config/machines.h"
#include "vmm/config/option_table.h"

static struct option_variant machine_variant_at(size_t i)
{
    const struct machine_type *type = machine_type_at(i);

    return type ? (struct option_variant){type->name, type->props, type->what}
                : (struct option_variant){0};
}

const struct option_syntax machine_syntax = {"type", "type", .variant_at = machine_variant_at,
                                             .type_optional = true};

const char *option_accel_word(size_t i)
{
    const struct accel *accel = machine_accel_at(i);

    return accel ? accel->name : NULL;
}

const char *option_cpu_word(size_t i)
{
    const struct machine_type *type = machine_type_at(i);

    return type ? type->cpu->model : NULL;
}

/* The type that -M says; NULL: it says none. To be freed. */
static char *machine_word(const char *value)
{
    const struct keyval_pair *type;
    struct ferry_err none;
    struct keyval kv;
    char *word;

    if (keyval_parse(&kv, value, machine_syntax.implied_key, &none) < 0)
        return NULL;
    type = keyval_find(&kv, machine_syntax.type_key);
    word = type ? strdup(type->value) : NULL;
    keyval_free(&kv);
    return word;
}

void options_choose_machine(struct vm_config *c, const struct options *o)
{
    c->machine = machine_type_at(0);
    for (size_t i = 0; i < o->count; i++) {
        const struct option *option = &o->list[i];
        const struct machine_type *type;
        OWN_MEM char *word = NULL;

        if (!option->value || (strcmp(option->name, "M") && strcmp(option->name, "machine")))
            continue;
        word = machine_word(option->value);
        type = word ? machine_type_find(word) : NULL;
        if (type)
            c->machine = type;
    }
}

#define MACHINES_MAX 8

static int refuse_machine(const char *word, struct ferry_err *err)
{
    const char *names[MACHINES_MAX + 1] = {NULL};
    const struct prop type = {.name = machine_syntax.type_key, .choices = names};
    const struct machine_type *known;

    for (size_t i = 0; i < MACHINES_MAX && (known = machine_type_at(i)); i++)
        names[i] = known->name;
    return props_choice(&type, word, err);
}

int option_machine(struct vm_config *c, const char *value, struct ferry_err *err)
{
    OWN_MEM char *word = machine_word(value);
    int rc;

    if (word && !machine_type_find(word))
        return refuse_machine(word, err);
    rc = props_apply_text(c->machine->props, value, machine_syntax.implied_key, c, err);
    return rc ? rc : c->machine->check_words(c, err);
}

int option_accel(struct vm_config *c, const char *value, struct ferry_err *err)
{
    const struct accel *first = c->machine->accels[0];

    char *copy;

    if (!machine_type_accel(c->machine, value))
        return err_set(err, EINVAL, "accelerator '%s' is not available: ferry runs %s on %s (%s)",
                       value, first->target, first->what, first->name);
    copy = strdup(value);
    if (!copy)
        return err_set(err, ENOMEM, "out of memory");
    free(c->accel);
    c->accel = copy;
    return 0;
}
