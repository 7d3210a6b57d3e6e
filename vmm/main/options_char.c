/* SPDX-License-Identifier: Apache-2.0 */
/* -chardev, -serial, -qmp, -mon. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/own.h"
#include "vmm/main/option_table.h"

static const char *const chardev_types[] = {"null", "stdio", "file", "socket", NULL};

#define C(member) .offset = offsetof(struct config_chardev, member)
static const struct prop chardev_props[] = {
    {.name = "backend", .kind = PROP_ENUM, .choices = chardev_types, C(type), .whose = OF_HOST},
    {.name = "id", .kind = PROP_STRING, C(id), .whose = OF_GUEST},
    {.name = "path", .kind = PROP_STRING, C(path), .whose = OF_HOST},
    {.name = "server", .kind = PROP_BOOL, C(server), .whose = OF_HOST},
    {.name = "wait", .kind = PROP_BOOL, C(wait), .whose = OF_HOST},
    {.name = "append", .kind = PROP_BOOL, C(append), .whose = OF_HOST},
    {.name = "signal", .kind = PROP_BOOL, C(signal), .whose = OF_HOST},
    {0},
};
#undef C

const struct option_syntax chardev_syntax = {"backend", NULL, {{NULL, chardev_props}}};

static void free_chardev(struct config_chardev *d)
{
    free(d->id);
    free(d->path);
}

/* Takes *d on success. */
static int add_chardev(struct vm_config *c, struct config_chardev *d, struct ferry_err *err)
{
    bool needs_path = d->type == CONFIG_CHARDEV_FILE || d->type == CONFIG_CHARDEV_SOCKET;

    if (!d->id || !*d->id || strlen(d->id) > 40 || strchr(d->id, '/'))
        return err_set(err, EINVAL, "Parameter 'id' is missing, or not 1 to 40 characters");
    if (needs_path && !d->path)
        return err_set(err, EINVAL, "Parameter 'path' is missing");
    for (size_t i = 0; i < c->chardev_count; i++) {
        if (!strcmp(c->chardevs[i].id, d->id))
            return err_set(err, EEXIST, "Chardev with id '%s' already exists", d->id);
        if (d->type == CONFIG_CHARDEV_STDIO && c->chardevs[i].type == CONFIG_CHARDEV_STDIO)
            return err_set(err, EBUSY,
                           "stdio is used already by chardev '%s'; use a socket for one of them",
                           c->chardevs[i].id);
    }
    if (c->chardev_count == CONFIG_CHARDEVS_MAX)
        return err_set(err, E2BIG, "more than %d chardevs", CONFIG_CHARDEVS_MAX);
    c->chardevs[c->chardev_count++] = *d;
    *d = (struct config_chardev){0};
    return 0;
}

int option_chardev(struct vm_config *c, const char *value, struct ferry_err *err)
{
    struct config_chardev d = {.wait = true};
    int rc = props_apply_text(chardev_props, value, "backend", &d, err);

    if (!rc && !d.type)
        rc = err_set(err, EINVAL, "Parameter 'backend' is missing");
    if (!rc)
        rc = add_chardev(c, &d, err);
    free_chardev(&d);
    return rc;
}

/*
 * The short form of -serial and -qmp: a chardev without a name of its own, or "chardev:ID". *ret
 * is the id (owned), or NULL for "none".
 */
static int parse_shorthand(struct vm_config *c, const char *id, const char *value, char **ret,
                           struct ferry_err *err)
{
    struct config_chardev d = {.wait = true};
    int rc = 0;

    *ret = NULL;
    if (!strcmp(value, "none"))
        return 0;
    if (!strncmp(value, "chardev:", 8)) {
        *ret = strdup(value + 8);
        return *ret ? 0 : err_set(err, ENOMEM, "out of memory");
    }
    if (!strcmp(value, "null")) {
        d.type = CONFIG_CHARDEV_NULL;
    } else if (!strcmp(value, "stdio")) {
        d.type = CONFIG_CHARDEV_STDIO;
    } else if (!strncmp(value, "file:", 5)) {
        d.type = CONFIG_CHARDEV_FILE;
        d.path = strdup(value + 5);
    } else if (!strncmp(value, "unix:", 5)) {
        d.type = CONFIG_CHARDEV_SOCKET;
        rc = props_apply_text(chardev_props, value + 5, "path", &d, err);
    } else {
        rc = err_set(err, EINVAL,
                     "'%s' is not available; there are: stdio, null, none, file:PATH, "
                     "unix:PATH,server=on,wait=off and chardev:ID",
                     value);
    }
    free(d.id);
    d.id = strdup(id);
    *ret = strdup(id);
    if (!rc && (!d.id || !*ret))
        rc = err_set(err, ENOMEM, "out of memory");
    if (!rc)
        rc = add_chardev(c, &d, err);
    free_chardev(&d);
    if (rc < 0) {
        free(*ret);
        *ret = NULL;
    }
    return rc;
}

