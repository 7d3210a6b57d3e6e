/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Options from a file: the words of a command line, over as many lines as one likes. As in a shell,
 * white space parts words, 'quotes' and "quotes" keep it, a backslash takes the meaning of what
 * follows (not within '...'), and a word that begins with # is a comment to the end of its line.
 * Nothing is expanded.
 *
 * For what an administrator wrote, at the start: it blocks. Any thread.
 */
#pragma once

#include <stddef.h>

#include <ferry/err.h>

#define OPTION_FILE_BYTES_MAX 65536u /* a longer one is refused */
#define OPTION_FILE_WORDS_MAX 512

struct option_file {
    char *text; /* owned; the words are in it */
    const char *words[OPTION_FILE_WORDS_MAX];
    int count;
};

/* The sentence does not name the file. */
int option_file_read(struct option_file *ret, const char *path,
                     struct ferry_err *err) FERRY_MUST_CHECK;
void option_file_free(struct option_file *f);
