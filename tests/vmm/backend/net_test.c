/* SPDX-License-Identifier: Apache-2.0 */
/* Stream sockets. */
#include "tests/unit.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/sockios.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/be.h"
#include "base/buf.h"
#include "base/mail.h"
#include "base/own.h"
#include "lib/state/state.h"
#include "tests/contract/contract.h"
#include "tests/vmm/backend/net_fix.h"
#include "vmm/backend/net.h"
#include "vmm/backend/net_type.h"
#include "vmm/backend/unix_socket.h"

static void frames_go_both_ways(void **state)
{
    static const uint32_t sizes[] = {14, 60, 1514, 9014, 65535, NET_FRAME_BYTES_MAX};
    struct fix *f = *state;
    struct net *n = connected(f);

    assert_false(net_has_vnet_hdr(n));
    for (unsigned i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        assert_int_equal(card_sends(f, n, i, sizes[i]), 0);
        peer_gets_frame(f, i, sizes[i]);
        peer_sends_frame(f, i + 100, sizes[i]);
        run_until(f, &f->card.frames, i + 1);
        card_got(&f->card, i + 100, sizes[i]);
    }
}

static void a_frame_may_come_in_any_pieces(void **state)
{
    struct fix *f = *state;
    uint8_t raw[3 * 24];

    connected(f);
    for (unsigned i = 0; i < 3; i++) {
        be32_store(raw + 24 * i, 20);
        fill(raw + 24 * i + 4, 20, i);
    }
    for (size_t piece = 1; piece < sizeof(raw); piece += 5) {
        f->card.frames = 0;
        for (size_t at = 0; at < sizeof(raw); at += piece) {
            peer_sends(f, raw + at, at + piece > sizeof(raw) ? sizeof(raw) - at : piece);
            run_for_ms(f, 1);
        }
        run_until(f, &f->card.frames, 3);
        card_got(&f->card, 2, 20);
    }
}

static void frames_of_nothing_are_skipped(void **state)
{
    struct fix *f = *state;
    uint8_t zeros[400] = {0};

    connected(f);
    peer_sends(f, zeros, sizeof(zeros));
    peer_sends_frame(f, 1, 20);
    run_until(f, &f->card.frames, 1);
    card_got(&f->card, 1, 20);
}

/* Looking for a frame ends although what has none in it does not. */
static void frames_of_nothing_without_end_get_a_turn(void **state)
{
    static const uint8_t zeros[65536];
    struct fix *f = *state;
    struct net *n = connected(f);
    int queued_bytes = 0;
    size_t bytes;

    while (send(f->peer, zeros, sizeof(zeros), MSG_DONTWAIT) > 0)
        continue;
    assert_null(net_peek(n, &bytes));
    assert_int_equal(ioctl(f->peer, SIOCOUTQ, &queued_bytes), 0);
    assert_true(queued_bytes > 0);
    peer_sends_frame(f, 1, 20);
    run_until(f, &f->card.frames, 1);
    card_got(&f->card, 1, 20);
}

static void many_frames_read_ahead_all_arrive(void **state)
{
    struct fix *f = *state;

    connected(f);
    for (unsigned i = 0; i < 300; i++)
        peer_sends_frame(f, i, 100);
    run_until(f, &f->card.frames, 300);
    card_got(&f->card, 299, 100);
}

static void what_was_read_ahead_needs_no_more_from_the_peer(void **state)
{
    struct fix *f = *state;

    connected(f);
    f->card.turn = 2;
    for (unsigned i = 0; i < 9; i++)
        peer_sends_frame(f, i, 100);
    run_until(f, &f->card.frames, 9);
    card_got(&f->card, 8, 100);
}

static void a_frame_that_cannot_be_ends_the_connection(void **state)
{
    struct fix *f = *state;
    uint8_t length[4];
    struct net *n = connected(f);

    be32_store(length, NET_FRAME_BYTES_MAX + 1);
    peer_sends(f, length, sizeof(length));
    run_until(f, &f->card.links, 1);
    assert_false(f->card.up);
    assert_false(net_link_up(n));
    /* Sending is into the void now, and says so to nobody. */
    assert_int_equal(card_sends(f, n, 0, 100), 0);
    run_for_ms(f, 5);
}

