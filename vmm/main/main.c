/* SPDX-License-Identifier: Apache-2.0 */
/* The `ferry` program: finds the subcommand and prints help. */
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "base/build.h"
#include "vmm/backend/lost_memory.h"
#include "vmm/config/props.h"
#include "vmm/main/commands.h"
#include "vmm/process/title.h"

static const struct command *const commands[] = {
    &command_run,      &command_update,    &command_migrate,
    &command_snapshot, &command_analyze,   &command_receive,
    &command_ls,       &command_status,    &command_console,
    &command_stop,     &command_cont,      &command_cancel,
    &command_shutdown, &command_quit,      &command_qmp,
    &command_wait,     &command_supervise, NULL,
};

static const char *command_candidate(const void *arg, size_t i)
{
    return commands[i] && commands[i]->usage ? commands[i]->name : NULL;
}

static void print_help(FILE *to)
{
    fputs("usage: ferry COMMAND ...\n\n"
          "A VMM whose guests never notice that anything under them changed.\n\n",
          to);
    for (size_t i = 0; commands[i]; i++)
        if (commands[i]->usage)
            fprintf(to, "  %-9s %s\n", commands[i]->name, commands[i]->summary);
    fputs("\nVM is the name of one, or the id of the process that was started for it.\n"
          "'ferry COMMAND --help' says more.\n\n"
          "Exit status: 0 if it was done, 1 if it was refused or failed, with a sentence on\n"
          "standard error, 2 if the command line was not understood (of QEMU's options, behind\n"
          "'run': 1, as in QEMU). 'run' and 'receive' end as their guest does: with 0 after a\n"
          "power-off or 'quit', with the code that the guest gives to its power-off register, or\n"
          "by the signal that killed the VM.\n",
          to);
}

static bool is_help(const char *word)
{
    return !strcmp(word, "--help") || !strcmp(word, "-h") || !strcmp(word, "-help");
}

static bool has_help(int argc, char *const argv[])
{
    for (int i = 0; i < argc; i++)
        if (is_help(argv[i]))
            return true;
    return false;
}

static int print_command_help(const struct command *c)
{
    printf("usage: ferry %s%s%s\n\n%s\n", c->name, c->usage && *c->usage ? " " : "",
           c->usage ? c->usage : "", c->summary);
    if (c->help)
        printf("\n%s", c->help);
    if (c->print_help)
        c->print_help();
    return 0;
}

int main(int argc, char *own_argv[])
{
    char **argv = title_take(argc, own_argv);
    char asks[] = "--help";
    const char *closest;

    if (argc < 2) {
        print_help(stderr);
        return 2;
    }
    if (is_help(argv[1]) || (!strcmp(argv[1], "help") && argc == 2)) {
        print_help(stdout);
        return 0;
    }
    /* `ferry help run` is `ferry run --help`. */
    if (!strcmp(argv[1], "help")) {
        argv[1] = argv[2];
        argv[2] = asks;
        argc = 3;
    }
    if (!strcmp(argv[1], "--version") || !strcmp(argv[1], "-version")) {
        char build[BUILD_TEXT_BYTES];

        printf("ferry %s\n", build_text(build));
        return 0;
    }
    for (size_t i = 0; commands[i]; i++) {
        if (strcmp(commands[i]->name, argv[1]))
            continue;
        /* run prints its options too, so it answers by itself. */
        if (has_help(argc - 2, argv + 2) && commands[i] != &command_run)
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
