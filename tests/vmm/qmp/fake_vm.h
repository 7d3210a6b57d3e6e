/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A VM without a machine, behind vmm/machine/vm.h and vmm/machine/migration.h: remembers what the
 * monitor asked of it and says what a test told it to say.
 */
#pragma once

#include "vmm/machine/loop.h"
#include "vmm/machine/machine_type.h"
#include "vmm/machine/migration.h"
#include "vmm/machine/vm.h"
#include "vmm/move/migration_params.h"

struct vm {
    struct vm_config config;
    bool generation; /* it has an ID of one */
    struct loop *loop;
    enum run_state state;
    vm_observer_fn *observer;
    void *observer_arg;
    enum shutdown_cause reset, shutdown; /* asked for */
    const struct vm_io_error *io_error;  /* of the event being told */
    const struct vm_netdev *netdev;      /* the same */
    uint64_t balloon_bytes;              /* 0: there is no balloon */
    struct loop *busy;                   /* the disk is, until this loop's next turn */
    char words[256];         /* of the last backend that came; the ID of one that went */
    bool given;              /* it came with a file descriptor */
    struct ferry_err refuse; /* errnum != 0: backends neither come nor go */
};

struct migration {
    struct migration_params params;
    struct migration_info info;
    migration_observer_fn *observer;
    void *observer_arg;
    char uri[256]; /* of the last start or incoming */
    char job[MIGRATION_JOB_NAME_BYTES];
    bool update;
    bool incoming, cancelled, exit_on_error;
    char words[256];  /* of the last command that asked for something */
    int asked;        /* how often */
    bool unwatchable; /* what it answers on */
    int64_t prepare_timeout_ns;
    migration_done_fn *done;
    void *done_arg;
    struct loop *loop; /* with on_update: posted there when an update starts */
    void (*on_update)(void *arg);
    void *on_update_arg;
    struct ferry_err refuse; /* errnum != 0: the next start fails so */
};

/* Of the type that answers are expected of; whoever makes a VM puts it into the config. */
extern const struct machine_type fake_machine;

void fake_vm_tell(struct vm *vm, enum vm_event event, enum shutdown_cause cause);

/* A monitor_env's ask, with a struct migration: reads the words, opens something at once, and has
 * ended. */
int fake_ask(void *arg, const char *words, int client, size_t words_bytes, int *ret_mail,
             struct ferry_err *err);
