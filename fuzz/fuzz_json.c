/* SPDX-License-Identifier: Apache-2.0 */
/*
 * JSON input of the monitor. Input: one byte that chooses the split, then what a client sends. In
 * pieces and at once it must give the same values and errors; a value that was written out must
 * read back as the same text; and what was counted as held is given back.
 */
#include <string.h>

#include "base/buf.h"
#include "fuzz/fuzz.h"
#include "vmm/qmp/json_budget.h"
#include "vmm/qmp/json_in.h"
#include "vmm/qmp/json_out.h"

static void check_round_trip(const struct buf *text)
{
    struct json_budget budget = {.max_bytes = SIZE_MAX};
    struct json_in *j = json_in_new(&budget);
    struct json_in_result r;
    struct buf again = {0};
    size_t used = json_in_feed(j, text->data, text->len_bytes, &r);

    if (r.kind == JSON_IN_NOTHING)
        json_in_end(j, &r);
    FUZZ_CHECK(r.kind == JSON_IN_VALUE && used == text->len_bytes, "what is written can be read");
    json_out_value(&again, r.value);
    FUZZ_CHECK(again.len_bytes == text->len_bytes &&
                   memcmp(again.data, text->data, text->len_bytes) == 0,
               "what is read again is the same");
    json_object_put(r.value);
    buf_free(&again);
    json_in_free(j);
}

static void note(struct buf *out, struct json_budget *budget, struct json_in_result *r)
{
    struct buf text = {0};

    if (r->kind == JSON_IN_ERROR) {
        buf_printf(out, "!%s;", r->err.text);
        return;
    }
    json_out_value(&text, r->value);
    json_object_put(r->value);
    json_budget_return(budget, r->held_bytes);
    check_round_trip(&text);
    buf_put(out, text.data, text.len_bytes);
    buf_free(&text);
}

static void run(const uint8_t *data, size_t n, size_t piece, struct buf *out)
{
    struct json_budget budget = {.max_bytes = 16 << 20};
    struct json_in *j = json_in_new(&budget);
    struct json_in_result r;

    for (size_t pos = 0; pos < n;) {
        size_t end = n - pos < piece ? n : pos + piece;

        while (pos < end) {
            size_t used = json_in_feed(j, data + pos, end - pos, &r);

            FUZZ_CHECK(used <= end - pos, "uses what there is");
            pos += used;
            if (r.kind != JSON_IN_NOTHING)
                note(out, &budget, &r);
        }
    }
    for (json_in_end(j, &r); r.kind != JSON_IN_NOTHING; json_in_end(j, &r))
        note(out, &budget, &r);
    json_in_free(j);
    FUZZ_CHECK(budget.held_bytes == 0, "all that was counted is given back");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct buf whole = {0}, pieces = {0};

    if (n < 1)
        return 0;
    run(data + 1, n - 1, n, &whole);
    run(data + 1, n - 1, (size_t)data[0] + 1, &pieces);
    FUZZ_CHECK(whole.len_bytes == pieces.len_bytes &&
                   (whole.len_bytes == 0 || memcmp(whole.data, pieces.data, whole.len_bytes) == 0),
               "the split does not matter");
    buf_free(&whole);
    buf_free(&pieces);
    return 0;
}
