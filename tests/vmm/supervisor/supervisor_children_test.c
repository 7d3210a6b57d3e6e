/* SPDX-License-Identifier: Apache-2.0 */
/* What a VMM says of itself, and how far it is believed. */
#include "tests/unit.h"

#include <stdio.h>
#include <unistd.h>

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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_name_is_for_good_when_the_guest_has_come),
        cmocka_unit_test(a_name_may_come_behind_the_guest),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
