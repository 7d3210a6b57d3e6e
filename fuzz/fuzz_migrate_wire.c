/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A migration from end to end with the input in the middle of the wire. Input: two bytes of options
 * (below), then actions of a byte each (below), some with more behind them.
 *
 * Whatever happens each end keeps its promises. As long as no byte was changed, also: never do two
 * run the guest, a source that failed has it alone, and a guest that moved is whole.
 */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/own.h"
#include "fuzz/engine.h"

enum action {           /* low three bits; the other five: k */
              TURN = 0, /* k + 1 turns of source, wire and target */
              SLOW,     /* at most k * 8 bytes a turn from now on; then 0: the source's, else the
                           target's */
              CHANGE,   /* by k % 4: change, drop, repeat or cut; u8 channel and way, be16 after how
                           many */
              GUEST,    /* ticks k + 1 times; 31: its requests in flight end */
              WAIT,     /* until the next deadline */
              ORDER,    /* by the operators */
              SOURCE,   /* k + 1 steps of the source alone */
              TARGET,   /* k + 1 steps of the target alone */
};

struct way {
    uint8_t data[8192];
    size_t have_bytes;
    uint64_t passed_bytes;
    uint64_t change_at_bytes; /* UINT64_MAX: nowhere */
    unsigned change;
    bool ended;
};

struct wire {
    struct engine e;
    uint8_t options;
    unsigned channels; /* all of them */
    int fds[1 + ENGINE_CHANNELS_MAX][2];
    unsigned connected;
    int listener; /* where the source connects to */
    struct way ways[1 + ENGINE_CHANNELS_MAX][2];
    size_t most_bytes[2];
    bool changed, cut;
};

static void wire_params(struct wire *w, uint8_t more)
{
    static const char *const methods[] = {"none", "zlib", "zstd", NULL};
    struct ferry_migrate_source_params *s = &w->e.source_params;
    struct ferry_migrate_target_params *t = &w->e.target_params;

    s->capabilities.multifd = w->channels > 1;
    s->capabilities.xbzrle = w->channels == 1 && w->options & 0x10;
    t->capabilities = s->capabilities;
    s->parameters.multifd_channels = w->channels - 1;
    s->parameters.multifd_compression = methods[w->options >> 2 & 3];
    t->parameters = s->parameters;
    s->capabilities.pause_before_switchover = w->options & 0x20;
    if (w->options & 0x40) {
        s->peer = FERRY_MIGRATE_PEER_QEMU;
        t->vm = w->e.to.vm;
    }
    s->dry_run = w->options & 0x80;
    s->parameters.zero_pages = (enum ferry_migrate_zero_pages)((more & 3) % 3);
    s->parameters.downtime_limit_ns = more & 4 ? 1 : 0;
    s->parameters.max_bandwidth_bps = more & 8 ? 1 << 20 : 0;
    s->parameters.xbzrle_cache_bytes = 4 * FERRY_PAGE_BYTES;
    w->e.busy_rounds = more & 0x40 ? 6 : 0;
    w->e.from.pipe.busy = more & 0x10;
    w->e.from.blob.mode = more & 0x20 ? 7 : 3; /* beyond the loader's bound */
}

static void wire_start(struct wire *w)
{
    struct ferry_chan *chans[2] = {NULL, NULL};
    struct ferry_address *here = NULL;
    struct ferry_listener *listener = NULL;
    struct ferry_err err = {0};

    if (w->channels > 1) {
        here = engine_address(1);
        FUZZ_CHECK(ferry_listener_new(&listener, here, &err) == 0, err.text);
        w->listener = engine_listen(0);
        ferry_address_free(here);
        here = engine_address(0);
    } else {
        chans[0] = engine_chan(&w->fds[0][0]);
        chans[1] = engine_chan(&w->fds[0][1]);
        w->connected = 1;
    }
    FUZZ_CHECK(ferry_migrate_source_new(&w->e.source, &w->e.source_params, here, &chans[0], &err) ==
                   0,
               err.text);
    FUZZ_CHECK(ferry_migrate_target_new(&w->e.target, &w->e.target_params,
                                        listener ? &listener : NULL, &chans[1], &err) == 0,
               err.text);
    w->e.source_status = w->e.target_status = FERRY_MOVE_BUSY;
    w->e.address = here;
}

/* --- The wire --- */

