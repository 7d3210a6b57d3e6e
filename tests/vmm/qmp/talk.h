/* SPDX-License-Identifier: Apache-2.0 */
/* The monitor of a VM that only pretends, whose clients take turns with it. */
#pragma once

#include "tests/vmm/qmp/fake_vm.h"
#include "tests/vmm/qmp/turns.h"
#include "vmm/backend/chardev.h"
#include "vmm/backend/chardev_mux.h"
#include "vmm/backend/fd_table.h"
#include "vmm/qmp/monitor.h"

struct talk {
    struct loop *loop;
    struct monitor *monitor;
    struct chardev *chardev;
    struct config_chardev config;
    struct fd_table *fds;
    struct vm vm;
    struct migration migration;
    /* Of the monitor's environment: fake_ask or NULL. */
    int (*ask)(void *arg, const char *words, int client, size_t words_bytes, int *ret_mail,
               struct ferry_err *err);
    char path[96];
    bool human;      /* monitors for people */
    bool shared;     /* on a mux with two places: nobody is on the second */
    struct mux *mux; /* if it is */
};

void talk_begin(struct talk *t);
void talk_end(struct talk *t);
/*
 * Another monitor on another chardev takes up what this one offers as extras, as the target of an
 * update does; the VM is the same. tamper: NULL, or is shown the record before it is read.
 */
void talk_replace(struct talk *t, void (*tamper)(void *arg, int record_fd), void *arg);
/* One that has negotiated. */
int talk_client(struct talk *t);
