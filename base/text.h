/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Text that a stranger wrote (a peer, a guest, a file, a VM that answers), made fit for a
 * terminal, a log or a sentence.
 *
 * One rule says what prints: characters of valid UTF-8 that are visible and stay where they are.
 * Not control characters of either kind (C0, C1, DEL), so no escape sequence; not what turns the
 * direction of a line, breaks it or joins it invisibly. Pure; any thread.
 *
 * Errors (base/err.h) and log lines (base/log.h) pass through it as a whole. Who prints anything
 * else of a stranger calls one of these.
 */
#pragma once

#include <stddef.h>

#include "base/buf.h"

#define TEXT_NAME_BYTES 64u

/* Returns text: as many of the n bytes at from as there is room for, '?' for each that does not
 * print, and a NUL. */
const char *text_copy(char *text, size_t cap_bytes, const void *from, size_t n);
/* The same for a name in a sentence: at most 63 bytes of it. */
const char *text_name(char text[TEXT_NAME_BYTES], const void *name, size_t n);
/* In place: '?' for each byte that does not print. Returns text. */
char *text_make_printable(char *text);
/* Appends the n bytes, \xNN for each that does not print, and for '\\'. */
void text_put(struct buf *out, const void *text, size_t n);
