/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/config/this_host.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <unistd.h>

#include "base/err.h"
#include "base/num.h"
#include "base/own.h"
#include "vmm/config/help_text.h"
#include "vmm/config/options.h"
#include "vmm/config/props.h"
#include "vmm/machine/config.h"

#define HEAD_BYTES 32

struct given_def {
    const char *name;     /* on the command line, without dashes */
    const char *argument; /* NULL: none */
    const char *option;   /* what it is for */
    const char *id_key;   /* ID is this key's value there; NULL: the word is the whole option */
    const char *names;    /* the key that it is the answer to */
    const char *parts;    /* what the text begins with; NULL: that key */
    const char *word;     /* without an argument */
    const char *help;
};

/* clang-format off */
static const struct given_def defs[] = {
    {"drive", "ID=PATH[,...]", "drive", "id", "file", NULL, NULL,
     "the image of -drive ID is PATH here; cache= and the like may follow, as in -drive"},
    {"blockdev", "NODE=PATH[,...]", "blockdev", "node-name", "filename", NULL, NULL,
     "the image of a node"},
    {"netdev", "ID=IFNAME", "netdev", "id", "ifname",
     "type=tap,script=no,downscript=no,ifname=", NULL, "-netdev ID is the TAP IFNAME here"},
    {"net-socket", "ID=PATH[,server=on|,reconnect-ms=N]", "netdev", "id", "addr.path",
     "type=stream,addr.type=unix,addr.path=", NULL, "-netdev ID is passt's UNIX socket PATH here"},
    {"memory", "ID=PATH", "object", "id", "mem-path", "share=on,mem-path=", NULL,
     "the file of -object ID is PATH here"},
    {"bios", "FILE", "bios", NULL, "bios", NULL, NULL, "the firmware that a reset loads"},
    {"kernel", "FILE", "kernel", NULL, "kernel", NULL, NULL, "the kernel that a reset loads"},
    {"initrd", "FILE", "initrd", NULL, "initrd", NULL, NULL,
     "the initial RAM disk that a reset loads"},
    {"name", "NAME", "name", NULL, NULL, NULL, NULL, "the VM's name here"},
    {"serial", "WHERE", "serial", NULL, NULL, NULL, NULL,
     "where the UART goes here, as ferry run -serial (default: null)"},
    {"console", NULL, "serial", NULL, NULL, NULL, "stdio", "--serial stdio"},
    {"chardev", "ID=WHERE", "chardev", "id", NULL, NULL, NULL,
     "-chardev ID, where the UART goes: stdio, null, file:P or unix:P,server=on,wait=off"},
};

/* WHERE of --chardev, in the words of -chardev. */
static const struct {
    const char *where, *parts;
} chardev_parts[] = {
    {"file:", "backend=file,path="},
    {"unix:", "backend=socket,path="},
    {"stdio", "backend=stdio"},
    {"null", "backend=null"},
};
/* clang-format on */

int this_host_init(struct this_host *h, struct ferry_err *err)
{
    long pages = sysconf(_SC_PHYS_PAGES), page_bytes = sysconf(_SC_PAGESIZE);

    *h = (struct this_host){.ram_bytes_max = CONFIG_RAM_BYTES_MAX, .harts_max = CONFIG_HARTS_MAX};
    if (pages > 0 && page_bytes > 0)
        h->ram_bytes_max = num_min(h->ram_bytes_max, (uint64_t)pages * (uint64_t)page_bytes);
    return allow_list_new(&h->allow, err);
}

void this_host_free(struct this_host *h)
{
    allow_list_free(h->allow);
    *h = (struct this_host){0};
}

static int parse_limit(struct this_host *h, const char *name, const char *value,
                       struct ferry_err *err)
{
    uint64_t number;

    if (!strcmp(name, "max-memory")) {
        if (props_parse_size(value, UINT64_C(1) << 20, &h->ram_bytes_max) < 0)
            return err_set(err, EINVAL, "--max-memory %s: a size such as 512M or 8G was expected",
                           value);
        return 0;
    }
    if (props_parse_size(value, 1, &number) < 0 || !number || number > CONFIG_HARTS_MAX)
        return err_set(err, EINVAL, "--max-harts %s: 1 to %d were expected", value,
                       CONFIG_HARTS_MAX);
    h->harts_max = (uint32_t)number;
    return 0;
}

