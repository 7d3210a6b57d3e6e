/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A migration's source, answered with bytes. Input: two bytes of options (below), then actions of a
 * byte each (below), some with more behind them.
 *
 * Whatever is answered, the source ends; the guest runs here unless the target took it; and a guest
 * that stayed can be moved again, whole.
 */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/own.h"
#include "fuzz/engine.h"
#include "lib/wire/return_path.h"

enum action {           /* low three bits; the other five: k */
              STEP = 0, /* k + 1 steps */
              ANSWER,   /* k + 1 bytes */
              SAY,      /* what a target would say now */
              GUEST,    /* ticks k + 1 times; 31: its requests in flight end */
              STALL,    /* from now on k + 1 bytes of its are taken in a step; 31: all */
              WAIT,     /* until the next deadline */
              ORDER,    /* by the operator */
              HANG_UP,
};

struct answered {
    struct engine e;
    int fd;
    size_t taken_a_step_bytes;
    struct buf said; /* all that the source was told */
};

static void answered_start(struct answered *a, uint8_t options, uint8_t more)
{
    static const uint8_t uuid[16] = {1, 2, 3};
    struct ferry_migrate_source_params *p = &a->e.source_params;
    struct ferry_chan *chan = engine_chan(&a->fd);
    struct ferry_err err = {0};

    p->peer = (enum ferry_migrate_peer)((options & 3) % 3);
    p->dry_run = options & 4;
    p->capabilities.pause_before_switchover = options & 8;
    p->capabilities.xbzrle = options & 0x10;
    p->capabilities.validate_uuid = options & 0x20;
    p->uuid = uuid;
    a->e.from.pipe.busy = options & 0x40;
    p->running = !(options & 0x80);
    p->parameters.zero_pages = (enum ferry_migrate_zero_pages)((more & 3) % 3);
    p->parameters.downtime_limit_ns = more & 4 ? 1 : 0;
    p->parameters.max_bandwidth_bps = more & 8 ? 1 << 20 : 0;
    p->parameters.xbzrle_cache_bytes = 4 * FERRY_PAGE_BYTES;
    a->e.busy_rounds = more >> 4;
    atomic_store(&a->e.from.running, p->running);
    a->taken_a_step_bytes = SIZE_MAX;
    FUZZ_CHECK(ferry_migrate_source_new(&a->e.source, p, NULL, &chan, &err) == 0, err.text);
    a->e.source_status = FERRY_MOVE_BUSY;
}

/* To what the source says. */
static void answered_listen(struct answered *a)
{
    size_t budget = a->taken_a_step_bytes;
    uint8_t data[16384];

    while (budget && a->fd >= 0) {
        ssize_t n = recv(a->fd, data, budget < sizeof(data) ? budget : sizeof(data), MSG_DONTWAIT);

        if (n <= 0)
            return;
        budget -= (size_t)n;
    }
}

static void answered_step(struct answered *a)
{
    engine_step_source(&a->e);
    answered_listen(a);
}

static void answer(struct answered *a, const void *data, size_t n)
{
    ssize_t sent = a->fd < 0 ? 0 : send(a->fd, data, n, MSG_NOSIGNAL | MSG_DONTWAIT);

    if (sent > 0)
        buf_put(&a->said, data, (size_t)sent);
}

static void say(struct answered *a, unsigned k)
{
    struct buf out = {0};

    switch (k % 12) {
    case 0:
        return_path_put_hello(&out, "2.0");
        break;
    case 1:
        return_path_put_pong(&out, WIRE_PING_FERRY);
        break;
    case 2:
        return_path_put_plain(&out, WIRE_RP_FERRY_ACCEPT);
        break;
    case 3:
        return_path_put_plain(&out, WIRE_RP_FERRY_LOADED);
        break;
    case 4:
        return_path_put_shut(&out, 0);
        break;
    case 5:
        return_path_put_shut(&out, k);
        break;
    case 6:
        return_path_put_refuse(&out, "no");
        break;
    case 7:
        return_path_put_ledger(&out, "0123456789abcdef", 16);
        break;
    case 8:
        return_path_put_plain(&out, WIRE_RP_SWITCHOVER_ACK);
        break;
    case 9:
        return_path_put_request(&out, "toy.ram", 0, FERRY_PAGE_BYTES);
        break;
    case 10:
        return_path_put_pong(&out, 1);
        break;
    case 11:
        return_path_put_plain(&out, WIRE_RP_RESUME_ACK);
        break;
    }
    answer(a, out.data, out.len_bytes);
    buf_free(&out);
}

