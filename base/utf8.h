/* SPDX-License-Identifier: Apache-2.0 */
/* UTF-8 to code points, for text that a stranger wrote. Pure. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * One code point of the n bytes at text (n > 0), which move on. -EINVAL and one byte on if they
 * are not valid UTF-8, or a noncharacter; C0 80 is U+0000.
 */
int utf8_next(const uint8_t **text, size_t *n, uint32_t *code_point);
/* Does it stand for a character: not half a surrogate pair, not a noncharacter. */
bool utf8_is_character(uint32_t code_point);
