/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The engine, and what must be true of the two tables whatever they say. With a file as argument:
 * the file shows the tables as they are (print them with "source" or "target" as argument).
 */
#include "tests/unit.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "lib/live/machine.h"

static const struct live_table *const tables[] = {&live_source_table, &live_target_table};

/* One line per state: events, grouped by where they lead. */
static void write_table(FILE *out, const struct live_table *t)
{
    fprintf(out, "| while | on: then |\n|---|---|\n");
    for (size_t from = 0; from < t->state_count; from++) {
        const char *separator = "";
        bool any = false;

        for (size_t next = 0; next < t->state_count; next++) {
            bool first = true;

            for (size_t i = 0; i < t->rule_count; i++) {
                const struct live_rule *r = &t->rules[i];

                if (r->state != (int)from || r->next != (int)next)
                    continue;
                if (!any)
                    fprintf(out, "| %s | ", t->state_names[from]);
                any = true;
                fprintf(out, "%s%s", first ? separator : ", ", live_event_name(r->event));
                first = false;
                separator = "; ";
            }
            if (!first)
                fprintf(out, ": *%s*", next == from ? "same" : t->state_names[next]);
        }
        if (any)
            fprintf(out, " |\n");
    }
}

/* --- A table of its own --- */

struct walker {
    int state;
    int calls;
    struct ferry_err err;
};

static int walk(void *self)
{
    ((struct walker *)self)->calls++;
    return LIVE_EVENT_SENT;
}

static int trip(void *self)
{
    return err_set(&((struct walker *)self)->err, EIO, "tripped");
}

static const char *const walk_states[] = {"standing", "walking", "there", "fallen"};
static const struct live_rule walk_rules[] = {
    {0, LIVE_EVENT_BEGIN, 1, walk}, {1, LIVE_EVENT_SENT, 2, NULL},  {2, LIVE_EVENT_BEGIN, 0, trip},
    {2, LIVE_EVENT_FAULT, 3, trip}, {0, LIVE_EVENT_FAULT, 3, NULL},
};
static const struct live_table walk_table = {
    .name = "walker",
    .state_names = walk_states,
    .state_count = 4,
    .rules = walk_rules,
    .rule_count = sizeof(walk_rules) / sizeof(walk_rules[0]),
};

static void events_chain_and_faults_end(void **state)
{
    struct walker w = {0};

    machine_fire(&walk_table, &w, &w.state, LIVE_EVENT_BEGIN, &w.err);
    assert_int_equal(w.state, 2);
    assert_int_equal(w.calls, 1);
    machine_fire(&walk_table, &w, &w.state, LIVE_EVENT_BEGIN, &w.err);
    assert_int_equal(w.state, 3);
    assert_string_equal(w.err.text, "tripped");
}

static void an_unlisted_event_is_a_sentence(void **state)
{
    struct walker w = {0};

    machine_fire(&walk_table, &w, &w.state, LIVE_EVENT_READY, &w.err);
    assert_int_equal(w.state, 3);
    assert_int_equal(w.err.errnum, EPROTO);
    assert_string_equal(w.err.text, "READY came to the walker while standing");
}

/* --- The real ones --- */

static bool has_rule(const struct live_table *t, int from, enum live_event event)
{
    for (size_t i = 0; i < t->rule_count; i++)
        if (t->rules[i].state == from && t->rules[i].event == event)
            return true;
    return false;
}

static void tables_are_sound(void **state)
{
    for (size_t k = 0; k < 2; k++) {
        const struct live_table *t = tables[k];

        for (size_t i = 0; i < t->rule_count; i++) {
            assert_true((size_t)t->rules[i].state < t->state_count);
            assert_true((size_t)t->rules[i].next < t->state_count);
            assert_string_not_equal(live_event_name(t->rules[i].event), "nothing");
            for (size_t j = 0; j < i; j++)
                assert_false(t->rules[i].state == t->rules[j].state &&
                             t->rules[i].event == t->rules[j].event);
            /* Whoever can be anywhere can fail there. */
            assert_true(has_rule(t, t->rules[i].state, LIVE_EVENT_FAULT));
        }
        for (size_t s = 0; s < t->state_count; s++)
            assert_non_null(t->state_names[s]);
    }
}

static void the_document_shows_the_tables(void **state)
{
    const char *path = *state;
    FILE *f = path ? fopen(path, "r") : NULL;
    char text[65536];
    size_t n;

    if (!path)
        skip();
    assert_non_null(f);
    n = fread(text, 1, sizeof(text) - 1, f);
    text[n] = 0;
    fclose(f);
    for (size_t k = 0; k < 2; k++) {
        char table[8192] = "";
        FILE *out = fmemopen(table, sizeof(table), "w");

        write_table(out, tables[k]);
        fclose(out);
        if (!strstr(text, table))
            fail_msg("%s does not show the table of the %s as it is:\n%s", path, tables[k]->name,
                     table);
    }
}

int main(int argc, char **argv)
{
    char *path = argc > 1 ? argv[1] : NULL;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(events_chain_and_faults_end),
        cmocka_unit_test(an_unlisted_event_is_a_sentence),
        cmocka_unit_test(tables_are_sound),
        cmocka_unit_test_prestate(the_document_shows_the_tables, path),
    };

    for (size_t k = 0; k < 2; k++)
        if (path && !strcmp(path, tables[k]->name)) {
            write_table(stdout, tables[k]);
            return 0;
        }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