static void order(struct answered *a, unsigned k)
{
    const struct ferry_migrate_parameters enough = {.downtime_limit_ns = INT64_C(5000000000)};
    struct ferry_migrate_info info = {.size_bytes = sizeof(info)};
    struct ferry_err err = {0};
    bool runs = !(k & 4);

    switch (k % 4) {
    case 0:
        (void)!ferry_migrate_source_proceed(a->e.source, &err);
        break;
    case 1:
        if (ferry_move_cancel(a->e.source, &err) < 0)
            FUZZ_CHECK(err.errnum == EBUSY, err.text);
        break;
    case 2:
        ferry_migrate_source_set_parameters(a->e.source, &enough);
        break;
    case 3:
        if (a->e.source_status == FERRY_MOVE_BUSY &&
            ferry_move_set_running(a->e.source, runs, &err) == 0) {
            atomic_store(&a->e.from.running, runs);
            a->e.source_params.running = runs;
        }
        break;
    }
    ferry_migrate_source_info(a->e.source, &info);
    FUZZ_CHECK(info.ram_remaining_bytes <= info.ram_total_bytes, "more is left than there is");
}

static void act(struct answered *a, struct script *s)
{
    uint8_t byte = script_u8(s);
    unsigned k = byte >> 3;
    const uint8_t *data;
    size_t n;

    switch ((enum action)(byte & 7)) {
    case STEP:
        for (unsigned i = 0; i <= k; i++)
            answered_step(a);
        break;
    case ANSWER:
        data = script_take(s, k + 1, &n);
        answer(a, data, n);
        break;
    case SAY:
        say(a, k);
        break;
    case GUEST:
        for (unsigned i = 0; i <= k; i++)
            toy_tick(&a->e.from);
        if (k == 31 && a->e.from.pipe.busy && a->e.from.pipe.quiesced) {
            a->e.from.pipe.busy = false;
            ferry_vm_drained(a->e.from.vm);
        }
        break;
    case STALL:
        a->taken_a_step_bytes = k == 31 ? SIZE_MAX : k + 1;
        break;
    case WAIT:
        engine_wait(&a->e);
        break;
    case ORDER:
        order(a, k);
        break;
    case HANG_UP:
        own_close_fd(&a->fd);
        break;
    }
}

/* Was it said that the guest is fine there, and by a ferry before it that all is loaded? */
static bool target_took_it(struct answered *a, bool ferry)
{
    struct rd bytes = rd_make(a->said.data, a->said.len_bytes);
    struct return_path_in *in = calloc(1, sizeof(*in));
    struct return_message m;
    struct ferry_err err;
    bool loaded = !ferry, took = false;

    FUZZ_CHECK(in, "no memory");
    return_path_in_init(in);
    while (return_path_in_next(in, &bytes, &m, &err) > 0) {
        loaded |= m.type == WIRE_RP_FERRY_LOADED;
        took |= loaded && m.type == WIRE_RP_SHUT && m.value == 0;
    }
    free(in);
    return took;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct script s = {.at = data, .left_bytes = n};
    struct answered a = {.fd = -1};
    uint8_t options = script_u8(&s);
    bool dry = options & 4;
    struct ferry_migrate_info info = {.size_bytes = sizeof(info)};

    engine_init(&a.e);
    answered_start(&a, options, script_u8(&s));
    while (s.left_bytes && a.e.source_status == FERRY_MOVE_BUSY)
        act(&a, &s);
    for (unsigned i = 0; i < 4; i++)
        answered_step(&a);
    a.taken_a_step_bytes = SIZE_MAX;
    answered_listen(&a);
    own_close_fd(&a.fd);
    for (unsigned i = 0; i < 10000 && a.e.source_status == FERRY_MOVE_BUSY; i++)
        if (i >= 100 || !engine_wait(&a.e))
            answered_step(&a);
        else
            engine_step_source(&a.e);
    ferry_migrate_source_info(a.e.source, &info);
    if (a.e.source_status == FERRY_MOVE_DONE) {
        FUZZ_CHECK(target_took_it(&a, info.peer_is_ferry), "given away to nobody");
        FUZZ_CHECK(!dry, "moved by a dry run");
    }
    FUZZ_CHECK(a.e.source_status != FERRY_MOVE_CHECKED || dry, "moved nothing");
    n = a.e.source_status;
    engine_check_source(&a.e);
    if (n == FERRY_MOVE_FAILED || n == FERRY_MOVE_CHECKED) {
        atomic_store(&a.e.from.running, true);
        engine_move(&a.e);
    }
    buf_free(&a.said);
    engine_free(&a.e);
    return 0;
}
