/* SPDX-License-Identifier: Apache-2.0 */
#include "base/text.h"

#include <stdint.h>

const char *text_name(char text[TEXT_NAME_BYTES], const void *name, size_t n)
{
    const uint8_t *bytes = name;

    if (n > TEXT_NAME_BYTES - 1)
        n = TEXT_NAME_BYTES - 1;
    for (size_t i = 0; i < n; i++)
        text[i] = bytes[i] >= 0x20 && bytes[i] < 0x7f ? (char)bytes[i] : '?';
    text[n] = 0;
    return text;
}
