/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit.h"

#include <dirent.h>
#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include "lib/live/format.h"
#include "tests/sim/pair.h"

static size_t open_fds(void)
{
    DIR *d = opendir("/proc/self/fd");
    size_t n = 0;

    while (readdir(d))
        n++;
    closedir(d);
    return n;
}

/* The ledger's phases are whole, in order, contiguous and add up. */
static void check_ledger(const struct ferry_ledger *l)
{
    int64_t sum_ns = 0, next_ns = 0;
    int phase = 0;

    for (uint32_t i = 0; i < l->count; i++) {
        const struct ferry_ledger_entry *e = &l->entries[i];

        assert_true(e->duration_ns >= 0);
        if (e->part[0]) {
            assert_int_equal(e->phase, phase);
            continue;
        }
        assert_int_equal(e->phase, ++phase);
        if (phase > 1)
            assert_int_equal(e->start_ns, next_ns);
        next_ns = e->start_ns + e->duration_ns;
        sum_ns += e->duration_ns;
    }
    assert_int_equal(phase, FERRY_PHASE_START);
    assert_int_equal(sum_ns, l->total_ns);
    assert_true(l->total_ns > 0);
}

static const struct ferry_ledger_entry *find_entry(const struct ferry_ledger *l,
                                                   enum ferry_phase phase, const char *part)
{
    for (uint32_t i = 0; i < l->count; i++)
        if (l->entries[i].phase == phase && !strcmp(l->entries[i].part, part))
            return &l->entries[i];
    return NULL;
}

static void guest_goes_over(void **state)
{
    struct pair p;
    const struct ferry_ledger *a, *b;
    struct ferry_owner *owner;

    pair_init(&p);
    pair_start(&p);
    assert_true(pair_run(&p, 2000));
    assert_int_equal(p.source_status, FERRY_LIVE_DONE);
    assert_int_equal(p.target_status, FERRY_LIVE_DONE);
    pair_check_one_owner(&p);
    assert_true(ferry_live_target_running(p.target));
    a = ferry_live_source_ledger(p.source);
    b = ferry_live_target_ledger(p.target);
    check_ledger(a);
    check_ledger(b);
    assert_int_equal(a->total_ns, b->total_ns);
    assert_int_equal(a->fd_count, 2);
    assert_int_equal(b->fd_count, 2);
    assert_int_equal(a->state_bytes, b->state_bytes);
    assert_true(a->prepare_ns > 0 && a->quiesce_ns > 0);
    assert_non_null(find_entry(a, FERRY_PHASE_DETACH, "pipe"));
    assert_non_null(find_entry(a, FERRY_PHASE_SAVE, "counter 1"));
    assert_non_null(find_entry(a, FERRY_PHASE_LOAD, "counter"));
    assert_non_null(find_entry(a, FERRY_PHASE_ADOPT, "pipe"));
    assert_non_null(find_entry(b, FERRY_PHASE_SAVE, "counter 1"));
    /* From the harts' stop to their start, which is within the whole. */
    assert_true(p.to->clock_ns > 0 && p.to->clock_ns <= a->total_ns);
    owner = ferry_live_target_take_owner(p.target);
    assert_non_null(owner);
    ferry_owner_free(owner);
    pair_free(&p);
}

static void paused_guest_stays_paused(void **state)
{
    struct pair p;

    pair_init(&p);
    p.paused_guest = true;
    pair_start(&p);
    assert_true(pair_run(&p, 2000));
    assert_int_equal(p.target_status, FERRY_LIVE_DONE);
    pair_check_one_owner(&p);
    assert_false(ferry_live_target_running(p.target));
    assert_int_equal(p.to->clock_ns, 0);
    pair_free(&p);
}

