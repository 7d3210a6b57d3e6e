/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What must be true of the two tables whatever they say. With a file as argument: the file shows
 * the tables as they are (print them with "source" or "target" as argument).
 */
#include "tests/unit.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "lib/move/source.h"
#include "lib/move/target.h"

static const struct machine_table *const tables[] = {&source_table, &target_table};

/* One line per state: events, grouped by where they lead. */
static void write_table(FILE *out, const struct machine_table *t)
{
    fprintf(out, "| while | on: then |\n|---|---|\n");
    for (size_t from = 0; from < t->state_count; from++) {
        const char *separator = "";
        bool any = false;

        for (size_t next = 0; next < t->state_count; next++) {
            bool first = true;

            for (size_t i = 0; i < t->rule_count; i++) {
                const struct machine_rule *r = &t->rules[i];

                if (r->state != (int)from || r->next != (int)next)
                    continue;
                if (!any)
                    fprintf(out, "| %s | ", t->state_names[from]);
                any = true;
                fprintf(out, "%s%s", first ? separator : ", ", t->event_names[r->event]);
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

static bool has_rule(const struct machine_table *t, int from, int event)
{
    for (size_t i = 0; i < t->rule_count; i++)
        if (t->rules[i].state == from && t->rules[i].event == event)
            return true;
    return false;
}

static void tables_are_sound(void **state)
{
    for (size_t k = 0; k < 2; k++) {
        const struct machine_table *t = tables[k];

        for (size_t i = 0; i < t->rule_count; i++) {
            assert_true((size_t)t->rules[i].state < t->state_count);
            assert_true((size_t)t->rules[i].next < t->state_count);
            assert_in_range(t->rules[i].event, 1, t->event_count - 1);
            assert_non_null(t->event_names[t->rules[i].event]);
            for (size_t j = 0; j < i; j++)
                assert_false(t->rules[i].state == t->rules[j].state &&
                             t->rules[i].event == t->rules[j].event);
            /* Whoever can be anywhere can fail there. */
            assert_true(has_rule(t, t->rules[i].state, MOVE_EV_FAULT));
        }
        for (size_t s = 0; s < t->state_count; s++)
            assert_non_null(t->state_names[s]);
    }
}

/* Whatever goes wrong: before COMMIT the guest comes back, after it only who finds out where it is
 * may say so. */
static void nothing_leads_back_from_commit_unexamined(void **state)
{
    const struct machine_table *t = &source_table;

    for (size_t i = 0; i < t->rule_count; i++) {
        const struct machine_rule *r = &t->rules[i];

        bool past = r->state >= SOURCE_COMMIT && r->state <= SOURCE_ASCERTAIN;

        if (r->event == MOVE_EV_FAULT)
            assert_int_equal(r->next, past ? SOURCE_ASCERTAIN : SOURCE_BACK);
        if (r->next == SOURCE_FAILED)
            assert_int_equal(r->state, SOURCE_BACK);
        if (r->next == SOURCE_BACK && past) {
            assert_int_equal(r->state, SOURCE_ASCERTAIN);
            assert_int_equal(r->event, MOVE_EV_OWN_UNMOVED);
        }
        if (r->event == MOVE_EV_CANCEL)
            assert_true(r->state < SOURCE_COMMIT);
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
        cmocka_unit_test(tables_are_sound),
        cmocka_unit_test(nothing_leads_back_from_commit_unexamined),
        cmocka_unit_test_prestate(the_document_shows_the_tables, path),
    };

    for (size_t k = 0; k < 2; k++)
        if (path && !strcmp(path, tables[k]->name)) {
            write_table(stdout, tables[k]);
            return 0;
        }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
