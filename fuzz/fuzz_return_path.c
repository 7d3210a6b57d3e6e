/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The return path, and commands. Input: one byte: 0 chooses commands, else the split; then
 * messages, or a command's number and payload. Messages read in pieces and at once must be the
 * same.
 */
#include <string.h>

#include "base/be.h"
#include "base/text.h"
#include "fuzz/fuzz.h"
#include "lib/wire/command.h"
#include "lib/wire/return_path.h"

struct reading {
    struct return_path_in in;
    unsigned messages;
    uint64_t sum; /* stands for all messages */
};

static void take(struct reading *r, const struct return_message *m)
{
    char shown[sizeof(m->text)];

    r->messages++;
    r->sum = r->sum * 31 + (uint64_t)m->type + m->value + m->offset_bytes + m->length_bytes +
             m->protocol + m->oldest;
    memcpy(shown, m->text, sizeof(shown));
    FUZZ_CHECK(memchr(shown, '\0', sizeof(shown)), "text without an end");
    FUZZ_CHECK(!strcmp(text_make_printable(shown), m->text), "text that does not print");
    for (size_t i = 0; m->text[i]; i++) {
        r->sum = r->sum * 31 + (uint8_t)m->text[i];
    }
    for (size_t i = 0; i < m->ledger_bytes; i++)
        r->sum = r->sum * 31 + m->ledger[i];
}

static int read_some(struct reading *r, const uint8_t *data, size_t n, struct ferry_err *err)
{
    uint8_t *exact = malloc(n ? n : 1); /* so that overruns show */
    struct rd bytes = rd_make(exact, n);
    struct return_message m;
    int result;

    memcpy(exact, data, n);
    while ((result = return_path_in_next(&r->in, &bytes, &m, err)) > 0)
        take(r, &m);
    free(exact);
    return result;
}

static void read_messages(size_t piece, const uint8_t *data, size_t n)
{
    struct reading *whole = calloc(1, sizeof(*whole)), *pieces = calloc(1, sizeof(*pieces));
    struct ferry_err err = {0}, piece_err = {0};
    int r, piece_r = 0;

    FUZZ_CHECK(whole && pieces, "no memory");
    return_path_in_init(&whole->in);
    return_path_in_init(&pieces->in);
    r = read_some(whole, data, n, &err);
    for (size_t at = 0; at < n && piece_r == 0; at += piece)
        piece_r = read_some(pieces, data + at, n - at < piece ? n - at : piece, &piece_err);
    FUZZ_CHECK(n == 0 || r == piece_r, r < 0 ? err.text : piece_err.text);
    FUZZ_CHECK(strcmp(err.text, piece_err.text) == 0, piece_err.text);
    FUZZ_CHECK(whole->messages == pieces->messages, "other messages");
    FUZZ_CHECK(whole->sum == pieces->sum, "messages that differ");
    free(whole);
    free(pieces);
}

/* What is taken and written again is the same command, byte by byte. */
static void read_command(const uint8_t *data, size_t n)
{
    struct command c;
    struct buf again = {0};
    struct ferry_err err = {0};

    if (n < 2 || n > UINT16_MAX)
        return;
    if (command_get(be16_load(data), rd_make(data + 2, n - 2), &c, &err) < 0)
        return;
    command_put(&again, &c);
    FUZZ_CHECK(again.len_bytes == n + 3, "another length");
    FUZZ_CHECK(memcmp(again.data + 5, data + 2, n - 2) == 0, "another payload");
    buf_free(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    if (n == 0)
        return 0;
    if (data[0] == 0)
        read_command(data + 1, n - 1);
    else
        read_messages(data[0], data + 1, n - 1);
    return 0;
}
