/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/process/command.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <ferry/err.h>

#include "base/text.h"

/* "ferry NAME: sentence", whose words may be a VM's, a peer's or a file's. */
__attribute__((format(printf, 2, 0))) static void complain(const struct command *self,
                                                           const char *fmt, va_list ap)
{
    char sentence[2 * FERRY_ERR_TEXT_BYTES];

    vsnprintf(sentence, sizeof(sentence), fmt, ap);
    fprintf(stderr, "ferry %s: %s\n", self->name, text_make_printable(sentence));
}

int command_fail(const struct command *self, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    complain(self, fmt, ap);
    va_end(ap);
    return 1;
}

int command_misused(const struct command *self, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    complain(self, fmt, ap);
    va_end(ap);
    fprintf(stderr, "usage: ferry %s%s%s\n", self->name, self->usage && *self->usage ? " " : "",
            self->usage ? self->usage : "");
    return 2;
}

/* What follows this option in a command's own words, "SECONDS" for example; NULL: nothing does. */
static const char *value_of(const char *text, const char *option)
{
    size_t length = strlen(option);

    for (const char *at = text; at && (at = strstr(at, option)); at += length)
        if (at[length] == ' ' && at[length + 1] >= 'A' && at[length + 1] <= 'Z')
            return at + length + 1;
    return NULL;
}

int command_unexpected(const struct command *self, const char *word)
{
    const char *value = NULL;

    if (word[0] == '-' && word[1] == '-' && word[2]) {
        value = value_of(self->usage, word);
        if (!value)
            value = value_of(self->help, word);
    }
    if (value)
        return command_misused(self, "%s: %.*s was expected behind it", word,
                               (int)strspn(value, "ABCDEFGHIJKLMNOPQRSTUVWXYZ"), value);
    return command_misused(self, "'%s' was not expected", word);
}

int command_number(const char *text, uint64_t max, uint64_t *ret)
{
    char *end;

    if (text[0] < '0' || text[0] > '9') /* strtoull() takes spaces and signs */
        return -EINVAL;
    errno = 0;
    *ret = strtoull(text, &end, 10);
    return *end || errno || *ret < 1 || *ret > max ? -EINVAL : 0;
}
