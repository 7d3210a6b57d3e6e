/* SPDX-License-Identifier: Apache-2.0 */
/* Several on one chardev: who hears what is typed, and what a flood or a handover leaves of it. */
#include "tests/unit.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/buf.h"
#include "tests/vmm/backend/chardev_user.h"
#include "vmm/backend/chardev_mux.h"
#include "vmm/backend/timestamps.h"

#define SEATS     3
#define GOT_BYTES (2 * MUX_QUEUE_BYTES + 1)

/* Who has a place: notes what it hears, in the order in which it does. */
struct seat {
    struct chardev *place;
    size_t room;
    char got[GOT_BYTES];
    size_t got_bytes;
    int writables;
};

/* A mux on a socket, and who is connected to it. */
struct rig {
    struct user *u;
    struct mux *mux;
    struct seat seats[SEATS];
    int fd;
};

static void note(struct seat *s, const void *data, size_t n)
{
    assert_true(s->got_bytes + n < sizeof(s->got));
    memcpy(s->got + s->got_bytes, data, n);
    s->got_bytes += n;
    s->got[s->got_bytes] = '\0';
}

static size_t seat_can_receive(void *arg)
{
    return ((struct seat *)arg)->room;
}

static void seat_receive(void *arg, const uint8_t *data, size_t n)
{
    struct seat *s = arg;

    assert_true(n <= s->room);
    s->room -= n;
    note(s, data, n);
}

static void seat_writable(void *arg)
{
    ((struct seat *)arg)->writables++;
}

static void seat_event(void *arg, enum chardev_event event)
{
    static const char *const names[] = {[CHARDEV_OPENED] = "<open>",
                                        [CHARDEV_CLOSED] = "<close>",
                                        [CHARDEV_BREAK] = "<break>",
                                        [CHARDEV_MUX_IN] = "<in>",
                                        [CHARDEV_MUX_OUT] = "<out>"};

    note(arg, names[event], strlen(names[event]));
}

static const struct chardev_frontend seat_frontend = {
    .can_receive = seat_can_receive,
    .receive = seat_receive,
    .writable = seat_writable,
    .event = seat_event,
};

static void quit(void *arg)
{
    ((struct user *)arg)->quits++;
}

static void rig_begin(struct rig *r, struct user *u)
{
    struct mux_params params = {
        .loop = u->loop, .places = SEATS, .focus = 0, .quit = quit, .arg = u};
    struct config_chardev config;
    struct ferry_err err;
    char path[96];

    *r = (struct rig){.u = u, .fd = -1};
    temp_path(path, sizeof(path), "mux");
    config = socket_config(path);
    user_new(u, &config, false);
    params.line = u->chardev;
    assert_int_equal(mux_new(&r->mux, &params, &err), 0);
    for (size_t i = 0; i < SEATS; i++) {
        r->seats[i].place = mux_place(r->mux, i);
        r->seats[i].room = GOT_BYTES;
        assert_int_equal(
            chardev_set_frontend(r->seats[i].place, &seat_frontend, &r->seats[i], &err), 0);
    }
}

static void turn(struct rig *r)
{
    user_turn(r->u, SHORT_NS);
}

static void resume(struct rig *r)
{
    struct ferry_part line = chardev_part(r->u->chardev), mux = mux_part(r->mux);

    line.ops->resume(line.obj);
    mux.ops->resume(mux.obj);
    turn(r);
}

/* Somebody is connected. */
static void rig_start(struct rig *r, struct user *u)
{
    rig_begin(r, u);
    user_open(u);
    resume(r);
    r->fd = connect_to(u->path);
    turn(r);
    assert_string_equal(r->seats[0].got, "<open>");
    memset(r->seats[0].got, 0, sizeof(r->seats[0].got));
    r->seats[0].got_bytes = 0;
}

static void rig_free(struct rig *r)
{
    mux_free(r->mux);
    chardev_free(r->u->chardev);
    r->u->chardev = NULL;
}

static void rig_end(struct rig *r)
{
    close(r->fd);
    rig_free(r);
    turn(r);
}

static void type(struct rig *r, const char *keys, size_t n)
{
    assert_int_equal(send(r->fd, keys, n, MSG_NOSIGNAL), n);
    turn(r);
}

#define TYPE(r, keys) type(r, keys, sizeof(keys) - 1)