static void a_peer_that_goes_takes_the_link_down(void **state)
{
    struct fix *f = *state;
    struct net *n = connected(f);
    struct ferry_named_fd named;

    peer_sends_frame(f, 3, 50);
    close(f->peer);
    f->peer = -1;
    run_until(f, &f->card.links, 1);
    assert_int_equal(f->card.frames, 1); /* what it said before is heard */
    assert_false(net_link_up(n));
    assert_int_equal(net_part(n).ops->fd_at(n, 0, &named), 0);
    assert_int_equal(named.fd, -1);
    assert_int_equal(card_sends(f, n, 0, 100), 0);
    /* A pause and more of it change nothing. */
    net_part(n).ops->pause(n);
    resume(n);
    run_for_ms(f, 5);
    assert_false(net_link_up(n));
}

static void a_guest_without_room_makes_the_peer_wait(void **state)
{
    struct fix *f = *state;
    struct net *n = connected(f);

    f->card.room = 2;
    for (unsigned i = 0; i < 5; i++)
        peer_sends_frame(f, i, 100);
    run_for_ms(f, 20);
    assert_int_equal(f->card.frames, 2);
    f->card.room = 2;
    machine_lock(&f->lock);
    net_want(n);
    machine_unlock(&f->lock);
    run_for_ms(f, 20);
    assert_int_equal(f->card.frames, 4);
    f->card.room = 1000; /* also for what was still on its way */
    machine_lock(&f->lock);
    net_want(n);
    machine_unlock(&f->lock);
    run_until(f, &f->card.frames, 5);
    card_got(&f->card, 4, 100);
}

/* Send until the socket is full; how many frames went. */
static unsigned send_until_full(struct fix *f, struct net *n, size_t bytes)
{
    unsigned sent = 0;

    while (card_sends(f, n, sent, bytes) == 0)
        sent++;
    return sent;
}

/* Nothing is read then, and it is heard of all the same. */
static void a_guest_without_room_hears_that_its_peer_goes(void **state)
{
    struct fix *f = *state;
    struct net *n = connected(f);

    f->card.room = 0;
    peer_sends_frame(f, 1, 100);
    run_for_ms(f, 20);
    assert_true(net_link_up(n));
    assert_int_equal(f->card.links, 0);
    close(f->peer);
    f->peer = -1;
    run_until(f, &f->card.links, 1);
    assert_false(net_link_up(n));
    assert_int_equal(f->card.frames, 0);
}

static void a_slow_peer_gets_every_frame_whole(void **state)
{
    struct fix *f = *state;
    struct net *n = connected(f);
    unsigned sent = send_until_full(f, n, 50000);

    assert_true(sent > 0);
    assert_int_equal(card_sends(f, n, 0, 100), -EAGAIN);
    run_for_ms(f, 5);
    f->card.writables = 0;
    for (unsigned i = 0; i < sent; i++)
        peer_gets_frame(f, i, 50000);
    run_for_ms(f, 5);
    assert_int_equal(f->card.writables, 1);
    assert_int_equal(card_sends(f, n, 7, 100), 0);
    peer_gets_frame(f, 7, 100);
}

static void a_frame_too_long_is_lost(void **state)
{
    struct fix *f = *state;
    struct net *n = connected(f);

    assert_int_equal(card_sends(f, n, 1, NET_FRAME_BYTES_MAX + 1), 0);
    assert_int_equal(card_sends(f, n, 2, 100), 0);
    peer_gets_frame(f, 2, 100);
}

static void a_server_takes_one_peer_after_the_other(void **state)
{
    struct fix *f = *state;
    struct net *n = make(f, true, &f->card);
    struct ferry_named_fd named;
    struct ferry_err err;

    assert_int_equal(net_open(n, &err), 0);
    resume(n);
    assert_false(net_link_up(n));
    assert_int_equal(net_part(n).ops->fd_at(n, 0, &named), 0);
    assert_string_equal(named.name, "n0/stream");
    assert_int_equal(named.fd, -1);
    assert_int_equal(net_part(n).ops->fd_at(n, 1, &named), 0);
    assert_string_equal(named.name, "n0/listen");
    assert_true(named.fd >= 0);
    assert_int_equal(net_part(n).ops->fd_at(n, 2, &named), -ENOENT);
    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(unix_connect(f->path, &f->peer, &err), 0);
        run_until(f, &f->card.links, 2 * i + 1);
        assert_true(f->card.up);
        peer_sends_frame(f, i, 30);
        run_until(f, &f->card.frames, i + 1);
        close(f->peer);
        run_until(f, &f->card.links, 2 * i + 2);
    }
    f->peer = -1;
}

