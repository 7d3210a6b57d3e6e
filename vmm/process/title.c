/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/process/title.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>

#include "base/text.h"

/* The kernel's bound, with the NUL. */
#define COMM_BYTES 16

/* The memory that /proc/PID/cmdline shows is of the process: nobody can hand it down. */
static struct {
    char *text;
    size_t bytes;
    char **words; /* what stood there, for as long as the process lives */
} title;

/* A target that a ferry from before supervisors started is known by its words (is_target() of
 * supervisor_children.c), and has no room for others. */
static bool is_of_an_older_ferry(int argc, char *const argv[])
{
    return argc > 2 && strncmp(argv[0], "ferry: ", 7) && !strcmp(argv[1], "receive") &&
           !strcmp(argv[2], "--supervised");
}

char **title_take(int argc, char *argv[])
{
    char **copy = calloc((size_t)argc + 1, sizeof(*copy));
    size_t bytes = 0;

    title.words = copy;

    for (int i = 0; copy && i < argc; i++) {
        copy[i] = strdup(argv[i]);
        /* One behind the other, as execve(2) puts them. */
        if (!copy[i] || argv[i] != argv[0] + bytes)
            return argv;
        bytes += strlen(argv[i]) + 1;
    }
    if (!copy || !argc || is_of_an_older_ferry(argc, argv))
        return argv;
    title.text = argv[0];
    title.bytes = bytes;
    return copy;
}

const char *title_text(char ret[TITLE_BYTES], const char *vm, const char *role)
{
    char name[TEXT_NAME_BYTES];

    snprintf(ret, TITLE_BYTES, "ferry: %s%s%s", vm ? text_name(name, vm, strlen(vm)) : "",
             vm ? ": " : "", role);
    return ret;
}

void title_set(const char *vm, const char *role)
{
    char text[TITLE_BYTES], comm[COMM_BYTES];

    title_text(text, vm, role);
    if (title.bytes) {
        memset(title.text, 0, title.bytes);
        snprintf(title.text, title.bytes, "%s", text);
    }
    /* Of the role its first letter, but for who runs the guest. */
    snprintf(comm, sizeof(comm), "ferry%s%.*s%s%.*s", strcmp(role, "VMM") ? "-" : "",
             strcmp(role, "VMM") ? 1 : 0, role, vm ? ":" : "", COMM_BYTES, vm ? vm : "");
    prctl(PR_SET_NAME, text_make_printable(comm));
}
