/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/own.h"
#include "vmm/backend/chardev_type.h"
#include "vmm/backend/text_file.h"
#include "vmm/backend/writer.h"

/* --- Life --- */

struct chardev *chardev_alloc(const struct chardev_type *type, struct loop *loop)
{
    struct chardev *c = calloc(1, type->size_bytes);

    if (!c)
        return NULL;
    c->type = type;
    c->loop = loop;
    c->in_fd = c->out_fd = c->log_fd = -1;
    c->refs = 1;
    pthread_mutex_init(&c->lock, NULL);
    return c;
}

/* NULL is copied as such. */
static bool copy_text(char **ret, const char *text)
{
    *ret = text ? strdup(text) : NULL;
    return !text || *ret;
}

static int copy_config(struct chardev *c, const struct config_chardev *from, struct ferry_err *err)
{
    struct config_chardev *to = &c->own_config;

    *to = *from;
    to->id = to->path = to->logfile = NULL;
    c->config = to;
    return copy_text(&to->id, from->id) && copy_text(&to->path, from->path) &&
                   copy_text(&to->logfile, from->logfile)
               ? 0
               : err_set(err, ENOMEM, "no memory for chardev \"%s\"", from->id);
}

int chardev_new(struct chardev **ret, const struct chardev_params *params, struct ferry_err *err)
{
    const struct chardev_type *type = NULL;
    struct chardev *c;
    int rc;

    for (size_t i = 0; chardev_types[i]; i++)
        if (chardev_types[i]->config_type == params->config->type)
            type = chardev_types[i];
    if (!type)
        return err_set(err, EINVAL, "chardev \"%s\" is of unknown type %d", params->config->id,
                       (int)params->config->type);
    c = chardev_alloc(type, params->loop);
    if (!c)
        return err_set(err, ENOMEM, "no memory for chardev \"%s\"", params->config->id);
    rc = copy_config(c, params->config, err);
    if (rc < 0) { /* here and below, its type has created nothing that it could undo */
        chardev_release(c);
        return rc;
    }
    c->escape = params->escape;
    c->quit = params->quit;
    c->client_came = params->client_came;
    c->drained = params->drained;
    c->arg = params->arg;
    if (snprintf(c->idstr, sizeof(c->idstr), "chardev/%s", c->config->id) >=
        (int)sizeof(c->idstr) - 9) { /* "/terminal" must fit behind the id, too */
        chardev_release(c);
        return err_set(err, EINVAL, "chardev id \"%.40s...\" is too long", params->config->id);
    }
    if (type->create) {
        rc = type->create(c, err);
        if (rc < 0) {
            chardev_free(c);
            return rc;
        }
    }
    *ret = c;
    return 0;
}

void chardev_hold(struct chardev *c)
{
    pthread_mutex_lock(&c->lock);
    c->refs++;
    pthread_mutex_unlock(&c->lock);
}

void chardev_release(struct chardev *c)
{
    unsigned refs;

    pthread_mutex_lock(&c->lock);
    refs = --c->refs;
    pthread_mutex_unlock(&c->lock);
    if (refs)
        return;
    pthread_mutex_destroy(&c->lock);
    free(c->own_config.id);
    free(c->own_config.path);
    free(c->own_config.logfile);
    free(c);
}

void chardev_free(struct chardev *c)
{
    if (!c)
        return;
    c->freed = true;
    c->frontend = NULL;
    chardev_drop_fds(c);
    if (c->type->destroy)
        c->type->destroy(c);
    writer_free(TAKE_PTR(c->log));
    own_close_fd(&c->log_fd);
    chardev_unkick(c);
    chardev_release(c);
}

int chardev_open(struct chardev *c, struct ferry_err *err)
{
    int rc = c->type->open ? c->type->open(c, err) : 0;

    if (!rc && c->config->logfile)
        rc = text_file_open(c->config->logfile, c->config->logappend, &c->log_fd, err);
    return rc < 0 ? err_prefix(err, "chardev \"%s\"", c->config->id) : 0;
}

bool chardev_awaits_client(const struct chardev *c)
{
    return c->awaits_client;
}

/* --- The frontend --- */

int chardev_set_frontend(struct chardev *c, const struct chardev_frontend *frontend, void *arg,
                         struct ferry_err *err)
{
    if (c->frontend)
        return err_set(err, EBUSY, "Chardev '%s' is busy", chardev_id(c));
    c->frontend = frontend;
    c->frontend_arg = arg;
    chardev_input_ready(c);
    return 0;
}

void chardev_clear_frontend(struct chardev *c)
{
    c->frontend = NULL;
    chardev_input_ready(c);
}

void chardev_tell(struct chardev *c, enum chardev_event event)
{
    if (c->frontend && c->frontend->event)
        c->frontend->event(c->frontend_arg, event);
}

const char *chardev_id(const struct chardev *c)
{
    return c->config ? c->config->id : "client";
}

bool chardev_is_raw(const struct chardev *c)
{
    return c->type->is_raw;
}

bool chardev_frontend_open(const struct chardev *c)
{
    return c->frontend != NULL;
}

void chardev_filename(const struct chardev *c, char *ret, size_t n)
{
    if (c->type->filename)
        c->type->filename(c, ret, n);
    else
        snprintf(ret, n, "%s", c->type->name);
}

/* --- The part --- */

