/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Handover protocol. Input: one byte that chooses the split, one that says how many fds come along,
 * then frames. They are cut into frames whole and in pieces, which must agree, and each is decoded.
 */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "fuzz/fuzz.h"
#include "lib/live/message.h"

struct tally {
    unsigned frames, decoded;
    uint64_t bytes;
    int result;
};

/* What differs between the versions of the protocol, as each of them. */
static int decode_account(struct frame *f, struct ferry_err *err)
{
    static struct live_marks marks;
    struct rd payload = f->payload, stream;
    struct state_header header;
    int decoded = -EPROTO;

    for (uint16_t version = LIVE_OLDEST; version <= LIVE_VERSION; version++) {
        int r = f->type == LIVE_TYPE_STATE
                    ? message_get_state(f, &header, &stream, &marks, version, err)
                    : message_get_running(f, &marks, version, err);

        FUZZ_CHECK(r < 0 || marks.count <= LIVE_ENTRIES_MAX, "too many entries");
        decoded = r < 0 ? decoded : 0;
        f->payload = payload;
    }
    return decoded;
}

static int decode(struct frame *f, struct ferry_err *err)
{
    static struct hello hello;
    static struct ferry_named_fd names[LIVE_FDS_MAX];
    char version_text[MESSAGE_TEXT8_BYTES];
    uint16_t version;
    size_t count = 0;
    int r;

    switch (f->type) {
    case LIVE_TYPE_HELLO:
        return message_get_hello(f, &hello, "0", err);
    case LIVE_TYPE_READY:
        return message_get_ready(f, &version, version_text, err);
    case LIVE_TYPE_REFUSE:
    case LIVE_TYPE_ABORT:
        message_get_reason(f, err);
        FUZZ_CHECK(err->errnum > 0 && err->text[0], "no reason");
        return 0;
    case LIVE_TYPE_FDS:
    case LIVE_TYPE_EXTRAS:
        r = message_get_fds(f, names, &count, LIVE_FDS_MAX, err);
        for (size_t i = 0; i < count; i++)
            if (names[i].fd >= 0)
                close(names[i].fd);
        return r;
    case LIVE_TYPE_STATE:
    case LIVE_TYPE_RUNNING:
        return decode_account(f, err);
    case LIVE_TYPE_LOADED:
    case LIVE_TYPE_COMMIT:
    case LIVE_TYPE_SOON:
        break;
    }
    return 0;
}

static struct tally read_frames(const uint8_t *data, size_t n, size_t piece, size_t fd_count)
{
    struct frame_in in = {0};
    struct tally t = {0};
    struct ferry_err err = {0};
    struct frame f;
    size_t at = 0;

    while (at < n && t.result >= 0) {
        size_t room;
        uint8_t *to = frame_in_room(&in, &room);
        int fds[32];

        FUZZ_CHECK(to && room > 0, "no room");
        room = room < piece ? room : piece;
        room = room < n - at ? room : n - at;
        memcpy(to, data + at, room);
        for (size_t i = 0; i < fd_count; i++)
            fds[i] = dup(0);
        t.result = frame_in_fed(&in, room, fds, fd_count, &err);
        fd_count = 0;
        at += room;
        while (t.result >= 0 && (t.result = frame_in_next(&in, &f, &err)) > 0) {
            t.frames++;
            t.bytes += rd_left(&f.payload);
            t.decoded += decode(&f, &err) == 0;
        }
    }
    FUZZ_CHECK(t.result >= 0 || err.text[0], "a refusal without a sentence");
    frame_in_free(&in);
    return t;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct tally whole, pieces;

    if (n < 2)
        return 0;
    whole = read_frames(data + 2, n - 2, SIZE_MAX, data[1] & 31);
    pieces = read_frames(data + 2, n - 2, (data[0] & 0x3fu) + 1u, data[1] & 31);
    /* In pieces, one fd too many shows earlier. */
    FUZZ_CHECK(pieces.frames <= whole.frames, "frames from nowhere");
    if (pieces.result >= 0)
        FUZZ_CHECK(whole.frames == pieces.frames && whole.bytes == pieces.bytes &&
                       whole.decoded == pieces.decoded && whole.result >= 0,
                   "other frames");
    return 0;
}
