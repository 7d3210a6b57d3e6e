/* SPDX-License-Identifier: Apache-2.0 */
/* Capabilities and parameters go to another process's, and are checked there as a client's are. */
#include "tests/unit.h"

#include <errno.h>
#include <string.h>

#include "tests/vmm/machine/carry.h"
#include "tests/vmm/qmp/fake_vm.h"
#include "vmm/move/migration_settings.h"

struct two {
    struct migration here, there;
    struct extras from, to;
};

static int setup(void **state)
{
    static struct two t;

    migration_params_init(&t.here.params);
    migration_params_init(&t.there.params);
    extras_init(&t.from, &migration_settings_kind);
    extras_init(&t.to, &migration_settings_kind);
    extras_prepare(&t.from);
    *state = &t;
    return 0;
}

static int teardown(void **state)
{
    struct two *t = *state;

    extras_free(&t->from);
    extras_free(&t->to);
    return 0;
}

static void save(struct two *t)
{
    extras_begin(&t->from);
    migration_settings_save(&t->here, &t->from);
    assert_true(extras_end(&t->from));
}

static void load(struct two *t)
{
    assert_true(carry_extras(&t->from, &t->to));
    migration_settings_load(&t->there, &t->to);
    extras_forget(&t->from);
}

static bool are_same(const struct migration_params *a, const struct migration_params *b)
{
    for (size_t i = 0; i < MIGRATION_PARAM_COUNT; i++)
        if (a->num[i] != b->num[i] || strcmp(a->str[i], b->str[i]) != 0)
            return false;
    return !memcmp(a->capabilities, b->capabilities, sizeof(a->capabilities));
}

static void capability(struct migration *m, enum migration_capability which)
{
    const char *name = migration_capability_name(which);
    struct ferry_err err;
    bool on = true;

    assert_int_equal(migration_set_capabilities(m, &name, &on, 1, &err), 0);
}

static void parameter(struct migration *m, size_t which, uint64_t num, const char *str)
{
    const struct migration_value value = {num, str};
    struct ferry_err err;

    assert_int_equal(migration_params_set(m, &which, &value, 1, &err), 0);
}

/* Of each type some, and such as only go together. */
static void set_some(struct migration *m)
{
    capability(m, MIGRATION_CAP_XBZRLE);
    capability(m, MIGRATION_CAP_EVENTS);
    parameter(m, MIGRATION_PARAM_MAX_BANDWIDTH, UINT64_MAX, NULL);
    parameter(m, MIGRATION_PARAM_DOWNTIME_LIMIT, 0, NULL);
    parameter(m, MIGRATION_PARAM_CPU_THROTTLE_INITIAL, 5, NULL);
    parameter(m, MIGRATION_PARAM_MAX_CPU_THROTTLE, 7, NULL);
    parameter(m, MIGRATION_PARAM_DIRECT_IO, 1, NULL);
    parameter(m, MIGRATION_PARAM_MULTIFD_COMPRESSION, 0, "zstd");
    parameter(m, MIGRATION_PARAM_TLS_HOSTNAME, 0, "h\xc3\xb6st");
}

static void what_was_set_is_set_there(void **state)
{
    struct two *t = *state;

    set_some(&t->here);
    save(t);
    assert_false(are_same(&t->here.params, &t->there.params));
    load(t);
    assert_true(are_same(&t->here.params, &t->there.params));
}

static void all_that_can_be_set_goes(void **state)
{
    char longest[MIGRATION_STR_BYTES];
    struct two *t = *state;
    struct ferry_err err;

    memset(longest, 'x', sizeof(longest));
    longest[MIGRATION_STR_BYTES - 1] = '\0';
    for (size_t i = 0; i < MIGRATION_CAP_COUNT; i++) {
        const char *name = migration_capability_name(i);
        bool on = true;

        (void)!migration_set_capabilities(&t->here, &name, &on, 1, &err);
    }
    for (size_t i = 0; i < MIGRATION_PARAM_COUNT; i++) {
        bool is_text = migration_param(i)->type == MIGRATION_PARAM_STR;
        const struct migration_value value = {is_text ? 0 : 1, longest};

        (void)!migration_params_set(&t->here, &i, &value, 1, &err);
    }
    save(t);
    load(t);
    assert_true(are_same(&t->here.params, &t->there.params));
}

