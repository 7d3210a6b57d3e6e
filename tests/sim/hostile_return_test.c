/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Targets that say what they must not, to a real source in each of its states: before the point of
 * no return the guest runs on and moves in a second attempt; after it, it stays paused.
 */
#include "tests/unit.h"

#include <errno.h>
#include <linux/sockios.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/own.h"
#include "tests/sim/migrate_pair.h"

#define BYTES(s) (s), sizeof(s) - 1
#define HELLO    "\x46\1\0\10\0\1\0\1\0031.1"
#define ANSWER   "\0\2\0\4FERY"
#define ACCEPT   "\x46\2\0\0"
#define LOADED   "\x46\4\0\0"
#define REFUSE   "\x46\3\0\2no"
#define READ     "\0\2\0\4\0\0\0\2" /* the round */
#define SHUT     "\0\1\0\4\0\0\0\0"
#define SHUT_BAD "\0\1\0\4\0\0\0\1"

/* Where the source is when the bytes come. */
enum stage {
    GREET,  /* it waits for the first answer */
    AGREE,  /* for ACCEPT */
    ACTIVE, /* it sends RAM, slowly */
    HOLD,   /* it is paused before the switchover */
    LOAD,   /* it waits for LOADED */
    COMMIT, /* for the guest's start */
    AWAIT,  /* for QEMU's SHUT */
};

struct row {
    const char *item; /* of docs/hostile-input.md */
    enum stage at;
    const char *bytes;
    size_t n;
    const char *says; /* NULL: it is harmless */
};

struct liar {
    struct migrate_pair pair; /* its source's side */
    int fd;
    bool reads;
};

static void step(struct liar *l)
{
    char data[65536];

    while (l->reads && recv(l->fd, data, sizeof(data), MSG_DONTWAIT) > 0)
        continue;
    l->pair.now_ns += 1000;
    if (l->pair.source_status == FERRY_MOVE_BUSY)
        l->pair.source_status = ferry_move_step(l->pair.source, &l->pair.source_err);
}

static void say(struct liar *l, const char *bytes, size_t n)
{
    assert_int_equal(send(l->fd, bytes, n, MSG_NOSIGNAL), n);
    for (int i = 0; i < 50; i++)
        step(l);
}

static bool passed(const struct liar *l, enum ferry_migrate_point point)
{
    return l->pair.points & 1u << point;
}

static void begin(struct liar *l, enum stage stage)
{
    struct ferry_migrate_source_params *params = &l->pair.source_params;
    struct ferry_chan *chan;
    struct ferry_err err;
    int fds[2];

    own_close_fd(&l->fd);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds), 0);
    l->fd = fds[0];
    assert_int_equal(ferry_chan_from_fd(&chan, &fds[1], &err), 0);
    params->peer = stage == AWAIT ? FERRY_MIGRATE_PEER_QEMU : FERRY_MIGRATE_PEER_ANY;
    params->capabilities.pause_before_switchover |= stage == HOLD;
    params->parameters.max_bandwidth_bps = stage == ACTIVE ? 1 : 0;
    assert_int_equal(ferry_migrate_source_new(&l->pair.source, params, NULL, &chan, &err), 0);
    l->pair.source_status = FERRY_MOVE_BUSY;
    l->pair.points = 0;
    l->reads = true;
    for (int i = 0; i < 50; i++)
        step(l);
}

