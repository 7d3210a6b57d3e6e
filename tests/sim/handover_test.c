/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/be.h"
#include "base/clock.h"
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
    assert_int_equal(p.source_status, FERRY_MOVE_DONE);
    assert_int_equal(p.target_status, FERRY_MOVE_DONE);
    pair_check_one_owner(&p);
    assert_true(ferry_move_running(p.target));
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
    /* To the nanosecond: what the target adds to the clock is what the source took from it. */
    assert_int_equal(p.to->stopped_ns, p.from->stopped_ns);
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
    assert_int_equal(p.target_status, FERRY_MOVE_DONE);
    pair_check_one_owner(&p);
    assert_false(ferry_move_running(p.target));
    assert_int_equal(p.to->stopped_ns, 0);
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
    while (ferry_move_deadline_ns(p.source) == 0)
        assert_false(pair_run(&p, 1));
    ferry_vm_drained(p.from->vm);
    assert_int_equal(ferry_move_deadline_ns(p.source), 0);
    assert_true(pair_run(&p, 2000));
    assert_int_equal(p.source_status, FERRY_MOVE_DONE);
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
        for (int i = 0; i < steps && p.source_status == FERRY_MOVE_BUSY; i++)
            pair_step(&p);
        if (ferry_move_cancel(p.source, &err) == 0) {
            assert_true(pair_run(&p, 2000));
            assert_int_equal(p.source_status, FERRY_MOVE_FAILED);
            assert_int_equal(p.source_err.errnum, ECANCELED);
            assert_non_null(strstr(p.target_err.text, "the source gave up: the handover was"));
        } else {
            assert_int_equal(err.errnum, EBUSY);
            assert_true(pair_run(&p, 2000));
            assert_int_equal(p.source_status, FERRY_MOVE_DONE);
        }
        pair_check_one_owner(&p);
        pair_free(&p);
    }
}

/* It is called off where the guest is, and nothing of it is done by halves. */
static void target_has_no_say(void **state)
{
    struct ferry_err err;
    struct pair p;

    pair_init(&p);
    pair_start(&p);
    assert_int_equal(ferry_move_cancel(p.target, &err), -EOPNOTSUPP);
    assert_string_equal(err.text, "the target of a handover cannot call it off: cancel its source, "
                                  "or free the target");
    assert_int_equal(ferry_move_set_running(p.target, false, &err), -EOPNOTSUPP);
    assert_string_equal(err.text, "the guest of a handover is not the target's yet: stop or "
                                  "continue it in the source");
    assert_true(pair_run(&p, 2000));
    assert_int_equal(p.target_status, FERRY_MOVE_DONE);
    assert_true(ferry_move_running(p.target));
    pair_check_one_owner(&p);
    pair_free(&p);
}

/* A caller that takes one move for another is stopped before it reads what is not there. */
static void other_sides_functions_abort(void **state)
{
    const struct rlimit no_core = {0};
    struct pair p;

    pair_init(&p);
    pair_start(&p);
    for (int i = 0; i < 2; i++) {
        int status;
        pid_t child = fork();

        assert_true(child >= 0);
        if (child == 0) {
            (void)setrlimit(RLIMIT_CORE, &no_core);
            signal(SIGABRT, SIG_DFL); /* not the test's */
            if (i == 0)
                (void)ferry_live_target_take_owner(p.source);
            else
                (void)ferry_live_source_ledger(p.target);
            _exit(0);
        }
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_true(WIFSIGNALED(status));
        assert_int_equal(WTERMSIG(status), SIGABRT);
    }
    pair_free(&p);
}

/* The sentence that the target refused with is the one that the source reports. */
/* Nor does it help to say one byte now and then: only HELLO ends this wait. */
static void who_says_nothing_is_not_waited_for(void **state)
{
    const int64_t most_ns = INT64_C(30) * 1000000000;
    struct pair p;
    int64_t due_ns;

    pair_init(&p);
    pair_start(&p);
    p.target_status = ferry_move_step(p.target, &p.target_err);
    assert_int_equal(p.target_status, FERRY_MOVE_BUSY);
    due_ns = ferry_move_deadline_ns(p.target);
    assert_in_range(due_ns, 1, clock_monotonic_ns() + most_ns);
    for (size_t i = 0; i + 1 < LIVE_FRAME_HEADER_BYTES; i++) {
        assert_int_equal(write(p.wire[1], i == 3 ? "\1" : "\0", 1), 1);
        p.target_status = ferry_move_step(p.target, &p.target_err);
        assert_int_equal(p.target_status, FERRY_MOVE_BUSY);
        assert_int_equal(ferry_move_deadline_ns(p.target), due_ns);
    }
    pair_free(&p);
}

