/* SPDX-License-Identifier: Apache-2.0 */
/* Names that a peer chose, made fit for a sentence. */
#pragma once

#include <stddef.h>

#define TEXT_NAME_BYTES 64u

/* Returns text: at most 63 bytes of name, '?' for each that does not print, and a NUL. */
const char *text_name(char text[TEXT_NAME_BYTES], const void *name, size_t n);
