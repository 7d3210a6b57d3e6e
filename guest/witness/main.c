// SPDX-License-Identifier: Apache-2.0
/*
 * Start the checks, then read commands from the console and print a status line every second; or,
 * if nobody has asked for that, give whoever is at the console a shell.
 *
 * As init it also mounts what it needs and loads the drivers, because a shell script in between
 * would cost a tenth of the boot.
 */
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/timerfd.h>
#include <sys/utsname.h>
#include <termios.h>
#include <unistd.h>

#include "witness.h"

void say(const char *format, ...)
{
    char line[512];
    va_list args;
    int length;

    va_start(args, format);
    length = vsnprintf(line, sizeof(line) - 1, format, args);
    va_end(args);
    if (length < 0)
        return;
    if (length > (int)sizeof(line) - 2)
        length = (int)sizeof(line) - 2;
    line[length++] = '\n';
    /* One write, so that lines of different threads do not mix. */
    if (write(STDOUT_FILENO, line, (size_t)length) < 0)
        return;
}

/* The other end of the console is a program: it does not want its commands back. */
static void console_set_up(void)
{
    struct termios tio;

    if (tcgetattr(STDIN_FILENO, &tio) < 0)
        return;
    tio.c_lflag &= ~(tcflag_t)ECHO;
    tio.c_lflag |= ICANON;
    tio.c_iflag |= ICRNL;
    tcsetattr(STDIN_FILENO, TCSANOW, &tio);
}

static void read_commands(struct witness *w)
{
    char text[4096]; /* the longest line a terminal gives */
    ssize_t length = read(STDIN_FILENO, text, sizeof(text) - 1);
    char *rest = NULL;

    if (length <= 0)
        return;
    text[length] = '\0';
    for (char *line = strtok_r(text, "\r\n", &rest); line; line = strtok_r(NULL, "\r\n", &rest))
        command_run(w, line);
}

static void serve(struct witness *w)
{
    const struct itimerspec every_second = {.it_interval.tv_sec = 1, .it_value.tv_sec = 1};
    struct pollfd fds[2] = {{.fd = STDIN_FILENO, .events = POLLIN},
                            {.fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC), .events = POLLIN}};
    uint64_t ticks;

    timerfd_settime(fds[1].fd, 0, &every_second, NULL);
    for (;;) {
        if (poll(fds, 2, -1) < 0)
            continue;
        if (fds[0].revents & POLLIN)
            read_commands(w);
        else if (fds[0].revents)
            fds[0].fd = -1; /* nobody will ever type */
        if (fds[1].revents && read(fds[1].fd, &ticks, sizeof(ticks)) > 0 && w->options.status)
            status_say(w);
    }
}

static void say_ready(const struct witness *w)
{
    struct utsname host;

    uname(&host);
    say("witness: ready linux=%s harts=%u disk=%s net=%s boot_ms=%llu", host.release, w->harts,
        w->disk.fd >= 0 ? "yes" : "no", w->net.up ? w->options.ip : "no",
        (unsigned long long)(w->start_ns / NS_PER_MS));
}

int main(int argc, char **argv)
{
    static struct witness witness; /* too big for the stack, and there is one */
    struct witness *w = &witness;

    if (argc >= 3 && strcmp(argv[1], "bench") == 0)
        return bench_main(argv[2], argc > 3 ? argv[3] : "");
    if (getpid() == 1) {
        boot_mount();
        boot_load_modules();
    }
    options_read(&w->options);
    if (getpid() == 1 && !w->options.wanted)
        boot_for_a_person();
    console_set_up();
    w->harts = (unsigned int)sysconf(_SC_NPROCESSORS_ONLN);
    if (w->harts > WITNESS_HARTS_MAX)
        w->harts = WITNESS_HARTS_MAX;
    verdict_init(w);
    w->start_ns = now_ns();
    net_up(w);
    disk_add(w);
    if (w->options.checks) {
        gap_add(w);
        mem_add(w);
        udp_add(w);
        timers_add(w);
        rng_add(w);
    }
    say_ready(w);
    workers_start(w);
    serve(w);
}