static int parse_allowed(struct this_host *h, const char *name, const char *value,
                         struct ferry_err *err)
{
    if (!strcmp(name, "allow-path"))
        return allow_list_add_dir(h->allow, value, err);
    if (!strcmp(name, "allow-tap"))
        return allow_list_add_tap(h->allow, value, err);
    return parse_limit(h, name, value, err);
}

static int add_given(struct this_host *h, const struct given_def *def, const char *value,
                     struct ferry_err *err)
{
    if (def->id_key && !strchr(value, '='))
        return err_set(err, EINVAL, "--%s %s: %s was expected", def->name, value, def->argument);
    if (h->count == THIS_HOST_GIVEN_MAX)
        return err_set(err, E2BIG, "more than %d options say what this host has",
                       THIS_HOST_GIVEN_MAX);
    h->given[h->count++] = (struct given){.def = def, .value = value};
    return 1;
}

int this_host_parse(struct this_host *h, int argc, char *const argv[], int *i,
                    struct ferry_err *err)
{
    static const char *const others[] = {"allow-path", "allow-tap", "max-memory", "max-harts"};
    const char *name = argv[*i];

    if (strncmp(name, "--", 2))
        return 0;
    name += 2;
    for (size_t d = 0; d < sizeof(defs) / sizeof(defs[0]); d++) {
        if (strcmp(name, defs[d].name))
            continue;
        if (!defs[d].argument)
            return add_given(h, &defs[d], defs[d].word, err);
        if (*i + 1 >= argc)
            return err_set(err, EINVAL, "--%s: %s was expected", name, defs[d].argument);
        return add_given(h, &defs[d], argv[++*i], err);
    }
    for (size_t o = 0; o < sizeof(others) / sizeof(others[0]); o++) {
        if (strcmp(name, others[o]))
            continue;
        if (*i + 1 >= argc)
            return err_set(err, EINVAL, "--%s: a value was expected", name);
        return parse_allowed(h, name, argv[++*i], err) < 0 ? -err->errnum : 1;
    }
    return 0;
}

void this_host_print_help(FILE *to)
{
    for (size_t d = 0; d < sizeof(defs) / sizeof(defs[0]); d++) {
        char head[HEAD_BYTES];

        snprintf(head, sizeof(head), "--%s", defs[d].name);
        help_option(to, head, defs[d].argument, defs[d].help);
    }
    help_option(to, "--allow-path", "DIR",
                "files (images, RAM, firmware, kernel) beneath DIR may be used by the names that "
                "they have there, as with shared storage; not sockets, not through links that "
                "lead out of it. Can be given more than once");
    help_option(to, "--allow-tap", "PREFIX",
                "TAPs whose names begin so may be used by the names that they have there");
    help_option(to, "--max-memory", "SIZE",
                "refuse a machine with more RAM (default: what this host has)");
    help_option(to, "--max-harts", "N", "refuse a machine with more harts (default: 8)");
}

bool given_is_for(const struct given *g, const char *option, const char *id)
{
    size_t id_bytes = id ? strlen(id) : 0;

    if (strcmp(g->def->option, option) || !g->def->id_key != !id)
        return false;
    return !id || (!strncmp(g->value, id, id_bytes) && g->value[id_bytes] == '=');
}

const struct given *this_host_find(const struct this_host *h, const char *option, const char *id)
{
    for (size_t i = h->count; i-- > 0;)
        if (given_is_for(&h->given[i], option, id))
            return &h->given[i];
    return NULL;
}

const char *this_host_id_key(const char *option)
{
    for (size_t d = 0; d < sizeof(defs) / sizeof(defs[0]); d++)
        if (!strcmp(defs[d].option, option))
            return defs[d].id_key;
    return NULL;
}

const char *given_word(const struct given *g)
{
    return g->value;
}

