/* SPDX-License-Identifier: Apache-2.0 */
/* The signals that end a VM: SIGTERM, SIGINT and SIGHUP. Main thread. */
#pragma once

#include <signal.h>
#include <stdbool.h>

sigset_t signals_that_end(void);
/* From now on they end the process alone, at once; came: one was read before. */
void signals_end_process(bool came);