/* Answers as a target should until the source is there. */
static void bring_to(struct liar *l, enum stage stage)
{
    struct ferry_migrate_info info = {.size_bytes = sizeof(info)};

    begin(l, stage);
    if (stage >= AGREE && stage != AWAIT)
        say(l, BYTES(HELLO ANSWER));
    if (stage >= ACTIVE && stage != AWAIT)
        say(l, BYTES(ACCEPT));
    if (stage >= HOLD)
        say(l, BYTES(READ));
    ferry_migrate_source_info(l->pair.source, &info);
    if (stage == ACTIVE)
        assert_int_equal(info.phase, FERRY_MIGRATE_ACTIVE);
    if (stage == HOLD)
        assert_int_equal(info.phase, FERRY_MIGRATE_PRE_SWITCHOVER);
    if (stage == LOAD || stage == COMMIT || stage == AWAIT)
        assert_true(passed(l, FERRY_MIGRATE_ALL_SENT));
    if (stage == COMMIT) {
        say(l, BYTES(LOADED));
        assert_true(passed(l, FERRY_MIGRATE_COMMITTED));
    }
    assert_int_equal(l->pair.source_status, FERRY_MOVE_BUSY);
}

static void liar_new(struct liar *l, uint64_t ram_bytes)
{
    migrate_pair_init_sized(&l->pair, false, ram_bytes);
    l->pair.from.scribble_pages = 8;
    for (int i = 0; i < 300; i++)
        toy_tick(&l->pair.from);
    l->fd = -1;
}

static void liar_free(struct liar *l)
{
    own_close_fd(&l->fd);
    migrate_pair_free(&l->pair);
}

/* As <ferry/migrate.h> says: before COMMIT, or QEMU's last byte, it has never left. */
static void check_stayed_and_moves(struct liar *l)
{
    migrate_pair_check_stayed(&l->pair);
    l->pair.source_params.peer = FERRY_MIGRATE_PEER_ANY;
    l->pair.source_params.capabilities.pause_before_switchover = false;
    l->pair.source_params.parameters.max_bandwidth_bps = 0;
    migrate_pair_again(&l->pair);
}

static void run_row(const struct row *row)
{
    bool back = row->at != COMMIT && row->at != AWAIT;
    static struct liar l;

    liar_new(&l, UINT64_C(16) * FERRY_PAGE_BYTES);
    bring_to(&l, row->at);
    say(&l, row->bytes, row->n);
    if (!row->says) {
        if (l.pair.source_status != FERRY_MOVE_BUSY)
            fail_msg("%s: %s", row->item, l.pair.source_err.text);
        liar_free(&l);
        return;
    }
    if (l.pair.source_status != (back ? FERRY_MOVE_FAILED : FERRY_MOVE_LOST))
        fail_msg("%s: status %d (%s)", row->item, (int)l.pair.source_status,
                 l.pair.source_err.text);
    if (!strstr(l.pair.source_err.text, row->says))
        fail_msg("%s: expected \"%s\", but \"%s\"", row->item, row->says, l.pair.source_err.text);
    if (back)
        check_stayed_and_moves(&l);
    else
        assert_false(atomic_load(&l.pair.from.running));
    liar_free(&l);
}

static void run_rows(const struct row *rows, size_t n)
{
    for (size_t i = 0; i < n; i++)
        run_row(&rows[i]);
}
#define RUN(rows) run_rows(rows, sizeof(rows) / sizeof(rows[0]))

static void test_form(void **state)
{
    static const struct row rows[] = {
        {"48 type 0", GREET, BYTES("\0\0\0\0"), "unknown type 0x0"},
        {"48 type 8", ACTIVE, BYTES("\0\10\0\0"), "unknown type 0x8"},
        {"48 type ffff", LOAD, BYTES("\xff\xff\xff\xff"), "unknown type 0xffff"},
        {"48 short SHUT", ACTIVE, BYTES("\0\1\0\3abc"), "SHUT with 3 bytes"},
        {"48 long PONG", ACTIVE, BYTES("\0\2\0\10abcdefgh"), "PONG with 8 bytes"},
        {"48 name beyond its end", ACTIVE, BYTES("\0\5\0\3\7ab"), "RECV_BITMAP with 3 bytes"},
        {"48 something behind it", ACTIVE, BYTES("\0\5\0\4\1abc"), "RECV_BITMAP with 4 bytes"},
        {"48 long LEDGER", ACTIVE, BYTES("\x46\5\xff\xff"), "FERRY_LEDGER with 65535 bytes"},
        {"48 long REFUSE", AGREE, BYTES("\x46\3\xff\xff"), "FERRY_REFUSE with 65535 bytes"},
        {"48 nothing in HELLO", GREET, BYTES("\x46\1\0\0"), "FERRY_HELLO with 0 bytes"},
        {"48 words that draw", AGREE, BYTES("\x46\3\0\6\33[2Jno"), "the target refused: ?[2Jno"},
    };

    RUN(rows);
}