static void nothing_set_is_nothing_sent(void **state)
{
    struct two *t = *state;
    struct ferry_named_fd ignored;

    save(t);
    assert_int_equal(extras_at(&t->from, 0, &ignored), -ENOENT);
}

static void entry(struct extras *e, uint8_t kind, const char *name, uint64_t num, const char *text)
{
    extras_begin_entry(e);
    buf_u8(&e->record, kind);
    extras_put_text(e, name);
    buf_be64(&e->record, num);
    extras_put_text(e, text);
    assert_true(extras_end_entry(e, true));
}

/* What another version has and this one has not, or refuses to a client, costs nothing else. */
static void what_cannot_be_set_is_left_out(void **state)
{
    struct two *t = *state;
    struct migration expected = t->there;

    extras_begin(&t->from);
    entry(&t->from, 1, "no-such-capability", 1, "");
    entry(&t->from, 1, "postcopy-ram", 1, "");
    entry(&t->from, 1, "xbzrle", 1, "");
    entry(&t->from, 1, "multifd", 1, ""); /* not with the one before */
    entry(&t->from, 1, "events", 2, "");
    entry(&t->from, 2, "no-such-parameter", 1, "");
    entry(&t->from, 2, "downtime-limit", 2000001, "");
    entry(&t->from, 2, "multifd-channels", 256, "");
    entry(&t->from, 2, "x-checkpoint-delay", UINT64_C(1) << 32, "");
    entry(&t->from, 2, "max-cpu-throttle", 19, ""); /* below cpu-throttle-initial */
    entry(&t->from, 2, "direct-io", 2, "");
    entry(&t->from, 2, "xbzrle-cache-size", 4097, "");
    entry(&t->from, 2, "mode", 0, "cpr-reboot");
    entry(&t->from, 2, "tls-creds", 0, "tls0");
    entry(&t->from, 2, "tls-hostname", 0, "\xff");
    entry(&t->from, 3, "xbzrle", 0, "");
    entry(&t->from, 2, "tls-authz", 17, "me");
    assert_true(extras_end(&t->from));
    load(t);
    capability(&expected, MIGRATION_CAP_XBZRLE);
    parameter(&expected, MIGRATION_PARAM_TLS_AUTHZ, 0, "me");
    assert_true(are_same(&expected.params, &t->there.params));
}

/* Whatever of it is taken goes together, so that a client could have said it in one command. */
static void assert_sound(const struct migration_params *p)
{
    const char *names[MIGRATION_CAP_COUNT];
    size_t indexes[MIGRATION_PARAM_COUNT];
    struct migration_value values[MIGRATION_PARAM_COUNT];
    struct migration_params fresh;
    struct ferry_err err;

    migration_params_init(&fresh);
    for (size_t i = 0; i < MIGRATION_CAP_COUNT; i++)
        names[i] = migration_capability_name(i);
    for (size_t i = 0; i < MIGRATION_PARAM_COUNT; i++) {
        indexes[i] = i;
        values[i] = (struct migration_value){p->num[i], p->str[i]};
    }
    assert_int_equal(migration_params_set_capabilities(&fresh, names, p->capabilities,
                                                       MIGRATION_CAP_COUNT, false, false, &err),
                     0);
    assert_int_equal(
        migration_params_set_values(&fresh, indexes, values, MIGRATION_PARAM_COUNT, false, &err),
        0);
    assert_true(are_same(p, &fresh));
}

static void a_record_that_is_wrong_does_no_harm(void **state)
{
    struct two *t = *state;

    set_some(&t->here);
    save(t);
    for (int cut = 0; cut < 2; cut++) {
        size_t bits = 8 * carry_record_bytes(&t->from);

        for (size_t bit = 0; bit < bits; bit += cut ? 8 : 1) {
            assert_true(carry_spoil(&t->from, cut, bit));
            load(t);
            assert_sound(&t->there.params);
            migration_params_init(&t->there.params);
            save(t);
        }
    }
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(what_was_set_is_set_there),           T(all_that_can_be_set_goes),
        T(nothing_set_is_nothing_sent),         T(what_cannot_be_set_is_left_out),
        T(a_record_that_is_wrong_does_no_harm),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