/* The target of one is the source of the next; nothing is left behind. */
static void many_handovers_in_a_row(void **state)
{
    struct pair p;
    size_t fds_before = 0;

    pair_init(&p);
    for (int i = 0; i < 50; i++) {
        pair_start(&p);
        assert_true(pair_run(&p, 2000));
        pair_next(&p);
        if (i == 0)
            fds_before = open_fds();
        assert_int_equal(open_fds(), fds_before);
        assert_int_equal(atomic_load(&p.from->memory->broken), 0);
        assert_int_equal(atomic_load(&p.from->memory->switches), i + 1);
        assert_true(toy_pipe_works(p.from));
    }
    pair_free(&p);
}

static void waits_for_requests_in_flight(void **state)
{
    struct pair p;

    pair_init(&p);
    toy_fresh(p.from);
    p.from->pipe.busy = true;
    pair_start(&p);
    assert_false(pair_run(&p, 50));
    assert_true(p.from->pipe.quiesced);
    assert_true(atomic_load(&p.from->running));
    /* A step whose turn was over early wants another; then it is the requests that are awaited. */
    while (ferry_live_source_deadline_ns(p.source) == 0)
        assert_false(pair_run(&p, 1));
    ferry_vm_drained(p.from->vm);
    assert_int_equal(ferry_live_source_deadline_ns(p.source), 0);
    assert_true(pair_run(&p, 2000));
    assert_int_equal(p.source_status, FERRY_LIVE_DONE);
    pair_check_one_owner(&p);
    pair_free(&p);
}

static void requests_that_never_finish_end_it(void **state)
{
    struct pair p;

    pair_init(&p);
    p.prepare_timeout_ns = 30000000;
    toy_fresh(p.from);
    p.from->pipe.busy = true;
    pair_start(&p);
    assert_true(pair_run(&p, 2000));
    assert_non_null(strstr(p.source_err.text, "1 devices still had requests in flight"));
    pair_check_one_owner(&p);
    pair_free(&p);
}

static void cancel_at_any_time_before_commit(void **state)
{
    for (int steps = 0; steps < 20; steps++) {
        struct pair p;
        struct ferry_err err;

        pair_init(&p);
        pair_start(&p);
        for (int i = 0; i < steps && p.source_status == FERRY_LIVE_BUSY; i++)
            pair_step(&p);
        if (ferry_live_source_cancel(p.source, &err) == 0) {
            assert_true(pair_run(&p, 2000));
            assert_int_equal(p.source_status, FERRY_LIVE_FAILED);
            assert_int_equal(p.source_err.errnum, ECANCELED);
            assert_non_null(strstr(p.target_err.text, "the source gave up: the handover was"));
        } else {
            assert_int_equal(err.errnum, EBUSY);
            assert_true(pair_run(&p, 2000));
            assert_int_equal(p.source_status, FERRY_LIVE_DONE);
        }
        pair_check_one_owner(&p);
        pair_free(&p);
    }
}

/* The sentence that the target refused with is the one that the source reports. */
static void refused(struct pair *p, const char *sentence)
{
    pair_start(p);
    assert_true(pair_run(p, 2000));
    assert_int_equal(p->source_status, FERRY_LIVE_FAILED);
    assert_int_equal(p->target_status, FERRY_LIVE_FAILED);
    if (!strstr(p->source_err.text, sentence))
        fail_msg("\"%s\" is not in \"%s\"", sentence, p->source_err.text);
    assert_non_null(strstr(p->source_err.text, p->target_err.text));
    pair_check_one_owner(p);
    pair_free(p);
}

static void target_refuses_the_machine(void **state)
{
    struct pair p;

    pair_init(&p);
    p.description = "toy, 8 MiB";
    refused(&p, "the target refused: building the machine: what machine is \"toy, 8 MiB\"?");
}

static void target_refuses_a_region_too_many(void **state)
{
    struct pair p;
    struct ferry_ram_region *region;
    struct ferry_err err;

    pair_init(&p);
    toy_fresh(p.from);
    assert_int_equal(ferry_ram_add(p.from->ram, "flash", 1 << 20, &region, &err), 0);
    refused(&p, "the source has RAM \"flash\" (1 MiB), which the machine built from its "
                "description does not have");
}

