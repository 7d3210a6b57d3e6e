/* SPDX-License-Identifier: Apache-2.0 */
/* What a client says too much of, while the guest stands still. */
#include "tests/unit.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "tests/vmm/gdb/rig.h"
#include "vmm/gdb/internal.h"

static int setup(void **state)
{
    static struct gdb_rig rig;

    gdb_rig_init(&rig);
    gdb_attach(rig.gdb);
    *state = &rig;
    return 0;
}

static int teardown(void **state)
{
    gdb_rig_free(*state);
    return 0;
}

static struct gdb *gdb_of(void **state)
{
    return ((struct gdb_rig *)*state)->gdb;
}

/* The beginning of the answer. */
static void answers(struct gdb *g, const char *packet, const char *expected)
{
    gdb_command(g, packet, strlen(packet));
    assert_true(g->s.reply_bytes >= strlen(expected));
    assert_memory_equal(g->s.reply, expected, strlen(expected));
}

static void memory_is_read_and_written_in_pieces(void **state)
{
    char text[64];

    snprintf(text, sizeof(text), "m%llx,%x", (unsigned long long)MACHINE_RAM_BASE,
             PACKET_BYTES / 2);
    answers(gdb_of(state), text, "0");
    assert_int_equal(gdb_of(state)->s.reply_bytes, PACKET_BYTES);
    snprintf(text, sizeof(text), "m%llx,%x", (unsigned long long)MACHINE_RAM_BASE,
             PACKET_BYTES / 2 + 1);
    answers(gdb_of(state), text, "E01");
    answers(gdb_of(state), "m80000000,ffffffffffffffff", "E01");
    answers(gdb_of(state), "M80000000,ffffffffffffffff:00", "E01");
    answers(gdb_of(state), "M80000000,2:00", "E01");
    answers(gdb_of(state), "m10000000000000000,1", "E01");
}

static void there_are_as_many_threads_as_harts(void **state)
{
    struct gdb *g = gdb_of(state);

    answers(g, "Hg2", "OK");
    answers(g, "Hg3", "E01");
    answers(g, "T20", "E01");
    answers(g, "qThreadExtraInfo,ffffffffffffffff", "E01");
    answers(g, "vCont;c:3", "E01");
    assert_int_equal(g->s.hart, 1);
}

static void a_description_has_an_end(void **state)
{
    const struct gdb *g = gdb_of(state);
    char text[64];

    snprintf(text, sizeof(text), "qXfer:features:read:target.xml:%zx,100", g->features.len_bytes);
    answers(gdb_of(state), text, "l");
    snprintf(text, sizeof(text), "qXfer:features:read:target.xml:%zx,100",
             g->features.len_bytes + 1);
    answers(gdb_of(state), text, "E01");
    answers(gdb_of(state), "qXfer:features:read:target.xml:0,ffffffffffffffff", "m");
}

static void breakpoints_are_counted(void **state)
{
    struct gdb *g = gdb_of(state);
    char text[32];

    for (unsigned i = 0; i <= VCPU_BREAKPOINTS_MAX; i++) {
        snprintf(text, sizeof(text), "Z0,%x,4", 0x80000000u + 4 * i);
        answers(g, text, i < VCPU_BREAKPOINTS_MAX ? "OK" : "E01");
    }
    assert_int_equal(g->s.count, VCPU_BREAKPOINTS_MAX);
    answers(g, "Z0,80000000,4", "OK"); /* it is there */
}

static void registers_are_those_that_there_are(void **state)
{
    answers(gdb_of(state), "p20", "");
    answers(gdb_of(state), "pffffffffffffffff", "E01");
    answers(gdb_of(state), "Pffffffff=0000000000000000", "E01");
    answers(gdb_of(state), "P1=00", "E01");
    answers(gdb_of(state), "G00", "E01");
}

static void an_accelerator_without_a_view_for_debuggers_is_refused(void **state)
{
    struct gdb_rig *rig = *state;
    struct vcpu *v = hart_vcpu(rig->vm.machine.harts[0]);
    const struct accel *whole = v->accel;
    struct accel blind = *whole;
    struct gdb_params params = {.vm = &rig->vm, .vcpus = &v, .hart_count = 1};
    struct ferry_err err = {0};
    struct gdb *g = NULL;

    blind.name = "blind";
    blind.debug = NULL;
    v->accel = &blind;
    assert_int_equal(gdb_new(&g, &params, &err), -ENOTSUP);
    assert_null(g);
    assert_non_null(strstr(err.text, "'blind'"));
    assert_non_null(strstr(err.text, "leave out -gdb"));
    v->accel = whole;
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(memory_is_read_and_written_in_pieces),
        T(there_are_as_many_threads_as_harts),
        T(a_description_has_an_end),
        T(breakpoints_are_counted),
        T(registers_are_those_that_there_are),
        T(an_accelerator_without_a_view_for_debuggers_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
