/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/supervisor/supervisor_state.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/err.h"
#include "base/own.h"
#include "vmm/qmp/json_build.h"
#include "vmm/qmp/json_in.h"
#include "vmm/qmp/json_out.h"
#include "vmm/supervisor/errand.h"
#include "vmm/supervisor/supervisor_internal.h"

#define STATE_BYTES_MAX (1u << 20)
#define STATE_SEALS     (F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL)

/* --- Saving --- */

static struct json_object *save_child(const struct child *c)
{
    struct json_object *o = json_object_new_object();
    char says[SUPERVISOR_SAYS_BYTES];

    child_said(c, says);
    json_put_int(o, "pid", c->pid);
    json_put_str(o, "says", says);
    json_put_int(o, "channel", c->channel);
    json_put_int(o, "mail", c->mail);
    return o;
}

static struct json_object *save_paths(const char *const *paths, size_t count)
{
    struct json_object *list = json_object_new_array();

    for (size_t i = 0; i < count; i++)
        json_append(list, json_object_new_string(paths[i]));
    return list;
}

static struct json_object *save_peers(const struct supervisor_policy *p)
{
    struct json_object *peers = json_object_new_object();

    for (size_t i = 0; i < p->peer_count; i++)
        json_put_str(peers, p->peers[i].id, p->peers[i].path);
    return peers;
}

static struct json_object *save(const struct supervisor *s)
{
    struct json_object *o = json_object_new_object(), *mask = json_object_new_array(),
                       *children = json_object_new_array();

    for (int n = 1; n < NSIG; n++)
        if (sigismember(&s->before, n) == 1)
            json_append(mask, json_object_new_int(n));
    for (size_t i = 0; i < SUPERVISOR_CHILDREN; i++)
        if (s->children[i].pid)
            json_append(children, save_child(&s->children[i]));
    json_put_str(o, "policy", supervisor_policy_text(&s->policy));
    json_put_bool(o, "only-loopback", s->policy.only_loopback);
    json_put(o, "monitors", save_paths(s->policy.monitors, s->policy.monitor_count));
    json_put(o, "sockets", save_paths(s->policy.sockets, s->policy.socket_count));
    if (s->policy.peer_count)
        json_put(o, "peers", save_peers(&s->policy));
    if (s->policy.pidfile)
        json_put_str(o, "pidfile", s->policy.pidfile);
    json_put_str(o, "name", s->name);
    json_put_int(o, "control", s->control);
    json_put(o, "mask", mask);
    json_put_int(o, "status", s->last);
    json_put_bool(o, "guest-ended", s->guest_ended);
    json_put(o, "children", children);
    return o;
}

