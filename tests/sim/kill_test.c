/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Source and target as real processes, killed or stopped at every named point. Afterwards exactly
 * one of them runs the guest, or none where the guest died with the process that ran it; never
 * both, and never an old state.
 *
 * The guest's memory is the witness: who ticks now, how often the runner changed (two at once
 * would change it thousands of times), whether RAM and register agree.
 */
#include "tests/unit.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/own.h"
#include "tests/sim/toy.h"

#define MS INT64_C(1000000)

enum side { SOURCE = 0, TARGET = 1 };
enum deed { NOTHING = 0, DIE, STOP, OUTLIVE /* stop, and wake up when the other is dead */ };
enum fate { BUSY = 0, RUNS, GAVE_UP, GUEST_LOST, DEAD };

/* Shared by the test and both processes. */
struct board {
    enum side side; /* of the deed */
    enum deed deed;
    enum ferry_live_point point;
    int64_t prepare_timeout_ns, pause_timeout_ns;
    _Atomic int fate[2]; /* as each process sees it; DEAD is the test's finding */
    _Atomic uint64_t ticks[2];
    _Atomic uint32_t switches, broken;
    char sentence[2][FERRY_ERR_TEXT_BYTES];
};

struct actor {
    struct board *board;
    enum side side;
    struct toy toy;
};

static void act(void *opaque, enum ferry_live_point point)
{
    struct actor *a = opaque;
    struct board *b = a->board;

    if (b->side == a->side && b->point == point && b->deed != NOTHING)
        raise(b->deed == DIE ? SIGKILL : SIGSTOP);
}

static const char *deed_name(enum deed deed)
{
    return deed == DIE ? "death" : deed == STOP ? "stop" : "stop and death of the other";
}

/* The target's opaque is the actor; the toy wants itself. */
static int build(void *opaque, struct ferry_move *t, const char *description, struct ferry_vm **ret,
                 struct ferry_err *err)
{
    return toy_build(&((struct actor *)opaque)->toy, t, description, ret, err);
}

static void wait_for(int fd, short events, int64_t deadline_ns)
{
    struct pollfd p = {.fd = fd, .events = events};
    int64_t left_ns = deadline_ns - clock_monotonic_ns();
    struct timespec ts = {0};

    if (left_ns > 10 * MS)
        left_ns = 10 * MS;
    if (left_ns > 0)
        ts.tv_nsec = left_ns;
    ppoll(&p, 1, &ts, NULL);
}

static void report(struct actor *a)
{
    struct toy *t = &a->toy;

    if (!t->memory)
        return;
    a->board->switches = atomic_load(&t->memory->switches);
    a->board->broken |= atomic_load(&t->memory->broken);
    if (atomic_load(&t->running))
        a->board->ticks[a->side] = atomic_load(&t->memory->ticks);
}

/* What a process does with the rest of its life: run its guest, if it has one. */
static void live_on(struct actor *a, int fate)
{
    a->board->fate[a->side] = fate;
    for (;;) {
        const struct timespec nap = {.tv_nsec = MS};

        report(a);
        nanosleep(&nap, NULL);
    }
}

static void be_source(struct actor *a, int fd)
{
    struct ferry_owner *owner;
    struct ferry_move *s;
    struct ferry_err err;
    enum ferry_move_status status = FERRY_MOVE_BUSY;

    a->toy.id = 1;
    a->toy.threaded = true;
    toy_fresh(&a->toy);
    if (ferry_owner_new(&owner, &err) < 0)
        _exit(1);

    const struct ferry_live_source_params params = {
        .size_bytes = sizeof(params),
        .vm = a->toy.vm,
        .owner = owner,
        .description = TOY_DESCRIPTION,
        .version = "1.0",
        .running = true,
        .prepare_timeout_ns = a->board->prepare_timeout_ns,
        .pause_timeout_ns = a->board->pause_timeout_ns,
        .trace = act,
        .opaque = a,
    };

    if (ferry_live_source_new(&s, &params, &fd, &err) < 0)
        _exit(1);
    while (status == FERRY_MOVE_BUSY) {
        wait_for(ferry_move_fd(s), ferry_move_events(s), ferry_move_deadline_ns(s));
        status = ferry_move_step(s, &err);
        report(a);
    }
    if (status != FERRY_MOVE_DONE)
        memcpy(a->board->sentence[SOURCE], err.text, sizeof(err.text));
    ferry_move_free(s);
    live_on(a, status == FERRY_MOVE_DONE     ? GAVE_UP
               : status == FERRY_MOVE_FAILED ? RUNS
                                             : GUEST_LOST);
}

