/* SPDX-License-Identifier: Apache-2.0 */
/* What tests of the monitor share: one with a table of commands made for it, on a real socket. */
#pragma once

#include <stdbool.h>

#include "tests/vmm/qmp/turns.h"
#include "vmm/backend/chardev.h"
#include "vmm/qmp/command.h"
#include "vmm/qmp/monitor.h"

struct bench {
    struct loop *loop;
    struct monitor *monitor;
    struct chardev *chardev;
    struct config_chardev config;
    struct monitor_env env;
    char path[96];
    struct qmp_call *waiting; /* of `later` */
    int runs;
};

/* Of it: qmp_capabilities, echo, need (an x), fail, later (bench.waiting), event, urgent (oob). */
extern const struct qmp_table bench_table;

int bench_setup(void **state);
int bench_teardown(void **state);
/* Makes the chardev that bench.config says, and serves on it. */
void bench_attach(struct bench *b, bool pretty);
/* A connection that has been greeted and has negotiated. */
int client_negotiated(struct bench *b, bool oob);