static void target_refuses_state(void **state)
{
    struct pair p;

    pair_init(&p);
    toy_fresh(p.from);
    p.from->blob.mode = 4;
    pair_start(&p);
    assert_true(pair_run(&p, 2000));
    assert_int_equal(p.source_status, FERRY_LIVE_FAILED);
    assert_non_null(strstr(p.source_err.text, "\"counter\" (instance 1)"));
    assert_non_null(strstr(p.source_err.text, "mode"));
    p.from->blob.mode = 3;
    pair_check_one_owner(&p);
    /* Nothing of the part before it was committed either. */
    assert_int_equal(p.to->counter.ticks, 0);
    pair_free(&p);
}

static void target_refuses_to_adopt(void **state)
{
    struct pair p;

    pair_init(&p);
    p.to->refuse_adopt = true;
    refused(&p, "the target refused: adopting \"pipe/read\": the toy refuses");
}

static void target_refuses_fds_that_differ(void **state)
{
    struct pair p;

    pair_init(&p);
    p.to->with_extra = true;
    refused(&p, "the file descriptor \"extra/read\" did not arrive. The source has: pipe/read, "
                "pipe/write, pipe/absent. The target needs: pipe/read, pipe/write, pipe/absent, "
                "extra/read, extra/write, extra/absent");
    pair_init(&p);
    p.from->with_extra = true;
    refused(&p, "the file descriptor \"extra/read\" arrived and belongs to no device");
}

static void source_that_is_not_the_owner_is_refused(void **state)
{
    struct pair p;
    struct ferry_err err;
    int fd = -1;

    pair_init(&p);
    toy_fresh(p.from);
    ferry_owner_free(p.owner);
    assert_int_equal(ferry_owner_new(&p.owner, &err), 0);
    pair_start(&p);
    assert_true(pair_run(&p, 2000));
    assert_int_equal(p.source_status, FERRY_LIVE_DONE);

    const struct ferry_live_source_params again = {
        .size_bytes = sizeof(again),
        .vm = p.from->vm,
        .owner = p.owner,
        .description = "",
        .version = "",
    };
    struct ferry_live_source *s;

    assert_int_equal(ferry_live_source_new(&s, &again, &fd, &err), -EPERM);
    pair_free(&p);
}

/* A frame that the source did not send, in front of the one that it does. */
static void say_soon(void *arg, enum ferry_live_point point)
{
    static const uint8_t soon[LIVE_FRAME_HEADER_BYTES] = {0, 0, 0, LIVE_TYPE_SOON};
    const struct pair *p = arg;

    if (point == FERRY_LIVE_READY_RECEIVED)
        assert_int_equal(send(p->wire[1], soon, sizeof(soon), MSG_NOSIGNAL), sizeof(soon));
}

/* It makes the target load a whole machine, and is twelve bytes long. */
static void soon_is_said_once(void **state)
{
    struct pair p;

    pair_init(&p);
    p.trace = say_soon;
    p.trace_arg = &p;
    pair_start(&p);
    assert_true(pair_run(&p, 2000));
    assert_int_equal(p.target_status, FERRY_LIVE_FAILED);
    assert_non_null(strstr(p.target_err.text, "SOON came twice"));
    assert_int_equal(p.source_status, FERRY_LIVE_FAILED);
    pair_check_one_owner(&p);
    pair_free(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(guest_goes_over),
        cmocka_unit_test(paused_guest_stays_paused),
        cmocka_unit_test(many_handovers_in_a_row),
        cmocka_unit_test(soon_is_said_once),
        cmocka_unit_test(waits_for_requests_in_flight),
        cmocka_unit_test(requests_that_never_finish_end_it),
        cmocka_unit_test(cancel_at_any_time_before_commit),
        cmocka_unit_test(target_refuses_the_machine),
        cmocka_unit_test(target_refuses_a_region_too_many),
        cmocka_unit_test(target_refuses_state),
        cmocka_unit_test(target_refuses_to_adopt),
        cmocka_unit_test(target_refuses_fds_that_differ),
        cmocka_unit_test(source_that_is_not_the_owner_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
