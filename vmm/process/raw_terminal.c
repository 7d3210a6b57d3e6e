/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/process/raw_terminal.h"

#include <signal.h>
#include <stddef.h>
#include <termios.h>
#include <unistd.h>

/* What ends a program by default and can be caught. From the keyboard none comes: raw. */
static const int endings[] = {SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGPIPE};

/* For the handler, which has no argument to be given it with. */
static struct termios before;
static volatile sig_atomic_t is_raw;

void raw_terminal_end(void)
{
    if (is_raw)
        tcsetattr(STDIN_FILENO, TCSANOW, &before);
    is_raw = 0;
}

/* Whatever the program waits for. It ends by the signal all the same, as its parent expects. */
static void restore_and_end(int signum)
{
    raw_terminal_end();
    signal(signum, SIG_DFL);
    raise(signum);
}

bool raw_terminal_begin(void)
{
    struct sigaction restores = {.sa_handler = restore_and_end}, old;
    struct termios raw;

    if (tcgetattr(STDIN_FILENO, &before) < 0)
        return false;
    raw = before;
    cfmakeraw(&raw);
    is_raw = 1;
    for (size_t i = 0; i < sizeof(endings) / sizeof(endings[0]); i++)
        /* nohup(1) and a shell's background ignore some, and mean it. */
        if (sigaction(endings[i], NULL, &old) == 0 && old.sa_handler != SIG_IGN)
            sigaction(endings[i], &restores, NULL);
    tcsetattr(STDIN_FILENO, TCSANOW, &raw);
    return true;
}