static void test_requests_of_postcopy(void **state)
{
    static const struct row rows[] = {
        {"49 REQ_PAGES", ACTIVE, BYTES("\0\4\0\14\0\0\0\0\0\0\x10\0\0\0\x10\0"),
         "a message that is not for it came to the source while sending RAM"},
        {"49 REQ_PAGES_ID", LOAD, BYTES("\0\3\0\16\0\0\0\0\0\0\0\0\0\0\0\0\1x"),
         "a message that is not for it"},
        {"49 in the end", AWAIT, BYTES("\0\4\0\14\0\0\0\0\0\0\x10\0\0\0\x10\0"),
         "the target may run the guest"},
        {"50 RECV_BITMAP", ACTIVE, BYTES("\0\5\0\2\1x"), "a message that is not for it"},
        {"51 RESUME_ACK", ACTIVE, BYTES("\0\6\0\4\0\0\0\1"), "a message that is not for it"},
        {"51 its value", ACTIVE, BYTES("\0\6\0\4\0\0\0\2"), "RESUME_ACK says 2"},
    };

    RUN(rows);
}

static void test_out_of_turn(void **state)
{
    static const struct row rows[] = {
        {"51 SWITCHOVER_ACK", ACTIVE, BYTES("\0\7\0\0"), NULL},
        {"51 a PONG nobody asked for", ACTIVE, BYTES("\0\2\0\4\0\0\0\x63"), NULL},
        {"51 the answer once more", ACTIVE, BYTES(ANSWER), NULL},
        {"51 and in the pause", LOAD, BYTES(ANSWER ANSWER), NULL},
        {"51 HELLO twice", AGREE, BYTES(HELLO), "HELLO came to the source"},
        {"51 newer HELLO", GREET, BYTES("\x46\1\0\10\0\7\0\6\0037.0"), "speaks protocols 6 to 7"},
        {"51 ACCEPT before HELLO", GREET, BYTES(ACCEPT), "ACCEPT came to the source"},
        {"51 ACCEPT twice", ACTIVE, BYTES(ACCEPT), "ACCEPT came to the source"},
        {"51 LOADED while RAM moves", ACTIVE, BYTES(LOADED), "LOADED came to the source"},
        {"51 LOADED while it holds", HOLD, BYTES(LOADED), "LOADED came to the source"},
        {"51 LOADED twice", COMMIT, BYTES(LOADED), "the target may run the guest"},
        {"51 SHUT as a greeting", GREET, BYTES(SHUT), "SHUT came to the source"},
        {"51 SHUT while RAM moves", ACTIVE, BYTES(SHUT), "SHUT came to the source"},
        {"51 SHUT without COMMIT", LOAD, BYTES(SHUT), "says that the guest has started"},
        {"51 SHUT of a failure", ACTIVE, BYTES(SHUT_BAD), "could not load the guest"},
    };

    RUN(rows);
}

/* What needs more room than the kernel has for who does not read. */
static void dirty_much(struct liar *l)
{
    for (uint64_t page = 1; page < 900; page++) {
        memset(ferry_ram_host(l->pair.from.region) + page * FERRY_PAGE_BYTES, 0x77, 64);
        ferry_ram_mark_dirty(l->pair.from.region, page);
    }
}

