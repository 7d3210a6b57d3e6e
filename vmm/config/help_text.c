/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/config/help_text.h"

#include <string.h>

#define INDENT  8u
#define COLUMNS 80u

/* A word that is longer has a line of its own. */
static void put_sentence(FILE *to, const char *sentence)
{
    size_t at = 0;

    while (*sentence) {
        size_t word = strcspn(sentence, " ");

        if (at && at + 1 + word > COLUMNS) {
            fputc('\n', to);
            at = 0;
        }
        if (at)
            at += (size_t)fprintf(to, " %.*s", (int)word, sentence);
        else
            at = (size_t)fprintf(to, "%*s%.*s", INDENT, "", (int)word, sentence);
        sentence += word + strspn(sentence + word, " ");
    }
    fputc('\n', to);
}

void help_option(FILE *to, const char *head, const char *argument, const char *sentence)
{
    fprintf(to, "  %s%s%s\n", head, argument ? " " : "", argument ? argument : "");
    put_sentence(to, sentence);
}
