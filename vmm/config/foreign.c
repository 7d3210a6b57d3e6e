/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/config/foreign.h"

#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/differences.h"
#include "base/err.h"
#include "base/own.h"
#include "vmm/config/absolute.h"
#include "vmm/config/option_table.h"

#define ADVICE_BYTES 96
#define SHOWN_BYTES  48

struct foreign {
    struct options *o; /* what becomes of it */
    const struct options *theirs;
    const struct this_host *host;
    bool used[THIS_HOST_GIVEN_MAX];
    size_t drive_count;      /* that had their own image so far */
    char *serial_chardev;    /* owned; id of the chardev that their UART goes to, NULL: none */
    struct differences full; /* what nobody gave, and what it was there */
    struct differences terse;
};

static char *shown(char ret[SHOWN_BYTES], const char *text)
{
    size_t n = 0;

    for (; text[n] && n < SHOWN_BYTES - 1; n++)
        ret[n] = text[n] >= ' ' && text[n] <= '~' ? text[n] : '?';
    ret[n] = '\0';
    return ret;
}

static void want(struct foreign *f, const char *option, const char *key, const char *id,
                 const char *there)
{
    char advice[ADVICE_BYTES], text[SHOWN_BYTES];

    this_host_advise(advice, sizeof(advice), option, key, id);
    differences_add(&f->full, "%s (there '%s')", advice, shown(text, there));
    differences_add(&f->terse, "%s", advice);
}

static int refuse_wants(const struct foreign *f, struct ferry_err *err)
{
    const struct differences *d = f->full.left_out ? &f->terse : &f->full;

    if (differences_end(d, err) == 0)
        return 0;
    return err_prefix(err, "the machine needs of this host, by these options or --allow-path and "
                           "--allow-tap");
}

/* Later ones win; the others were for the same. */
static const struct given *find_given(struct foreign *f, const char *option, const char *id)
{
    for (size_t i = 0; i < f->host->count; i++)
        f->used[i] |= given_is_for(&f->host->given[i], option, id);
    return this_host_find(f->host, option, id);
}

/* --- Options that are one word --- */

static int take_word(struct foreign *f, const struct option_def *def, const char *value,
                     struct ferry_err *err)
{
    bool names_file = def->whose == OF_HOST_FILE;

    for (const char *const *none = def->none; none && *none; none++)
        names_file &= strcmp(*none, value) != 0;
    if (names_file && !allow_list_has_path(f->host->allow, value)) {
        want(f, def->name, def->name, NULL, value);
        return 0;
    }
    return options_add(f->o, def->name, value, err);
}

/* --- Options with sub-options --- */

struct named {
    const char *key, *value; /* of something of the host's; NULL: nothing is named */
    bool allowed;
};

/* What of the host do they name, and is all of it allowed by its name? */
static int find_named(struct foreign *f, const struct prop *props, const struct keyval *kv,
                      struct named *ret, struct ferry_err *err)
{
    *ret = (struct named){.allowed = true};
    for (size_t i = 0; i < kv->count; i++) {
        const struct keyval_pair *pair = &kv->pairs[i];
        const struct prop *p = props_find(props, pair->key);

        if (!p)
            return err_set(err, EINVAL, "Invalid parameter '%.40s'", pair->key);
        if (p->whose != OF_HOST_FILE && p->whose != OF_HOST_TAP && p->whose != OF_HOST_OBJECT)
            continue;
        ret->key = pair->key;
        ret->value = pair->value;
        ret->allowed &=
            (p->whose == OF_HOST_FILE && allow_list_has_path(f->host->allow, pair->value)) ||
            (p->whose == OF_HOST_TAP && allow_list_has_tap(f->host->allow, pair->value));
    }
    return 0;
}

/* names: those words too that name something of the host, and how to use it. */
static int copy_theirs(const struct prop *props, const struct keyval *kv, bool names,
                       struct keyval *ours, struct ferry_err *err)
{
    int rc = 0;

    for (size_t i = 0; i < kv->count && !rc; i++) {
        enum prop_whose whose = props_find(props, kv->pairs[i].key)->whose;

        if (whose == OF_GUEST || (names && whose > OF_GUEST))
            rc = keyval_add(ours, kv->pairs[i].key, kv->pairs[i].value, err);
    }
    return rc;
}