/* Not everything was sent: nobody can have it, whatever they say. */
static void test_what_nobody_can_have(void **state)
{
    static struct liar l;

    for (int qemu = 0; qemu < 2; qemu++) {
        struct ferry_err err;

        liar_new(&l, TOY_RAM_BYTES);
        l.pair.source_params.capabilities.pause_before_switchover = true;
        begin(&l, qemu ? AWAIT : HOLD);
        if (!qemu)
            say(&l, BYTES(HELLO ANSWER ACCEPT));
        say(&l, BYTES(READ));
        dirty_much(&l);
        l.reads = false;
        assert_int_equal(ferry_migrate_source_proceed(l.pair.source, &err), 0);
        if (qemu)
            say(&l, BYTES(SHUT));
        else
            say(&l, BYTES(LOADED));
        assert_false(passed(&l, FERRY_MIGRATE_ALL_SENT));
        assert_false(passed(&l, FERRY_MIGRATE_COMMITTED));
        assert_int_equal(l.pair.source_status, FERRY_MOVE_BUSY);
        /* Afterwards it counts. */
        l.reads = true;
        for (int i = 0; i < 200; i++)
            step(&l);
        assert_true(passed(&l, FERRY_MIGRATE_ALL_SENT));
        if (qemu)
            assert_int_equal(l.pair.source_status, FERRY_MOVE_DONE);
        else
            assert_true(passed(&l, FERRY_MIGRATE_COMMITTED));
        liar_free(&l);
    }
}

/* 58: nothing comes from it, or it takes nothing. */
static void wait_s(struct liar *l, int seconds)
{
    for (int i = 0; i < seconds * 10; i++) {
        l->pair.now_ns += INT64_C(100000000);
        step(l);
    }
}

static void test_silence(void **state)
{
    static const struct {
        enum stage at;
        int seconds; /* are not too long, twice as many are */
        const char *says;
    } silences[] = {
        {GREET, 29, "within 30000 ms while the source was waiting for the target's first answer"},
        {AGREE, 29, "within 30000 ms while the source was waiting for the target's consent"},
        {LOAD, 9, "within 10000 ms while the source was waiting for LOADED"},
        {COMMIT, 9, "within 10000 ms while the source was waiting for the guest's start"},
        {AWAIT, 29, "within 30000 ms while the source was waiting for QEMU's SHUT"},
        {HOLD, 5000, NULL}, /* it is the operator's turn */
    };
    static struct liar l;

    for (size_t i = 0; i < sizeof(silences) / sizeof(silences[0]); i++) {
        enum stage at = silences[i].at;

        liar_new(&l, UINT64_C(16) * FERRY_PAGE_BYTES);
        bring_to(&l, at);
        wait_s(&l, silences[i].seconds);
        assert_int_equal(l.pair.source_status, FERRY_MOVE_BUSY);
        if (silences[i].says) {
            wait_s(&l, silences[i].seconds);
            if (l.pair.source_status == FERRY_MOVE_BUSY ||
                !strstr(l.pair.source_err.text, silences[i].says))
                fail_msg("expected \"%s\", but \"%s\"", silences[i].says, l.pair.source_err.text);
            if (at == COMMIT || at == AWAIT)
                assert_int_equal(l.pair.source_status, FERRY_MOVE_LOST);
            else
                check_stayed_and_moves(&l);
        }
        liar_free(&l);
    }
}

/* RAM begins, and it takes nothing. */
static void accept_and_stop(struct liar *l)
{
    liar_new(l, TOY_RAM_BYTES);
    dirty_much(l);
    begin(l, GREET);
    say(l, BYTES(HELLO ANSWER));
    l->reads = false;
    say(l, BYTES(ACCEPT));
}

static void test_takes_nothing_while_RAM_moves(void **state)
{
    static struct liar l;

    accept_and_stop(&l);
    wait_s(&l, 59);
    assert_int_equal(l.pair.source_status, FERRY_MOVE_BUSY);
    wait_s(&l, 2);
    assert_int_equal(l.pair.source_status, FERRY_MOVE_FAILED);
    assert_string_equal(l.pair.source_err.text,
                        "the target took nothing for 60000 ms while the source was sending RAM");
    check_stayed_and_moves(&l);
    liar_free(&l);
}

