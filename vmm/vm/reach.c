/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/vm/reach.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/err.h"
#include "base/own.h"
#include "vmm/backend/allow.h"
#include "vmm/backend/net.h"
#include "vmm/board/type.h"
#include "vmm/config/machines.h"
#include "vmm/config/option_table.h"
#include "vmm/process/rundir.h"

static int add(struct reach *r, const char *path, enum sandbox_access access_,
               struct ferry_err *err)
{
    char *copy;

    if (access(path, F_OK) < 0)
        return 0;
    if (r->count == REACH_MAX)
        return err_set(err, E2BIG, "more than %d files and folders are named", REACH_MAX);
    copy = strdup(path);
    if (!copy)
        return err_set(err, ENOMEM, "out of memory");
    r->paths[r->count++] = (struct sandbox_path){.path = copy, .access = access_};
    return 0;
}

/* A name in a folder that is kept open would be every name there: the file itself is made. What
 * fails here fails again, with its sentence, where it is opened. */
static int add_made(struct reach *r, const char *path, struct ferry_err *err)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);

    own_close_fd(&fd);
    return add(r, path, SANDBOX_WRITE, err);
}

/* A socket is bound beside its name and renamed, where an old one was in the way. */
static int add_socket(struct reach *r, const char *path, struct ferry_err *err)
{
    char folder[PATH_MAX];
    const char *slash = strrchr(path, '/');
    int n = slash == path ? 1 : slash ? (int)(slash - path) : 0;

    snprintf(folder, sizeof(folder), "%.*s", n, path);
    return add(r, n ? folder : ".", SANDBOX_SOCKETS, err);
}

static int add_chardevs(struct reach *r, const struct vm_config *c, struct ferry_err *err)
{
    int rc = 0;

    for (size_t i = 0; i < c->chardev_count && !rc; i++) {
        if (c->chardevs[i].type == CONFIG_CHARDEV_FILE)
            rc = add_made(r, c->chardevs[i].path, err);
        else if (c->chardevs[i].type == CONFIG_CHARDEV_SOCKET)
            rc = add_socket(r, c->chardevs[i].path, err);
        if (!rc && c->chardevs[i].logfile)
            rc = add_made(r, c->chardevs[i].logfile, err);
    }
    return rc;
}

/* As the option itself is decoded. A word that is none is refused where it is used, as always. */
static int add_char_option(struct reach *r, option_apply_fn *apply, const char *value,
                           struct ferry_err *err)
{
    struct vm_config config = {0};
    int rc = apply(&config, value, err);

    rc = rc < 0 ? 0 : add_chardevs(r, &config, err);
    config_free(&config);
    return rc;
}

static int add_chardev(struct reach *r, const struct keyval *kv, struct ferry_err *err)
{
    OWN_MEM char *words = keyval_text(kv);
    OWN_MEM char *text = NULL;

    /* What is given for an ID does not repeat it. */
    if (!words || asprintf(&text, "id=it,%s", words) < 0) {
        text = NULL;
        return err_set(err, ENOMEM, "out of memory");
    }
    return add_char_option(r, option_chardev, text, err);
}

/* The option's own table says what each of its words names. */
static int add_part(struct reach *r, const struct option_def *def, const struct keyval *kv,
                    const struct keyval_pair *pair, struct ferry_err *err)
{
    /* What is given for an object says no type: it is RAM (--memory). */
    const struct prop *props = def->syntax == &object_syntax ? object_syntax.variants[0].props
                                                             : option_props(def->syntax, kv);
    const struct prop *p = props ? props_find(props, pair->key) : NULL;

    switch (p ? p->whose : OF_NOBODY) {
    case OF_HOST_FILE:
        /* Of those that are files RAM's alone is made where there is none. */
        return def->syntax == &object_syntax ? add_made(r, pair->value, err)
                                             : add(r, pair->value, SANDBOX_WRITE, err);
    case OF_HOST_TAP:
        return add(r, NET_TAP_PATH, SANDBOX_WRITE, err);
    case OF_HOST_OBJECT:
        /* To connect to a socket takes no right to its name; a number is an open one. */
        return p->kind == PROP_PATH && keyval_find(kv, "server") ? add_socket(r, pair->value, err)
                                                                 : 0;
    default:
        return 0;
    }
}

static int add_parts(struct reach *r, const struct option_def *def, const struct given *g,
                     struct ferry_err *err)
{
    struct keyval kv;
    int rc = given_parts(g, given_key(g), &kv, err);

    if (rc < 0)
        return rc;
    if (def->syntax == &chardev_syntax)
        rc = add_chardev(r, &kv, err);
    for (size_t i = 0; i < kv.count && !rc; i++)
        rc = add_part(r, def, &kv, &kv.pairs[i], err);
    keyval_free(&kv);
    return rc;
}

static int add_given(struct reach *r, const struct given *g, struct ferry_err *err)
{
    const struct option_def *def = option_find(given_option(g), err);

    if (!def)
        return -err->errnum;
    if (def->apply == option_serial)
        return add_char_option(r, option_serial, given_word(g), err);
    if (!this_host_id_key(def->name))
        return def->whose == OF_HOST_FILE ? add(r, given_word(g), SANDBOX_READ, err) : 0;
    return add_parts(r, def, g, err);
}

/* Of whatever type the machine that comes is. */
static int add_firmware(struct reach *r, struct ferry_err *err)
{
    const struct machine_type *type;
    int rc = 0;

    for (size_t i = 0; (type = machine_type_at(i)); i++)
        for (const char *const *path = type->board->boot.firmware; !rc && *path; path++)
            rc = add(r, *path, SANDBOX_READ, err);
    return rc;
}

static int add_all(struct reach *r, const struct this_host *host, struct ferry_err *err)
{
    char name[RUNDIR_PATH_BYTES];
    const char *path;
    int rc = rundir_file(name, "", "", err);

    /* The VM's name is claimed there, and its monitor is to be found there. */
    if (!rc)
        rc = add(r, name, SANDBOX_WRITE, err);
    if (!rc)
        rc = add_firmware(r, err);
    for (size_t i = 0; !rc && (path = allow_list_dir(host->allow, i)); i++)
        rc = add(r, path, SANDBOX_WRITE, err);
    if (!rc && allow_list_takes_taps(host->allow))
        rc = add(r, NET_TAP_PATH, SANDBOX_WRITE, err);
    for (size_t i = 0; i < host->count && !rc; i++)
        rc = add_given(r, &host->given[i], err);
    return rc;
}

int reach_of(struct reach *ret, const struct this_host *host, struct ferry_err *err)
{
    int rc;

    *ret = (struct reach){0};
    rc = add_all(ret, host, err);
    if (rc < 0)
        reach_free(ret);
    return rc;
}

void reach_free(struct reach *r)
{
    while (r->count > 0)
        free((char *)(uintptr_t)r->paths[--r->count].path);
}