int option_serial(struct vm_config *c, const char *value, struct ferry_err *err)
{
    if (c->serial_given)
        return err_set(err, EBUSY, "the machine has one serial line, and it is given already");
    c->serial_given = true;
    if (!strncmp(value, "mon:", 4))
        value += 4;
    return parse_shorthand(c, "serial0", value, &c->serial_chardev, err);
}

int config_default_serial(struct vm_config *c, struct ferry_err *err)
{
    if (c->serial_given || c->nodefaults)
        return 0;
    /* A monitor may have taken stdio; then the console goes nowhere, as there is no display. */
    for (size_t i = 0; i < c->chardev_count; i++)
        if (c->chardevs[i].type == CONFIG_CHARDEV_STDIO)
            return parse_shorthand(c, "serial0", "null", &c->serial_chardev, err);
    return parse_shorthand(c, "serial0", "stdio", &c->serial_chardev, err);
}

/* Takes *chardev on success. */
static int add_monitor(struct vm_config *c, char **chardev, bool pretty, struct ferry_err *err)
{
    if (c->monitor_count == CONFIG_MONITORS_MAX)
        return err_set(err, E2BIG, "more than %d monitors", CONFIG_MONITORS_MAX);
    c->monitors[c->monitor_count++] =
        (struct config_monitor){.chardev = TAKE_PTR(*chardev), .pretty = pretty};
    return 0;
}

static int add_qmp(struct vm_config *c, const char *value, bool pretty, struct ferry_err *err)
{
    OWN_MEM char *chardev = NULL;
    char id[32];
    int rc;

    snprintf(id, sizeof(id), "compat_monitor%zu", c->monitor_count);
    rc = parse_shorthand(c, id, value, &chardev, err);
    if (rc < 0 || !chardev)
        return rc;
    return add_monitor(c, &chardev, pretty, err);
}

int option_qmp(struct vm_config *c, const char *value, struct ferry_err *err)
{
    return add_qmp(c, value, false, err);
}

int option_qmp_pretty(struct vm_config *c, const char *value, struct ferry_err *err)
{
    return add_qmp(c, value, true, err);
}

int option_monitor_hmp(struct vm_config *c, const char *value, struct ferry_err *err)
{
    if (!strcmp(value, "none") || !strcmp(value, "null"))
        return 0;
    return err_set(err, EINVAL, "there is no human monitor; use -qmp, or 'ferry qmp VM COMMAND'");
}

struct mon_options {
    char *chardev;
    bool pretty;
    int mode; /* 1 control */
};

static const char *const mon_modes[] = {"control", NULL};

#define O(member) .offset = offsetof(struct mon_options, member)
static const struct prop mon_props[] = {
    {.name = "chardev", .kind = PROP_STRING, O(chardev), .whose = OF_HOST},
    {.name = "mode", .kind = PROP_ENUM, .choices = mon_modes, O(mode), .whose = OF_HOST},
    {.name = "pretty", .kind = PROP_BOOL, O(pretty), .whose = OF_HOST},
    {.name = "id", .kind = PROP_IGNORED, .whose = OF_HOST},
    {0},
};
#undef O

const struct option_syntax mon_syntax = {"chardev", NULL, {{NULL, mon_props}}};

int option_mon(struct vm_config *c, const char *value, struct ferry_err *err)
{
    struct mon_options o = {0};
    int rc = props_apply_text(mon_props, value, "chardev", &o, err);

    if (!rc && !o.chardev)
        rc = err_set(err, EINVAL, "Parameter 'chardev' is missing");
    if (!rc && !o.mode)
        rc = err_set(err, EINVAL, "Parameter 'mode' is missing: there is mode=control");
    if (!rc)
        rc = add_monitor(c, &o.chardev, o.pretty, err);
    free(o.chardev);
    return rc;
}