/* What it took last was noticed by nobody then: nothing else happens in this process. */
static void test_time_counts_from_the_last_progress(void **state)
{
    static struct liar l;
    char data[65536];
    int64_t taken_ns;

    accept_and_stop(&l);
    wait_s(&l, 1);
    l.pair.now_ns += INT64_C(1000000);
    assert_true(recv(l.fd, data, sizeof(data), MSG_DONTWAIT) > 0);
    taken_ns = l.pair.now_ns;
    /* As a loop does that has nothing else: from one deadline to the next. */
    while (l.pair.source_status == FERRY_MOVE_BUSY &&
           l.pair.now_ns < taken_ns + INT64_C(200) * 1000000000) {
        int64_t due_ns = ferry_move_deadline_ns(l.pair.source);

        if (due_ns > l.pair.now_ns)
            l.pair.now_ns = due_ns;
        step(&l);
    }
    assert_int_equal(l.pair.source_status, FERRY_MOVE_FAILED);
    assert_in_range(l.pair.now_ns - taken_ns, INT64_C(59) * 1000000000, INT64_C(63) * 1000000000);
    liar_free(&l);
}

/* A little now and then is enough, and who may send little need not send more. */
static void test_is_slow_while_RAM_moves(void **state)
{
    static struct liar l;
    char data[65536];

    accept_and_stop(&l);
    for (int i = 0; i < 20; i++) {
        wait_s(&l, 50);
        assert_int_equal(l.pair.source_status, FERRY_MOVE_BUSY);
        assert_true(recv(l.fd, data, sizeof(data), MSG_DONTWAIT) > 0);
    }
    liar_free(&l);
    liar_new(&l, TOY_RAM_BYTES);
    dirty_much(&l);
    bring_to(&l, ACTIVE);
    wait_s(&l, 5000);
    assert_int_equal(l.pair.source_status, FERRY_MOVE_BUSY);
    liar_free(&l);
}

/* QEMU says SHUT with a failure when it knows that it does not run the guest. */
static void test_qemu_gives_up(void **state)
{
    static struct liar l;

    liar_new(&l, UINT64_C(16) * FERRY_PAGE_BYTES);
    bring_to(&l, AWAIT);
    say(&l, BYTES(SHUT_BAD));
    assert_int_equal(l.pair.source_status, FERRY_MOVE_FAILED);
    check_stayed_and_moves(&l);
    liar_free(&l);
}

/*
 * So does ferry by REFUSE: when COMMIT did not come in time, or came and could not be followed.
 * LOADED makes this side send COMMIT; what follows it was said before that could arrive, or after.
 */
static void test_refuses_behind_LOADED(void **state)
{
    static struct liar l;

    for (int at_once = 0; at_once < 2; at_once++) {
        liar_new(&l, UINT64_C(16) * FERRY_PAGE_BYTES);
        bring_to(&l, at_once ? LOAD : COMMIT);
        if (at_once)
            say(&l, BYTES(LOADED REFUSE));
        else
            say(&l, BYTES(REFUSE));
        assert_true(passed(&l, FERRY_MIGRATE_COMMITTED));
        assert_int_equal(l.pair.source_status, FERRY_MOVE_FAILED);
        assert_string_equal(l.pair.source_err.text, "the target refused: no");
        check_stayed_and_moves(&l);
        liar_free(&l);
    }
}