static void a_path_that_nobody_serves_is_refused(void **state)
{
    struct fix *f = *state;
    struct ferry_err err = {0};
    struct net *n = make(f, false, &f->card);

    assert_int_equal(net_open(n, &err), -ENOENT);
    assert_non_null(strstr(err.text, "netdev \"n0\": nobody listens on"));
    net_free(n);
    f->card.net = NULL;
    assert_int_equal(unix_listen(f->path, &f->listener, &err), 0);
    n = make(f, true, &f->card);
    assert_int_equal(net_open(n, &err), -EADDRINUSE);
    assert_non_null(strstr(err.text, "another process listens"));
    /* What a dead process left behind is in nobody's way. */
    close(f->listener);
    f->listener = -1;
    assert_int_equal(net_open(n, &err), 0);
}

/* --- Across a handover --- */

/* The new owner of n's fds and state, in its own card. */
static struct net *move(struct fix *f, struct net *from, struct card *card, bool server,
                        bool expect_section)
{
    struct net *to = make(f, server, card);
    struct ferry_part a = net_part(from), b = net_part(to);
    struct ferry_named_fd named;
    struct ferry_err err = {0};
    struct buf out = {0};

    a.ops->pause(a.obj);
    assert_int_equal(a.table->needed(a.obj), expect_section);
    if (expect_section) {
        struct rd in;

        assert_int_equal(state_save(a.table, a.obj, &out, NULL, &err), 0);
        in = rd_make(out.data, out.len_bytes);
        if (state_load(b.table, b.obj, b.obj_bytes, a.table->version, &in, &err) < 0)
            fail_msg("%s", err.text);
        buf_free(&out);
    }
    for (size_t i = 0; a.ops->fd_at(a.obj, i, &named) == 0; i++) {
        int fd = named.fd < 0 ? -1 : fcntl(named.fd, F_DUPFD_CLOEXEC, 0);

        if (fd >= 0 && b.ops->adopt(b.obj, named.name, &fd, &err) < 0)
            fail_msg("%s", err.text);
    }
    b.ops->resume(b.obj);
    net_free(from);
    return to;
}

static void half_a_frame_moves_with_the_socket(void **state)
{
    struct fix *f = *state;
    struct card *next = calloc(1, sizeof(*next));
    struct net *n = connected(f);
    unsigned sent;
    uint8_t raw[104];

    assert_non_null(next);
    next->room = 100;
    be32_store(raw, 100);
    fill(raw + 4, 100, 5);
    peer_sends(f, raw, 40);
    run_for_ms(f, 5);
    sent = send_until_full(f, n, 50000);
    f->card.net = NULL;
    n = move(f, n, next, false, true);

    peer_sends(f, raw + 40, sizeof(raw) - 40);
    run_until(f, &next->frames, 1);
    card_got(next, 5, 100);
    for (unsigned i = 0; i < sent; i++)
        peer_gets_frame(f, i, 50000);
    assert_true(next->writables > 0);
    assert_int_equal(card_sends(f, n, 9, 100), 0);
    peer_gets_frame(f, 9, 100);
    assert_int_equal(f->card.frames, 0);
    net_free(n);
    free(next);
}

static void frames_the_guest_had_no_room_for_move_too(void **state)
{
    struct fix *f = *state;
    struct card *next = calloc(1, sizeof(*next));
    struct net *n = connected(f);

    assert_non_null(next);
    f->card.room = 1;
    for (unsigned i = 0; i < 4; i++)
        peer_sends_frame(f, i, 100);
    run_for_ms(f, 10);
    assert_int_equal(f->card.frames, 1);
    next->room = 100;
    f->card.net = NULL;
    n = move(f, n, next, false, true);
    run_until(f, &next->frames, 3);
    card_got(next, 3, 100);
    net_free(n);
    free(next);
}

static void a_quiet_backend_has_no_section(void **state)
{
    struct fix *f = *state;
    struct card *next = calloc(1, sizeof(*next));
    struct net *n = connected(f);

    assert_non_null(next);
    next->room = 100;
    peer_sends_frame(f, 1, 100);
    run_until(f, &f->card.frames, 1);
    f->card.net = NULL;
    n = move(f, n, next, false, false);
    assert_true(net_link_up(n));
    peer_sends_frame(f, 2, 100);
    run_until(f, &next->frames, 1);
    net_free(n);
    free(next);
}

