/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/config/option_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/err.h"
#include "base/own.h"

static int read_text(char **ret, const char *path, struct ferry_err *err)
{
    OWN_FD int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    OWN_MEM char *text = NULL;
    size_t n = 0;
    struct stat st;
    ssize_t got;

    if (fd < 0 || fstat(fd, &st) < 0)
        return err_sys(err, errno, "cannot read it");
    if (!S_ISREG(st.st_mode))
        return err_set(err, EINVAL, "it is no regular file");
    text = malloc(OPTION_FILE_BYTES_MAX + 1);
    if (!text)
        return err_set(err, ENOMEM, "out of memory");
    while ((got = read(fd, text + n, OPTION_FILE_BYTES_MAX + 1 - n)) > 0)
        n += (size_t)got;
    if (got < 0)
        return err_sys(err, errno, "cannot read it");
    if (n > OPTION_FILE_BYTES_MAX)
        return err_set(err, EFBIG, "it has more than %u bytes", OPTION_FILE_BYTES_MAX);
    text[n] = '\0';
    if (strlen(text) != n)
        return err_set(err, EINVAL, "byte %zu is 0; text was expected", strlen(text));
    *ret = TAKE_PTR(text);
    return 0;
}

static bool is_space(char c)
{
    return c && strchr(" \t\r\n", c);
}

/* Past white space and comments; NULL at the end. */
static char *next_word(char *at, unsigned *line)
{
    for (;; at++) {
        if (*at == '#')
            at += strcspn(at, "\n");
        if (!*at)
            return NULL;
        if (!is_space(*at))
            return at;
        *line += *at == '\n';
    }
}

/*
 * Takes the quotes out of the word at *at, in its place, which is never too small, and moves *at
 * behind it. '\0', or the quote that is not closed.
 */
static char take_word(char **at, unsigned *line)
{
    char *from = *at, *to = *at;
    char quote = '\0';
    bool more;

    for (; *from && (quote || !is_space(*from)); from++) {
        *line += *from == '\n';
        if (quote ? *from == quote : *from == '\'' || *from == '"')
            quote = quote ? '\0' : *from;
        else if (*from != '\\' || quote == '\'')
            *to++ = *from;
        else if (from[1] == '\n')
            from++, *line += 1; /* the line goes on */
        else if (from[1])
            *to++ = *++from;
    }
    more = *from;
    *line += *from == '\n';
    *to = '\0';
    *at = from + more;
    return quote;
}

int option_file_read(struct option_file *ret, const char *path, struct ferry_err *err)
{
    OWN_MEM char *text = NULL;
    unsigned line = 1;
    int rc = read_text(&text, path, err);

    if (rc < 0)
        return rc;
    *ret = (struct option_file){0};
    for (char *at = text; (at = next_word(at, &line));) {
        unsigned begin = line;

        if (ret->count == OPTION_FILE_WORDS_MAX)
            return err_set(err, E2BIG, "there are more than %d words", OPTION_FILE_WORDS_MAX);
        ret->words[ret->count++] = at;
        if (take_word(&at, &line))
            return err_set(err, EINVAL, "line %u: a quote in this word is not closed", begin);
    }
    ret->text = TAKE_PTR(text);
    return 0;
}

void option_file_free(struct option_file *f)
{
    free(f->text);
    *f = (struct option_file){0};
}
