/* SPDX-License-Identifier: Apache-2.0 */
/* The monitor of a VM that only pretends, whose clients take turns with it. */
#pragma once

#include "tests/vmm/qmp/fake_vm.h"
#include "tests/vmm/qmp/turns.h"
#include "vmm/backend/chardev.h"
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
    char path[96];
};

void talk_begin(struct talk *t);
void talk_end(struct talk *t);
/* One that has negotiated. */
int talk_client(struct talk *t);