/* What this host's command line gives; it does not change what the guest sees. */
static int copy_given(struct foreign *f, const struct option_def *def, const struct given *given,
                      const char *key, struct keyval *ours, struct ferry_err *err)
{
    const struct prop *props;
    struct keyval kv;
    int rc = given_parts(given, key, &kv, err);

    if (rc < 0)
        return rc;
    for (size_t i = 0; i < kv.count && !rc; i++)
        rc = keyval_add(ours, kv.pairs[i].key, kv.pairs[i].value, err);
    props = option_props(def->syntax, ours);
    if (!rc)
        rc = absolute_pairs(&kv, props, err);
    if (rc > 0)
        rc = absolute_pairs(ours, props, err);
    rc = rc < 0 ? rc : 0;
    for (size_t i = 0; i < kv.count && !rc && props; i++) {
        const struct prop *p = props_find(props, kv.pairs[i].key);

        if (p && p->whose == OF_GUEST)
            rc = err_set(err, EINVAL, "%s: '%s' is the guest's and stays as it was",
                         given_word(given), p->name);
        else if (p && p->whose == OF_HOST_FILE)
            rc = allow_list_add_name(f->host->allow, kv.pairs[i].value, err);
    }
    keyval_free(&kv);
    return rc;
}

/* A drive without a name has one in the order of the command line, as option_drive() gives it. */
static int name_drive(struct foreign *f, const struct option_def *def, struct keyval *kv,
                      struct ferry_err *err)
{
    char id[32];

    if (strcmp(def->name, "drive") || keyval_find(kv, "id"))
        return 0;
    snprintf(id, sizeof(id), "drive%zu", f->drive_count);
    return keyval_add(kv, "id", id, err);
}

static bool is_wanted(const struct foreign *f, const struct option_def *def, const char *id)
{
    if (strcmp(def->name, "chardev"))
        return true;
    /* The others are a monitor's, which stays where it is. */
    return id && ((f->serial_chardev && !strcmp(id, f->serial_chardev)) ||
                  this_host_find(f->host, "chardev", id));
}

static int split_parts(struct foreign *f, const struct option_def *def, struct keyval *kv,
                       struct keyval *ours, struct ferry_err *err)
{
    const struct prop *props = option_props(def->syntax, kv);
    const char *id_key = this_host_id_key(def->name);
    const struct keyval_pair *id;
    const struct given *given;
    struct named named = {0};
    int rc;

    if (!props)
        return err_set(err, EINVAL, "there is no such kind of -%s here", def->name);
    rc = name_drive(f, def, kv, err);
    if (!rc)
        rc = find_named(f, props, kv, &named, err);
    if (rc < 0)
        return rc;
    id = id_key ? keyval_find(kv, id_key) : NULL;
    if (!is_wanted(f, def, id ? id->value : NULL))
        return 0;
    given = id ? find_given(f, def->name, id->value) : NULL;
    if (!strcmp(def->name, "drive") || (!strcmp(def->name, "blockdev") && named.key))
        f->drive_count++;
    rc = copy_theirs(props, kv, named.key && named.allowed && !given, ours, err);
    if (!rc && given)
        rc = copy_given(f, def, given, named.key, ours, err);
    else if (!rc && named.key && !named.allowed)
        want(f, def->name, named.key, id ? id->value : "", named.value);
    else if (!rc && !strcmp(def->name, "chardev"))
        rc = keyval_add(ours, "backend", "null", err);
    return rc;
}

static int take_parts(struct foreign *f, const struct option_def *def, const char *value,
                      struct ferry_err *err)
{
    struct keyval kv, ours = {0};
    OWN_MEM char *text = NULL;
    int rc = keyval_parse(&kv, value, def->syntax->implied_key, err);

    if (rc < 0)
        return rc;
    rc = split_parts(f, def, &kv, &ours, err);
    if (!rc && ours.count) {
        text = keyval_text(&ours);
        rc = text ? options_add(f->o, def->name, text, err) : err_set(err, ENOMEM, "out of memory");
    }
    keyval_free(&kv);
    keyval_free(&ours);
    return rc;
}

/* --- The whole --- */

static int take_option(struct foreign *f, const struct option *option, struct ferry_err *err)
{
    const struct option_def *def = option_find(option->name, err);
    int rc;

    if (!def)
        return -EINVAL;
    if (def->whose <= OF_HOST || this_host_find(f->host, def->name, NULL))
        return 0;
    rc = def->syntax ? take_parts(f, def, option->value, err)
                     : take_word(f, def, option->value, err);
    return rc < 0 ? err_prefix(err, "-%s", def->name) : 0;
}