static void hears(const struct rig *r, size_t seat, const char *what)
{
    assert_string_equal(r->seats[seat].got, what);
}

static const char keys[] = "a\x01"
                           "cb\x01\x01\x01"
                           "cd\x01"
                           "ze\x01"
                           "cf\x01"
                           "bg";

static void hears_keys(const struct rig *r)
{
    hears(r, 0, "a<out><in>f<break>g");
    hears(r, 1, "<in>b\x01<out>");
    hears(r, 2, "<in>de<out>");
}

static void the_one_in_focus_hears_what_is_typed(void **state)
{
    struct rig *r = test_malloc(sizeof(*r));

    for (size_t cut = 0; cut < sizeof(keys); cut++) {
        rig_start(r, *state);
        type(r, keys, cut);
        type(r, keys + cut, sizeof(keys) - 1 - cut);
        hears_keys(r);
        rig_end(r);
    }
    test_free(r);
}

/* A monitor answers before the machine is there; what is typed for that waits. */
static void one_place_runs_before_the_others(void **state)
{
    struct rig *r = test_malloc(sizeof(*r));
    struct ferry_part monitor;

    rig_begin(r, *state);
    user_open(r->u);
    monitor = chardev_part(r->seats[1].place);
    monitor.ops->resume(monitor.obj);
    turn(r);
    r->fd = connect_to(r->u->path);
    TYPE(r, "a\x01"
            "cb");
    hears(r, 1, "<in>b");
    hears(r, 0, "<open><out>");
    resume(r);
    hears(r, 0, "<open><out>a");
    rig_end(r);
    test_free(r);
}

static void ctrl_a_is_heard_while_a_guest_does_not_read(void **state)
{
    struct rig *r = test_malloc(sizeof(*r));
    char *text = test_malloc(MUX_QUEUE_BYTES);

    memset(text, 'x', MUX_QUEUE_BYTES);
    rig_start(r, *state);
    r->seats[0].room = 0;
    type(r, text, MUX_QUEUE_BYTES - 1);
    TYPE(r, "\x01"
            "czz\x01"
            "cmore\x01"
            "c");
    hears(r, 1, "<in>zz<out>");
    hears(r, 2, "<in>more<out>");
    /* The guest is in focus again, and full: what follows waits for it, and is not lost. */
    TYPE(r, "y\x01"
            "ca");
    hears(r, 1, "<in>zz<out>");
    r->seats[0].room = 1;
    chardev_input_ready(r->seats[0].place);
    turn(r);
    hears(r, 1, "<in>zz<out><in>a");
    r->seats[0].room = GOT_BYTES;
    chardev_input_ready(r->seats[0].place);
    turn(r);
    assert_int_equal(r->seats[0].got_bytes, strlen("<out><in>x<out>") + MUX_QUEUE_BYTES - 1);
    assert_int_equal(r->seats[0].got[r->seats[0].got_bytes - 1], 'y');
    rig_end(r);
    test_free(text);
    test_free(r);
}

static void what_nobody_takes_stays_in_the_kernel(void **state)
{
    struct rig *r = test_malloc(sizeof(*r));
    size_t sent = 0;
    char text[1000];

    rig_start(r, *state);
    r->seats[0].room = 0;
    for (size_t i = 0; i < sizeof(text); i++)
        text[i] = (char)('A' + i % 26);
    while (send(r->fd, text, sizeof(text), MSG_DONTWAIT | MSG_NOSIGNAL) == sizeof(text)) {
        sent += sizeof(text);
        turn(r);
        assert_true(sent < 8u << 20);
    }
    /* Bounded, and none of it is lost. */
    for (size_t heard = 0; heard < MUX_QUEUE_BYTES + 5000; heard += 100) {
        r->seats[0].got_bytes = 0;
        r->seats[0].room = 100;
        chardev_input_ready(r->seats[0].place);
        user_turn(r->u, 1000000);
        assert_int_equal(r->seats[0].got_bytes, 100);
        assert_memory_equal(r->seats[0].got, text + heard % 1000, 100);
    }
    rig_end(r);
    test_free(r);
}

