/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/main/overrides.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/own.h"
#include "vmm/main/control.h"
#include "vmm/main/keyval.h"

struct override_def {
    const char *name;     /* on the command line, without dashes */
    const char *argument; /* for the help */
    const char *option;   /* what it changes */
    const char *id_key;   /* ID is this key's value there; NULL: VALUE replaces the whole option */
    const char *key;      /* what gets the new value; later ones win */
    const char *help;
};

/* clang-format off */
static const struct override_def defs[] = {
    {"name", "NAME", "name", NULL, NULL, "the VM's name here"},
    {"drive", "ID=PATH", "drive", "id", "file", "the image of -drive ID is PATH here"},
    {"blockdev", "NODE=PATH", "blockdev", "node-name", "filename", "the image of a node"},
    {"netdev", "ID=IFNAME", "netdev", "id", "ifname", "the TAP of -netdev ID is IFNAME here"},
    {"net-socket", "ID=PATH", "netdev", "id", "addr.path", "the UNIX socket of -netdev ID"},
    {"memory", "ID=PATH", "object", "id", "mem-path", "the file of -object ID is PATH here"},
    {"chardev", "ID=PATH", "chardev", "id", "path", "the file or socket of -chardev ID"},
    {"serial", "WHERE", "serial", NULL, NULL, "where the UART goes here, as ferry run -serial"},
    {"bios", "FILE", "bios", NULL, NULL, "the firmware that a reset loads"},
    {"kernel", "FILE", "kernel", NULL, NULL, "the kernel that a reset loads"},
    {"initrd", "FILE", "initrd", NULL, NULL, "the initial RAM disk that a reset loads"},
};
/* clang-format on */

/* Options of the source's host or of its start, which mean nothing here. */
static const char *const dropped[] = {"qmp", "qmp-pretty", "mon", "S", "incoming", NULL};

int overrides_parse(struct overrides *o, int argc, char *const argv[], int *i,
                    struct ferry_err *err)
{
    for (size_t d = 0; d < sizeof(defs) / sizeof(defs[0]); d++) {
        if (strncmp(argv[*i], "--", 2) || strcmp(argv[*i] + 2, defs[d].name))
            continue;
        if (*i + 1 >= argc)
            return err_set(err, EINVAL, "%s: %s was expected", argv[*i], defs[d].argument);
        if (defs[d].id_key && !strchr(argv[*i + 1], '='))
            return err_set(err, EINVAL, "%s %s: %s was expected", argv[*i], argv[*i + 1],
                           defs[d].argument);
        if (o->count == OVERRIDES_MAX)
            return err_set(err, E2BIG, "more than %d overrides", OVERRIDES_MAX);
        o->list[o->count++] = (struct override){.def = &defs[d], .value = argv[++*i]};
        return 1;
    }
    return 0;
}

void overrides_print_help(FILE *to)
{
    for (size_t d = 0; d < sizeof(defs) / sizeof(defs[0]); d++)
        fprintf(to, "  --%s %s\n        %s\n", defs[d].name, defs[d].argument, defs[d].help);
}

static int is_dropped(const struct option *option, const struct options *all, struct ferry_err *err)
{
    struct keyval kv;
    const struct keyval_pair *id;
    bool found = false;

    for (size_t i = 0; dropped[i]; i++)
        if (!strcmp(option->name, dropped[i]))
            return 1;
    if (strcmp(option->name, "chardev"))
        return 0;
    if (keyval_parse(&kv, option->value, "backend", err) < 0)
        return -EINVAL;
    id = keyval_find(&kv, "id");
    /* A monitor's chardev goes with the monitor. */
    for (size_t i = 0; id && i < all->count && !found; i++) {
        struct keyval mon;
        const struct keyval_pair *chardev;

        if (strcmp(all->list[i].name, "mon"))
            continue;
        if (keyval_parse(&mon, all->list[i].value, "chardev", err) < 0) {
            keyval_free(&kv);
            return -EINVAL;
        }
        chardev = keyval_find(&mon, "chardev");
        found = chardev && !strcmp(chardev->value, id->value);
        keyval_free(&mon);
    }
    keyval_free(&kv);
    return found;
}

/* Does this option have the ID that the override begins with? */
static int is_meant(const struct option *option, const struct override *override,
                    struct ferry_err *err)
{
    size_t id_bytes = strcspn(override->value, "=");
    const struct keyval_pair *id;
    struct keyval kv;
    int found;

    if (strcmp(option->name, override->def->option))
        return 0;
    if (!override->def->id_key)
        return 1;
    if (keyval_parse(&kv, option->value, NULL, err) < 0 &&
        keyval_parse(&kv, option->value, "type", err) < 0)
        return -EINVAL;
    id = keyval_find(&kv, override->def->id_key);
    found = id && strlen(id->value) == id_bytes && !memcmp(id->value, override->value, id_bytes);
    keyval_free(&kv);
    return found;
}

static int replace(struct option *option, const struct override *override, struct ferry_err *err)
{
    const char *value = override->value;
    char *text, *at;

    if (override->def->id_key && *option->value == '{')
        return err_set(err, ENOTSUP, "--%s %s: that option is JSON, which cannot be replaced in",
                       override->def->name, override->value);
    if (override->def->id_key)
        value += strcspn(value, "=") + 1;
    text = calloc(1, strlen(option->value) + 2 * strlen(value) + 32);
    if (!text)
        return err_set(err, ENOMEM, "out of memory");
    at = text;
    if (override->def->id_key) {
        at = stpcpy(stpcpy(stpcpy(stpcpy(at, option->value), ","), override->def->key), "=");
        for (; *value; value++) {
            *at++ = *value;
            if (*value == ',')
                *at++ = ',';
        }
    } else {
        strcpy(at, value);
    }
    free(option->value);
    option->value = text;
    return 0;
}

static int apply(struct options *o, const struct override *override, struct ferry_err *err)
{
    bool found = false;

    for (size_t i = 0; i < o->count; i++) {
        int rc = is_meant(&o->list[i], override, err);

        if (rc > 0)
            rc = replace(&o->list[i], override, err);
        else if (rc == 0)
            continue;
        if (rc < 0)
            return rc;
        found = true;
    }
    if (found)
        return 0;
    if (!override->def->id_key)
        return options_add(o, override->def->option, override->value, err);
    return err_set(err, ENOENT, "--%s %s: the machine that came has no -%s with that %s",
                   override->def->name, override->value, override->def->option,
                   override->def->id_key);
}

static int add_control(struct options *o, struct ferry_err *err)
{
    struct vm_config config;
    int rc = config_from_options(&config, o, err);

    if (rc < 0)
        return rc;
    rc = config.name ? control_add(o, config.name, err)
                     : err_set(err, EPROTO, "the machine that came has no name");
    config_free(&config);
    return rc;
}

int overrides_machine(struct options *o, const char *description, const struct overrides *overrides,
                      struct ferry_err *err)
{
    struct options theirs = {0};
    int rc = options_from_json(&theirs, description, err);

    for (size_t i = 0; !rc && i < theirs.count; i++) {
        int drop = is_dropped(&theirs.list[i], &theirs, err);

        if (drop <= 0)
            rc = drop < 0 ? drop : options_add(o, theirs.list[i].name, theirs.list[i].value, err);
    }
    options_free(&theirs);
    for (size_t i = 0; !rc && overrides && i < overrides->count; i++)
        rc = apply(o, &overrides->list[i], err);
    if (!rc)
        rc = add_control(o, err);
    if (rc < 0)
        options_free(o);
    return rc;
}
