/* SPDX-License-Identifier: Apache-2.0 */
/* The `ferry` program: finds the subcommand and prints help. */
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include <ferry/err.h>
#include <ferry/ferry.h>

#include "base/text.h"
#include "vmm/main/commands.h"
#include "vmm/main/lost_memory.h"
#include "vmm/main/props.h"

static const struct command *const commands[] = {
    &command_run,     &command_update, &command_migrate, &command_snapshot, &command_analyze,
    &command_receive, &command_ls,     &command_status,  &command_console,  &command_stop,
    &command_cont,    &command_quit,   &command_qmp,     &command_wait,     NULL,
};

static const char *command_candidate(const void *arg, size_t i)
{
    return commands[i] && commands[i]->usage ? commands[i]->name : NULL;
}

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
    fprintf(stderr, "usage: ferry %s %s\n", self->name, self->usage ? self->usage : "");
    return 2;
}

static void print_help(FILE *to)
{
    fputs("usage: ferry COMMAND ...\n\n"
          "A VMM whose guests never notice that anything under them changed.\n\n",
          to);
    for (size_t i = 0; commands[i]; i++)
        if (commands[i]->usage)
            fprintf(to, "  %-9s %s\n", commands[i]->name, commands[i]->summary);
    fputs("\n'ferry COMMAND --help' says more.\n", to);
}

static bool is_help(const char *word)
{
    return !strcmp(word, "--help") || !strcmp(word, "-h") || !strcmp(word, "-help");
}

static int print_command_help(const struct command *c)
{
    printf("usage: ferry %s %s\n\n%s\n", c->name, c->usage ? c->usage : "", c->summary);
    if (c->help)
        printf("\n%s", c->help);
    if (c->print_help)
        c->print_help();
    return 0;
}

int main(int argc, char *argv[])
{
    const char *closest;

    if (argc < 2) {
        print_help(stderr);
        return 2;
    }
    if (is_help(argv[1]) || !strcmp(argv[1], "help")) {
        print_help(stdout);
        return 0;
    }
    if (!strcmp(argv[1], "--version") || !strcmp(argv[1], "-version")) {
        puts("ferry " FERRY_VERSION);
        return 0;
    }
    for (size_t i = 0; commands[i]; i++) {
        if (strcmp(commands[i]->name, argv[1]))
            continue;
        /* run prints its options too, so it answers by itself. */
        if (argc > 2 && is_help(argv[2]) && commands[i] != &command_run)
            return print_command_help(commands[i]);
        lost_memory_watch();
        return commands[i]->run(commands[i], argc - 2, argv + 2);
    }
    closest = props_closest(argv[1], command_candidate, NULL);
    fprintf(stderr, "ferry: there is no command '%s'%s%s%s\n", argv[1],
            closest ? "; did you mean '" : "; 'ferry --help' lists them", closest ? closest : "",
            closest ? "'?" : "");
    return 2;
}
