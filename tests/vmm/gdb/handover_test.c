/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/own.h"
#include "tests/vmm/gdb/rig.h"
#include "vmm/backend/chardev_type.h"
#include "vmm/gdb/internal.h"

static int setup(void **state)
{
    static struct gdb_rig rig;

    gdb_rig_init(&rig);
    *state = &rig;
    return 0;
}

static int teardown(void **state)
{
    gdb_rig_free(*state);
    return 0;
}

static void ask(struct gdb *g, const char *packet)
{
    gdb_command(g, packet, strlen(packet));
}

/* What a process hands over: a loan. */
static int leave(struct gdb_rig *r)
{
    struct ferry_part part = gdb_part(r->gdb);
    struct ferry_named_fd named;

    part.ops->pause(part.obj);
    assert_int_equal(part.ops->fd_at(part.obj, 0, &named), 0);
    assert_string_equal(named.name, "gdb/state");
    return named.fd;
}

static void arrive(struct gdb_rig *r, int fd)
{
    struct ferry_part part = gdb_part(r->gdb);
    struct ferry_err err;
    int own = fcntl(fd, F_DUPFD_CLOEXEC, 3);

    r->vm.state = RUN_STATE_INMIGRATE;
    assert_int_equal(part.ops->adopt(part.obj, "gdb/state", &own, &err), 0);
    assert_int_equal(own, -1);
    part.ops->resume(part.obj);
}

static void what_a_client_said_goes_along(void **state)
{
    struct gdb_rig *r = *state;
    static struct gdb_rig to;
    uint64_t breakpoints[] = {MACHINE_RAM_BASE + 8};

    gdb_attach(r->gdb);
    ask(r->gdb, "QStartNoAckMode");
    ask(r->gdb, "Hg2");
    ask(r->gdb, "Z0,80000008,4");
    ask(r->gdb, "vCont;s:2");
    assert_true(r->gdb->s.waiting);
    gdb_rig_init(&to);
    arrive(&to, leave(r));
    assert_true(to.gdb->s.attached && to.gdb->s.waiting && to.gdb->s.no_ack && to.gdb->s.resume);
    assert_int_equal(to.gdb->s.hart, 1);
    assert_int_equal(to.gdb->s.step, 2);
    assert_int_equal(to.gdb->s.held, 1);
    assert_int_equal(to.gdb->s.count, 1);
    assert_memory_equal(to.gdb->s.breakpoints, breakpoints, sizeof(breakpoints));
    gdb_rig_free(&to);
}

/* It has let go, and has not closed its connection yet: the guest runs on. */
static void who_has_let_go_does_not_come_again(void **state)
{
    struct gdb_rig *r = *state;
    static struct gdb_rig to;

    gdb_attach(r->gdb);
    ask(r->gdb, "D");
    assert_int_equal(r->vm.state, RUN_STATE_RUNNING);
    gdb_rig_init(&to);
    arrive(&to, leave(r));
    to.vm.state = RUN_STATE_RUNNING;
    chardev_tell(to.chardev, CHARDEV_OPENED);
    assert_int_equal(to.vm.state, RUN_STATE_RUNNING);
    /* The next one does. */
    chardev_tell(to.chardev, CHARDEV_CLOSED);
    chardev_tell(to.chardev, CHARDEV_OPENED);
    assert_int_equal(to.vm.state, RUN_STATE_PAUSED);
    gdb_rig_free(&to);
}

#define FIELD(member) offsetof(struct gdb_state, member), sizeof(((struct gdb_state *)0)->member)

static void what_is_not_sound_is_as_if_nothing_was_said(void **state)
{
    struct gdb_rig *r = *state;
    static const struct {
        const char *name;
        size_t offset, bytes;
        uint32_t most; /* one more is too many */
    } bounds[] = {
        {"version, the next", FIELD(version), 2},
        {"attached", FIELD(attached), 1},
        {"let_go", FIELD(let_go), 1},
        {"waiting", FIELD(waiting), 1},
        {"no_ack", FIELD(no_ack), 1},
        {"resume", FIELD(resume), 1},
        {"hart", FIELD(hart), GDB_RIG_HARTS - 1},
        {"step", FIELD(step), (1 << GDB_RIG_HARTS) - 1},
        {"held", FIELD(held), (1 << GDB_RIG_HARTS) - 1},
        {"count", FIELD(count), VCPU_BREAKPOINTS_MAX},
        {"in.state", FIELD(in.state), PACKET_SUM2},
        {"in.escaped", FIELD(in.escaped), 1},
        {"in.too_long", FIELD(in.too_long), 1},
        {"in.data_bytes", FIELD(in.data_bytes), PACKET_BYTES},
        {"reply_bytes", FIELD(reply_bytes), PACKET_BYTES},
        {"out_bytes", FIELD(out_bytes), sizeof(((struct gdb_state *)0)->out)},
        {"out_done", FIELD(out_done), 0}, /* nothing waits to be sent */
    };
    static struct gdb_state said;
    OWN_FD int fd = -1;

    gdb_attach(r->gdb);
    fd = fcntl(leave(r), F_DUPFD_CLOEXEC, 3);
    assert_int_equal(pread(fd, &said, sizeof(said), 0), sizeof(said));
    for (size_t i = 0; i < sizeof(bounds) / sizeof(bounds[0]); i++) {
        for (uint32_t more = 0; more < 2; more++) {
            uint64_t value = bounds[i].most + more;

            assert_int_equal(pwrite(fd, &said, sizeof(said), 0), sizeof(said));
            assert_int_equal(pwrite(fd, &value, bounds[i].bytes, (off_t)bounds[i].offset),
                             bounds[i].bytes);
            memset(&r->gdb->s, 0, sizeof(r->gdb->s));
            arrive(r, fd);
            if (r->gdb->s.version == (more ? 0 : said.version))
                continue;
            fail_msg("%s: %u is %s", bounds[i].name, (unsigned)value, more ? "taken" : "refused");
        }
    }
    memset(&r->gdb->s, 0, sizeof(r->gdb->s));
    assert_int_equal(ftruncate(fd, sizeof(said) - 1), 0);
    arrive(r, fd);
    assert_int_equal(r->gdb->s.version, 0);
}

/* Whoever reads from them may wait for ever. */
static void what_is_no_memfd_is_refused(void **state)
{
    struct gdb_rig *r = *state;
    struct ferry_part part = gdb_part(r->gdb);
    struct ferry_err err;
    int fds[2];

    assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
    assert_int_equal(part.ops->adopt(part.obj, "gdb/state", &fds[0], &err), -EINVAL);
    assert_string_equal(err.text, "\"gdb/state\" is no memfd");
    assert_true(fds[0] >= 0);
    close(fds[0]);
    close(fds[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(what_a_client_said_goes_along, setup, teardown),
        cmocka_unit_test_setup_teardown(who_has_let_go_does_not_come_again, setup, teardown),
        cmocka_unit_test_setup_teardown(what_is_not_sound_is_as_if_nothing_was_said, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(what_is_no_memfd_is_refused, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
