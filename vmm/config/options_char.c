/* SPDX-License-Identifier: Apache-2.0 */
/* -chardev, -serial, -qmp, -mon. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/own.h"
#include "vmm/config/control.h"
#include "vmm/config/option_table.h"

static const char *const chardev_types[] = {"null", "stdio", "file", "socket", "pty", NULL};

#define C(member) .offset = offsetof(struct config_chardev, member)
static const struct prop chardev_props[] = {
    {.name = "backend", .kind = PROP_ENUM, .choices = chardev_types, C(type), .whose = OF_HOST},
    {.name = "id", .kind = PROP_STRING, C(id), .whose = OF_GUEST},
    {.name = "path", .kind = PROP_PATH, C(path), .whose = OF_HOST},
    {.name = "server", .kind = PROP_BOOL, C(server), .whose = OF_HOST},
    {.name = "wait", .kind = PROP_BOOL, C(wait), .whose = OF_HOST},
    {.name = "append", .kind = PROP_BOOL, C(append), .whose = OF_HOST},
    {.name = "mux", .kind = PROP_BOOL, C(mux), .whose = OF_HOST},
    {.name = "signal", .kind = PROP_BOOL, C(signal), .whose = OF_HOST},
    {.name = "logfile", .kind = PROP_PATH, C(logfile), .whose = OF_HOST},
    {.name = "logappend", .kind = PROP_BOOL, C(logappend), .whose = OF_HOST},
    {0},
};
#undef C

const struct option_syntax chardev_syntax = {"backend", NULL, {{NULL, chardev_props}}};

static void free_chardev(struct config_chardev *d)
{
    free(d->id);
    free(d->path);
    free(d->logfile);
}

/* Takes *d on success. */
static int add_chardev(struct vm_config *c, struct config_chardev *d, struct ferry_err *err)
{
    bool needs_path =
        d->type == CONFIG_CHARDEV_FILE || (d->type == CONFIG_CHARDEV_SOCKET && !d->tcp);

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

char *option_chardev_text(const char *word, const char *id, struct ferry_err *err)
{
    const char *backend = word;
    struct keyval kv = {0};
    char *text = NULL;
    int rc = 0;

    if (!strncmp(word, "unix:", 5)) {
        backend = "socket";
        rc = keyval_parse(&kv, word + 5, "path", err);
    } else if (!strncmp(word, "file:", 5)) {
        backend = "file";
        rc = keyval_add(&kv, "path", word + 5, err);
    } else if (strcmp(word, "null") && strcmp(word, "pty") && strcmp(word, "stdio")) {
        rc = err_set(err, EINVAL,
                     "'%s' is not available; there are: stdio, pty, null, none, file:PATH, "
                     "unix:PATH,server=on,wait=off and chardev:ID",
                     word);
    }
    if (!rc)
        rc = keyval_add(&kv, "backend", backend, err);
    if (!rc)
        rc = keyval_add(&kv, "id", id, err);
    if (!rc) {
        text = keyval_text(&kv);
        if (!text)
            err_set(err, ENOMEM, "out of memory");
    }
    keyval_free(&kv);
    return text;
}

/*
 * The short form of -serial and -qmp: a chardev without a name of its own, or "chardev:ID". *ret
 * is the id (owned), or NULL for "none".
 */
static int parse_shorthand(struct vm_config *c, const char *id, const char *value, char **ret,
                           struct ferry_err *err)
{
    OWN_MEM char *text = NULL;
    int rc = 0;

    *ret = NULL;
    if (!strcmp(value, "none"))
        return 0;
    if (!strncmp(value, "chardev:", 8)) {
        id = value + 8;
    } else {
        text = option_chardev_text(value, id, err);
        rc = text ? option_chardev(c, text, err) : -err->errnum;
    }
    if (rc < 0)
        return rc;
    *ret = strdup(id);
    return *ret ? 0 : err_set(err, ENOMEM, "out of memory");
}

/* Takes *chardev on success. */
static int add_monitor(struct vm_config *c, char **chardev, bool pretty, bool human,
                       struct ferry_err *err)
{
    if (c->monitor_count == CONFIG_MONITORS_MAX)
        return err_set(err, E2BIG, "more than %d monitors", CONFIG_MONITORS_MAX);
    c->monitors[c->monitor_count++] =
        (struct config_monitor){.chardev = TAKE_PTR(*chardev), .pretty = pretty, .human = human};
    return 0;
}

/* "mon:WHERE": the serial line and a monitor for people on one chardev. */
static int parse_shared_serial(struct vm_config *c, const char *where, struct ferry_err *err)
{
    OWN_MEM char *chardev = NULL;
    int rc;

    if (!strcmp(where, "none") || !strncmp(where, "chardev:", 8))
        return err_set(err, EINVAL,
                       "'mon:' makes a chardev; to share one that is there, write -chardev "
                       "...,id=ID,mux=on -serial chardev:ID -mon chardev=ID,mode=readline");
    rc = parse_shorthand(c, "serial0", where, &c->serial_chardev, err);
    if (rc < 0)
        return rc;
    c->chardevs[c->chardev_count - 1].mux = true;
    chardev = strdup(c->serial_chardev);
    return chardev ? add_monitor(c, &chardev, false, true, err)
                   : err_set(err, ENOMEM, "out of memory");
}

int option_serial(struct vm_config *c, const char *value, struct ferry_err *err)
{
    if (c->serial_given)
        return err_set(err, EBUSY, "the machine has one serial line, and it is given already");
    c->serial_given = true;
    if (!strncmp(value, "mon:", 4))
        return parse_shared_serial(c, value + 4, err);
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
    if (c->daemonize)
        return parse_shorthand(c, "serial0", "null", &c->serial_chardev, err);
    if (c->nographic && !c->monitor_given)
        return parse_shared_serial(c, "stdio", err);
    return parse_shorthand(c, "serial0", "stdio", &c->serial_chardev, err);
}

static int add_on_shorthand(struct vm_config *c, const char *value, bool pretty, bool human,
                            struct ferry_err *err)
{
    OWN_MEM char *chardev = NULL;
    char id[32];
    int rc;

    c->monitor_given = true;
    snprintf(id, sizeof(id), "compat_monitor%zu", c->monitor_count);
    rc = parse_shorthand(c, id, value, &chardev, err);
    if (rc < 0 || !chardev)
        return rc;
    return add_monitor(c, &chardev, pretty, human, err);
}

/* The words behind "tcp:": HOST:PORT[,server=on][,wait=off]. */
static int parse_gdb_tcp(const char *text, struct config_chardev *d, struct ferry_err *err)
{
    static const char *const hosts[] = {"", "localhost", "127.0.0.1"};
    char host[64] = "", rest[64] = "";
    unsigned port = 0;
    size_t i = 0;
    int used = 0;

    /* A host may be missing, which scanf has no word for. */
    if (sscanf(text, ":%5u%63s", &port, rest) < 1 &&
        sscanf(text, "%63[^:]:%5u%n%63s", host, &port, &used, rest) < 2)
        return err_set(err, EINVAL, "'%.60s': tcp::PORT was expected", text);
    if (port == 0 || port > UINT16_MAX || (rest[0] && rest[0] != ','))
        return err_set(err, EINVAL, "'%.60s': a port from 1 to 65535 was expected", text);
    while (i < sizeof(hosts) / sizeof(hosts[0]) && strcmp(hosts[i], host) != 0)
        i++;
    if (i == sizeof(hosts) / sizeof(hosts[0]))
        return err_set(err, EPERM,
                       "'%.40s': GDB's protocol proves nothing and encrypts nothing, so it is "
                       "served on this host only: write tcp::%u, and let ssh -L bring it elsewhere",
                       host, port);
    d->port = (uint16_t)port;
    d->tcp = d->server = true;
    d->wait = false;
    d->type = CONFIG_CHARDEV_SOCKET;
    return 0;
}

int option_gdb(struct vm_config *c, const char *value, struct ferry_err *err)
{
    struct config_chardev d = {0};
    int rc;

    if (c->gdb_chardev)
        return err_set(err, EBUSY, "GDB is served at one place, and it is given already");
    if (!strcmp(value, "stdio") || !strncmp(value, "file:", 5))
        return err_set(err, EINVAL, "GDB connects to a socket: tcp::PORT or unix:PATH,server=on");
    if (strncmp(value, "tcp:", 4) != 0)
        return parse_shorthand(c, "gdb", value, &c->gdb_chardev, err);
    rc = parse_gdb_tcp(value + 4, &d, err);
    if (rc < 0)
        return rc;
    d.id = strdup("gdb");
    c->gdb_chardev = strdup("gdb");
    rc = d.id && c->gdb_chardev ? add_chardev(c, &d, err) : err_set(err, ENOMEM, "out of memory");
    free_chardev(&d);
    return rc;
}

int option_qmp(struct vm_config *c, const char *value, struct ferry_err *err)
{
    return add_on_shorthand(c, value, false, false, err);
}

int option_qmp_pretty(struct vm_config *c, const char *value, struct ferry_err *err)
{
    return add_on_shorthand(c, value, true, false, err);
}

int option_monitor_hmp(struct vm_config *c, const char *value, struct ferry_err *err)
{
    if (!strcmp(value, "none") || !strcmp(value, "null")) {
        c->monitor_given = true;
        return 0;
    }
    return add_on_shorthand(c, value, false, true, err);
}

struct mon_options {
    char *chardev;
    bool pretty;
    int mode; /* enum; 0 = not given: QEMU's default is readline */
};

enum { MON_CONTROL = 1, MON_READLINE };
static const char *const mon_modes[] = {"control", "readline", NULL};

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
    if (!rc && o.pretty && o.mode != MON_CONTROL)
        rc = err_set(err, EINVAL, "'pretty' is for mode=control");
    /* The one that ferry gives each VM is nobody's word. */
    c->monitor_given |= !rc && strcmp(o.chardev, CONTROL_ID) != 0;
    if (!rc)
        rc = add_monitor(c, &o.chardev, o.pretty, o.mode != MON_CONTROL, err);
    free(o.chardev);
    return rc;
}