static void be_target(struct actor *a, int fd)
{
    struct ferry_move *t;
    struct ferry_owner *owner;
    struct ferry_err err;
    enum ferry_move_status status = FERRY_MOVE_BUSY;
    const struct ferry_live_target_params params = {
        .size_bytes = sizeof(params),
        .version = "1.0",
        .build = build,
        .trace = act,
        .opaque = a,
    };

    a->toy.id = 2;
    a->toy.threaded = true;
    if (ferry_live_target_new(&t, &params, &fd, &err) < 0)
        _exit(1);
    while (status == FERRY_MOVE_BUSY) {
        wait_for(ferry_move_fd(t), ferry_move_events(t), ferry_move_deadline_ns(t));
        status = ferry_move_step(t, &err);
    }
    if (status != FERRY_MOVE_DONE)
        memcpy(a->board->sentence[TARGET], err.text, sizeof(err.text));
    owner = ferry_live_target_take_owner(t);
    (void)owner; /* the process's for life */
    ferry_move_free(t);
    live_on(a, status == FERRY_MOVE_DONE ? RUNS : GAVE_UP);
}

struct play {
    struct board *board;
    pid_t pid[2];
};

static void play_start(struct play *p)
{
    int fds[2];

    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
    for (int side = 0; side < 2; side++) {
        p->pid[side] = fork();
        assert_true(p->pid[side] >= 0);
        if (p->pid[side] == 0) {
            struct actor a = {.board = p->board, .side = (enum side)side};

            close(fds[!side]);
            (side == SOURCE ? be_source : be_target)(&a, fds[side]);
            _exit(1);
        }
    }
    close(fds[0]);
    close(fds[1]);
}

/* Until both have a fate; a stopped one is woken up when the other has one, or cannot get one. */
static void play_watch(struct play *p)
{
    int64_t end_ns = clock_monotonic_ns() + 20000 * MS, wake_ns = INT64_MAX;

    while (clock_monotonic_ns() < end_ns) {
        const struct timespec nap = {.tv_nsec = MS};
        bool settled = true;

        for (int side = 0; side < 2; side++) {
            int status;

            if (p->board->fate[side] != DEAD &&
                waitpid(p->pid[side], &status, WNOHANG | WUNTRACED) == p->pid[side]) {
                if (!WIFSTOPPED(status))
                    p->board->fate[side] = DEAD;
                else
                    wake_ns = clock_monotonic_ns() + 1500 * MS;
            }
            settled &= p->board->fate[side] != BUSY;
        }
        if (wake_ns != INT64_MAX &&
            (p->board->fate[!p->board->side] != BUSY || clock_monotonic_ns() >= wake_ns)) {
            if (p->board->deed == OUTLIVE) {
                kill(p->pid[!p->board->side], SIGKILL);
                waitpid(p->pid[!p->board->side], NULL, 0);
                p->board->fate[!p->board->side] = DEAD;
            }
            kill(p->pid[p->board->side], SIGCONT);
            wake_ns = INT64_MAX;
        }
        if (settled && wake_ns == INT64_MAX)
            return;
        nanosleep(&nap, NULL);
    }
    fail_msg("%s at %s of the %s: no end within 20 s (source %d, target %d)",
             deed_name(p->board->deed), ferry_live_point_name(p->board->point),
             p->board->side == SOURCE ? "source" : "target", p->board->fate[0], p->board->fate[1]);
}

/* One that believes that it runs may be short of processor time. */
static bool ticks_now(struct play *p, enum side side)
{
    uint64_t before = p->board->ticks[side];
    int64_t patience = p->board->fate[side] == RUNS ? 3000 : 30;
    int64_t end_ns = clock_monotonic_ns() + patience * MS;
    const struct timespec nap = {.tv_nsec = MS};

    while (clock_monotonic_ns() < end_ns && p->board->ticks[side] == before)
        nanosleep(&nap, NULL);
    return p->board->ticks[side] != before;
}

static void play_end(struct play *p)
{
    for (int side = 0; side < 2; side++)
        if (p->board->fate[side] != DEAD) {
            kill(p->pid[side], SIGKILL);
            waitpid(p->pid[side], NULL, 0);
        }
}

/* Who ticks at the end. NOBODY: the guest died with the process that ran it. */
enum { NOBODY = -1, EITHER = 2 };

