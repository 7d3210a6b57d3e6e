// SPDX-License-Identifier: Apache-2.0
/* Commands from the console, one per line; each answers with at least one line. */
#include <string.h>
#include <sys/reboot.h>

#include "witness.h"

static unsigned long long us(const atomic_uint_fast64_t *ns)
{
    return (unsigned long long)(atomic_load(ns) / NS_PER_US);
}

void status_say(struct witness *w)
{
    say("witness: t=%llu mem_pages=%llu mem_verified=%llu disk_ok=%llu gap_us=%llu base_us=%llu "
        "steps_back=%llu timers=%llu timer_late_us=%llu rng=%llu udp=%llu udp_lost=%llu "
        "udp_dup=%llu %s",
        (unsigned long long)((now_ns() - w->start_ns) / NS_PER_S),
        (unsigned long long)atomic_load(&w->mem.pages),
        (unsigned long long)atomic_load(&w->mem.verified),
        (unsigned long long)atomic_load(&w->disk.reads), us(&w->gap.longest_ns),
        us(&w->gap.baseline_ns), (unsigned long long)atomic_load(&w->gap.steps_back),
        (unsigned long long)atomic_load(&w->timers.fired), us(&w->timers.latest_ns),
        (unsigned long long)atomic_load(&w->rng.reads),
        (unsigned long long)atomic_load(&w->net.received),
        (unsigned long long)atomic_load(&w->net.lost),
        (unsigned long long)atomic_load(&w->net.duplicated),
        atomic_load(&w->failed) ? "FAIL" : "ok");
}

static void say_verdict(struct witness *w, const char *argument)
{
    verdict_say(w, strcmp(argument, "quick") != 0);
}

static void say_gap(struct witness *w, const char *argument)
{
    (void)argument;
    say("witness: gap_us=%llu base_us=%llu", (unsigned long long)(gap_take(w) / NS_PER_US),
        us(&w->gap.baseline_ns));
}

/* For the host to compare with its own clock. */
static void say_clock(struct witness *w, const char *argument)
{
    (void)w;
    (void)argument;
    say("witness: clock_ns=%llu", (unsigned long long)now_ns());
}

static void spin(struct witness *w, const char *argument)
{
    uint64_t length_ms;

    if (!parse_size_mib(argument, &length_ms) || length_ms < 1 || length_ms > 10000)
        say("witness: spin wants 1 to 10000 ms, not '%s'", argument);
    else if (!w->options.checks)
        say("witness: spin needs the checks, and witness.checks is off");
    else {
        boot_let_realtime_run(w->harts);
        atomic_store(&w->gap.spin_ms, length_ms);
    }
}

static void set_mib(atomic_uint_fast64_t *value, const char *what, const char *argument)
{
    uint64_t mib;

    if (!parse_size_mib(argument, &mib)) {
        say("witness: %s wants a number of MiB, not '%s'", what, argument);
        return;
    }
    atomic_store(value, mib);
    say("witness: %s is now %llu MiB", what, (unsigned long long)mib);
}

static void set_rate(struct witness *w, const char *argument)
{
    set_mib(&w->mem.rate_mib, "rate", argument);
}

static void set_size(struct witness *w, const char *argument)
{
    set_mib(&w->mem.size_mib, "size", argument);
}

static void set_status(struct witness *w, const char *argument)
{
    w->options.status = strcmp(argument, "off") != 0;
    say("witness: status %s", w->options.status ? "on" : "off");
}

static void quiet(struct witness *w, const char *argument)
{
    (void)argument;
    set_status(w, "off");
}

/* The kernel shuts devices down under the workers, and the errors they get say nothing. */
static void leave(struct witness *w, int how)
{
    atomic_store(&w->leaving, true);
    boot_leave(how);
}

static void power_off(struct witness *w, const char *argument)
{
    (void)argument;
    say("witness: powering off");
    leave(w, RB_POWER_OFF);
}

static void restart(struct witness *w, const char *argument)
{
    (void)argument;
    say("witness: rebooting");
    leave(w, RB_AUTOBOOT);
}

static void shell(struct witness *w, const char *argument)
{
    bool status = w->options.status;

    w->options.status = false;
    boot_shell(argument);
    say("witness: shell ended");
    w->options.status = status;
}

static void fail(struct witness *w, const char *argument)
{
    verdict_fail(w, "asked to fail: %s", argument);
}

static const struct command {
    const char *name;
    void (*run)(struct witness *w, const char *argument);
} commands[] = {
    {"clock", say_clock}, {"verdict", say_verdict}, {"gap", say_gap},       {"spin", spin},
    {"rate", set_rate},   {"size", set_size},       {"status", set_status}, {"quiet", quiet},
    {"bench", bench_run}, {"shell", shell},         {"fail", fail},         {"poweroff", power_off},
    {"reboot", restart},  {"pci", pci_say},
};

void command_run(struct witness *w, char *line)
{
    char *argument = line + strcspn(line, " ");

    if (*argument)
        *argument++ = '\0';
    for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
        if (strcmp(line, commands[i].name) == 0) {
            commands[i].run(w, argument);
            return;
        }
    }
    say("witness: '%s' is not one of: verdict [quick], clock, gap, spin MS, rate MIB, size MIB, "
        "status "
        "on|off, "
        "quiet, bench NAME, pci, shell [COMMAND], fail TEXT, poweroff, reboot",
        line);
}