/* Its end alone says nothing of that, nor does a refusal behind the guest's start. */
static void test_says_nothing_behind_LOADED(void **state)
{
    static struct liar l;

    liar_new(&l, UINT64_C(16) * FERRY_PAGE_BYTES);
    bring_to(&l, COMMIT);
    own_close_fd(&l.fd);
    l.reads = false;
    for (int i = 0; i < 50; i++)
        step(&l);
    assert_int_equal(l.pair.source_status, FERRY_MOVE_LOST);
    assert_non_null(strstr(l.pair.source_err.text, "the target may run the guest"));
    assert_false(atomic_load(&l.pair.from.running));
    liar_free(&l);

    liar_new(&l, UINT64_C(16) * FERRY_PAGE_BYTES);
    bring_to(&l, COMMIT);
    say(&l, BYTES(SHUT REFUSE));
    assert_int_equal(l.pair.source_status, FERRY_MOVE_DONE);
    assert_false(atomic_load(&l.pair.from.running));
    liar_free(&l);
}

/* 46: the other way round. */
static void test_pongs_without_end(void **state)
{
    static struct liar l;

    liar_new(&l, UINT64_C(16) * FERRY_PAGE_BYTES);
    bring_to(&l, ACTIVE);
    for (int i = 0; i < 5000; i++) {
        assert_int_equal(send(l.fd, BYTES("\0\2\0\4\0\0\0\x63"), MSG_NOSIGNAL), 8);
        step(&l);
    }
    assert_int_equal(l.pair.source_status, FERRY_MOVE_BUSY);
    liar_free(&l);
}

/* The target has always said more than is read in a turn: as much as the kernel takes. */
static void step_under_flood(struct liar *l)
{
    static char pongs[65536];
    int queued_bytes = 0;

    for (size_t i = 0; i < sizeof(pongs); i += 8)
        memcpy(pongs + i, "\0\2\0\4\0\0\0\x63", 8);
    while (send(l->fd, pongs, sizeof(pongs), MSG_NOSIGNAL | MSG_DONTWAIT) > 0)
        continue;
    step(l);
    assert_int_equal(ioctl(l->fd, SIOCOUTQ, &queued_bytes), 0);
    /* Or it would read for as long as somebody writes. */
    if (l->pair.source_status == FERRY_MOVE_BUSY)
        assert_true(queued_bytes > 0);
}

/*
 * A step ends although the answers do not, and what they say is no progress: the deadline of each
 * state holds.
 */
static void test_answers_without_end(void **state)
{
    static const struct {
        enum stage at;
        int64_t limit_s;
    } rows[] = {{GREET, 30}, {AGREE, 30}, {LOAD, 10}, {COMMIT, 10}, {AWAIT, 30}, {HOLD, 0}};
    static struct liar l;

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        enum stage at = rows[i].at;
        bool doubt = at == COMMIT || at == AWAIT;
        struct ferry_err err;

        liar_new(&l, UINT64_C(16) * FERRY_PAGE_BYTES);
        bring_to(&l, at);
        for (int n = 0; n < 20; n++)
            step_under_flood(&l);
        assert_int_equal(l.pair.source_status, FERRY_MOVE_BUSY);
        if (at == HOLD)
            assert_int_equal(ferry_move_cancel(l.pair.source, &err), 0);
        l.pair.now_ns += rows[i].limit_s * INT64_C(1000000000);
        for (int n = 0; n < 20; n++)
            step_under_flood(&l);
        assert_int_equal(l.pair.source_status, doubt ? FERRY_MOVE_LOST : FERRY_MOVE_FAILED);
        if (!doubt)
            check_stayed_and_moves(&l);
        liar_free(&l);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_form),
        cmocka_unit_test(test_requests_of_postcopy),
        cmocka_unit_test(test_out_of_turn),
        cmocka_unit_test(test_what_nobody_can_have),
        cmocka_unit_test(test_silence),
        cmocka_unit_test(test_takes_nothing_while_RAM_moves),
        cmocka_unit_test(test_time_counts_from_the_last_progress),
        cmocka_unit_test(test_is_slow_while_RAM_moves),
        cmocka_unit_test(test_qemu_gives_up),
        cmocka_unit_test(test_refuses_behind_LOADED),
        cmocka_unit_test(test_says_nothing_behind_LOADED),
        cmocka_unit_test(test_pongs_without_end),
        cmocka_unit_test(test_answers_without_end),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
