/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/config/absolute.h"

#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/err.h"
#include "base/own.h"
#include "vmm/config/option_table.h"

char *absolute_name(const char *path, struct ferry_err *err)
{
    char directory[PATH_MAX];
    char *ret = NULL;

    if (*path == '/' || *path == '\0') {
        ret = strdup(path);
    } else if (!getcwd(directory, sizeof(directory))) {
        err_sys(err, errno, "'%s': in which directory", path);
        return NULL;
    } else if (asprintf(&ret, "%s/%s", strcmp(directory, "/") ? directory : "", path) < 0) {
        ret = NULL;
    }
    if (!ret)
        err_set(err, ENOMEM, "out of memory");
    return ret;
}

char *absolute_place(const char *place, struct ferry_err *err)
{
    static const char *const schemes[] = {"file:", "unix:"};
    const char *behind = !strncmp(place, "mon:", 4) ? place + 4 : place;
    OWN_MEM char *name = NULL;
    char *ret = NULL;

    for (size_t i = 0; i < sizeof(schemes) / sizeof(schemes[0]); i++) {
        if (strncmp(behind, schemes[i], strlen(schemes[i])))
            continue;
        behind += strlen(schemes[i]);
        name = absolute_name(behind, err);
        if (!name)
            return NULL;
        if (asprintf(&ret, "%.*s%s", (int)(behind - place), place, name) < 0)
            ret = NULL;
        break;
    }
    if (!name)
        ret = strdup(place);
    if (!ret)
        err_set(err, ENOMEM, "out of memory");
    return ret;
}

/* with: NULL = it failed. */
static int replace(char **value, char *with)
{
    if (!with)
        return -ENOMEM;
    free(*value);
    *value = with;
    return 0;
}

int absolute_pairs(struct keyval *kv, const struct prop *props, struct ferry_err *err)
{
    int changed = 0;

    for (size_t i = 0; props && i < kv->count; i++) {
        const struct prop *p = props_find(props, kv->pairs[i].key);

        if (!p || p->kind != PROP_PATH || *kv->pairs[i].value == '/')
            continue;
        if (replace(&kv->pairs[i].value, absolute_name(kv->pairs[i].value, err)) < 0)
            return -err->errnum;
        changed++;
    }
    return changed;
}

/* Written anew only where a name was relative: a description stays what its user typed. */
static int parts(const struct option_def *def, struct option *option, struct ferry_err *err)
{
    struct keyval kv;
    int rc = keyval_parse(&kv, option->value, def->syntax->implied_key, err);

    if (rc < 0)
        return rc;
    rc = absolute_pairs(&kv, option_props(def->syntax, &kv), err);
    if (rc > 0 && replace(&option->value, keyval_text(&kv)) < 0)
        rc = err_set(err, ENOMEM, "out of memory");
    keyval_free(&kv);
    return rc < 0 ? rc : 0;
}

static int word(const struct option_def *def, struct option *option, struct ferry_err *err)
{
    for (const char *const *none = def->none; none && *none; none++)
        if (!strcmp(*none, option->value))
            return 0;
    if (def->whose == OF_HOST_FILE)
        return replace(&option->value, absolute_name(option->value, err));
    return def->is_place ? replace(&option->value, absolute_place(option->value, err)) : 0;
}

int absolute_option(struct option *option, struct ferry_err *err)
{
    const struct option_def *def = option_find(option->name, err);
    int rc;

    if (!def)
        return -EINVAL;
    if (!option->value)
        return 0;
    rc = def->syntax ? parts(def, option, err) : word(def, option, err);
    return rc < 0 ? err_prefix(err, "-%s", def->name) : 0;
}

int absolute_options(struct options *o, struct ferry_err *err)
{
    int rc = 0;

    for (size_t i = 0; i < o->count && !rc; i++)
        rc = absolute_option(&o->list[i], err);
    return rc;
}