static void a_server_without_a_peer_moves(void **state)
{
    struct fix *f = *state;
    struct card *next = calloc(1, sizeof(*next));
    struct net *n = make(f, true, &f->card);
    struct ferry_err err;

    assert_non_null(next);
    assert_int_equal(net_open(n, &err), 0);
    resume(n);
    f->card.net = NULL;
    n = move(f, n, next, true, false);
    assert_false(net_link_up(n));
    assert_int_equal(unix_connect(f->path, &f->peer, &err), 0);
    run_until(f, &next->links, 1);
    net_free(n);
    free(next);
}

static void nothing_flows_while_paused(void **state)
{
    struct fix *f = *state;
    struct net *n = connected(f);
    const struct ferry_part_ops *ops = net_part(n).ops;

    ops->pause(n);
    peer_sends_frame(f, 1, 100);
    assert_int_equal(card_sends(f, n, 0, 100), -EAGAIN);
    run_for_ms(f, 20);
    assert_int_equal(f->card.frames, 0);
    f->card.writables = 0;
    resume(n);
    run_until(f, &f->card.frames, 1);
    assert_true(f->card.writables > 0); /* the card looks at its ring again */
}

static void other_fds_are_refused(void **state)
{
    struct fix *f = *state;
    struct net *n = make(f, false, &f->card);
    const struct ferry_part_ops *ops = net_part(n).ops;
    struct ferry_err err = {0};
    int fd = open("/dev/null", O_RDWR);

    assert_int_equal(ops->adopt(n, "n0/tap", &fd, &err), -EINVAL);
    assert_non_null(strstr(err.text, "does not expect"));
    assert_int_equal(ops->adopt(n, "n0/listen", &fd, &err), -EINVAL);
    assert_int_equal(ops->adopt(n, "n0/stream", &fd, &err), -EINVAL);
    assert_non_null(strstr(err.text, "not a UNIX stream socket"));
    close(fd);
    assert_int_equal(unix_listen(f->path, &fd, &err), 0);
    assert_int_equal(ops->adopt(n, "n0/stream", &fd, &err), -EINVAL);
    assert_non_null(strstr(err.text, "is listening"));
    close(fd);
}

/* --- A link that an operator took down --- */

/* What another process opened is used as if it had been opened here. */
static void a_connection_that_was_opened_elsewhere(void **state)
{
    struct fix *f = *state;
    struct net *n = make(f, false, &f->card);
    struct ferry_err err = {0};
    struct net_status s;
    int fd = -1, listener = -1;

    assert_int_equal(unix_listen(f->path, &f->listener, &err), 0);
    assert_int_equal(unix_connect(f->path, &fd, &err), 0);
    f->peer = accept4(f->listener, NULL, NULL, SOCK_CLOEXEC);
    listener = dup(f->listener);
    assert_int_equal(net_open_with(n, &listener, &err), -EINVAL);
    assert_string_equal(err.text, "netdev \"n0\": fd \"stream\": is listening");
    assert_true(listener >= 0);
    assert_int_equal(net_open_with(n, &fd, &err), 0);
    assert_int_equal(fd, -1);
    resume(n);
    net_status(n, &s);
    assert_true(s.connected && s.link_up && s.since_ns);
    assert_int_equal(card_sends(f, n, 1, 60), 0);
    peer_gets_frame(f, 1, 60);
    net_free(n);
    /* A server is given what listens. */
    n = make(f, true, &f->card);
    assert_int_equal(net_open_with(n, &listener, &err), 0);
    assert_int_equal(listener, -1);
}

static void a_link_that_is_down_loses_frames_both_ways(void **state)
{
    struct fix *f = *state;
    struct net *n = connected(f);

    net_set_link(n, false);
    assert_int_equal(f->card.links, 1);
    assert_false(f->card.up || net_link_up(n));
    assert_int_equal(card_sends(f, n, 0, 100), 0);
    peer_sends_frame(f, 1, 100);
    run_for_ms(f, 20);
    assert_int_equal(f->card.frames, 0);
    net_set_link(n, true);
    assert_int_equal(f->card.links, 2);
    assert_true(f->card.up);
    /* What was lost stays lost, and what follows is whole. */
    peer_sends_frame(f, 2, 100);
    run_until(f, &f->card.frames, 1);
    card_got(&f->card, 2, 100);
    assert_int_equal(card_sends(f, n, 3, 100), 0);
    peer_gets_frame(f, 3, 100);
}