static void refused(struct pair *p, const char *sentence)
{
    pair_start(p);
    assert_true(pair_run(p, 2000));
    assert_int_equal(p->source_status, FERRY_MOVE_FAILED);
    assert_int_equal(p->target_status, FERRY_MOVE_FAILED);
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
    assert_int_equal(p.source_status, FERRY_MOVE_FAILED);
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
    assert_int_equal(p.source_status, FERRY_MOVE_DONE);

    const struct ferry_live_source_params again = {
        .size_bytes = sizeof(again),
        .vm = p.from->vm,
        .owner = p.owner,
        .description = "",
        .version = "",
    };
    struct ferry_move *s;

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
    assert_int_equal(p.target_status, FERRY_MOVE_FAILED);
    assert_non_null(strstr(p.target_err.text, "SOON came twice"));
    assert_int_equal(p.source_status, FERRY_MOVE_FAILED);
    pair_check_one_owner(&p);
    pair_free(&p);
}

/* --- What need not go over --- */

/* The lower byte of HELLO's version: behind the header and the magic. */
#define AT_VERSION (LIVE_FRAME_HEADER_BYTES + 4 + 1)

/* A pipe whose read end visits: says whether anybody still has it. */
static int visit(struct toy *t)
{
    int fds[2];

    assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
    t->visitors[t->visitor_count++] = fds[0];
    return fds[1];
}

static bool has_reader(int fd)
{
    struct pollfd p = {.fd = fd};

    return poll(&p, 1, 0) == 0 || !(p.revents & POLLERR);
}

static void visitors_go_over_if_they_are_taken(void **state)
{
    for (int refused = 0; refused < 2; refused++) {
        struct pair p;
        int ends[2];

        pair_init(&p);
        ends[0] = visit(p.from);
        ends[1] = visit(p.from);
        p.to->refuse_visitors = refused;
        pair_start(&p);
        assert_true(pair_run(&p, 2000));
        assert_int_equal(p.source_status, FERRY_MOVE_DONE);
        assert_int_equal(p.target_status, FERRY_MOVE_DONE);
        assert_true(ferry_live_source_gives_extras(p.source));
        pair_check_one_owner(&p);
        assert_int_equal(p.to->visitor_count, refused ? 0 : 2);
        while (p.from->visitor_count)
            close(p.from->visitors[--p.from->visitor_count]);
        for (int i = 0; i < 2; i++) {
            assert_int_equal(has_reader(ends[i]), !refused);
            close(ends[i]);
        }
        pair_free(&p);
    }
}

/* Said in HELLO, as an older source would; then READY says it, as an older target would. */
static void visitors_stay_when_version_1_is_spoken(void **state)
{
    struct pair p;
    int end;

    pair_init(&p);
    end = visit(p.from);
    p.set_byte_at[PAIR_TO_TARGET] = AT_VERSION;
    p.set_byte_to[PAIR_TO_TARGET] = 1;
    pair_start(&p);
    assert_true(pair_run(&p, 2000));
    assert_int_equal(p.source_status, FERRY_MOVE_DONE);
    assert_int_equal(p.target_status, FERRY_MOVE_DONE);
    assert_false(ferry_live_source_gives_extras(p.source));
    assert_int_equal(p.to->visitor_count, 0);
    assert_int_equal(p.from->visitor_count, 1);
    assert_true(has_reader(end));
    close(end);
    pair_free(&p);
}

/* EXTRAS of so many names, all of them without a file descriptor. */
/* How many files can be open before the kernel has to make the table of them larger. */
static unsigned open_files_table(void)
{
    FILE *status = fopen("/proc/self/status", "r");
    char line[256];
    unsigned size = 0;

    assert_non_null(status);
    while (!size && fgets(line, sizeof(line), status))
        if (sscanf(line, "FDSize: %u", &size) != 1)
            size = 0;
    fclose(status);
    return size;
}

