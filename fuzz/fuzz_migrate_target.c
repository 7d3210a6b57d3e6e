/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A migration's target, fed with bytes. Input:
 *
 *     u8 bits 0-1 channels besides the main one, 2-3 how they are packed, 4 the VM is given (else
 *        the stream describes it), 5 it has a uuid, 6 told to stop in the end (else the source
 *        goes), 7 another source comes after a failure
 *     u8 how many bytes come at a time: 16 for each, 0: all
 *     the stream; where there are channels as often as needed: u8 channel, be16 length, bytes
 *
 * Whatever comes, no other RAM is written, the target ends, and one that failed started nothing,
 * changed no device and takes the guest from the next source.
 */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/own.h"
#include "fuzz/engine.h"

struct feed {
    struct engine e;
    struct ferry_ram *beside; /* what nobody sends to */
    struct ferry_ram_region *beside_region;
    uint8_t options;
    size_t piece_bytes;
    unsigned channels;
    int fds[1 + ENGINE_CHANNELS_MAX];
};

static void feed_start(struct feed *f)
{
    static const char *const methods[] = {"none", "zlib", "zstd", NULL};
    static const uint8_t uuid[16] = {1, 2, 3};
    struct ferry_migrate_target_params *p = &f->e.target_params;
    struct ferry_listener *listener = NULL;
    struct ferry_chan *chan = NULL;
    struct ferry_err err = {0};

    p->capabilities.multifd = f->channels > 0;
    p->parameters.multifd_channels = f->channels;
    p->parameters.multifd_compression = methods[f->options >> 2 & 3];
    if (f->options & 0x10)
        p->vm = f->e.to.vm;
    if (f->options & 0x20)
        p->uuid = uuid;
    if (f->channels) {
        struct ferry_address *a = engine_address(0);

        FUZZ_CHECK(ferry_listener_new(&listener, a, &err) == 0, err.text);
        ferry_address_free(a);
    } else {
        chan = engine_chan(&f->fds[0]);
    }
    FUZZ_CHECK(
        ferry_migrate_target_new(&f->e.target, p, listener ? &listener : NULL, &chan, &err) == 0,
        err.text);
    f->e.target_status = FERRY_MOVE_BUSY;
    for (unsigned i = 0; f->channels && i <= f->channels; i++)
        f->fds[i] = engine_connect(0);
}

/* What it does not take after some steps it does not want. */
static void feed_send(struct feed *f, unsigned channel, const uint8_t *data, size_t n)
{
    unsigned idle = 0;
    char answers[4096];

    while (n && idle < 4 && f->e.target_status == FERRY_MOVE_BUSY && f->fds[channel] >= 0) {
        size_t piece = f->piece_bytes && f->piece_bytes < n ? f->piece_bytes : n;
        ssize_t sent = send(f->fds[channel], data, piece, MSG_NOSIGNAL | MSG_DONTWAIT);

        if (sent < 0 && errno != EAGAIN)
            return;
        idle = sent < 0 ? idle + 1 : 0;
        data += sent > 0 ? sent : 0;
        n -= sent > 0 ? (size_t)sent : 0;
        engine_step_target(&f->e);
        if (f->fds[0] >= 0)
            (void)!recv(f->fds[0], answers, sizeof(answers), MSG_DONTWAIT);
    }
}

static void feed_all(struct feed *f, struct script *s)
{
    const uint8_t *data;
    size_t n;

    if (!f->channels) {
        data = script_take(s, s->left_bytes, &n);
        feed_send(f, 0, data, n);
    }
    while (s->left_bytes) {
        unsigned channel = script_u8(s) % (f->channels + 1);
        unsigned length = (unsigned)script_u8(s) << 8;

        data = script_take(s, length | script_u8(s), &n);
        feed_send(f, channel, data, n);
    }
    for (unsigned i = 0; i < 4; i++)
        engine_step_target(&f->e);
}

static void feed_end(struct feed *f)
{
    struct ferry_err err = {0};
    bool called_off = false;

    if (f->options & 0x40 && ferry_move_cancel(f->e.target, &err) < 0)
        FUZZ_CHECK(err.errnum == EBUSY, err.text);
    for (unsigned i = 0; i <= f->channels; i++)
        own_close_fd(&f->fds[i]);
    for (unsigned i = 0; i < 10000 && f->e.target_status == FERRY_MOVE_BUSY; i++) {
        engine_step_target(&f->e);
        if (f->e.target_status != FERRY_MOVE_BUSY || engine_wait(&f->e) || i < 100)
            continue;
        /* Who listens waits for whoever comes next, after callers that sent no stream. */
        FUZZ_CHECK(f->channels && !called_off, "waits for nobody");
        called_off = true;
        FUZZ_CHECK(ferry_move_cancel(f->e.target, &err) == 0, err.text);
    }
}

static void check_beside(struct feed *f)
{
    const uint8_t *at = ferry_ram_host(f->beside_region);

    for (unsigned i = 0; i < FERRY_PAGE_BYTES; i++)
        FUZZ_CHECK(at[i] == 0, "another machine's RAM was written");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct script s = {.at = data, .left_bytes = n};
    struct feed f = {.fds = {-1, -1, -1}};
    struct ferry_err err = {0};
    bool failed;

    engine_init(&f.e);
    FUZZ_CHECK(ferry_ram_new(&f.beside, &err) == 0, err.text);
    FUZZ_CHECK(ferry_ram_add(f.beside, "toy.ram", FERRY_PAGE_BYTES, &f.beside_region, &err) == 0,
               err.text);
    f.options = script_u8(&s);
    f.channels = (f.options & 3u) % (ENGINE_CHANNELS_MAX + 1);
    f.piece_bytes = script_u8(&s) * (size_t)16;
    feed_start(&f);
    feed_all(&f, &s);
    feed_end(&f);
    failed = f.e.target_status == FERRY_MOVE_FAILED;
    engine_check_target(&f.e);
    check_beside(&f);
    if (failed && f.options & 0x80)
        engine_move(&f.e);
    ferry_ram_free(f.beside);
    engine_free(&f.e);
    return 0;
}
