/* SPDX-License-Identifier: Apache-2.0 */
/* The subcommands of `ferry`: one file and one table entry each (main.c). */
#pragma once

#include "vmm/process/command.h"

extern const struct command command_run, command_receive, command_update, command_ls,
    command_status, command_console, command_stop, command_cont, command_quit, command_shutdown,
    command_qmp, command_wait, command_supervise, command_migrate, command_cancel, command_snapshot,
    command_analyze;
