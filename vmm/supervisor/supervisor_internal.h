/* SPDX-License-Identifier: Apache-2.0 */
/*
 * struct supervisor from the inside, for the files that are it: the processes that it started
 * (supervisor_children.c), what it does for them and with signals (supervisor.c), how a process
 * becomes one (supervisor_start.c). Others include supervisor.h.
 */
#pragma once

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/types.h>

#include "vmm/supervisor/service.h"
#include "vmm/supervisor/startup.h"
#include "vmm/supervisor/supervisor_channel.h"
#include "vmm/supervisor/supervisor_policy.h"

struct incoming;

/* What one VM can have under way at once, updates and connections together. */
#define SUPERVISOR_CHILDREN 64u

/* A process that was started here. */
struct child {
    pid_t pid;   /* 0 = this place is free */
    bool is_vmm; /* or will be one */
    bool has_guest;
    bool had_guest;   /* a VMM: it has, or has handed it over */
    bool refused;     /* a VMM: what came to it */
    bool tidies;      /* sees by itself that nobody wants it any more */
    bool beats;       /* says when its main loop turns */
    bool beat;        /* has said so, and the service manager was not told yet */
    bool no_hurry;    /* what it says can wait for the end of who asked for it, by `mail` */
    bool arrived;     /* a target, and the guest runs there */
    bool is_asked;    /* whether its program could be the supervisor (supervisor_renew.h) */
    int64_t until_ns; /* it is killed then; 0 = never */
    int channel;      /* owned: a VMM asks here; -1 = none, or it hung up */
    int mail;         /* owned: who asked for it hears of its end; -1 = nobody */
};

struct supervisor {
    pid_t pid;                        /* its own */
    char name[SUPERVISOR_NAME_BYTES]; /* of the VM, as a VMM said; "" = not yet */
    int control;                      /* owned: a way to the VM's control socket; -1 = none yet */
    struct supervisor_policy policy;
    struct child children[SUPERVISOR_CHILDREN];
    struct service service;
    int null; /* /dev/null, until nothing of the terminal is needed any more; -1 */
    int signals;
    sigset_t before; /* the mask that children get back */
    int last;        /* wait status of the VMM that ended last, of those that had the guest */
    bool guest_ended;
    struct {
        bool due;            /* a VMM has ended since it was looked at */
        int binary;          /* owned: the program that is asked; -1 = none */
        bool answered;       /* it was, and this was the end of it: */
        int answer;          /* a wait status */
        struct stat refused; /* the program that could not, not to be asked again */
    } renewal;
    struct {
        struct incoming *incoming; /* until the guest is there; else NULL */
        bool again;                /* a VMM that refused what came is followed by another */
        int64_t again_ns;          /* when, on clock_monotonic_ns(); INT64_MAX: none is due */
        int64_t began_ns;          /* the VMM before it */
    } waiting;
    char **words;           /* of a VMM's command line; loan */
    struct startup startup; /* for the first one */
    enum { LEASE_NONE = 0, LEASE_PREPARES, LEASE_PAUSES } lease;
    int lease_nice;         /* the supervisor's own before it */
    int64_t lease_work_ns;  /* what the supervisor had used of a processor when it began */
    int64_t lease_until_ns; /* INT64_MAX = for as long as the update takes */
};

/* Each byte that child_said() can give once, and a NUL. */
#define SUPERVISOR_SAYS_BYTES 7

/* --- supervisor_children.c --- */

/* pid 0: a free place. NULL: there is none. */
struct child *child_find(struct supervisor *s, pid_t pid);
/* Closes what it has of it; the place is free. */
void child_forget(struct child *c);
/* A command leads a group (exec_become()), of which all ends; others are their parent's. */
void child_kill(const struct child *c);
/* What a process said of itself: a byte of errand.h. false: it is not known here. */
bool child_says(struct child *c, char what);
/* A message that asks for nothing; false: it is another. */
bool child_tells(struct supervisor *s, struct child *c, const struct supervisor_message *m);
/* What it would have to say to be what it is. */
void child_said(const struct child *c, char ret[SUPERVISOR_SAYS_BYTES]);
/* What it told before it ended, and has not been read yet. */
void child_hear_the_rest(struct supervisor *s, struct child *c);
/* With this wait status; counts: as the VM's, if it had the guest. */
void child_ended(struct supervisor *s, struct child *c, int status, bool counts);
/* Those that became ours without our doing and are VMMs; any: all that became ours. *channel: where
 * the first of them asks, taken; -1 = nowhere. */
void supervisor_adopt(struct supervisor *s, bool any, int *channel);

/* Not a script or a shell around one, which is no program to go on with. */
bool child_is_ferry(const struct child *c);
/* To every VMM. */
void children_signal(const struct supervisor *s, int signum);
/* So that they survive an execve(2), or not. What is not open is none any more. */
void children_set_inheritable(struct supervisor *s, bool inheritable);

/* --- supervisor_names.c --- */

/* So that the VM can be reached when its control socket's name is gone. */
void supervisor_hold_control(struct supervisor *s);
/* All VMMs have ended. */
void supervisor_tidy_up(const struct supervisor *s);

/* --- supervisor_start.c --- */

/* Shows what it is, and of which VM. */
void supervisor_show(const struct supervisor *s);
/* With what s->words say; it gets what is waited for. */
int supervisor_start_vmm(struct supervisor *s, struct ferry_err *err) FERRY_MUST_CHECK;
/* Of everything that was inherited: the VMM has its own. */
void supervisor_let_go(const struct supervisor *s);

/* --- supervisor_incoming.c --- */

/* Loans it until the guest is there. */
void waiting_begin(struct supervisor *s, struct incoming *incoming, bool again);
/* Nobody else shall come. */
void waiting_end(struct supervisor *s);
/* Of a child that has ended: it is followed by another, and its end is not the VM's. */
bool waiting_goes_on_after(struct supervisor *s, const struct child *c, int status);
/* Starts the next VMM if it is due. false: none will follow. */
bool waiting_go_on(struct supervisor *s);
int64_t waiting_due_ns(const struct supervisor *s);
/* Readable when somebody has come and nobody else shall; -1: never. */
int waiting_offered(const struct supervisor *s);

/* --- supervisor_lease.c --- */

/* What a child says, before that is noted of it: it becomes a target, the pause comes next, it is
 * over. Who is a VMM already becomes none: its guest may have it, and is no reason to hurry. */
void lease_hear(struct supervisor *s, const struct child *c, char what);
/* A child has ended: is there still an update? */
void lease_look(struct supervisor *s);
/* Whoever has it gives it back. */
void lease_end(struct supervisor *s);
void lease_look_at_clock(struct supervisor *s);
int64_t lease_due_ns(const struct supervisor *s);

/* --- supervisor.c --- */

/* Until the last one of those that were started has ended; returns as supervisor_run(). */
int supervisor_loop(struct supervisor *s);
/* In a child that was forked: signals are as they were before there was a supervisor, and it ends
 * with that. For a VMM those that end it wait until it reads them (process_begin()). */
void supervisor_child_begin(const struct supervisor *s, bool is_vmm);
