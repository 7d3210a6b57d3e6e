/* SPDX-License-Identifier: Apache-2.0 */
/*
 * State loader. Input: one byte of options, then a gadget's state. A refusal changes nothing; what
 * is accepted can be saved, and that loads to the same.
 */
#include <string.h>

#include "fuzz/fuzz.h"
#include "lib/state/state.h"
#include "tests/lib/state/gadget.h"

static void check_accepted(struct gadget *g)
{
    struct gadget *copy = make_gadget(NULL);
    struct buf out = {0}, again = {0}, json = {0};
    struct ferry_err err = {0};
    struct rd in;

    FUZZ_CHECK(state_save(&gadget_table, g, &out, &json, &err) == 0, err.text);
    in = rd_make(out.data, out.len_bytes);
    FUZZ_CHECK(state_load(&gadget_table, copy, sizeof(*copy), gadget_table.version, &in, &err) == 0,
               err.text);
    FUZZ_CHECK(rd_left(&in) == 0, "not all was loaded");
    FUZZ_CHECK(state_save(&gadget_table, copy, &again, NULL, &err) == 0, err.text);
    FUZZ_CHECK(out.len_bytes == again.len_bytes, "saves to another length");
    FUZZ_CHECK(memcmp(out.data, again.data, out.len_bytes) == 0, "saves to other bytes");
    buf_free(&out);
    buf_free(&again);
    buf_free(&json);
    free(copy);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct gadget *g, *before;
    struct state_scratch *s = NULL;
    struct ferry_err err = {0};
    struct rd in;
    int r;

    if (n == 0)
        return 0;
    g = make_gadget(NULL);
    before = make_gadget(NULL);
    memcpy(before, g, sizeof(*g));
    in = rd_make(data + 1, n - 1);
    FUZZ_CHECK(state_scratch_new(&s, &gadget_table, g, sizeof(*g), &err) == 0, err.text);
    r = state_scratch_load(s, data[0] & 3, &in, data[0] & 4, &err);
    FUZZ_CHECK(memcmp(g, before, sizeof(*g)) == 0, "changed before commit");
    FUZZ_CHECK(r == 0 || err.text[0], "refused without a word");
    if (r == 0) {
        state_scratch_commit(s);
        check_accepted(g);
    }
    state_scratch_free(s);
    free(g);
    free(before);
    return 0;
}