/* Larger than before, without being asked for more than a socket: so it is not made so later. */
static void there_is_room_for_fds_before_the_pause(void **state)
{
    unsigned before = open_files_table();
    struct pair p;

    assert_in_range(before, 1, LIVE_FDS_MAX - 1);
    pair_init(&p);
    pair_start(&p);
    assert_true(open_files_table() >= LIVE_FDS_MAX);
    assert_true(pair_run(&p, 2000));
    pair_check_one_owner(&p);
    pair_free(&p);
}

struct extras {
    struct pair pair;
    uint16_t count;
};

static void say_extras(void *arg, enum ferry_live_point point)
{
    static const uint8_t entry[] = {0, 1, 'v'};
    const struct extras *e = arg;
    size_t n = 2 + e->count * sizeof(entry);
    uint8_t frame[LIVE_FRAME_HEADER_BYTES + 2 + (LIVE_EXTRAS_MAX + 1) * sizeof(entry)] = {0};

    if (point != FERRY_LIVE_READY_RECEIVED)
        return;
    be32_store(frame, LIVE_TYPE_EXTRAS);
    be32_store(frame + 4, (uint32_t)n);
    be16_store(frame + LIVE_FRAME_HEADER_BYTES, e->count);
    for (size_t i = 0; i < e->count; i++)
        memcpy(frame + LIVE_FRAME_HEADER_BYTES + 2 + i * sizeof(entry), entry, sizeof(entry));
    n += LIVE_FRAME_HEADER_BYTES;
    assert_int_equal(send(e->pair.wire[1], frame, n, MSG_NOSIGNAL), n);
}

static void extras_begin(struct extras *e, uint16_t count)
{
    pair_init(&e->pair);
    e->count = count;
    e->pair.trace = say_extras;
    e->pair.trace_arg = e;
}

static void extras_are_refused(struct extras *e, const char *says)
{
    pair_start(&e->pair);
    assert_true(pair_run(&e->pair, 2000));
    assert_int_equal(e->pair.target_status, FERRY_MOVE_FAILED);
    assert_non_null(strstr(e->pair.target_err.text, says));
    assert_int_equal(e->pair.source_status, FERRY_MOVE_FAILED);
    pair_check_one_owner(&e->pair);
    pair_free(&e->pair);
}

static void extras_have_a_limit(void **state)
{
    struct extras e;

    extras_begin(&e, LIVE_EXTRAS_MAX);
    pair_start(&e.pair);
    assert_true(pair_run(&e.pair, 2000));
    assert_int_equal(e.pair.target_status, FERRY_MOVE_DONE);
    pair_check_one_owner(&e.pair);
    pair_free(&e.pair);
    extras_begin(&e, LIVE_EXTRAS_MAX + 1);
    extras_are_refused(&e, "the source names more than 256 file descriptors");
}

static void extras_are_not_known_to_version_1(void **state)
{
    struct extras e;

    extras_begin(&e, 0);
    e.pair.set_byte_at[PAIR_TO_TARGET] = AT_VERSION;
    e.pair.set_byte_to[PAIR_TO_TARGET] = 1;
    extras_are_refused(&e, "EXTRAS came in a version of the protocol that has none");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(there_is_room_for_fds_before_the_pause),
        cmocka_unit_test(guest_goes_over),
        cmocka_unit_test(paused_guest_stays_paused),
        cmocka_unit_test(many_handovers_in_a_row),
        cmocka_unit_test(soon_is_said_once),
        cmocka_unit_test(visitors_go_over_if_they_are_taken),
        cmocka_unit_test(visitors_stay_when_version_1_is_spoken),
        cmocka_unit_test(extras_have_a_limit),
        cmocka_unit_test(extras_are_not_known_to_version_1),
        cmocka_unit_test(waits_for_requests_in_flight),
        cmocka_unit_test(requests_that_never_finish_end_it),
        cmocka_unit_test(cancel_at_any_time_before_commit),
        cmocka_unit_test(target_has_no_say),
        cmocka_unit_test(other_sides_functions_abort),
        cmocka_unit_test(who_says_nothing_is_not_waited_for),
        cmocka_unit_test(target_refuses_the_machine),
        cmocka_unit_test(target_refuses_a_region_too_many),
        cmocka_unit_test(target_refuses_state),
        cmocka_unit_test(target_refuses_to_adopt),
        cmocka_unit_test(target_refuses_fds_that_differ),
        cmocka_unit_test(source_that_is_not_the_owner_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
