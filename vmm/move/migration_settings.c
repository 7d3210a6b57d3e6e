/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/move/migration_settings.h"

#include <errno.h>
#include <string.h>

#include "base/err.h"
#include "base/log.h"
#include "vmm/machine/migration.h"
#include "vmm/move/migration_params.h"

enum { ENTRY_CAPABILITY = 1, ENTRY_PARAMETER = 2 };

const struct extras_kind migration_settings_kind = {
    .part = "migration-settings",
    .what = "the record of migration capabilities and parameters",
    .magic = 0x66534554u, /* "fSET" */
    .version = 1,
    .max_bytes = 64u << 10,
    .max_entries = 256, /* also of a ferry that knows more of them */
};

/* --- Save --- */

static void save_entry(struct extras *e, uint8_t kind, const char *name,
                       const struct migration_value *value)
{
    extras_begin_entry(e);
    buf_u8(&e->record, kind);
    extras_put_text(e, name);
    buf_be64(&e->record, value->num);
    extras_put_text(e, value->str);
    (void)extras_end_entry(e, true);
}

void migration_settings_save(const struct migration *m, struct extras *e)
{
    struct migration_params initial;
    struct migration_value value;

    migration_params_init(&initial);
    for (size_t i = 0; i < MIGRATION_CAP_COUNT; i++) {
        value = (struct migration_value){.num = migration_capability(m, i), .str = ""};
        if (value.num != initial.capabilities[i])
            save_entry(e, ENTRY_CAPABILITY, migration_capability_name(i), &value);
    }
    for (size_t i = 0; i < MIGRATION_PARAM_COUNT; i++) {
        migration_param_get(m, i, &value);
        if (value.num != initial.num[i] || strcmp(value.str, initial.str[i]) != 0)
            save_entry(e, ENTRY_PARAMETER, migration_param(i)->name, &value);
    }
}

/* --- Load --- */

static int set_capability(struct migration *m, const char *name, uint64_t state,
                          struct ferry_err *err)
{
    bool on = state == 1;

    if (state > 1)
        return err_set(err, EPROTO, "capability '%.64s' can be on or off", name);
    return migration_set_capabilities(m, &name, &on, 1, err);
}

static int set_parameter(struct migration *m, const char *name, struct migration_value value,
                         struct ferry_err *err)
{
    size_t i = 0;

    while (i < migration_param_count() && strcmp(migration_param(i)->name, name) != 0)
        i++;
    if (i == migration_param_count())
        return err_set(err, ENOTSUP, "there is no parameter '%.64s' in this version of ferry",
                       name);
    if (migration_param(i)->type == MIGRATION_PARAM_STR)
        value.num = 0;
    return migration_params_set(m, &i, &value, 1, err);
}

/*
 * One by one: each is checked as a client's is, and one that this version does not serve does not
 * cost the others. In the order of the tables, what goes together goes together at each step.
 */
static int load_next(struct migration *m, struct rd *in, struct ferry_err *err)
{
    char name[EXTRAS_TEXT_MAX_BYTES + 1], text[EXTRAS_TEXT_MAX_BYTES + 1];
    struct migration_value value = {.str = text};
    uint8_t kind = rd_u8(in);
    bool readable = extras_get_text(in, name);

    value.num = rd_be64(in);
    readable = extras_get_text(in, text) && readable;
    if (in->failed || !readable)
        return err_set(err, EPROTO, "%s is malformed", migration_settings_kind.what);
    switch (kind) {
    case ENTRY_CAPABILITY:
        return set_capability(m, name, value.num, err);
    case ENTRY_PARAMETER:
        return set_parameter(m, name, value, err);
    default:
        return err_set(err, ENOTSUP, "'%.64s' is nothing that this version of ferry can set", name);
    }
}

void migration_settings_load(struct migration *m, struct extras *e)
{
    struct ferry_err err;
    struct rd in;
    size_t left;

    if (!extras_arrived(e))
        return;
    if (extras_read(e, &in, &left, &err) < 0) {
        log_warn("migration capabilities and parameters are as at the start: %s", err.text);
        left = 0;
    }
    for (; left && !in.failed; left--)
        if (load_next(m, &in, &err) < 0)
            log_warn("a migration capability or parameter is as at the start: %s", err.text);
    extras_done(e);
}