static void expect(enum side side, enum deed deed, enum ferry_live_point point, int runner)
{
    struct play p;
    bool ticks[2];

    p.board =
        mmap(NULL, sizeof(*p.board), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_true(p.board != MAP_FAILED);
    p.board->side = side;
    p.board->deed = deed;
    p.board->point = point;
    /* Who hangs is waited for; a busy machine that is merely slow must not look like one. */
    p.board->prepare_timeout_ns =
        (deed == STOP || deed == OUTLIVE) && (side == SOURCE || point < FERRY_LIVE_READY_SENT)
            ? 1000 * MS
            : 10000 * MS;
    p.board->pause_timeout_ns = deed == STOP || deed == OUTLIVE ? 300 * MS : 10000 * MS;
    play_start(&p);
    play_watch(&p);
    for (int s = 0; s < 2; s++)
        ticks[s] = ticks_now(&p, (enum side)s);
    play_end(&p);
    if (runner == EITHER && ticks[0] != ticks[1])
        runner = ticks[0] ? SOURCE : TARGET;
    if (ticks[0] != (runner == SOURCE) || ticks[1] != (runner == TARGET) || p.board->broken ||
        p.board->switches > 1)
        fail_msg("%s at %s of the %s: source %s (fate %d: %s), target %s (fate %d: %s), "
                 "expected runner %d; guest %s, runner changed %u times",
                 deed_name(deed), ferry_live_point_name(point),
                 side == SOURCE ? "source" : "target", ticks[0] ? "runs" : "does not run",
                 p.board->fate[0], p.board->sentence[0], ticks[1] ? "runs" : "does not run",
                 p.board->fate[1], p.board->sentence[1], runner,
                 p.board->broken ? "BROKEN" : "intact", p.board->switches);
    if (runner == NOBODY && side == TARGET && deed == DIE)
        assert_int_equal(p.board->fate[SOURCE], GUEST_LOST);
    munmap(p.board, sizeof(*p.board));
}

static void nobody_dies(void **state)
{
    expect(SOURCE, NOTHING, FERRY_LIVE_HELLO_SENT, TARGET);
}

/* Until STATE has left, the guest's registers exist in the source alone: it dies as with any VMM.
 */
static void source_dies(void **state)
{
    for (int point = FERRY_LIVE_HELLO_SENT; point <= FERRY_LIVE_SAVED; point++)
        expect(SOURCE, DIE, (enum ferry_live_point)point, NOBODY);
    for (int point = FERRY_LIVE_STATE_SENT; point <= FERRY_LIVE_RUNNING_RECEIVED; point++)
        expect(SOURCE, DIE, (enum ferry_live_point)point, TARGET);
}

/* Until it has counted the start, the target's death is a failed update; after, a VMM's death. */
static void target_dies(void **state)
{
    for (int point = FERRY_LIVE_HELLO_RECEIVED; point <= FERRY_LIVE_LOCK_TAKEN; point++)
        expect(TARGET, DIE, (enum ferry_live_point)point, SOURCE);
    expect(TARGET, DIE, FERRY_LIVE_STARTED, NOBODY);
}

/* Longer than every deadline; then they go on with what they believe. */
static void source_sleeps(void **state)
{
    for (int point = FERRY_LIVE_READY_RECEIVED; point <= FERRY_LIVE_QUIESCED; point++)
        expect(SOURCE, STOP, (enum ferry_live_point)point, TARGET);
    /* Awake again in the pause, the deadline is over, but a target may be quick ... */
    for (int point = FERRY_LIVE_HARTS_STOPPED; point <= FERRY_LIVE_SAVED; point++)
        expect(SOURCE, STOP, (enum ferry_live_point)point, EITHER);
    /* ... and the answer that has come counts, not the clock. */
    for (int point = FERRY_LIVE_STATE_SENT; point <= FERRY_LIVE_RUNNING_RECEIVED; point++)
        expect(SOURCE, STOP, (enum ferry_live_point)point, TARGET);
}

static void target_sleeps(void **state)
{
    for (int point = FERRY_LIVE_HELLO_RECEIVED; point <= FERRY_LIVE_COMMIT_RECEIVED; point++)
        expect(TARGET, STOP, (enum ferry_live_point)point, SOURCE);
    /* It has the lock: the source waits for what it does with it. */
    expect(TARGET, STOP, FERRY_LIVE_LOCK_TAKEN, TARGET);
    expect(TARGET, STOP, FERRY_LIVE_STARTED, TARGET);
}

/* Its state is old: the guest went on in the source, which is dead now and cannot say so. */
static void target_outlives_a_source_that_went_on(void **state)
{
    for (int point = FERRY_LIVE_READY_SENT; point <= FERRY_LIVE_COMMIT_RECEIVED; point++)
        expect(TARGET, OUTLIVE, (enum ferry_live_point)point, NOBODY);
}

/* The target died without having started; or after it ran, and then the guest is lost. */
static void source_outlives_the_target(void **state)
{
    expect(SOURCE, OUTLIVE, FERRY_LIVE_STATE_SENT, SOURCE);
    expect(SOURCE, OUTLIVE, FERRY_LIVE_LOADED_RECEIVED, SOURCE);
    expect(SOURCE, OUTLIVE, FERRY_LIVE_LOCK_RELEASED, SOURCE);
    expect(SOURCE, OUTLIVE, FERRY_LIVE_RUNNING_RECEIVED, NOBODY);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nobody_dies),
        cmocka_unit_test(source_dies),
        cmocka_unit_test(target_dies),
        cmocka_unit_test(source_sleeps),
        cmocka_unit_test(target_sleeps),
        cmocka_unit_test(target_outlives_a_source_that_went_on),
        cmocka_unit_test(source_outlives_the_target),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