static void a_flood_keeps_nobody_from_being_heard(void **state)
{
    struct rig *r = test_malloc(sizeof(*r));
    char flood[4096], got[4096];
    size_t said = 0;
    ssize_t n;

    memset(flood, 'f', sizeof(flood));
    rig_start(r, *state);
    while (chardev_write(r->seats[0].place, flood, sizeof(flood)) == sizeof(flood))
        continue;
    /* Nobody reads, and the key works. */
    TYPE(r, "\x01"
            "cm");
    hears(r, 1, "<in>m");
    assert_true(chardev_write(r->seats[1].place, "M", 1) == 0);
    r->seats[0].writables = r->seats[1].writables = 0;
    while (!r->seats[1].writables && (n = read(r->fd, got, sizeof(got))) > 0)
        turn(r);
    /* All who may have waited are told. */
    assert_true(r->seats[0].writables > 0);
    for (int i = 0; i < 100; i++)
        said += chardev_write(r->seats[1].place, "M", 1);
    assert_int_equal(said, 100);
    rig_end(r);
    test_free(r);
}

static void lines_have_timestamps(void **state)
{
    struct rig *r = test_malloc(sizeof(*r));

    rig_start(r, *state);
    TYPE(r, "\x01t");
    assert_int_equal(chardev_write(r->seats[0].place, "first\nsec", 9), 9);
    assert_int_equal(chardev_write(r->seats[0].place, "ond\n", 4), 4);
    TYPE(r, "\x01t");
    assert_int_equal(chardev_write(r->seats[0].place, "third\n", 6), 6);
    assert_reads(r->fd, "first\n[00:00:00.000] second\nthird\n");
    rig_end(r);
    test_free(r);
}

/* Wherever the peer stops to read, no stamp is cut or repeated. */
static void a_timestamp_waits_for_room(void **state)
{
    struct rig *r = test_malloc(sizeof(*r));
    char *got = test_malloc(4u << 20), line[] = "0123456789\n";
    size_t have = 0, lines = 0, at = 0, written = 0;
    int small = 1;

    rig_start(r, *state);
    TYPE(r, "\x01t");
    setsockopt(r->fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof(small));
    while (lines < 30000) {
        size_t n = chardev_write(r->seats[0].place, line + at, sizeof(line) - 1 - at);

        written += n;
        at += n;
        if (at == sizeof(line) - 1) {
            at = 0;
            lines++;
            continue;
        }
        /* Not all: it is read for a while. */
        have += (size_t)read(r->fd, got + have, 4001);
        user_turn(r->u, 100000);
    }
    for (ssize_t n; (n = recv(r->fd, got + have, 65536, MSG_DONTWAIT)) > 0;)
        have += (size_t)n;
    got[have] = '\0';
    assert_int_equal(written, lines * (sizeof(line) - 1));
    at = strlen(line);
    for (size_t i = 1; i < lines; i++) {
        int used = 0;

        assert_int_equal(sscanf(got + at, "[%*2d:%*2d:%*2d.%*3d] %n", &used), 0);
        assert_int_equal(used, 15);
        assert_memory_equal(got + at + used, line, sizeof(line) - 1);
        at += (size_t)used + sizeof(line) - 1;
    }
    assert_int_equal(at, have);
    rig_end(r);
    test_free(got);
    test_free(r);
}

static void keys_that_are_the_muxs_own(void **state)
{
    struct rig *r = test_malloc(sizeof(*r));
    char got[1024] = "";

    rig_start(r, *state);
    TYPE(r, "\x01h");
    assert_true(recv(r->fd, got, sizeof(got) - 1, MSG_DONTWAIT) > 0);
    assert_non_null(strstr(got, "Ctrl-a c       switch between console and monitor\r\n"));
    memset(got, 0, sizeof(got));
    TYPE(r, "\x01s");
    assert_true(recv(r->fd, got, sizeof(got) - 1, MSG_DONTWAIT) > 0);
    assert_string_equal(got, "\r\nThere is no -snapshot, whose changes Ctrl-a s would keep.\r\n");
    assert_int_equal(r->u->quits, 0);
    TYPE(r, "\x01x");
    assert_int_equal(r->u->quits, 1);
    hears(r, 0, "");
    rig_end(r);
    test_free(r);
}