static void a_link_that_is_down_does_not_make_the_peer_wait(void **state)
{
    struct fix *f = *state;
    struct net *n = connected(f);

    f->card.room = 0;
    peer_sends_frame(f, 1, 100);
    run_for_ms(f, 20);
    net_set_link(n, false);
    for (unsigned i = 0; i < 200; i++)
        peer_sends_frame(f, i, 9000);
    assert_int_equal(f->card.frames, 0);
    f->card.room = 1000; /* also for what was still on its way */
    machine_lock(&f->lock);
    net_want(n);
    machine_unlock(&f->lock);
    net_set_link(n, true);
    peer_sends_frame(f, 7, 64);
    while (f->card.last_bytes != 64)
        run_for_ms(f, 1);
    card_got(&f->card, 7, 64);
}

static void a_peer_that_comes_does_not_lift_it(void **state)
{
    struct fix *f = *state;
    struct ferry_err err = {0};
    struct net *n = make(f, true, &f->card);
    struct net_status s;

    assert_int_equal(net_open(n, &err), 0);
    resume(n);
    net_set_link(n, false);
    assert_int_equal(unix_connect(f->path, &f->peer, &err), 0);
    do {
        run_for_ms(f, 1);
        net_status(n, &s);
    } while (!s.connected);
    assert_false(s.link_up);
    assert_true(s.link_off);
    assert_int_equal(f->card.links, 0);
    net_set_link(n, true);
    assert_int_equal(f->card.links, 1);
    assert_true(f->card.up);
}

static void a_link_that_is_down_has_a_section(void **state)
{
    struct fix *f = *state;
    struct net *n = connected(f);
    const struct ferry_part part = net_part(n);

    net_set_link(n, false);
    assert_true(part.table->needed(part.obj));
    net_set_link(n, true);
    assert_false(part.table->needed(part.obj));
}

/* --- A peer that is connected again --- */

struct told {
    struct fix *f;
    unsigned asked, came, went;
    int mail; /* the supervisor's */
};

static int on_connect(void *arg, const char *id, int *ret_mail, struct ferry_err *err)
{
    struct told *t = arg;
    int pair[2];

    assert_string_equal(id, "n0");
    t->asked++;
    if (mail_pair(pair, err) < 0)
        fail_msg("%s", err->text);
    own_close_fd(&t->mail);
    *ret_mail = pair[0];
    t->mail = pair[1];
    return 0;
}

static void on_peer(void *arg, const struct net *n, bool is_there)
{
    struct told *t = arg;

    *(is_there ? &t->came : &t->went) += 1;
}

static void give_a_peer(struct told *t)
{
    int fds[2];

    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds), 0);
    own_close_fd(&t->f->peer);
    t->f->peer = fds[0];
    assert_int_equal(mail_send(t->mail, MAIL_OPENED, 0, "", &fds[1], 1), 0);
    close(fds[1]);
}

static struct net *reconnecting(struct fix *f, struct told *t)
{
    *t = (struct told){.f = f, .mail = -1};
    f->reconnect_ms = 2;
    f->host = (struct net_host){.connect = on_connect, .peer = on_peer, .arg = t};
    return connected(f);
}

static void a_lost_peer_is_connected_again(void **state)
{
    struct fix *f = *state;
    struct told t;
    struct net *n = reconnecting(f, &t);

    peer_sends(f, "\0\0\1", 3); /* of a frame that will never be whole */
    own_close_fd(&f->peer);
    run_until(f, &t.asked, 1);
    assert_int_equal(t.went, 1);
    assert_false(net_link_up(n));
    give_a_peer(&t);
    run_until(f, &t.came, 1);
    assert_true(net_link_up(n) && f->card.up);
    peer_sends_frame(f, 5, 300);
    run_until(f, &f->card.frames, 1);
    card_got(&f->card, 5, 300);
    assert_int_equal(card_sends(f, n, 6, 300), 0);
    peer_gets_frame(f, 6, 300);
    own_close_fd(&t.mail);
}

