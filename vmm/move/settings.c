/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/move/settings.h"

#include <errno.h>
#include <string.h>

#include "base/err.h"
#include "base/own.h"
#include "vmm/config/props.h"
#include "vmm/machine/migration.h"
#include "vmm/move/migration_params.h"

int settings_add(struct settings *s, bool capability, const char *word, struct ferry_err *err)
{
    if (s->count == SETTINGS_MAX)
        return err_set(err, E2BIG, "more than %d capabilities and parameters", SETTINGS_MAX);
    s->capability[s->count] = capability;
    s->words[s->count++] = word;
    return 0;
}

int settings_check_compression(const char *method, struct ferry_err *err)
{
    const struct prop option = {.name = "--compress", .choices = migration_compressions()};
    int rc = props_choice(&option, method, err);

    return rc < 0 ? rc : 0;
}

/* *ret_value is in the copy of the word that is returned, owned; NULL on failure. */
static char *split(const char *word, const char **ret_value, struct ferry_err *err)
{
    char *copy = strdup(word);
    char *equals = copy ? strchr(copy, '=') : NULL;

    if (!copy) {
        err_set(err, ENOMEM, "out of memory");
        return NULL;
    }
    if (equals)
        *equals = '\0';
    *ret_value = equals ? equals + 1 : "on";
    return copy;
}

static const char *capability_candidate(const void *arg, size_t i)
{
    return i < migration_capability_count() ? migration_capability_name(i) : NULL;
}

static const char *parameter_candidate(const void *arg, size_t i)
{
    return i < migration_param_count() ? migration_param(i)->name : NULL;
}

static int unknown(const char *what, const char *name,
                   const char *(*candidate)(const void *arg, size_t i), struct ferry_err *err)
{
    const char *closest = props_closest(name, candidate, NULL);

    return err_set(err, EINVAL, "there is no %s '%.60s'%s%s%s", what, name,
                   closest ? "; did you mean '" : "", closest ? closest : "", closest ? "'?" : "");
}

static int set_capability(struct migration *m, const char *word, struct ferry_err *err)
{
    const char *value;
    OWN_MEM char *name = split(word, &value, err);
    const char *const names[] = {name};
    size_t i = 0;
    bool on;

    if (!name)
        return -ENOMEM;
    while (i < migration_capability_count() && strcmp(migration_capability_name(i), name) != 0)
        i++;
    if (i == migration_capability_count())
        return unknown("capability", name, capability_candidate, err);
    if (props_parse_bool(value, &on) < 0)
        return err_set(err, EINVAL, "'on' or 'off' was expected, not '%.60s'", value);
    return migration_set_capabilities(m, names, &on, 1, err);
}

static int parse_value(const struct migration_param *p, const char *text,
                       struct migration_value *ret, struct ferry_err *err)
{
    uint64_t max = p->bits && p->bits < 64 ? (UINT64_C(1) << p->bits) - 1 : UINT64_MAX;
    bool on;

    *ret = (struct migration_value){.str = text};
    if (p->type == MIGRATION_PARAM_STR)
        return 0;
    if (p->type == MIGRATION_PARAM_BOOL) {
        if (props_parse_bool(text, &on) < 0)
            return err_set(err, EINVAL, "'on' or 'off' was expected, not '%.60s'", text);
        ret->num = on;
        return 0;
    }
    if (props_parse_size(text, 1, &ret->num) < 0 || ret->num > max)
        return err_set(err, EINVAL, "a number was expected, not '%.60s'", text);
    return 0;
}

static int set_parameter(struct migration *m, const char *word, struct ferry_err *err)
{
    const char *text;
    OWN_MEM char *name = split(word, &text, err);
    struct migration_value value;
    size_t i = 0;
    int rc;

    if (!name)
        return -ENOMEM;
    while (i < migration_param_count() && strcmp(migration_param(i)->name, name) != 0)
        i++;
    if (i == migration_param_count())
        return unknown("parameter", name, parameter_candidate, err);
    rc = parse_value(migration_param(i), text, &value, err);
    return rc < 0 ? rc : migration_params_set(m, &i, &value, 1, err);
}

int settings_apply(const struct settings *s, struct migration *m, struct ferry_err *err)
{
    for (size_t i = 0; i < s->count; i++)
        if (s->capability[i] && set_capability(m, s->words[i], err) < 0)
            return err_prefix(err, "--capability %s", s->words[i]);
    for (size_t i = 0; i < s->count; i++)
        if (!s->capability[i] && set_parameter(m, s->words[i], err) < 0)
            return err_prefix(err, "--parameter %s", s->words[i]);
    return 0;
}
