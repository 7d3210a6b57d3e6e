/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Stream reader. Input: one byte that chooses the split, then a stream whose sections have as many
 * bytes of data as the low byte of their version says. In pieces and at once it must be read as
 * the same items, or be refused at the same one with the same words.
 */
#include <errno.h>
#include <string.h>

#include "fuzz/fuzz.h"
#include "lib/wire/stream_in.h"

struct reading {
    struct stream_in *in;
    size_t data_bytes;
    bool in_data;
    bool ended;
    unsigned items;
    uint64_t offset_sum; /* stands for where each item was */
};

static int read_some(struct reading *rd, struct ferry_err *err)
{
    struct stream_item item;
    int r;

    for (;;) {
        if (rd->in_data) {
            struct rd data = stream_in_data(rd->in);

            if (!rd_take(&data, rd->data_bytes))
                return stream_in_data_final(rd->in) ? -ENODATA : 0;
            stream_in_data_used(rd->in, rd->data_bytes);
            stream_in_data_end(rd->in);
            rd->in_data = false;
        }
        r = stream_in_next(rd->in, &item, err);
        if (r <= 0)
            return r;
        rd->items++;
        rd->offset_sum = rd->offset_sum * 31 + stream_in_offset(rd->in) * 8 + item.kind;
        if (item.kind == STREAM_SECTION) {
            rd->in_data = true;
            rd->data_bytes = item.section->version & 0xff;
        }
        if (item.kind == STREAM_END) {
            rd->ended = true;
            return 0;
        }
    }
}

static int read_pieces(struct reading *rd, const uint8_t *data, size_t n, size_t piece,
                       struct ferry_err *err)
{
    int r = 0;

    for (size_t at = 0; at < n && r == 0 && !rd->ended; at += piece) {
        r = stream_in_feed(rd->in, data + at, n - at < piece ? n - at : piece, err);
        if (r == 0)
            r = read_some(rd, err);
    }
    if (r == 0 && !rd->ended) {
        stream_in_finish(rd->in);
        r = read_some(rd, err);
    }
    return r;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct reading whole = {0}, pieces = {0};
    struct ferry_err err = {0}, piece_err = {0};
    int r, piece_r;

    if (n == 0)
        return 0;
    FUZZ_CHECK(stream_in_new(&whole.in, &err) == 0, err.text);
    FUZZ_CHECK(stream_in_new(&pieces.in, &err) == 0, err.text);
    stream_in_whole(whole.in, data + 1, n - 1);
    r = read_some(&whole, &err);
    FUZZ_CHECK(r < 0 || whole.ended, "waits for more than everything");
    piece_r = read_pieces(&pieces, data + 1, n - 1, (data[0] & 0x3fu) + 1u, &piece_err);
    FUZZ_CHECK((r < 0) == (piece_r < 0), r < 0 ? err.text : piece_err.text);
    FUZZ_CHECK(whole.items == pieces.items, "other items");
    FUZZ_CHECK(whole.offset_sum == pieces.offset_sum, "items elsewhere");
    FUZZ_CHECK(r == 0 || r == -ENODATA || strcmp(err.text, piece_err.text) == 0, piece_err.text);
    stream_in_free(whole.in);
    stream_in_free(pieces.in);
    return 0;
}
