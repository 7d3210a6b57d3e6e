/* SPDX-License-Identifier: Apache-2.0 */
/*
 * In the signal handler: no memory, no locks, no state of the program but the name of the file that
 * is the guest's memory, which never changes while there are threads: they may open nothing. Of any
 * other file the kernel knows which it was (/proc/self/maps).
 */
#include "vmm/backend/lost_memory.h"

#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include "base/text.h"

#define LINE_BYTES 512u

static struct {
    uintptr_t begin, end;
    const char *path;
} guest;

static void say(const char *text)
{
    (void)!write(STDERR_FILENO, text, strlen(text));
}

static uintptr_t take_hex(const char **text)
{
    static const char digits[] = "0123456789abcdef";
    uintptr_t v = 0;
    const char *digit;

    while (**text && (digit = strchr(digits, **text))) {
        v = v << 4 | (uintptr_t)(digit - digits);
        ++*text;
    }
    return v;
}

/* "begin-end rights offset device inode path" */
static bool line_has(const char *line, uintptr_t at)
{
    uintptr_t begin = take_hex(&line), end;

    line += *line == '-';
    end = take_hex(&line);
    return at >= begin && at < end;
}

/* The line about the mapping at that address, cut if it is long. */
static bool find_line(int fd, uintptr_t at, char line[LINE_BYTES])
{
    char piece[1024];
    size_t used = 0;
    ssize_t n;

    while ((n = read(fd, piece, sizeof(piece))) > 0)
        for (ssize_t i = 0; i < n; i++) {
            if (piece[i] != '\n') {
                if (used < LINE_BYTES - 1)
                    line[used++] = piece[i];
                continue;
            }
            line[used] = 0;
            used = 0;
            if (line_has(line, at))
                return true;
        }
    return false;
}

/* NULL: it cannot be told. */
static char *find_path(uintptr_t at, char line[LINE_BYTES])
{
    int fd;

    if (at >= guest.begin && at < guest.end) {
        line[0] = 0;
        strncat(line, guest.path, LINE_BYTES - 1);
        return line;
    }
    fd = open("/proc/self/maps", O_RDONLY | O_CLOEXEC);
    return fd >= 0 && find_line(fd, at, line) ? strchr(line, '/') : NULL;
}

static void lost(int number, siginfo_t *info, void *context)
{
    char line[LINE_BYTES];
    char *path;

    if (info->si_code == BUS_ADRERR) {
        say("ferry: memory of a file is gone: the file was made shorter, or its file system is "
            "full "
            "(prealloc=on takes the room when the VM starts)\n");
        path = find_path((uintptr_t)info->si_addr, line);
        if (path) {
            say("ferry: it was ");
            say(text_make_printable(path));
            say("\n");
        }
        _exit(1);
    }
    /* Anything else is a fault of this program: as without a handler. */
    signal(number, SIG_DFL);
    raise(number);
}

void lost_memory_is(const void *at, uint64_t size_bytes, const char *path)
{
    guest.begin = path ? (uintptr_t)at : 0;
    guest.end = path ? (uintptr_t)at + size_bytes : 0;
    guest.path = path;
}

void lost_memory_watch(void)
{
    struct sigaction action = {.sa_sigaction = lost, .sa_flags = SA_SIGINFO};

    sigemptyset(&action.sa_mask);
    sigaction(SIGBUS, &action, NULL);
}