static void the_next_peer_is_another_person(void **state)
{
    struct rig *r = test_malloc(sizeof(*r));

    rig_start(r, *state);
    r->seats[0].room = 2;
    TYPE(r, "ab\x01"
            "c");
    r->seats[1].room = 2;
    TYPE(r, "qui\x01");
    close(r->fd);
    turn(r);
    /* What was typed in time is taken, and then it hears that nobody is there. */
    hears(r, 0, "ab<out><close>");
    hears(r, 1, "<in>qu");
    r->fd = connect_to(r->u->path);
    turn(r);
    r->seats[1].room = 10;
    chardev_input_ready(r->seats[1].place);
    TYPE(r, "cat");
    hears(r, 1, "<in>qu<close><open>cat");
    hears(r, 0, "ab<out><close>");
    rig_end(r);
    test_free(r);
}

/* --- Handovers --- */

/* What the source offers beside the line. -1: nothing. */
static int take_record(struct rig *from)
{
    struct ferry_part part = mux_part(from->mux);
    struct ferry_named_fd named;

    assert_int_equal(part.ops->quiesce(part.obj), 0);
    part.ops->pause(part.obj);
    if (part.ops->extra_fd_at(part.obj, 0, &named) < 0)
        return -1;
    assert_string_equal(named.name, "mux/con/0");
    assert_int_equal(part.ops->extra_fd_at(part.obj, 1, &named), -ENOENT);
    return fcntl(named.fd, F_DUPFD_CLOEXEC, 3);
}

static int give_record(struct rig *to, int fd)
{
    struct ferry_part part = mux_part(to->mux);
    struct ferry_err err;
    int rc = part.ops->adopt(part.obj, "mux/con/0", &fd, &err);

    if (rc < 0)
        close(fd);
    return rc;
}

/* to: of the other user. With the line, without what is beside it. */
static int move_line(struct rig *from, struct rig *to)
{
    int record;

    rig_begin(to, from->u == &from->u[0] ? from->u + 1 : from->u);
    hand_over(from->u, to->u);
    record = take_record(from);
    to->fd = from->fd;
    rig_free(from);
    return record;
}

static void it_goes_along_with_a_handover(void **state)
{
    struct rig *r = test_malloc(sizeof(*r)), *next = test_malloc(sizeof(*next));

    for (size_t cut = 0; cut < sizeof(keys); cut++) {
        rig_start(r, *state);
        /* None takes anything before. */
        for (size_t i = 0; i < SEATS; i++)
            r->seats[i].room = 0;
        type(r, keys, cut);
        assert_int_equal(give_record(next, move_line(r, next)), 0);
        resume(next);
        type(next, keys + cut, sizeof(keys) - 1 - cut);
        /* Who is there hears that it is; and all that was typed is there, once. */
        for (size_t i = 0; i < SEATS; i++) {
            static const char *const typed[] = {"afg", "b\x01", "de"};
            char plain[64] = "";
            bool event = false;

            for (const char *c = next->seats[i].got; *c; c++) {
                event = event || *c == '<';
                if (!event)
                    strncat(plain, c, 1);
                event = event && *c != '>';
            }
            assert_string_equal(plain, typed[i]);
        }
        assert_int_equal(mux_focus(next->mux), 0);
        rig_end(next);
    }
    test_free(next);
    test_free(r);
}

static void timestamps_go_along(void **state)
{
    struct rig *r = test_malloc(sizeof(*r)), *next = test_malloc(sizeof(*next));

    rig_start(r, *state);
    TYPE(r, "\x01t");
    assert_int_equal(chardev_write(r->seats[0].place, "first\n", 6), 6);
    assert_int_equal(give_record(next, move_line(r, next)), 0);
    resume(next);
    assert_int_equal(chardev_write(next->seats[0].place, "second\n", 7), 7);
    assert_reads(next->fd, "first\n[00:00:00.000] second\n");
    rig_end(next);
    test_free(next);
    test_free(r);
}

static void one_that_failed_is_forgotten(void **state)
{
    struct rig *r = test_malloc(sizeof(*r));
    struct ferry_named_fd named;
    struct ferry_part part;

    rig_start(r, *state);
    part = mux_part(r->mux);
    close(take_record(r));
    resume(r);
    assert_int_equal(part.ops->extra_fd_at(part.obj, 0, &named), -ENOENT);
    TYPE(r, "on");
    hears(r, 0, "on");
    rig_end(r);
    test_free(r);
}

/* A memfd of these bytes. */
static int memfd_of(const uint8_t *data, size_t n)
{
    int fd = memfd_create("record", MFD_CLOEXEC);

    assert_int_equal(write(fd, data, n), n);
    return fd;
}

