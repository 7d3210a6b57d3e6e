/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A whole file for `ferry analyze`. Whatever it is, what is told of it is printable, is in
 * proportion to the file, and a refusal has a sentence.
 */
#include <string.h>

#include <ferry/analyze.h>

#include "fuzz/fuzz.h"

/* Of text for each byte that may be created: an indented line of one value. */
#define TEXT_BYTES_MAX(n) (2 * ((4ul << 20) + 128 * (n)))

static void analyze(const uint8_t *data, size_t n, bool json)
{
    struct ferry_err err = {0};
    char *text;
    int rc = ferry_analyze(&text, data, n, json, &err);

    FUZZ_CHECK(text, err.text);
    FUZZ_CHECK(rc == 0 || (err.errnum == -rc && err.text[0]), "a refusal without a sentence");
    FUZZ_CHECK(strlen(text) <= TEXT_BYTES_MAX(n), "more text than the file is worth");
    for (const char *c = text; *c; c++)
        FUZZ_CHECK(*c == '\n' || (*c >= 0x20 && *c < 0x7f) || (!json && (uint8_t)*c >= 0xa0) ||
                       (!json && ((uint8_t)*c & 0xc0) == 0x80),
                   "not printable");
    FUZZ_CHECK(!json || !strchr(text, '\n'), "JSON is one line");
    free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    analyze(data, n, false);
    analyze(data, n, true);
    return 0;
}
