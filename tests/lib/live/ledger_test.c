/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit.h"

#include <string.h>

#include "lib/live/ledger.h"

static void phases_add_up_whatever_the_marks_say(void **state)
{
    struct live_marks source = {.at_ns = {100, 110, 130, 160}};
    /* The second goes backwards, as a peer's may. */
    struct live_marks target = {.at_ns = {[LIVE_MARK_RECEIVED] = 200, 150, 260, 270, 300}};
    struct ferry_ledger l = {.count = 77};
    const int64_t expected[] = {10, 20, 30, 40, 0, 60, 10, 30};

    ledger_merge(&l, &source, &target);
    assert_int_equal(l.count, 8);
    assert_int_equal(l.total_ns, 200);
    for (int i = 0; i < 8; i++) {
        assert_int_equal(l.entries[i].phase, i + 1);
        assert_int_equal(l.entries[i].duration_ns, expected[i]);
    }
    /* A target that said nothing. */
    memset(&target, 0, sizeof(target));
    ledger_merge(&l, &source, &target);
    assert_int_equal(l.total_ns, 60);
    assert_int_equal(l.count, 8);
}

static void parts_stand_under_their_phase(void **state)
{
    const struct ferry_part disk = {.idstr = "disk"},
                            hart = {.idstr = "cpu", .instance_id = 4294967295};
    struct live_marks source = {.at_ns = {1, 2, 3, 4}}, target = {0};
    struct ferry_ledger l = {0};

    source.phase = FERRY_PHASE_DETACH;
    marks_part(&source, &disk, false);
    marks_part(&source, &disk, true);
    source.phase = FERRY_PHASE_SAVE;
    for (int i = 0; i < 2; i++) {
        marks_part(&source, &hart, false);
        marks_part(&source, &hart, true);
        marks_part(&source, &disk, false);
        marks_part(&source, &disk, true);
    }
    assert_int_equal(source.count, 3); /* twice in one phase is one entry */
    ledger_merge(&l, &source, &target);
    assert_int_equal(l.count, 11);
    assert_string_equal(l.entries[2].part, "disk");
    assert_int_equal(l.entries[2].phase, FERRY_PHASE_DETACH);
    assert_string_equal(l.entries[4].part, "cpu 4294967295");
    assert_int_equal(l.entries[4].phase, FERRY_PHASE_SAVE);
}

static void too_many_parts_and_too_long_names_are_cut(void **state)
{
    char name[256];
    struct ferry_part parts[LIVE_ENTRIES_MAX + 5] = {0};
    struct live_marks m = {.phase = FERRY_PHASE_SAVE};

    memset(name, 'x', 255);
    name[255] = 0;
    for (unsigned i = 0; i < LIVE_ENTRIES_MAX + 5; i++) {
        parts[i] = (struct ferry_part){.idstr = name, .instance_id = 4000000000u + i};
        marks_part(&m, &parts[i], false);
        marks_part(&m, &parts[i], true);
    }
    assert_int_equal(m.count, LIVE_ENTRIES_MAX);
    assert_int_equal(strlen(m.entries[1].part), FERRY_FD_NAME_BYTES - 1);
    assert_string_equal(m.entries[1].part + 52, " 4000000001");
}

static void everything_has_a_name(void **state)
{
    for (int p = FERRY_PHASE_STOP; p <= FERRY_PHASE_START; p++)
        assert_string_not_equal(ferry_phase_name((enum ferry_phase)p), "unknown");
    for (int p = FERRY_LIVE_HELLO_SENT; p <= FERRY_LIVE_STARTED; p++)
        assert_string_not_equal(ferry_live_point_name((enum ferry_live_point)p), "unknown");
    assert_string_equal(ferry_phase_name((enum ferry_phase)99), "unknown");
    assert_string_equal(ferry_live_point_name((enum ferry_live_point)0), "unknown");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(phases_add_up_whatever_the_marks_say),
        cmocka_unit_test(parts_stand_under_their_phase),
        cmocka_unit_test(too_many_parts_and_too_long_names_are_cut),
        cmocka_unit_test(everything_has_a_name),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
