/* SPDX-License-Identifier: Apache-2.0 */
/* What a VMM says of itself, and how far it is believed. */
#include "tests/unit.h"

#include <stdio.h>
#include <unistd.h>

#include "base/clock.h"
#include "vmm/supervisor/errand.h"
#include "vmm/supervisor/supervisor_internal.h"

void supervisor_show(const struct supervisor *s)
{
}

void supervisor_hold_control(struct supervisor *s)
{
}

static struct child *make(struct supervisor *s)
{
    *s = (struct supervisor){.control = -1};
    for (size_t i = 0; i < SUPERVISOR_CHILDREN; i++)
        s->children[i] = (struct child){.channel = -1, .mail = -1};
    s->children[3].pid = getpid();
    return &s->children[3];
}

static void say_name(struct supervisor *s, struct child *c, const char *name)
{
    struct supervisor_message m = {.kind = SUPERVISOR_NAMES};

    snprintf(m.words, sizeof(m.words), "%s", name);
    assert_true(child_tells(s, c, &m));
}

static void say(struct supervisor *s, struct child *c, char what)
{
    const struct supervisor_message m = {.kind = SUPERVISOR_SAYS, .says = what};

    assert_true(child_tells(s, c, &m));
}

static void a_name_is_for_good_when_the_guest_has_come(void **state)
{
    struct supervisor s;
    struct child *c = make(&s);

    say_name(&s, c, "came-and-went");
    say_name(&s, c, "web1");
    assert_string_equal(s.name, "web1");
    say(&s, c, ERRAND_HAS_GUEST);
    say_name(&s, c, "somebody-else");
    assert_string_equal(s.name, "web1");
    say(&s, c, ERRAND_GAVE_GUEST);
    say_name(&s, c, "somebody-else");
    assert_string_equal(s.name, "web1");
}

/* A handover has no time for it before. */
static void a_name_may_come_behind_the_guest(void **state)
{
    struct supervisor s;
    struct child *c = make(&s);

    say(&s, c, ERRAND_HAS_GUEST);
    say_name(&s, c, "web1");
    assert_string_equal(s.name, "web1");
    say_name(&s, c, "somebody-else");
    assert_string_equal(s.name, "web1");
}

/* Or it keeps the guest's memory and the VM's name for ever. */
static void who_had_the_guest_has_to_end(void **state)
{
    struct supervisor s;
    struct child *source = make(&s), *target = &s.children[5], *errand = &s.children[6];

    source->is_vmm = target->is_vmm = true;
    target->pid = errand->pid = source->pid + 1;
    target->mail = 1; /* somebody asked for it */
    say(&s, source, ERRAND_HAS_GUEST);
    say(&s, target, ERRAND_OVER); /* it failed */
    assert_int_equal(source->until_ns, 0);
    say(&s, target, ERRAND_HAS_GUEST);
    assert_int_equal(source->until_ns, 0); /* or is about to, and may not */
    say(&s, target, ERRAND_OVER);
    assert_true(source->until_ns > clock_monotonic_ns());
    assert_int_equal(target->until_ns, 0);
    assert_int_equal(errand->until_ns, 0);
}

static void a_source_that_stays_ends_nobody(void **state)
{
    struct supervisor s;
    struct child *first = make(&s), *second = &s.children[5], *third = &s.children[6];

    first->is_vmm = second->is_vmm = third->is_vmm = true;
    second->pid = third->pid = first->pid + 1;
    second->mail = third->mail = 1;
    for (struct child *c = first; c; c = c == first ? second : c == second ? third : NULL) {
        say(&s, c, ERRAND_HAS_GUEST);
        say(&s, c, ERRAND_OVER);
    }
    say(&s, first, ERRAND_HAS_GUEST);
    say(&s, first, ERRAND_OVER);
    say(&s, second, ERRAND_HAS_GUEST);
    say(&s, second, ERRAND_OVER);
    assert_int_equal(third->until_ns, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_name_is_for_good_when_the_guest_has_come),
        cmocka_unit_test(a_name_may_come_behind_the_guest),
        cmocka_unit_test(who_had_the_guest_has_to_end),
        cmocka_unit_test(a_source_that_stays_ends_nobody),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