/* What is handed over has no peer, and whoever takes it asks for one. */
static void nobody_is_asked_in_a_pause(void **state)
{
    struct fix *f = *state;
    struct told t;
    struct net *n = reconnecting(f, &t);
    const struct ferry_part_ops *ops = net_part(n).ops;

    own_close_fd(&f->peer);
    run_until(f, &t.asked, 1);
    ops->pause(n);
    assert_int_equal(mail_send(t.mail, MAIL_HEARD, 0, "", NULL, 0), -EPIPE);
    run_for_ms(f, 20);
    assert_int_equal(t.asked, 1);
    assert_int_equal(t.came, 0);
    resume(n);
    run_until(f, &t.asked, 2);
    give_a_peer(&t);
    run_until(f, &t.came, 1);
    own_close_fd(&t.mail);
}

static void a_guest_that_has_gone_lets_its_peer_go(void **state)
{
    struct fix *f = *state;
    struct told t;
    struct net *n = reconnecting(f, &t);
    char none;

    net_part(n).ops->pause(n);
    net_let_go(n);
    assert_int_equal(t.went, 1);
    assert_int_equal(recv(f->peer, &none, 1, 0), 0);
    /* It came back: then it has a peer again. */
    resume(n);
    run_until(f, &t.asked, 1);
    own_close_fd(&t.mail);
}

static void without_reconnect_it_is_kept(void **state)
{
    struct fix *f = *state;
    struct net *n = connected(f);

    net_part(n).ops->pause(n);
    net_let_go(n);
    resume(n);
    peer_sends_frame(f, 1, 100);
    run_until(f, &f->card.frames, 1);
}

struct contract_world {
    struct loop *loop;
};

static void *make_for_contract(void *arg)
{
    struct contract_world *w = arg;
    struct config_netdev config = {
        .id = (char *)(uintptr_t) "n0", .type = CONFIG_NETDEV_STREAM, .fd = -1};
    struct net *n = NULL;
    struct ferry_err err;

    assert_int_equal(net_new(&n, &config, w->loop, NULL, &err), 0);
    return n;
}

static void stir(void *obj)
{
    struct net *n = obj;

    n->rx_at = 3;
    n->rx_bytes = 50;
    fill(n->rx, 50, 1);
    n->tx_at = 7;
    n->tx_bytes = 20;
    fill(n->tx, 20, 2);
    n->link_off = true;
}

static void destroy(void *obj)
{
    net_free(obj);
}

static void the_state_keeps_the_contract(void **state)
{
    struct fix *f = *state;
    struct contract_world w = {.loop = f->loop};
    struct net *n = make_for_contract(&w);
    struct contract_case c = {
        .table = net_part(n).table,
        .obj_bytes = net_part(n).obj_bytes,
        .make = make_for_contract,
        .stir = stir,
        .destroy = destroy,
        .arg = &w,
    };

    net_free(n);
    contract_run(&c);
}

int main(void)
{
#define T(fn) cmocka_unit_test_setup_teardown(fn, net_setup, net_teardown)
    const struct CMUnitTest tests[] = {
        T(frames_go_both_ways),
        T(a_frame_may_come_in_any_pieces),
        T(frames_of_nothing_are_skipped),
        T(frames_of_nothing_without_end_get_a_turn),
        T(many_frames_read_ahead_all_arrive),
        T(what_was_read_ahead_needs_no_more_from_the_peer),
        T(a_frame_that_cannot_be_ends_the_connection),
        T(a_peer_that_goes_takes_the_link_down),
        T(a_guest_without_room_makes_the_peer_wait),
        T(a_slow_peer_gets_every_frame_whole),
        T(a_guest_without_room_hears_that_its_peer_goes),
        T(a_frame_too_long_is_lost),
        T(a_server_takes_one_peer_after_the_other),
        T(a_path_that_nobody_serves_is_refused),
        T(half_a_frame_moves_with_the_socket),
        T(frames_the_guest_had_no_room_for_move_too),
        T(a_quiet_backend_has_no_section),
        T(a_server_without_a_peer_moves),
        T(nothing_flows_while_paused),
        T(other_fds_are_refused),
        T(a_connection_that_was_opened_elsewhere),
        T(a_link_that_is_down_loses_frames_both_ways),
        T(a_link_that_is_down_does_not_make_the_peer_wait),
        T(a_peer_that_comes_does_not_lift_it),
        T(a_link_that_is_down_has_a_section),
        T(a_lost_peer_is_connected_again),
        T(nobody_is_asked_in_a_pause),
        T(a_guest_that_has_gone_lets_its_peer_go),
        T(without_reconnect_it_is_kept),
        T(the_state_keeps_the_contract),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