/* Whatever it says: it is taken whole or not at all, and the line works. */
static void a_record_is_believed_as_little_as_anybody(void **state)
{
    struct rig *r = test_malloc(sizeof(*r)), *next = test_malloc(sizeof(*next));
    uint8_t record[128];
    size_t n;
    int fd, pipes[2];

    rig_start(r, *state);
    r->seats[1].room = 0;
    TYPE(r, "\x01"
            "chalf\x01");
    fd = move_line(r, next);
    assert_int_equal(pread(fd, record, sizeof(record), 0), sizeof(record));
    close(fd);
    n = 12u + record[11];
    assert_true(n > 20 && n < sizeof(record));
    for (size_t cut = 0; cut < n; cut++)
        assert_int_equal(give_record(next, memfd_of(record, cut)), -EPROTO);
    for (size_t at = 0; at < n; at++) {
        record[at] ^= 0xff;
        if (at < 14 || (at >= 24 && at < 30))
            assert_true(give_record(next, memfd_of(record, n)) < 0);
        record[at] ^= 0xff;
    }
    assert_int_equal(pipe(pipes), 0);
    assert_int_equal(give_record(next, pipes[0]), -EPROTO);
    close(pipes[1]);
    assert_int_equal(mux_focus(next->mux), 0);
    resume(next);
    TYPE(next, "c");
    hears(next, 0, "<open>c");
    rig_end(next);
    test_free(next);
    test_free(r);
}

/* A record with all the bytes that it announces, so that only the bound refuses it. */
static int give_made(struct rig *to, size_t places, size_t stamp_bytes, size_t typed_bytes)
{
    struct buf body = {0}, record = {0};
    int fd, rc;

    buf_u8(&body, (uint8_t)places);
    buf_u8(&body, 0);
    buf_u8(&body, 0);
    buf_be64(&body, 0);
    buf_u8(&body, (uint8_t)stamp_bytes);
    buf_zeros(&body, stamp_bytes);
    for (size_t i = 0; i < places; i++) {
        buf_be32(&body, (uint32_t)typed_bytes);
        buf_zeros(&body, typed_bytes);
    }
    buf_be32(&record, 0x664d5558u);
    buf_be16(&record, 1);
    buf_be16(&record, 1);
    buf_be32(&record, (uint32_t)body.len_bytes);
    buf_put(&record, body.data, body.len_bytes);
    assert_false(record.failed);
    fd = memfd_of(record.data, record.len_bytes);
    rc = give_record(to, fd);
    buf_free(&body);
    buf_free(&record);
    return rc;
}

static void a_record_has_bounds(void **state)
{
    struct rig *r = test_malloc(sizeof(*r)), *next = test_malloc(sizeof(*next));

    rig_start(r, *state);
    close(move_line(r, next));
    assert_int_equal(give_made(next, SEATS - 1, 0, 1), -EPROTO);
    assert_int_equal(give_made(next, SEATS + 1, 0, 1), -EPROTO);
    assert_int_equal(give_made(next, UINT8_MAX, 0, 1), -EPROTO);
    assert_int_equal(give_made(next, SEATS, TIMESTAMPS_BYTES + 1, 0), -EPROTO);
    assert_int_equal(give_made(next, SEATS, UINT8_MAX, 0), -EPROTO);
    assert_int_equal(give_made(next, SEATS, 0, MUX_QUEUE_BYTES + 1), -EPROTO);
    assert_int_equal(give_made(next, SEATS, TIMESTAMPS_BYTES, MUX_QUEUE_BYTES), 0);
    rig_end(next);
    test_free(next);
    test_free(r);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, loop_setup, loop_teardown)
    const struct CMUnitTest tests[] = {
        T(the_one_in_focus_hears_what_is_typed),
        T(one_place_runs_before_the_others),
        T(ctrl_a_is_heard_while_a_guest_does_not_read),
        T(what_nobody_takes_stays_in_the_kernel),
        T(a_flood_keeps_nobody_from_being_heard),
        T(lines_have_timestamps),
        T(a_timestamp_waits_for_room),
        T(keys_that_are_the_muxs_own),
        T(the_next_peer_is_another_person),
        T(it_goes_along_with_a_handover),
        T(timestamps_go_along),
        T(one_that_failed_is_forgotten),
        T(a_record_is_believed_as_little_as_anybody),
        T(a_record_has_bounds),
    };

    signal(SIGPIPE, SIG_IGN);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
