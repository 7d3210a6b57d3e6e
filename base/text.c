/* SPDX-License-Identifier: Apache-2.0 */
#include "base/text.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "base/utf8.h"

struct range {
    uint32_t first, last;
};

/* Unicode's controls, and its formatting characters: of those, all that change how other text
 * looks or that nobody sees. */
static const struct range unprintable[] = {
    {0x0000, 0x001f},   /* C0 */
    {0x007f, 0x009f},   /* DEL, C1: U+009B begins a terminal's sequence as ESC [ does */
    {0x00ad, 0x00ad},   /* soft hyphen */
    {0x061c, 0x061c},   /* a mark of direction */
    {0x180e, 0x180e},   /* invisible */
    {0x200b, 0x200f},   /* without width, marks of direction */
    {0x2028, 0x202e},   /* line and paragraph, embedding and override of direction */
    {0x2060, 0x206f},   /* invisible, isolates of direction */
    {0xd800, 0xf8ff},   /* surrogates, private use */
    {0xfe00, 0xfe0f},   /* variants */
    {0xfeff, 0xfeff},   /* byte order */
    {0xfff0, 0xfffb},   /* interlinear annotation */
    {0xe0000, 0x10ffff} /* tags, private use */
};

static bool prints(uint32_t c)
{
    for (size_t i = 0; i < sizeof(unprintable) / sizeof(unprintable[0]); i++)
        if (c >= unprintable[i].first && c <= unprintable[i].last)
            return false;
    return true;
}

/* How many of the n bytes (n > 0) are the next character, if it prints; 0: the next byte does not.
 */
static size_t printable_bytes(const uint8_t *at, size_t n)
{
    const uint8_t *end = at;
    uint32_t c;

    return utf8_next(&end, &n, &c) == 0 && prints(c) ? (size_t)(end - at) : 0;
}

static void replace_unprintable(char *text, size_t n)
{
    uint8_t *at = (uint8_t *)text;

    while (n > 0) {
        size_t bytes = printable_bytes(at, n);

        if (bytes == 0) {
            *at = '?';
            bytes = 1;
        }
        at += bytes;
        n -= bytes;
    }
}

const char *text_copy(char *text, size_t cap_bytes, const void *from, size_t n)
{
    if (n > cap_bytes - 1)
        n = cap_bytes - 1;
    if (n)
        memcpy(text, from, n);
    replace_unprintable(text, n);
    text[n] = 0;
    return text;
}

const char *text_name(char text[TEXT_NAME_BYTES], const void *name, size_t n)
{
    return text_copy(text, TEXT_NAME_BYTES, name, n);
}

char *text_make_printable(char *text)
{
    replace_unprintable(text, strlen(text));
    return text;
}

void text_put(struct buf *out, const void *text, size_t n)
{
    const uint8_t *at = text;

    while (n > 0) {
        size_t bytes = *at == '\\' ? 0 : printable_bytes(at, n);

        if (bytes == 0) {
            buf_printf(out, "\\x%02x", *at);
            bytes = 1;
        } else {
            buf_put(out, at, bytes);
        }
        at += bytes;
        n -= bytes;
    }
}