static int chardev_part_quiesce(void *obj)
{
    struct chardev *c = obj;

    pthread_mutex_lock(&c->lock);
    c->quiesced = true;
    pthread_mutex_unlock(&c->lock);
    c->drain_wanted = !chardev_is_written(c);
    return c->drain_wanted;
}

static void chardev_part_unquiesce(void *obj)
{
    struct chardev *c = obj;

    c->drain_wanted = false;
    pthread_mutex_lock(&c->lock);
    c->quiesced = false;
    if (c->want_writable)
        chardev_kick(c);
    pthread_mutex_unlock(&c->lock);
}

static void chardev_part_pause(void *obj)
{
    struct chardev *c = obj;

    /* The guest stands still: what is watched is only dropped if it fires before somebody
     * resumes or frees us (chardev_is_paused). */
    c->running = false;
    c->handed = true;
    if (c->type->stop)
        c->type->stop(c);
}

static void chardev_part_resume(void *obj)
{
    struct chardev *c = obj;

    c->running = true;
    c->handed = false;
    if (c->type->start)
        c->type->start(c);
    /* The rest from the loop: other parts may not have been resumed yet. */
    pthread_mutex_lock(&c->lock);
    c->quiesced = false;
    c->want_writable = true;
    chardev_kick(c);
    pthread_mutex_unlock(&c->lock);
}

static const char log_name[] = "log";

static size_t chardev_type_fds(struct chardev *c)
{
    const char *what;
    size_t count = 0;
    int fd;

    while (c->type->fd_at && c->type->fd_at(c, count, &what, &fd) == 0)
        count++;
    return count;
}

static int chardev_adopt_log(struct chardev *c, int *fd, struct ferry_err *err)
{
    int flags = fcntl(*fd, F_GETFL);

    if (c->log_fd >= 0 || flags < 0 || (flags & O_ACCMODE) == O_RDONLY)
        return err_set(err, EINVAL, "is not open for writing");
    c->log_fd = take_fd(fd);
    return 0;
}

static int chardev_part_fd_at(void *obj, size_t index, struct ferry_named_fd *ret)
{
    struct chardev *c = obj;
    const char *what;
    int fd, rc;

    rc = c->type->fd_at ? c->type->fd_at(c, index, &what, &fd) : -ENOENT;
    if (rc < 0 && c->config->logfile && index == chardev_type_fds(c)) {
        what = log_name;
        fd = c->log_fd;
    } else if (rc < 0) {
        return rc;
    }
    snprintf(ret->name, sizeof(ret->name), "%s/%s", c->config->id, what);
    ret->fd = fd;
    return 0;
}

static int chardev_part_adopt(void *obj, const char *name, int *fd, struct ferry_err *err)
{
    struct chardev *c = obj;
    size_t id_bytes = strlen(c->config->id);
    const char *what = name + id_bytes + 1;
    bool log = c->config->logfile && strlen(name) > id_bytes && !strcmp(what, log_name);
    int rc;

    if ((!c->type->adopt && !log) || strncmp(name, c->config->id, id_bytes) != 0 ||
        name[id_bytes] != '/')
        return err_set(err, EINVAL, "chardev \"%s\" has no use for fd \"%s\"", c->config->id, name);
    c->handed = true;
    rc = log ? chardev_adopt_log(c, fd, err) : c->type->adopt(c, what, fd, err);
    return rc < 0 ? err_prefix(err, "fd \"%s\"", name) : 0;
}

int chardev_open_with(struct chardev *c, struct ferry_named_fd *fds, size_t count,
                      struct ferry_err *err)
{
    char name[FERRY_FD_NAME_BYTES];
    int rc = 0;

    for (size_t i = 0; i < count && !rc; i++) {
        snprintf(name, sizeof(name), "%s/%.9s", c->config->id, fds[i].name);
        rc = chardev_part_adopt(c, name, &fds[i].fd, err);
    }
    return rc;
}

static const struct ferry_part_ops chardev_part_ops = {
    .quiesce = chardev_part_quiesce,
    .unquiesce = chardev_part_unquiesce,
    .pause = chardev_part_pause,
    .resume = chardev_part_resume,
    .fd_at = chardev_part_fd_at,
    .adopt = chardev_part_adopt,
};

struct ferry_part chardev_part(struct chardev *c)
{
    return (struct ferry_part){
        .idstr = c->idstr,
        .ops = &chardev_part_ops,
        .obj = c,
        .obj_bytes = c->type->size_bytes,
    };
}

/* --- An accepted client --- */

struct chardev_client {
    struct chardev base;
    int fd; /* owned */
};

static void client_destroy(struct chardev *c)
{
    struct chardev_client *cl = (struct chardev_client *)c;

    own_close_fd(&cl->fd);
}

static const struct chardev_type client_type = {
    .name = "client",
    .size_bytes = sizeof(struct chardev_client),
    .destroy = client_destroy,
};

int chardev_new_client(struct chardev **ret, struct loop *loop, int *fd, struct ferry_err *err)
{
    struct chardev *c = chardev_alloc(&client_type, loop);

    if (!c)
        return err_set(err, ENOMEM, "no memory for another client");
    ((struct chardev_client *)c)->fd = take_fd(fd);
    c->running = true;
    chardev_use_fds(c, ((struct chardev_client *)c)->fd, ((struct chardev_client *)c)->fd);
    *ret = c;
    return 0;
}