const char *given_option(const struct given *g)
{
    return g->def->option;
}

const char *given_key(const struct given *g)
{
    return g->def->names;
}

/* What WHERE of --chardev begins with, in other words; NULL: there is no such. */
static const char *where_parts(const char **where)
{
    for (size_t i = 0; i < sizeof(chardev_parts) / sizeof(chardev_parts[0]); i++) {
        size_t n = strlen(chardev_parts[i].where);

        if (strncmp(*where, chardev_parts[i].where, n))
            continue;
        *where += n;
        return chardev_parts[i].parts;
    }
    return NULL;
}

int given_parts(const struct given *g, const char *key, struct keyval *ret, struct ferry_err *err)
{
    const char *value = strchr(g->value, '=') + 1;
    const char *parts = g->def->parts;
    OWN_MEM char *text = NULL;
    int rc;

    if (!strcmp(g->def->option, "chardev")) {
        parts = where_parts(&value);
        if (!parts)
            return err_set(err, EINVAL,
                           "--chardev %s: stdio, null, file:PATH or unix:PATH,server=on,wait=off "
                           "was expected behind the '='",
                           g->value);
    }
    if (!parts && !key)
        return err_set(err, EINVAL,
                       "--%s %s: that -%s names no file there; of a node on another node, give the "
                       "one beneath",
                       g->def->name, g->value, g->def->option);
    rc = parts ? asprintf(&text, "%s%s", parts, value) : asprintf(&text, "%s=%s", key, value);
    if (rc < 0) {
        text = NULL;
        return err_set(err, ENOMEM, "out of memory");
    }
    rc = keyval_parse(ret, text, NULL, err);
    return rc < 0 ? err_prefix(err, "--%s %s", g->def->name, g->value) : 0;
}

int given_unused(const struct given *g, struct ferry_err *err)
{
    return err_set(err, ENOENT, "--%s %s: the machine that came has no -%s with that %s",
                   g->def->name, g->value, g->def->option, g->def->id_key);
}

static int add_peer(struct vm_config *c, const struct given *g, const char *id,
                    struct ferry_err *err)
{
    OWN_MEM char *text = NULL;
    struct keyval kv;
    int rc = given_parts(g, g->def->names, &kv, err);

    if (rc < 0)
        return rc;
    if (keyval_find(&kv, "reconnect-ms") || keyval_find(&kv, "reconnect")) {
        rc = keyval_add(&kv, "id", id, err);
        text = rc ? NULL : keyval_text(&kv);
        if (!rc)
            rc = text ? option_netdev(c, text, err) : err_set(err, ENOMEM, "out of memory");
    }
    keyval_free(&kv);
    return rc < 0 ? err_prefix(err, "--%s %s", g->def->name, g->value) : 0;
}

int this_host_peers(const struct this_host *h, struct vm_config *c, struct ferry_err *err)
{
    int rc = 0;

    for (size_t i = 0; i < h->count && !rc; i++) {
        const struct given *g = &h->given[i];
        OWN_MEM char *id = strndup(g->value, strcspn(g->value, "="));

        if (!id)
            rc = err_set(err, ENOMEM, "out of memory");
        else if (!strcmp(g->def->option, "netdev") && this_host_find(h, "netdev", id) == g)
            rc = add_peer(c, g, id, err);
    }
    return rc;
}

void this_host_advise(char *text, size_t bytes, const char *option, const char *key, const char *id)
{
    const struct given_def *best = NULL;

    for (size_t d = 0; d < sizeof(defs) / sizeof(defs[0]); d++)
        if (!strcmp(defs[d].option, option) &&
            (!best || (defs[d].names && !strcmp(defs[d].names, key))))
            best = &defs[d];
    if (!best)
        *text = '\0';
    else if (id)
        snprintf(text, bytes, "--%s %s=%.*s", best->name, id,
                 (int)strcspn(strchr(best->argument, '=') + 1, "["),
                 strchr(best->argument, '=') + 1);
    else
        snprintf(text, bytes, "--%s %s", best->name, best->argument);
}
