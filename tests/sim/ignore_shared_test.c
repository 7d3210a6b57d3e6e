/* SPDX-License-Identifier: Apache-2.0 */
/* Memory in files that both sides have mapped stays there; whatever else they could mean is
 * refused. */
#include "tests/unit.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "tests/sim/places.h"

#define BYTES (16u * FERRY_PAGE_BYTES)

static struct ferry_ram_region *add_file(struct toy *t, const char *path, uint64_t gpa)
{
    struct ferry_ram_region *region;
    struct ferry_err err = {0};
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);

    if (ferry_ram_add_file(t->ram, "r0", BYTES, &fd, &region, &err) < 0)
        fail_msg("%s", err.text);
    ferry_ram_set_gpa(region, gpa);
    return region;
}

static void ignore(struct places *t, bool source, bool target)
{
    t->p->source_params.capabilities.ignore_shared = source;
    t->p->target_params.capabilities.ignore_shared = target;
}

static void go(struct places *t)
{
    struct ferry_listener *l = places_listen("tcp:127.0.0.1:0");
    char at[128];

    strcpy(at, ferry_listener_text(l));
    places_target(t->p, &l);
    places_source(t->p, at);
    places_run(t->p);
}

static void is_refused(struct places *t, const char *why)
{
    go(t);
    assert_int_equal(t->p->source_status, FERRY_MOVE_FAILED);
    if (!strstr(t->p->source_err.text, why))
        fail_msg("%s", t->p->source_err.text);
    migrate_pair_check_stayed(t->p);
}

static void test_nothing_of_it_is_sent(void **state)
{
    struct ferry_migrate_info info = {.size_bytes = sizeof(info)};
    struct places *t = *state;
    struct ferry_ram_region *from, *to;
    char other[80];

    /* Two files, so that it would show. */
    snprintf(other, sizeof(other), "%s/other", t->dir);
    from = add_file(&t->p->from, t->path, 0x1000);
    to = add_file(&t->p->to, other, 0x1000);
    memset(ferry_ram_host(from), 1, BYTES);
    memset(ferry_ram_host(to), 2, BYTES);
    ignore(t, true, true);
    go(t);
    places_check(t->p);
    assert_int_equal(ferry_ram_host(to)[0], 2);
    assert_int_equal(ferry_ram_host(to)[BYTES - 1], 2);
    ferry_migrate_source_info(t->p->source, &info);
    assert_int_equal(info.ram_total_bytes, TOY_RAM_BYTES + BYTES);
    unlink(other);
}

static void test_the_same_file(void **state)
{
    struct places *t = *state;
    struct ferry_ram_region *from = add_file(&t->p->from, t->path, 0x1000);
    struct ferry_ram_region *to = add_file(&t->p->to, t->path, 0x1000);

    memset(ferry_ram_host(from), 3, BYTES);
    ignore(t, true, true);
    go(t);
    places_check(t->p);
    assert_int_equal(ferry_ram_host(to)[BYTES - 1], 3);
}

/* Without the capability its pages would go into the source's own memory, whose guest runs. */
static void test_the_same_file_must_be_ignored(void **state)
{
    struct places *t = *state;

    add_file(&t->p->from, t->path, 0x1000);
    add_file(&t->p->to, t->path, 0x1000);
    is_refused(t, "RAM 'r0' is in a file that somebody else has mapped");
}

static void test_both_sides_must_ignore(void **state)
{
    struct places *t = *state;

    ignore(t, true, false);
    is_refused(t, "capability x-ignore-shared is on there and off here");
}

static void test_both_sides_must_ignore_qemus_way(void **state)
{
    struct places *t = *state;

    t->p->source_params.peer = FERRY_MIGRATE_PEER_QEMU;
    t->p->target_params.vm = t->p->to.vm;
    ignore(t, false, true);
    go(t);
    assert_int_equal(t->p->source_status, FERRY_MOVE_FAILED);
    assert_string_equal(t->p->target_err.text, "capability x-ignore-shared is off at the sender "
                                               "and on here; set it alike");
    migrate_pair_check_stayed(t->p);
}

static void test_it_is_where_it_was(void **state)
{
    struct places *t = *state;

    add_file(&t->p->from, t->path, 0x1000);
    add_file(&t->p->to, t->path, 0x9000);
    ignore(t, true, true);
    is_refused(t, "RAM block \"r0\" is at guest address 0x1000 at the sender and at 0x9000 here");
}

#define SHARED_TEST(f) cmocka_unit_test_setup_teardown(f, places_setup, places_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        SHARED_TEST(test_nothing_of_it_is_sent),
        SHARED_TEST(test_the_same_file),
        SHARED_TEST(test_the_same_file_must_be_ignored),
        SHARED_TEST(test_both_sides_must_ignore),
        SHARED_TEST(test_both_sides_must_ignore_qemus_way),
        SHARED_TEST(test_it_is_where_it_was),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