static void wire_accept(struct wire *w)
{
    while (w->listener >= 0 && w->connected < w->channels) {
        int fd = accept4(w->listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

        if (fd < 0)
            return;
        w->fds[w->connected][0] = fd;
        w->fds[w->connected++][1] = engine_connect(1);
    }
}

static void wire_cut(struct wire *w, unsigned channel)
{
    own_close_fd(&w->fds[channel][0]);
    own_close_fd(&w->fds[channel][1]);
    w->cut = true;
}

/* The bytes that the next change is about have come. */
static void way_change(struct wire *w, struct way *y, unsigned channel)
{
    size_t at = (size_t)(y->change_at_bytes - y->passed_bytes);

    y->change_at_bytes = UINT64_MAX;
    switch (y->change & 3) {
    case 0:
        y->data[at] ^= (uint8_t)(1u << (y->change >> 2 & 7));
        break;
    case 1:
        memmove(y->data + at, y->data + at + 1, --y->have_bytes - at);
        break;
    case 2:
        if (y->have_bytes == sizeof(y->data))
            y->have_bytes--;
        memmove(y->data + at + 1, y->data + at, y->have_bytes++ - at);
        break;
    case 3:
        wire_cut(w, channel);
        return;
    }
    w->changed = true;
}

static bool way_turn(struct wire *w, unsigned channel, int direction, size_t most)
{
    struct way *y = &w->ways[channel][direction];
    int from = w->fds[channel][direction], to = w->fds[channel][!direction];
    ssize_t n;

    if (from < 0 || to < 0 || y->ended)
        return false;
    if (!y->have_bytes) {
        n = recv(from, y->data, most < sizeof(y->data) ? most : sizeof(y->data), MSG_DONTWAIT);
        if (n < 0 && errno == EAGAIN)
            return false;
        if (n <= 0) {
            shutdown(to, SHUT_WR);
            y->ended = true;
            return true;
        }
        y->have_bytes = (size_t)n;
        if (y->change_at_bytes - y->passed_bytes < y->have_bytes)
            way_change(w, y, channel);
        if (w->fds[channel][0] < 0)
            return true;
    }
    n = send(to, y->data, y->have_bytes, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (n < 0 && errno == EAGAIN)
        return false;
    if (n < 0) /* who is gone needs no bytes */
        n = (ssize_t)y->have_bytes;
    y->passed_bytes += (size_t)n;
    y->have_bytes -= (size_t)n;
    memmove(y->data, y->data + n, y->have_bytes);
    return true;
}

static bool wire_forward(struct wire *w)
{
    bool moved = false;

    wire_accept(w);
    for (unsigned i = 0; i < w->connected; i++)
        for (int direction = 0; direction < 2; direction++)
            moved |= way_turn(w, i, direction, w->most_bytes[direction]);
    return moved;
}

static bool wire_turn(struct wire *w)
{
    bool moved;

    toy_tick(&w->e.from);
    engine_step_source(&w->e);
    moved = wire_forward(w);
    engine_step_target(&w->e);
    moved |= wire_forward(w);
    FUZZ_CHECK(w->changed || !atomic_load(&w->e.from.running) || !atomic_load(&w->e.to.running),
               "it runs twice");
    return moved;
}

/* --- Actions --- */

static void order(struct wire *w, unsigned k)
{
    const struct ferry_migrate_parameters enough = {.downtime_limit_ns = INT64_C(5000000000)};
    struct ferry_migrate_info info = {.size_bytes = sizeof(info)};
    struct ferry_err err = {0};

    switch (k % 4) {
    case 0:
        (void)!ferry_migrate_source_proceed(w->e.source, &err);
        break;
    case 1:
        (void)!ferry_move_cancel(w->e.source, &err);
        break;
    case 2:
        ferry_migrate_source_set_parameters(w->e.source, &enough);
        break;
    case 3:
        (void)!ferry_move_cancel(w->e.target, &err);
        break;
    }
    ferry_migrate_source_info(w->e.source, &info);
    ferry_migrate_target_info(w->e.target, &info);
}

static void change(struct wire *w, unsigned k, struct script *s)
{
    uint8_t place = script_u8(s);
    struct way *y = &w->ways[(place >> 1) % w->channels][place & 1];

    y->change = k;
    y->change_at_bytes = y->passed_bytes + y->have_bytes + ((uint64_t)script_u8(s) << 8);
    y->change_at_bytes += script_u8(s);
}

static void act(struct wire *w, struct script *s)
{
    uint8_t byte = script_u8(s);
    unsigned k = byte >> 3;

    switch ((enum action)(byte & 7)) {
    case TURN:
        for (unsigned i = 0; i <= k; i++)
            wire_turn(w);
        break;
    case SLOW:
        w->most_bytes[script_u8(s) != 0] = k ? k * 8 : SIZE_MAX;
        break;
    case CHANGE:
        change(w, k, s);
        break;
    case GUEST:
        for (unsigned i = 0; i <= k; i++)
            toy_tick(&w->e.from);
        if (k == 31 && w->e.from.pipe.busy) {
            w->e.from.pipe.busy = false;
            if (w->e.from.pipe.quiesced)
                ferry_vm_drained(w->e.from.vm);
        }
        break;
    case WAIT:
        engine_wait(&w->e);
        break;
    case ORDER:
        order(w, k);
        break;
    case SOURCE:
        for (unsigned i = 0; i <= k; i++)
            engine_step_source(&w->e);
        break;
    case TARGET:
        for (unsigned i = 0; i <= k; i++)
            engine_step_target(&w->e);
        break;
    }
}

static bool wire_busy(const struct wire *w)
{
    return w->e.source_status == FERRY_MOVE_BUSY || w->e.target_status == FERRY_MOVE_BUSY;
}

/* Nobody disturbs any more; who hears nothing is told that the other one is gone, and who still
 * waits for a source, that there is none. */
static void wire_finish(struct wire *w)
{
    struct ferry_migrate_info info = {.size_bytes = sizeof(info)};
    unsigned idle = 0;

    w->most_bytes[0] = w->most_bytes[1] = SIZE_MAX;
    order(w, 2);
    for (unsigned i = 0; i < 20000 && wire_busy(w); i++) {
        idle = wire_turn(w) ? 0 : idle + 1;
        if (idle == 8)
            order(w, 0);
        if (idle > 10 && !engine_wait(&w->e))
            idle = 40;
        if (idle < 40)
            continue;
        for (unsigned k = 0; k < w->channels; k++)
            wire_cut(w, k);
        ferry_migrate_target_info(w->e.target, &info);
        if (info.phase == FERRY_MIGRATE_SETUP)
            order(w, 3);
    }
}

static void wire_check_both(struct wire *w)
{
    enum ferry_move_status source = w->e.source_status, target = w->e.target_status;

    if (w->changed)
        return;
    if (source == FERRY_MOVE_DONE)
        FUZZ_CHECK(target == FERRY_MOVE_DONE, w->e.target_err.text);
    if (target == FERRY_MOVE_DONE) {
        FUZZ_CHECK(source == FERRY_MOVE_DONE || source == FERRY_MOVE_LOST, w->e.source_err.text);
        FUZZ_CHECK(memcmp(ferry_ram_host(w->e.from.region), ferry_ram_host(w->e.to.region),
                          ENGINE_PAGES * FERRY_PAGE_BYTES) == 0,
                   "RAM was lost");
        toy_tick(&w->e.to);
        FUZZ_CHECK(!atomic_load(&w->e.to.memory->broken), "the guest broke");
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct script s = {.at = data, .left_bytes = n};
    struct wire *w = calloc(1, sizeof(*w));
    enum ferry_move_status source;

    FUZZ_CHECK(w, "no memory");
    engine_init(&w->e);
    w->options = script_u8(&s);
    w->channels = (w->options & 3u) % (ENGINE_CHANNELS_MAX + 1) + 1;
    w->most_bytes[0] = w->most_bytes[1] = SIZE_MAX;
    w->listener = -1;
    for (unsigned i = 0; i <= ENGINE_CHANNELS_MAX; i++) {
        w->fds[i][0] = w->fds[i][1] = -1;
        w->ways[i][0].change_at_bytes = w->ways[i][1].change_at_bytes = UINT64_MAX;
    }
    wire_params(w, script_u8(&s));
    wire_start(w);
    while (s.left_bytes && wire_busy(w))
        act(w, &s);
    wire_finish(w);
    if (getenv("DBG"))
        fprintf(stderr,
                "source %d %s; target %d %s, connected %u now %ld passed %lu %lu; %lu %lu info\n",
                w->e.source_status, w->e.source_err.text, w->e.target_status, w->e.target_err.text,
                w->connected, (long)w->e.now_ns, w->ways[0][0].passed_bytes,
                w->ways[0][1].passed_bytes, w->ways[1][0].passed_bytes, w->ways[2][0].passed_bytes);
    wire_check_both(w);
    source = w->e.source_status;
    for (unsigned i = 0; i < w->channels; i++)
        wire_cut(w, i);
    own_close_fd(&w->listener);
    engine_check_source(&w->e);
    if (w->e.target_status != FERRY_MOVE_DONE) {
        engine_check_target(&w->e);
        w->e.from.blob.mode = 3;
        if (source == FERRY_MOVE_FAILED || source == FERRY_MOVE_CHECKED)
            engine_move(&w->e);
    }
    engine_free(&w->e);
    free(w);
    return 0;
}