static int add_given_words(struct foreign *f, struct ferry_err *err)
{
    int rc = 0;

    for (size_t i = 0; i < f->host->count && !rc; i++) {
        const struct given *g = &f->host->given[i];
        const char *option = given_option(g);
        const struct option_def *def = option_find(option, err);

        if (this_host_find(f->host, option, NULL) != g)
            continue;
        rc = options_add(f->o, option, given_word(g), err);
        if (!rc)
            rc = absolute_option(&f->o->list[f->o->count - 1], err);
        if (!rc && def->whose == OF_HOST_FILE)
            rc = allow_list_add_name(f->host->allow, f->o->list[f->o->count - 1].value, err);
    }
    return rc;
}

/* Their UART, if nothing is given: on its chardev, which may be given, or on none. */
static int add_serial(struct foreign *f, struct ferry_err *err)
{
    OWN_MEM char *value = NULL;

    if (this_host_find(f->host, "serial", NULL))
        return 0;
    if (!f->serial_chardev)
        return options_add(f->o, "serial", "null", err);
    if (asprintf(&value, "chardev:%s", f->serial_chardev) < 0) {
        value = NULL;
        return err_set(err, ENOMEM, "out of memory");
    }
    return options_add(f->o, "serial", value, err);
}

static int find_serial_chardev(struct foreign *f, struct ferry_err *err)
{
    for (size_t i = 0; i < f->theirs->count && !f->serial_chardev; i++) {
        const char *value = f->theirs->list[i].value;

        if (strcmp(f->theirs->list[i].name, "serial"))
            continue;
        if (!strncmp(value, "mon:", 4))
            value += 4;
        if (strncmp(value, "chardev:", 8))
            continue;
        f->serial_chardev = strdup(value + 8);
        if (!f->serial_chardev)
            return err_set(err, ENOMEM, "out of memory");
    }
    return 0;
}

static int check_used(const struct foreign *f, struct ferry_err *err)
{
    for (size_t i = 0; i < f->host->count; i++) {
        const struct given *g = &f->host->given[i];

        if (this_host_id_key(given_option(g)) && !f->used[i])
            return given_unused(g, err);
    }
    return 0;
}

/* A sentence may hold their words. */
static void make_printable(struct ferry_err *err)
{
    for (char *c = err->text; *c; c++)
        if (*c < ' ' || *c > '~')
            *c = '?';
}

int foreign_options(struct options *o, const char *description, const struct this_host *host,
                    struct ferry_err *err)
{
    struct options theirs = {0};
    struct foreign f = {.o = o, .theirs = &theirs, .host = host};
    int rc = options_from_json(&theirs, description, err);

    if (!rc)
        rc = find_serial_chardev(&f, err);
    for (size_t i = 0; !rc && i < theirs.count; i++)
        rc = take_option(&f, &theirs.list[i], err);
    if (!rc)
        rc = add_given_words(&f, err);
    if (!rc)
        rc = add_serial(&f, err);
    /* An older source's names may be relative. */
    if (!rc)
        rc = absolute_options(o, err);
    if (!rc)
        rc = check_used(&f, err);
    if (!rc)
        rc = refuse_wants(&f, err);
    if (rc < 0) {
        make_printable(err);
        options_free(o);
    }
    free(f.serial_chardev);
    options_free(&theirs);
    return rc;
}

int foreign_check(const struct vm_config *c, const struct this_host *host, struct ferry_err *err)
{
    static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
                                "-._+@ ";

    if (c->ram_bytes > host->ram_bytes_max)
        return err_set(err, E2BIG,
                       "the machine has %" PRIu64 " MiB of RAM, this host takes at most %" PRIu64
                       " MiB: --max-memory says how much (default: what the host has)",
                       c->ram_bytes >> 20, host->ram_bytes_max >> 20);
    if (c->harts > host->harts_max)
        return err_set(err, E2BIG,
                       "the machine has %" PRIu32 " harts, this host takes at most %" PRIu32
                       ": --max-harts says how many",
                       c->harts, host->harts_max);
    if (!c->name)
        return err_set(err, EPROTO, "the machine that came has no name: --name gives it one");
    if (c->name[strspn(c->name, plain)])
        return err_set(err, EINVAL,
                       "the machine's name has characters that this host does not take from "
                       "elsewhere: --name gives it another");
    return 0;
}
