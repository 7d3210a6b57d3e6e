/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit.h"

#include "tests/vmm/backend/net_fix.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/be.h"
#include "base/clock.h"
#include "vmm/backend/net.h"
#include "vmm/backend/net_type.h"
#include "vmm/backend/unix_socket.h"

static void readable(void *arg)
{
    struct card *c = arg;
    const uint8_t *frame;
    size_t bytes;

    for (unsigned i = 0; (c->turn == 0 || i < c->turn) && (frame = net_peek(c->net, &bytes)); i++) {
        if (c->room == 0) {
            net_stall(c->net);
            return;
        }
        assert_true(bytes <= sizeof(c->last));
        memcpy(c->last, frame, bytes);
        c->last_bytes = bytes;
        c->frames++;
        c->room--;
        net_pop(c->net);
    }
}

static void writable(void *arg)
{
    ((struct card *)arg)->writables++;
}

static void link_changed(void *arg, bool up)
{
    ((struct card *)arg)->links++;
    ((struct card *)arg)->up = up;
}

const struct net_client_ops card_ops = {
    .readable = readable,
    .writable = writable,
    .link = link_changed,
};

int net_setup(void **state)
{
    struct fix *f = calloc(1, sizeof(*f));
    struct ferry_err err;

    assert_non_null(f);
    machine_lock_init(&f->lock);
    assert_int_equal(loop_new(&f->loop, &err), 0);
    strcpy(f->dir, "/tmp/ferry-net-XXXXXX");
    assert_non_null(mkdtemp(f->dir));
    snprintf(f->path, sizeof(f->path), "%s/sock", f->dir);
    f->listener = f->peer = -1;
    f->card.room = 1000000;
    *state = f;
    return 0;
}

int net_teardown(void **state)
{
    struct fix *f = *state;

    net_free(f->card.net);
    loop_free(f->loop);
    if (f->listener >= 0)
        close(f->listener);
    if (f->peer >= 0)
        close(f->peer);
    unlink(f->path);
    rmdir(f->dir);
    free(f);
    return 0;
}

static void stop(void *arg)
{
    loop_stop(arg);
}

void run_for_ms(struct fix *f, int ms)
{
    struct loop_timer *t;
    struct ferry_err err;

    assert_int_equal(loop_timer_new(&t, f->loop, stop, f->loop, &err), 0);
    loop_timer_set(t, clock_monotonic_ns() + ms * 1000000LL);
    loop_run(f->loop);
    loop_timer_free(t);
}

void run_until(struct fix *f, const unsigned *count, unsigned at_least)
{
    for (int i = 0; i < 2000 && *count < at_least; i++)
        run_for_ms(f, 1);
    assert_int_equal(*count, at_least);
}

struct net *make(struct fix *f, bool server, struct card *card)
{
    struct config_netdev config = {
        .id = (char *)(uintptr_t) "n0",
        .type = CONFIG_NETDEV_STREAM,
        .path = f->path,
        .server = server,
        .reconnect_ms = f->reconnect_ms,
        .fd = -1,
    };
    struct ferry_err err = {0};

    assert_int_equal(net_new(&card->net, &config, f->loop, &f->lock, &err), 0);
    if (f->host.connect)
        net_set_host(card->net, &f->host);
    net_set_client(card->net, &card_ops, card);
    return card->net;
}

void resume(struct net *n)
{
    net_part(n).ops->resume(n);
}

/* A client whose peer is f->peer. */
struct net *connected(struct fix *f)
{
    struct ferry_err err = {0};
    struct net *n = make(f, false, &f->card);

    assert_int_equal(unix_listen(f->path, &f->listener, &err), 0);
    if (net_open(n, &err) < 0)
        fail_msg("%s", err.text);
    f->peer = accept4(f->listener, NULL, NULL, SOCK_CLOEXEC);
    assert_true(f->peer >= 0);
    resume(n);
    assert_true(net_link_up(n));
    return n;
}

void fill(uint8_t *p, size_t n, unsigned seed)
{
    for (size_t i = 0; i < n; i++)
        p[i] = (uint8_t)(seed + i * 13 + i / 255);
}

void peer_sends(struct fix *f, const void *data, size_t n)
{
    const uint8_t *from = data;

    while (n > 0) {
        ssize_t r = send(f->peer, from, n, MSG_NOSIGNAL | MSG_DONTWAIT);

        if (r < 0) {
            assert_int_equal(errno, EAGAIN);
            run_for_ms(f, 1);
            continue;
        }
        from += r;
        n -= (size_t)r;
    }
}

void peer_sends_frame(struct fix *f, unsigned seed, uint32_t bytes)
{
    uint8_t *raw = malloc(bytes + 4);

    assert_non_null(raw);
    be32_store(raw, bytes);
    fill(raw + 4, bytes, seed);
    peer_sends(f, raw, bytes + 4);
    free(raw);
}

void card_got(struct card *c, unsigned seed, size_t bytes)
{
    uint8_t *expected = malloc(bytes);

    assert_non_null(expected);
    fill(expected, bytes, seed);
    assert_int_equal(c->last_bytes, bytes);
    assert_memory_equal(c->last, expected, bytes);
    free(expected);
}

void peer_gets_all(struct fix *f, void *data, size_t n)
{
    uint8_t *to = data;

    while (n > 0) {
        struct pollfd p = {.fd = f->peer, .events = POLLIN};
        ssize_t r = recv(f->peer, to, n, MSG_DONTWAIT);

        if (r < 0) {
            assert_int_equal(errno, EAGAIN);
            run_for_ms(f, 1);
            poll(&p, 1, 1);
            continue;
        }
        assert_true(r > 0);
        to += r;
        n -= (size_t)r;
    }
}

void peer_gets_frame(struct fix *f, unsigned seed, uint32_t bytes)
{
    uint8_t *raw = malloc(bytes + 4), *expected = malloc(bytes + 4);

    assert_true(raw && expected);
    be32_store(expected, bytes);
    fill(expected + 4, bytes, seed);
    peer_gets_all(f, raw, bytes + 4);
    assert_memory_equal(raw, expected, bytes + 4);
    free(raw);
    free(expected);
}

int card_sends(struct fix *f, struct net *n, unsigned seed, size_t bytes)
{
    uint8_t *data = malloc(bytes);
    struct iovec iov[3] = {{data, 1}, {data + 1, 5}, {data + 6, bytes - 6}};
    int rc;

    assert_non_null(data);
    fill(data, bytes, seed);
    machine_lock(&f->lock);
    rc = net_send(n, iov, 3);
    machine_unlock(&f->lock);
    free(data);
    return rc;
}