int supervisor_save(const struct supervisor *s, int *ret, struct ferry_err *err)
{
    OWN(json_freep) struct json_object *o = save(s);
    OWN_FD int fd = memfd_create("ferry-supervisor", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    struct buf text = {0};
    ssize_t n;

    if (fd < 0)
        return err_sys(err, errno, "cannot make a memfd");
    json_out_value(&text, o);
    n = text.failed ? -1 : write(fd, text.data, text.len_bytes);
    if (n < 0 || (size_t)n != text.len_bytes || fcntl(fd, F_ADD_SEALS, STATE_SEALS) < 0) {
        buf_free(&text);
        return err_set(err, ENOMEM, "no memory for what the supervisor knows");
    }
    buf_free(&text);
    *ret = take_fd(&fd);
    return 0;
}

/* --- Loading --- */

/* Refuses what is no member of that kind. */
struct reader {
    struct json_object *of;
    int known; /* of its members have been asked for */
    struct ferry_err *err;
};

static int get(struct reader *r, const char *name, enum json_type type, struct json_object **ret)
{
    if (!json_object_object_get_ex(r->of, name, ret) || !json_object_is_type(*ret, type))
        return err_set(r->err, EPROTO, "what a supervisor knows lacks '%s'", name);
    r->known++;
    return 0;
}

static int get_int(struct reader *r, const char *name, int min, int *ret)
{
    struct json_object *o;
    int64_t value;
    int rc = get(r, name, json_type_int, &o);

    if (rc < 0)
        return rc;
    value = json_object_get_int64(o);
    if (value < min || value > INT32_MAX)
        return err_set(r->err, ERANGE, "a supervisor's '%s' cannot be %lld", name,
                       (long long)value);
    *ret = (int)value;
    return 0;
}

static int get_bool(struct reader *r, const char *name, bool *ret)
{
    struct json_object *o;
    int rc = get(r, name, json_type_boolean, &o);

    if (!rc)
        *ret = json_object_get_boolean(o);
    return rc;
}

static int get_text(struct reader *r, const char *name, const char **ret)
{
    struct json_object *o;
    int rc = get(r, name, json_type_string, &o);

    if (!rc)
        *ret = json_object_get_string(o);
    return rc;
}

static int check_all_known(const struct reader *r, const char *what)
{
    if (json_object_object_length(r->of) == r->known)
        return 0;
    return err_set(r->err, EPROTO, "%s has %d members, %d are known here: it is of a newer ferry",
                   what, json_object_object_length(r->of), r->known);
}

static int load_child(struct child *c, struct json_object *o, struct ferry_err *err)
{
    struct reader r = {.of = o, .err = err};
    const char *says = "";
    int rc;

    if (!json_object_is_type(o, json_type_object))
        return err_set(err, EPROTO, "a supervisor's child is no object");
    rc = get_int(&r, "pid", 2, &c->pid); /* -1 is everybody to kill(2) */
    if (!rc)
        rc = get_text(&r, "says", &says);
    if (!rc)
        rc = get_int(&r, "channel", -1, &c->channel);
    if (!rc)
        rc = get_int(&r, "mail", -1, &c->mail);
    for (; !rc && *says; says++)
        if (!child_says(c, *says))
            rc = err_set(err, EPROTO, "a supervisor's child says '%c', which is not known here",
                         *says);
    return rc < 0 ? rc : check_all_known(&r, "a supervisor's child");
}

static int load_children(struct supervisor *s, struct reader *r)
{
    struct json_object *list;
    int rc = get(r, "children", json_type_array, &list);

    if (!rc && json_object_array_length(list) > SUPERVISOR_CHILDREN)
        rc = err_set(r->err, E2BIG, "a supervisor has %zu children, at most %u are known here",
                     json_object_array_length(list), SUPERVISOR_CHILDREN);
    for (size_t i = 0; !rc && i < json_object_array_length(list); i++)
        rc = load_child(&s->children[i], json_object_array_get_idx(list, i), r->err);
    return rc;
}

static int load_paths(struct reader *r, const char *name, const char **paths, size_t max,
                      size_t *count)
{
    struct json_object *list;
    int rc = get(r, name, json_type_array, &list);

    if (!rc && json_object_array_length(list) > max)
        rc = err_set(r->err, E2BIG, "a supervisor's '%s' are more than %zu", name, max);
    for (size_t i = 0; !rc && i < json_object_array_length(list); i++) {
        const char *path = json_object_get_string(json_object_array_get_idx(list, i));

        paths[i] = path ? strdup(path) : NULL;
        if (!paths[i])
            return err_set(r->err, EPROTO, "one of a supervisor's '%s' is no path", name);
        *count = i + 1;
    }
    return rc;
}

static int load_peer(struct supervisor_policy *p, const char *id, struct json_object *path,
                     struct ferry_err *err)
{
    struct supervisor_peer peer;

    if (!json_object_is_type(path, json_type_string))
        return err_set(err, EPROTO, "one of a supervisor's 'peers' is no path");
    if (p->peer_count == CONFIG_NETDEVS_MAX)
        return err_set(err, E2BIG, "a supervisor's 'peers' are more than %d", CONFIG_NETDEVS_MAX);
    peer = (struct supervisor_peer){strdup(id), strdup(json_object_get_string(path))};
    p->peers[p->peer_count++] = peer;
    return peer.id && peer.path ? 0 : err_set(err, ENOMEM, "out of memory");
}

/* Not every VM has some. */
static int load_peers(struct supervisor_policy *p, struct reader *r)
{
    struct json_object *list = NULL;
    int rc;

    if (!json_object_object_get_ex(r->of, "peers", NULL))
        return 0;
    rc = get(r, "peers", json_type_object, &list);
    if (rc < 0)
        return rc;
    json_object_object_foreach(list, id, path)
    {
        rc = load_peer(p, id, path, r->err);
        if (rc < 0)
            return rc;
    }
    return 0;
}

/* Nor has every VM one. */
static int load_pidfile(struct supervisor_policy *p, struct reader *r)
{
    const char *path = NULL;
    int rc;

    if (!json_object_object_get_ex(r->of, "pidfile", NULL))
        return 0;
    rc = get_text(r, "pidfile", &path);
    if (rc < 0)
        return rc;
    p->pidfile = strdup(path);
    return p->pidfile ? 0 : err_set(r->err, ENOMEM, "out of memory");
}

static int load_policy(struct supervisor_policy *p, struct reader *r)
{
    const char *text;
    int rc = get_text(r, "policy", &text);

    if (!rc)
        rc = supervisor_policy_parse(p, text, r->err);
    if (!rc)
        rc = get_bool(r, "only-loopback", &p->only_loopback);
    if (!rc)
        rc = load_paths(r, "monitors", p->monitors, CONFIG_MONITORS_MAX, &p->monitor_count);
    if (!rc)
        rc = load_paths(r, "sockets", p->sockets, CONFIG_CHARDEVS_MAX, &p->socket_count);
    if (!rc)
        rc = load_peers(p, r);
    if (!rc)
        rc = load_pidfile(p, r);
    return rc;
}

static int load_mask(struct supervisor *s, struct reader *r)
{
    struct json_object *list;
    int rc = get(r, "mask", json_type_array, &list);

    sigemptyset(&s->before);
    for (size_t i = 0; !rc && i < json_object_array_length(list); i++)
        if (sigaddset(&s->before, json_object_get_int(json_object_array_get_idx(list, i))) < 0)
            rc = err_set(r->err, EPROTO, "a supervisor's mask has what is no signal");
    return rc;
}

static int load(struct supervisor *s, struct json_object *o, struct ferry_err *err)
{
    struct reader r = {.of = o, .err = err};
    const char *name = "";
    int rc;

    if (!json_object_is_type(o, json_type_object))
        return err_set(err, EPROTO, "what a supervisor knows is no object");
    rc = load_policy(&s->policy, &r);
    if (!rc)
        rc = get_text(&r, "name", &name);
    snprintf(s->name, sizeof(s->name), "%s", name);
    if (!rc)
        rc = get_int(&r, "control", -1, &s->control);
    if (!rc)
        rc = load_mask(s, &r);
    if (!rc)
        rc = get_int(&r, "status", 0, &s->last);
    if (!rc)
        rc = get_bool(&r, "guest-ended", &s->guest_ended);
    if (!rc)
        rc = load_children(s, &r);
    return rc < 0 ? rc : check_all_known(&r, "what a supervisor knows");
}

int supervisor_load(struct supervisor *s, int fd, struct ferry_err *err)
{
    OWN(json_freep) struct json_object *o = NULL;
    OWN_MEM char *text = calloc(1, STATE_BYTES_MAX);
    ssize_t n = text ? pread(fd, text, STATE_BYTES_MAX - 1, 0) : -1;
    int rc;

    if (n < 0)
        return err_sys(err, text ? errno : ENOMEM, "cannot read what the supervisor knows");
    rc = json_in_text(text, &o, err);
    return rc < 0 ? rc : load(s, o, err);
}
